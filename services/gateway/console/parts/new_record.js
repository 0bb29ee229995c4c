// A form for a new record, made from the schema.
import { newKey, post } from "../lib/api.js";
import { SchemaField, violationsOf } from "../lib/form.js";
import { t } from "../lib/i18n.js";
import { Button, Dialog, html, useRef, useState } from "../lib/ui.js";

// `fields`: names; `start`: values from the beginning; `shape(values)` makes the body of what was filled in.
export function NewRecord({ object, path, title, fields, start = {}, shape = (values) => values, onMade, onClose }) {
  const [values, setValues] = useState(start);
  const [error, setError] = useState(null);
  const [busy, setBusy] = useState(false);
  const key = useRef(newKey()); // a double click makes one record
  const paths = fields.map((name) => `${object}.${name}`);
  const wrong = violationsOf(error, paths);
  async function submit(event) {
    event.preventDefault();
    setBusy(true);
    try {
      onMade(await post(path, shape(Object.fromEntries(Object.entries(values).filter(([, value]) => value !== null && value !== ""))), { key: key.current }));
    } catch (refused) {
      setError(refused);
      key.current = newKey();
      setBusy(false);
    }
  }
  return html`<${Dialog} title=${title} onClose=${onClose}><form class="form" onSubmit=${submit}>
    ${wrong.others.map((text) => html`<p class="form-error" role="alert" dir="auto">${text}</p>`)}
    ${fields.map((name) => html`<${SchemaField} key=${name} path=${`${object}.${name}`} value=${values[name]} error=${wrong.fields[`${object}.${name}`]} onValue=${(value) => setValues({ ...values, [name]: value })} />`)}
    <div class="buttons"><${Button} kind="primary" type="submit" disabled=${busy}>${t("create")}<//><${Button} onClick=${onClose}>${t("cancel")}<//></div>
  </form><//>`;
}
