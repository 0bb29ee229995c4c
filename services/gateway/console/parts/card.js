// What the cards of contacts, companies and deals have in common: a record that stays up to date, a panel of facts, the
// tabs with the timeline and the changes, and a box for notes.
import { get, newKey, post } from "../lib/api.js";
import { labelOf } from "../lib/form.js";
import { ago, clock, time } from "../lib/format.js";
import { t } from "../lib/i18n.js";
import { useLive } from "../lib/live.js";
import { linkTo } from "../lib/router.js";
import { may, nameOf, offers } from "../lib/session.js";
import { Avatar, Button, Choice, Empty, Icon, Loading, Problem, Text, failed, html, useLoad, useRef, useSoon, useState } from "../lib/ui.js";
import { EditForm } from "./edit.js";
import { Timeline } from "./timeline.js";
import { shown } from "./values.js";

// A record by its path, read again whenever it changes.
export function useRecord(path, expand) {
  const record = useLoad(() => get(path, { expand }), [path]);
  const id = path.split("/").pop();
  useLive([id.split("_")[0]], (event) => event.id === id && event.etag !== record.data?.etag && record.reload());
  return record;
}

export function Facts({ object, path, record, refs, fields, editable, onSaved }) {
  const [editing, setEditing] = useState(false);
  const can = record.access?.can?.includes("update");
  if (editing) return html`<section class="panel"><header><h2>${t("card.facts")}</h2></header><${EditForm} object=${object} path=${path} record=${record} fields=${editable} onClose=${() => setEditing(false)} onSaved=${(saved) => (setEditing(false), onSaved(saved))} /></section>`;
  return html`<section class="panel">
    <header><h2>${t("card.facts")}</h2>${can && html`<${Button} icon="edit" kind="quiet" onClick=${() => setEditing(true)}>${t("edit")}<//>`}</header>
    <dl class="facts">${fields.filter((name) => !isEmpty(record[name])).map((name) => {
      const value = record[name];
      const href = typeof value === "string" && refs[value] && linkTo(value);
      return html`<dt>${labelOf(name)}</dt><dd dir="auto">${href ? html`<a href=${href} dir="auto">${shown(object, name, value, refs)}</a>` : shown(object, name, value, refs)}</dd>`;
    })}</dl>
  </section>`;
}

const isEmpty = (value) => value === undefined || value === null || value === "" || value.length === 0 || (typeof value === "string" && value.endsWith("_UNSPECIFIED"));

export function Reach({ record }) {
  const phones = record.phones ?? [];
  const emails = record.emails ?? [];
  if (!phones.length && !emails.length) return null;
  return html`<ul class="reach">
    ${phones.map((one) => html`<li><a href=${`tel:${one.number}`}><${Icon} name="phone" /><bdi dir="ltr">${one.number}</bdi></a>${one.label && html`<small dir="auto">${one.label}</small>`}</li>`)}
    ${emails.map((one) => html`<li><a href=${`mailto:${one.address}`}><${Icon} name="mail" /><bdi dir="ltr">${one.address}</bdi></a>${one.label && html`<small dir="auto">${one.label}</small>`}</li>`)}
  </ul>`;
}

// Timeline and changes. `about`: {contact_id: "..."}: whose timeline; `id`, `path`: the record itself.
export function History({ about, id, path, object }) {
  const timeline = offers("/v1/activities");
  const [tab, setTab] = useState(timeline ? "timeline" : "changes");
  return html`<section class="panel history">
    <header>${timeline ? html`<${Choice} label=${t("card.history")} value=${tab} onValue=${setTab} options=${[["timeline", t("card.timeline")], ["changes", t("card.changes")]]} />` : html`<h2>${t("card.changes")}</h2>`}</header>
    ${tab === "timeline" && offers("/v1/notes") && may("note", "CREATE") && html`<${NoteBox} id=${id} />`}
    ${tab === "timeline" ? html`<${Timeline} about=${about} />` : html`<${Changes} path=${path} id=${id} object=${object} />`}
  </section>`;
}

function NoteBox({ id }) {
  const [text, setText] = useState("");
  const key = useRef(newKey());
  async function save(event) {
    event.preventDefault();
    const mine = text.trim();
    if (!mine) return;
    setText(""); // shown by the timeline when it is there; given back if it is refused
    try {
      await post("/v1/notes", { record_id: id, text: mine }, { key: key.current });
    } catch (error) {
      setText(mine);
      failed(error);
    }
    key.current = newKey();
  }
  return html`<form class="note-box" onSubmit=${save}>
    <${Text} lines=${2} value=${text} onValue=${setText} aria-label=${t("card.note")} placeholder=${t("card.note")} maxlength="10000" onKeyDown=${(event) => event.key === "Enter" && (event.ctrlKey || event.metaKey) && save(event)} />
    ${text && html`<${Button} kind="primary" type="submit">${t("save")}<//>`}
  </form>`;
}

// Who changed what from what to what: the record's revisions.
function Changes({ path, id, object }) {
  const list = useLoad(() => get(`${path}/revisions`, { page_size: 50 }), [path]);
  useLive([object], useSoon(list.reload, 500));
  if (list.error) return html`<${Problem} error=${list.error} onRetry=${list.reload} />`;
  if (!list.data) return html`<${Loading} />`;
  if (!list.data.revisions.length) return html`<${Empty} icon="clock" title=${t("card.no_changes")} />`;
  return html`<ol class="timeline" key=${id}>${list.data.revisions.map((one) => html`<li key=${one.etag} class="entry">
    <${Avatar} name=${nameOf(one.actor_id) || t("automation")} size="small" />
    <div><p><b dir="auto">${nameOf(one.actor_id) || t("automation")}</b> <time class="faint" title=${time(one.time)}>${ago(one.time)}, ${clock(one.time)}</time> <span class="faint">· ${t("card.version", { version: one.etag })}</span></p>
      ${one.changes.length === 0 ? html`<p>${t("card.made")}</p>` : html`<ul class="changes">${one.changes.map((change) => html`<li><span class="faint">${labelOf(change.field)}:</span> <s dir="auto">${shown(object, change.field, parse(change.old_value))}</s> <${Icon} name="move" flip /> <span dir="auto">${shown(object, change.field, parse(change.new_value))}</span></li>`)}</ul>`}
    </div></li>`)}</ol>`;
}

function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

