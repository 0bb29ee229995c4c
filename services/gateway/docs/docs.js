// Swagger UI over our own description. In development the instance brings demo users (/demo.json); the page signs in as one
// of them, so that "Execute" works at once. Elsewhere a token or an API key is entered under "Authorize".
"use strict";

const state = document.getElementById("state");
// Tokens live for ten minutes: a page that stays open takes another one before that.
const RENEW_MS = 8 * 60 * 1000;
let timer;

const ui = SwaggerUIBundle({
  url: "../openapi.json",
  dom_id: "#docs",
  deepLinking: true,
  docExpansion: "none",
  defaultModelsExpandDepth: 0,
  filter: true,
  tryItOutEnabled: true,
  displayRequestDuration: true,
  validatorUrl: null,
  // What somebody enters stays in the page.
  persistAuthorization: false,
  onComplete: start,
});

async function start() {
  const users = await demoUsers();
  if (users.length === 0) {
    state.textContent = "Enter a token or an API key under “Authorize”.";
    return;
  }
  const select = document.getElementById("users");
  for (const [place, user] of users.entries()) select.append(new Option(`${user.name} (${user.role})`, place));
  // The last one may do the most.
  select.selectedIndex = users.length - 1;
  select.addEventListener("change", () => signIn(users[select.selectedIndex]));
  document.getElementById("demo").hidden = false;
  await signIn(users[select.selectedIndex]);
}

async function demoUsers() {
  try {
    const answer = await fetch("../demo.json");
    return answer.ok ? (await answer.json()).users ?? [] : [];
  } catch {
    return [];
  }
}

async function signIn(user) {
  clearTimeout(timer);
  const answer = await fetch("../v1/sessions", {
    method: "POST",
    headers: {"Content-Type": "application/json"},
    body: JSON.stringify({login: user.login, password: user.password}),
  });
  const body = await answer.json();
  if (!answer.ok) {
    state.textContent = `Signing in as ${user.login} was refused: ${body.error.message}`;
    return;
  }
  ui.preauthorizeApiKey("bearer", body.access_token);
  state.textContent = `Signed in as ${user.login}.`;
  timer = setTimeout(() => signIn(user), RENEW_MS);
}
