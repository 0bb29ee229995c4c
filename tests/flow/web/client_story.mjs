// One story with the package that `tools/crm client ts` made. The test cuts the gateway's life in the middle of it.
import {once} from "node:events";
import {createInterface} from "node:readline";
import {createCrm, CrmError} from "./crm-client/dist/index.js";
import {check} from "./suite.mjs";

const [url, login, password] = process.argv.slice(2);
const heard = createInterface({input: process.stdin});
const until = async word => {
  console.log(word);
  await once(heard, "line");
};

// The first token is none: the client asks for another when it is refused.
let renewals = 0;
let known = "nonsense";
async function token(renew) {
  if (renew) {
    ++renewals;
    const answer = await fetch(`${url}/v1/sessions`, {method: "POST", headers: {"Content-Type": "application/json"}, body: JSON.stringify({login, password})});
    known = (await answer.json()).access_token;
  }
  return known;
}
const crm = createCrm({baseUrl: url, token, retries: 8});

const contact = await crm.need(crm.api.POST("/v1/contacts", {body: {given_name: "Ada"}}));
check("the token was renewed, once", renewals === 1 && contact.id.startsWith("contact_"));
const refused = await crm.need(crm.api.POST("/v1/contacts", {body: {given_name: "x".repeat(1000)}})).then(() => null, error => error);
check("errors are thrown, with what programs need", refused instanceof CrmError && refused.status === 400 && refused.requestId && refused.violations.length > 0);
const gone = await crm.need(crm.api.GET("/v1/contacts/{id}", {params: {path: {id: "contact_01h455vb4pex5vsknk084sn02q"}}})).then(() => null, error => error);
check(`the reason is told, not ${gone}`, gone?.reason === "RECORD_NOT_FOUND");

// A list over its pages.
for (let i = 0; i < 3; ++i) await crm.need(crm.api.POST("/v1/deals", {body: {title: `Paged ${i}`, contact_id: contact.id}}));
const titles = [];
const page = token => crm.api.GET("/v1/deals", {params: {query: {page_size: 1, page_token: token, filter: `contact_id = "${contact.id}"`, order_by: "create_time"}}});
for await (const deal of crm.all(page, "deals")) titles.push(deal.title);
check(`all pages: ${titles}`, titles.join() === "Paged 0,Paged 1,Paged 2");

// What was written at one service is in the next answer of another.
const pipelines = await crm.need(crm.api.GET("/v1/pipelines"));
const won = pipelines.pipelines[0].stages.find(stage => stage.kind === "STAGE_KIND_WON").id;
for (let i = 1; i <= 5; ++i) {
  const deal = await crm.need(crm.api.POST("/v1/deals", {body: {title: `Won ${i}`, contact_id: contact.id, amount: {amount: "10.00", currency_code: "EUR"}}}));
  await crm.need(crm.api.POST("/v1/deals/{id}:move", {params: {path: {id: deal.id}}, body: {stage_id: won}}));
  const {data, response} = await crm.api.GET("/v1/reports/revenue", {params: {query: {group_by: "GROUP_BY_MONTH"}}});
  const stale = response.headers.get("Crm-Stale");
  check(`the report has ${i} deals, not ${JSON.stringify(data?.total)}`, stale || data?.total?.deal_count === i);
  if (stale) console.log("stale");  // a machine that is too busy; then it must say so
}

// Live, over the end of one gateway and the beginning of the next.
const leave = new AbortController();
const events = [];
let opens = 0;
const following = (async () => {
  for await (const event of crm.events(["contact"], {signal: leave.signal, onOpen: () => ++opens})) events.push(event);
})();
const eventually = async (what, condition) => {
  const end = Date.now() + 60_000;
  while (!condition()) {
    check(what, Date.now() < end);
    await new Promise(resolve => setTimeout(resolve, 20));
  }
};
await eventually("the stream opens", () => opens > 0);
await crm.need(crm.api.PATCH("/v1/contacts/{id}", {params: {path: {id: contact.id}}, body: {city: "Before"}}));
await eventually("it is heard of", () => events.length === 1);
await until("cut");
// The gateway is down: the write waits for the next one, and is done once.
const writing = crm.need(crm.api.PATCH("/v1/contacts/{id}", {params: {path: {id: contact.id}}, body: {city: "After"}}));
await until("mend");
const after = await writing;
await eventually("the stream goes on", () => events.length >= 2);
check(`each event once: ${events.map(event => event.etag)}`, events.length === 2 && events[1].etag === after.etag && events[1].payload.contact.city === "After");
leave.abort();
await following;

for await (const report of crm.watch("/v1/reports/revenue:watch", {group_by: "GROUP_BY_MONTH"})) {
  check("a report is watched", report.total.deal_count >= 1);
  break;
}
console.log("ok story");
process.exit(0);
