// The small parts that screens are made of. Nothing here knows the API.
import { html, useEffect, useLayoutEffect, useRef, useState } from "../vendor/preact.js";
import { t } from "./i18n.js";
import { iconPath } from "./icons.js";
import { createStore, useStore } from "./store.js";

export { html, render, useCallback, useEffect, useLayoutEffect, useMemo, useRef, useState } from "../vendor/preact.js";
export { useStore } from "./store.js";

export const classes = (...names) => names.filter(Boolean).join(" ");

export function Icon({ name, flip }) {
  // `flip`: an arrow that points where reading goes.
  return html`<svg class=${classes("icon", flip && "flip")} viewBox="0 0 24 24" aria-hidden="true"><path d=${iconPath(name)} /></svg>`;
}

export function Button({ icon, label, kind = "", children, class: extra, type = "button", ...rest }) {
  // `label` alone: an icon that only a screen reader and a tooltip name.
  return html`<button type=${type} class=${classes("button", kind, icon && !children && "icon-only", extra)} aria-label=${children ? undefined : label} title=${label} ...${rest}>
    ${icon && html`<${Icon} name=${icon} />`}${children && html`<span>${children}</span>`}
  </button>`;
}

const AVATAR_COLORS = 8;
export function Avatar({ name, size = "" }) {
  const letters = (name || "?").trim().split(/\s+/).slice(0, 2).map((word) => [...word][0]).join("");
  const hash = [...(name || "")].reduce((sum, letter) => (sum * 31 + letter.codePointAt(0)) >>> 0, 7);
  return html`<span class=${classes("avatar", `hue${hash % AVATAR_COLORS}`, size)} title=${name} aria-hidden="true">${letters.toLocaleUpperCase()}</span>`;
}

export function Empty({ icon = "check", title, children }) {
  return html`<div class="empty"><${Icon} name=${icon} /><p class="empty-title">${title}</p>${children && html`<p>${children}</p>`}</div>`;
}

export function Loading({ rows = 4 }) {
  return html`<div class="loading" role="status" aria-label=${t("loading")}>${Array.from({ length: rows }, () => html`<div class="bone" />`)}</div>`;
}

