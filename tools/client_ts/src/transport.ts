// What every request gets: who asks, an idempotency key, what was written before, and another try where that is safe.
import { CrmError, pause } from "./errors.js";

export interface TransportOptions {
  /** Where the gateway is: "https://crm.example.com". In a page of the same site: "". */
  baseUrl: string;
  /** An access token or an API key; a function is asked for each request, and once more with `true` after a 401. */
  token?: string | ((renew: boolean) => string | Promise<string>);
  /** For browsers signed in by cookie: the `csrf_token` of the sign-in. */
  csrfToken?: string | (() => string | undefined);
  /** "ru", "he-IL": the language of labels and messages. */
  language?: string;
  /** An IANA zone, for `today()` in filters and for reports. */
  timeZone?: string;
  /** Tries after the first one; 3 if left out. */
  retries?: number;
  /** How long after a write reads of other services wait for it, in milliseconds; 5000 if left out, 0: never. */
  readYourWrites?: number;
  fetch?: typeof fetch;
}

const SAFE = new Set(["GET", "HEAD", "OPTIONS"]);
// Answers after which the same request may succeed: too many, overloaded or restarting, too late.
const AGAIN = new Set([429, 502, 503, 504]);
const DELAY_MAX = 20_000;

export class Transport {
  readonly #options: TransportOptions;
  readonly #fetch: typeof fetch;
  // Service -> when something was written there.
  readonly #written = new Map<string, number>();

  constructor(options: TransportOptions) {
    this.#options = options;
    this.#fetch = options.fetch ?? globalThis.fetch.bind(globalThis);
  }

  url(path: string): string {
    return this.#options.baseUrl.replace(/\/$/, "") + path;
  }

  /** fetch, with all that; answers whatever the last try answered. */
  readonly send = async (input: Request): Promise<Response> => {
    const request = this.#prepare(input);
    const { token } = this.#options;
    const asks = typeof token === "function" && !request.headers.has("Authorization") ? token : undefined;
    const last = this.#options.retries ?? 3;
    let refused = false;
    let renew = false;
    for (let attempt = 0; ; ++attempt) {
      let response: Response | undefined;
      let failure: unknown;
      try {
        // Within the try: what makes tokens may be away for the same moment.
        if (asks) request.headers.set("Authorization", `Bearer ${await asks(renew)}`);
        renew = false;
        response = await this.#fetch(request.clone());
      } catch (error) {
        if (request.signal.aborted) throw error;
        failure = error;
      }
      if (response?.status === 401 && asks && !refused) {
        refused = renew = true;
        continue;
      }
      if (response && !AGAIN.has(response.status)) {
        this.#remember(response);
        return response;
      }
      if (attempt >= last) {
        if (response) return response;
        throw new CrmError(`${request.url} does not answer: ${failure}`, 0, "UNAVAILABLE", "UNAVAILABLE");
      }
      await pause(await delayOf(response, attempt), request.signal);
    }
  };

  #prepare(input: Request): Request {
    const request = new Request(input, { headers: new Headers(input.headers) });
    const { headers } = request;
    const { token, csrfToken, language, timeZone } = this.#options;
    const set = (name: string, value: string | undefined) => {
      if (value && !headers.has(name)) headers.set(name, value);
    };
    if (typeof token === "string") set("Authorization", `Bearer ${token}`);
    set("Accept-Language", language);
    set("Crm-Time-Zone", timeZone);
    if (SAFE.has(request.method)) {
      set("Crm-After", this.#after());
    } else {
      // One key for all tries: the write is done once, whichever of them arrives.
      set("Idempotency-Key", newKey());
      set("X-CSRF-Token", typeof csrfToken === "function" ? csrfToken() : csrfToken);
    }
    return request;
  }

  #remember(response: Response): void {
    const service = response.ok ? response.headers.get("Crm-Position") : null;
    if (service) this.#written.set(service, Date.now());
  }

  #after(): string {
    const since = Date.now() - (this.#options.readYourWrites ?? 5000);
    for (const [service, time] of this.#written) {
      if (time <= since) this.#written.delete(service);
    }
    return [...this.#written.keys()].join(", ");
  }
}

/** Unlike any other. Node 18 and pages without https have no crypto.randomUUID. */
function newKey(): string {
  const crypto = globalThis.crypto as Crypto | undefined;
  if (crypto?.randomUUID) return crypto.randomUUID();
  const bytes = crypto?.getRandomValues?.(new Uint8Array(16)) ?? Uint8Array.from({ length: 16 }, () => Math.random() * 256);
  return Array.from(bytes, byte => byte.toString(16).padStart(2, "0")).join("");
}

/** As the answer says; else 0.2, 0.4, 0.8 s, with jitter so that clients do not come back all at once. */
async function delayOf(response: Response | undefined, attempt: number): Promise<number> {
  let told: number | undefined;
  if (response) {
    const error = CrmError.of(await response.clone().json().catch(() => undefined), response.status);
    const seconds = Number(response.headers.get("Retry-After") ?? Number.NaN);
    told = error.retryDelay ?? (Number.isFinite(seconds) ? seconds * 1000 : undefined);
  }
  return Math.min(DELAY_MAX, (told ?? 200 * 2 ** attempt) * (0.75 + Math.random() / 2));
}
