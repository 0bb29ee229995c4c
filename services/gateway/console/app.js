// Starts the page: language, session, then the shell with the screen that the address names.
import { noteAction } from "./lib/api.js";
import { language, startLanguage } from "./lib/i18n.js";
import { resume, session } from "./lib/session.js";
import { startTheme } from "./lib/theme.js";
import { Loading, Problem, Toasts, html, render, useEffect, useState, useStore } from "./lib/ui.js";
import { Shell } from "./parts/shell.js";
import { SignIn } from "./screens/sign_in.js";

function App() {
  const me = useStore(session);
  const words = useStore(language);
  const [error, setError] = useState(null);
  const start = () => (setError(null), resume().catch(setError));
  useEffect(() => void start(), []);
  if (error) return html`<main class="alone"><${Problem} error=${error} onRetry=${start} /></main>`;
  if (me === undefined) return html`<main class="alone"><${Loading} /></main>`;
  // The key: another user or language begins with fresh screens.
  return html`<div key=${`${me?.session_id}/${words}`}>${me ? html`<${Shell} />` : html`<${SignIn} />`}<${Toasts} /></div>`;
}

// The inspector names requests by the click or key that caused them.
const nameOfAction = (target) => target.closest?.("button, a, [role=option], [data-action]");
function name(target, key = "") {
  const element = nameOfAction(target);
  if (element) noteAction(`${key}${(element.dataset.action || element.getAttribute("aria-label") || element.textContent).trim().replace(/\s+/g, " ").slice(0, 60)}`);
}
addEventListener("click", ({ target }) => name(target), { capture: true });
addEventListener("keydown", ({ target, key, shiftKey }) => shiftKey && key.startsWith("Arrow") && name(target, `${key}: `), { capture: true });

startTheme();
await startLanguage();
render(html`<${App} />`, document.getElementById("app"));