export function Problem({ error, onRetry }) {
  return html`<div class="problem" role="alert">
    <${Icon} name="warn" />
    <div><p dir="auto">${problemText(error)}</p>${error.requestId && html`<p class="faint">${t("request_id")} <code>${error.requestId}</code></p>`}</div>
    ${onRetry && html`<${Button} onClick=${onRetry}>${t("retry")}<//>`}
  </div>`;
}
export const problemText = (error) => (error.status === 0 ? t("error.offline") : error.status === 404 ? t("error.not_found") : error.message);

// The browser's own dialog: it traps the focus, closes by Escape, and gives the focus back.
export function Dialog({ title, onClose, children, wide, class: extra }) {
  const ref = useRef(null);
  useEffect(() => {
    const before = document.activeElement;
    ref.current.showModal();
    return () => before?.isConnected && before.focus();
  }, []);
  return html`<dialog ref=${ref} class=${classes("dialog", wide && "wide", extra)} aria-labelledby="dialog-title" onCancel=${(event) => (event.preventDefault(), onClose())}
      onMouseDown=${(event) => event.target === ref.current && onClose()}>
    <div class="dialog-inner">
      <header><h2 id="dialog-title" dir="auto">${title}</h2><${Button} icon="close" kind="quiet" label=${t("close")} onClick=${onClose} /></header>
      ${children}
    </div>
  </dialog>`;
}

let lastFieldId = 0;
// A label, whatever input the child makes, and what is wrong with it.
export function Field({ label, error, hint, required, children }) {
  const [id] = useState(() => `field-${++lastFieldId}`);
  return html`<div class=${classes("field", error && "wrong")}>
    <label for=${id}>${label}${required && html`<span class="star" aria-hidden="true"> *</span>`}</label>
    ${children({ id, "aria-invalid": error ? "true" : undefined, "aria-describedby": error || hint ? `${id}-more` : undefined })}
    ${(error || hint) && html`<p id=${`${id}-more`} class=${error ? "field-error" : "faint"} dir="auto">${error || hint}</p>`}
  </div>`;
}

export function Text({ value, onValue, lines, ...rest }) {
  const change = (event) => onValue(event.target.value);
  const dir = value ? "auto" : undefined; // what is written has its own direction, the hint in an empty field the page's
  return lines ? html`<textarea rows=${lines} dir=${dir} value=${value ?? ""} onInput=${change} ...${rest} />` : html`<input type="text" dir=${dir} value=${value ?? ""} onInput=${change} ...${rest} />`;
}

// `options`: [[value, text], ...].
export function Select({ value, onValue, options, ...rest }) {
  return html`<select value=${value} onChange=${(event) => onValue(event.target.value)} ...${rest}>
    ${options.map(([one, text]) => html`<option value=${one} selected=${one === value}>${text}</option>`)}
  </select>`;
}

// One of several, side by side: a group of toggle buttons.
export function Choice({ label, value, onValue, options }) {
  return html`<div class="choice" role="group" aria-label=${label}>
    ${options.map(([one, text, count]) => html`<button type="button" aria-pressed=${one === value ? "true" : "false"} onClick=${() => onValue(one)}>
      ${text}${count > 0 && html`<span class="count">${count}</span>`}
    </button>`)}
  </div>`;
}

const MENU_GAP = 4;
// A menu at a button; it lies over everything, so that no scrolling list cuts it off.
export function Menu({ label, icon = "dots", items, children }) {
  const [open, setOpen] = useState(false);
  const root = useRef(null);
  useLayoutEffect(() => {
    if (!open) return undefined;
    const list = root.current.querySelector("[role=menu]");
    const button = root.current.getBoundingClientRect();
    const { width, height } = list.getBoundingClientRect();
    const below = button.bottom + MENU_GAP + height < innerHeight;
    const left = document.documentElement.dir === "rtl" ? button.left : button.right - width;
    list.style.left = `${Math.min(Math.max(MENU_GAP, left), innerWidth - width - MENU_GAP)}px`;
    list.style.top = `${below ? button.bottom + MENU_GAP : Math.max(MENU_GAP, button.top - height - MENU_GAP)}px`;
    list.querySelector("[role=menuitem]")?.focus({ preventScroll: true });
    const away = (event) => root.current.contains(event.target) || setOpen(false);
    const close = () => setOpen(false);
    addEventListener("pointerdown", away);
    addEventListener("scroll", close, { capture: true });
    addEventListener("resize", close);
    return () => {
      removeEventListener("pointerdown", away);
      removeEventListener("scroll", close, { capture: true });
      removeEventListener("resize", close);
    };
  }, [open]);
  function onKeyDown(event) {
    if (!open) return;
    const all = [...root.current.querySelectorAll("[role=menuitem]")];
    const at = all.indexOf(document.activeElement);
    if (event.key === "Escape") (setOpen(false), root.current.querySelector("button").focus());
    else if (event.key === "ArrowDown") all[(at + 1) % all.length]?.focus();
    else if (event.key === "ArrowUp") all[(at - 1 + all.length) % all.length]?.focus();
    else return;
    event.preventDefault();
    event.stopPropagation();
  }
  return html`<div class="menu" ref=${root} onKeyDown=${onKeyDown}>
    <${Button} kind="quiet" icon=${icon} label=${label} aria-haspopup="menu" aria-expanded=${open ? "true" : "false"} onClick=${(event) => (event.stopPropagation(), setOpen(!open))}>${children}<//>
    ${open && html`<div class="menu-list" role="menu">
      ${items.map((item) => html`<button type="button" role="menuitem" tabindex="-1" disabled=${item.disabled} class=${item.kind ?? ""}
          onClick=${(event) => (event.stopPropagation(), setOpen(false), item.run())}>${item.icon && html`<${Icon} name=${item.icon} />`}<span dir="auto">${item.text}</span></button>`)}
    </div>`}
  </div>`;
}

// Short messages at the foot of the page, read out by screen readers. `action`: {text, run}.
const toasts = createStore([]);
const TOAST_MS = 6000;
let lastToast = 0;
export function toast(text, { kind = "", action } = {}) {
  const id = ++lastToast;
  toasts.set([...toasts.get().slice(-2), { id, text, kind, action }]);
  setTimeout(() => toasts.set(toasts.get().filter((one) => one.id !== id)), TOAST_MS);
}
export const failed = (error) => toast(problemText(error), { kind: "bad" });

export function Toasts() {
  return html`<div class="toasts" role="status" aria-live="polite">
    ${useStore(toasts).map((one) => html`<div class=${classes("toast", one.kind)} key=${one.id}>
      <span dir="auto">${one.text}</span>
      ${one.action && html`<button type="button" onClick=${() => { toasts.set(toasts.get().filter((other) => other.id !== one.id)); one.action.run(); }}>${one.action.text}</button>`}
    </div>`)}
  </div>`;
}

// Loads something when `inputs` change, and again by `reload`; an answer that came too late is dropped.
export function useLoad(load, inputs) {
  const [state, setState] = useState({ data: null, error: null, busy: true });
  const latest = useRef(0);
  const run = () => {
    const mine = ++latest.current;
    setState((old) => ({ ...old, busy: true }));
    return load().then(
      (data) => mine === latest.current && setState({ data, error: null, busy: false }),
      (error) => mine === latest.current && error.name !== "AbortError" && setState((old) => ({ ...old, error, busy: false })),
    );
  };
  useEffect(() => {
    setState({ data: null, error: null, busy: true });
    run();
    return () => latest.current++;
  }, inputs);
  const setData = (change) => setState((old) => ({ ...old, data: typeof change === "function" ? change(old.data) : change }));
  return { ...state, reload: run, setData };
}

// Calls `run` once, a moment after the last of several calls.
export function useSoon(run, ms = 300) {
  const timer = useRef(0);
  const latest = useRef(run);
  latest.current = run;
  useEffect(() => () => clearTimeout(timer.current), []);
  return () => {
    clearTimeout(timer.current);
    timer.current = setTimeout(() => latest.current(), ms);
  };
}

// Keeps a list scrolled to its end while new entries come.
export function useStickToEnd(inputs) {
  const ref = useRef(null);
  useLayoutEffect(() => {
    if (ref.current) ref.current.scrollTop = ref.current.scrollHeight;
  }, inputs);
  return ref;
}
