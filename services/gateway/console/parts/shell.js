// The frame of all screens: eight buttons, the search box, the bell, and the inspector.
import { t } from "../lib/i18n.js";
import { liveState } from "../lib/live.js";
import { go, link, useRoute } from "../lib/router.js";
import { may, offers, session } from "../lib/session.js";
import { Avatar, Icon, classes, html, useEffect, useState, useStore } from "../lib/ui.js";
import { Board } from "../screens/board.js";
import { CompanyCard, ContactCard } from "../screens/contact.js";
import { Contacts } from "../screens/contacts.js";
import { DealCard } from "../screens/deal.js";
import { Leads } from "../screens/leads.js";
import { Messages } from "../screens/messages.js";
import { Reports } from "../screens/reports.js";
import { Today } from "../screens/today.js";
import { Bell } from "./bell.js";
import { Inspector } from "./inspector.js";
import { Search } from "./search.js";
import { Settings } from "./settings.js";

// Each is shown where the system offers what it needs and the user may read it. `list` without an id in the address.
const SCREENS = [
  { name: "today", object: "task", needs: "/v1/tasks:today", list: Today, one: Today },
  { name: "leads", object: "lead", needs: "/v1/leads", list: Leads, one: Leads },
  { name: "deals", object: "deal", needs: "/v1/pipelines/{pipeline_id}/board", list: Board, one: DealCard },
  { name: "contacts", object: "contact", needs: "/v1/contacts", list: Contacts, one: ContactCard },
  { name: "messages", object: "conversation", needs: "/v1/conversations", list: Messages, one: Messages },
  { name: "reports", object: "report", needs: "/v1/reports/funnel:watch", list: Reports, one: Reports },
];
// Reached from contacts.
const MORE = [{ name: "companies", list: Contacts, one: CompanyCard, under: "contacts" }];

export function Shell() {
  const me = useStore(session);
  const route = useRoute();
  const live = useStore(liveState);
  const [inspecting, setInspecting] = useState(localStorage.getItem("crm.inspector") === "open");
  const [settings, setSettings] = useState(false);
  const screens = SCREENS.filter(({ object, needs }) => may(object, "READ") && offers(needs));
  const current = [...screens, ...MORE].find(({ name }) => name === route.screen) ?? screens.find(({ name }) => name === "deals") ?? screens[0];
  const Shown = route.id ? current.one : current.list;

  function inspect(open) {
    localStorage.setItem("crm.inspector", open ? "open" : "");
    setInspecting(open);
  }
  useEffect(() => {
    const keys = (event) => {
      if (event.target.closest("input, textarea, select, dialog") || event.ctrlKey || event.metaKey || event.altKey) return;
      if (event.key === "/") (event.preventDefault(), document.getElementById("search")?.focus());
      const number = Number(event.key);
      if (number >= 1 && number <= screens.length) go(screens[number - 1].name);
      if (event.key === "i") inspect(localStorage.getItem("crm.inspector") !== "open");
    };
    addEventListener("keydown", keys);
    return () => removeEventListener("keydown", keys);
  }, []);
  useEffect(() => {
    document.title = `${t(`nav.${current.name}`)} · ${me.tenant_name}`;
    document.getElementById("main")?.scrollTo(0, 0);
  }, [current.name, route.id]);

  return html`<div class=${classes("shell", inspecting && "inspecting")}>
    <a class="skip" href="#main" onClick=${(event) => (event.preventDefault(), document.getElementById("main").focus())}>${t("skip")}</a>
    <nav class="rail" aria-label=${t("nav.label")}>
      ${screens.map(({ name }) => html`<a key=${name} href=${link(name)} class="rail-item" aria-current=${(current.under ?? current.name) === name ? "page" : undefined}><${Icon} name=${name} /><span>${t(`nav.${name}`)}</span></a>`)}
      <button type="button" class="rail-item" aria-pressed=${inspecting ? "true" : "false"} onClick=${() => inspect(!inspecting)}><${Icon} name="requests" /><span>${t("nav.requests")}</span></button>
      <button type="button" class="rail-item" aria-haspopup="dialog" onClick=${() => setSettings(true)}><${Icon} name="settings" /><span>${t("nav.settings")}</span></button>
    </nav>
    <header class="top">
      <${Search} />
      <span class=${classes("live", live)} role="status"><span class="live-dot" /><span class="live-text">${t(`live.${live}`)}</span></span>
      ${offers("/v1/notifications:unread") && html`<${Bell} />`}
      <button type="button" class="me" aria-label=${t("settings.of", { name: me.display_name })} onClick=${() => setSettings(true)}><${Avatar} name=${me.display_name} /><span class="me-name"><b dir="auto">${me.display_name}</b><small dir="auto">${me.tenant_name}</small></span></button>
    </header>
    <main id="main" tabindex="-1"><${Shown} key=${`${current.name}/${route.id}`} id=${route.id} kind=${current.name} query=${route.query} /></main>
    ${inspecting && html`<${Inspector} onClose=${() => inspect(false)} />`}
    ${settings && html`<${Settings} onClose=${() => setSettings(false)} />`}
  </div>`;
}
