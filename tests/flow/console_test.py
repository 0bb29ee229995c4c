"""The console in headless Chromium, story by story (tests/flow/console/tests.mjs), over all processes and the demo's data."""

import email
import email.policy
import json
import os
import re
import shutil
import smtplib
import socketserver
import subprocess
import sys
import threading
import time
import unittest
from email.message import EmailMessage

from stack import BUILD, ROOT, Stack

from crmlib import showcase
from crmlib.dataset import made_up
from crmlib.firstjob import PASSWORD, FirstJob, today

CHROMIUM = os.environ.get("CRM_CHROMIUM") or shutil.which("chromium")
CONSOLE = ROOT / "services/gateway/console"
SCREENS = {"today": "/v1/tasks:today", "leads": "/v1/leads", "deals": "/v1/deals", "contacts": "/v1/contacts", "messages": "/v1/conversations", "reports": "/v1/reports/funnel"}


class MailServer(socketserver.ThreadingTCPServer):
    """Takes every letter, as a customer's mail server would."""
    daemon_threads = True

    class Handler(socketserver.StreamRequestHandler):
        def say(self, text: str) -> None:
            self.wfile.write(f"{text}\r\n".encode())

        def handle(self) -> None:
            self.say("220 here")
            while line := self.rfile.readline():
                verb = line.strip().upper()
                if verb == b"DATA":
                    self.say("354 go on")
                    lines = []
                    while (part := self.rfile.readline()) not in (b".\r\n", b""):
                        lines.append(part)
                    self.server.letters.append(b"".join(lines))
                self.say("221 bye" if verb == b"QUIT" else "250 good")
                if verb == b"QUIT":
                    return

    def __init__(self):
        super().__init__(("127.0.0.1", 0), self.Handler)
        self.letters: list[bytes] = []
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.shutdown()
        self.server_close()


