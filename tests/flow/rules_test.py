"""Automation rules over all processes: what happens in one service has effects in others, each once, also when the scheduler is
killed in between; circles are cut; dry runs do nothing. The examples of docs/AUTOMATION.md are saved, and the main ones seen at
work."""

import datetime
import json
import re
import shutil
import subprocess
import sys
import unittest

from messaging_test import PYTHON, Letterbox, compose
from stack import ROOT, Stack, eventually
from webhooks_test import NPM, Receiver, verify

from crmlib import letterbox

SECONDS = 60.0


def examples() -> list[dict]:
    text = (ROOT / "docs/AUTOMATION.md").read_text()
    return [block for block in re.findall(r"```json\n(.*?)```", text, re.S)]


class RulesTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.stack = Stack(changes={"messaging": {"messaging": {"allowed_hosts": ["127.0.0.1"], "webhook_retry_seconds": 1}}})
        cls.stack.__enter__()
        cls.addClassCleanup(lambda: cls.stack.__exit__(None, None, None))

    def setUp(self):
        self.api = self.stack.sign_up()
        pipeline = self.api.post("/v1/pipelines", {"name": "Offers", "is_default": True, "stages": [
            {"name": "New", "kind": "STAGE_KIND_OPEN"}, {"name": "Offer", "kind": "STAGE_KIND_OPEN"},
            {"name": "Won", "kind": "STAGE_KIND_WON"}, {"name": "Lost", "kind": "STAGE_KIND_LOST"}]})
        self.pipeline = pipeline["id"]
        self.stages = {stage["name"]: stage["id"] for stage in pipeline["stages"]}

    def tearDown(self):
        if any(error for _, error in self._outcome.result.failures + self._outcome.result.errors):
            self.stack.print_logs()

    def fill(self, text: str) -> dict:
        if "WEBHOOK_SHOP" in text:
            text = text.replace("WEBHOOK_SHOP", self.webhook("https://shop.example.com/hook")["id"])
        for name, stage in self.stages.items():
            text = text.replace(f"STAGE_{name.upper()}", stage) if name != "New" else text
        return json.loads(text)

    def rule(self, trigger: dict, *actions: dict, **more) -> dict:
        return self.api.post("/v1/rules", {"name": "Rule", "enabled": True, "trigger": trigger, "actions": list(actions)} | more)

    def contact(self) -> dict:
        return self.api.post("/v1/contacts", {"given_name": "Ann", "emails": [{"address": "ann@example.com"}]})

    def deal(self, **more) -> dict:
        return self.api.post("/v1/deals", {"title": "Cake", "pipeline_id": self.pipeline, "amount": {"amount": "1500.00", "currency_code": "EUR"}} | more)

    def move(self, deal: dict, stage: str) -> dict:
        return self.api.post(f"/v1/deals/{deal['id']}:move", {"stage_id": self.stages[stage]})

    def tasks(self, deal: dict) -> list[dict]:
        return self.api.get("/v1/tasks", filter=f'deal_id = "{deal["id"]}"')["tasks"]

    def runs(self, rule: dict) -> list[dict]:
        return self.api.get("/v1/ruleRuns", filter=f'rule_id = "{rule["id"]}"')["rule_runs"]

    def webhook(self, url: str, **more) -> dict:
        return self.api.post("/v1/webhooks", {"name": "Shop", "url": url, "enabled": True} | more)

    def done(self, rule: dict, count: int = 1) -> list[dict]:
        """The rule's runs, once so many have ended well."""
        def ended():
            runs = self.runs(rule)
            failed = [run for run in runs if run["status"] == "RUN_STATUS_FAILED"]
            assert not failed, failed
            return [run for run in runs if run["status"] == "RUN_STATUS_DONE"]
        eventually(lambda: len(ended()) >= count, SECONDS, f"{count} runs of {rule['name']}")
        return ended()

    def advance(self, **time) -> None:
        self.api.post("/v1/clock:advance", {"seconds": int(datetime.timedelta(**time).total_seconds())})

    # ---- what the documentation says ----

    def test_the_examples_are_saved_and_work(self):
        rules = {rule["name"]: rule for rule in (self.api.post("/v1/rules", self.fill(text)) for text in examples())}
        self.assertEqual(len(rules), 10)
        contact = self.contact()
        # A request is taken up.
        lead = self.api.post("/v1/leads", {"title": "A wedding cake", "name": "Bea", "email": "bea@example.com"})
        accepted = self.api.post(f"/v1/leads/{lead['id']}:accept", {})
        self.done(rules["Call new customers"])
        [task] = self.api.get("/v1/tasks", filter=f'lead_id = "{lead["id"]}"')["tasks"]
        self.assertEqual(task["title"], "Call Bea: A wedding cake")
        self.assertEqual((task["kind"], task["priority"]), ("TASK_KIND_CALL", "TASK_PRIORITY_HIGH"))
        self.assertEqual(task["contact_id"], accepted["contact"]["id"])
        self.assertEqual(task["rule_id"], rules["Call new customers"]["id"])
        self.assertIn("due_time", task)
        # Everything is paid: the deal moves on, the contact is a customer.
        deal = self.deal(contact_id=contact["id"])
        self.api.patch(f"/v1/deals/{deal['id']}", {"paid_time": "2026-11-23T10:00:00Z"})
        self.done(rules["Paid"])
        deal = self.api.get(f"/v1/deals/{deal['id']}")
        self.assertEqual((deal["stage_id"], deal["tags"]), (self.stages["Won"], ["paid"]))
        self.assertEqual(self.api.get(f"/v1/contacts/{contact['id']}")["lifecycle"], "LIFECYCLE_CUSTOMER")
        # Who did it: the service, and behind it the rule.
        stamped = self.stack.value("SELECT count(*) FROM deal_pipeline.outbox WHERE type = 'deal.moved' AND "
                                   f"position(convert_to('{rules['Paid']['id']}', 'UTF8') IN event) > 0")
        self.assertEqual(stamped, "1")

    def test_an_offer_is_written_and_its_answer_calls_the_reminder_off(self):
        if subprocess.run([PYTHON, "-c", "import aiosmtpd"], stderr=subprocess.DEVNULL).returncode != 0:
            self.skipTest("python3-aiosmtpd is not installed: run tools/crm deps")
        box = Letterbox()
        self.addCleanup(box.stop)
        address = f"sales@tenant{self.stack.tenants}.example.com"
        self.api.post("/v1/channels", {"name": "Sales", "address": address, "is_default": True,
                                       "smtp": {"host": "127.0.0.1", "port": box.port, "security": "SMTP_SECURITY_NONE"}})
        rules = {rule["name"]: rule for rule in (self.api.post("/v1/rules", self.fill(text)) for text in examples()[1:3])}
        deal = self.deal(contact_id=self.contact()["id"])
        self.move(deal, "Offer")
        [run] = self.done(rules["Send the offer"])
        [arrived] = box.wait("ann@example.com")
        letter = arrived["letter"]
        self.assertEqual(letter["Subject"], "Your offer: Cake")
        self.assertIn("1500.00 EUR", letter.get_body(("plain",)).get_content())
        self.assertEqual(self.api.get(f"/v1/messages/{run['steps'][0]['record_id']}")["cause"], run["id"])
        reminders = lambda: [one["status"] for one in self.api.get("/v1/reminders", filter=f'deal_id = "{deal["id"]}"')["reminders"]]  # noqa: E731
        self.assertEqual(reminders(), ["REMINDER_STATUS_PENDING"])
        answer = compose("ann@example.com", address, "Re: Your offer", "Gladly.", In_Reply_To=letter["Message-ID"])
        self.assertEqual(letterbox.hand_in(self.stack.instance.lmtp_port, "ann@example.com", [address], answer), {})
        self.done(rules["An answer came"])
        self.assertEqual(reminders(), ["REMINDER_STATUS_CANCELLED"])
        self.assertEqual(len(box.letters("ann@example.com")), 1)

    def test_silence_and_dates_by_the_clock(self):
        rules = {rule["name"]: rule for rule in (self.api.post("/v1/rules", self.fill(text)) for text in examples()[3:5])}
        contact = self.contact()
        deal = self.deal(contact_id=contact["id"], expected_close_date=(datetime.date.today() + datetime.timedelta(days=60)).isoformat())
        self.move(deal, "Offer")
        eventually(lambda: self.api.get("/v1/clock").get("next_due_time"), SECONDS, "the timer of the silence")
        self.advance(days=2, hours=23)
        self.assertEqual(self.tasks(deal), [])
        self.advance(hours=2)
        eventually(lambda: self.tasks(deal), SECONDS, "the task")
        self.assertEqual(self.tasks(deal)[0]["title"], "Ask Ann again")
        [run] = eventually(lambda: [run for run in self.runs(rules["Silence"]) if run["status"] == "RUN_STATUS_WAITING"], SECONDS, "the wait")
        self.assertEqual(run["next_path"], "3")
        # The wait outlives the process.
        self.stack.kill("scheduler")
        self.stack.start("scheduler")
        self.advance(days=7, hours=1)
        self.done(rules["Silence"])
        self.assertEqual(self.api.get(f"/v1/deals/{deal['id']}")["stage_id"], self.stages["Lost"])

    # ---- exactly once ----

    def test_a_kill_in_the_middle_doubles_nothing(self):
        rule = self.rule({"stage_entered": {"stage_id": self.stages["Offer"]}},
                         {"create_task": {"title": "one"}},
                         {"set_field": {"field": "tags", "operation": "OPERATION_ADD", "value": "offered"}},
                         {"create_task": {"title": "two"}})
        deals = []
        for point in ("rules.before_step=kill*2", "rules.after_step=kill*2", "rules.after_step=kill*3", "timers.after_effect=kill",
                      "events.before_effect=kill", "events.after_effect=kill"):
            deal = self.deal()
            deals.append(deal)
            self.stack.failpoints("scheduler", point)
            self.stack.await_armed()
            self.move(deal, "Offer")
            self.stack.wait_dead("scheduler", SECONDS)
            self.stack.failpoints("scheduler")
            self.stack.start("scheduler")
            self.done(rule, len(deals))
        for deal in deals:
            self.assertEqual(sorted(task["title"] for task in self.tasks(deal)), ["one", "two"])
            now = self.api.get(f"/v1/deals/{deal['id']}")
            self.assertEqual(now["tags"], ["offered"])
        # One run each, and one change of each deal by the rule.
        self.assertEqual(len(self.runs(rule)), len(deals))
        changes = self.stack.value(f"SELECT count(*) FROM deal_pipeline.outbox WHERE type = 'deal.updated' AND record_id IN ({', '.join(repr(deal['id']) for deal in deals)})")
        self.assertEqual(int(changes), len(deals))

    @unittest.skipUnless(shutil.which("node") and (NPM / "node_modules/standardwebhooks").exists(), "Node and its modules are not here: run tools/crm deps")
    def test_another_system_is_called_once_whoever_dies(self):
        receiver = Receiver()
        self.addCleanup(receiver.close)
        hook = self.webhook(f"{receiver.url}/orders")
        usual = self.rule({"stage_entered": {"stage_id": self.stages["Offer"]}}, {"call_webhook": {"webhook_id": hook["id"]}}, name="As it is")
        own = self.rule({"stage_entered": {"stage_id": self.stages["Won"]}},
                        {"call_webhook": {"webhook_id": hook["id"], "body": '{"order": "{{title}}", "who": "{{contact.display_name}}"}'}}, name="In their words")
        deal = self.deal(title='A "big" cake', contact_id=self.contact()["id"])
        self.move(deal, "Offer")
        post = receiver.next()
        self.assertEqual((post["path"], verify(hook["secret"], post)), ("/orders", "good"))
        [run] = self.done(usual)
        body = json.loads(post["body"])
        self.assertEqual((body["type"], body["rule_id"], body["run_id"]), ("rule.called", usual["id"], run["id"]))
        self.assertEqual((body["data"]["deal"]["id"], body["data"]["deal"]["title"]), (deal["id"], 'A "big" cake'))
        self.assertEqual(run["steps"][0]["record_id"], post["headers"]["webhook-id"])
        self.move(deal, "Won")
        self.assertEqual(json.loads(receiver.next()["body"]), {"order": 'A "big" cake', "who": "Ann"})
        self.done(own)
        # The log has what was posted, and posts it again on request.
        log = lambda: self.api.get("/v1/deliveries", filter=f'webhook_id = "{hook["id"]}" AND status = DELIVERY_STATUS_DELIVERED')["deliveries"]  # noqa: E731
        eventually(lambda: len(log()) == 2, SECONDS, "both in the log")
        self.assertEqual({(one["event_type"], one["record_id"]) for one in log()}, {("rule.called", deal["id"])})
        self.assertEqual(self.api.get(f"/v1/deliveries/{run['steps'][0]['record_id']}")["body"], post["body"])
        self.api.post(f"/v1/deliveries/{run['steps'][0]['record_id']}:replay", {})
        again = receiver.next()
        self.assertEqual((again["body"], again["headers"]["webhook-id"]), (post["body"], post["headers"]["webhook-id"]))
        # Whoever dies before the call, after it, or before the post: one delivery each. Posted twice only where the sender dies
        # before it could write down the answer, which none of these do.
        count = 1
        for service, point in (("scheduler", "rules.before_step=kill"), ("scheduler", "rules.after_step=kill"), ("scheduler", "timers.after_effect=kill"), ("messaging", "")):
            deal = self.deal(title=f"Cake {count}")
            if point:
                self.stack.failpoints(service, point)
                self.stack.await_armed()
                self.move(deal, "Offer")
                self.stack.wait_dead(service, SECONDS)
                self.stack.failpoints(service)
            else:
                self.stack.kill(service)
                self.move(deal, "Offer")
                eventually(lambda: len(self.runs(usual)) > count, SECONDS, "the run that waits")
            self.stack.start(service)
            count += 1
            self.done(usual, count)
            post = receiver.next()
            self.assertEqual(json.loads(post["body"])["record_id"], deal["id"])
        eventually(lambda: len(log()) == count + 1, SECONDS, "all in the log")
        self.assertEqual(self.api.get("/v1/deliveries", filter=f'webhook_id = "{hook["id"]}"', page_size=100)["deliveries"].__len__(), count + 1)
        self.assertTrue(receiver.posts.empty(), "nothing came twice")

    def test_what_would_be_called_is_said_and_nobody_is_called(self):
        receiver = Receiver()
        self.addCleanup(receiver.close)
        hook = self.webhook(receiver.url)
        deal = self.deal()
        self.move(deal, "Offer")
        rule = {"name": "x", "trigger": {"stage_entered": {"stage_id": self.stages["Offer"]}}, "actions": [{"call_webhook": {"webhook_id": hook["id"], "body": '{"order": "{{title}}"}'}}]}
        said = f'posts to webhook "Shop" ({receiver.url}/): {{"order": "Cake"}}'
        preview = self.api.post("/v1/rules:preview", {"rule": rule, "record_id": deal["id"]})
        self.assertEqual(preview["steps"][0]["text"], said)
        answer = eventually(lambda: (got := self.api.post("/v1/rules:dryRun", {"rule": rule, "days": 1}))["hit_count"] == 1 and got, SECONDS, "the hit")
        self.assertEqual(answer["hits"][0]["steps"][0]["text"], said)
        self.api.patch(f"/v1/webhooks/{hook['id']}", {"enabled": False})
        self.assertIn("is off", self.api.post("/v1/rules:preview", {"rule": rule, "record_id": deal["id"]})["steps"][0]["error"])
        self.assertEqual(len(self.rule(rule["trigger"], *rule["actions"])["warnings"]), 1)
        refused = self.api.call("POST", "/v1/rules", rule | {"actions": [{"call_webhook": {"webhook_id": hook["id"], "body": "{{title}}"}}]})
        self.assertEqual(refused.status, 400, refused.body)
        self.assertIn("rule.actions[0].call_webhook.body", json.dumps(refused.body))
        # Another tenant's webhook is not there.
        mine, self.api = self.api, self.stack.sign_up()
        theirs = self.webhook("https://example.com/")
        self.api = mine
        gone = self.api.call("POST", "/v1/rules", rule | {"actions": [{"call_webhook": {"webhook_id": theirs["id"]}}]})
        self.assertEqual(gone.status, 400, gone.body)
        self.assertIn("no such webhook", json.dumps(gone.body))
        self.assertEqual(self.api.get("/v1/deliveries")["deliveries"], [])
        # A person may post, too, for as much as they see.
        self.api.patch(f"/v1/webhooks/{hook['id']}", {"enabled": True})
        sent = self.api.post(f"/v1/webhooks/{hook['id']}:call", {"body": '{"hello": 1}', "record_id": deal["id"]})
        self.assertEqual((sent["event_type"], sent["record_id"], receiver.next()["body"]), ("webhook.called", deal["id"], '{"hello": 1}'))
        for wrong in ({"body": "[1]"}, {"body": "{"}, {"body": "{}", "personal_data": True}, {"body": "{}", "record_id": theirs["id"]}):
            self.assertIn(self.api.call("POST", f"/v1/webhooks/{hook['id']}:call", wrong).status, (400, 404), wrong)

    def test_a_service_that_is_away_is_waited_for(self):
        rule = self.rule({"event": {"type": "deal.created"}}, {"set_field": {"target": "contact_id", "field": "note", "value": "has {{title}}"}})
        contact = self.contact()
        self.stack.kill("contact")
        self.deal(contact_id=contact["id"])
        eventually(lambda: self.runs(rule), SECONDS, "the run")
        self.assertEqual(self.runs(rule)[0]["status"], "RUN_STATUS_RUNNING")
        self.stack.start("contact")
        self.done(rule)
        self.assertEqual(self.api.get(f"/v1/contacts/{contact['id']}")["note"], "has Cake")

    # ---- bounds ----

    def test_circles_are_refused_and_cut(self):
        there = {"stage_entered": {"stage_id": self.stages["Offer"]}}
        back = {"stage_entered": {"stage_id": self.stages["New"]}}
        first = self.rule(there, {"move_deal": {"stage_id": self.stages["New"]}}, name="There")
        refused = self.api.call("POST", "/v1/rules", {"name": "Back", "enabled": True, "trigger": back, "actions": [{"move_deal": {"stage_id": self.stages["Offer"]}}]})
        self.assertEqual(refused.status, 400, refused.body)
        self.assertIn("Back: move_deal -> deal.moved -> There: move_deal -> deal.moved -> Back", json.dumps(refused.body))
        # A condition that never ends it: the chain is cut.
        second = self.rule(back, {"move_deal": {"stage_id": self.stages["Offer"]}}, name="Back", condition="amount > 1")
        self.assertEqual(len(second["warnings"]), 1)
        deal = self.deal()
        # Made in the first stage, which sets the second rule off.
        cut = eventually(lambda: [run for rule in (first, second) for run in self.runs(rule) if run["status"] == "RUN_STATUS_CUT"], SECONDS, "the cut")
        self.assertEqual(cut[0]["depth"], 9)
        runs = self.runs(first) + self.runs(second)
        self.assertEqual(sorted(run["depth"] for run in runs), list(range(1, 10)))
        behind = {run["id"]: run.get("cause_run_id", "") for run in runs}
        self.assertEqual(sum(1 for cause in behind.values() if cause in behind), 8)
        self.assertEqual(self.api.get(f"/v1/deals/{deal['id']}")["stage_id"], self.stages["New"])

    def test_dry_runs_and_previews_do_nothing(self):
        deals = [self.deal() for _ in range(3)]
        for deal in deals:
            self.move(deal, "Offer")
        rule = {"name": "x", "trigger": {"stage_entered": {"stage_id": self.stages["Offer"]}}, "condition": "amount >= 1500",
                "actions": [{"create_task": {"title": "Call about {{title}}"}}, {"move_deal": {"stage_id": self.stages["Won"]}}]}
        # What has happened is there once the relay has numbered it.
        answer = eventually(lambda: (said := self.api.post("/v1/rules:dryRun", {"rule": rule, "days": 1}))["hit_count"] == 3 and said, SECONDS, "three hits")
        self.assertIn('task "Call about Cake"', answer["hits"][0]["steps"][0]["text"])
        preview = self.api.post("/v1/rules:preview", {"rule": rule, "record_id": deals[0]["id"]})
        self.assertTrue(preview["matches"])
        self.assertEqual([step["action"] for step in preview["steps"]], ["create_task", "move_deal"])
        self.assertEqual(self.tasks(deals[0]), [])
        self.assertEqual(self.api.get(f"/v1/deals/{deals[0]['id']}")["stage_id"], self.stages["Offer"])
        self.assertEqual(self.api.get("/v1/ruleRuns")["rule_runs"], [])

    def test_a_refused_step_is_seen_and_tried_again(self):
        api = self.api
        rule = self.rule({"event": {"type": "deal.created"}}, {"create_task": {"title": "x"}}, {"move_deal": {"stage_id": self.stages["Offer"]}})
        api.patch(f"/v1/pipelines/{self.pipeline}", {"stages": [
            {"id": self.stages["New"], "name": "New", "kind": "STAGE_KIND_OPEN"},
            {"id": self.stages["Offer"], "name": "Offer", "kind": "STAGE_KIND_OPEN", "required_fields": ["expected_close_date"]},
            {"id": self.stages["Won"], "name": "Won", "kind": "STAGE_KIND_WON"}, {"id": self.stages["Lost"], "name": "Lost", "kind": "STAGE_KIND_LOST"}]})
        deal = self.deal()
        run = eventually(lambda: [run for run in self.runs(rule) if run["status"] == "RUN_STATUS_FAILED"], SECONDS, "the failure")[0]
        self.assertIn("expected_close_date", run["error"])
        told = eventually(lambda: [one for one in api.get("/v1/notifications")["notifications"] if one["kind"] == "NOTIFICATION_KIND_RULE"], SECONDS, "the notification")
        self.assertIn("expected_close_date", told[0]["title"])
        api.patch(f"/v1/deals/{deal['id']}", {"expected_close_date": "2026-12-24"})
        api.post(f"/v1/ruleRuns/{run['id']}:retry", {})
        self.done(rule)
        self.assertEqual(len(self.tasks(deal)), 1)
        self.assertEqual(api.get(f"/v1/deals/{deal['id']}")["stage_id"], self.stages["Offer"])

    def test_the_catalogue_and_the_audit(self):
        catalogue = self.api.get("/v1/rules:catalogue")
        events = {event["type"]: event["object"] for event in catalogue["events"]}
        for event, kind in {"deal.moved": "deal", "lead.accepted": "lead", "message.received": "message", "task.overdue": "task"}.items():
            self.assertEqual(events.get(event), kind)
        deal = {field["name"]: field for kind in catalogue["objects"] if kind["name"] == "deal" for field in kind["fields"]}
        self.assertEqual((deal["tags"]["settable"], deal["status"]["settable"], deal["status"]["type"]), (True, False, "enum"))
        rule = self.rule({"event": {"type": "deal.created"}}, {"notify": {"text": "x"}})
        # Its owner is known once identity's events have come.
        findings = lambda: [(item["rule_id"], item["findings"]) for item in self.api.get("/v1/rules:audit")["items"]]  # noqa: E731
        eventually(lambda: findings() == [(rule["id"], ["FINDING_UNCATEGORISED", "FINDING_NEVER_RAN"])], SECONDS, "the findings")


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + ["-v"] + sys.argv[1:])
