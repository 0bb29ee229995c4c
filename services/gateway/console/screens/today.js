// What there is to do today: late things first. A head may look at another's day.
import { get } from "../lib/api.js";
import { UserSelect } from "../lib/form.js";
import { longDay } from "../lib/format.js";
import { t } from "../lib/i18n.js";
import { useLive } from "../lib/live.js";
import { go } from "../lib/router.js";
import { may, scope, session } from "../lib/session.js";
import { Button, Empty, Loading, Problem, html, useLoad, useSoon, useState } from "../lib/ui.js";
import { NewTask, TaskLine, isOpen, taskActions } from "../parts/tasks.js";

export function Today({ query }) {
  const me = session.get();
  const owner = query.owner || me.user_id;
  const [making, setMaking] = useState(false);
  const day = useLoad(() => get("/v1/tasks:today", { owner_id: owner, expand: "deal,contact,company" }), [owner]);
  const soon = useSoon(day.reload);
  useLive(["task"], soon);
  const show = (id, change) => day.setData((old) => {
    const edit = (tasks) => tasks.map((task) => (task.id === id ? { ...task, ...change } : task));
    return old && { ...old, overdue: edit(old.overdue), today: edit(old.today) };
  });
  const actions = taskActions({ show, reload: soon });
  const one = day.data;
  const left = one ? [...one.overdue, ...one.today].filter(isOpen).length : 0;
  const refs = one?.refs ?? {};
  return html`<div class="screen narrow">
    <header class="screen-head">
      <div><h1>${t("nav.today")}</h1>${one && html`<p class="faint day-line">${longDay(one.now)}</p>`}</div>
      ${scope("task") !== "SCOPE_OWN" && html`<${UserSelect} aria-label=${t("tasks.whose")} value=${owner} empty=${t("tasks.mine")} onValue=${(id) => go("today", "", id && id !== me.user_id ? { owner: id } : {})} />`}
      <span class="grow" />
      ${may("task", "CREATE") && html`<${Button} kind="primary" icon="plus" onClick=${() => setMaking(true)}>${t("tasks.new")}<//>`}
    </header>
    ${day.error && html`<${Problem} error=${day.error} onRetry=${day.reload} />`}
    ${!one && day.busy && html`<${Loading} />`}
    ${one && html`
      <ul class="tiles" aria-label=${t("tasks.counts")}>
        ${[["overdue", one.overdue_count, one.overdue_count > 0 && "bad"], ["today", one.today_count], ["later", one.later_count], ["undated", one.undated_count], ["done", one.done_count, "good"]].map(([name, count, kind]) => html`<li class=${`tile ${kind || ""}`}><b>${count}</b><span>${t(`tasks.${name}`)}</span></li>`)}
      </ul>
      ${one.overdue.length > 0 && html`<section><h2 class="group bad">${t("tasks.overdue")}</h2><ul class="tasks">${one.overdue.map((task) => html`<${TaskLine} key=${task.id} task=${task} refs=${refs} actions=${actions} late now=${one.now} />`)}</ul></section>`}
      ${one.today.length > 0 && html`<section><h2 class="group">${t("tasks.today")}</h2><ul class="tasks">${one.today.map((task) => html`<${TaskLine} key=${task.id} task=${task} refs=${refs} actions=${actions} now=${one.now} />`)}</ul></section>`}
      ${left === 0 && one.overdue.length + one.today.length === 0 && html`<${Empty} icon="today" title=${t("tasks.none")}>${t("tasks.none_text")}<//>`}
    `}
    ${making && html`<${NewTask} about=${{}} onMade=${() => (setMaking(false), soon())} onClose=${() => setMaking(false)} />`}
  </div>`;
}
