// Numbers, money, days and times as the reader's language and the user's time zone write them.
import { language } from "./i18n.js";
import { session } from "./session.js";

const cache = new Map();
function formatter(kind, options) {
  const key = `${kind.name}|${language.get()}|${JSON.stringify(options)}`;
  if (!cache.has(key)) cache.set(key, new kind(language.get(), options));
  return cache.get(key);
}
const inZone = (options) => ({ ...options, timeZone: session.get()?.time_zone || undefined });

// {"amount": "1234.50", "currency_code": "EUR"}: formatted from its text, never as a float.
export function money(value, { short = false } = {}) {
  if (!value?.amount) return "";
  const digits = short ? { maximumFractionDigits: 1, notation: "compact" } : { minimumFractionDigits: /\.0*$|^[^.]*$/.test(value.amount) ? 0 : 2, maximumFractionDigits: 2 };
  return formatter(Intl.NumberFormat, { style: "currency", currency: value.currency_code || "XXX", currencyDisplay: "narrowSymbol", ...digits }).format(value.amount);
}
// One sum per currency, as boards and reports answer them.
export const sums = (values, options) => (values ?? []).map((value) => money(value, options)).join(" + ");

export const number = (value) => formatter(Intl.NumberFormat, {}).format(value);
export const percent = (text) => (text === "" || text === undefined ? "" : formatter(Intl.NumberFormat, { style: "percent", maximumFractionDigits: 1 }).format(Number(text) / 100));

export const time = (text) => (text ? formatter(Intl.DateTimeFormat, inZone({ dateStyle: "medium", timeStyle: "short" })).format(new Date(text)) : "");
export const clock = (text) => (text ? formatter(Intl.DateTimeFormat, inZone({ timeStyle: "short" })).format(new Date(text)) : "");
// The day of a moment in the user's zone, for comparing.
export const dayKey = (text) => new Intl.DateTimeFormat("en-CA", inZone({ dateStyle: "short" })).format(new Date(text));
export const longDay = (text) => formatter(Intl.DateTimeFormat, inZone({ weekday: "long", day: "numeric", month: "long" })).format(new Date(text));
// A calendar day, "2026-11-23": it has no zone.
export const day = (text) => (text ? formatter(Intl.DateTimeFormat, { dateStyle: "medium", timeZone: "UTC" }).format(new Date(`${text}T00:00:00Z`)) : "");
export const shortDay = (text) => formatter(Intl.DateTimeFormat, { day: "numeric", month: "short", timeZone: "UTC" }).format(new Date(`${text}T00:00:00Z`));
// A month or year as reports key them: "2026-11", "2026-Q4", "2026".
export function periodKey(key) {
  if (!/^\d{4}-\d{2}$/.test(key)) return key;
  return formatter(Intl.DateTimeFormat, { month: "short", year: "2-digit", timeZone: "UTC" }).format(new Date(`${key}-01T00:00:00Z`)).replace(/\sг\.$/, ""); // no room for the word "year"
}

export function bytes(count) {
  const large = count >= 1e6;
  return formatter(Intl.NumberFormat, { style: "unit", unit: large ? "megabyte" : "kilobyte", maximumFractionDigits: 1 }).format(count / (large ? 1e6 : 1e3));
}

const STEPS = [["minute", 60], ["hour", 3600], ["day", 86400], ["month", 2629800], ["year", 31557600]];
export function ago(text) {
  if (!text) return "";
  const seconds = (new Date(text) - Date.now()) / 1000;
  let [unit, size] = ["second", 1];
  for (const [name, length] of STEPS) if (Math.abs(seconds) >= length) [unit, size] = [name, length];
  return formatter(Intl.RelativeTimeFormat, { numeric: "auto", style: "short" }).format(unit === "second" ? 0 : Math.trunc(seconds / size), unit);
}

export function duration(seconds) {
  const [unit, size] = seconds >= 86400 ? ["day", 86400] : seconds >= 3600 ? ["hour", 3600] : ["minute", 60];
  return formatter(Intl.NumberFormat, { style: "unit", unit, maximumFractionDigits: 1 }).format(seconds / size);
}

// Exact sums of decimal texts, for counting a moved card in and out before the server answers.
const SCALE = 6;
function units(text) {
  const [whole, part = ""] = text.replace("-", "").split(".");
  const value = BigInt(whole + part.padEnd(SCALE, "0").slice(0, SCALE));
  return text.startsWith("-") ? -value : value;
}
export function addMoney(all, money, sign) {
  if (!money?.amount) return all;
  const same = all.find((one) => one.currency_code === money.currency_code);
  const total = units(same?.amount ?? "0") + BigInt(sign) * units(money.amount);
  const digits = String(total < 0n ? -total : total).padStart(SCALE + 1, "0");
  const amount = `${total < 0n ? "-" : ""}${digits.slice(0, -SCALE)}.${digits.slice(-SCALE)}`.replace(/\.?0+$/, "");
  const changed = { amount, currency_code: money.currency_code };
  return same ? all.map((one) => (one === same ? changed : one)) : [...all, changed];
}

// A moment for <input type="datetime-local">, in the browser's zone, and back.
export function toLocalInput(date) {
  const shifted = new Date(date.getTime() - date.getTimezoneOffset() * 60000);
  return shifted.toISOString().slice(0, 16);
}
export const fromLocalInput = (text) => (text ? new Date(text).toISOString() : null);
