// The inbox of requests: take one up, turn it down, or add it to a deal that is there already.
import { get, newKey, post } from "../lib/api.js";
import { RecordPicker } from "../lib/form.js";
import { ago, time } from "../lib/format.js";
import { t } from "../lib/i18n.js";
import { useLive } from "../lib/live.js";
import { go, link } from "../lib/router.js";
import { may, nameOf } from "../lib/session.js";
import { Avatar, Button, Choice, Dialog, Empty, Field, Icon, Loading, Problem, Text, classes, html, toast, useEffect, useLoad, useRef, useSoon, useState } from "../lib/ui.js";
import { AskText } from "../parts/move.js";
import { NewRecord } from "../parts/new_record.js";

const PAGE = 50;
const STATES = { new: ["LEAD_STATUS_NEW"], accepted: ["LEAD_STATUS_ACCEPTED", "LEAD_STATUS_LINKED"], declined: ["LEAD_STATUS_DECLINED"] };

export function Leads({ id, query }) {
  const state = STATES[query.state] ? query.state : "new";
  const [asking, setAsking] = useState(null); // {kind, lead}
  const filter = id ? `id = "${id}"` : `status = (${STATES[state].join(" OR ")})`;
  const leads = useLoad(() => get("/v1/leads", { filter, order_by: "create_time desc", page_size: PAGE, count: "COUNT_EXACT", view: "VIEW_FULL", expand: "contact,deal" }), [filter]);
  useLive(["lead"], useSoon(leads.reload));
  // A lead by its address may be in any state, and lists are not the way to one record.
  const single = useLoad(() => (id ? get(`/v1/leads/${id}`, { expand: "contact,deal" }) : Promise.resolve(null)), [id]);
  useLive(["lead"], (event) => id && event.id === id && single.reload());
  const shown = id ? single : leads;
  const list = id ? (single.data ? [single.data] : []) : leads.data?.leads ?? [];
  const refs = shown.data?.refs ?? {};

  // Shown at once; the live event brings what the server made of it.
  function done(lead) {
    if (id) single.reload();
    else leads.setData((old) => old && { ...old, leads: old.leads.filter((one) => one.id !== lead.id), total_size: Math.max(0, (old.total_size ?? 1) - 1) });
  }
  return html`<div class="screen narrow">
    <header class="screen-head">
      ${id && html`<a class="button quiet icon-only" href=${link("leads")} aria-label=${t("back")}><${Icon} name="back" flip /></a>`}
      <h1>${t("nav.leads")}</h1>
      ${!id && html`<${Choice} label=${t("leads.state")} value=${state} onValue=${(next) => go("leads", "", { state: next })} options=${Object.keys(STATES).map((name) => [name, t(`leads.${name}`), name === state ? leads.data?.total_size : 0])} />`}
      <span class="grow" />
      ${may("lead", "CREATE") && html`<${Button} icon="plus" onClick=${() => setAsking({ kind: "new" })}>${t("leads.make")}<//>`}
    </header>
    ${shown.error && html`<${Problem} error=${shown.error} onRetry=${shown.reload} />`}
    ${!shown.data && shown.busy && html`<${Loading} />`}
    ${shown.data && list.length === 0 && html`<${Empty} icon="leads" title=${t(`leads.none_${state}`)}>${state === "new" ? t("leads.none_text") : ""}<//>`}
    <ol class="lead-list">${list.map((lead) => html`<${Lead} key=${lead.id} lead=${lead} refs=${refs} onAsk=${(kind) => setAsking({ kind, lead })} />`)}</ol>
    ${asking?.kind === "accept" && html`<${Accept} lead=${asking.lead} onDone=${done} onClose=${() => setAsking(null)} />`}
    ${asking?.kind === "decline" && html`<${AskText} title=${t("leads.decline_title", { title: asking.lead.title })} label=${t("leads.reason")} action=${t("leads.decline")} onClose=${() => setAsking(null)}
      onText=${async (reason) => { await post(`/v1/leads/${asking.lead.id}:decline`, { reason, etag: asking.lead.etag }); done(asking.lead); toast(t("leads.declined_one")); }} />`}
    ${asking?.kind === "link" && html`<${LinkToDeal} lead=${asking.lead} onDone=${done} onClose=${() => setAsking(null)} />`}
    ${asking?.kind === "new" && html`<${NewRecord} object="lead" path="/v1/leads" title=${t("leads.make")} fields=${["name", "phone", "email", "company_name", "message"]} onMade=${() => (setAsking(null), leads.reload())} onClose=${() => setAsking(null)} />`}
  </div>`;
}

function Lead({ lead, refs, onAsk }) {
  const open = lead.status === "LEAD_STATUS_NEW";
  const can = lead.access?.can?.includes("update");
  const about = [...new Set([lead.title, lead.company_name])].filter((text) => text && text !== lead.name);
  const marks = Object.values(lead.utm ?? {});
  return html`<li class=${classes("lead", !open && "closed")} data-lead=${lead.id}>
    <${Avatar} name=${lead.name || lead.title} />
    <div class="lead-main">
      <header><h2 dir="auto">${lead.name || lead.title}</h2><time title=${time(lead.create_time)}>${ago(lead.create_time)}</time></header>
      ${about.length > 0 && html`<p class="lead-title" dir="auto">${about.join(" · ")}</p>`}
      ${lead.message && html`<p class="lead-message prose" dir="auto">${lead.message}</p>`}
      <p class="lead-facts">
        ${lead.phone && html`<a href=${`tel:${lead.phone}`}><${Icon} name="phone" /><bdi dir="ltr">${lead.phone}</bdi></a>`}
        ${lead.email && html`<a href=${`mailto:${lead.email}`}><${Icon} name="mail" /><bdi dir="ltr">${lead.email}</bdi></a>`}
        ${[lead.source, ...marks].filter(Boolean).map((mark) => html`<span class="tag" dir="auto">${mark}</span>`)}
        ${lead.owner_id && html`<span class="faint" dir="auto">${nameOf(lead.owner_id)}</span>`}
      </p>
      ${!open && html`<p class="lead-facts">
        <span class="tag info">${t(`enum.${lead.status}`)}</span>
        ${lead.deal_id && html`<a href=${link("deals", lead.deal_id)}><${Icon} name="deals" /><bdi>${refs[lead.deal_id]?.title ?? t("object.deal")}</bdi></a>`}
        ${lead.contact_id && html`<a href=${link("contacts", lead.contact_id)}><${Icon} name="contacts" /><bdi>${refs[lead.contact_id]?.title ?? t("object.contact")}</bdi></a>`}
        ${lead.decline_reason && html`<span dir="auto">${lead.decline_reason}</span>`}
      </p>`}
    </div>
    ${open && can && html`<div class="lead-buttons">
      <${Button} kind="primary" icon="check" onClick=${() => onAsk("accept")}>${t("leads.accept")}<//>
      <${Button} icon="link" onClick=${() => onAsk("link")}>${t("leads.link")}<//>
      <${Button} kind="quiet" onClick=${() => onAsk("decline")}>${t("leads.decline")}<//>
    </div>`}
  </li>`;
}

// Accepting finds the contact by phone and e-mail or makes one; what it will find is shown before.
function Accept({ lead, onDone, onClose }) {
  const [title, setTitle] = useState(lead.title);
  const [known, setKnown] = useState(null);
  const [error, setError] = useState(null);
  const [busy, setBusy] = useState(false);
  const key = useRef(newKey());
  useEffect(() => {
    const lookup = lead.phone ? { phone: lead.phone } : lead.email ? { email: lead.email } : null;
    if (lookup) get("/v1/contacts:lookup", lookup).then(({ contacts }) => setKnown(contacts[0] ?? null), () => {});
  }, []);
  async function accept(event) {
    event.preventDefault();
    setBusy(true);
    try {
      const made = await post(`/v1/leads/${lead.id}:accept`, { deal_title: title, etag: lead.etag }, { key: key.current });
      onDone(lead);
      onClose();
      toast(t("leads.accepted_one", { title: made.deal.title }), { action: { text: t("open"), run: () => go("deals", made.deal.id) } });
    } catch (refused) {
      setError(refused);
      setBusy(false);
    }
  }
  return html`<${Dialog} title=${t("leads.accept_title", { name: lead.name || lead.title })} onClose=${onClose}><form class="form" onSubmit=${accept}>
    ${error && html`<p class="form-error" role="alert" dir="auto">${error.message}</p>`}
    <${Field} label=${t("leads.deal_title")}>${(attributes) => html`<${Text} value=${title} onValue=${setTitle} required maxlength="300" ...${attributes} />`}<//>
    <p class="note-line"><${Icon} name="contacts" /><span dir="auto">${known ? t("leads.known_contact", { name: known.display_name }) : t("leads.new_contact")}</span></p>
    <div class="buttons"><${Button} kind="primary" type="submit" disabled=${busy}>${t("leads.accept")}<//><${Button} onClick=${onClose}>${t("cancel")}<//></div>
  </form><//>`;
}

function LinkToDeal({ lead, onDone, onClose }) {
  const [dealId, setDealId] = useState("");
  const [error, setError] = useState(null);
  async function submit(event) {
    event.preventDefault();
    try {
      await post(`/v1/leads/${lead.id}:link`, { deal_id: dealId, etag: lead.etag });
      onDone(lead);
      onClose();
      toast(t("leads.linked_one"), { action: { text: t("open"), run: () => go("deals", dealId) } });
    } catch (refused) {
      setError(refused);
    }
  }
  return html`<${Dialog} title=${t("leads.link_title")} onClose=${onClose}><form class="form" onSubmit=${submit}>
    <${Field} label=${t("object.deal")} error=${error?.message} required>${(attributes) => html`<${RecordPicker} kinds=${["deal"]} value=${dealId} onValue=${setDealId} attributes=${attributes} />`}<//>
    <div class="buttons"><${Button} kind="primary" type="submit" disabled=${!dealId}>${t("leads.link")}<//><${Button} onClick=${onClose}>${t("cancel")}<//></div>
  </form><//>`;
}
