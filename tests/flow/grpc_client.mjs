// Calls any rpc as another company's system would: with grpc-js and the descriptor set, nothing of ours. One JSON object a line:
//   {"n": 1, "address": "127.0.0.1:8043", "path": "/crm.contact.v1.ContactService/GetContact", "request": {"id": "..."},
//    "metadata": {"authorization": "Bearer ..."}, "ca": "ca.pem", "cert": "x.pem", "key": "x.key", "hex": "0a02"}
// `cert` and `key` may be absent; `hex` may stand instead of `request`. Answers, in any order:
//   {"n": 1, "code": "OK", "reply": {...}}   {"n": 1, "code": "NOT_FOUND", "message": "...", "metadata": {...}}
// argv: tools/npm/node_modules, descriptor set.
import {readFileSync} from 'node:fs';
import {createRequire} from 'node:module';
import {createInterface} from 'node:readline';
import {pathToFileURL} from 'node:url';

const [modules, descriptors] = process.argv.slice(2);
const require = createRequire(pathToFileURL(`${modules}/`));
const grpc = require('@grpc/grpc-js');
const {createFileRegistry, fromBinary, fromJson, toBinary, toJson} = require('@bufbuild/protobuf');
const {FileDescriptorSetSchema} = require('@bufbuild/protobuf/wkt');

const registry = createFileRegistry(fromBinary(FileDescriptorSetSchema, readFileSync(descriptors)));
const CODES = Object.fromEntries(Object.entries(grpc.status).filter(([, code]) => typeof code === 'number').map(([name, code]) => [code, name]));
const clients = new Map();

function clientOf({address, ca, cert, key, fresh}) {
  const name = JSON.stringify([address, ca, cert, key, fresh]);
  if (!clients.has(name)) {
    const read = (file) => (file ? readFileSync(file) : null);
    const credentials = grpc.credentials.createSsl(read(ca), read(key), read(cert));
    clients.set(name, new grpc.Client(address, credentials, {'grpc.enable_retries': 0}));
  }
  return clients.get(name);
}

function methodOf(path) {
  const [, service, name] = path.split('/');
  const found = registry.getService(service)?.methods.find((method) => method.name === name);
  if (found) return found;
  const empty = registry.getMessage('google.protobuf.Empty') ?? registry.getMessage('google.protobuf.Timestamp');
  return {input: empty, output: empty};
}

for await (const line of createInterface({input: process.stdin})) {
  const call = JSON.parse(line);
  const answer = (value) => process.stdout.write(JSON.stringify({n: call.n, ...value}) + '\n');
  try {
    const method = methodOf(call.path);
    const bytes = call.hex !== undefined ? Buffer.from(call.hex, 'hex')
      : Buffer.from(toBinary(method.input, fromJson(method.input, call.request ?? {}, {registry})));
    const metadata = new grpc.Metadata();
    for (const [name, value] of Object.entries(call.metadata ?? {})) for (const one of [value].flat()) metadata.add(name, one);
    clientOf(call).makeUnaryRequest(call.path, (x) => x, (x) => x, bytes, metadata, {deadline: Date.now() + (call.deadline_ms ?? 40000)}, (error, reply) => {
      if (error) answer({code: CODES[error.code], message: error.details, metadata: error.metadata?.getMap() ?? {}});
      else answer({code: 'OK', reply: toJson(method.output, fromBinary(method.output, reply), {registry, useProtoFieldName: true})});
    });
  } catch (error) {
    answer({code: 'NOT_SENT', message: String(error)});
  }
}
