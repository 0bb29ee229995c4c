// Inputs made from what /v1/schema says of a field: a form needs no list of types of its own.
import { known, t } from "./i18n.js";
import { fieldOf, people, schema, session } from "./session.js";
import { search, titleOf } from "./search.js";
import { Field, Icon, Select, Text, html, useEffect, useRef, useState } from "./ui.js";
import { fromLocalInput, toLocalInput } from "./format.js";

const CURRENCIES = ["EUR", "USD", "RUB", "ILS", "GBP", "CHF", "PLN"];

export function labelOf(path) {
  const name = path.split(".").pop();
  return known(`field.${name}`) ? t(`field.${name}`) : name.replace(/_ids?$/, "").replaceAll("_", " ");
}

// One field of a record. `path`: "deal.amount" as field_violations name it.
export function SchemaField({ path, value, onValue, error, required, hint }) {
  const [object, ...rest] = path.split(".");
  const field = fieldOf(object, rest.join("."));
  return html`<${Field} label=${labelOf(path)} error=${error} required=${required ?? field?.required} hint=${hint}>
    ${(attributes) => html`<${Input} field=${field ?? { type: "text" }} name=${rest.join(".")} value=${value} onValue=${onValue} attributes=${attributes} />`}
  <//>`;
}

function Input({ field, name, value, onValue, attributes }) {
  switch (field.type) {
    case "money":
      return html`<${MoneyInput} value=${value} onValue=${onValue} attributes=${attributes} />`;
    case "date":
      return html`<input type="date" value=${value ?? ""} onInput=${(event) => onValue(event.target.value)} ...${attributes} />`;
    case "timestamp":
      return html`<input type="datetime-local" value=${value ? toLocalInput(new Date(value)) : ""} onInput=${(event) => onValue(fromLocalInput(event.target.value))} ...${attributes} />`;
    case "boolean":
      return html`<input type="checkbox" checked=${!!value} onChange=${(event) => onValue(event.target.checked)} ...${attributes} />`;
    case "enum":
      return html`<${EnumSelect} name=${field.enum} value=${value} onValue=${onValue} ...${attributes} />`;
    case "reference":
      if (field.ref?.includes("user")) return html`<${UserSelect} value=${value} onValue=${onValue} ...${attributes} />`;
      return html`<${RecordPicker} kinds=${(field.ref ?? []).filter((kind) => ["contact", "company", "deal"].includes(kind))} value=${value} onValue=${onValue} attributes=${attributes} />`;
    default:
      if (field.repeated) {
        return html`<${Text} value=${(value ?? []).join(", ")} onValue=${(text) => onValue(text.split(",").map((one) => one.trim()).filter(Boolean))} ...${attributes} />`;
      }
      return html`<${Text} value=${value} onValue=${onValue} lines=${(field.rules?.max_length ?? 0) > 1000 ? 3 : 0} maxlength=${field.rules?.max_length} name=${name} ...${attributes} />`;
  }
}

function MoneyInput({ value, onValue, attributes }) {
  const currency = value?.currency_code || session.get().currency_code;
  const change = (amount, code) => onValue(amount ? { amount: amount.replace(",", "."), currency_code: code } : null);
  const codes = CURRENCIES.includes(currency) ? CURRENCIES : [currency, ...CURRENCIES];
  return html`<div class="together">
    <input type="text" inputmode="decimal" dir="ltr" value=${value?.amount ?? ""} onInput=${(event) => change(event.target.value, currency)} ...${attributes} />
    <${Select} aria-label=${t("currency")} value=${currency} onValue=${(code) => change(value?.amount ?? "", code)} options=${codes.map((code) => [code, code])} />
  </div>`;
}

export function enumLabel(value) {
  if (!value || value.endsWith("_UNSPECIFIED")) return "";
  if (known(`enum.${value}`)) return t(`enum.${value}`);
  for (const one of Object.values(schema.get().enums)) {
    const found = one.values.find((each) => each.name === value);
    if (found) return found.label;
  }
  return value;
}

function EnumSelect({ name, value, onValue, ...rest }) {
  const values = schema.get().enums[name]?.values ?? [];
  return html`<${Select} value=${value ?? values[0]?.name} onValue=${onValue} ...${rest} options=${values.map((one) => [one.name, enumLabel(one.name) || "—"])} />`;
}

