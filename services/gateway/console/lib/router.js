// Addresses of screens: "#/deals/deal_01h...?owner=me". The server sees none of them.
import { createStore, useStore } from "./store.js";

function parse() {
  const [path, query = ""] = location.hash.replace(/^#\/?/, "").split("?");
  const [screen = "", id = ""] = path.split("/").map(decodeURIComponent);
  return { screen, id, query: Object.fromEntries(new URLSearchParams(query)) };
}

const route = createStore(parse());
addEventListener("hashchange", () => route.set(parse()));

export const useRoute = () => useStore(route);

export function link(screen, id = "", query = {}) {
  const text = new URLSearchParams(query).toString();
  return `#/${screen}${id ? `/${encodeURIComponent(id)}` : ""}${text ? `?${text}` : ""}`;
}
export function go(...place) {
  location.hash = link(...place);
}

// Where a record is shown, by the kind that its id begins with.
const SCREENS = { deal: "deals", contact: "contacts", company: "companies", lead: "leads", task: "today", conversation: "messages", message: "messages", user: "" };
export function linkTo(id) {
  const kind = (id ?? "").split("_")[0];
  if (!SCREENS[kind]) return null;
  return kind === "task" || kind === "message" ? link(SCREENS[kind]) : link(SCREENS[kind], id);
}
