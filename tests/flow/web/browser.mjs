// Headless Chromium: the clients of page.mjs in a page of the gateway's own site and in one of another site, and the browsable
// reference. Fails on errors in the console and on requests that leave the machine.
import {createServer} from "node:http";
import {build} from "esbuild";
import {chromium} from "playwright-core";
import {check} from "./suite.mjs";

const [url, otherPort, token, login, password] = process.argv.slice(2);
const other = `http://127.0.0.1:${otherPort}`;
const bundle = (await build({entryPoints: ["page.mjs"], bundle: true, write: false, format: "iife", platform: "browser", target: "es2022"})).outputFiles[0].text;
const server = createServer((request, response) => {
  response.writeHead(200, {"Content-Type": "text/html; charset=utf-8"});
  response.end("<!doctype html><title>another site</title>");
}).listen(Number(otherPort), "127.0.0.1");

const browser = await chromium.launch({executablePath: process.env.CRM_CHROMIUM ?? "/usr/bin/chromium", args: ["--no-sandbox", "--disable-dev-shm-usage"]});
try {
  // A page that tells what goes wrong in it. `expected`: what the browser logs of answers that a test asks for.
  async function open(address, expected = []) {
    const context = await browser.newContext();
    const page = await context.newPage();
    page.setDefaultTimeout(30_000);
    page.problems = [];
    page.on("console", message => {
      if (message.type() === "error" && !expected.some(part => message.text().includes(part))) page.problems.push(`console: ${message.text()}`);
    });
    page.on("pageerror", error => page.problems.push(`page: ${error}`));
    page.on("request", request => {
      const to = request.url();
      if (!to.startsWith(url) && !to.startsWith(other) && !to.startsWith("data:") && !to.startsWith("blob:")) page.problems.push(`outside: ${to}`);
    });
    await page.goto(address);
    return page;
  }
  const refusals = ["status of 4", "status of 5"];
  const inside = (page, name, ...args) => page.evaluate(([name, args]) => window.tests[name](...args), [name, args]);

  for (const [site, address] of [["same", `${url}/docs/`], ["another", `${other}/`]]) {
    const page = await open(address, refusals);
    await page.evaluate(bundle);
    await inside(page, "connect", url, token);
    await inside(page, "official", url, token, "text");
    await inside(page, "official", url, token, "binary");
    await inside(page, "rest", url, token);
    if (site === "same") await inside(page, "cookie", login, password);
    check(`nothing goes wrong: ${page.problems}`, page.problems.length === 0);
    console.log(`ok ${site}`);
    await page.context().close();
  }

  // A site that is not on the list gets nothing.
  const stranger = await open(`${other.replace("127.0.0.1", "localhost")}/`, ["CORS", "Failed to load"]).catch(() => null);
  if (stranger) {
    const got = await stranger.evaluate(([url, token]) => fetch(`${url}/v1/session`, {headers: {Authorization: `Bearer ${token}`}}).then(() => "an answer", () => "nothing"), [url, token]);
    check(`a stranger gets nothing, not ${got}`, got === "nothing");
    await stranger.context().close();
  }

  // The reference: everything is there, and "Execute" works at once with the demo user.
  const docs = await open(`${url}/docs#/Session/GetCurrentSession`);
  await docs.waitForSelector("#state:has-text('Signed in as')");
  await docs.click("#operations-Session-GetCurrentSession .execute");
  await docs.waitForSelector("#operations-Session-GetCurrentSession .live-responses-table .response-col_status:has-text('200')");
  check("it answers who is signed in", (await docs.textContent("#operations-Session-GetCurrentSession .live-responses-table")).includes("user_id"));
  check(`nothing goes wrong: ${docs.problems}`, docs.problems.length === 0);
  console.log("ok docs");
} finally {
  await browser.close();
  server.close();
}
