// Bars over time with the period before as a line, drawn by uPlot in the page's colours and direction of reading.
import uPlot from "../vendor/uplot.js";
import { theme } from "./theme.js";
import { isRtl } from "./i18n.js";
import { html, useEffect, useRef, useStore } from "./ui.js";

const HEIGHT = 260;
const BAR_WIDTH = [0.62, 56]; // share of its place, pixels at most
const dark = matchMedia("(prefers-color-scheme: dark)");

// `points`: [{label, value, previous}]; `format(value)` for the axis; `onPoint(index or null)` follows the pointer.
export function BarChart({ points, format, label, onPoint }) {
  const box = useRef(null);
  const chart = useRef(null);
  const chosen = useStore(theme);
  useEffect(() => {
    const element = box.current;
    const draw = () => {
      chart.current?.destroy();
      chart.current = new uPlot(options(element, points, format, onPoint), data(points), element);
    };
    draw();
    const resized = new ResizeObserver(() => chart.current.setSize({ width: element.clientWidth, height: HEIGHT }));
    resized.observe(element);
    dark.addEventListener("change", draw);
    return () => {
      resized.disconnect();
      dark.removeEventListener("change", draw);
      chart.current.destroy();
      chart.current = null;
    };
  }, [chosen, points.map((point) => point.label).join()]);
  useEffect(() => chart.current?.setData(data(points)), [points]);
  return html`<div class="chart" dir="ltr" role="img" aria-label=${label} ref=${box} />`;
}

// A canvas takes no light-dark(): the browser says which of the two a token is now.
function resolved(element, name) {
  const probe = element.appendChild(document.createElement("i"));
  probe.style.color = `var(${name})`;
  const color = getComputedStyle(probe).color;
  probe.remove();
  return color;
}

const data = (points) => [points.map((_, index) => index), points.map((point) => point.value), points.map((point) => point.previous ?? null)];

function options(element, points, format, onPoint) {
  const color = (name) => resolved(element, name);
  const font = `12px ${getComputedStyle(element).fontFamily}`;
  const axis = { stroke: color("--faint"), font, grid: { stroke: color("--line"), width: 1 }, ticks: { show: false } };
  const step = Math.ceil((points.length * 64) / Math.max(element.clientWidth, 1)); // no label over another
  return {
    width: element.clientWidth,
    height: HEIGHT,
    padding: [12, 8, 0, isRtl() ? 8 : 0],
    legend: { show: false },
    cursor: { points: { show: false }, y: false, drag: { x: false, y: false } },
    scales: { x: { time: false, range: () => [-0.5, Math.max(points.length, 1) - 0.5], dir: isRtl() ? -1 : 1 }, y: { range: (_, min, max) => [Math.min(0, min ?? 0), (max || 1) * 1.08] } },
    axes: [
      { ...axis, size: 30, grid: { show: false }, splits: () => points.map((_, index) => index).filter((index) => index % step === 0), values: (_, splits) => splits.map((index) => points[index]?.label ?? "") },
      { ...axis, side: isRtl() ? 1 : 3, size: 60, values: (_, splits) => splits.map(format) },
    ],
    series: [
      {},
      { fill: color("--accent"), stroke: color("--accent"), width: 0, points: { show: false }, paths: uPlot.paths.bars({ size: BAR_WIDTH, radius: 0.12 }) },
      { stroke: color("--faint"), width: 1.5, dash: [5, 4], points: { show: points.length < 40, size: 5, fill: color("--faint") }, spanGaps: true },
    ],
    hooks: { setCursor: [(plot) => onPoint?.(plot.cursor.left < 0 ? null : plot.cursor.idx)] },
  };
}