@unittest.skipUnless(CHROMIUM, "needs Debian's chromium (tools/crm deps installs it)")
class ConsoleTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.stack = Stack()
        cls.stack.__enter__()
        cls.addClassCleanup(lambda: cls.stack.__exit__(None, None, None))
        data = made_up(today(), customers=12, suppliers=3, products=12, orders=40)
        cls.job = FirstJob(cls.stack.instance.url, data, "console", say=lambda text: None)
        cls.job.run()
        cls.mail = MailServer()
        cls.addClassCleanup(cls.mail.close)
        showcase.run(cls.job, cls.stack.instance.lmtp_port, cls.mail.server_address[1])
        static = cls.stack.folder / "static"
        static.mkdir(exist_ok=True)
        (static / "demo.json").write_text(json.dumps(showcase.demo_users(cls.job)))
        paths = {route["path"] for route in cls.job.crm.get("/v1/schema")["routes"]}
        cls.facts = {
            "login": cls.job.login, "password": PASSWORD, "token": cls.job.crm.api.token, "pipeline_id": cls.job.pipeline["id"], "form_path": cls.job.form["submit_path"],
            "manager_id": cls.job.users[showcase.sellers(cls.job)[0]], "address": f"sales@{cls.job.name}.example.com",
            "stages": {name: stage["id"] for name, stage in cls.job.stages.items()}, "timeline": "/v1/activities" in paths,
            "screens": [name for name, path in SCREENS.items() if path in paths]}

    def fresh(self) -> dict:
        self.job.crm.sign_in(self.job.login)  # tokens live for ten minutes, and this machine may be busy
        self.facts["token"] = self.job.crm.api.token
        return self.facts

    def story(self, name: str) -> str:
        """Runs it to its end, and does meanwhile what it asks for by a line: `deliver {...}` a letter, `restart gateway`."""
        seen = []
        with subprocess.Popen(["node", ROOT / "tests/flow/console/tests.mjs", self.stack.instance.url, name, json.dumps(self.fresh())], cwd=self.stack.folder, text=True,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as page:
            for line in page.stdout:
                seen.append(line)
                verb, _, rest = line.strip().partition(" ")
                if verb == "deliver":
                    self.deliver(**json.loads(rest))
                elif verb == "restart":
                    self.stack.restart(rest)
        if page.returncode != 0 or f"ok {name}\n" not in seen:
            self.stack.print_logs()
            self.fail(f"{name} ended with {page.returncode}:\n{''.join(seen[-60:])}")
        return "".join(seen)

    def test_roles(self):
        self.story("roles")

    def test_board(self):
        self.story("board")

    def test_conflict(self):
        self.story("conflict")

    def test_leads(self):
        self.story("leads")

    def test_cards(self):
        self.story("cards")

    def test_reports(self):
        self.story("reports")

    def test_today(self):
        self.story("today")

    def test_messages(self):
        """The customer's answer is a letter that arrives by LMTP while the conversation is open."""
        self.story("messages")
        letter = email.message_from_bytes(self.mail.letters[-1], policy=email.policy.default)
        self.assertIn("Две тысячи за все.", letter.get_body(("plain",)).get_content())
        self.assertIn("kirill@visitor.example.org", letter["To"])
        [offer] = letter.iter_attachments()
        self.assertEqual((offer.get_filename(), len(offer.get_payload(decode=True))), ("Предложение.txt", 5 * 2**20))

    def deliver(self, sender: str, recipient: str, subject: str, text: str, answers: str) -> None:
        letter = EmailMessage()
        letter["From"], letter["To"], letter["Subject"], letter["Message-ID"] = sender, recipient, subject, f"<{time.time_ns()}@visitor.example.org>"
        if answers:
            letter["In-Reply-To"] = f"<{answers}>"
        letter.set_content(text)
        with smtplib.LMTP("127.0.0.1", self.stack.instance.lmtp_port) as server:
            server.send_message(letter)

    def test_the_gateway_goes_and_comes(self):
        self.story("resume")

    def test_phone(self):
        self.story("phone")

    def test_right_to_left(self):
        self.story("right_to_left")

    def test_inspector_and_its_curl(self):
        curl = json.loads(re.search(r"^curl (.*)$", self.story("inspector"), re.M)[1])
        done = subprocess.run(["bash", "-c", curl], text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60,
                              env=os.environ | {"CRM_URL": self.stack.instance.url, "CRM_TOKEN": self.facts["token"]})
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertIn("contacts", json.loads(done.stdout))


class FilesTest(unittest.TestCase):
    def test_every_language_has_every_word(self):
        script = "const names = ['en', 'ru', 'he']; const all = {}; for (const name of names) all[name] = (await import(process.argv[1] + name + '.js')).default; console.log(JSON.stringify(all));"
        out = subprocess.run(["node", "--input-type=module", "--experimental-default-type=module", "-e", script, f"{CONSOLE}/lang/"], check=True, text=True, stdout=subprocess.PIPE).stdout
        words = json.loads(out)
        for name in ("ru", "he"):
            self.assertEqual(words[name].keys() ^ words["en"].keys(), set(), f"{name} and en differ in these")
            for key, text in words["en"].items():
                holes = lambda value: set(re.findall(r"\{(\w+)\}", value if isinstance(value, str) else value["other"]))  # noqa: E731
                self.assertEqual(holes(words[name][key]), holes(text), f"{name}: {key}")
        used = {key for file in CONSOLE.rglob("*.js") if file.parent.name != "lang" for key in re.findall(r"""\bt\("([\w.]+)\"""", file.read_text())}
        self.assertEqual(used - words["en"].keys(), set(), "the pages use words that no dictionary has")

    def test_what_the_build_serves_is_what_lies_here(self):
        for file in CONSOLE.rglob("*"):
            if file.is_file():
                served = BUILD / "static" / file.relative_to(CONSOLE)
                self.assertEqual(served.read_bytes(), file.read_bytes(), f"{served}: build the gateway")


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + ["-v"] + sys.argv[1:])
