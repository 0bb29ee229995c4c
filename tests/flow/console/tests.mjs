// node tests.mjs URL NAME FACTS: one story in the console, as a person would go through it.
import { readFileSync } from "node:fs";

import { accessible, api, check, close, facts, go, open, overtake, run, site, until } from "./page.mjs";

const card = (id) => `[data-deal="${id}"]`;
const inColumn = (stage, id) => `[data-stage="${stage}"] ${card(id)}`;
const stages = facts.stages; // name -> id

const makeDeal = (title, more = {}) => api("POST", "/v1/deals", { title, pipeline_id: facts.pipeline_id, ...more });
const usd = (amount) => ({ amount, currency_code: "USD" });

async function drag(page, id, stage) {
  const from = await page.locator(card(id)).boundingBox();
  const to = await page.locator(`[data-stage="${stage}"]`).boundingBox();
  await page.mouse.move(from.x + 20, from.y + 10);
  await page.mouse.down();
  await page.mouse.move(from.x + 40, from.y + 20, { steps: 3 });
  await page.waitForSelector(".ghost");
  await page.mouse.move(to.x + to.width / 2, to.y + 160, { steps: 8 });
  await page.waitForSelector(`[data-stage="${stage}"].over`);
  await page.mouse.up();
}

await run({
  // Three people sign in by a cookie; each sees what the role allows, and leaves.
  async roles() {
    const answer = await fetch(`${site}/`);
    const policy = answer.headers.get("content-security-policy");
    check(`the policy is strict: ${policy}`, policy.includes("default-src 'none'") && policy.includes("script-src 'self'") && policy.includes("style-src 'self'") && !policy.includes("unsafe"));
    const seen = {};
    for (const role of ["manager", "head", "administrator"]) {
      const page = await open({ role });
      await go(page, "#/deals", ".column .count");
      seen[role] = await page.locator(".column .count").allInnerTexts().then((counts) => counts.reduce((sum, count) => sum + Number(count), 0));
      check("the session is in a cookie that scripts cannot read", (await page.evaluate(() => document.cookie)) === "");
      const wide = await page.locator(".screen-head .choice").count();
      check(`${role}: everybody's deals are offered to those who may see them`, wide === (role === "manager" ? 0 : 1));
      await page.reload();
      await page.waitForSelector(".shell"); // the cookie goes on to hold
      await page.click(".me");
      await page.click(".dialog .buttons .button");
      await page.waitForSelector(".sign-in");
      await page.reload();
      await page.waitForSelector(".sign-in");
      await close(page);
    }
    check(`the wider the role, the more deals: ${JSON.stringify(seen)}`, seen.manager > 0 && seen.manager < seen.head && seen.head <= seen.administrator);

    const page = await open({ expected: ["status of 401"] });
    await accessible(page, "the sign-in page");
    await page.fill("input[type=email]", facts.login);
    await page.fill("input[type=password]", "not the password");
    await page.click("button[type=submit]");
    await page.waitForSelector(".field-error");
    await page.fill("input[type=password]", facts.password);
    await page.click("button[type=submit]");
    await page.waitForSelector(".shell");
    await close(page);
  },

  // Cards by mouse, keys and menu; what is missing; a reason for a lost one; others' moves.
  async board() {
    const deal = await makeDeal("Carried about", { amount: usd("120.50") });
    const empty = await makeDeal("Without an amount");
    const page = await open({ role: "administrator", expected: ["status of 400"] });
    await go(page, "#/deals", card(deal.id));
    await accessible(page, "the board");

    await drag(page, deal.id, stages.Qualified);
    await page.waitForSelector(inColumn(stages.Qualified, deal.id));
    await until("the server has the move", async () => (await api("GET", `/v1/deals/${deal.id}`)).stage_id === stages.Qualified);

    await page.focus(card(deal.id));
    await page.keyboard.press("Shift+ArrowRight");
    await page.waitForSelector(inColumn(stages.Offer, deal.id));
    await until("the server has the move by key", async () => (await api("GET", `/v1/deals/${deal.id}`)).stage_id === stages.Offer);
    await until("the card keeps the focus", () => page.evaluate((id) => document.activeElement?.dataset.deal === id, deal.id));
    await page.waitForSelector(".toast >> text=Carried about");
    await page.keyboard.press("ArrowDown");
    await page.keyboard.press("ArrowUp");
    check("arrows go there and back", await page.evaluate((id) => document.activeElement?.dataset.deal === id, deal.id));

    await page.click(`${card(empty.id)} [aria-haspopup=menu]`);
    await page.click(`${card(empty.id)} [role=menuitem] >> text=Offer`);
    await page.waitForSelector("dialog >> text=Amount");
    check("the card waits where it was", await page.locator(inColumn(stages.New, empty.id)).count());
    await page.fill("dialog input[inputmode=decimal]", "a lot");
    await page.click("dialog button[type=submit]");
    await page.waitForSelector("dialog .field-error, dialog .form-error");
    await page.fill("dialog input[inputmode=decimal]", "980.00");
    await page.click("dialog button[type=submit]");
    await page.waitForSelector(inColumn(stages.Offer, empty.id));
    await until("amount and stage are stored", async () => {
      const now = await api("GET", `/v1/deals/${empty.id}`);
      return now.amount?.amount === "980.00" && now.stage_id === stages.Offer;
    });

    await drag(page, empty.id, stages.Lost);
    await page.selectOption("dialog select", { index: 1 });
    await page.click("dialog button[type=submit]");
    await page.waitForSelector(inColumn(stages.Lost, empty.id));
    await until("the reason is stored", async () => (await api("GET", `/v1/deals/${empty.id}`)).lost_reason !== "");

    // A colleague makes and moves one: it comes by itself, and the column counts it.
    const count = () => page.locator(`[data-stage="${stages.Negotiation}"] .count`).innerText().then(Number);
    const before = await count();
    const theirs = await makeDeal("A colleague's", { amount: usd("10.00") });
    await page.waitForSelector(inColumn(stages.New, theirs.id));
    await api("POST", `/v1/deals/${theirs.id}:move`, { stage_id: stages.Negotiation });
    await page.waitForSelector(inColumn(stages.Negotiation, theirs.id));
    await until("the column counts it", async () => (await count()) === before + 1);

    await page.click(".screen-head .primary");
    await page.fill("dialog input[name=title]", "Made here");
    await page.click("dialog button[type=submit]");
    await page.waitForSelector(`[data-stage="${stages.New}"] >> text=Made here`);
    await close(page);
  },

  // Somebody is faster: the move is taken back, the current version is shown, and the move can be made again.
  async conflict() {
    const deal = await makeDeal("Wanted by two", { amount: usd("55.00") });
    const page = await open({ role: "administrator", expected: ["status of 409"] });
    await go(page, "#/deals", card(deal.id));
    await overtake(page, "**/v1/deals/*:move", () => api("PATCH", `/v1/deals/${deal.id}`, { note: "first" }));
    await drag(page, deal.id, stages.Qualified);
    await page.waitForSelector("dialog.conflict");
    const { etag } = await api("GET", `/v1/deals/${deal.id}`);
    check("the current version is named", (await page.locator("dialog.conflict dd").last().innerText()) === etag);
    check("the card is back", await page.locator(inColumn(stages.New, deal.id)).count());
    check("the server did not move it", (await api("GET", `/v1/deals/${deal.id}`)).stage_id === stages.New);
    await page.click("dialog.conflict .primary");
    await page.waitForSelector(inColumn(stages.Qualified, deal.id));
    await until("the second try is stored", async () => (await api("GET", `/v1/deals/${deal.id}`)).stage_id === stages.Qualified);

    // The same in a form: both changed one field; the person decides.
    await go(page, `#/deals/${deal.id}`, ".card-side .panel .button");
    await page.click(".card-side .panel .button");
    await page.fill(".card-side input[name=title]", "Mine");
    await overtake(page, `**/v1/deals/${deal.id}`, () => api("PATCH", `/v1/deals/${deal.id}`, { title: "Theirs" }));
    await page.click(".card-side button[type=submit]");
    await page.waitForSelector("[role=alertdialog] >> text=Theirs");
    await page.click("[role=alertdialog] .primary");
    await page.waitForSelector("h1 >> text=Mine");
    await until("the chosen value is stored", async () => (await api("GET", `/v1/deals/${deal.id}`)).title === "Mine");
    await close(page);
  },

  // The inbox: a form comes in live, one is accepted, one declined, one added to a deal.
  async leads() {
    const page = await open({ role: "administrator" });
    await go(page, "#/leads", ".lead");
    await accessible(page, "the inbox");
    const answer = await fetch(site + facts.form_path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ submission_id: `${Date.now()}`, name: "Зинаида Живая", phone: "+7 495 555-77-01", message: "Прямо сейчас" }) });
    const id = (await answer.json()).lead_id;
    const lead = `[data-lead="${id}"]`;
    await page.waitForSelector(lead);
    await page.click(`${lead} .primary`);
    await page.fill("dialog input[type=text]", "Сделка Зинаиды");
    await page.click("dialog button[type=submit]");
    await page.waitForSelector(lead, { state: "detached" });
    await page.click(".toast:has-text(\"Accepted:\") button");
    await page.waitForSelector("h1 >> text=Сделка Зинаиды");
    check("accepted on the server", (await api("GET", `/v1/leads/${id}`)).status === "LEAD_STATUS_ACCEPTED");

    await go(page, "#/leads", ".lead");
    const first = await page.locator(".lead").first().getAttribute("data-lead");
    await page.click(`[data-lead="${first}"] .button.quiet`);
    await page.fill("dialog textarea", "Not for us");
    await page.click("dialog button[type=submit]");
    await page.waitForSelector(`[data-lead="${first}"]`, { state: "detached" });
    check("declined on the server", (await api("GET", `/v1/leads/${first}`)).decline_reason === "Not for us");

    const second = await page.locator(".lead").first().getAttribute("data-lead");
    await page.click(`[data-lead="${second}"] .button:not(.primary):not(.quiet)`);
    await page.fill("dialog [role=combobox]", "Сделка Зин");
    await page.waitForSelector("dialog [role=option]");
    await page.keyboard.press("Enter");
    await page.click("dialog button[type=submit]");
    await page.waitForSelector(`[data-lead="${second}"]`, { state: "detached" });
    check("linked on the server", (await api("GET", `/v1/leads/${second}`)).status === "LEAD_STATUS_LINKED");
    await close(page);
  },

  // Found in any script; the card shows what others do, and what one writes oneself.
  async cards() {
    const made = await api("POST", "/v1/contacts", { given_name: "Ефросинья", family_name: "Щёголева", emails: [{ address: "efrosinya@example.org" }] });
    const page = await open({ role: "administrator" });
    await page.keyboard.press("/");
    await page.keyboard.type("shchyogoleva");
    await page.waitForSelector("#search-hits [role=option] >> text=Щёголева");
    await page.keyboard.press("Enter");
    await page.waitForSelector("h1 >> text=Щёголева");
    await go(page, `#/contacts/${made.id}`, "h1 >> text=Щёголева"); // of several with the name, this one
    await accessible(page, "the card");
    await page.click(".card-side .panel header .button >> nth=0");
    await page.fill(".card-side input[name=city]", "Вологда");
    await page.click(".card-side button[type=submit]");
    await page.waitForSelector(".facts >> text=Вологда");
    check("stored", (await api("GET", `/v1/contacts/${made.id}`)).city === "Вологда");
    await api("PATCH", `/v1/contacts/${made.id}`, { job_title: "Директор по закупкам" });
    await page.waitForSelector(".card-head >> text=Директор по закупкам");

    if (facts.timeline) {
      await page.waitForSelector(".timeline .entry");
      const deal = await makeDeal("Seen on the timeline", { contact_id: made.id, amount: usd("5.00") });
      await page.waitForSelector(".timeline .entry >> text=Seen on the timeline");
      await api("POST", `/v1/deals/${deal.id}:move`, { stage_id: stages.Qualified });
      await page.waitForSelector(".timeline .entry[data-kind=MOVED]");
      await page.fill(".note-box textarea", "Звонить после обеда");
      await page.keyboard.press("Control+Enter");
      await page.waitForSelector(".timeline .entry[data-kind=NOTE] >> text=Звонить после обеда");
      await page.click(".timeline .entry[data-kind=NOTE] .button"); // kept on top
      await page.waitForSelector(".pinned-note >> text=Звонить после обеда");
      await page.click(".history .choice button >> nth=1");
    }
    await page.waitForSelector(".history .changes >> text=Вологда");
    await close(page);
  },

  // An open report follows what happens elsewhere.
  async reports() {
    const deal = await makeDeal("Won elsewhere", { amount: usd("4321.00") });
    const page = await open({ role: "administrator" });
    await go(page, "#/reports", "[data-report=revenue] [data-value]");
    await page.waitForSelector("[data-report=revenue] canvas");
    await accessible(page, "the reports");
    const revenue = () => page.locator("[data-report=revenue] [data-value]").getAttribute("data-value").then(Number);
    const won = () => page.locator(`[data-report=funnel] [data-stage="${stages.Won}"]`).getAttribute("data-current").then(Number);
    const [before, count] = [await revenue(), await won()];
    await api("POST", `/v1/deals/${deal.id}:move`, { stage_id: stages.Won });
    await until("the revenue follows", async () => Math.abs((await revenue()) - before - 4321) < 0.01);
    await until("the funnel follows", async () => (await won()) === count + 1);
    await page.click(".as-table summary");
    const report = await api("GET", "/v1/reports/revenue?group_by=GROUP_BY_YEAR");
    await page.click(".screen-head .choice button >> nth=2");
    await until("the page says what the API says", async () => (await page.locator("[data-report=revenue] [data-value]").count()) > 0 && Math.abs((await revenue()) - Number(report.total.revenue[0].amount)) < 0.01);
    await close(page);
  },

  // Tasks for today: done and taken back, put off, a new one; what a head gives comes by itself, with a notification.
  async today() {
    const soon = (hours) => new Date(Date.now() + hours * 3600_000).toISOString();
    const late = await api("POST", "/v1/tasks", { title: "Should be done by now", kind: "TASK_KIND_CALL", owner_id: facts.manager_id, due_time: soon(-30) });
    const page = await open({ role: "manager" });
    const line = (id) => `[data-task="${id}"]`;
    await go(page, "#/today", `${line(late.id)}.late`);
    await accessible(page, "the tasks");
    const status = async (id) => (await api("GET", `/v1/tasks/${id}`)).status;
    await page.click(`${line(late.id)} .tick`);
    await until("done on the server", async () => (await status(late.id)) === "TASK_STATUS_DONE");
    await page.click(".toast:has-text(\"Done:\") button"); // undo
    await until("open again", async () => (await status(late.id)) === "TASK_STATUS_OPEN");
    await page.waitForSelector(`${line(late.id)} .tick[aria-checked=false]`);

    await page.click(`${line(late.id)} [aria-haspopup=menu]`);
    await page.click(`${line(late.id)} [role=menuitem] >> nth=3`); // in a week
    await page.waitForSelector(line(late.id), { state: "detached" });
    check("put off on the server", new Date((await api("GET", `/v1/tasks/${late.id}`)).due_time) > Date.now());

    await page.click(".screen-head .primary");
    const title = `Made in the console ${Date.now()}`;
    await page.fill("dialog input[name=title]", title);
    // It is due in an hour; before midnight that is no task of today's.
    const inAnHour = await page.inputValue("dialog input[type=datetime-local]");
    await page.fill("dialog input[type=datetime-local]", new Date(Date.parse(`${inAnHour}Z`) - 3600_000).toISOString().slice(0, 16));
    await page.click("dialog button[type=submit]");
    await page.waitForSelector(`.task >> text=${title}`);
    check("made once on the server", (await api("GET", `/v1/tasks?filter=${encodeURIComponent(`title = "${title}"`)}`)).tasks.length === 1);

    const given = await api("POST", "/v1/tasks", { title: "Given by the head", kind: "TASK_KIND_MEETING", priority: "TASK_PRIORITY_URGENT", owner_id: facts.manager_id, due_time: soon(-1) });
    await page.waitForSelector(line(given.id));
    await page.waitForSelector(".toast >> text=Given by the head");
    await page.waitForSelector(".bell .badge");
    await page.click(".bell .button");
    await page.waitForSelector(".notification.unread >> text=Given by the head");
    await page.click(".popover header .button");
    await page.waitForSelector(".bell .badge", { state: "detached" });
    await page.keyboard.press("Escape");

    const other = await open({ role: "head" });
    await go(other, `#/today?owner=${facts.manager_id}`, line(given.id)); // a head may look at another's day
    await close(other);
    await close(page);
  },

  // A conversation: what the customer wrote, a comment for colleagues, an answer, and the customer's next letter as it comes.
  async messages() {
    const page = await open({ role: "administrator" });
    const customer = "Кирилл Заказчиков <kirill@visitor.example.org>";
    const deliver = (subject, text, answers = "") => console.log(`deliver ${JSON.stringify({ sender: customer, recipient: facts.address, subject, text, answers })}`);
    await go(page, "#/messages", ".conversation");
    const subject = `Нужны ящики ${Date.now()}`;
    deliver(subject, "Сколько стоят сорок ящиков?");
    await page.click(`.conversation >> text=${subject}`);
    await page.waitForSelector(".letter.in >> text=Сколько стоят сорок ящиков?");
    await accessible(page, "the conversation");

    await page.click(".answer .choice button >> nth=1");
    await page.fill(".answer textarea", "Кто возьмёт?");
    await page.click(".answer button[type=submit]");
    await page.waitForSelector(".letter.comment >> text=Кто возьмёт?");

    await page.click(".answer .choice button >> nth=0");
    await page.fill(".answer textarea", "Две тысячи за все.");
    // Two files go with it: one of three parts, and one that is taken back.
    const offer = Buffer.alloc(5 * 2 ** 20, "offer ");
    await page.setInputFiles(".answer input[type=file]", [{ name: "Предложение.txt", mimeType: "text/plain", buffer: offer }, { name: "wrong.txt", mimeType: "text/plain", buffer: Buffer.from("not this") }]);
    await page.waitForSelector(".attached.there >> text=Предложение.txt");
    await page.waitForSelector(".attached.there >> text=wrong.txt");
    await accessible(page, "an answer with files");
    await page.click('.attached button[aria-label="Take back wrong.txt"]');
    check("one is left", (await page.locator(".attached").count()) === 1);
    await page.setInputFiles(".answer input[type=file]", { name: "huge.bin", mimeType: "application/octet-stream", buffer: Buffer.alloc(16 * 2 ** 20) });
    await page.waitForSelector(".toast.bad >> text=/20 files/");
    check("too much is not taken", (await page.locator(".attached").count()) === 1);
    await page.focus(".answer textarea");
    await page.keyboard.press("Control+Enter");
    await page.waitForSelector(".letter.out >> text=Две тысячи за все.");
    await page.waitForSelector(".letter.out .attachments >> text=Предложение.txt");
    check("the form is empty again", (await page.locator(".attached").count()) === 0);
    const [saved] = await Promise.all([page.waitForEvent("download"), page.click(".letter.out .attachments a")]);
    check("what comes down is what went up", readFileSync(await saved.path()).equals(offer));
    await page.waitForSelector(".letter.out .letter-status >> text=/^Sent$/"); // as soon as the customer's server has taken it
    const id = await page.evaluate(() => location.hash.match(/conversation_[a-z0-9]+/)[0]);
    const letters = (await api("GET", `/v1/messages?filter=${encodeURIComponent(`conversation_id = "${id}"`)}`)).messages;
    const [ours, ...more] = letters.filter((one) => one.direction === "MESSAGE_DIRECTION_OUTBOUND");
    check("one letter went out, once", ours && more.length === 0);

    deliver(`Re: ${subject}`, "Беру.", ours.internet_message_id);
    await page.waitForSelector(".letter.in >> text=Беру.");
    await page.click(".thread-head .button:not(.icon-only)");
    await until("done on the server", async () => (await api("GET", `/v1/conversations/${id}`)).status === "CONVERSATION_STATUS_CLOSED");
    await close(page);
  },

  // The gateway is gone for a while: the page says so, comes back by itself, and shows what it missed.
  async resume() {
    const deal = await makeDeal("Changed while nobody listened", { amount: usd("3.00") });
    const page = await open({ role: "administrator", expected: ["net::ERR", "status of 503"] });
    await go(page, "#/deals", card(deal.id));
    console.log("restart gateway");
    await page.waitForSelector(".top .live.opening");
    let moved;
    await until("the gateway is back", async () => (moved ??= await api("POST", `/v1/deals/${deal.id}:move`, { stage_id: stages.Negotiation }).catch(() => undefined)) !== undefined);
    await page.waitForSelector(inColumn(stages.Negotiation, deal.id));
    await page.waitForSelector(".top .live.live");
    await close(page);
  },

  // A phone: eight buttons in reach, nothing sticks out, a card is carried by a finger.
  async phone() {
    const deal = await makeDeal("Под пальцем: очень длинное название сделки о поставке хлебобулочных изделий", { amount: usd("7.00") });
    const page = await open({ role: "administrator", language: "ru", viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true });
    for (const screen of facts.screens) {
      await page.click(`.rail [href="#/${screen}"]`);
      await page.waitForSelector(".screen");
      const wide = await page.evaluate(() => document.documentElement.scrollWidth);
      check(`${screen} fits the phone: ${wide}`, wide <= 390);
    }
    const buttons = await page.locator(".rail-item").all();
    check("every button is there", buttons.length === facts.screens.length + 2);
    for (const button of buttons) {
      const box = await button.boundingBox();
      check("every button is in reach of a thumb", box.x >= 0 && box.x + box.width <= 390 && box.width >= 40 && box.height >= 40);
    }
    await go(page, "#/deals", card(deal.id));
    const touch = await page.context().newCDPSession(page);
    const box = await page.locator(card(deal.id)).boundingBox();
    const at = (x, y) => ({ touchPoints: [{ x, y }] });
    await touch.send("Input.dispatchTouchEvent", { type: "touchStart", ...at(box.x + 60, box.y + 20) });
    await page.waitForSelector(".ghost"); // a finger that rests lifts the card
    // At the edge the board scrolls on until the next column lies under the finger.
    await touch.send("Input.dispatchTouchEvent", { type: "touchMove", ...at(370, box.y + 60) });
    await page.waitForSelector(`[data-stage="${stages.Qualified}"].over`);
    await touch.send("Input.dispatchTouchEvent", { type: "touchEnd", touchPoints: [] });
    await until("the card is carried on", async () => {
      const { stage_id: stage } = await api("GET", `/v1/deals/${deal.id}`);
      return stage !== stages.New && (await page.locator(inColumn(stage, deal.id)).count()) > 0;
    });
    await close(page);
  },

  // Hebrew: the page is mirrored, arrows too; names keep their own direction.
  async right_to_left() {
    const deal = await makeDeal("עסקה לבדיקה", { amount: usd("9.00") });
    const page = await open({ role: "administrator", language: "he", colorScheme: "dark" });
    check("right to left", (await page.evaluate(() => document.documentElement.dir)) === "rtl");
    const rail = await page.locator(".rail").boundingBox();
    check(`the buttons are on the right: ${rail.x}`, rail.x > 1200);
    await go(page, "#/deals", card(deal.id));
    await accessible(page, "the board in Hebrew and dark");
    await page.focus(card(deal.id));
    await page.keyboard.press("Shift+ArrowLeft"); // onwards is to the left
    await page.waitForSelector(inColumn(stages.Qualified, deal.id));
    await page.click(".me");
    await page.click("dialog .choice button >> text=Русский");
    await page.waitForSelector(".rail >> text=Сделки");
    check("left to right again", (await page.evaluate(() => document.documentElement.dir)) === "ltr");
    await close(page);
  },

  // The request behind each click, and the same as curl.
  async inspector() {
    const page = await open({ role: "administrator" });
    await page.keyboard.press("i");
    await page.waitForSelector(".inspector");
    await page.click('.rail [href="#/contacts"]');
    const line = page.locator(".request", { hasText: "/v1/contacts" }).first();
    await line.waitFor();
    check("it names the click", (await line.locator(".cause").innerText()).includes("Contacts"));
    await line.locator(".request-line").click();
    await accessible(page, "the inspector");
    await line.locator(".request-facts .button").click();
    await page.waitForSelector(".toast:has-text(\"Copied\")");
    console.log(`curl ${JSON.stringify(await page.evaluate(() => navigator.clipboard.readText()))}`);
    await close(page);
  },
});
