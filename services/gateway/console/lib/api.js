// The one place that speaks HTTP. Every screen calls get, post, patch or del; what it sends and gets is kept in `requests`
// for the inspector.
import { language } from "./i18n.js";
import { createStore } from "./store.js";

const TRIES = 3; // of what is safe to repeat: reads, and writes under one idempotency key
const FIRST_PAUSE_MS = 300;
const KEPT_REQUESTS = 200;
const KEPT_BODY = 200_000; // characters of an answer that the inspector keeps
const ACTION_MS = 1500; // a request this soon after a click was caused by it

// A refused call, as the API says it: see "Errors" in docs/FRONT_END.md.
export class ApiError extends Error {
  constructor(status, error, requestId) {
    super(error.message || `HTTP ${status}`);
    this.status = status;
    this.code = error.status ?? "";
    this.details = error.details ?? [];
    this.requestId = requestId;
  }
  get reason() {
    return this.info.reason ?? "";
  }
  get metadata() {
    return this.info.metadata ?? {};
  }
  get info() {
    return this.details.find((detail) => detail.reason) ?? {};
  }
  // [{field: "deal.amount", description: "..."}]: what a form shows beside its fields.
  get violations() {
    return this.details.flatMap((detail) => detail.field_violations ?? []);
  }
}

export const requests = createStore([]); // newest first
export const signedOut = createStore(0); // counts answers that say "sign in again"

let csrf = localStorage.getItem("crm.csrf") ?? "";
export const hasSession = () => csrf !== "";
export function keepCsrf(token) {
  csrf = token;
  if (token) localStorage.setItem("crm.csrf", token);
  else localStorage.removeItem("crm.csrf");
}

export const get = (path, query, options) => call("GET", path, { query, ...options });
export const post = (path, body = {}, options) => call("POST", path, { body, ...options });
export const patch = (path, body, options) => call("PATCH", path, { body, ...options });
export const del = (path, options) => call("DELETE", path, options);
// Bytes as they are: a part of a file.
export const putBytes = (path, bytes, options) => call("PUT", path, { bytes, ...options });

// `etag`: change it only if it is still this version. `key`: the same key makes the same write once, however often it is
// sent; without one, each call is a write of its own.
export async function call(method, path, { query, body, bytes, etag, key, signal } = {}) {
  const url = path + queryText(query);
  const headers = { Accept: "application/json", "Accept-Language": language.get() }; // texts for people come in the page's language
  const write = method !== "GET";
  if (body !== undefined) headers["Content-Type"] = "application/json";
  if (bytes) headers["Content-Type"] = "application/octet-stream";
  if (write) {
    headers["Idempotency-Key"] = key ?? newKey();
    headers["X-CSRF-Token"] = csrf; // beside the session's cookie, which no script can read
  }
  if (etag) headers["If-Match"] = `"${etag}"`;
  const text = body === undefined ? bytes : JSON.stringify(body);
  const entry = note({ method, url, headers, body: bytes ? undefined : path.startsWith("/v1/sessions") ? "{...}" : text, bytes: bytes?.size });

  for (let attempt = 1; ; attempt++) {
    const start = performance.now();
    let response;
    try {
      response = await fetch(url, { method, headers, body: text, signal, credentials: "same-origin" });
    } catch (error) {
      if (signal?.aborted) return drop(entry, error);
      update(entry, { status: 0, ms: performance.now() - start, answer: String(error), attempts: attempt });
      if (attempt < TRIES) {
        await pause(attempt);
        continue;
      }
      throw new ApiError(0, { message: "offline", status: "UNAVAILABLE" }, "");
    }
    const answer = await response.text();
    const requestId = response.headers.get("X-Request-Id") ?? "";
    update(entry, { status: response.status, ms: performance.now() - start, answer: answer.slice(0, KEPT_BODY), requestId, attempts: attempt });
    if (response.status === 503 && attempt < TRIES) {
      await pause(attempt);
      continue;
    }
    if (response.ok) return answer ? JSON.parse(answer) : null;
    const error = new ApiError(response.status, errorIn(answer), requestId);
    if (response.status === 401 && path !== "/v1/sessions") signedOut.set(signedOut.get() + 1);
    throw error;
  }
}

function errorIn(answer) {
  try {
    return JSON.parse(answer).error ?? {};
  } catch {
    return { message: answer.slice(0, 200) };
  }
}

const pause = (attempt) => new Promise((resolve) => setTimeout(resolve, FIRST_PAUSE_MS * 2 ** (attempt - 1)));

export function newKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

// {a: 1, b: ["x", "y"], c: undefined, d: {e: 2}} -> "?a=1&b=x&b=y&d.e=2"
export function queryText(query) {
  const parts = new URLSearchParams();
  const add = (name, value) => {
    if (value === undefined || value === null || value === "") return;
    if (Array.isArray(value)) value.forEach((one) => add(name, one));
    else if (typeof value === "object") Object.entries(value).forEach(([inner, one]) => add(`${name}.${inner}`, one));
    else parts.append(name, value);
  };
  Object.entries(query ?? {}).forEach(([name, value]) => add(name, value));
  const text = parts.toString();
  return text && `?${text}`;
}

// What the inspector shows: each request, under the click, key or drop that caused it.
let action = { text: "", at: -Infinity };
export function noteAction(text) {
  action = { text, at: performance.now() };
}
let lastId = 0;
function note(entry) {
  const cause = performance.now() - action.at < ACTION_MS ? action.text : "";
  const full = { id: ++lastId, time: Date.now(), status: null, ms: 0, answer: "", requestId: "", attempts: 1, cause, ...entry };
  requests.set([full, ...requests.get()].slice(0, KEPT_REQUESTS));
  return full.id;
}
export function noteStream(url) {
  return note({ method: "GET", url, headers: { Accept: "text/event-stream" }, stream: true });
}
export function update(id, change) {
  requests.set(requests.get().map((entry) => (entry.id === id ? { ...entry, ...change } : entry)));
}
function drop(id, error) {
  requests.set(requests.get().filter((entry) => entry.id !== id)); // nobody waits for it any more
  throw error;
}

// The same call for a shell. `tools/crm env` sets CRM_URL and CRM_TOKEN.
export function asCurl({ method, url, headers, body, bytes, stream }) {
  const quote = (text) => `'${text.replaceAll("'", "'\\''")}'`;
  const lines = [`curl -sS${stream ? "N" : ""}${method === "GET" ? "" : ` -X ${method}`} "$CRM_URL"${quote(url)}`];
  lines.push(`-H "Authorization: Bearer $CRM_TOKEN"`);
  for (const name of ["Accept-Language", "Content-Type", "Idempotency-Key", "If-Match"]) if (headers[name]) lines.push(`-H ${quote(`${name}: ${headers[name]}`)}`);
  if (body !== undefined) lines.push(`-d ${quote(body)}`);
  if (bytes) lines.push("--data-binary @FILE");
  return lines.join(" \\\n  ");
}
