// The request behind each click: what was sent, what came back, how long it took, and the same as curl.
import { asCurl, requests } from "../lib/api.js";
import { clock } from "../lib/format.js";
import { t } from "../lib/i18n.js";
import { Button, Empty, Icon, classes, html, toast, useState, useStore } from "../lib/ui.js";

export function Inspector({ onClose }) {
  const all = useStore(requests);
  const [open, setOpen] = useState(null);
  return html`<aside class="inspector" aria-labelledby="inspector-title">
    <header><h2 id="inspector-title">${t("nav.requests")}</h2><${Button} kind="quiet" onClick=${() => requests.set([])}>${t("inspector.clear")}<//><${Button} icon="close" kind="quiet" label=${t("close")} onClick=${onClose} /></header>
    ${all.length === 0 && html`<${Empty} icon="requests" title=${t("inspector.empty")} />`}
    <ol class="request-list">${all.map((one) => html`<${Request} key=${one.id} entry=${one} open=${open === one.id} onToggle=${() => setOpen(open === one.id ? null : one.id)} />`)}</ol>
  </aside>`;
}

function Request({ entry, open, onToggle }) {
  const good = entry.status >= 200 && entry.status < 400;
  const [path, query] = decodeURIComponent(entry.url).split("?");
  async function copy() {
    try {
      await navigator.clipboard.writeText(asCurl(entry));
      toast(t("inspector.copied"));
    } catch {
      toast(t("inspector.not_copied"), { kind: "bad" });
    }
  }
  return html`<li class=${classes("request", open && "open")}>
    <button type="button" class="request-line" aria-expanded=${open ? "true" : "false"} onClick=${onToggle} data-action=" ">
      <span class=${classes("method", entry.method.toLowerCase())}>${entry.stream ? "SSE" : entry.method}</span>
      <span class="request-path" dir="ltr"><bdi>${path}</bdi>${query && html`<small>?${query}</small>`}</span>
      <span class=${classes("status", entry.status === null ? "" : good ? "good" : "bad")}>${entry.status === null ? "…" : entry.status || "✕"}</span>
      <span class="ms">${entry.stream || entry.status === null ? "" : `${Math.round(entry.ms)} ms`}</span>
      ${entry.cause && html`<small class="cause" dir="auto"><${Icon} name="move" flip />${entry.cause}</small>`}
    </button>
    ${open && html`<div class="request-more" dir="ltr">
      <div class="request-facts"><span>${clock(new Date(entry.time).toISOString())}</span>${entry.attempts > 1 && html`<span>${t("inspector.attempts", { count: entry.attempts })}</span>`}${entry.requestId && html`<span>X-Request-Id <code>${entry.requestId}</code></span>`}
        <${Button} icon="copy" onClick=${copy}>${t("inspector.copy")}<//></div>
      <pre class="curl" tabindex="0" aria-label="curl">${asCurl(entry)}</pre>
      ${entry.answer && html`<pre class="answer" tabindex="0" aria-label=${t("inspector.answer")}>${pretty(entry.answer)}</pre>`}
    </div>`}
  </li>`;
}

const SHOWN = 20_000; // characters: more only makes the page slow

function pretty(text) {
  try {
    const whole = JSON.stringify(JSON.parse(text), null, 2);
    return whole.length > SHOWN ? `${whole.slice(0, SHOWN)}\n…` : whole;
  } catch {
    return text; // cut off, or no JSON
  }
}
