// The cards of a person and of a company.
import { get } from "../lib/api.js";
import { enumLabel } from "../lib/form.js";
import { ago, money, sums } from "../lib/format.js";
import { t } from "../lib/i18n.js";
import { useLive } from "../lib/live.js";
import { link } from "../lib/router.js";
import { may, nameOf, offers, stageOf } from "../lib/session.js";
import { Avatar, Button, Icon, Loading, Problem, classes, html, toast, useLoad, useSoon, useState } from "../lib/ui.js";
import { Facts, History, Reach, useRecord } from "../parts/card.js";
import { NewRecord } from "../parts/new_record.js";
import { TaskPanel } from "../parts/tasks.js";
import { Write } from "../parts/write.js";

const CONTACT_FACTS = ["company_id", "lifecycle", "city", "country_code", "language", "birth_date", "source", "tags", "note", "owner_id", "create_time"];
const CONTACT_EDITABLE = ["given_name", "family_name", "job_title", "company_id", "lifecycle", "city", "country_code", "source", "tags", "note", "owner_id"];
const COMPANY_FACTS = ["roles", "lifecycle", "legal_name", "tax_id", "industry", "website", "city", "country_code", "source", "tags", "note", "owner_id", "create_time"];
const COMPANY_EDITABLE = ["name", "legal_name", "tax_id", "industry", "website", "lifecycle", "city", "country_code", "tags", "note", "owner_id"];

export function ContactCard({ id }) {
  const path = `/v1/contacts/${id}`;
  const contact = useRecord(path, "company");
  // What hangs on the contact, in one read: how much is open, and the notes that stay on top.
  const card = useLoad(() => (offers("/v1/contacts/{id}/card") ? get(`${path}/card`) : Promise.resolve(null)), [id]);
  useLive(["deal", "note"], useSoon(card.reload, 900));
  if (contact.error) return html`<${Problem} error=${contact.error} onRetry=${contact.reload} />`;
  if (!contact.data) return html`<${Loading} rows=${8} />`;
  const one = contact.data;
  const refs = one.refs ?? {};
  return html`<${Page} record=${one} back="contacts" title=${one.display_name} subtitle=${[one.job_title, refs[one.company_id]?.title].filter(Boolean).join(" · ")} about=${{ contact_id: id }} path=${path} object="contact">
    <${Facts} object="contact" path=${path} record=${one} refs=${refs} fields=${CONTACT_FACTS} editable=${CONTACT_EDITABLE} onSaved=${contact.reload} />
    ${card.data?.pinned_notes.length > 0 && html`<section class="panel"><header><h2>${t("card.pinned")}</h2></header>${card.data.pinned_notes.map((note) => html`<p key=${note.id} class="pinned-note prose" dir="auto">${note.text}</p>`)}</section>`}
    <${Deals} filter=${`contact_id = "${id}"`} start=${{ contact_id: id, company_id: one.company_id }} open=${card.data?.open_deal_count > 0 ? t("card.open_deals", { sum: sums(card.data.open_deal_sums) || card.data.open_deal_count }) : ""} />
    ${offers("/v1/tasks:today") && html`<${TaskPanel} about=${{ contact_id: id, company_id: one.company_id }} filter=${`contact_id = "${id}"`} />`}
  <//>`;
}

export function CompanyCard({ id }) {
  const path = `/v1/companies/${id}`;
  const company = useRecord(path, "");
  const people = useLoad(() => get("/v1/contacts", { filter: `company_id = "${id}"`, page_size: 50 }), [id]);
  if (company.error) return html`<${Problem} error=${company.error} onRetry=${company.reload} />`;
  if (!company.data) return html`<${Loading} rows=${8} />`;
  const one = company.data;
  return html`<${Page} record=${one} back="companies" title=${one.name} subtitle=${[...one.roles.map(enumLabel), one.city].filter(Boolean).join(" · ")} about=${{ company_id: id }} path=${path} object="company">
    <${Facts} object="company" path=${path} record=${one} refs=${{}} fields=${COMPANY_FACTS} editable=${COMPANY_EDITABLE} onSaved=${company.reload} />
    ${people.data?.contacts.length > 0 && html`<section class="panel"><header><h2>${t("contacts.people")}</h2></header>
      <ul class="rows">${people.data.contacts.map((person) => html`<li key=${person.id}><a class="row" href=${link("contacts", person.id)}><${Avatar} name=${person.display_name} size="small" /><span class="row-main"><span dir="auto">${person.display_name}</span><small dir="auto">${person.job_title}</small></span></a></li>`)}</ul></section>`}
    <${Deals} filter=${`company_id = "${id}"`} start=${{ company_id: id }} />
  <//>`;
}

