// Live reports: each open stream sends its report again whenever it changes.
import { get } from "../lib/api.js";
import { BarChart } from "../lib/chart.js";
import { duration, money, number, percent, periodKey, sums } from "../lib/format.js";
import { t } from "../lib/i18n.js";
import { useLive, watch } from "../lib/live.js";
import { go } from "../lib/router.js";
import { pipelines, session } from "../lib/session.js";
import { Avatar, Choice, Empty, Loading, Problem, Select, classes, html, useEffect, useLoad, useMemo, useSoon, useState, useStore } from "../lib/ui.js";

const MONTHS = { quarter: 3, year: 12 };
const GROUPS = ["EMPLOYEE", "PRODUCT", "COUNTRY", "SOURCE"];
const TOP = 8;

// The first day of a stretch that ends with this month; empty for all that there is.
function firstDay(span) {
  const now = new Date();
  if (!MONTHS[span]) return "";
  const first = new Date(Date.UTC(now.getFullYear(), now.getMonth() - MONTHS[span] + 1, 1));
  return first.toISOString().slice(0, 10);
}

// A report that stays up to date, and when it was last sent.
function useWatched(path, query) {
  const [state, setState] = useState({ report: null, live: "opening" });
  useEffect(() => {
    setState({ report: null, live: "opening" });
    return watch(path, query, (report) => setState((old) => ({ ...old, report })), (live) => setState((old) => ({ ...old, live })));
  }, [path, JSON.stringify(query)]);
  return state;
}

const amountIn = (values, currency) => Number(values?.find((one) => one.currency_code === currency)?.amount ?? 0);

export function Reports({ query }) {
  const all = useStore(pipelines);
  const span = query.span ?? "year";
  const pipelineId = query.pipeline ?? all.find((one) => one.is_default)?.id ?? all[0]?.id;
  const from = firstDay(span);
  const set = (change) => go("reports", "", { ...query, ...change });
  return html`<div class="screen">
    <header class="screen-head">
      <h1>${t("nav.reports")}</h1>
      <${Choice} label=${t("reports.period")} value=${span} onValue=${(next) => set({ span: next })} options=${["quarter", "year", "all"].map((name) => [name, t(`reports.${name}`)])} />
      ${all.length > 1 && html`<${Select} aria-label=${t("field.pipeline_id")} value=${pipelineId} onValue=${(id) => set({ pipeline: id })} options=${all.map((one) => [one.id, one.name])} />`}
    </header>
    <${Revenue} from=${from} />
    <div class="report-columns">
      ${pipelineId && html`<${Funnel} from=${from} pipelineId=${pipelineId} />`}
      <${Best} from=${from} />
    </div>
    <${Employees} from=${from} />
  </div>`;
}

function LiveMark({ state }) {
  return html`<span class=${classes("live", state)}><span class="live-dot" /><span class="live-text">${t(`live.${state}`)}</span></span>`;
}

function Revenue({ from }) {
  const currency = session.get().currency_code;
  const [at, setAt] = useState(null);
  const { report, live } = useWatched("/v1/reports/revenue:watch", { group_by: "GROUP_BY_MONTH", ...(from && { "period.from_date": from, compare_previous: true }) });
  const points = useMemo(() => (report?.rows ?? []).map((row) => ({
    label: periodKey(row.key), key: row.key, value: amountIn(row.revenue, currency), previous: from ? amountIn(row.previous_revenue, currency) : undefined, row,
  })), [report]);
  const shown = at !== null ? points[at]?.row : report?.total;
  const total = amountIn(shown?.revenue, currency);
  const before = amountIn(shown?.previous_revenue, currency);
  return html`<section class="panel report" data-report="revenue">
    <header><h2>${t("reports.revenue")}</h2><${LiveMark} state=${live} /></header>
    ${!report ? html`<${Loading} rows=${3} />` : points.length === 0 ? html`<${Empty} icon="reports" title=${t("reports.nothing")} />` : html`
      <p class="figure"><b data-value=${total}>${sums(shown?.revenue) || money({ amount: "0", currency_code: currency })}</b>
        <span class="faint">${at !== null ? points[at]?.label : t("reports.total")} · ${t("reports.deals", { count: shown?.deal_count ?? 0 })}</span>
        ${from && before > 0 && html`<span class=${classes("tag", total >= before ? "good" : "bad")}>${total >= before ? "▲" : "▼"} ${percent(String(Math.abs((100 * (total - before)) / before)))} ${t("reports.to_before")}</span>`}</p>
      <${BarChart} points=${points} format=${(value) => money({ amount: String(value), currency_code: currency }, { short: true })} label=${t("reports.revenue_label")} onPoint=${setAt} />
      <details class="as-table"><summary>${t("reports.as_table")}</summary><table class="plain"><thead><tr><th>${t("reports.month")}</th><th class="end">${t("reports.revenue")}</th><th class="end">${t("reports.deals_won")}</th>${from && html`<th class="end">${t("reports.before")}</th>`}</tr></thead>
        <tbody>${points.map((point) => html`<tr><th>${point.label}</th><td class="end">${sums(point.row.revenue)}</td><td class="end">${point.row.deal_count}</td>${from && html`<td class="end">${sums(point.row.previous_revenue)}</td>`}</tr>`)}</tbody></table></details>`}
  </section>`;
}

