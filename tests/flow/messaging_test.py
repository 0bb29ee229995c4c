"""Letters over all processes: out through a real SMTP server with its faults, in by LMTP, one conversation; crashes between."""

import email.message
import email.utils
import json
import os
import re
import shutil
import signal
import smtplib
import socket
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

from rpcs import Catalogue, Native
from stack import ROOT, Stack, eventually

from crmlib import letterbox

SERVICES = ["identity", "contact", "deal_pipeline", "messaging", "gateway"]
PYTHON = "/usr/bin/python3"  # Debian's, which has Debian's aiosmtpd
WAIT = 60.0  # a letter on a busy machine


class Letterbox:
    """tools/crmlib/letterbox.py as a process of its own."""

    def __init__(self, *options: str):
        self.folder = Path(tempfile.mkdtemp(prefix="crm-letterbox-"))
        self.port = 0
        self.options = options
        self.start()

    def start(self):
        (self.folder / "ready").unlink(missing_ok=True)
        self.process = subprocess.Popen([PYTHON, ROOT / "tools/crmlib/letterbox.py", self.folder, str(self.port), *self.options],
                                        stdin=subprocess.DEVNULL)
        eventually(lambda: (self.folder / "ready").read_text(), WAIT, "the SMTP server")
        self.port = int((self.folder / "ready").read_text())

    def stop(self):
        self.process.kill()
        self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def letters(self, to: str = "") -> list[dict]:
        return [letter for letter in letterbox.letters(self.folder) if not to or to in letter["recipients"]]

    def wait(self, to: str, count: int = 1) -> list[dict]:
        eventually(lambda: len(self.letters(to)) >= count, WAIT, f"{count} letters to {to}")
        return self.letters(to)


def compose(sender: str, to: str, subject: str, text: str, **headers) -> bytes:
    letter = email.message.EmailMessage()
    letter["From"], letter["To"], letter["Subject"] = sender, to, subject
    letter["Message-ID"] = email.utils.make_msgid(domain="customer.example")
    for name, value in headers.items():
        del letter[name.replace("_", "-")]
        letter[name.replace("_", "-")] = value
    letter.set_content(text)
    return letter.as_bytes()


class MessagingTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        if subprocess.run([PYTHON, "-c", "import aiosmtpd"], stderr=subprocess.DEVNULL).returncode != 0:
            raise unittest.SkipTest("python3-aiosmtpd is not installed: run tools/crm deps")
        cls.stack = Stack(SERVICES, {"messaging": {"messaging": {"retry_seconds": 1, "attempts_max": 4, "answer_seconds": 3}}})
        cls.stack.__enter__()
        cls.addClassCleanup(lambda: cls.stack.__exit__(None, None, None))
        cls.box = Letterbox()
        cls.addClassCleanup(cls.box.stop)

    def setUp(self):
        self.api = self.stack.sign_up()
        self.domain = f"tenant{self.stack.tenants}.example.com"
        self.address = f"sales@{self.domain}"
        self.channel = self.api.post("/v1/channels", {
            "name": "Sales", "address": self.address, "display_name": "Отдел продаж", "is_default": True,
            "smtp": {"host": "127.0.0.1", "port": self.box.port, "security": "SMTP_SECURITY_NONE"}})

    def tearDown(self):
        if any(error for _, error in self._outcome.result.failures + self._outcome.result.errors):
            self.stack.print_logs()

    # Helpers.
    def contact(self, name: str, address: str) -> dict:
        return self.api.post("/v1/contacts", {"given_name": name, "emails": [{"address": address}]})

    def send(self, to: str, **more) -> dict:
        return self.api.post("/v1/messages", {"recipients": [{"address": to}], "subject": "Offer", "text": "Hello"} | more)

    def message(self, message_id: str) -> dict:
        return self.api.get(f"/v1/messages/{message_id}")

    def becomes(self, message_id: str, status: str) -> dict:
        eventually(lambda: self.message(message_id)["status"] == f"MESSAGE_STATUS_{status}", WAIT,
                   f"{message_id} {status}, not {self.message(message_id)}")
        return self.message(message_id)

    def hand_in(self, letter: bytes, *recipients: str, sender: str = "ada@customer.example") -> dict:
        return letterbox.hand_in(self.stack.instance.lmtp_port, sender, list(recipients) or [self.address], letter)

    def inbound(self, conversation_id: str) -> list[dict]:
        listed = self.api.get("/v1/messages", **{"filter": f'conversation_id = "{conversation_id}" AND direction = MESSAGE_DIRECTION_INBOUND'})
        return listed["messages"]

    def events(self, kind: str) -> int:
        tenant = self.stack.value("SELECT tenant_id FROM messaging.channel WHERE address = '%s'" % self.address)
        return int(self.stack.value(f"SELECT count(*) FROM messaging.outbox WHERE type = '{kind}' AND tenant_id = '{tenant}'"))

    # The story.
    def test_a_letter_goes_out_and_its_answer_comes_into_the_same_conversation(self):
        ada = self.contact("Ада", "ada@customer.example")
        deal = eventually(lambda: self.api.post("/v1/deals", {"title": "Boxes", "contact_id": ada["id"], "amount": {"amount": "1250", "currency_code": "EUR"}}), WAIT)
        template = self.api.post("/v1/templates", {"name": "Offer", "variants": [
            {"language": "ru", "subject": "Предложение: {{ deal.title }}",
             "html": "<p>Здравствуйте, {{ contact.given_name }}!</p><p>{{ deal.amount | money }}</p><p>{{ sender.given_name }}, {{ tenant.name }}</p>"}]})
        sent = self.api.post("/v1/messages", {"template_id": template["id"], "contact_id": ada["id"], "deal_id": deal["id"]})
        self.assertEqual((sent["status"], sent["template_version"], sent["contact_id"]), ("MESSAGE_STATUS_QUEUED", "1", ada["id"]))
        [arrived] = self.box.wait("ada@customer.example")
        letter = arrived["letter"]
        self.assertEqual(letter["Subject"], "Предложение: Boxes")
        self.assertEqual(letter["From"].addresses[0].display_name, "Отдел продаж")
        self.assertEqual(letter["Message-ID"].strip("<>"), sent["internet_message_id"])
        self.assertIn("1 250,00", letter.get_body(("html",)).get_content().replace("\u00a0", " ").replace("\u202f", " "))
        self.assertIn(f"Ada, Tenant {self.stack.tenants}", letter.get_body(("plain",)).get_content())
        done = self.becomes(sent["id"], "SENT")
        self.assertEqual((done["attempt_count"], done["reply_code"], done["error"]), (1, 250, ""))

        answer = compose("Ada Lovelace <ada@customer.example>", self.address, "Re: Предложение", "Беру.\n\n> quoted", In_Reply_To=letter["Message-ID"])
        self.assertEqual(self.hand_in(answer), {})
        conversation = self.api.get(f"/v1/conversations/{sent['conversation_id']}")
        self.assertEqual((conversation["waiting"], conversation["message_count"], conversation["unread_count"]), (True, 2, 1))
        self.assertEqual((conversation["contact_id"], conversation["deal_id"], conversation["preview"]), (ada["id"], deal["id"], "Беру."))
        [received] = self.inbound(conversation["id"])
        self.assertEqual((received["status"], received["contact_id"], received["deal_id"]), ("MESSAGE_STATUS_RECEIVED", ada["id"], deal["id"]))
        self.assertEqual(self.api.get("/v1/leads")["leads"], [])

        # The same letter again, alone and in a crowd: nothing changes.
        for _ in range(3):
            self.assertEqual(self.hand_in(answer), {})
        self.assertEqual(len(self.inbound(conversation["id"])), 1)
        self.assertEqual(self.events("message.received"), 1)

        # Our answer to the answer hangs on the chain, and the inbox knows.
        self.assertEqual(self.api.get("/v1/conversations:inbox"), {"open_count": 1, "waiting_count": 1, "unread_count": 1, "own_count": 1})
        reply = self.api.post("/v1/messages", {"conversation_id": conversation["id"], "text": "Спасибо!"})
        arrived = self.box.wait("ada@customer.example", 2)[1]["letter"]
        self.assertEqual(arrived["In-Reply-To"].strip("<>"), received["internet_message_id"])
        self.assertEqual(arrived["References"].split()[0], letter["Message-ID"])
        self.assertEqual(reply["subject"], "Re: Предложение: Boxes")
        read = self.api.post(f"/v1/conversations/{conversation['id']}:read", {})
        self.assertEqual((read["unread_count"], read["waiting"]), (0, False))
        self.assertEqual(self.api.get("/v1/conversations", **{"filter": "unread = true"})["conversations"], [])
        comment = self.api.post(f"/v1/conversations/{conversation['id']}/comments", {"text": "He will sign", "mention_ids": [self.api.user_id]})
        self.assertEqual((comment["kind"], comment["direction"]), ("MESSAGE_KIND_COMMENT", "MESSAGE_DIRECTION_INTERNAL"))
        closed = self.api.post(f"/v1/conversations/{conversation['id']}:close", {})
        self.assertEqual(closed["status"], "CONVERSATION_STATUS_CLOSED")
        more = compose("ada@customer.example", self.address, "Re", "And one more thing", References=f"{letter['Message-ID']} {arrived['Message-ID']}")
        self.assertEqual(self.hand_in(more), {})
        self.assertEqual(self.api.get(f"/v1/conversations/{conversation['id']}")["status"], "CONVERSATION_STATUS_OPEN")
        self.assertEqual(len(self.box.letters("ada@customer.example")), 2, "nothing was sent twice")

    def test_a_rule_writes_without_a_user(self):
        ada = self.contact("Ada", f"rule@{self.domain}")
        deal = eventually(lambda: self.api.post("/v1/deals", {"title": "Boxes", "contact_id": ada["id"]}), WAIT)
        template = self.api.post("/v1/templates", {"name": "Offer", "variants": [
            {"language": "en", "subject": "{{ deal.title }}", "text": "{{ contact.given_name }} {{ sender.given_name }} {{ tenant.name }} {{ today | date: \"iso\" }}"}]})
        catalogue = Catalogue(self.stack)
        native = Native(catalogue, self.stack)
        self.addCleanup(native.process.wait)
        self.addCleanup(native.process.kill)
        send = next(method for method in catalogue.methods if method.name == "crm.messaging.v1.MessageService.SendMessage")
        request = {"template_id": template["id"], "deal_id": deal["id"], "cause": "rule_run_1", "request_id": "rule_run_1/2"}
        by_service = {"crm-tenant": self.api.tenant_id}
        results = [native.call(send, "messaging", request, by_service, as_="scheduler") for _ in range(2)]
        self.assertEqual([result.code for result in results], ["OK", "OK"], results)
        self.assertEqual(results[0].body["id"], results[1].body["id"])
        [arrived] = self.box.wait(f"rule@{self.domain}")
        self.assertEqual(arrived["letter"]["Subject"], "Boxes")
        self.assertRegex(arrived["letter"].get_content().strip(), rf"^Ada Ada Tenant {self.stack.tenants} 20\d\d-\d\d-\d\d$")
        sent = self.message(results[0].body["id"])
        self.assertEqual((sent["author_id"], sent["owner_id"], sent["cause"]), ("service_scheduler", self.api.user_id, "rule_run_1"))
        refused = native.call(send, "messaging", request | {"request_id": "other"}, by_service, as_="analytics")
        self.assertEqual(refused.code, "PERMISSION_DENIED")

    def test_a_stranger_becomes_one_contact_and_one_lead(self):
        first = compose("Grace Hopper <Grace@Navy.example>", self.address, "Price?", "What does it cost?")
        second = compose("Grace Hopper <grace@navy.example>", self.address, "Hello?", "Are you there?")
        for letter in (first, first, second):
            self.assertEqual(self.hand_in(letter, sender="grace@navy.example"), {})
        [contact] = self.api.get("/v1/contacts:lookup", **{"email": "grace@navy.example"})["contacts"]
        self.assertEqual((contact["given_name"], contact["family_name"], contact["unaccepted"]), ("Grace", "Hopper", True))
        [lead] = self.api.get("/v1/leads")["leads"]
        self.assertEqual((lead["title"], lead["email"], lead["source"], lead["owner_id"]), ("Price?", "grace@navy.example", "mail", self.api.user_id))
        conversations = self.api.get("/v1/conversations", **{"filter": f'contact_id = "{contact["id"]}"', "order_by": "create_time"})["conversations"]
        self.assertEqual([c["lead_id"] for c in conversations], [lead["id"], ""])
        # Taken up, the lead's deal is what the conversation is about; so are its letters.
        accepted = eventually(lambda: self.api.post(f"/v1/leads/{lead['id']}:accept", {}), WAIT)
        self.assertEqual(accepted["contact"]["id"], contact["id"])
        eventually(lambda: self.api.get(f"/v1/conversations/{conversations[0]['id']}")["deal_id"] == accepted["deal"]["id"], WAIT, "the deal's conversation")
        self.assertEqual(self.inbound(conversations[0]["id"])[0]["deal_id"], accepted["deal"]["id"])

    def test_servers_that_misbehave(self):
        busy, dead, policy = (self.send(f"{name}@{self.domain}") for name in ("busy2", "dead", "policy"))
        spam, cut1 = (self.send(f"{name}@{self.domain}") for name in ("spam", "cut1"))
        cut9, silent = (self.send(f"{name}@{self.domain}") for name in ("cut9", "silent"))
        campaign = self.send(f"cut1.campaign@{self.domain}", category="MESSAGE_CATEGORY_CAMPAIGN")
        both = self.api.post("/v1/messages", {"recipients": [{"address": f"ok@{self.domain}"}, {"address": f"dead.too@{self.domain}"}], "subject": "Two", "text": "x"})

        done = self.becomes(busy["id"], "SENT")
        self.assertEqual(done["attempt_count"], 3)
        done = self.becomes(dead["id"], "BOUNCED")
        self.assertEqual((done["attempt_count"], done["reply_code"]), (1, 550))
        self.assertIn("no such user", done["error"])
        self.becomes(policy["id"], "BOUNCED")
        self.assertEqual(self.becomes(spam["id"], "BOUNCED")["reply_code"], 554)
        # The answer was lost once: sent again with the same Message-ID. A campaign's letter never is.
        self.assertEqual(self.becomes(cut1["id"], "SENT")["attempt_count"], 2)
        twice = self.box.letters(f"cut1@{self.domain}")
        self.assertEqual([t["letter"]["Message-ID"].strip("<>") for t in twice], [cut1["internet_message_id"]] * 2)
        self.becomes(campaign["id"], "UNKNOWN")
        self.assertEqual(len(self.box.letters(f"cut1.campaign@{self.domain}")), 1)
        self.assertEqual(self.becomes(cut9["id"], "UNKNOWN")["attempt_count"], 2)
        self.assertEqual(len(self.box.letters(f"cut9@{self.domain}")), 2)
        done = self.becomes(silent["id"], "FAILED")
        self.assertEqual(done["attempt_count"], 4)
        self.assertIn("4 attempts", done["error"])
        done = self.becomes(both["id"], "SENT")
        self.assertIn("dead.too", done["error"])
        self.assertEqual(len(self.box.letters(f"ok@{self.domain}")), 1)

        # Dead addresses are suspended, those that policy refused are not; nothing more is sent there until someone lifts it.
        suspended = {s["address"]: s for s in self.api.get("/v1/suppressions")["suppressions"]}
        self.assertEqual(sorted(suspended), [f"dead.too@{self.domain}", f"dead@{self.domain}"])
        blocked = self.send(f"dead@{self.domain}")
        self.assertEqual(blocked["status"], "MESSAGE_STATUS_BLOCKED")
        self.api.call("DELETE", f"/v1/suppressions/{suspended[f'dead@{self.domain}']['id']}")
        again = self.api.post(f"/v1/messages/{blocked['id']}:retry", {})
        self.assertEqual(again["status"], "MESSAGE_STATUS_QUEUED")
        self.becomes(blocked["id"], "BOUNCED")

        # What a person must look at is a list.
        trouble = self.api.get("/v1/messages", **{"filter": "status = MESSAGE_STATUS_FAILED OR status = MESSAGE_STATUS_UNKNOWN"})["messages"]
        self.assertEqual({m["id"] for m in trouble}, {silent["id"], cut9["id"], campaign["id"]})
        for kind, count in (("message.queued", 9), ("message.sent", 3), ("message.failed", 4), ("message.bounced", 4)):
            eventually(lambda kind=kind, count=count: self.events(kind) == count, WAIT, f"{count} {kind}, not {self.events(kind)}")
        self.assertEqual(self.stack.value("SELECT count(*) FROM messaging.send"), "0")

    def test_a_slow_server_holds_up_nobody_else(self):
        tenant = self.stack.value(f"SELECT tenant_id FROM messaging.channel WHERE address = '{self.address}'")
        other = self.stack.sign_up()
        other.post("/v1/channels", {"name": "Sales", "address": f"sales@other.{self.domain}", "is_default": True,
                                    "smtp": {"host": "127.0.0.1", "port": self.box.port, "security": "SMTP_SECURITY_NONE"}})
        slow = [self.send(f"silent{n}@{self.domain}")["id"] for n in range(14)]  # more than are sent at once
        most = 0

        def under_way() -> int:
            nonlocal most
            now = int(self.stack.value(f"SELECT count(*) FROM messaging.message WHERE tenant_id = '{tenant}' AND status = 2"))
            most = max(most, now)
            return now

        eventually(lambda: under_way() == 4, WAIT, "four letters under way")
        quick = [other.post("/v1/messages", {"recipients": [{"address": f"ada{n}@other.{self.domain}"}], "subject": "Offer", "text": "Hello"})["id"]
                 for n in range(6)]
        eventually(lambda: under_way() >= 0 and all(other.get(f"/v1/messages/{id}")["status"] == "MESSAGE_STATUS_SENT" for id in quick), WAIT,
                   "the other's letters sent")
        self.assertLessEqual(most, 4)
        # The others have had their turn when each has been tried.
        eventually(lambda: under_way() >= 0 and all(self.message(id)["attempt_count"] > 0 for id in slow), WAIT, "every slow letter tried")
        self.assertLessEqual(most, 4)
        # What waits for a channel that is gone does not wait any longer.
        self.api.call("DELETE", f"/v1/channels/{self.channel['id']}")
        eventually(lambda: self.stack.value("SELECT count(*) FROM messaging.send") == "0", WAIT, "nothing queued")

    def test_the_sender_dies_between_mark_and_answer(self):
        letter, address = self.killed_at("provider.after_answer", "crash")
        self.assertEqual(len(self.box.letters(address)), 1)
        self.stack.start("messaging")
        done = self.becomes(letter["id"], "SENT")
        self.assertEqual(done["attempt_count"], 2)
        ids = [sent["letter"]["Message-ID"].strip("<>") for sent in self.box.letters(address)]
        self.assertEqual(ids, [letter["internet_message_id"]] * 2)
        # A campaign's letter stays of unknown fate.
        letter, address = self.killed_at("messaging.after_mark", "crash.campaign", category="MESSAGE_CATEGORY_CAMPAIGN")
        self.stack.start("messaging")
        self.becomes(letter["id"], "UNKNOWN")
        self.assertEqual(self.box.letters(address), [])

    def killed_at(self, failpoint: str, name: str, **more) -> tuple[dict, str]:
        """Sends letters until the sender dies of one (a failpoint is read up to 50 ms late); that letter and its address."""
        self.stack.failpoints("messaging", f"{failpoint}=kill")
        for number in range(20):
            address = f"{name}.{number}@{self.domain}"
            letter = self.send(address, **more)
            eventually(lambda: not self.stack.alive("messaging") or self.message(letter["id"])["status"] == "MESSAGE_STATUS_SENT", WAIT, "death or success")
            if not self.stack.alive("messaging") or self.dies():
                self.assertEqual(self.stack.wait_dead("messaging", WAIT), -signal.SIGKILL)
                self.stack.failpoints("messaging")
                return letter, address
        self.fail(f"{failpoint} was not reached")

    def dies(self) -> bool:
        return not self.api.call("GET", "/v1/channels").ok

    def test_a_letter_that_was_committed_and_not_acknowledged_comes_again(self):
        letter = compose("linus@sea.example", self.address, "Boat", "For sale?")
        self.stack.failpoints("messaging", "messaging.after_letter_commit=kill")

        def handed_in() -> bool:
            try:
                return self.hand_in(letter) == {}
            except (OSError, smtplib.SMTPException):
                return False
        eventually(lambda: not handed_in(), WAIT, "the failpoint")  # read up to 50 ms late; a repeat changes nothing
        self.assertEqual(self.stack.wait_dead("messaging", WAIT), -signal.SIGKILL)
        self.stack.failpoints("messaging")
        self.stack.start("messaging")
        self.assertEqual(self.hand_in(letter), {})
        self.assertEqual(self.events("message.received"), 1)
        self.assertEqual(len(self.api.get("/v1/leads")["leads"]), 1)

    def test_tls_and_sign_in(self):
        certificate, key, ca = (str(self.stack.instance.tls(name)) for name in ("messaging.pem", "messaging.key", "ca.pem"))
        config = self.stack.instance.config("messaging")
        kept = config.read_text()
        changed = json.loads(kept)
        changed["messaging"]["smtp_ca_file"] = ca
        config.write_text(json.dumps(changed))
        self.addCleanup(lambda: (config.write_text(kept), self.stack.restart("messaging")))
        self.stack.restart("messaging")
        for security, option in (("STARTTLS", "--starttls"), ("TLS", "--tls")):
            with self.subTest(security=security):
                box = Letterbox(option, certificate, key, "--login", "sales:right password")
                self.addCleanup(box.stop)
                smtp = {"host": "localhost", "port": box.port, "security": f"SMTP_SECURITY_{security}", "user": "sales"}
                channel = self.api.patch(f"/v1/channels/{self.channel['id']}", {"smtp": smtp, "password": "wrong password"})
                self.assertTrue(channel["has_password"])
                self.assertEqual(channel["password"], "")
                tried = self.api.post(f"/v1/channels/{self.channel['id']}:test", {})
                self.assertEqual((tried["ok"], tried["step"]), (False, "STEP_SIGN_IN"), tried)
                letter = self.send(f"secret.{security.lower()}@{self.domain}")
                eventually(lambda: self.message(letter["id"])["attempt_count"] >= 1 and self.message(letter["id"])["error"], WAIT, "the wrong password")
                self.api.patch(f"/v1/channels/{self.channel['id']}", {"password": "right password"})
                self.assertEqual(self.api.post(f"/v1/channels/{self.channel['id']}:test", {}), {"ok": True, "step": "STEP_DONE", "detail": ""})
                if self.message(letter["id"])["status"] == "MESSAGE_STATUS_FAILED":
                    self.api.post(f"/v1/messages/{letter['id']}:retry", {})
                self.becomes(letter["id"], "SENT")
                [arrived] = box.letters()
                self.assertEqual((arrived["tls"], arrived["login"]), (True, "sales"))
        # Another server does not get the password that was entered for this one.
        moved = self.api.patch(f"/v1/channels/{self.channel['id']}", {"smtp": {"host": "127.0.0.1", "port": box.port, "security": "SMTP_SECURITY_TLS", "user": "sales"}})
        self.assertFalse(moved["has_password"])
        for text in (self.stack.log("messaging"), json.dumps(self.api.get("/v1/channels")),
                     self.stack.value("SELECT string_agg(encode(sealed, 'escape'), '') IS NULL FROM messaging.channel_secret"),
                     "".join(row[0] for row in self.stack.sql("SELECT encode(reply, 'escape') FROM messaging.idempotency"))):
            self.assertNotIn("right password", text)

    def test_what_channels_may_not_do(self):
        for host in ("10.0.0.1", "169.254.169.254", "192.168.1.1", "0x7f000001"):
            with self.subTest(host=host):
                self.api.patch(f"/v1/channels/{self.channel['id']}", {"smtp": {"host": host, "port": 2525, "security": "SMTP_SECURITY_TLS"}})
                tried = self.api.post(f"/v1/channels/{self.channel['id']}:test", {})
                self.assertFalse(tried["ok"])
        refused = self.api.call("PATCH", f"/v1/channels/{self.channel['id']}", {"smtp": {"host": "smtp.example.com", "security": "SMTP_SECURITY_NONE"}})
        self.assertEqual(refused.status, 400)
        taken = self.stack.sign_up().call("POST", "/v1/channels", {"name": "Mine", "address": self.address.upper()})
        self.assertEqual((taken.status, taken.reason), (409, "ALREADY_EXISTS"))

    def test_the_door(self):
        letter = compose("ada@customer.example", self.address, "x", "y")
        refused = self.hand_in(letter, self.address, f"nobody@{self.domain}")
        self.assertEqual(list(refused), [f"nobody@{self.domain}"])
        self.assertEqual(refused[f"nobody@{self.domain}"][0], 550)
        self.assertEqual(self.hand_in(compose("ada@customer.example", self.address, "tagged", "y"), self.address.replace("@", "+tag@")), {})
        with socket.create_connection(("127.0.0.1", self.stack.instance.lmtp_port), timeout=WAIT) as line:
            file = line.makefile("rb")

            def say(text: bytes) -> bytes:
                line.sendall(text)
                answer = file.readline()
                while answer[3:4] == b"-":
                    answer = file.readline()
                return answer[:3]
            self.assertEqual(file.readline()[:3], b"220")
            self.assertEqual(say(b"EHLO x\r\n"), b"500")
            self.assertEqual(say(b"MAIL FROM:<a@b.example>\r\n"), b"503")
            self.assertEqual(say(b"LHLO x\r\n"), b"250")
            self.assertEqual(say(b"DATA\r\n"), b"503")
            self.assertEqual(say(b"X" * 100_000 + b"\r\n"), b"500")
            self.assertEqual(say(b"NOOP\nRSET\r\n"), b"500", "a bare line feed ends nothing")
            self.assertEqual(say(b"MAIL FROM:<a@b.example> SIZE=99999999999\r\n"), b"552")
            # Everything at once: answers in order, and a letter in eight bits whose lines are longer than any.
            raw = b"From: a@b.example\r\nSubject: \xd0\x9f\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n" + b"\xd0\x9f" * 20_000 + b"\r\n..\r\n"
            line.sendall(b"MAIL FROM:<a@b.example> BODY=8BITMIME\r\nRCPT TO:<" + self.address.encode() + b">\r\nRCPT TO:<" + self.address.encode() +
                         b">\r\nDATA\r\n" + raw + b".\r\nNOOP\r\nQUIT\r\n")
            self.assertEqual([file.readline()[:3] for _ in range(8)], [b"250", b"250", b"250", b"354", b"250", b"250", b"250", b"221"])
        [got] = self.api.get("/v1/messages", **{"filter": 'subject = "П"'})["messages"]
        self.assertTrue(got["text"].startswith("ППП"))
        self.assertTrue(got["text"].rstrip().endswith("."))
        for broken in (b"", b"\r\n", b"no header\r\n", b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n--b\r\n\xff\xfe\x00", b"From: <<<>>>\r\nSubject: =?utf-8?B?!!\r\n\r\n\x80"):
            self.assertEqual(self.hand_in(broken, sender="odd@customer.example"), {})
        evil = compose("eve@customer.example", self.address, "<script>", "plain")
        evil = evil.replace(b"Content-Type: text/plain", b"Content-Type: text/html").replace(b"plain\n", b"<p onclick=alert(1)>Hi<script>alert(1)</script><img src=x onerror=alert(1)></p>\n")
        self.assertEqual(self.hand_in(evil), {})
        [got] = self.api.get("/v1/messages", **{"filter": 'subject = "<script>"'})["messages"]
        self.assertEqual(got["html"].strip(), "<p>Hi<img></p>")

    def test_a_report_says_that_an_address_is_dead(self):
        letter = self.send(f"later@{self.domain}")
        self.becomes(letter["id"], "SENT")
        report = ("From: mailer-daemon@mx.example\r\nTo: %s\r\nContent-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r\n"
                  "--b\r\nContent-Type: text/plain\r\n\r\nNo.\r\n--b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx.example\r\n\r\n"
                  "Final-Recipient: rfc822; %s\r\nAction: failed\r\nStatus: 5.1.1\r\nDiagnostic-Code: smtp; 550 no such user\r\n\r\n"
                  "--b\r\nContent-Type: text/rfc822-headers\r\n\r\nMessage-ID: <%s>\r\n\r\n--b--\r\n")
        forged = report % (self.address, f"innocent@{self.domain}", letter["internet_message_id"])
        self.assertEqual(self.hand_in(forged.encode(), sender=""), {})
        self.assertEqual(self.api.get("/v1/suppressions")["suppressions"], [], "a report may only speak of those who were written to")
        self.assertEqual(self.hand_in((report % (self.address, f"later@{self.domain}", letter["internet_message_id"])).encode(), sender=""), {})
        self.assertIn("no such user", self.becomes(letter["id"], "BOUNCED")["error"])
        self.assertEqual([s["address"] for s in self.api.get("/v1/suppressions")["suppressions"]], [f"later@{self.domain}"])

    def test_templates(self):
        refused = self.api.call("POST", "/v1/templates", {"name": "Bad", "variants": [{"language": "en", "subject": "x", "text": "Hi {{ contact.firstname }}"}]})
        self.assertEqual(refused.status, 400)
        [violations] = [detail["field_violations"] for detail in refused.error["details"] if "field_violations" in detail]
        self.assertEqual(violations[0]["field"], "template.variants[0].text")
        self.assertIn("contact.firstname", violations[0]["description"])
        made = self.api.post("/v1/templates", {"name": "Hello", "variants": [{"language": "en", "subject": "Hi", "text": "Hi {{ contact.given_name }}{{ link }}"}],
                                               "variables": [{"name": "link", "kind": "VARIABLE_KIND_TEXT", "required": True}]})
        ada = self.contact("Ada", "ada2@customer.example")
        shown = self.api.post("/v1/templates:preview", {"template_id": made["id"], "contact_id": ada["id"]})
        self.assertEqual((shown["text"], shown["empty_variables"]), ("Hi Ada", ["link"]))
        missing = self.api.call("POST", "/v1/messages", {"template_id": made["id"], "contact_id": ada["id"]})
        self.assertEqual(missing.status, 400)
        changed = self.api.patch(f"/v1/templates/{made['id']}", {"variants": [{"language": "en", "subject": "Hi", "text": "Second"}], "variables": []})
        self.assertEqual(changed["etag"], "2")
        self.assertEqual(self.api.get(f"/v1/templates/{made['id']}", **{"version": "1"})["variants"][0]["text"], "Hi {{ contact.given_name }}{{ link }}")
        self.assertEqual(len(self.api.get(f"/v1/templates/{made['id']}/revisions")["revisions"]), 2)
        self.assertIn("deal.lines[].name", [v["path"] for v in self.api.get("/v1/templates:variables")["variables"]])
        sent = self.api.post("/v1/messages", {"template_id": made["id"], "contact_id": ada["id"]}, headers={"Idempotency-Key": "once"})
        same = self.api.post("/v1/messages", {"template_id": made["id"], "contact_id": ada["id"]}, headers={"Idempotency-Key": "once"})
        self.assertEqual(sent["id"], same["id"])
        self.becomes(sent["id"], "SENT")
        self.assertEqual(len(self.box.letters("ada2@customer.example")), 1)

    def test_the_guide(self):
        blocks = re.findall(r"```sh\n(.*?)```", (ROOT / "docs/MAIL.md").read_text(), re.S)
        self.assertGreaterEqual(len(blocks), 5)
        eventually(lambda: self.api.get("/v1/pipelines")["pipelines"], WAIT, "the package's pipeline")
        done = subprocess.run(["bash", "-euo", "pipefail", "-x", "-c", "\n".join(blocks)], text=True, timeout=240, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT,
                              env=os.environ | {"CRM_URL": self.stack.instance.url, "CRM_TOKEN": self.api.token, "SMTP_PORT": str(self.box.port)})
        self.assertEqual(done.returncode, 0, done.stdout[-3000:])

    def test_an_address_moves_with_its_channel(self):
        moved = f"office@{self.domain}"
        self.assertEqual(self.api.patch(f"/v1/channels/{self.channel['id']}", {"address": moved})["address"], moved)
        letter = compose("ada@customer.example", moved, "x", "y")
        self.assertEqual(list(self.hand_in(letter, self.address, moved)), [self.address])
        channel = f"/v1/channels/{self.channel['id']}"
        self.assertTrue(self.api.call("DELETE", channel).ok)
        self.assertEqual(list(self.hand_in(letter, moved)), [moved])
        other = self.stack.sign_up().post("/v1/channels", {"name": "Heir", "address": moved})
        self.assertEqual(self.api.call("POST", f"{channel}:undelete", {}).status, 409)
        self.assertEqual(other["address"], moved)
        self.assertEqual(self.api.post("/v1/channels", {"name": "Next", "address": self.address})["address"], self.address)

    def test_a_letter_can_be_taken_back_before_it_goes(self):
        later = self.send(f"later.still@{self.domain}", not_before="2999-01-01T00:00:00Z")
        self.assertEqual(self.api.post(f"/v1/messages/{later['id']}:cancel", {})["status"], "MESSAGE_STATUS_CANCELLED")
        self.assertEqual(self.api.call("POST", f"/v1/messages/{later['id']}:cancel", {}).status, 400)
        self.assertEqual(self.box.letters(f"later.still@{self.domain}"), [])


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + ["-v"] + sys.argv[1:])
