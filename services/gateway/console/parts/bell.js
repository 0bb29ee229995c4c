// Notifications: the unread count on the bell, and the list under it.
import { get, post } from "../lib/api.js";
import { ago } from "../lib/format.js";
import { t } from "../lib/i18n.js";
import { recordOf, useLive } from "../lib/live.js";
import { linkTo } from "../lib/router.js";
import { Button, Empty, Icon, Loading, classes, failed, html, toast, useEffect, useLoad, useRef, useSoon, useState } from "../lib/ui.js";

const SNOOZE_HOURS = 1;

export function Bell() {
  const [open, setOpen] = useState(false);
  const root = useRef(null);
  const unread = useLoad(() => get("/v1/notifications:unread"), []);
  const soon = useSoon(unread.reload);
  useLive(["notification"], (event) => {
    soon();
    const told = event.type === "notification.created" && recordOf(event);
    if (told && !open) toast(told.title, { kind: told.urgent ? "bad" : "", action: linkTo(told.record_id) && { text: t("open"), run: () => (location.hash = linkTo(told.record_id)) } });
  });
  useEffect(() => {
    if (!open) return undefined;
    const away = (event) => root.current.contains(event.target) || setOpen(false);
    addEventListener("pointerdown", away);
    return () => removeEventListener("pointerdown", away);
  }, [open]);
  const count = unread.data?.count ?? 0;
  return html`<div class="bell" ref=${root} onKeyDown=${(event) => event.key === "Escape" && setOpen(false)}>
    <button type="button" class="button quiet icon-only" aria-label=${t("bell.label", { count })} aria-expanded=${open ? "true" : "false"} onClick=${() => setOpen(!open)}>
      <${Icon} name="bell" />${count > 0 && html`<span class=${classes("badge", unread.data.urgent_count > 0 && "urgent")} aria-hidden="true">${count > 99 ? "99+" : count}</span>`}
    </button>
    ${open && html`<${Notifications} onClose=${() => setOpen(false)} onChange=${unread.reload} />`}
    <span class="hidden" role="status">${count > 0 ? t("bell.label", { count }) : ""}</span>
  </div>`;
}

function Notifications({ onClose, onChange }) {
  const list = useLoad(() => get("/v1/notifications", { page_size: 30 }), []);
  useLive(["notification"], useSoon(list.reload));
  async function act(run) {
    await run().catch(failed);
    list.reload();
    onChange();
  }
  const snooze = (one) => act(() => post(`/v1/notifications/${one.id}:snooze`, { until_time: new Date(Date.now() + SNOOZE_HOURS * 3600_000).toISOString() }));
  const all = list.data?.notifications ?? [];
  return html`<section class="popover" aria-label=${t("bell.title")}>
    <header><h2>${t("bell.title")}</h2>${all.some((one) => !one.read_time) && html`<${Button} kind="quiet" onClick=${() => act(() => post("/v1/notifications:read", {}))}>${t("bell.read_all")}<//>`}</header>
    ${!list.data && html`<${Loading} rows=${3} />`}
    ${list.data && all.length === 0 && html`<${Empty} icon="bell" title=${t("bell.empty")} />`}
    <ul class="notifications">${all.map((one) => html`<li key=${one.id} class=${classes("notification", !one.read_time && "unread", one.urgent && "urgent")}>
      <a href=${linkTo(one.record_id) ?? "#/"} onClick=${() => { if (!one.read_time) act(() => post(`/v1/notifications/${one.id}:read`, {})); onClose(); }}>
        <b dir="auto">${one.title}</b>${one.text && html`<span dir="auto">${one.text}</span>`}<small>${ago(one.create_time)}</small></a>
      ${!one.read_time && html`<${Button} icon="clock" kind="quiet" label=${t("bell.snooze")} onClick=${() => snooze(one)} /><${Button} icon="check" kind="quiet" label=${t("bell.read")} onClick=${() => act(() => post(`/v1/notifications/${one.id}:read`, {}))} />`}
    </li>`)}</ul>
  </section>`;
}