function Page({ record, back, title, subtitle, about, path, object, children }) {
  const [writing, setWriting] = useState(false);
  const canWrite = object === "contact" && offers("/v1/messages") && may("message", "CREATE") && record.emails.length > 0;
  return html`<div class="screen card-screen">
    <header class="card-head">
      <a class="button quiet icon-only" href=${link(back)} aria-label=${t("back")}><${Icon} name="back" flip /></a>
      <${Avatar} name=${title} size="large" />
      <div class="card-title-block"><h1 dir="auto">${title}</h1><p class="faint" dir="auto">${subtitle}</p></div>
      <span class="grow" />
      ${canWrite && html`<${Button} icon="mail" onClick=${() => setWriting(true)}>${t("messages.write")}<//>`}
    </header>
    <${Touch} record=${record} />
    <div class="card-columns">
      <div class="card-side"><${ReachPanel} record=${record} />${children}</div>
      <${History} about=${about} id=${record.id} path=${path} object=${object} />
    </div>
    ${writing && html`<${Write} contact=${record} onClose=${() => setWriting(false)} onSent=${() => (setWriting(false), toast(t("messages.queued")))} />`}
  </div>`;
}

function ReachPanel({ record }) {
  if (!record.phones.length && !record.emails.length) return null;
  return html`<section class="panel"><${Reach} record=${record} /></section>`;
}

// Next task, unread letters, last touch: kept on the record by the services, shown as they come.
export function Touch({ record }) {
  const parts = [
    record.next_task_title && { icon: "clock", kind: record.next_task_overdue && "bad", text: `${record.next_task_title}${record.next_task_due_time ? ` · ${ago(record.next_task_due_time)}` : ""}` },
    record.unread_count > 0 && { icon: "mail", kind: "info", text: t("card.unread", { count: record.unread_count }) },
    record.last_touch_time && { icon: "check", text: t("card.last_touch", { when: ago(record.last_touch_time) }) },
  ].filter(Boolean);
  if (!parts.length) return null;
  return html`<ul class="touch">${parts.map((part) => html`<li class=${classes("tag", part.kind)}><${Icon} name=${part.icon} /><span dir="auto">${part.text}</span></li>`)}</ul>`;
}

function Deals({ filter, start, open }) {
  const [making, setMaking] = useState(false);
  const list = useLoad(() => get("/v1/deals", { filter, order_by: "create_time desc", page_size: 10, count: "COUNT_EXACT" }), [filter]);
  useLive(["deal"], useSoon(list.reload, 500));
  const deals = list.data?.deals ?? [];
  return html`<section class="panel">
    <header><h2>${t("nav.deals")}${list.data?.total_size > 0 && html` <span class="count">${list.data.total_size}</span>`}</h2>${may("deal", "CREATE") && html`<${Button} icon="plus" kind="quiet" onClick=${() => setMaking(true)}>${t("board.new")}<//>`}</header>
    ${open && html`<p class="faint">${open}</p>`}
    ${list.data && deals.length === 0 && html`<p class="faint">${t("contacts.no_deals")}</p>`}
    <ul class="rows">${deals.map((deal) => html`<li key=${deal.id}><a class="row" href=${link("deals", deal.id)}>
      <span class="row-main"><span dir="auto">${deal.title}</span><small dir="auto">${stageOf(deal.stage_id)?.name} · ${nameOf(deal.owner_id)}</small></span><span class="amount">${money(deal.amount)}</span></a></li>`)}</ul>
    ${making && html`<${NewRecord} object="deal" path="/v1/deals" title=${t("board.new")} fields=${["title", "amount", "contact_id", "company_id"]} start=${start} onMade=${() => (setMaking(false), list.reload())} onClose=${() => setMaking(false)} />`}
  </section>`;
}
