// A form over some fields of a record that others may change meanwhile: it sends only what was changed, with the version
// that was read, and shows both sides when somebody was faster.
import { get, newKey, patch } from "../lib/api.js";
import { SchemaField, labelOf, violationsOf } from "../lib/form.js";
import { t } from "../lib/i18n.js";
import { Button, html, useRef, useState } from "../lib/ui.js";
import { shown } from "./values.js";

const same = (a, b) => JSON.stringify(a ?? "") === JSON.stringify(b ?? "");

// `object`: "deal"; `path`: "/v1/deals/deal_..."; `fields`: names. Calls onSaved(record) or onClose().
export function EditForm({ object, path, record, fields, onSaved, onClose }) {
  const [base, setBase] = useState(record);
  const [mine, setMine] = useState({});
  const [theirs, setTheirs] = useState(null);
  const [error, setError] = useState(null);
  const [busy, setBusy] = useState(false);
  const key = useRef(newKey());
  const paths = fields.map((name) => `${object}.${name}`);
  const wrong = violationsOf(error, paths);
  const changed = Object.fromEntries(Object.entries(mine).filter(([name, value]) => !same(value, base[name])));

  function change(name, value) {
    key.current = newKey(); // another content is another write
    setMine({ ...mine, [name]: value });
  }
  async function save(version) {
    if (!Object.keys(changed).length) return onClose();
    setBusy(true);
    setError(null);
    try {
      onSaved(await patch(path, changed, { etag: version, key: key.current }));
    } catch (refused) {
      if (refused.reason === "ETAG_MISMATCH") setTheirs(await get(path).catch(() => null));
      else setError(refused);
      setBusy(false);
    }
  }
  function takeTheirs(keepMine) {
    setBase(theirs);
    setTheirs(null);
    key.current = newKey();
    if (keepMine) save(theirs.etag);
    else setMine({});
  }
  if (theirs) {
    const both = Object.keys(changed).filter((name) => !same(theirs[name], base[name]) && !same(theirs[name], changed[name]));
    return html`<div class="conflict" role="alertdialog" aria-labelledby="conflict-title">
      <h3 id="conflict-title">${t("conflict.title")}</h3>
      <p>${both.length ? t("conflict.both") : t("conflict.apart")}</p>
      <table class="plain">
        <thead><tr><th>${t("conflict.field")}</th><th>${t("conflict.theirs")}</th><th>${t("conflict.yours")}</th></tr></thead>
        <tbody>${Object.keys(changed).map((name) => html`<tr><th>${labelOf(name)}</th><td dir="auto">${shown(object, name, theirs[name])}</td><td dir="auto">${shown(object, name, changed[name])}</td></tr>`)}</tbody>
      </table>
      <p class="faint">${t("conflict.version", { version: theirs.etag })}</p>
      <div class="buttons"><${Button} kind="primary" onClick=${() => takeTheirs(true)}>${t("conflict.save_mine")}<//><${Button} onClick=${() => takeTheirs(false)}>${t("conflict.keep_theirs")}<//></div>
    </div>`;
  }
  return html`<form class="form" onSubmit=${(event) => (event.preventDefault(), save(base.etag))}>
    ${wrong.others.map((text) => html`<p class="form-error" role="alert" dir="auto">${text}</p>`)}
    ${fields.map((name) => html`<${SchemaField} key=${name} path=${`${object}.${name}`} value=${name in mine ? mine[name] : base[name]} error=${wrong.fields[`${object}.${name}`]} onValue=${(value) => change(name, value)} />`)}
    <div class="buttons"><${Button} kind="primary" type="submit" disabled=${busy}>${t("save")}<//><${Button} onClick=${onClose}>${t("cancel")}<//></div>
  </form>`;
}
