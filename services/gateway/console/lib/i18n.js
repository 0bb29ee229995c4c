// Words of the page: one dictionary per language in lang/, all with the same keys (a test compares them).
import { createStore } from "./store.js";

export const LANGUAGES = { en: "English", ru: "Русский", he: "עברית" };
const RIGHT_TO_LEFT = new Set(["he"]);
const load = { en: () => import("../lang/en.js"), ru: () => import("../lang/ru.js"), he: () => import("../lang/he.js") };

export const language = createStore("en");
let words = {};
let plurals = new Intl.PluralRules("en");

export async function setLanguage(code, keep = true) {
  const known = LANGUAGES[code] ? code : "en";
  words = (await load[known]()).default;
  plurals = new Intl.PluralRules(known);
  document.documentElement.lang = known;
  document.documentElement.dir = RIGHT_TO_LEFT.has(known) ? "rtl" : "ltr";
  if (keep) localStorage.setItem("crm.language", known);
  language.set(known);
}

export function startLanguage() {
  const wished = localStorage.getItem("crm.language") ?? navigator.languages.map((one) => one.slice(0, 2)).find((one) => LANGUAGES[one]) ?? "en";
  return setLanguage(wished, false);
}

export const isRtl = () => document.documentElement.dir === "rtl";

// t("board.moved", {title, stage}). A word that depends on a number is {one, few, many, other} and gets it as `count`.
export function t(key, values = {}) {
  let text = words[key] ?? key;
  if (typeof text === "object") text = text[plurals.select(values.count ?? 0)] ?? text.other;
  return text.replace(/\{(\w+)\}/g, (_, name) => values[name] ?? "");
}

export const known = (key) => key in words;
