#!/usr/bin/env python3
"""Processes killed by chance, PostgreSQL and Redis among them, while clients write and keep their books (ledger.py). After each death
everything is ready again within five seconds; in the end nothing acknowledged is lost and nothing is half done. CRM_SEED repeats a run's
choices, CRM_LONG=1 kills 200 times, CRM_KILLS says how often."""

import os
import random
import tempfile
import time
import unittest
from collections import Counter
from pathlib import Path

from ledger import Check, Ledger, Witness, Writer, kinds
from writes import UNLIMITED, Catalogue, Census, PatientTenant, Requester, Stack, bring_back, eventually, tenant_uuid

WRITERS = 2  # a tenant
KILLS, KILLS_LONG = 60, 200
ALIVE_SECONDS = (0.02, 0.4)  # between ready again and the next death
READY_PROMISE = 5.0
READY_TOLERATED = 20.0  # on a busy machine
LIVE_CONTACT = "and record_id in (select id from contact.contact where delete_time is null)"


class RandomKillsTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.seed = int(os.environ.get("CRM_SEED") or random.randrange(10**6))
        print(f"seed {cls.seed}: CRM_SEED={cls.seed} repeats this run", flush=True)
        cls.stack = Stack(changes=UNLIMITED)
        cls.stack.__enter__()
        cls.addClassCleanup(lambda: cls.stack.__exit__(None, None, None))
        cls.catalogue = Catalogue(cls.stack)
        cls.census = Census(cls.stack, cls.catalogue.services)
        cls.tenants = [PatientTenant(cls.stack, cls.catalogue, mark) for mark in ("ann", "bob")]
        requester = Requester(cls.catalogue)
        cls.kinds = [kinds(cls.catalogue, requester, tenant) for tenant in cls.tenants]
        cls.witnesses = [Witness(cls.stack, tenant) for tenant in cls.tenants]

    def test_1_random_kills(self):
        dice = random.Random(self.seed)
        victims = [*self.stack.services, "postgres", "redis"]
        kills = int(os.environ.get("CRM_KILLS") or (KILLS_LONG if os.environ.get("CRM_LONG") else KILLS))
        type(self).folder = folder = Path(tempfile.mkdtemp(prefix="crm-ledger-", dir=self.stack.folder))
        start = time.monotonic()
        writers = [Writer(self.stack, tenant, found, number, folder, self.seed)
                   for tenant, found in zip(self.tenants, self.kinds) for number in range(WRITERS)]
        deaths, ready = Counter(), []
        try:
            for _ in range(kills):
                time.sleep(dice.uniform(*ALIVE_SECONDS))
                victim = dice.choice(victims)
                died = time.monotonic()
                self.stack.kill(victim)
                bring_back(self.stack, ["postgres", "redis", *self.stack.services])
                ready.append((time.monotonic() - died, victim))
                deaths[victim] += 1
        finally:
            Writer.end_all(writers)
        took = time.monotonic() - start
        lag = self.census.settle([tenant.uuid for tenant in self.tenants])
        problems, counts = Check(self.stack, self.catalogue, self.tenants, folder).all()
        slowest, who = max(ready)
        print(f"{kills} deaths in {took:.0f} s {dict(deaths)}; ready again after {slowest:.2f} s at most ({who}; promised {READY_PROMISE:.0f}); "
              f"{sum(writer.acknowledged for writer in writers)} of {sum(writer.turns for writer in writers)} requests acknowledged, "
              f"the slowest after {max(writer.slowest for writer in writers):.1f} s; settled after {lag:.1f} s", flush=True)
        print(f"  looked at: {dict(counts)}", flush=True)
        self.assertFalse(problems, "\n".join([f"{len(problems)} things that the ledgers know better:", *problems[:40]]))
        for witness in self.witnesses:
            eventually(lambda: witness.wrong() == "", 60, f"the effect of each event once: {witness.wrong()}")
        self.assertLess(slowest, READY_TOLERATED)
        self.assertGreater(counts["acknowledged"], kills, "too little was written")
        self.assertGreater(counts["fields compared"], 5 * counts["acknowledged"], "too little was compared")

    def test_2_the_check_notices(self):
        """What a fault could do, done by hand: a check that finds nothing wrong must be one that would."""
        tenant = f"tenant_id = '{self.tenants[0].uuid}'"
        one = f"ctid = (select ctid from {{table}} where {tenant} {{more}} limit 1)"
        for sql, wanted in {
            f"update contact.company set name = 'somebody else' where {one.format(table='contact.company', more=f'and id::text in ({self.acknowledged()})')}": "was acknowledged as",
            f"delete from contact.contact_history where {one.format(table='contact.contact_history', more='')}": "has revisions",
            f"delete from contact.search_entry where {one.format(table='contact.search_entry', more=LIVE_CONTACT)}": "has 0 entries",
            f"delete from scheduler.outbox where {one.format(table='scheduler.outbox', more='and seq = 5')}": "scheduler numbers the",
            f"update analytics.position set seq = seq - 1 where {tenant} and producer = 'identity'": "analytics has heard identity's events",
            f"delete from deal_pipeline.idempotency where {one.format(table='deal_pipeline.idempotency', more='and key in (' + self.keys() + ')')}": "is not kept for a repeat",
            f"update deal_pipeline.stage_total set deal_count = deal_count + 1 where {one.format(table='deal_pipeline.stage_total', more='')}": "stage totals",
        }.items():
            self.stack.sql(sql)
            problems, _ = Check(self.stack, self.catalogue, self.tenants, self.folder).all()
            self.assertTrue(any(wanted in problem for problem in problems), f"{sql}: nothing says that it {wanted}; {problems[:5]}")

    def acknowledged(self) -> str:
        return ", ".join(f"'{tenant_uuid(one['answer']['id'])}'" for one in Ledger.read(self.folder) if one["kind"] == "company" and one.get("answer"))

    def keys(self) -> str:
        return ", ".join(f"'{one['key']}'" for one in Ledger.read(self.folder) if one.get("answer"))


if __name__ == "__main__":
    unittest.main(verbosity=2, warnings="ignore")
