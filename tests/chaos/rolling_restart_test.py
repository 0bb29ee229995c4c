#!/usr/bin/env python3
"""A rolling restart: two of every process (replicas.py), each told to stop (SIGTERM) and started again in its turn, under load. No request
fails, nothing acknowledged is lost, every effect happens once, live streams miss and repeat nothing. Two rounds; CRM_LONG=1 makes it twenty,
CRM_ROUNDS says how many."""

import os
import random
import tempfile
import threading
import time
import unittest
from collections import Counter
from pathlib import Path

from ledger import Check, Witness, Writer, kinds
from replicas import SECOND, TwinStack
from writes import ChaosTest, PatientTenant, eventually

from crmlib.api import Api, ApiError, Unreachable

WRITERS = 2  # a tenant
READERS = 2
ROUNDS, ROUNDS_LONG = 2, 20
LOAD_SECONDS_MAX = 30.0
PAUSE_SECONDS = 0.02
STOP_TOLERATED = 20.0  # on a busy machine
HEARD_SECONDS = 60.0
RULE_KNOWN_SECONDS = 3.0  # a second after it was saved, the other schedulers know a rule, too (automation_book.h)
# One of each service, without a record of its own.
READS = ["/v1/session", "/v1/contacts?page_size=10", "/v1/deals?page_size=10", "/v1/templates", "/v1/tasks?page_size=10",
         "/v1/reports/revenue?group_by=GROUP_BY_MONTH", "/v1/contacts?page_size=5&expand=owner"]


class Reader(threading.Thread):
    """Reads of every service, one after the other, as a client with kept connections that repeats nothing."""

    def __init__(self, tenant: PatientTenant, url: str):
        super().__init__(daemon=True)
        self.tenant, self.api = tenant, Api(url)
        self.count, self.failed = 0, []
        self.ending = threading.Event()
        self.start()

    def run(self) -> None:
        while not self.ending.wait(PAUSE_SECONDS):
            path = READS[self.count % len(READS)]
            self.count += 1
            try:
                answer = self.api.call("GET", path, None, self.tenant.session.headers())
                if not answer.ok:
                    self.failed.append(f"{time.monotonic():.2f} {path}: {answer.status} {answer.data[:300]!r}")
            except Unreachable as error:
                self.failed.append(f"{time.monotonic():.2f} {error}")


class Watcher(threading.Thread):
    """A live stream of contacts, opened again where it ended whenever it ends."""

    def __init__(self, tenant: PatientTenant, url: str):
        super().__init__(daemon=True)
        self.tenant, self.url = tenant, url
        self.seen: Counter[int] = Counter()  # by the event's number
        self.opened, self.failed = 0, []
        self.ending, self.ready = threading.Event(), threading.Event()
        self.start()
        assert self.ready.wait(30), self.failed

    def run(self) -> None:
        last = ""
        while not self.ending.is_set():
            try:
                stream = Api(self.url, headers=self.tenant.session.headers()).events("/v1/events", last, topics="contact")
            except (ApiError, OSError) as error:
                self.failed.append(repr(error))
                return
            self.opened += 1
            while not self.ending.is_set():
                try:
                    event = stream.next(0.2)
                except TimeoutError:
                    continue
                if event is None:
                    break
                last = stream.last_id
                if event.type == "ready":
                    self.ready.set()
                elif event.type == "message":
                    self.seen[event.body["seq"]] += 1
            stream.close()


class RollingRestartTest(ChaosTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.start(stack=TwinStack())
        cls.tenants = [PatientTenant(cls.stack, cls.catalogue, mark) for mark in ("ann", "bob")]
        cls.kinds = [kinds(cls.catalogue, cls.requester, tenant) for tenant in cls.tenants]
        cls.witnesses = [Witness(cls.stack, tenant) for tenant in cls.tenants]
        time.sleep(RULE_KNOWN_SECONDS)

    def test_nobody_notices(self):
        rounds = int(os.environ.get("CRM_ROUNDS") or (ROUNDS_LONG if self.long else ROUNDS))
        dice = random.Random(self.seed)
        folder = Path(tempfile.mkdtemp(prefix="crm-ledger-", dir=self.stack.folder))
        url = self.stack.instance.url
        watcher = Watcher(self.tenants[0], url)
        events = f"select seq from contact.outbox where tenant_id = '{self.tenants[0].uuid}' and type like 'contact.%' and seq is not null"
        before = {int(seq) for seq, in self.stack.sql(events)}
        readers = [Reader(tenant, url) for tenant in self.tenants for _ in range(READERS // 2)]
        writers = [Writer(self.stack, tenant, found, number, folder, self.seed)
                   for tenant, found in zip(self.tenants, self.kinds) for number in range(WRITERS)]
        stops: list[tuple[float, str]] = []
        start = time.monotonic()
        try:
            for number in range(rounds):
                if number and not self.long and time.monotonic() - start > LOAD_SECONDS_MAX:
                    break  # on a busy machine
                # One of a kind at a time, as a Deployment with maxUnavailable 0 has it.
                order = [*self.stack.services]
                dice.shuffle(order)
                for service in order:
                    for name in (service, service + SECOND):
                        began = time.monotonic()
                        self.stack.stop(name)
                        stops.append((time.monotonic() - began, name))
                        self.assertEqual(self.stack.processes[name].returncode, 0, f"{name} did not end as it should")
                        self.stack.start(name)
        finally:
            took = time.monotonic() - start
            for reader in readers:
                reader.ending.set()
                reader.join(60)
            Writer.end_all(writers)
        lag = self.census.settle([tenant.uuid for tenant in self.tenants], HEARD_SECONDS)
        problems, counts = Check(self.stack, self.catalogue, self.tenants, folder).all()
        print(f"{len(stops)} restarts in {took:.0f} s, the slowest stop {max(stops)[0]:.1f} s ({max(stops)[1]}); {sum(reader.count for reader in readers)} reads, "
              f"{sum(writer.turns for writer in writers)} writes, {sum(writer.acknowledged for writer in writers)} acknowledged, the slowest after "
              f"{max(writer.slowest for writer in writers):.2f} s; the live stream was opened {watcher.opened} times; settled after {lag:.1f} s", flush=True)
        print(f"  looked at: {dict(counts)}", flush=True)
        self.assertEqual(sum((reader.failed for reader in readers), []), [], "reads that failed")
        self.assertEqual(sum((writer.http.unanswered for writer in writers), []), [], "writes that failed")
        self.assertFalse(problems, "\n".join([f"{len(problems)} things that the ledgers know better:", *problems[:40]]))
        for witness in self.witnesses:
            eventually(lambda: witness.wrong() == "", HEARD_SECONDS, f"the effect of each event once: {witness.wrong()}")
        self.assertLess(max(stops)[0], STOP_TOLERATED)
        self.assertGreater(sum(reader.count for reader in readers), len(stops))
        self.assertGreater(counts["acknowledged"], len(stops))
        # Each event of the contacts reached the open stream, once.
        wanted = {int(seq) for seq, in self.stack.sql(events)} - before
        eventually(lambda: wanted <= set(watcher.seen), HEARD_SECONDS, f"the live stream has everything: {len(watcher.seen)} of {len(wanted)}")
        watcher.ending.set()
        watcher.join(30)
        self.assertEqual(watcher.failed, [], "the live stream could not be opened")
        self.assertGreater(watcher.opened, 1)
        self.assertEqual([one for one, count in watcher.seen.items() if count > 1], [], "events that came twice")
        self.assertGreater(len(wanted), rounds)


if __name__ == "__main__":
    unittest.main(verbosity=2, warnings="ignore")
