#!/usr/bin/env python3
"""Processes killed by chance, one or several at once, PostgreSQL and Redis among them, while clients write and keep their books (ledger.py).
After each blow everything is ready again within five seconds; in the end nothing acknowledged is lost and nothing is half done. CRM_SEED repeats
a run's choices, CRM_LONG=1 kills 2,000 times, CRM_KILLS says how often."""

import os
import random
import tempfile
import time
import unittest
from collections import Counter
from pathlib import Path

from ledger import Check, Ledger, Witness, Writer, kinds
from writes import ChaosTest, PatientTenant, bring_back, eventually, tenant_uuid

WRITERS = 2  # a tenant
KILLS, KILLS_LONG = 200, 2000
KILLS_LEAST, LOAD_SECONDS_MAX = 50, 75.0  # on a busy machine
AT_ONCE = (1, 2, 4, 5)                    # how many die of one blow, in a moment of
BLOW_SECONDS = 0.1
ALIVE_SECONDS = (0.02, 0.4)  # between ready again and the next death
READY_PROMISE = 5.0
READY_TOLERATED = 20.0  # on a busy machine
TEXTS = {"name", "title", "text"}  # columns of that name are texts
LIVE_CONTACT = "and record_id in (select id from contact.contact where delete_time is null)"


class RandomKillsTest(ChaosTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.start()
        cls.tenants = [PatientTenant(cls.stack, cls.catalogue, mark) for mark in ("ann", "bob")]
        cls.kinds = [kinds(cls.catalogue, cls.requester, tenant) for tenant in cls.tenants]
        cls.witnesses = [Witness(cls.stack, tenant) for tenant in cls.tenants]

    def test_1_random_kills(self):
        dice = random.Random(self.seed)
        victims = [*self.stack.services, "postgres", "redis"]
        kills = int(os.environ.get("CRM_KILLS") or (KILLS_LONG if self.long else KILLS))
        type(self).folder = folder = Path(tempfile.mkdtemp(prefix="crm-ledger-", dir=self.stack.folder))
        start = time.monotonic()
        writers = [Writer(self.stack, tenant, found, number, folder, self.seed)
                   for tenant, found in zip(self.tenants, self.kinds) for number in range(WRITERS)]
        deaths, ready = Counter(), []
        try:
            while deaths.total() < kills and (self.long or deaths.total() < KILLS_LEAST or time.monotonic() - start < LOAD_SECONDS_MAX):
                time.sleep(dice.uniform(*ALIVE_SECONDS))
                hit = dice.sample(victims, dice.choice(AT_ONCE))
                for victim in hit:
                    self.stack.kill(victim)
                    if victim != hit[-1]:
                        time.sleep(dice.uniform(0, BLOW_SECONDS))
                died = time.monotonic()
                bring_back(self.stack, ["postgres", "redis", *self.stack.services])
                ready.append((time.monotonic() - died, " ".join(hit)))
                deaths.update(hit)
        finally:
            Writer.end_all(writers)
        took = time.monotonic() - start
        lag = self.census.settle([tenant.uuid for tenant in self.tenants])
        problems, counts = Check(self.stack, self.catalogue, self.tenants, folder).all()
        slowest, who = max(ready)
        print(f"{deaths.total()} deaths of {len(ready)} blows in {took:.0f} s {dict(deaths)}; ready again after {slowest:.2f} s at most ({who}; promised {READY_PROMISE:.0f}); "
              f"{sum(writer.acknowledged for writer in writers)} of {sum(writer.turns for writer in writers)} requests acknowledged, "
              f"the slowest after {max(writer.slowest for writer in writers):.1f} s; settled after {lag:.1f} s", flush=True)
        print(f"  looked at: {dict(counts)}", flush=True)
        self.assertFalse(problems, "\n".join([f"{len(problems)} things that the ledgers know better:", *problems[:40]]))
        for witness in self.witnesses:
            eventually(lambda: witness.wrong() == "", 60, f"the effect of each event once: {witness.wrong()}")
        self.assertLess(slowest, READY_TOLERATED)
        self.assertGreater(counts["acknowledged"], len(ready), "too little was written")
        self.assertGreater(counts["fields compared"], 5 * counts["acknowledged"], "too little was compared")

    def test_2_the_check_notices(self):
        """What a fault could do, done by hand: a check that finds nothing wrong must be one that would."""
        tenant = f"tenant_id = '{self.tenants[0].uuid}'"
        one = f"ctid = (select ctid from {{table}} where {tenant} {{more}} limit 1)"
        made = next(one for one in Ledger.read(self.folder) if one.get("answer") and not one["id"] and one["tenant"] == self.tenants[0].uuid
                    and self.catalogue.record(one["kind"]).get("history") and self.catalogue.record(one["kind"]).get("title") in TEXTS)
        record, service = self.catalogue.record(made["kind"]), self.catalogue.home(made["kind"])
        changed = f"set {record['title']} = 'somebody else' where {tenant} and id = '{tenant_uuid(made['answer']['id'])}'"
        for sql, wanted in {
            f"update {service}.{record['table']} {changed}; update {service}.{record['table']}_history {changed}": "was acknowledged as",
            f"delete from contact.contact_history where {one.format(table='contact.contact_history', more='')}": "has revisions",
            f"delete from contact.search_entry where {one.format(table='contact.search_entry', more=LIVE_CONTACT)}": "has 0 entries",
            f"delete from scheduler.outbox where {one.format(table='scheduler.outbox', more='and seq = 5')}": "scheduler numbers the",
            f"update analytics.position set seq = seq - 1 where {tenant} and producer = 'identity'": "analytics has heard identity's events",
            f"delete from {service}.idempotency where {tenant} and key = '{made['key']}'": "is not kept for a repeat",
            f"update deal_pipeline.stage_total set deal_count = deal_count + 1 where {one.format(table='deal_pipeline.stage_total', more='')}": "stage totals",
        }.items():
            self.stack.sql(sql)
            problems, _ = Check(self.stack, self.catalogue, self.tenants, self.folder).all()
            self.assertTrue(any(wanted in problem for problem in problems), f"{sql}: nothing says that it {wanted}; {problems[:5]}")


if __name__ == "__main__":
    unittest.main(verbosity=2, warnings="ignore")
