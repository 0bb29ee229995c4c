// People and companies: a list that is searched as one types, page by page.
import { get } from "../lib/api.js";
import { ago } from "../lib/format.js";
import { enumLabel } from "../lib/form.js";
import { t } from "../lib/i18n.js";
import { useLive } from "../lib/live.js";
import { go, link } from "../lib/router.js";
import { may, nameOf } from "../lib/session.js";
import { Avatar, Button, Choice, Empty, Loading, Problem, html, useEffect, useLoad, useSoon, useState } from "../lib/ui.js";
import { NewRecord } from "../parts/new_record.js";

const PAGE = 50;
const TYPING_MS = 250;
const KINDS = {
  contacts: { object: "contact", path: "/v1/contacts", fields: ["given_name", "family_name", "company_id", "job_title"], title: (one) => one.display_name, second: (one, refs) => refs[one.company_id]?.title, expand: "company" },
  companies: { object: "company", path: "/v1/companies", fields: ["name", "city", "website"], title: (one) => one.name, second: (one) => one.city, expand: "" },
};

export function Contacts({ kind, query }) {
  const about = KINDS[kind] ?? KINDS.contacts;
  const [text, setText] = useState(query.q ?? "");
  const [wanted, setWanted] = useState(text);
  const [making, setMaking] = useState(false);
  useEffect(() => {
    const timer = setTimeout(() => setWanted(text.trim()), TYPING_MS);
    return () => clearTimeout(timer);
  }, [text]);
  // What was searched comes best first; without words the newest come first.
  const question = { page_size: PAGE, expand: about.expand, ...(wanted ? { query: wanted } : { order_by: "update_time desc" }) };
  const list = useLoad(() => get(about.path, question), [kind, wanted]);
  useLive([about.object], useSoon(list.reload, 800));
  const records = list.data?.[kind] ?? [];
  const refs = list.data?.refs ?? {};
  async function more() {
    const next = await get(about.path, { ...question, page_token: list.data.next_page_token });
    list.setData((old) => ({ ...next, [kind]: [...old[kind], ...next[kind]], refs: { ...old.refs, ...next.refs } }));
  }
  return html`<div class="screen">
    <header class="screen-head">
      <h1>${t("nav.contacts")}</h1>
      <${Choice} label=${t("contacts.kind")} value=${kind} onValue=${(next) => go(next)} options=${[["contacts", t("contacts.people")], ["companies", t("contacts.companies")]]} />
      <input type="search" class="filter" dir=${text ? "auto" : undefined} aria-label=${t("contacts.filter")} placeholder=${t("contacts.filter")} value=${text} onInput=${(event) => setText(event.target.value)} />
      <span class="grow" />
      ${may(about.object, "CREATE") && html`<${Button} kind="primary" icon="plus" onClick=${() => setMaking(true)}>${t(`contacts.new_${about.object}`)}<//>`}
    </header>
    ${list.error && html`<${Problem} error=${list.error} onRetry=${list.reload} />`}
    ${!list.data && list.busy && html`<${Loading} rows=${8} />`}
    ${list.data && records.length === 0 && html`<${Empty} icon="contacts" title=${t("search.nothing")} />`}
    ${records.length > 0 && html`<table class="list">
      <thead><tr><th>${t(kind === "contacts" ? "contacts.name" : "field.name")}</th><th>${kind === "contacts" ? t("field.company_id") : t("field.city")}</th><th>${t("field.phones")}</th><th>${t("field.owner_id")}</th><th class="end">${t("field.update_time")}</th></tr></thead>
      <tbody>${records.map((one) => html`<tr key=${one.id} data-action=${about.title(one)} onClick=${(event) => event.target.closest("a") || go(kind, one.id)}>
        <td class="list-name"><${Avatar} name=${about.title(one)} /><span><a href=${link(kind, one.id)} dir="auto">${about.title(one)}</a>${one.job_title && html`<small dir="auto">${one.job_title}</small>`}${one.roles?.length > 0 && kind === "companies" && html`<small>${one.roles.map(enumLabel).join(", ")}</small>`}</span></td>
        <td class="list-second" dir="auto">${about.second(one, refs) ?? ""}</td>
        <td class="list-phone">${(one.phones?.[0] || one.emails?.[0]) && html`<bdi dir="ltr">${one.phones[0]?.number ?? one.emails[0].address}</bdi>`}</td>
        <td class="list-owner" dir="auto">${nameOf(one.owner_id)}</td>
        <td class="list-time end">${ago(one.update_time)}</td>
      </tr>`)}</tbody>
    </table>`}
    ${list.data?.next_page_token && html`<${Button} class="more" onClick=${more}>${t("more")}<//>`}
    ${making && html`<${NewRecord} object=${about.object} path=${about.path} title=${t(`contacts.new_${about.object}`)} fields=${about.object === "contact" ? [...about.fields, "phones.number", "emails.address"] : [...about.fields, "phones.number"]} shape=${withAddresses}
      onMade=${(one) => (setMaking(false), go(kind, one.id))} onClose=${() => setMaking(false)} />`}
  </div>`;
}

// One phone and one address are enough to begin with; the API keeps lists of them.
function withAddresses({ "phones.number": phone, "emails.address": address, ...record }) {
  return { ...record, ...(phone && { phones: [{ number: phone }] }), ...(address && { emails: [{ address }] }) };
}
