#!/usr/bin/env python3
"""What goes out to others: letters by SMTP, webhooks by HTTP. The sender is killed, or stands still until another has taken over and then goes
on, before the provider is asked and after its answer, before the answer is written down. What is promised holds: a letter that somebody
waits for goes out once or, where nobody can know, twice under one Message-ID; a campaign's at most once; a webhook's delivery at least once,
each time under the same id. One fault for each kind by chance; CRM_LONG=1: each, three times. A provider is what has a failpoint provider.after_answer: a new
one without a sender here fails the test."""

import datetime
import json
import queue
import random
import re
import subprocess
import time
import unittest
from collections import Counter

from writes import ChaosTest, Stack, UNLIMITED, eventually, tenant_uuid
from messaging_test import PYTHON, Letterbox
from stack import ROOT
from webhooks_test import Receiver

SENDERS = ["messaging", "messaging.2"]
POINTS = ("provider.before_request", "provider.after_answer")
FAULTS = ("kill", "stop")
SECONDS = 60.0
SENT, UNKNOWN = "3", "7"  # of crm.messaging.v1.MessageStatus
DELIVERED = "2"           # of crm.messaging.v1.DeliveryStatus
QUIET_SECONDS = 1.0  # in which a post too many would come: a woken sender goes on at once
ROUNDS_LONG = 3
SOON_SECONDS = 0.5
DEALS, DEALS_LONG = 20, 100  # for rules to be about


class Letter:
    """A letter; what arrives is read from the mail server's folder."""
    provider = "smtp"

    def __init__(self, test: "OutwardTest", number: int, campaign: bool):
        self.test, self.campaign = test, campaign
        self.address = f"{'many' if campaign else 'one'}.{number}@customer.example"
        more = {"category": "MESSAGE_CATEGORY_CAMPAIGN"} if campaign else {}
        # A moment later, so that the request is answered before its service falls.
        soon = (datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=SOON_SECONDS)).isoformat()
        self.sent = test.api.post("/v1/messages", {"recipients": [{"address": self.address}], "subject": "Offer", "text": "Hello", "not_before": soon} | more)

    def end_leases(self, holder: str) -> str:
        return f"update messaging.send set due_time = now() where holder like '{holder}'"

    def over(self) -> bool:
        # Asked of PostgreSQL: the service may be the one that stands still.
        status = self.test.stack.sql("select m.status from messaging.message m left join messaging.send s on s.tenant_id = m.tenant_id and s.message_id = m.id "
                                     f"where m.id = '{tenant_uuid(self.sent['id'])}' and s.message_id is null")
        return status == [[SENT]] or self.campaign and status == [[UNKNOWN]]

    def copies(self) -> list[str]:
        return [letter["letter"]["Message-ID"].strip("<>") for letter in self.test.box.letters(self.address)]

    def id(self) -> str:
        return self.sent["internet_message_id"]

    def bounds(self, point: str, fault: str) -> tuple[int, int]:
        if self.campaign:
            return (1, 1) if point == "provider.after_answer" else (0, 1 if fault == "stop" else 0)
        return (2, 2) if point == "provider.after_answer" or fault == "stop" else (1, 1)


class Delivery:
    """An event's delivery to a webhook, or a rule's call of one."""
    provider = "webhook"

    def __init__(self, test: "OutwardTest", number: int, by_rule: bool):
        self.test, self.by_rule = test, by_rule
        if by_rule:  # about a deal whose own event has been posted long ago
            self.deal = test.deals.pop()
            test.api.post(f"/v1/deals/{self.deal}:move", {"stage_id": test.stages[1]})
        else:
            self.deal = test.api.post("/v1/deals", {"title": f"Cake {number}"})["id"]

    def end_leases(self, holder: str) -> str:
        return f"update messaging.delivery set lease_until = now() - interval '1 s' where lease_until is not null and holder like '{holder}'"

    def rows(self) -> list[list[str]]:
        kind = "rule.called" if self.by_rule else "deal.created"
        return self.test.stack.sql(f"select id, status from messaging.delivery where record_id = '{self.deal}' and event_type = '{kind}'")

    def over(self) -> bool:
        return [status for _, status in self.rows()] == [DELIVERED]

    def copies(self) -> list[str]:
        return [tenant_uuid(id) for id, record, kind in self.test.posts() if record == self.deal and (kind == "rule.called") == self.by_rule]

    def id(self) -> str:
        [[id, _]] = self.rows()
        return id

    def bounds(self, point: str, fault: str) -> tuple[int, int]:
        return (2, 2) if point == "provider.after_answer" or fault == "stop" else (1, 1)


