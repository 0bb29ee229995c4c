// Moving a deal to another stage, with all that can come in between: a reason for a lost one, fields that the stage asks
// for, and somebody else who was faster. The board and the deal's card share it.
import { get, newKey, patch, post } from "../lib/api.js";
import { SchemaField, violationsOf } from "../lib/form.js";
import { ago } from "../lib/format.js";
import { t } from "../lib/i18n.js";
import { nameOf, pipelines, stageOf } from "../lib/session.js";
import { Button, Dialog, Field, Select, Text, failed, html, toast, useState } from "../lib/ui.js";

// `show(deal, stageId)` draws the move at once; `settle(deal)` is called with the deal as it is in the end, moved or not.
// What it answers must be drawn: {start(deal, stageId), dialog}.
export function useMove({ show, settle }) {
  const [question, setQuestion] = useState(null); // {kind, deal, stageId, ...}

  function start(deal, stageId) {
    if (deal.stage_id === stageId) return;
    const reasons = pipelines.get().find((one) => one.id === deal.pipeline_id)?.lost_reasons ?? [];
    if (stageOf(stageId)?.kind === "STAGE_KIND_LOST" && reasons.length) setQuestion({ kind: "lost", deal, stageId, reasons });
    else send(deal, stageId, {});
  }

  async function send(deal, stageId, more, key = newKey()) {
    setQuestion(null);
    show(deal, stageId);
    try {
      const moved = await post(`/v1/deals/${deal.id}:move`, { stage_id: stageId, etag: deal.etag, ...more }, { key });
      settle(moved);
      toast(t("board.moved", { title: moved.title, stage: stageOf(stageId)?.name }));
    } catch (error) {
      settle(deal); // back to where it was
      if (error.reason === "ETAG_MISMATCH") {
        const [now, history] = await Promise.all([get(`/v1/deals/${deal.id}`), get(`/v1/deals/${deal.id}/revisions`, { page_size: 1 })]).catch(() => [deal, { revisions: [] }]);
        settle(now);
        setQuestion({ kind: "conflict", deal: now, stageId, more, last: history.revisions[0] });
      } else if (error.reason === "FIELDS_REQUIRED") {
        setQuestion({ kind: "fields", deal, stageId, more, error });
      } else failed(error);
    }
  }

  const close = () => setQuestion(null);
  const dialogs = { lost: Lost, fields: Missing, conflict: Conflict };
  return { start, dialog: question && html`<${dialogs[question.kind]} ...${question} send=${send} settle=${settle} onClose=${close} />` };
}

function Lost({ deal, stageId, reasons, send, onClose }) {
  const [reason, setReason] = useState(reasons[0]);
  return html`<${Dialog} title=${t("move.lost_title", { title: deal.title })} onClose=${onClose}>
    <form class="form" onSubmit=${(event) => (event.preventDefault(), send(deal, stageId, { lost_reason: reason }))}>
      <${Field} label=${t("field.lost_reason")}>${(attributes) => html`<${Select} value=${reason} onValue=${setReason} options=${reasons.map((one) => [one, one])} ...${attributes} />`}<//>
      <div class="buttons"><${Button} kind="primary" type="submit">${t("move.to", { stage: stageOf(stageId).name })}<//><${Button} onClick=${onClose}>${t("cancel")}<//></div>
    </form>
  <//>`;
}

// The stage asks for fields that are empty: the error names them, and this form has exactly these.
function Missing({ deal, stageId, more, error, send, settle, onClose }) {
  const paths = [...new Set(error.violations.map(({ field }) => (field.startsWith("deal.") ? field : `deal.${field}`)))];
  const [values, setValues] = useState({});
  const [refused, setRefused] = useState(null);
  const wrong = violationsOf(refused, paths);
  async function save(event) {
    event.preventDefault();
    try {
      const changed = await patch(`/v1/deals/${deal.id}`, Object.fromEntries(paths.map((path) => [path.split(".")[1], values[path] ?? null])), { etag: deal.etag });
      settle(changed);
      await send(changed, stageId, more);
    } catch (again) {
      setRefused(again);
    }
  }
  return html`<${Dialog} title=${t("move.fields_title", { stage: stageOf(stageId).name })} onClose=${onClose}>
    <form class="form" onSubmit=${save}>
      <p class="faint" dir="auto">${t("move.fields_text", { title: deal.title })}</p>
      ${wrong.others.map((text) => html`<p class="form-error" role="alert" dir="auto">${text}</p>`)}
      ${paths.map((path) => html`<${SchemaField} key=${path} path=${path} required value=${values[path]} error=${wrong.fields[path]} onValue=${(value) => setValues({ ...values, [path]: value })} />`)}
      <div class="buttons"><${Button} kind="primary" type="submit">${t("move.save_and_move")}<//><${Button} onClick=${onClose}>${t("cancel")}<//></div>
    </form>
  <//>`;
}

function Conflict({ deal, stageId, more, last, send, onClose }) {
  return html`<${Dialog} title=${t("conflict.title")} class="conflict" onClose=${onClose}>
    <p>${t("conflict.deal", { title: deal.title, who: nameOf(last?.actor_id) || t("somebody"), when: ago(last?.time) })}</p>
    <dl class="facts">
      <dt>${t("conflict.stage_now")}</dt><dd dir="auto">${stageOf(deal.stage_id)?.name}</dd>
      <dt>${t("conflict.your_move")}</dt><dd dir="auto">${stageOf(stageId)?.name}</dd>
      <dt>${t("conflict.current_version")}</dt><dd>${deal.etag}</dd>
    </dl>
    <div class="buttons">
      ${deal.stage_id !== stageId && html`<${Button} kind="primary" onClick=${() => send(deal, stageId, more)}>${t("conflict.move_anyway")}<//>`}
      <${Button} onClick=${onClose}>${t("conflict.keep_theirs")}<//>
    </div>
  <//>`;
}

// For dialogs that ask for one line of text.
export function AskText({ title, label, action, onText, onClose, lines = 3, required = true }) {
  const [text, setText] = useState("");
  const [error, setError] = useState(null);
  const [busy, setBusy] = useState(false);
  async function submit(event) {
    event.preventDefault();
    setBusy(true);
    try {
      await onText(text.trim());
      onClose();
    } catch (refused) {
      setError(refused);
      setBusy(false);
    }
  }
  return html`<${Dialog} title=${title} onClose=${onClose}><form class="form" onSubmit=${submit}>
    <${Field} label=${label} error=${error?.message} required=${required}>${(attributes) => html`<${Text} lines=${lines} value=${text} onValue=${setText} required=${required} ...${attributes} />`}<//>
    <div class="buttons"><${Button} kind="primary" type="submit" disabled=${busy}>${action}<//><${Button} onClick=${onClose}>${t("cancel")}<//></div>
  </form><//>`;
}
