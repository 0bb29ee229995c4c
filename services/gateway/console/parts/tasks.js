// A task as a line with a tick box; and the panel of tasks on a card. Completing is shown at once and can be undone.
import { get, patch, post } from "../lib/api.js";
import { ago, clock, dayKey, time } from "../lib/format.js";
import { t } from "../lib/i18n.js";
import { useLive } from "../lib/live.js";
import { link } from "../lib/router.js";
import { may, nameOf, session } from "../lib/session.js";
import { Avatar, Button, Icon, Menu, classes, failed, html, toast, useLoad, useSoon, useState } from "../lib/ui.js";
import { NewRecord } from "./new_record.js";

const KIND_ICONS = { TASK_KIND_CALL: "phone", TASK_KIND_LETTER: "mail", TASK_KIND_MEETING: "contacts", TASK_KIND_TODO: "check" };
const MORNING_HOUR = 9;

export const isOpen = (task) => task.status === "TASK_STATUS_OPEN" || task.status === "TASK_STATUS_IN_PROGRESS";

// Completes, puts off and takes up again: without a version, because that is meant whatever else has changed (the clock itself
// changes tasks when they become overdue). `show(id, change)` draws the outcome before the server has said so.
export function taskActions({ show, reload }) {
  async function act(task, change, send, done) {
    show(task.id, change);
    try {
      const now = await send();
      show(task.id, now);
      done?.(now);
    } catch (error) {
      show(task.id, task);
      failed(error);
    }
    reload();
  }
  const reopen = (task) => act(task, { status: "TASK_STATUS_OPEN" }, () => post(`/v1/tasks/${task.id}:reopen`));
  return {
    reopen,
    complete: (task) => act(task, { status: "TASK_STATUS_DONE" }, () => post(`/v1/tasks/${task.id}:complete`), (now) => toast(t("tasks.completed", { title: task.title }), { action: { text: t("undo"), run: () => reopen(now) } })),
    putOff: (task, due) => act(task, { due_time: due.toISOString() }, () => patch(`/v1/tasks/${task.id}`, { due_time: due.toISOString() }), () => toast(t("tasks.put_off", { when: time(due.toISOString()) }))),
  };
}

function inHours(hours) {
  return new Date(Date.now() + hours * 3600_000);
}
function morning(days) {
  const date = new Date();
  date.setDate(date.getDate() + days);
  date.setHours(MORNING_HOUR, 0, 0, 0);
  return date;
}

export function TaskLine({ task, refs = {}, actions, late, now }) {
  const open = isOpen(task);
  const can = may("task", "UPDATE");
  const about = [["deals", task.deal_id, "deals"], ["contacts", task.contact_id, "contacts"], ["companies", task.company_id, "companies"], ["leads", task.lead_id, "leads"]].filter(([, id]) => id);
  const later = [["tasks.in_hour", inHours(1)], ["tasks.in_three", inHours(3)], ["tasks.tomorrow", morning(1)], ["tasks.next_week", morning(7)]];
  const today = task.due_time && dayKey(task.due_time) === dayKey(now ?? new Date().toISOString());
  // The server counts lateness by the working calendar; outside working hours there is none yet.
  const lateness = task.overdue?.working_minutes > 0 ? task.overdue.text : ago(task.due_time);
  return html`<li class=${classes("task", !open && "done", late && "late")} data-task=${task.id}>
    <button type="button" class="tick" role="checkbox" aria-checked=${open ? "false" : "true"} disabled=${!can} aria-label=${t(open ? "tasks.complete" : "tasks.reopen", { title: task.title })} onClick=${() => (open ? actions.complete(task) : actions.reopen(task))}><${Icon} name="check" /></button>
    <div class="task-main">
      <p class="task-title" dir="auto">${task.title}</p>
      <p class="task-facts">
        ${task.due_time && html`<span class=${classes("tag", late && open && "bad")}><${Icon} name=${KIND_ICONS[task.kind] ?? "check"} />${late && open ? lateness : today ? clock(task.due_time) : time(task.due_time)}</span>`}
        ${(task.priority === "TASK_PRIORITY_HIGH" || task.priority === "TASK_PRIORITY_URGENT") && html`<span class="tag warn">${t(`enum.${task.priority}`)}</span>`}
        ${about.map(([screen, id, icon]) => html`<a href=${link(screen, id)}><${Icon} name=${icon} /><bdi>${refs[id]?.title ?? t(`object.${id.split("_")[0]}`)}</bdi></a>`)}
      </p>
    </div>
    ${task.owner_id !== session.get().user_id && html`<${Avatar} name=${nameOf(task.owner_id)} size="small" />`}
    ${open && can && html`<${Menu} icon="clock" label=${t("tasks.later")} items=${later.map(([key, due]) => ({ text: t(key), icon: "clock", run: () => actions.putOff(task, due) }))} />`}
  </li>`;
}

// The open tasks of a deal, contact ...: `about` goes into a new one, `filter` finds them.
export function TaskPanel({ about, filter }) {
  const [making, setMaking] = useState(false);
  const list = useLoad(() => get("/v1/tasks", { filter: `${filter} AND status = (TASK_STATUS_OPEN OR TASK_STATUS_IN_PROGRESS)`, order_by: "due_time", page_size: 20, view: "VIEW_FULL" }), [filter]);
  useLive(["task"], useSoon(list.reload));
  const show = (id, change) => list.setData((old) => old && { ...old, tasks: old.tasks.map((task) => (task.id === id ? { ...task, ...change } : task)) });
  const actions = taskActions({ show, reload: () => {} });
  const tasks = list.data?.tasks ?? [];
  return html`<section class="panel">
    <header><h2>${t("nav.tasks")}</h2>${may("task", "CREATE") && html`<${Button} icon="plus" kind="quiet" onClick=${() => setMaking(true)}>${t("tasks.new")}<//>`}</header>
    ${list.data && !tasks.length && html`<p class="faint">${t("tasks.none_here")}</p>`}
    <ul class="tasks">${tasks.map((task) => html`<${TaskLine} key=${task.id} task=${{ ...task, deal_id: "", contact_id: "" }} actions=${actions} late=${!!task.overdue_since} />`)}</ul>
    ${making && html`<${NewTask} about=${about} onMade=${() => (setMaking(false), list.reload())} onClose=${() => setMaking(false)} />`}
  </section>`;
}

export function NewTask({ about = {}, onMade, onClose }) {
  const start = { ...Object.fromEntries(Object.entries(about).filter(([, id]) => id)), kind: "TASK_KIND_CALL", due_time: inHours(1).toISOString(), owner_id: session.get().user_id };
  return html`<${NewRecord} object="task" path="/v1/tasks" title=${t("tasks.new")} fields=${["title", "kind", "due_time", "owner_id", ...(about.deal_id ? [] : ["deal_id"]), "description"]} start=${start} onMade=${onMade} onClose=${onClose} />`;
}