function Funnel({ from, pipelineId }) {
  const { report, live } = useWatched("/v1/reports/funnel:watch", { pipeline_id: pipelineId, ...(from && { "period.from_date": from }) });
  const stages = pipelines.get().find((one) => one.id === pipelineId)?.stages ?? [];
  const most = Math.max(1, ...(report?.stages ?? []).map((stage) => stage.entered_count));
  return html`<section class="panel report" data-report="funnel">
    <header><h2>${t("reports.funnel")}</h2><${LiveMark} state=${live} /></header>
    ${!report ? html`<${Loading} rows=${3} />` : report.deal_count === 0 ? html`<${Empty} icon="reports" title=${t("reports.nothing")} />` : html`
      <p class="figure"><b>${percent(report.conversion_percent)}</b><span class="faint">${t("reports.won_of", { won: number(report.won_count), all: number(report.deal_count) })}</span></p>
      <ol class="funnel">${report.stages.map((one) => {
        const kind = stages.find((stage) => stage.id === one.stage_id)?.kind ?? "";
        return html`<li key=${one.stage_id} class=${kind.replace("STAGE_KIND_", "").toLowerCase()}>
          <span class="funnel-name" dir="auto">${one.name}</span>
          <span class="funnel-track"><span class="bar" style=${{ inlineSize: `${(100 * one.entered_count) / most}%` }} /></span>
          <span class="funnel-count" data-stage=${one.stage_id} data-current=${one.current_count}><b>${number(one.entered_count)}</b> <small>${t("reports.now", { count: one.current_count })}</small></span>
          <small class="faint funnel-more">${kind === "STAGE_KIND_OPEN" && one.conversion_percent ? t("reports.further", { percent: percent(one.conversion_percent) }) : ""}${kind === "STAGE_KIND_OPEN" && one.dwell_median_seconds > 0 ? ` · ${t("reports.stays", { time: duration(one.dwell_median_seconds) })}` : ""}</small>
        </li>`;
      })}</ol>
      ${report.lost_reasons.length > 0 && html`<p class="faint">${t("reports.lost_because")} ${report.lost_reasons.slice(0, 4).map((one) => `${one.reason || t("reports.no_reason")} (${one.count})`).join(", ")}</p>`}`}
  </section>`;
}

function Best({ from }) {
  const [group, setGroup] = useState("PRODUCT");
  const currency = session.get().currency_code;
  const list = useLoad(() => get("/v1/reports/revenue", { group_by: `GROUP_BY_${group}`, row_count_max: TOP, ...(from && { "period.from_date": from }) }), [group, from]);
  useLive(["report"], useSoon(list.reload, 600));
  const rows = list.data?.rows ?? [];
  const most = Math.max(1, ...rows.map((row) => amountIn(row.revenue, currency)));
  const countries = useMemo(() => new Intl.DisplayNames(document.documentElement.lang, { type: "region" }), []);
  const nameOfRow = (row) => (group === "COUNTRY" && /^[A-Z]{2}$/.test(row.key) ? countries.of(row.key) : row.label || row.key) || t("reports.none");
  return html`<section class="panel report">
    <header><h2>${t("reports.best")}</h2><${Choice} label=${t("reports.by")} value=${group} onValue=${setGroup} options=${GROUPS.map((name) => [name, t(`reports.by_${name}`)])} /></header>
    ${list.error && html`<${Problem} error=${list.error} onRetry=${list.reload} />`}
    ${!list.data && !list.error && html`<${Loading} />`}
    ${list.data && !rows.length && html`<${Empty} icon="reports" title=${t("reports.nothing")} />`}
    <dl class="bars best">${rows.map((row) => html`<dt dir="auto">${nameOfRow(row)}</dt><dd><span class="bar-track"><span class="bar" style=${{ inlineSize: `${(100 * Math.max(0, amountIn(row.revenue, currency))) / most}%` }} /></span><span class="amount">${sums(row.revenue)}</span></dd>`)}</dl>
  </section>`;
}

function Employees({ from }) {
  const list = useLoad(() => get("/v1/reports/employees", from ? { "period.from_date": from } : {}), [from]);
  useLive(["report"], useSoon(list.reload, 600));
  const rows = list.data?.rows ?? [];
  if (list.error) return html`<${Problem} error=${list.error} onRetry=${list.reload} />`;
  if (!rows.length) return null;
  return html`<section class="panel report"><header><h2>${t("reports.employees")}</h2></header>
    <div class="scroll"><table class="plain"><thead><tr><th>${t("contacts.name")}</th><th class="end">${t("reports.revenue")}</th><th class="end">${t("reports.deals_won")}</th><th class="end">${t("reports.deals_lost")}</th><th class="end">${t("reports.conversion")}</th><th class="end">${t("reports.moves")}</th><th class="end">${t("reports.leads")}</th></tr></thead>
    <tbody>${rows.map((row) => html`<tr key=${row.user_id}><th><span class="list-name"><${Avatar} name=${row.name} size="small" /><span dir="auto">${row.name}</span></span></th><td class="end">${sums(row.revenue)}</td><td class="end">${row.deals_won_count}</td><td class="end">${row.deals_lost_count}</td><td class="end">${percent(row.conversion_percent)}</td><td class="end">${row.moves_count}</td><td class="end">${row.leads_accepted_count}</td></tr>`)}</tbody></table></div>
  </section>`;
}
