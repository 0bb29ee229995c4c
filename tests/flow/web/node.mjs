// @connectrpc/connect-node against the gateway: Connect and gRPC-Web, bytes and JSON, packed and plain.
import {compressionGzip, createConnectTransport, createGrpcWebTransport} from "@connectrpc/connect-node";
import {bearer, refusals, walk, watch} from "./suite.mjs";

const [url, token] = process.argv.slice(2);
const base = {baseUrl: url, httpVersion: "1.1"};
const interceptors = [bearer(token)];
const forms = {
  "connect-bytes": options => createConnectTransport({...base, ...options, useBinaryFormat: true}),
  "connect-json": options => createConnectTransport({...base, ...options, useBinaryFormat: false}),
  "connect-get": options => createConnectTransport({...base, ...options, useBinaryFormat: false, useHttpGet: true}),
  "connect-packed": options => createConnectTransport({...base, ...options, useBinaryFormat: true, compressMinBytes: 1, sendCompression: compressionGzip}),
  "grpc-web-bytes": options => createGrpcWebTransport({...base, ...options, useBinaryFormat: true}),
  "grpc-web-json": options => createGrpcWebTransport({...base, ...options, useBinaryFormat: false}),
};
for (const [name, make] of Object.entries(forms)) {
  await walk(make({interceptors}), name);
  await watch(make({interceptors}));
  await refusals(make({}));
  console.log(`ok ${name}`);
}
process.exit(0);
