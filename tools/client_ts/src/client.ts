// The whole API, typed. `crm.api` is openapi-fetch over every path; `crm.get(...)` and its like throw CrmError instead of answering
// it; `crm.events(...)` and `crm.watch(...)` are live.
import createClient, { type Client } from "openapi-fetch";
import { CrmError } from "./errors.js";
import { follow, type LiveEvent, type StreamOptions } from "./live.js";
import type { paths } from "./schema.js";
import { Transport, type TransportOptions } from "./transport.js";

export type CrmOptions = TransportOptions;

type Answer<T> = { data?: T; error?: unknown; response: Response };

/** Paths whose GET answers a stream of messages, and what they are. */
type Streams = {
  [Path in keyof paths as paths[Path] extends { get: { responses: { 200: { content: { "text/event-stream": unknown } } } } } ? Path : never]:
    paths[Path] extends { get: { responses: { 200: { content: { "text/event-stream": infer Message } } } } } ? Message : never;
};
type QueryOf<Path> = Path extends keyof paths ? (paths[Path] extends { get: { parameters: { query?: infer Query } } } ? Query : never) : never;

export interface Crm {
  /** openapi-fetch: `await crm.api.GET("/v1/contacts/{id}", {params: {path: {id}}})` answers `{data, error, response}`. */
  readonly api: Client<paths>;
  /** The data of an answer of `api`; throws CrmError if it was refused: `const contact = await crm.need(crm.api.GET(...))`. */
  need<T>(answer: Promise<Answer<T>>): Promise<T>;
  /** Every item of a list, page by page: `for await (const deal of crm.all(token => crm.api.GET("/v1/deals", {params: {query: {page_token: token}}}), "deals"))`. */
  all<Name extends string, Item>(page: (token: string) => Promise<Answer<{ [Key in Name]: Item[] } & { next_page_token: string }>>, items: Name): AsyncGenerator<Item>;
  /** Everything that happens to these kinds of records (none: to all), resumed when it is cut. */
  events(topics?: readonly string[], options?: StreamOptions): AsyncGenerator<LiveEvent>;
  /** A streaming path, e.g. a report that is sent anew with each change: `crm.watch("/v1/reports/revenue:watch", {group_by: "GROUP_BY_MONTH"})`. */
  watch<Path extends keyof Streams & string>(path: Path, query?: QueryOf<Path>, options?: StreamOptions): AsyncGenerator<Streams[Path]>;
}

export function createCrm(options: CrmOptions): Crm {
  const transport = new Transport(options);
  const base = options.baseUrl.replace(/\/$/, "");
  const api = createClient<paths>({ baseUrl: base, fetch: transport.send });

  async function need<T>(answer: Promise<Answer<T>>): Promise<T> {
    const { data, error, response } = await answer;
    if (!response.ok || data === undefined) throw CrmError.of(error, response.status, response.headers.get("X-Request-Id") ?? "");
    return data;
  }

  return {
    api,
    need,
    async *all(page, items) {
      let token = "";
      do {
        const answer = await need(page(token));
        yield* answer[items];
        token = answer.next_page_token;
      } while (token);
    },
    events(topics = [], more = {}) {
      const query = topics.length > 0 ? `?topics=${topics.map(encodeURIComponent).join(",")}` : "";
      return follow<LiveEvent>(transport, `/v1/events${query}`, more);
    },
    watch(path, query, more = {}) {
      const parameters = new URLSearchParams();
      for (const [name, value] of Object.entries((query ?? {}) as Record<string, unknown>)) {
        for (const one of Array.isArray(value) ? value : [value]) {
          if (one !== undefined && one !== null) parameters.append(name, String(one));
        }
      }
      const text = parameters.toString();
      return follow(transport, path + (text ? `?${text}` : ""), more);
    },
  };
}
