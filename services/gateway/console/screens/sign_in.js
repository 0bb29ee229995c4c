// Signing in by a cookie that no script can read. In development the instance brings a list of demo users.
import { LANGUAGES, language, setLanguage, t } from "../lib/i18n.js";
import { signIn } from "../lib/session.js";
import { Avatar, Button, Field, Icon, Select, html, useEffect, useState, useStore } from "../lib/ui.js";

export function SignIn() {
  const [login, setLogin] = useState("");
  const [password, setPassword] = useState("");
  const [demo, setDemo] = useState([]);
  const [error, setError] = useState("");
  const [busy, setBusy] = useState(false);
  // Empty everywhere but in development, where tools/crm up writes it.
  useEffect(() => void fetch("demo.json").then((answer) => answer.json()).then(({ users }) => setDemo(users), () => {}), []);

  async function enter(name, secret) {
    setBusy(true);
    setError("");
    try {
      await signIn(name, secret);
    } catch (refused) {
      setError(refused.reason === "CREDENTIALS_INVALID" ? t("sign_in.wrong") : refused.status === 0 ? t("error.offline") : refused.message);
      setBusy(false);
    }
  }
  return html`<main class="alone sign-in">
    <div class="panel">
      <header><span class="mark"><${Icon} name="deals" /></span><h1>${t("sign_in.title")}</h1></header>
      <form class="form" onSubmit=${(event) => (event.preventDefault(), enter(login, password))}>
        <${Field} label=${t("field.email")}>${(attributes) => html`<input type="email" dir="ltr" autocomplete="username" required value=${login} onInput=${(event) => setLogin(event.target.value)} ...${attributes} />`}<//>
        <${Field} label=${t("sign_in.password")} error=${error}>${(attributes) => html`<input type="password" dir="ltr" autocomplete="current-password" required value=${password} onInput=${(event) => setPassword(event.target.value)} ...${attributes} />`}<//>
        <${Button} kind="primary" type="submit" disabled=${busy}>${t("sign_in.enter")}<//>
      </form>
      ${demo.length > 0 && html`<section class="demo" aria-labelledby="demo-title">
        <h2 id="demo-title">${t("sign_in.demo")}</h2>
        ${demo.map((user) => html`<button type="button" class="demo-user" disabled=${busy} data-role=${user.role} data-action=${t("sign_in.enter")} onClick=${() => enter(user.login, user.password)}>
          <${Avatar} name=${user.name} /><span><b dir="auto">${user.name}</b><small>${t(`role.${user.role}`)}</small></span>
        </button>`)}
      </section>`}
    </div>
    <div class="languages"><${Select} aria-label=${t("settings.language")} value=${useStore(language)} onValue=${setLanguage} options=${Object.entries(LANGUAGES)} /></div>
  </main>`;
}
