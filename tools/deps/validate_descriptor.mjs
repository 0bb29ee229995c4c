// Writes the descriptor of buf/validate/validate.proto, which no npm package holds as text, as a FileDescriptorSet.
// usage: node validate_descriptor.mjs <node_modules> <out.binpb>
import { writeFileSync } from "node:fs";
import { pathToFileURL } from "node:url";
import { resolve } from "node:path";

const [modules, out] = process.argv.slice(2);
const load = (path) => import(pathToFileURL(resolve(modules, path)));
const { file_buf_validate_validate } = await load("@bufbuild/protovalidate/dist/esm/gen/buf/validate/validate_pb.js");
const { create, toBinary } = await load("@bufbuild/protobuf/dist/esm/index.js");
const { FileDescriptorSetSchema } = await load("@bufbuild/protobuf/dist/esm/wkt/index.js");

const files = [];
const seen = new Set();
const visit = (file) => {
  if (seen.has(file.name)) return;
  seen.add(file.name);
  file.dependencies.forEach(visit);
  files.push(file.proto);
};
visit(file_buf_validate_validate);
writeFileSync(out, toBinary(FileDescriptorSetSchema, create(FileDescriptorSetSchema, { file: files })));
