"""The whole story of a customer, after the first job's beginning: the accepted request makes a call task by the working calendar; the
deal enters "Offer", a rule writes the customer a letter and sets a reminder; the answer comes in and calls the reminder off; the offer
becomes overdue under the tenant's test clock and the head is told; the deal is won. The timeline shows all of it."""

import datetime
import email.message
import email.utils
import smtplib
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path

from crmlib import console, letterbox
from crmlib.firstjob import FirstJob, Patient

PYTHON = "/usr/bin/python3"  # Debian's, which has Debian's aiosmtpd
CALL_WITHIN_MINUTES = 120
# What the timeline of the deal must show in the end.
KINDS = {"CREATED", "LEAD_ACCEPTED", "MOVED", "WON", "MESSAGE", "TASK"}


def can_take_letters() -> bool:
    return subprocess.run([PYTHON, "-c", "import aiosmtpd"], stderr=subprocess.DEVNULL).returncode == 0


@contextmanager
def mail_server(folder: Path):
    """A real SMTP server for the letters that go out; answers its port. What it took lies in `folder`."""
    process = subprocess.Popen([PYTHON, letterbox.__file__, folder, "0"], stdin=subprocess.DEVNULL)
    try:
        ready, deadline = folder / "ready", time.monotonic() + 60
        while not (ready.exists() and ready.read_text()):
            if process.poll() is not None or time.monotonic() > deadline:
                raise console.Failure("the mail server does not start", "tools/crm deps installs python3-aiosmtpd")
            time.sleep(0.05)
        yield int(ready.read_text())
    finally:
        process.kill()
        process.wait()


