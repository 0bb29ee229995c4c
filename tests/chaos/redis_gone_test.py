#!/usr/bin/env python3
"""Redis is disposable: killed, emptied, with its files deleted, full, hanging, away for a while. Meanwhile clients write and keep their
books (ledger.py): no write fails or waits for it, every event takes effect exactly once, and the lag is gone within a minute, also while Redis
is still away. CRM_LONG=1 keeps it away for ten minutes."""

import shutil
import tempfile
import time
import unittest
from pathlib import Path

from ledger import Check, Witness, Writer, kinds
from writes import ChaosTest, PatientTenant, bring_back, eventually, tenant_uuid

from crmlib import redis

WRITERS = 2
AWAY_SECONDS, AWAY_SECONDS_LONG = 18.0, 600.0
LOAD_SECONDS = 2.0
LAG_PROMISE = 60.0
WRITE_TOLERATED = 8.0  # the slowest write on a busy machine


class RedisGoneTest(ChaosTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.start()
        cls.tenant = PatientTenant(cls.stack, cls.catalogue, "ann")
        cls.kinds = kinds(cls.catalogue, cls.requester, cls.tenant)
        cls.witness = Witness(cls.stack, cls.tenant)
        cls.folder = Path(tempfile.mkdtemp(prefix="crm-ledger-", dir=cls.stack.folder))
        cls.writers = 0

    def tearDown(self):
        self.stack.resume("redis")
        bring_back(self.stack, ["redis"])

    def under_load(self, what: str, fault, seconds: float = LOAD_SECONDS) -> None:
        """The fault amid writes: none of them fails, and everything is heard within the promised time."""
        pids = {name: self.stack.processes[name].pid for name in self.stack.services}
        writers = [Writer(self.stack, self.tenant, self.kinds, type(self).writers + number, self.folder, self.seed) for number in range(WRITERS)]
        type(self).writers += WRITERS  # numbers are given once
        try:
            time.sleep(LOAD_SECONDS / 2)
            fault()
            time.sleep(seconds)
        finally:
            Writer.end_all(writers)
        lag = self.census.settle([self.tenant.uuid], LAG_PROMISE)
        slowest = max(writer.slowest for writer in writers)
        print(f"  {what}: {sum(writer.acknowledged for writer in writers)} writes, the slowest {slowest:.2f} s; lag gone after {lag:.1f} s", flush=True)
        self.assertEqual(sum((writer.http.unanswered for writer in writers), []), [], f"writes that failed: {what}")
        self.assertLess(slowest, WRITE_TOLERATED, what)
        self.assertGreater(sum(writer.acknowledged for writer in writers), 5, "nothing was written")
        self.assertEqual({name: self.stack.processes[name].pid for name in self.stack.services if self.stack.alive(name)}, pids, "a service has died of it")
        problems, counts = Check(self.stack, self.catalogue, [self.tenant], self.folder).all()
        self.assertFalse(problems, "\n".join([f"{what}: {len(problems)} things that the ledgers know better:", *problems[:40]]))
        eventually(lambda: self.witness.wrong() == "", LAG_PROMISE, f"{what}: each event's effect once: {self.witness.wrong()}")

    def test_1_killed_and_back(self):
        def fault():
            self.stack.kill("redis")
            bring_back(self.stack, ["redis"])
        self.under_load("killed", fault)

    def test_2_emptied(self):
        self.under_load("emptied three times", lambda: [(self.stack.empty_redis(), time.sleep(0.3)) for _ in range(3)])

    def test_3_files_deleted(self):
        def fault():
            self.stack.kill("redis")
            for path in [*self.stack.folder.glob("*.rdb"), *self.stack.folder.glob("appendonly*")]:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
            bring_back(self.stack, ["redis"])
        self.under_load("killed, its files deleted", fault)

    def test_4_full(self):
        self.under_load("full", lambda: self.assertEqual(redis.ask(self.stack.instance, "CONFIG", "SET", "maxmemory", "1"), "+OK"))
        self.assertEqual(redis.ask(self.stack.instance, "CONFIG", "SET", "maxmemory", redis.MEMORY), "+OK")

    def test_5_hanging(self):
        self.under_load("hanging", lambda: self.stack.pause("redis"), 3 * LOAD_SECONDS)
        self.stack.resume("redis")
        self.under_load("awake again", lambda: None)

    def test_6_away_for_a_while(self):
        self.under_load("away", lambda: self.stack.kill("redis"), AWAY_SECONDS_LONG if self.long else AWAY_SECONDS)
        self.under_load("back", lambda: bring_back(self.stack, ["redis"]))

    def test_7_who_signs_up_meanwhile_is_faster_than_the_event(self):
        """The package's pipeline comes by the event of the sign-up; whoever makes a default one before it has theirs, and nothing is given up."""
        [package] = self.stack.sql(f"select name from deal_pipeline.pipeline where tenant_id = '{self.tenant.uuid}' order by create_time limit 1")[0]
        stages = [{"name": name, "kind": f"STAGE_KIND_{name.upper()}"} for name in ("Open", "Won", "Lost")]
        self.stack.kill("redis")
        early = []
        for name in ("Ours", package):
            api = self.stack.sign_up()
            early.append((api, api.post("/v1/pipelines", {"name": name, "is_default": True, "stages": stages})["id"]))
        bring_back(self.stack, ["redis"])
        self.census.settle([tenant_uuid(api.tenant_id) for api, _ in early], LAG_PROMISE)
        self.assertEqual(self.stack.sql("select producer, error from deal_pipeline.dead_letter"), [])
        for (api, ours), names in zip(early, ({"Ours", package}, {package})):
            pipelines = api.get("/v1/pipelines")["pipelines"]
            self.assertEqual({one["name"] for one in pipelines}, names)
            self.assertEqual([one["id"] for one in pipelines if one.get("is_default")], [ours])


if __name__ == "__main__":
    unittest.main(verbosity=2, warnings="ignore")
