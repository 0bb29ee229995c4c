"""Killing any process, PostgreSQL included, or emptying Redis, at every step of a customer's story and going on gives the same final
state. One story per victim: at every step a failpoint or a signal hits it somewhere within the step, and whatever died is started
again. Afterwards the tenant's rows, events and reports are those of a story that nothing happened to; only a letter
cut between DATA and its answer may have been sent a second time, under the same Message-ID."""

import os
import random
import sys
import tempfile
import threading
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "flow"))
from stack import Stack, eventually  # noqa: E402

from crmlib.dataset import Dataset, made_up  # noqa: E402
from crmlib.demo import uuid_of  # noqa: E402
from crmlib.story import Story, can_take_letters, mail_server  # noqa: E402
import datetime  # noqa: E402

# Where a service is killed within a step, in turn: before a batch is sent, after it, after the commit and before the caller
# hears, around numbering and publishing, around an effect.
FAILPOINTS = ["pg.before_send=kill*2", "pg.after_send=kill*2", "pg.before_reply=kill*2", "events.before_number=kill", "events.after_number=kill",
              "events.after_publish=kill", "events.before_effect=kill", "events.after_effect=kill"]
SERVICES = ["identity", "contact", "deal_pipeline", "messaging", "scheduler", "analytics", "gateway"]
VICTIMS = SERVICES + ["postgres", "redis", "flush"]
KILL_WITHIN_SECONDS = 0.15
DISARMED_WITHIN_SECONDS = 0.2

# What a tenant's final state is: counted past the services. {t} is the tenant's uuid.
STATE = {
    "companies": "SELECT count(*) FROM contact.company WHERE tenant_id = '{t}'",
    "contacts": "SELECT count(*) FROM contact.contact WHERE tenant_id = '{t}'",
    "keys": "SELECT count(*) FROM contact.record_key WHERE tenant_id = '{t}'",
    "search entries": "SELECT count(*) FROM contact.search_entry WHERE tenant_id = '{t}'",
    "users": "SELECT count(*) FROM identity.account WHERE tenant_id = '{t}'",
    "teams": "SELECT count(*) FROM identity.team WHERE tenant_id = '{t}'",
    "members": "SELECT count(*) FROM deal_pipeline.member WHERE tenant_id = '{t}'",
    "pipelines": "SELECT count(*) FROM deal_pipeline.pipeline WHERE tenant_id = '{t}'",
    "products": "SELECT count(*) FROM deal_pipeline.product WHERE tenant_id = '{t}'",
    "deals": "SELECT count(*), sum(amount_amount) FROM deal_pipeline.deal WHERE tenant_id = '{t}'",
    "totals": "SELECT sum(deal_count), sum(amount) FROM deal_pipeline.stage_total WHERE tenant_id = '{t}'",
    "visits": "SELECT count(*), count(leave_time) FROM deal_pipeline.stage_visit WHERE tenant_id = '{t}'",
    "leads": "SELECT count(*), count(deal_id) FROM deal_pipeline.lead WHERE tenant_id = '{t}'",
    "tasks": "SELECT status, count(*) FROM scheduler.task WHERE tenant_id = '{t}' GROUP BY status ORDER BY status",
    "reminders": "SELECT status, count(*) FROM scheduler.reminder WHERE tenant_id = '{t}' GROUP BY status ORDER BY status",
    "notifications": "SELECT count(*) FROM scheduler.notification WHERE tenant_id = '{t}'",
    "rule runs": "SELECT status, count(*) FROM scheduler.rule_run WHERE tenant_id = '{t}' GROUP BY status ORDER BY status",
    "messages": "SELECT direction, count(*) FROM messaging.message WHERE tenant_id = '{t}' GROUP BY direction ORDER BY direction",
    "conversations": "SELECT message_count, inbound_count FROM messaging.conversation WHERE tenant_id = '{t}'",
    "timeline": "SELECT kind, count(*) FROM contact.activity WHERE tenant_id = '{t}' GROUP BY kind ORDER BY kind",
    "identity events": "SELECT type, count(*) FROM identity.outbox WHERE tenant_id = '{t}' GROUP BY type ORDER BY type",
    "contact events": "SELECT type, count(*) FROM contact.outbox WHERE tenant_id = '{t}' GROUP BY type ORDER BY type",
    "deal events": "SELECT type, count(*) FROM deal_pipeline.outbox WHERE tenant_id = '{t}' GROUP BY type ORDER BY type",
}
# Numbers without gaps: what is numbered is 1, 2, 3 ...
GAPS = "SELECT count(*) FROM (SELECT seq - row_number() OVER (ORDER BY seq) AS off FROM {s}.outbox WHERE tenant_id = '{t}' AND seq IS NOT NULL) x WHERE off <> 0"