KINDS = {
    "a letter that somebody waits for": (Letter, False),
    "a campaign's letter": (Letter, True),
    "an event for a webhook": (Delivery, False),
    "a rule's call of a webhook": (Delivery, True),
}


class OutwardTest(ChaosTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        if subprocess.run([PYTHON, "-c", "import aiosmtpd"], stderr=subprocess.DEVNULL).returncode != 0:
            raise unittest.SkipTest("python3-aiosmtpd is not installed: run tools/crm deps")
        cls.start(UNLIMITED | {"messaging": {"messaging": {"allowed_hosts": ["127.0.0.1"], "webhook_retry_seconds": 1, "retry_seconds": 1}}},
                  Stack(replicas={"messaging": len(SENDERS)}))
        cls.box, cls.receiver = Letterbox(), Receiver()
        cls.addClassCleanup(cls.box.stop)
        cls.addClassCleanup(cls.receiver.close)
        cls.heard: list[tuple[str, str, str]] = []
        cls.api = cls.stack.sign_up()
        cls.api.post("/v1/channels", {"name": "Sales", "address": "sales@ours.example.com", "is_default": True,
                                      "smtp": {"host": "127.0.0.1", "port": cls.box.port, "security": "SMTP_SECURITY_NONE"}})
        cls.stages = [stage["id"] for stage in cls.api.post("/v1/pipelines", {"name": "Offers", "is_default": True, "stages": [
            {"name": "New", "kind": "STAGE_KIND_OPEN"}, {"name": "Offer", "kind": "STAGE_KIND_OPEN"}, {"name": "Won", "kind": "STAGE_KIND_WON"},
            {"name": "Lost", "kind": "STAGE_KIND_LOST"}]})["stages"]]
        cls.api.post("/v1/webhooks", {"name": "Events", "url": f"{cls.receiver.url}/events", "enabled": True, "event_types": ["deal.created"]})
        called = cls.api.post("/v1/webhooks", {"name": "Rules", "url": f"{cls.receiver.url}/rules", "enabled": True})
        cls.api.post("/v1/rules", {"name": "Call", "enabled": True, "trigger": {"stage_entered": {"stage_id": cls.stages[1]}},
                                   "actions": [{"call_webhook": {"webhook_id": called["id"]}}]})

        # The webhook hears what happens after it was made, by clocks that agree to half a round trip.
        eventually(lambda: cls.told([cls.api.post("/v1/deals", {"title": "First"})["id"]], 2.0), SECONDS, "an event is posted")
        cls.deals = [cls.api.post("/v1/deals", {"title": f"Pie {number}"})["id"] for number in range(DEALS_LONG if cls.long else DEALS)]
        assert cls.told(cls.deals, SECONDS), "their events are posted"

    @classmethod
    def told(cls, deals: list[str], seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        names = ", ".join(f"'{deal}'" for deal in deals)
        while cls.stack.value(f"select count(*) from messaging.delivery where record_id in ({names}) and status = {DELIVERED}") != str(len(deals)):
            if time.monotonic() > deadline:
                return False
            time.sleep(0.05)
        return True

    def posts(self) -> list[tuple[str, str, str]]:
        """Everything that was posted so far: delivery, record, kind."""
        while True:
            try:
                post = self.receiver.posts.get_nowait()
            except queue.Empty:
                return self.heard
            body = json.loads(post["body"])
            self.heard.append((post["headers"]["webhook-id"], body.get("record_id", ""), body["type"]))

    def holder(self, name: str) -> str:
        return f"%:{self.stack.instance.port(name)}"

    def fallen(self, fault: str) -> str:
        """The sender that has met its failpoint; "" if none has yet."""
        return next((name for name in SENDERS if (not self.stack.alive(name) if fault == "kill" else self.stack.stopped(name))), "")

    def strike(self, kind: str, number: int, point: str, fault: str) -> None:
        make, variant = KINDS[kind]
        for name in SENDERS:
            self.stack.failpoints(name, f"{point}={fault}@{make.provider}")
        # A failpoint is read up to 50 ms late, so the first may get through.
        for attempt in range(20):
            one = make(self, 100 * number + attempt, variant)
            who = eventually(lambda: self.fallen(fault) or (one.over() and "nobody"), SECONDS, f"{kind} meets {point}")
            if who != "nobody":
                break
        self.assertNotEqual(who, "nobody", f"{kind} never meets {point}")
        for name in SENDERS:
            self.stack.failpoints(name)
        if fault == "kill":
            self.recover()
        else:
            # Its leases are over, as if it had stood still for as long as they last; another takes over, and then it goes on.
            other = next(name for name in SENDERS if name != who)
            held = self.holder(who)
            self.stack.sql(f"delete from messaging.bucket_lease where holder like '{held}'; {one.end_leases(held)}")
            try:
                eventually(one.over, SECONDS, f"{other} takes over {kind}")
            finally:
                self.stack.resume(who)
            self.stack.wait_ready([who])
        eventually(one.over, SECONDS, f"{kind} is over")
        least, most = one.bounds(point, fault)
        eventually(lambda: len(one.copies()) >= least, SECONDS, f"{kind} goes out {least} times")
        until = time.monotonic() + QUIET_SECONDS
        while time.monotonic() < until:
            self.assertLessEqual(len(one.copies()), most, f"{kind} after a {fault} at {point}")
            time.sleep(0.05)
        # A woken one may still have been posting: as many as is promised, no more.
        self.assertEqual(set(one.copies()) - {one.id()}, set(), f"{kind} goes out under another id")
        self.counts[f"{kind}, {len(one.copies())} times"] += 1

    def recover(self) -> None:
        for name in SENDERS:
            self.stack.failpoints(name)
            self.stack.resume(name)
            if not self.stack.alive(name):
                self.stack.start(name)

    def test_every_outward_send(self):
        source = "\n".join(path.read_text() for path in (ROOT / "services").rglob("*.cc"))
        providers = set(re.findall(r'CRM_FAILPOINT_OF\("provider\.after_answer", "(\w+)"\)', source))
        self.assertEqual(providers, {Letter.provider, Delivery.provider}, "every provider has a sender here")
        self.assertEqual(source.count("curl_easy_perform("), len(providers), "every request to a provider passes a failpoint after its answer")
        dice = random.Random(self.seed)
        self.counts = Counter()
        every = [(point, fault) for point in POINTS for fault in FAULTS]
        start = time.monotonic()
        for number in range(ROUNDS_LONG if self.long else 1):
            for place, kind in enumerate(KINDS):
                # All of them in the long run; in the short one each kind has another.
                for index, (point, fault) in enumerate(every if self.long else dice.sample(every, 1)):
                    with self.subTest(kind=kind, point=point, fault=fault):
                        try:
                            self.strike(kind, 1000 * number + 100 * place + 10 * index, point, fault)
                        finally:
                            self.recover()
        print(f"  {sum(self.counts.values())} faults in {time.monotonic() - start:.0f} s: {dict(self.counts)}", flush=True)
        self.census.settle([tenant_uuid(self.api.tenant_id)])


if __name__ == "__main__":
    unittest.main(verbosity=2, warnings="ignore")
