#!/usr/bin/env python3
"""Lines between processes that break in every way (gate.py), under light load: no call outlives its deadline by much, calls that do not need
the line succeed, what is healed works again within ten seconds, nobody dies or grows. A PostgreSQL that stands still restarts nothing. By
chance, from a seed that is printed, each line gets some of the faults; CRM_LONG=1 gives every line all of them. CRM_EDGES names lines
("gateway->contact contact->postgres")."""

import contextlib
import json
import os
import random
import signal
import tempfile
import threading
import time
import unittest
import urllib.request
from collections import Counter
from pathlib import Path

from gate import FAULTS, Gate, Gates
from ledger import Check
from writes import UNKNOWN, UNLIMITED, ChaosTest, Method, Patient, PatientTenant, Stack, key, writes
from rpcs import is_needed

DEADLINE_SECONDS = 1.5
LATE_PROMISE, LATE_TOLERATED = 0.1, 2.0  # after the deadline; the second on a busy machine
HEALED_PROMISE, HEALED_TOLERATED = 10.0, 20.0
FAULT_SECONDS, FAULT_SECONDS_LONG = 1.8, 2.5
STILL_SECONDS, STILL_SECONDS_LONG = 4.0, 20.0
PAUSE_SECONDS = 0.03
GROWTH_TOLERATED = 96 << 20
READY_MADE = 8  # requests over the line that are prepared while it is whole
SUCCEED_LEAST = 0.999
PLAIN = {"postgres", "redis"}  # no TLS here: a bit that is another would be believed
EDGES = ["gateway->contact", "gateway->deal_pipeline", "deal_pipeline->contact", "contact->identity", "contact->postgres", "deal_pipeline->redis"]
FAULTS_EACH = 3


class Edge:
    def __init__(self, name: str, gates: Gates, stack: Stack):
        self.name = name
        self.source, self.target = name.split("->")
        port = {"postgres": stack.instance.postgres_port, "redis": stack.instance.redis_port}.get(self.target) or stack.instance.port(self.target)
        self.gate: Gate = gates.add(port)

    def change(self) -> dict:
        """In the source's configuration."""
        return {self.target: {"port": self.gate.port}} if self.target in PLAIN else {"peers": {self.target: f"127.0.0.1:{self.gate.port}"}}

    @property
    def affected(self) -> set[str]:
        """Services whose answers need it. Redis is needed by none."""
        return set() if self.target == "redis" else {self.target} if self.source == "gateway" else {self.source}

    def faults(self) -> list[str]:
        return [name for name in FAULTS if not (name == "corrupt" and self.target in PLAIN)]


class Load:
    """Calls to some services, one after another per thread, each with a deadline."""

    def __init__(self, test: "GateTest", services: list[str], ready_made: list[tuple[Method, dict]], threads: int, dice: random.Random):
        self.test, self.services, self.ready_made = test, services, list(ready_made)
        self.results: list[tuple[float, str, str]] = []  # seconds, what, outcome
        self.ending = threading.Event()
        self.threads = [threading.Thread(target=self.run, args=(random.Random(dice.random()),), daemon=True) for _ in range(threads if services else 0)]
        for thread in self.threads:
            thread.start()

    def run(self, dice: random.Random) -> None:
        while not self.ending.wait(PAUSE_SECONDS):
            service = dice.choice(self.services)
            try:
                made = self.ready_made.pop() if self.ready_made else None
            except IndexError:
                made = None
            if made:
                self.call(*made)
            elif dice.random() < 0.5:
                self.call(*self.test.read(service))
            else:
                self.call(*self.test.write(service))

    def call(self, method: Method, request: dict) -> str:
        start = time.monotonic()
        result = self.test.http.attempt(method, request, key(), {"X-Timeout": f"{DEADLINE_SECONDS}s"})
        self.results.append((time.monotonic() - start, str(method), str(result)[:200]))
        return result.code

    def end(self) -> None:
        self.ending.set()
        for thread in self.threads:
            thread.join(60)
            assert not thread.is_alive(), "a call never ended"

    def failed(self) -> list[str]:
        return [f"{what}: {outcome} after {seconds:.1f} s" for seconds, what, outcome in self.results if outcome.split("/")[0] in UNKNOWN]

    def latest(self) -> tuple[float, str]:
        """Seconds past its deadline of the latest answer, and what it was."""
        seconds, what, outcome = max(self.results, default=(0.0, "", ""))
        return seconds - DEADLINE_SECONDS, f"{what}: {outcome}"