class Story(FirstJob):
    def __init__(self, url: str, data, name: str, letters: Path, smtp_port: int, lmtp_port: int, before=lambda step: None, say=console.say):
        super().__init__(url, data, name, before, say)
        self.letters, self.smtp_port, self.lmtp_port = letters, smtp_port, lmtp_port
        self.visitor = f"grace@{name}-visitor.example.org"  # who fills in the form
        self.ours = f"sales@{name}.example.com"

    def steps(self) -> list:
        steps = super().steps()
        at = steps.index(self.post_form)
        steps[at:at] = [self.set_up_rules]
        at = steps.index(self.win_deal)
        steps[at:at] = [self.call_customer, self.send_offer, self.hear_answer, self.let_offer_be_late]
        return steps + [self.look_back]

    # Steps: each answers the sentence that is printed.
    def set_up_rules(self) -> str:
        heads = set(self.facts["teams"])
        self.seller = next(number for number in self.users if number not in heads)
        self.head = next(row["reports_to"] for row in self.data.employees if row["employee_id"] == self.seller)
        self.crm.post("/v1/channels", {"name": "Sales", "kind": "CHANNEL_KIND_EMAIL", "address": self.ours, "display_name": "Sales", "is_default": True,
                                       "smtp": {"host": "127.0.0.1", "port": self.smtp_port, "security": "SMTP_SECURITY_NONE"}}, step="channel")
        template = self.crm.post("/v1/templates", {"name": "Offer", "variants": [
            {"language": "en", "subject": "Your offer: {{ deal.title }}",
             "html": "<p>Dear {{ contact.display_name }},</p><p>{{ deal.title }} for {{ deal.amount | money }}.</p><p>{{ tenant.name }}</p>"}]}, step="template")
        offer = self.stages["Offer"]["id"]
        rules = [
            {"name": "Call new customers", "trigger": {"event": {"type": "lead.accepted"}}, "actions": [
                {"create_task": {"title": "Call {{contact.display_name}}: {{title}}", "kind": "TASK_KIND_CALL", "priority": "TASK_PRIORITY_HIGH",
                                 "due": {"minutes": CALL_WITHIN_MINUTES, "working_time": True}}}]},
            {"name": "Send the offer", "trigger": {"stage_entered": {"stage_id": offer}}, "actions": [
                {"send_message": {"template_id": template["id"]}},
                {"create_reminder": {"text": "Has {{contact.display_name}} answered about {{title}}?", "due": {"days": 2, "working_time": True}}}]},
            {"name": "An answer came", "trigger": {"event": {"type": "message.received"}}, "condition": "deal_id:* AND automatic = false",
             "actions": [{"cancel_reminders": {}}]},
            {"name": "Overdue offers", "trigger": {"date": {"object": "deal", "field": "expected_close_date", "offset": {"days": 1}, "hour": 9}},
             "condition": "status = DEAL_STATUS_OPEN", "actions": [
                 {"notify": {"person": {"kind": "KIND_HEAD"}, "text": "{{title}} ({{amount}}) should have been closed on {{expected_close_date}}"}}]}]
        self.rules = {rule["name"]: self.crm.post("/v1/rules", {"category": "sales", "enabled": True} | rule, step=f"rule/{rule['name']}")["id"] for rule in rules}
        return f"a channel for letters, a template and {len(self.rules)} rules: {', '.join(self.rules)}"

    def accept_lead(self) -> str:
        self.crm.patch(f"/v1/leads/{self.lead['id']}", {"owner_id": self.users[self.seller], "team_id": self.team_of[self.seller]}, step="lead/owner")
        text = super().accept_lead()
        tomorrow = self.now().astimezone(self.zone).date() + datetime.timedelta(days=1)
        self.deal = self.crm.patch(f"/v1/deals/{self.deal['id']}", {
            "owner_id": self.users[self.seller], "team_id": self.team_of[self.seller], "expected_close_date": str(tomorrow)}, step="deal/owner")
        return text

    def now(self) -> datetime.datetime:
        return moment(self.crm.get("/v1/clock")["now"])

    def about_deal(self, path: str, field: str) -> list[dict]:
        return self.crm.get(path, filter=f'deal_id = "{self.deal["id"]}"')[field]

    def call_customer(self) -> str:
        [task] = self.crm.until(lambda: self.about_deal("/v1/tasks", "tasks"), bool, "the call task")
        expected = self.crm.get("/v1/calendars:compute", user_id=task["owner_id"], start_time=task["create_time"], minutes=str(CALL_WITHIN_MINUTES))
        late = (moment(task["due_time"]) - moment(expected["due_time"])).total_seconds()
        if task["owner_id"] != self.users[self.seller] or abs(late) > 60:
            raise console.Failure(f"the task is {task}, and {CALL_WITHIN_MINUTES} working minutes end at {expected}", "report this: they must agree")
        self.crm.post(f"/v1/tasks/{task['id']}:complete", {"result": "Grace asks for the offer by letter"}, step="call")
        due = moment(task["due_time"]).astimezone(self.zone)
        return f"a rule made the task \"{task['title']}\", due {due:%a %H:%M} by the working calendar ({self.zone.key}); it is done"

    def arrived(self) -> list[dict]:
        return [letter for letter in letterbox.letters(self.letters) if self.visitor in letter["recipients"]]

    def send_offer(self) -> str:
        for name in ("Qualified", "Offer"):
            self.crm.post(f"/v1/deals/{self.deal['id']}:move", {"stage_id": self.stages[name]["id"]}, step=f"move/{name}")
        letter = self.crm.until(self.arrived, bool, "the letter at the customer's mail server")[0]["letter"]
        if "1,999.90" not in letter.get_body(("html",)).get_content():
            raise console.Failure(f"the letter says {letter.get_body(('html',)).get_content()}", "it must name the amount")
        [reminder] = self.crm.until(lambda: self.about_deal("/v1/reminders", "reminders"), bool, "the reminder")
        due = moment(reminder["due_time"]).astimezone(self.zone)
        return f"the deal is in Offer: a rule sent \"{letter['Subject']}\" to {self.visitor} and set a reminder for {due:%a %d %b %H:%M}"

    def hear_answer(self) -> str:
        offer = self.arrived()[0]["letter"]
        answer = email.message.EmailMessage()
        answer["From"], answer["To"], answer["Subject"] = f"Grace Hopper <{self.visitor}>", self.ours, f"Re: {offer['Subject']}"
        answer["Message-ID"], answer["In-Reply-To"] = f"<answer@{self.name}-visitor.example.org>", offer["Message-ID"]
        answer["Date"] = email.utils.format_datetime(datetime.datetime.now(datetime.timezone.utc))
        answer.set_content("Gladly. Please deliver next week.\n\nGrace")
        self.crm.until(lambda: self.hand_in(answer.as_bytes()), bool, "the customer's answer is taken by LMTP")
        self.hand_in(answer.as_bytes())  # as mail servers do when they missed the reply: nothing comes of it
        self.crm.until(lambda: [one["status"] for one in self.about_deal("/v1/reminders", "reminders")], lambda all_: all_ == ["REMINDER_STATUS_CANCELLED"],
                       "the answer calls the reminder off")
        conversations = {message["conversation_id"] for message in self.about_deal("/v1/messages", "messages")}
        [conversation] = conversations
        self.conversation = self.crm.until(lambda: self.crm.get(f"/v1/conversations/{conversation}"), lambda one: one["message_count"] == 2, "letter and answer in one conversation")
        return f"the answer came by LMTP, twice: one conversation of {self.conversation['message_count']} letters, and the reminder is called off"

    def hand_in(self, letter: bytes) -> bool:
        """False: not taken now; a mail server comes again."""
        try:
            return letterbox.hand_in(self.lmtp_port, self.visitor, [self.ours], letter) == {}
        except (OSError, smtplib.SMTPException):
            return False

    def told(self) -> list[dict]:
        """What the head reads about this deal."""
        return [one for one in self.boss.get("/v1/notifications")["notifications"] if self.deal["title"] in one["title"] + one.get("text", "")]

    def let_offer_be_late(self) -> str:
        self.boss = Patient(self.url, f"{self.name}/head")
        self.boss.sign_in(f"employee{self.head}@{self.name}.example.com")
        self.crm.post("/v1/clock:advance", {"seconds": 3 * 86400}, step="clock")
        self.boss.until(self.told, bool, "the head is told of the overdue offer")
        notice = self.told()[0]
        self.crm.repeats += self.boss.repeats
        return f"three days later by the tenant's test clock the head reads: {notice.get('text') or notice['title']}"

    def stages_ahead(self) -> list[str]:
        names = list(self.stages)
        return names[names.index("Offer") + 1:]

    def timeline(self) -> list[dict]:
        return self.crm.get("/v1/activities", deal_id=self.deal["id"], page_size="200")["activities"]

    def look_back(self) -> str:
        def shown(entries: list[dict]) -> bool:
            kinds = [entry["kind"].removeprefix("ACTIVITY_KIND_") for entry in entries]
            return KINDS <= set(kinds) and kinds.count("MESSAGE") == 2
        entries = self.crm.until(self.timeline, shown, f"the timeline shows {', '.join(sorted(KINDS))}, and both letters")
        runs = self.crm.until(lambda: self.crm.get("/v1/ruleRuns")["rule_runs"], lambda all_: len(all_) == len(self.rules) and all(run["status"] == "RUN_STATUS_DONE" for run in all_),
                              "each rule ran once, to its end")
        messages = self.crm.until(lambda: self.about_deal("/v1/messages", "messages"), lambda all_: not {"MESSAGE_STATUS_QUEUED", "MESSAGE_STATUS_SENDING"} & {one["status"] for one in all_},
                                  "nothing waits to be sent")
        self.facts |= {
            "rule_runs": len(runs), "messages": sorted(message["direction"] for message in messages), "notices": len(self.told()),
            "letters": len({letter["letter"]["Message-ID"] for letter in self.arrived()}), "copies": len(self.arrived()),
            "tasks": sorted(task["status"] for task in self.about_deal("/v1/tasks", "tasks")),
            "timeline": sorted(entry["kind"] for entry in entries)}
        self.boss.api.close()
        return f"the timeline of the deal has {len(entries)} entries; each of {len(runs)} rules ran once"


def moment(text: str) -> datetime.datetime:
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))
