// The files of a descriptor set that code is generated for: all but google/protobuf, which the runtime brings.
import {readFileSync} from "node:fs";
import {fromBinary} from "@bufbuild/protobuf";
import {FileDescriptorSetSchema} from "@bufbuild/protobuf/wkt";

const set = fromBinary(FileDescriptorSetSchema, readFileSync(process.argv[2]));
console.log(JSON.stringify(set.file.map(file => file.name).filter(name => !name.startsWith("google/protobuf/"))));
