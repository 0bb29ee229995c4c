// How a field's value is shown, by what the schema says of the field.
import { enumLabel } from "../lib/form.js";
import * as format from "../lib/format.js";
import { fieldOf, nameOf, stageOf } from "../lib/session.js";
import { t } from "../lib/i18n.js";

export function shown(object, name, value, refs = {}) {
  if (value === null || value === undefined || value === "" || (Array.isArray(value) && !value.length)) return "—";
  const field = fieldOf(object, name) ?? {};
  if (Array.isArray(value)) return value.map((one) => shownOne(field, one, refs)).join(", ");
  return shownOne(field, value, refs);
}

function shownOne(field, value, refs) {
  switch (field.type) {
    case "money":
      return format.money(value);
    case "date":
      return format.day(value);
    case "timestamp":
      return format.time(value);
    case "boolean":
      return value ? t("yes") : t("no");
    case "enum":
      return enumLabel(value) || "—";
    case "reference":
      return refs[value]?.title || nameOf(value) || stageOf(value)?.name || t("hidden"); // there, but not for this reader
    default:
      if (typeof value !== "object") return String(value);
      return value.number ?? value.address ?? value.handle ?? value.name ?? [value.street, value.city, value.country_code].filter(Boolean).join(", ");
  }
}
