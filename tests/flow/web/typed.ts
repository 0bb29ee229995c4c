// openapi-typescript's types with openapi-fetch: this file must compile under --strict, and its calls must work.
import createClient from "openapi-fetch";
import type {components, paths} from "./schema.js";

const [url, token] = process.argv.slice(2) as [string, string];
const crm = createClient<paths>({baseUrl: url, headers: {Authorization: `Bearer ${token}`}});

function need<T>(answer: {data?: T; error?: unknown}): T {
  if (answer.data === undefined) throw new Error(JSON.stringify(answer.error));
  return answer.data;
}

const contact = need(await crm.POST("/v1/contacts", {
  body: {given_name: "Ada", phones: [{number: "+49 30 5551234"}], lifecycle: "LIFECYCLE_CUSTOMER"},
  params: {header: {"Idempotency-Key": `typed-${Date.now()}`}},
}));
const id: string = contact.id;
const lifecycle: components["schemas"]["Lifecycle"] = contact.lifecycle;
if (lifecycle !== "LIFECYCLE_CUSTOMER") throw new Error(`lifecycle ${lifecycle}`);

const read = need(await crm.GET("/v1/contacts/{id}", {params: {path: {id}, query: {expand: ["owner"]}}}));
const title: string | undefined = read.refs?.[read.owner_id]?.title;
if (!title) throw new Error("no refs");

// null clears, and the type knows it.
const changed = need(await crm.PATCH("/v1/contacts/{id}", {params: {path: {id}, header: {"If-Match": `"${read.etag}"`}}, body: {city: "Berlin", middle_name: null}}));
if (changed.city !== "Berlin") throw new Error("not changed");

const list = need(await crm.GET("/v1/contacts", {params: {query: {page_size: 5, filter: 'city = "Berlin"'}}}));
if (!list.contacts.some(one => one.id === id)) throw new Error("not in the list");

const deal = need(await crm.POST("/v1/deals", {body: {title: "Typed", contact_id: id, amount: {amount: "12.50", currency_code: "EUR"}}}));
const amount: string | undefined = deal.amount?.amount;
if (amount !== "12.50") throw new Error(`amount ${amount}`);

const refused = await crm.GET("/v1/contacts/{id}", {params: {path: {id: "contact_01h455vb4pex5vsknk084sn02q"}}});
const reason: string | undefined = refused.error?.error.details[0]?.reason;
if (refused.response.status !== 404 || reason !== "RECORD_NOT_FOUND") throw new Error(`refused by ${reason}`);

// @ts-expect-error: there is no such field, and nobody is allowed to send it
const typo: components["schemas"]["ContactInput"] = {given_naem: "Ada"};
// @ts-expect-error: what only answers have cannot be sent
const output: components["schemas"]["ContactInput"] = {create_time: "2026-11-23T09:30:00Z"};
if (!typo || !output) throw new Error("unreachable");
console.log("ok typed");
