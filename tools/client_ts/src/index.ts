export { createCrm, type Crm, type CrmOptions } from "./client.js";
export { CrmError, type Violation } from "./errors.js";
export type { LiveEvent, StreamOptions } from "./live.js";
export type { components, operations, paths } from "./schema.js";
import type { components } from "./schema.js";
/** A record or message by its name: `Schema<"Contact">`. */
export type Schema<Name extends keyof components["schemas"]> = components["schemas"][Name];
