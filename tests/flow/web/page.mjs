// What the browser's tests run inside a page; bundled by esbuild, so that npm's modules come along.
import {createConnectTransport, createGrpcWebTransport} from "@connectrpc/connect-web";
import {create, fromBinary, toBinary} from "@bufbuild/protobuf";
import grpcWeb from "grpc-web";
import {ContactSchema, CreateContactRequestSchema, GetContactRequestSchema} from "./gen/crm/contact/v1/contact_pb.js";
import {GetRevenueReportRequestSchema, RevenueReportSchema} from "./gen/crm/analytics/v1/report_pb.js";
import {bearer, check, refusals, walk, watch} from "./suite.mjs";

const forms = {
  "connect-json": options => createConnectTransport(options),
  "connect-bytes": options => createConnectTransport({...options, useBinaryFormat: true}),
  "connect-get": options => createConnectTransport({...options, useHttpGet: true}),
  "grpc-web": options => createGrpcWebTransport(options),
};

// @connectrpc/connect-web, in every form.
async function connect(url, token) {
  for (const [name, make] of Object.entries(forms)) {
    await walk(make({baseUrl: url, interceptors: [bearer(token)]}), `page-${name}`);
    await watch(make({baseUrl: url, interceptors: [bearer(token)]}));
    await refusals(make({baseUrl: url}));
  }
}

// The official grpc-web, over XMLHttpRequest, as text and as bytes.
async function official(url, token, format) {
  const client = new grpcWeb.GrpcWebClientBase({format});
  const metadata = {authorization: `Bearer ${token}`};
  const describe = (path, type, input, output) => new grpcWeb.MethodDescriptor(
    path, type, Object, Object, message => toBinary(input, message), bytes => fromBinary(output, new Uint8Array(bytes)));
  const unary = (path, input, output, request, more = metadata) =>
    client.unaryCall(url + path, create(input, request), more, describe(path, grpcWeb.MethodType.UNARY, input, output));
  const made = await unary("/crm.contact.v1.ContactService/CreateContact", CreateContactRequestSchema, ContactSchema, {contact: {givenName: "Grace", familyName: "Хоппер"}});
  const got = await unary("/crm.contact.v1.ContactService/GetContact", GetContactRequestSchema, ContactSchema, {id: made.id});
  check("what was made is read", got.familyName === "Хоппер");
  const gone = await unary("/crm.contact.v1.ContactService/GetContact", GetContactRequestSchema, ContactSchema, {id: "contact_01h455vb4pex5vsknk084sn02q"}).then(() => null, error => error);
  check(`not found, not ${gone}`, gone?.code === 5 && gone.metadata["grpc-status-details-bin"]);
  const nobody = await unary("/crm.contact.v1.ContactService/GetContact", GetContactRequestSchema, ContactSchema, {id: made.id}, {}).then(() => null, error => error);
  check(`unauthenticated, not ${nobody}`, nobody?.code === 16);
  // Server streams exist only as text: XMLHttpRequest shows no bytes before the end.
  if (format === "text") {
    const path = "/crm.analytics.v1.ReportService/WatchRevenueReport";
    const stream = client.serverStreaming(url + path, create(GetRevenueReportRequestSchema, {}), metadata,
                                          describe(path, grpcWeb.MethodType.SERVER_STREAMING, GetRevenueReportRequestSchema, RevenueReportSchema));
    await new Promise((resolve, reject) => {
      stream.on("data", report => { check("a report", report.$typeName); stream.cancel(); resolve(); });
      stream.on("error", reject);
    });
  }
}

// REST across sites: preflight, exposed headers, If-None-Match, and live events as they come.
async function rest(url, token) {
  const headers = {Authorization: `Bearer ${token}`, "Content-Type": "application/json", "Idempotency-Key": `page-${Math.random()}`};
  const made = await fetch(`${url}/v1/contacts`, {method: "POST", headers, body: JSON.stringify({given_name: "Joan"})});
  check(`made, not ${made.status}`, made.ok);
  for (const name of ["ETag", "RateLimit", "RateLimit-Policy", "X-Request-Id"]) check(`${name} is shown to scripts`, made.headers.get(name));
  const {id} = await made.json();
  const limit = made.headers.get("RateLimit");
  check(`the limit reads "name";r=..;t=.., not ${limit}`, /^"[a-z]+";r=\d+;t=\d+$/.test(limit));
  const first = await fetch(`${url}/v1/contacts/${id}`, {headers});
  const second = await fetch(`${url}/v1/contacts/${id}`, {headers: {...headers, "If-None-Match": first.headers.get("ETag")}, cache: "no-store"});
  check(`not modified, not ${second.status}`, second.status === 304);

  const leave = new AbortController();
  const events = await fetch(`${url}/v1/events?topics=contact`, {headers, signal: leave.signal});
  const reader = events.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  const until = async part => {
    while (!text.includes(part)) {
      const {done, value} = await reader.read();
      check(`the stream goes on to ${part}`, !done);
      text += value;
    }
  };
  await until("event: ready");
  await fetch(`${url}/v1/contacts/${id}`, {method: "PATCH", headers: {...headers, "Idempotency-Key": `${id}-seen`}, body: JSON.stringify({city: "Seen live"})});
  await until("Seen live");
  leave.abort();
}

// A browser's own session: a cookie that scripts cannot read, and a CSRF token for what changes something.
async function cookie(login, password) {
  const json = {"Content-Type": "application/json"};
  const signed = await (await fetch("/v1/sessions", {method: "POST", headers: json, body: JSON.stringify({login, password, cookie: true})})).json();
  check("no token for scripts", signed.csrf_token && !signed.access_token && !document.cookie.includes("crm_session"));
  const refused = await fetch("/v1/contacts", {method: "POST", headers: json, body: '{"given_name": "Eve"}'});
  check(`without the CSRF token it is refused, not ${refused.status}`, refused.status === 403);
  const transport = createConnectTransport({baseUrl: "/", interceptors: [next => request => {
    request.header.set("X-CSRF-Token", signed.csrf_token);
    return next(request);
  }]});
  await walk(transport, "cookie");
  await new Promise((resolve, reject) => {
    const source = new EventSource("/v1/events");
    source.addEventListener("ready", () => { source.close(); resolve(); });
    source.onerror = () => reject(new Error("EventSource failed"));
  });
  const out = await fetch("/v1/sessions/current", {method: "DELETE", headers: {"X-CSRF-Token": signed.csrf_token}});
  check(`signed out, not ${out.status}`, out.ok && (await fetch("/v1/session")).status === 401);
}

window.tests = {connect, official, rest, cookie};
