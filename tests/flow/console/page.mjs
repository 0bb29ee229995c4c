// A signed-in page of the console in headless Chromium, and what all its tests share. A page that logs an error, calls
// another address or breaks its content security policy fails the test; `expected` names refusals that a test asks for.
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";

const require = createRequire(new URL("../../../tools/npm/package.json", import.meta.url));
const { chromium } = require("playwright-core");
const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");

export const PATIENCE_MS = 60_000; // a busy machine draws slowly
const [url, name, ...rest] = process.argv.slice(2);
export const site = url;
export const facts = JSON.parse(rest[0] ?? "{}"); // what the test that started us knows of the tenant
export const testName = name;

export function check(what, holds) {
  if (!holds) throw new Error(`not so: ${what}`);
}

const browser = await chromium.launch({ executablePath: process.env.CRM_CHROMIUM ?? "/usr/bin/chromium", args: ["--no-sandbox", "--disable-dev-shm-usage"] });

const pages = [];
export async function open({ role, language = "en", expected = [], path = "", ...options } = {}) {
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, permissions: ["clipboard-read", "clipboard-write"], ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE_MS);
  page.problems = [];
  pages.push(page);
  page.on("console", (message) => {
    if (message.type() === "error" && !expected.some((part) => message.text().includes(part))) page.problems.push(`console: ${message.text()} ${message.location().url}`);
  });
  page.on("pageerror", (error) => page.problems.push(`page: ${error.stack}`));
  page.on("request", (request) => {
    if (!request.url().startsWith(`${site}/`) && !request.url().startsWith("data:")) page.problems.push(`outside: ${request.url()}`);
  });
  await page.addInitScript((code) => localStorage.getItem("crm.language") ?? localStorage.setItem("crm.language", code), language);
  await page.goto(`${site}/${path}`);
  if (role) {
    await page.click(`[data-role=${role}]`);
    await page.waitForSelector(".shell");
    await page.waitForSelector(".top .live.live"); // from now on nothing is missed
  }
  return page;
}

export async function close(page) {
  check(`nothing goes wrong in the page: ${page.problems.join("\n")}`, page.problems.length === 0);
  await page.context().close();
}

export async function go(page, hash, selector) {
  await page.evaluate((to) => (location.hash = to), hash);
  await page.waitForSelector(selector);
}

// Polls until it holds: for what another client's change makes of the page.
export async function until(what, holds) {
  const deadline = Date.now() + PATIENCE_MS;
  for (;;) {
    if (await holds()) return;
    if (Date.now() > deadline) throw new Error(`not within ${PATIENCE_MS / 1000} s: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

// Another client, with a token: what colleagues do meanwhile.
export async function api(method, path, body, headers = {}) {
  const answer = await fetch(site + path, { method, body: body && JSON.stringify(body), headers: { Authorization: `Bearer ${facts.token}`, ...(body && { "Content-Type": "application/json" }), ...headers } });
  const text = await answer.text();
  if (!answer.ok) throw new Error(`${method} ${path} answered ${answer.status}: ${text}`);
  return JSON.parse(text);
}

// The next write to a path that matches waits until `meanwhile` is done: somebody else is faster, every time.
export async function overtake(page, pattern, meanwhile) {
  let done = false;
  await page.route(pattern, async (route) => {
    if (!done && route.request().method() !== "GET") {
      done = true;
      await meanwhile();
    }
    await route.continue();
  });
}

// What axe-core finds against WCAG 2.1 A and AA. Evaluated by the debugger: the page's own policy allows no such script.
export async function accessible(page, where) {
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => window.axe.run(document, { runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"] }));
  const found = violations.map((one) => `${one.id}: ${one.help} (${one.nodes.map((node) => node.target.join(" ") + " " + (node.any[0]?.message ?? "")).slice(0, 3).join("; ")})`);
  check(`${where} is accessible: ${found.join("\n")}`, found.length === 0);
}

export async function run(tests) {
  const test = tests[name];
  if (!test) throw new Error(`there is no test ${name}: ${Object.keys(tests)}`);
  try {
    await test();
    console.log(`ok ${name}`);
  } catch (error) {
    for (const page of pages) console.log(page.url(), page.problems.join("\n"));
    throw error;
  } finally {
    await browser.close();
  }
}