export function UserSelect({ value, onValue, empty = "—", ...rest }) {
  const all = [...people.get().values()].filter((user) => user.status !== "USER_STATUS_SUSPENDED" || user.id === value);
  return html`<${Select} value=${value ?? ""} onValue=${onValue} ...${rest} options=${[["", empty], ...all.map((user) => [user.id, user.display_name])]} />`;
}

const TYPING_MS = 200;
// A text field that finds records while one types: the combobox pattern of WAI-ARIA.
export function RecordPicker({ kinds, value, onValue, attributes = {}, placeholder }) {
  const [text, setText] = useState("");
  const [chosen, setChosen] = useState(null); // {id, title}
  const [hits, setHits] = useState(null);
  const [at, setAt] = useState(0);
  const asked = useRef(null);
  useEffect(() => {
    if (!value) return setChosen(null);
    if (chosen?.id === value) return undefined;
    let gone = false;
    titleOf(value).then((title) => gone || setChosen({ id: value, title }), () => gone || setChosen({ id: value, title: t("error.not_found") }));
    return () => (gone = true);
  }, [value]);
  useEffect(() => () => asked.current?.abort(), []);

  function type(next) {
    setText(next);
    asked.current?.abort();
    const control = (asked.current = new AbortController());
    if (next.trim().length < 2) return setHits(null);
    setTimeout(() => {
      if (control.signal.aborted) return;
      search(next.trim(), kinds, { signal: control.signal }).then((found) => (setHits(found), setAt(0)), () => {});
    }, TYPING_MS);
  }
  function choose(hit) {
    setChosen(hit);
    setText("");
    setHits(null);
    onValue(hit?.id ?? "");
  }
  function onKeyDown(event) {
    if (!hits?.length) return;
    if (event.key === "ArrowDown") setAt((at + 1) % hits.length);
    else if (event.key === "ArrowUp") setAt((at - 1 + hits.length) % hits.length);
    else if (event.key === "Enter") choose(hits[at]);
    else if (event.key === "Escape") setHits(null);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }
  if (chosen) {
    return html`<div class="picked"><span dir="auto">${chosen.title}</span>
      <button type="button" class="button quiet icon-only" id=${attributes.id} aria-label=${t("remove")} title=${t("remove")} onClick=${() => choose(null)}><${Icon} name="close" /></button></div>`;
  }
  const list = `${attributes.id ?? "pick"}-list`;
  return html`<div class="picker" onFocusOut=${(event) => event.currentTarget.contains(event.relatedTarget) || setHits(null)}>
    <input type="text" role="combobox" dir=${text ? "auto" : undefined} autocomplete="off" aria-expanded=${hits ? "true" : "false"} aria-controls=${list} aria-autocomplete="list"
      aria-activedescendant=${hits?.length ? `${list}-${at}` : undefined} placeholder=${placeholder ?? t("type_to_find")} value=${text}
      onInput=${(event) => type(event.target.value)} onKeyDown=${onKeyDown} ...${attributes} />
    ${hits && html`<ul class="hits" role="listbox" id=${list}>
      ${hits.length === 0 && html`<li class="faint">${t("search.nothing")}</li>`}
      ${hits.map((hit, index) => html`<li role="option" id=${`${list}-${index}`} aria-selected=${index === at ? "true" : "false"} onMouseDown=${(event) => (event.preventDefault(), choose(hit))}>
        <span dir="auto">${hit.title}</span>${hit.subtitle && html`<small dir="auto">${hit.subtitle}</small>`}</li>`)}
    </ul>`}
  </div>`;
}

// {"deal.amount": "must be ..."} from an error, for showing each beside its field; what names none of `paths` is for the top.
export function violationsOf(error, paths) {
  const fields = {};
  const others = [];
  for (const { field, description } of error?.violations ?? []) {
    const path = paths.find((one) => field === one || field.startsWith(`${one}.`) || one.endsWith(`.${field}`) || one === `${field}`);
    if (path) fields[path] = description;
    else others.push(description);
  }
  if (error && !error.violations.length) others.push(error.message);
  return { fields, others };
}
