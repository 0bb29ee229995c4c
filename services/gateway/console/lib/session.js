// Who is signed in, what they may do, and the small lists that every screen needs: colleagues and pipelines.
import { del, get, hasSession, keepCsrf, post, signedOut } from "./api.js";
import { setLanguage } from "./i18n.js";
import { startLive } from "./live.js";
import { createStore } from "./store.js";

export const session = createStore(undefined); // undefined: not known yet; null: signed out
export const people = createStore(new Map());
export const pipelines = createStore([]);
export const schema = createStore({ objects: [], enums: {}, routes: [] });

const TOPICS = ["deal", "lead", "contact", "company", "note", "activity", "task", "notification", "conversation", "message", "report"];
let stopLive = () => {};

signedOut.subscribe(() => leave());

export async function resume() {
  if (!hasSession()) return session.set(null);
  try {
    await enter();
  } catch (error) {
    if (error.status !== 401) throw error;
  }
}

export async function signIn(login, password) {
  const answer = await post("/v1/sessions", { login, password, cookie: true, device: "console" });
  keepCsrf(answer.csrf_token);
  await enter();
}

export async function signOut() {
  await del("/v1/sessions/current").catch(() => {}); // gone already is as good
  leave();
}

async function enter() {
  const [me, described, users, lines] = await Promise.all([
    get("/v1/session"),
    get("/v1/schema"),
    get("/v1/users", { page_size: 500, order_by: "display_name" }),
    get("/v1/pipelines"),
  ]);
  schema.set(described);
  people.set(new Map(users.users.map((user) => [user.id, user])));
  pipelines.set(lines.pipelines);
  if (!localStorage.getItem("crm.language")) await setLanguage(me.language, false);
  stopLive();
  stopLive = startLive(TOPICS.filter(has));
  session.set(me);
}

function leave() {
  stopLive();
  stopLive = () => {};
  keepCsrf("");
  session.set(null);
}

// Whether the system behind this address offers a path, or knows a kind of record: a part may not be installed.
export const offers = (path) => schema.get().routes.some((route) => route.path === path);
export const has = (object) => schema.get().objects.some((one) => one.type === object);

// Whether the user's roles grant a right to any records. For one record, its `access.can` says it exactly.
export const may = (object, action) =>
  (session.get()?.grants ?? []).some((grant) => (grant.object === object || grant.object === "*") && grant.action === `ACTION_${action}`);

// How widely: "SCOPE_OWN", "SCOPE_TEAM", "SCOPE_ALL" or "".
export function scope(object) {
  const order = ["", "SCOPE_OWN", "SCOPE_TEAM", "SCOPE_ALL"];
  return (session.get()?.grants ?? [])
    .filter((grant) => (grant.object === object || grant.object === "*") && grant.action === "ACTION_READ")
    .reduce((best, grant) => (order.indexOf(grant.scope) > order.indexOf(best) ? grant.scope : best), "");
}

export const nameOf = (userId) => people.get().get(userId)?.display_name ?? "";
export const stageOf = (stageId) => pipelines.get().flatMap((pipeline) => pipeline.stages).find((stage) => stage.id === stageId);
export const fieldOf = (object, path) => {
  let fields = schema.get().objects.find((one) => one.type === object)?.fields ?? [];
  let found;
  for (const name of path.split(".")) {
    found = fields.find((field) => field.name === name);
    fields = found?.fields ?? [];
  }
  return found;
};
