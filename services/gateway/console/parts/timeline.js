// The live timeline of a contact, company or deal: what all services tell of it, newest first.
import { get, patch } from "../lib/api.js";
import { ago, longDay, money, time } from "../lib/format.js";
import { labelOf } from "../lib/form.js";
import { t } from "../lib/i18n.js";
import { useLive } from "../lib/live.js";
import { link, linkTo } from "../lib/router.js";
import { may, nameOf, stageOf } from "../lib/session.js";
import { Button, Empty, Icon, Loading, Problem, classes, failed, html, useEffect, useLoad, useRef } from "../lib/ui.js";

const PAGE = 30;
// The timeline hears of things a moment after they happened.
const TOPICS = ["activity", "note", "deal", "contact", "company", "lead", "task", "message", "reminder"];
const LOOK_AGAIN_MS = [150, 900, 2500];
const ICONS = { MESSAGE: "mail", COMMENT: "messages", NOTE: "note", TASK: "check", REMINDER: "clock", MOVED: "move", WON: "won", LOST: "lost", LEAD_ACCEPTED: "leads", LEAD_DECLINED: "leads", LEAD_LINKED: "link", HANDED_OVER: "user", CREATED: "plus", CHANGED: "edit", DELETED: "close", RESTORED: "undo" };

export function Timeline({ about }) {
  const question = { ...about, page_size: PAGE };
  const list = useLoad(() => get("/v1/activities", question), [JSON.stringify(about)]);
  const timers = useRef([]);
  const [name, id] = Object.entries(about)[0];
  useEffect(() => () => timers.current.forEach(clearTimeout), []);
  useLive(TOPICS, (event) => {
    const record = event.payload?.[event.type.split(".")[0]];
    if (event.id !== id && record?.[name] !== id && record?.record_id !== id) return;
    timers.current.forEach(clearTimeout);
    timers.current = LOOK_AGAIN_MS.map((ms) => setTimeout(list.reload, ms));
  });
  async function more() {
    const next = await get("/v1/activities", { ...question, page_token: list.data.next_page_token });
    list.setData((old) => ({ ...next, activities: [...old.activities, ...next.activities] }));
  }
  if (list.error) return html`<${Problem} error=${list.error} onRetry=${list.reload} />`;
  if (!list.data) return html`<${Loading} />`;
  const all = list.data.activities;
  if (!all.length) return html`<${Empty} icon="clock" title=${t("timeline.empty")} />`;
  let before = "";
  return html`<ol class="timeline" aria-live="polite" aria-relevant="additions">
    ${all.map((one) => {
      const date = longDay(one.time);
      const first = date !== before;
      before = date;
      return html`${first && html`<li class="timeline-day" key=${date}>${date}</li>`}<${Entry} key=${one.id} one=${one} own=${one.record_id === id} />`;
    })}
  </ol>${list.data.next_page_token && html`<${Button} class="more" onClick=${more}>${t("more")}<//>`}`;
}

// `own`: it happened to the very record whose card this is, which need not be named again.
function Entry({ one, own }) {
  const kind = one.kind.replace("ACTIVITY_KIND_", "");
  const state = one.state.replace("ACTIVITY_STATE_", "");
  const who = nameOf(one.author_id) || (one.author_id ? t("automation") : "");
  const href = one.conversation_id ? link("messages", one.conversation_id) : ["deal", "lead", "contact", "company"].includes(one.object) ? linkTo(one.record_id) : null;
  return html`<li class=${classes("entry", `is-${kind.toLowerCase()}`, one.direction === "ACTIVITY_DIRECTION_INBOUND" && "inbound", one.pinned && "pinned")} data-kind=${kind}>
    <span class="entry-icon"><${Icon} name=${ICONS[kind]} /></span>
    <div>
      <p class="entry-head"><span>${headline(one, kind)}</span>${state !== "UNSPECIFIED" && kind !== "NOTE" && html`<span class=${classes("tag", { OVERDUE: "bad", BOUNCED: "bad", FAILED: "bad", UNKNOWN: "warn", DONE: "good", SENT: "good", DELIVERED: "good" }[state])}>${t(`state.${state}`)}</span>`}
        <time class="faint" title=${time(one.time)}>${ago(one.time)}</time>${kind === "NOTE" && state !== "DELETED" && may("note", "UPDATE") && html`<${Button} icon="pin" kind="quiet" label=${t(one.pinned ? "card.unpin" : "card.pin")} aria-pressed=${one.pinned ? "true" : "false"} onClick=${() => patch(`/v1/notes/${one.record_id}`, { pinned: !one.pinned }).catch(failed)} />`}</p>
      ${one.title && !own && !["NOTE", "MOVED"].includes(kind) && html`<p class="entry-title" dir="auto">${href ? html`<a href=${href}>${one.title}</a>` : one.title}${one.amount && html` <span class="faint">${money(one.amount)}</span>`}</p>`}
      ${kind === "MOVED" && html`<p class="entry-title" dir="auto">${own ? "" : `${one.title}: `}<span dir="auto">${stageOf(one.from_stage_id)?.name ?? ""}</span> <${Icon} name="move" flip /> <b dir="auto">${stageOf(one.to_stage_id)?.name ?? ""}</b></p>`}
      ${kind === "CHANGED" && one.changed_fields.length > 0 && html`<p class="faint">${one.changed_fields.map(labelOf).join(", ")}</p>`}
      ${kind === "HANDED_OVER" && html`<p dir="auto">${nameOf(one.from_owner_id)} <${Icon} name="move" flip /> ${nameOf(one.to_owner_id)}</p>`}
      ${one.snippet && html`<p class="snippet prose" dir="auto">${one.snippet}</p>`}
      ${(who || one.due_time) && html`<p class="faint">${one.due_time && kind === "TASK" ? `${t("field.due_time")}: ${time(one.due_time)} · ` : ""}<bdi>${who}</bdi></p>`}
    </div>
  </li>`;
}

function headline(one, kind) {
  if (kind === "MESSAGE") return t(one.direction === "ACTIVITY_DIRECTION_INBOUND" ? "timeline.MESSAGE_IN" : "timeline.MESSAGE_OUT");
  const what = t(`object.${one.object}`);
  return t(`timeline.${kind}`, { what });
}
