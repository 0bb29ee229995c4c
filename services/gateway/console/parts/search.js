// The search box: contacts, companies and deals in one request, while one types, in any script.
import { t } from "../lib/i18n.js";
import { linkTo } from "../lib/router.js";
import { search } from "../lib/search.js";
import { Icon, html, useEffect, useRef, useState } from "../lib/ui.js";

const TYPING_MS = 180;
const SHORTEST = 2;

export function Search() {
  const [text, setText] = useState("");
  const [hits, setHits] = useState(null); // null: closed
  const [at, setAt] = useState(0);
  const root = useRef(null);
  useEffect(() => {
    const wanted = text.trim();
    if (wanted.length < SHORTEST) return setHits(null);
    const control = new AbortController();
    const timer = setTimeout(() => search(wanted, ["contact", "company", "deal"], { signal: control.signal }).then((found) => (setHits(found), setAt(0)), () => {}), TYPING_MS);
    return () => (clearTimeout(timer), control.abort());
  }, [text]);

  function open(hit) {
    location.hash = linkTo(hit.id);
    setText("");
    setHits(null);
    root.current.querySelector("input").blur();
  }
  function onKeyDown(event) {
    if (event.key === "Escape") return hits ? setHits(null) : event.target.blur();
    if (!hits?.length) return undefined;
    if (event.key === "ArrowDown") setAt((at + 1) % hits.length);
    else if (event.key === "ArrowUp") setAt((at - 1 + hits.length) % hits.length);
    else if (event.key === "Enter") open(hits[at]);
    else return undefined;
    return event.preventDefault();
  }
  return html`<div class="search" role="search" ref=${root} onFocusOut=${(event) => root.current.contains(event.relatedTarget) || setHits(null)}>
    <${Icon} name="search" />
    <input id="search" type="search" role="combobox" dir=${text ? "auto" : undefined} autocomplete="off" placeholder=${t("search.placeholder")} aria-label=${t("search.label")} aria-expanded=${hits ? "true" : "false"}
      aria-controls="search-hits" aria-activedescendant=${hits?.length ? `search-hit-${at}` : undefined} value=${text} onInput=${(event) => setText(event.target.value)} onKeyDown=${onKeyDown} />
    <kbd class="search-key" aria-hidden="true">/</kbd>
    ${hits && html`<ul class="hits" role="listbox" id="search-hits" aria-label=${t("search.label")}>
      ${hits.length === 0 && html`<li class="faint nothing">${t("search.nothing")}</li>`}
      ${hits.map((hit, index) => html`<li role="option" id=${`search-hit-${index}`} key=${hit.id} data-action=${hit.title} aria-selected=${index === at ? "true" : "false"} onMouseDown=${(event) => (event.preventDefault(), open(hit))} onMouseMove=${() => setAt(index)}>
        <${Icon} name=${{ contact: "contacts", company: "companies", deal: "deals" }[hit.kind]} /><span class="hit-text"><span dir="auto">${hit.title}</span>${hit.subtitle && html`<small dir="auto">${hit.subtitle}</small>`}</span>
      </li>`)}
    </ul>`}
    <span class="hidden" role="status">${hits ? t("search.found", { count: hits.length }) : ""}</span>
  </div>`;
}
