// What every Connect and gRPC-Web client must be able to do, whatever its transport. In Node and in a browser.
import {Code, ConnectError, createClient} from "@connectrpc/connect";
import {ContactService} from "./gen/crm/contact/v1/contact_pb.js";
import {ReportService} from "./gen/crm/analytics/v1/report_pb.js";
import {BadRequestSchema, ErrorInfoSchema, RequestInfoSchema} from "./gen/google/rpc/error_details_pb.js";

export function check(what, value) {
  if (!value) throw new Error(`not so: ${what}`);
}

async function refused(call) {
  try {
    await call;
  } catch (error) {
    check(`a ConnectError, not ${error}`, error instanceof ConnectError);
    return error;
  }
  throw new Error("was not refused");
}

// Adds the token to every call, as an interceptor of an application would.
export const bearer = token => next => request => {
  request.header.set("Authorization", `Bearer ${token}`);
  return next(request);
};

export async function walk(transport, name) {
  const contacts = createClient(ContactService, transport);
  const key = `${name}-${Date.now()}-${Math.random()}`;
  const contact = {givenName: "Ada", familyName: `Ловлейс ${name}`, countryCode: "DE", emails: [{address: `ada@${Date.now()}.example.org`}]};
  let etag = "";
  const made = await contacts.createContact({contact}, {headers: {"Idempotency-Key": key}, onHeader: headers => (etag = headers.get("x-request-id"))});
  check("an id", made.id.startsWith("contact_"));
  check("a request id in the headers", etag);
  check("text beyond ASCII comes back", made.familyName === contact.familyName);
  check("a time", made.createTime && Number(made.createTime.seconds) > 1_700_000_000);
  const again = await contacts.createContact({contact}, {headers: {"Idempotency-Key": key}});
  check("the same key answers the same contact", again.id === made.id);

  const got = await contacts.getContact({id: made.id});
  check("what was made is read", got.givenName === "Ada" && got.emails[0].address === made.emails[0].address);
  const list = await contacts.listContacts({filter: `family_name = "${contact.familyName}"`});
  check("and found", list.contacts.some(one => one.id === made.id));

  const changed = await contacts.updateContact({contact: {id: made.id, familyName: "Byron"}, updateMask: {paths: ["family_name"]}, etag: made.etag});
  check("what the mask names is changed", changed.familyName === "Byron" && changed.givenName === "Ada");
  const lost = await refused(contacts.updateContact({contact: {id: made.id, familyName: "King"}, updateMask: {paths: ["family_name"]}, etag: made.etag}));
  check("an old etag is aborted", lost.code === Code.Aborted);

  const gone = await refused(contacts.getContact({id: "contact_01h455vb4pex5vsknk084sn02q"}));
  check(`not found, not ${gone}`, gone.code === Code.NotFound);
  const [info] = gone.findDetails(ErrorInfoSchema);
  check("the reason is in the details", info?.reason === "RECORD_NOT_FOUND" && info.metadata.id === "contact_01h455vb4pex5vsknk084sn02q");
  check("so is the request id", gone.findDetails(RequestInfoSchema)[0]?.requestId);
  const wrong = await refused(contacts.createContact({contact: {...contact, givenName: "x".repeat(1000)}}));
  check("a wrong field is named", wrong.code === Code.InvalidArgument && wrong.findDetails(BadRequestSchema)[0]?.fieldViolations[0].field === "contact.given_name");
}

// The first message comes while the stream goes on, and the stream ends at its deadline, or when the client leaves.
export async function watch(transport) {
  const reports = createClient(ReportService, transport);
  const leave = new AbortController();
  for await (const report of reports.watchRevenueReport({}, {signal: leave.signal})) {
    check("a report", report.$typeName === "crm.analytics.v1.RevenueReport");
    break;
  }
  leave.abort();
  let messages = 0;
  const late = await refused((async () => {
    for await (const report of reports.watchRevenueReport({}, {timeoutMs: 700})) messages += report ? 1 : 0;
  })());
  check(`the deadline ends it, not ${late}`, late.code === Code.DeadlineExceeded);
  check("after its first message", messages >= 1);
}

export async function refusals(anonymous) {
  const nobody = await refused(createClient(ContactService, anonymous).listContacts({}));
  check(`unauthenticated, not ${nobody}`, nobody.code === Code.Unauthenticated);
  const stream = await refused((async () => {
    for await (const report of createClient(ReportService, anonymous).watchRevenueReport({})) check("no report", !report);
  })());
  check(`unauthenticated, not ${stream}`, stream.code === Code.Unauthenticated);
}
