// @grpc/grpc-js against a service's own port, with mTLS: the way of other systems inside.
import {readFileSync} from "node:fs";
import {create, fromBinary, toBinary} from "@bufbuild/protobuf";
import grpc from "@grpc/grpc-js";
import {ContactSchema, CreateContactRequestSchema, GetContactRequestSchema} from "./gen/crm/contact/v1/contact_pb.js";
import {GetRevenueReportRequestSchema, RevenueReportSchema} from "./gen/crm/analytics/v1/report_pb.js";
import {StatusSchema} from "./gen/google/rpc/status_pb.js";
import {ErrorInfoSchema} from "./gen/google/rpc/error_details_pb.js";
import {check} from "./suite.mjs";

const [contact, analytics, tls, token] = process.argv.slice(2);
const credentials = grpc.credentials.createSsl(readFileSync(`${tls}/ca.pem`), readFileSync(`${tls}/gateway.key`), readFileSync(`${tls}/gateway.pem`));
const client = (address, name) => new grpc.Client(address, credentials, {"grpc.ssl_target_name_override": name});
const metadata = () => {
  const all = new grpc.Metadata();
  all.set("authorization", `Bearer ${token}`);
  return all;
};
const unary = (to, path, input, output, request, more = metadata()) => new Promise((resolve, reject) =>
  to.makeUnaryRequest(path, message => Buffer.from(toBinary(input, message)), bytes => fromBinary(output, bytes), create(input, request), more,
                      {deadline: Date.now() + 20_000}, (error, answer) => error ? reject(error) : resolve(answer)));
const refused = call => call.then(() => { throw new Error("was not refused"); }, error => error);

const contacts = client(contact, "contact");
const made = await unary(contacts, "/crm.contact.v1.ContactService/CreateContact", CreateContactRequestSchema, ContactSchema,
                         {contact: {givenName: "Grace"}, requestId: `native-${Date.now()}`});
const got = await unary(contacts, "/crm.contact.v1.ContactService/GetContact", GetContactRequestSchema, ContactSchema, {id: made.id});
check("what was made is read", got.givenName === "Grace");
const gone = await refused(unary(contacts, "/crm.contact.v1.ContactService/GetContact", GetContactRequestSchema, ContactSchema, {id: "contact_01h455vb4pex5vsknk084sn02q"}));
check(`not found, not ${gone}`, gone.code === grpc.status.NOT_FOUND);
const status = fromBinary(StatusSchema, gone.metadata.get("grpc-status-details-bin")[0]);
const info = status.details.find(any => any.typeUrl.endsWith("ErrorInfo"));
check("the reason is in the details", fromBinary(ErrorInfoSchema, info.value).reason === "RECORD_NOT_FOUND");
// A certificate alone is a service, and users' rpcs are not for services.
const nobody = await refused(unary(contacts, "/crm.contact.v1.ContactService/GetContact", GetContactRequestSchema, ContactSchema, {id: made.id}, new grpc.Metadata()));
check(`unauthenticated, not ${nobody}`, [grpc.status.UNAUTHENTICATED, grpc.status.PERMISSION_DENIED].includes(nobody.code));

const stream = client(analytics, "analytics").makeServerStreamRequest(
  "/crm.analytics.v1.ReportService/WatchRevenueReport", message => Buffer.from(toBinary(GetRevenueReportRequestSchema, message)),
  bytes => fromBinary(RevenueReportSchema, bytes), create(GetRevenueReportRequestSchema, {}), metadata());
await new Promise((resolve, reject) => {
  stream.on("data", report => { check("a report", report.$typeName); stream.cancel(); resolve(); });
  stream.on("error", error => error.code === grpc.status.CANCELLED || reject(error));
});
console.log("ok native");
process.exit(0);