class Chaos:
    """Hits one victim once per step and starts again whatever is dead."""

    def __init__(self, stack: Stack, victim: str, dice: random.Random):
        self.stack, self.victim, self.dice = stack, victim, dice
        self.hits = 0
        self.deaths = 0
        self.turn = 0
        self.ending = threading.Event()
        self.lock = threading.Lock()
        self.thread = threading.Thread(target=self.revive, daemon=True)
        self.thread.start()

    def before(self, step: str) -> None:
        self.turn += 1
        if self.victim == "flush":
            threading.Timer(self.dice.uniform(0, KILL_WITHIN_SECONDS), self.flush).start()
        elif self.victim in SERVICES[:-1] and self.turn % 3:
            self.stack.failpoints(self.victim, FAILPOINTS[self.dice.randrange(len(FAILPOINTS))])
            self.hits += 1
        else:
            threading.Timer(self.dice.uniform(0, KILL_WITHIN_SECONDS), self.kill).start()

    def flush(self) -> None:
        self.stack.empty_redis()
        self.hits += 1

    def kill(self) -> None:
        with self.lock:
            if self.stack.alive(self.victim) and not self.ending.is_set():
                self.stack.kill(self.victim)
                self.hits += 1

    def revive(self) -> None:
        while not self.ending.wait(0.02):
            with self.lock:
                if self.victim != "flush" and not self.stack.alive(self.victim):
                    self.deaths += 1
                    if self.victim in SERVICES:
                        self.stack.failpoints(self.victim)
                    self.stack.start(self.victim, wait=False)

    def end(self) -> None:
        # Disarmed first, and revived until that has been read: what it was armed with may still kill it.
        if self.victim in SERVICES:
            self.stack.failpoints(self.victim)
            time.sleep(DISARMED_WITHIN_SECONDS)
        with self.lock:
            self.ending.set()
        self.thread.join()
        if self.victim != "flush" and not self.stack.alive(self.victim):
            self.stack.start(self.victim, wait=False)
        self.stack.wait_ready(["postgres", "redis", *self.stack.services])


class StoryKillTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        if not can_take_letters():
            raise unittest.SkipTest("python3-aiosmtpd is not installed: run tools/crm deps")
        cls.seed = int(os.environ.get("CRM_SEED") or random.randrange(10**6))
        print(f"seed {cls.seed}: CRM_SEED={cls.seed} repeats this run", flush=True)
        cls.stack = Stack()
        cls.stack.__enter__()
        cls.addClassCleanup(lambda: cls.stack.__exit__(None, None, None))
        cls.data: Dataset = made_up(datetime.date(2026, 11, 23), customers=25, suppliers=5, products=12, orders=60)
        cls.letters = Path(tempfile.mkdtemp(prefix="crm-letters-"))
        server = mail_server(cls.letters)
        cls.smtp_port = server.__enter__()
        cls.addClassCleanup(lambda: server.__exit__(None, None, None))
        facts = cls.story("calm").run()
        cls.expected_facts = cls.comparable(facts)
        cls.expected_state = cls.state(facts["tenant_id"])

    @classmethod
    def story(cls, name: str, **more) -> Story:
        return Story(cls.stack.instance.url, cls.data, name, cls.letters, cls.smtp_port, cls.stack.instance.lmtp_port, say=lambda text: None, **more)

    @staticmethod
    def comparable(facts: dict) -> dict:
        kept = ("companies", "contacts", "products", "deals", "leads", "unparsed", "imported_revenue", "revenue", "report_rows",
                "rule_runs", "messages", "notices", "letters", "tasks", "timeline")
        return {key: facts[key] for key in kept} | {"users": len(facts["users"]), "teams": len(facts["teams"])}

    @classmethod
    def state(cls, tenant_id: str) -> dict:
        tenant = uuid_of(tenant_id)
        return {name: cls.stack.sql(statement.format(t=tenant)) for name, statement in STATE.items()}

    def test_every_victim_at_every_step(self):
        victims = os.environ.get("CRM_VICTIMS", "").split() or VICTIMS
        for number, victim in enumerate(victims):
            with self.subTest(victim=victim):
                start = time.monotonic()
                chaos = Chaos(self.stack, victim, random.Random(f"{self.seed}/{victim}"))
                try:
                    facts = self.story(f"storm-{number}", before=chaos.before).run()
                except BaseException:
                    self.stack.print_logs()
                    raise
                finally:
                    chaos.end()
                print(f"{victim}: hit {chaos.hits} times, died {chaos.deaths} times, {facts['repeats']} calls repeated, "
                      f"{time.monotonic() - start:.1f} s", flush=True)
                self.assertGreater(chaos.hits, 5, "the faults did not happen")
                self.assertEqual(self.comparable(facts), self.expected_facts)
                tenant = uuid_of(facts["tenant_id"])
                eventually(lambda: self.state(facts["tenant_id"]) == self.expected_state, 20,
                           f"the same final state: {self.state(facts['tenant_id'])} against {self.expected_state}")
                self.assertLessEqual(facts["copies"], 2, "a letter is sent a second time at most")
                for service in ("identity", "contact", "deal_pipeline", "messaging", "scheduler"):
                    self.assertEqual(self.stack.value(GAPS.format(s=service, t=tenant)), "0", f"{service} numbers its events without gaps")
                    self.assertEqual(self.stack.value(f"SELECT count(*) FROM {service}.dead_letter WHERE tenant_id = '{tenant}'"), "0")


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + ["-v"] + sys.argv[1:])
