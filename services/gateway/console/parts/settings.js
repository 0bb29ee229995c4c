// Language, colours, who is signed in and what they may do.
import { LANGUAGES, language, setLanguage, t } from "../lib/i18n.js";
import { has, scope, session, signOut } from "../lib/session.js";
import { theme } from "../lib/theme.js";
import { Avatar, Button, Choice, Dialog, html, useStore } from "../lib/ui.js";

const OBJECTS = ["deal", "lead", "contact", "task", "conversation", "report"];

export function Settings({ onClose }) {
  const me = useStore(session);
  return html`<${Dialog} title=${t("nav.settings")} onClose=${onClose}>
    <div class="person"><${Avatar} name=${me.display_name} size="large" /><div><b dir="auto">${me.display_name}</b><div class="faint" dir="ltr">${me.email}</div><div class="faint" dir="auto">${me.tenant_name} · ${me.time_zone}</div></div></div>
    <div class="setting"><span>${t("settings.language")}</span><${Choice} label=${t("settings.language")} value=${useStore(language)} onValue=${setLanguage} options=${Object.entries(LANGUAGES)} /></div>
    <div class="setting"><span>${t("settings.theme")}</span><${Choice} label=${t("settings.theme")} value=${useStore(theme)} onValue=${(value) => theme.set(value)} options=${["auto", "light", "dark"].map((name) => [name, t(`settings.${name}`)])} /></div>
    <h3>${t("settings.rights")}</h3>
    <dl class="facts">${OBJECTS.filter((name) => name === "report" || has(name)).map((name) => html`<dt>${t(`object.${name}`)}</dt><dd>${t(`scope.${scope(name) || "NONE"}`)}</dd>`)}</dl>
    <h3>${t("settings.keys")}</h3>
    <dl class="facts keys">
      <dt><bdi dir="ltr"><kbd>1</kbd>–<kbd>6</kbd></bdi></dt><dd>${t("settings.key_screens")}</dd>
      <dt><kbd>/</kbd></dt><dd>${t("search.label")}</dd>
      <dt><kbd>i</kbd></dt><dd>${t("nav.requests")}</dd>
      <dt><kbd>←</kbd> <kbd>↑</kbd> <kbd>↓</kbd> <kbd>→</kbd></dt><dd>${t("settings.key_cards")}</dd>
      <dt><kbd>Shift</kbd> + <kbd>←</kbd> <kbd>→</kbd></dt><dd>${t("settings.key_move")}</dd>
    </dl>
    <div class="buttons"><${Button} icon="out" onClick=${signOut}>${t("sign_out")}<//></div>
  <//>`;
}
