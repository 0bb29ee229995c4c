// Checks an OpenAPI document: the specification's own schema, and Redocly's recommended rules. Prints JSON.
import {readFileSync} from "node:fs";
import {Validator} from "@seriousme/openapi-schema-validator";
import {createConfig, lint} from "@redocly/openapi-core";

const file = process.argv[2];
const document = JSON.parse(readFileSync(file, "utf8"));
const result = await new Validator().validate(document);
const config = await createConfig({extends: ["recommended"]});
const problems = await lint({ref: file, config});
console.log(JSON.stringify({
  version: document.openapi,
  valid: result.valid,
  errors: result.errors ?? [],
  problems: problems.map(problem => ({severity: problem.severity, rule: problem.ruleId, message: problem.message,
                                      where: problem.location?.[0]?.pointer})),
  operations: Object.values(document.paths).flatMap(path => Object.values(path)).filter(one => one.operationId).length,
}));