class GateTest(ChaosTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.gates = Gates()
        stack = Stack()
        services = [service for service in stack.services if service != "gateway"]
        names = os.environ.get("CRM_EDGES", "").split() or EDGES
        if cls.long and not os.environ.get("CRM_EDGES"):
            names = ["gateway->redis"] + [f"gateway->{service}" for service in services] + [
                f"{service}->{target}" for service in services for target in ("identity", "contact", "postgres", "redis") if target != service]
        cls.edges = [Edge(name, cls.gates, stack) for name in names]
        changes = json.loads(json.dumps(UNLIMITED))
        for edge in cls.edges:
            here = changes.setdefault(edge.source, {})
            for name, value in edge.change().items():
                here[name] = here.get(name, {}) | value
        cls.addClassCleanup(cls.gates.close)
        cls.start(changes, stack)
        cls.tenant = PatientTenant(cls.stack, cls.catalogue, "gate")
        cls.http = Patient(cls.stack.instance.url, {}, cls.tenant.session)
        cls.writes = {service: [method for method in writes(cls.catalogue) if cls.catalogue.services_of(method) == [service]
                                and cls.requester.learn(cls.tenant, method)] for service in cls.catalogue.services}
        cls.reads = {service: [method for method in cls.catalogue.methods if method.who == "right" and method.reads and not method.streams and method.http
                               and cls.catalogue.services_of(method) == [service] and method.http[0]["method"] == "GET" and not method.variables
                               and not any(is_needed(field) for field in cls.catalogue.fields(method.input))] for service in cls.catalogue.services}
        makers = {method.name for method in cls.catalogue.makers.values()}
        cls.creates = {service: [method for method in methods if method.name in makers] for service, methods in cls.writes.items()}

    def read(self, service: str) -> tuple[Method, dict]:
        return random.choice(self.reads[service]), {}

    def write(self, service: str) -> tuple[Method, dict]:
        if not self.creates[service]:
            return self.read(service)
        method = random.choice(self.creates[service])
        return method, self.requester.made(self.tenant, method, {})

    def rss(self) -> dict[str, int]:
        return {name: int(Path(f"/proc/{process.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
                for name, process in self.stack.processes.items() if name in self.stack.services}

    def pids(self) -> dict[str, int]:
        return {name: process.pid for name, process in self.stack.processes.items() if process.poll() is None}

    def healed(self, services: set[str], load: Load, what: str) -> float:
        """Seconds until the services answer reads and writes again, three times in a row."""
        start = time.monotonic()
        good = 0
        while good < 3:
            codes = [load.call(*make(service)) for service in sorted(services) for make in (self.read, self.write)]
            good = 0 if UNKNOWN & set(codes) else good + 1
            self.assertLess(time.monotonic() - start, HEALED_TOLERATED, f"{what}: not healed, {load.failed()[-3:]}")
        return time.monotonic() - start

    def judge(self, what: str, loads: list[Load], healed: float, pids: dict[str, int]) -> None:
        late, who = max(load.latest() for load in loads)
        needed, free = loads[0], loads[-1]
        failed = free.failed()
        self.worst["late"] = max(self.worst["late"], (late, f"{what}, {who}"))
        self.worst["healed"] = max(self.worst["healed"], (healed, what))
        self.count["calls over the line"] += len(needed.results)
        self.count["of them failed"] += len(needed.failed())
        self.count["other calls"] += len(free.results)
        self.count["other calls failed"] += len(failed)
        print(f"  {what}: {len(needed.results)} calls over it, {len(needed.failed())} failed, {len(free.results)} others, {len(failed)} failed; "
              f"{max(late, 0):.2f} s late at most; healed after {healed:.1f} s", flush=True)
        self.assertLess(late, LATE_TOLERATED, f"{what}: an answer came {late:.1f} s after its deadline: {who}")
        self.assertEqual(failed[:5], [], f"{what}: {len(failed)} of {len(free.results)} calls that do not need the line failed")
        self.assertEqual(self.pids(), pids, f"{what}: somebody died")

    def test_1_every_line(self):
        dice = random.Random(self.seed)
        self.worst, self.count = {"late": (0.0, ""), "healed": (0.0, "")}, Counter()
        pids, before = self.pids(), self.rss()
        left: list[str] = []
        for edge in self.edges:
            faults = edge.faults()
            if not self.long:  # all faults have their turn, spread over the lines
                if len(left) < FAULTS_EACH:
                    left += dice.sample(list(FAULTS), len(FAULTS))
                chosen = [fault for fault in left if fault in faults][:FAULTS_EACH]
                left = [fault for fault in left if fault not in chosen]
                faults = chosen
            others = [service for service in self.catalogue.services if service not in edge.affected]
            for fault in faults:
                what = f"{edge.name} {fault}"
                with self.subTest(what):
                    made = []
                    for service in edge.affected:
                        made += [(method, self.requester.request(self.tenant, method)) for method in dice.sample(self.writes[service], min(READY_MADE, len(self.writes[service])))]
                    kind, arguments = FAULTS[fault]
                    loads = [Load(self, sorted(edge.affected), made, 3, dice), Load(self, others, [], 3, dice)]
                    try:
                        edge.gate.fault(kind, **arguments)
                        time.sleep(FAULT_SECONDS_LONG if self.long else FAULT_SECONDS)
                    finally:
                        edge.gate.heal()
                    try:
                        healed = self.healed(edge.affected, Load(self, [], [], 0, dice), what)
                    finally:
                        for load in loads:
                            load.end()
                    self.judge(what, loads, healed, pids)
        after = self.rss()
        growth = {name: (after[name] - before[name]) >> 20 for name in after}
        print(f"  {dict(self.count)}; latest {self.worst['late'][0]:.2f} s after its deadline (promised {LATE_PROMISE}): {self.worst['late'][1][:160]}; "
              f"healed after {self.worst['healed'][0]:.1f} s at most ({self.worst['healed'][1]}); grown by MB: {growth}", flush=True)
        self.assertGreaterEqual(1 - self.count["other calls failed"] / self.count["other calls"], SUCCEED_LEAST)
        self.assertEqual([edge.name for edge in self.edges if not edge.gate.bytes], [], "lines that nobody used")
        self.assertLess(max(growth.values()), GROWTH_TOLERATED >> 20, "a process has grown")
        self.whole()

    def test_2_postgres_stands_still(self):
        """All of PostgreSQL is stopped for a while and goes on: nobody dies, nobody says that it should be restarted."""
        self.worst, self.count = {"late": (0.0, ""), "healed": (0.0, "")}, Counter()
        dice = random.Random(self.seed)
        pids, before = self.pids(), self.rss()
        stopped = with_children(self.stack.processes["postgres"].pid)
        load = Load(self, self.catalogue.services, [], 4, dice)
        time.sleep(0.5)
        alive: list[str] = []
        try:
            send(stopped, signal.SIGSTOP)
            end = time.monotonic() + (STILL_SECONDS_LONG if self.long else STILL_SECONDS)
            while time.monotonic() < end:
                for service in self.stack.services:
                    with urllib.request.urlopen(f"http://127.0.0.1:{self.stack.instance.metrics_port(service)}/livez", timeout=5) as answer:
                        alive.append(f"{answer.status}")
                time.sleep(0.2)
        finally:
            send(stopped, signal.SIGCONT)
        probe = Load(self, [], [], 0, dice)
        healed = self.healed(set(self.catalogue.services), probe, "PostgreSQL goes on")
        load.end()
        self.judge("postgres stands still", [load, Load(self, [], [], 0, dice)], healed, pids)
        self.assertEqual(set(alive), {"200"})
        self.assertLess(max((size - before[name]) >> 20 for name, size in self.rss().items()), GROWTH_TOLERATED >> 20)
        self.whole()

    def whole(self) -> None:
        """Whatever the lines did, the data is in order."""
        self.census.settle([self.tenant.uuid])
        folder = Path(tempfile.mkdtemp(prefix="crm-ledger-", dir=self.stack.folder))
        problems, counts = Check(self.stack, self.catalogue, [self.tenant], folder).all()
        self.assertFalse(problems, "\n".join(problems[:40]))
        self.assertGreater(counts["events"], 100)


def send(pids: list[int], number: int) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):  # a child that has done its work
            os.kill(pid, number)


def with_children(pid: int) -> list[int]:
    found = [pid]
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            if path.read_text().rsplit(")", 1)[1].split()[1] == str(pid):
                found.append(int(path.parent.name))
        except OSError:
            pass  # has ended
    return found


if __name__ == "__main__":
    unittest.main(verbosity=2, warnings="ignore")
