// The card of a deal: its way through the stages, what is sold, who takes part, what happened.
import { get } from "../lib/api.js";
import { duration, money, number } from "../lib/format.js";
import { t } from "../lib/i18n.js";
import { useLive } from "../lib/live.js";
import { link } from "../lib/router.js";
import { offers, pipelines, stageOf } from "../lib/session.js";
import { Icon, Loading, Problem, classes, html, useLoad, useSoon } from "../lib/ui.js";
import { Facts, History, useRecord } from "../parts/card.js";
import { useMove } from "../parts/move.js";
import { TaskPanel } from "../parts/tasks.js";
import { Touch } from "./contact.js";

const FACTS = ["amount", "contact_id", "company_id", "owner_id", "expected_close_date", "source", "lost_reason", "tags", "note", "create_time"];
const EDITABLE = ["title", "amount", "contact_id", "company_id", "owner_id", "expected_close_date", "source", "tags", "note"];

export function DealCard({ id }) {
  const path = `/v1/deals/${id}`;
  const deal = useRecord(path, "contact,company,lines.product");
  const moving = useMove({
    show: (_, stageId) => deal.setData((old) => ({ ...old, stage_id: stageId })),
    settle: (now) => deal.setData((old) => ({ ...now, refs: old.refs, access: now.access ?? old.access })),
  });
  if (deal.error) return html`<${Problem} error=${deal.error} onRetry=${deal.reload} />`;
  if (!deal.data) return html`<${Loading} rows=${8} />`;
  const one = deal.data;
  const refs = one.refs ?? {};
  const stages = pipelines.get().find((pipeline) => pipeline.id === one.pipeline_id)?.stages ?? [];
  const can = one.access?.can?.includes("update");
  const at = stages.findIndex((stage) => stage.id === one.stage_id);
  const fields = one.lines.length ? EDITABLE.filter((name) => name !== "amount") : EDITABLE; // with lines the amount is their sum
  return html`<div class="screen card-screen">
    <header class="card-head">
      <a class="button quiet icon-only" href=${link("deals")} aria-label=${t("back")}><${Icon} name="back" flip /></a>
      <div class="card-title-block"><h1 dir="auto">${one.title}</h1><p class="faint" dir="auto">${[one.number, refs[one.company_id]?.title, refs[one.contact_id]?.title].filter(Boolean).join(" · ")}</p></div>
      <span class="grow" />
      <span class="amount big">${money(one.amount)}</span>
    </header>
    <ol class="stages" aria-label=${t("field.stage_id")}>${stages.map((stage, index) => html`<li key=${stage.id}>
      <button type="button" class=${classes("stage", stage.kind.replace("STAGE_KIND_", "").toLowerCase(), stage.id === one.stage_id && "now", index < at && stageOf(one.stage_id).kind !== "STAGE_KIND_LOST" && "done")} aria-current=${stage.id === one.stage_id ? "step" : undefined} disabled=${!can || stage.id === one.stage_id} onClick=${() => moving.start(one, stage.id)}><span dir="auto">${stage.name}</span></button></li>`)}</ol>
    <${Touch} record=${one} />
    <div class="card-columns">
      <div class="card-side">
        <${Facts} object="deal" path=${path} record=${one} refs=${refs} fields=${FACTS.filter((name) => name !== "lost_reason" || one.lost_reason)} editable=${fields} onSaved=${deal.reload} />
        ${one.lines.length > 0 && html`<${Lines} deal=${one} />`}
        ${offers("/v1/tasks:today") && html`<${TaskPanel} about=${{ deal_id: id, contact_id: one.contact_id }} filter=${`deal_id = "${id}"`} />`}
        <${Visits} id=${id} etag=${one.etag} />
      </div>
      <${History} about=${{ deal_id: id }} id=${id} path=${path} object="deal" />
    </div>
    ${moving.dialog}
  </div>`;
}

function Lines({ deal }) {
  return html`<section class="panel"><header><h2>${t("deal.lines")}</h2></header>
    <table class="plain lines"><thead><tr><th>${t("field.name")}</th><th class="end">${t("field.quantity")}</th><th class="end">${t("field.unit_price")}</th><th class="end">${t("deal.total")}</th></tr></thead>
    <tbody>${deal.lines.map((line) => html`<tr><td dir="auto">${line.name}${line.discount_percent && html`<small> −${line.discount_percent} %</small>`}</td><td class="end">${number(line.quantity)}</td><td class="end">${money(line.unit_price)}</td><td class="end">${money(line.total)}</td></tr>`)}</tbody></table>
  </section>`;
}

// How long it stayed where.
function Visits({ id, etag }) {
  const list = useLoad(() => get(`/v1/deals/${id}/stageVisits`), [id, etag]);
  useLive(["deal"], useSoon(list.reload, 500));
  const visits = list.data?.visits ?? [];
  if (visits.length < 2) return null;
  const seconds = (visit) => (new Date(visit.leave_time ?? Date.now()) - new Date(visit.enter_time)) / 1000;
  const longest = Math.max(...visits.map(seconds), 1);
  return html`<section class="panel"><header><h2>${t("deal.visits")}</h2></header>
    <dl class="bars">${visits.map((visit) => html`<dt dir="auto">${visit.stage_name}</dt><dd><span class="bar" style=${{ inlineSize: `${Math.max(2, (100 * seconds(visit)) / longest)}%` }} /><span>${duration(seconds(visit))}</span></dd>`)}</dl>
  </section>`;
}
