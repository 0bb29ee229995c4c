// The pipeline as a board: one call answers every column. Cards are moved by mouse, finger, keyboard or menu; a move is
// shown at once and taken back if the server refuses it; what others do is seen as it happens.
import { get } from "../lib/api.js";
import { dealOf, move, put, take } from "../lib/board.js";
import { startDrag } from "../lib/drag.js";
import { ago, money, shortDay, sums } from "../lib/format.js";
import { isRtl, t } from "../lib/i18n.js";
import { recordOf, useLive } from "../lib/live.js";
import { go, link } from "../lib/router.js";
import { may, nameOf, pipelines, scope, session, stageOf } from "../lib/session.js";
import { Avatar, Button, Choice, Empty, Icon, Loading, Menu, Problem, Select, classes, html, useLayoutEffect, useLoad, useRef, useSoon, useState, useStore } from "../lib/ui.js";
import { useMove } from "../parts/move.js";
import { NewRecord } from "../parts/new_record.js";

const PAGE = 20;
const FLASH_MS = 1600;

export function Board({ query }) {
  const all = useStore(pipelines);
  const me = session.get();
  const pipelineId = query.pipeline ?? all.find((one) => one.is_default)?.id ?? all[0]?.id;
  const mine = query.owner === "me";
  const [making, setMaking] = useState(false);
  const [over, setOver] = useState(null); // the column under a dragged card
  const [moved, setMoved] = useState(null); // the card that somebody else changed just now
  const [focused, setFocused] = useState(null);
  const root = useRef(null);
  const carried = useRef(null); // the card that a key moved: it keeps the focus in its new column
  const board = useLoad(() => (pipelineId ? get(`/v1/pipelines/${pipelineId}/board`, { page_size: PAGE, owner_id: mine ? me.user_id : "", expand: "company,contact" }) : Promise.resolve(null)), [pipelineId, mine]);
  const reloadSoon = useSoon(board.reload, 400);

  const moving = useMove({
    show: (deal, stageId) => board.setData((old) => move(old, deal.id, stageId)),
    settle: (deal) => board.setData((old) => put(old, deal)),
  });

  // Everybody's changes: the card at once, then counts and sums as the server counts them.
  useLive(["deal"], (event) => {
    const deal = recordOf(event);
    if (!board.data || deal?.pipeline_id !== pipelineId || (mine && deal.owner_id !== me.user_id)) return;
    const known = dealOf(board.data, deal.id);
    if (known && Number(known.etag) >= Number(deal.etag)) return; // our own change, answered already
    board.setData((old) => (event.type === "deal.deleted" ? take(old, deal.id) : put(old, deal)));
    if (event.actor_id !== me.user_id) {
      setMoved(deal.id);
      setTimeout(() => setMoved((now) => (now === deal.id ? null : now)), FLASH_MS);
    }
    reloadSoon();
  });

  useLayoutEffect(() => {
    const card = carried.current && document.getElementById(`card-${carried.current}`);
    if (card && document.activeElement === document.body) card.focus();
  }, [board.data]);

  async function more(column) {
    const page = await get("/v1/deals", { filter: `stage_id = "${column.stage_id}"${mine ? " AND owner_id = me" : ""}`, order_by: "stage_enter_time desc", page_size: column.deals.length + PAGE, expand: "company,contact" });
    board.setData((old) => ({ ...old, refs: { ...old.refs, ...page.refs }, columns: old.columns.map((one) => (one.stage_id === column.stage_id ? { ...one, deals: page.deals, more: page.next_page_token !== "" } : one)) }));
  }

  function drag(event, deal) {
    if (event.target.closest("button")) return;
    startDrag(event, {
      card: event.currentTarget,
      scroller: root.current,
      targetAt: (x, y) => document.elementFromPoint(x, y)?.closest("[data-stage]")?.dataset.stage ?? null,
      onStart: () => setFocused(deal.id),
      onOver: setOver,
      onDrop: (stageId) => (setOver(null), stageId && moving.start(deal, stageId)),
    });
  }

  // Arrows go from card to card; with Shift they take the card along.
  function onKeyDown(event, deal) {
    const columns = board.data.columns;
    const x = columns.findIndex((column) => column.stage_id === deal.stage_id);
    const y = columns[x].deals.findIndex((one) => one.id === deal.id);
    const side = { ArrowLeft: isRtl() ? 1 : -1, ArrowRight: isRtl() ? -1 : 1 }[event.key];
    if (event.key === "Enter") return go("deals", deal.id);
    if (side && event.shiftKey) {
      const stage = columns[x + side]?.stage_id;
      if (stage) ((carried.current = deal.id), moving.start(deal, stage));
    } else if (side) {
      for (let next = x + side; columns[next]; next += side) {
        const cards = columns[next].deals;
        if (cards.length) return (event.preventDefault(), focusCard(cards[Math.min(y, cards.length - 1)].id));
      }
    } else if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      focusCard(columns[x].deals[y + (event.key === "ArrowDown" ? 1 : -1)]?.id);
    } else return undefined;
    return event.preventDefault();
  }
  const focusCard = (id) => id && document.getElementById(`card-${id}`)?.focus();

  const entry = board.data && focused && dealOf(board.data, focused) ? focused : null; // where Tab comes in: one card, or the first of each column
  if (!pipelineId) return html`<${Empty} icon="deals" title=${t("board.no_pipeline")} />`;
  return html`<div class="screen board-screen">
    <header class="screen-head">
      <h1>${t("nav.deals")}</h1>
      ${all.length > 1 && html`<${Select} aria-label=${t("field.pipeline_id")} value=${pipelineId} onValue=${(id) => go("deals", "", { ...query, pipeline: id })} options=${all.map((one) => [one.id, one.name])} />`}
      ${scope("deal") !== "SCOPE_OWN" && html`<${Choice} label=${t("board.whose")} value=${mine ? "me" : ""} onValue=${(owner) => go("deals", "", { ...query, owner })} options=${[["", t("board.all")], ["me", t("board.mine")]]} />`}
      <span class="grow" />
      ${may("deal", "CREATE") && html`<${Button} kind="primary" icon="plus" onClick=${() => setMaking(true)}>${t("board.new")}<//>`}
    </header>
    ${board.error && html`<${Problem} error=${board.error} onRetry=${board.reload} />`}
    ${!board.data && board.busy && html`<${Loading} rows=${5} />`}
    ${board.data && html`<div class="board" ref=${root}>
      ${board.data.columns.map((column) => {
        const stage = stageOf(column.stage_id) ?? {};
        return html`<section key=${column.stage_id} class=${classes("column", stage.kind?.replace("STAGE_KIND_", "").toLowerCase(), over === column.stage_id && "over")} data-stage=${column.stage_id} aria-label=${stage.name}>
          <header style=${stage.color ? { "--stage": stage.color } : {}}><h2 dir="auto">${stage.name}</h2><span class="count">${column.count}</span><p class="sum">${sums(column.sums) || " "}</p></header>
          <ol class="cards">
            ${column.deals.map((deal, index) => html`<${Card} key=${deal.id} deal=${deal} refs=${board.data.refs ?? {}} stage=${stage} flash=${moved === deal.id} columns=${board.data.columns}
              tabbable=${entry ? entry === deal.id : index === 0} onPointerDown=${(event) => drag(event, deal)} onKeyDown=${(event) => onKeyDown(event, deal)} onFocus=${() => (setFocused(deal.id), carried.current === deal.id || (carried.current = null))} onMove=${(stageId) => moving.start(deal, stageId)} />`)}
          </ol>
          ${column.deals.length === 0 && html`<p class="faint nothing">${t("board.empty_column")}</p>`}
          ${column.more && html`<${Button} kind="quiet" class="more" onClick=${() => more(column)}>${t("more")}<//>`}
        </section>`;
      })}
    </div>`}
    ${moving.dialog}
    ${making && html`<${NewRecord} object="deal" path="/v1/deals" title=${t("board.new")} fields=${["title", "amount", "contact_id", "company_id", "expected_close_date"]} start=${{ pipeline_id: pipelineId }}
      onMade=${(deal) => (setMaking(false), board.setData((old) => put(old, deal)))} onClose=${() => setMaking(false)} />`}
  </div>`;
}

const DAY_MS = 86_400_000;

function Card({ deal, refs, stage, flash, columns, tabbable, onMove, ...rest }) {
  const who = refs[deal.company_id]?.title ?? refs[deal.contact_id]?.title;
  const days = (Date.now() - new Date(deal.stage_enter_time)) / DAY_MS;
  const rotting = stage.rotting_days > 0 && days > stage.rotting_days;
  const open = deal.status === "DEAL_STATUS_OPEN";
  const late = open && deal.expected_close_date && deal.expected_close_date < new Date().toISOString().slice(0, 10);
  const tags = [
    deal.unread_count > 0 && { kind: "info", icon: "mail", text: deal.unread_count, title: t("card.unread", { count: deal.unread_count }) },
    deal.next_task_title && { kind: deal.next_task_overdue && "bad", icon: "clock", text: deal.next_task_due_time ? ago(deal.next_task_due_time) : deal.next_task_title, title: deal.next_task_title },
    late && { kind: "bad", text: shortDay(deal.expected_close_date), title: t("field.expected_close_date") },
    rotting && { kind: "warn", text: t("days", { count: Math.floor(days) }), title: t("board.rotting") },
  ].filter(Boolean);
  const choices = columns.filter((column) => column.stage_id !== deal.stage_id).map((column) => ({ text: stageOf(column.stage_id)?.name, icon: "move", run: () => onMove(column.stage_id) }));
  return html`<li><article id=${`card-${deal.id}`} class=${classes("card", flash && "flash", rotting && "rotting")} tabindex=${tabbable ? 0 : -1} data-deal=${deal.id} data-action=${deal.title}
      aria-label=${t("board.card", { title: deal.title, amount: money(deal.amount), stage: stage.name })} onClick=${(event) => event.target.closest("button, a") || go("deals", deal.id)} ...${rest}>
    <header><a href=${link("deals", deal.id)} tabindex="-1" draggable=${false} dir="auto" class="card-title">${deal.title}</a>${may("deal", "UPDATE") && html`<${Menu} label=${t("board.move")} items=${choices} />`}</header>
    ${who && html`<p class="card-who" dir="auto">${who}</p>`}
    <footer><span class="amount">${money(deal.amount)}</span><${Avatar} name=${nameOf(deal.owner_id)} size="small" /></footer>
    ${tags.length > 0 && html`<p class="card-tags">${tags.map((tag) => html`<span class=${classes("tag", tag.kind)} title=${tag.title}>${tag.icon && html`<${Icon} name=${tag.icon} />`}<bdi>${tag.text}</bdi></span>`)}</p>`}
  </article></li>`;
}
