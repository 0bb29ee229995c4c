"""The measurements: rounds of the service and of pgbench in turn, so that a busy neighbour meets both; latencies; search;
imports; memory and start."""

import dataclasses
import json
import random
import statistics
import time

from crmlib import console
from crmlib.bench.data import PREFIX, Data, type_id
from crmlib.bench.kinds import CONTACT, Kind
from crmlib.bench.load import load
from crmlib.bench.statements import Pgbench, Statements
from crmlib.bench.system import System

RATIO_IN_FLIGHT = 16
LATENCY_IN_FLIGHT = (1, 16, 64)
CREATE_CLIENTS_MAX = 16
DRAIN_SECONDS = 60
SEARCH_CLASSES = ("prefix", "substring", "phone", "e-mail")
BATCH_SIZE = 100


@dataclasses.dataclass
class Plan:
    """How long all of it takes."""
    pairs: int  # of rounds, service and pgbench
    seconds: int  # a round
    latency_seconds: int
    search_terms: int  # of each class
    search_seconds: int
    import_seconds: int
    ids: int  # different records asked for


FULL = Plan(pairs=4, seconds=6, latency_seconds=4, search_terms=60, search_seconds=20, import_seconds=5, ids=200_000)
QUICK = Plan(pairs=2, seconds=2, latency_seconds=1, search_terms=30, search_seconds=4, import_seconds=2, ids=20_000)


class Rounds:
    """Of one kind of record. Its service, identity and the gateway run, and nobody else who would hear of what is created."""

    def __init__(self, system: System, data: Data, kind: Kind, statements: Statements, pgbench: Pgbench, plan: Plan):
        self.system, self.data, self.kind, self.statements, self.pgbench, self.plan = system, data, kind, statements, pgbench, plan
        self.operations = ("get", "http_get", "list", "create") if kind == CONTACT else ("get", "list", "create")
        self.random = random.Random(3)
        self.folder = system.folder / "load"
        self.folder.mkdir(exist_ok=True)

    # One run of load.
    def load(self, operation: str, tenant: dict, in_flight: int, seconds: int, *more: str) -> dict:
        return load(self.system, "gateway" if operation.startswith("http") else self.kind.service, self.requests(operation, tenant), tenant["login"], in_flight,
                    seconds, *more)

    def requests(self, operation: str, tenant: dict):
        """The file of requests, made once an operation and tenant; creates draw from the same people as pgbench's."""
        file = self.folder / f"{self.kind.object}-{operation}-{tenant['number']}.jsonl"
        if file.exists():
            return file
        prefix = PREFIX[self.kind.object].format(t=tenant["number"])
        draw = lambda: type_id(self.kind.object, prefix + str(self.random.randint(tenant["first"], tenant["last"])))
        if operation == "get":
            rows = ({"method": self.kind.rpc("Get"), "body": {"id": draw()}} for _ in range(self.plan.ids))
        elif operation == "http_get":
            rows = ({"http": "GET", "path": f"{self.kind.collection}/{draw()}"} for _ in range(self.plan.ids))
        elif operation == "list":
            rows = [{"method": self.kind.rpc("List", plural=True), "body": {"page_size": 50}}]
        elif operation == "create":
            rows = ({"method": self.kind.rpc("Create"), "body": {self.kind.object: record}} for record in self.statements.records)
        elif operation == "import":
            rows = ({"method": self.kind.rpc("BatchCreate", plural=True),
                     "body": {"requests": [{self.kind.object: self.kind.made_up(self.random, place * BATCH_SIZE + i)} for i in range(BATCH_SIZE)]}}
                    for place in range(100))
        else:
            raise AssertionError(operation)
        with file.open("w") as out:
            for row in rows:
                out.write(json.dumps(row) + "\n")
        return file

    # The ratios.
    def ratios(self) -> dict:
        """For each operation the CPU of a request here and there, and the ratio; round by round, service and pgbench by turns."""
        rounds = {operation: [] for operation in self.operations}
        for number in range(self.plan.pairs):
            # Every second pair in the largest tenant, the others in the small ones.
            tenant = self.data.tenants[0 if number % 2 == 0 else 1 + number // 2 % (len(self.data.tenants) - 1)]
            for operation in ("get", "list", "create"):
                console.transient(f"  round {number + 1} of {self.plan.pairs}: {self.kind.object}, {operation} ...")
                same = [name for name in self.operations if name.endswith(operation)]  # by gRPC, by HTTP: the same statements
                halves = [lambda: {name: self.service_round(name, tenant) for name in same},
                          lambda: {"pgbench": self.pgbench_round(operation, tenant)}]
                found = {}
                for half in halves if number % 2 == 0 else reversed(halves):
                    found |= half()
                limit = found.pop("pgbench")
                for name, round in found.items():
                    rounds[name].append(round | {f"pgbench_{key}": value for key, value in limit.items()} | {"tenant": tenant["number"]})
        return {operation: summed(found) for operation, found in rounds.items()}

    def service_round(self, operation: str, tenant: dict) -> dict:
        self.load(operation, tenant, RATIO_IN_FLIGHT, 1)  # the token's check, connections, first plans
        self.settle()
        before = self.system.cpu()
        report = self.load(operation, tenant, RATIO_IN_FLIGHT, self.plan.seconds)
        self.settle()
        after = self.system.cpu()
        used = {name: after[name] - before[name] for name in after}
        own = used[self.kind.service]
        served = own + (used["gateway"] if operation.startswith("http") else 0)
        return {"requests": report["requests"], "service_seconds": served, "postgres_seconds": used["postgres"], "latency_us": report["latency_us"],
                "own_seconds": own, "gateway_seconds": used["gateway"], "others_seconds": used["identity"] + used["redis"]}

    def pgbench_round(self, operation: str, tenant: dict) -> dict:
        scripts = self.statements.scripts(operation, tenant)
        self.system.pause()
        try:
            run = self.pgbench.run(scripts, RATIO_IN_FLIGHT, self.plan.seconds, {"first": str(tenant["first"]), "last": str(tenant["last"])})
            if operation == "create":
                self.system.sql(f"delete from {self.kind.service}.outbox where seq is null")  # else the service would publish them
        finally:
            self.system.resume()
        return {"requests": run.requests, "client_seconds": run.pgbench, "postgres_seconds": run.postgres, "latency_us": run.latency_us}

    def settle(self) -> None:
        """Until the events of what was created are numbered and published: their cost belongs to the creates."""
        deadline = time.monotonic() + DRAIN_SECONDS
        while self.system.value(f"select exists (select from {self.kind.service}.outbox where seq is null)") == "t":
            if time.monotonic() > deadline:
                raise console.Failure("the service's events are still not numbered", "see its log", log=self.system.instance.log(self.kind.service))
            time.sleep(0.1)

    def idle(self, seconds: float = 3) -> dict:
        """CPU milliseconds per second while nobody asks anything; it is contained in the figures per request."""
        before = self.system.cpu()
        time.sleep(seconds)
        after = self.system.cpu()
        return {name: (after[name] - before[name]) / seconds * 1000 for name in after}

    # Latencies.
    def latencies(self) -> dict:
        tenant = self.data.tenants[0]
        found = {}
        for operation in self.operations:
            for in_flight in LATENCY_IN_FLIGHT:
                console.transient(f"  latency: {operation}, {in_flight} in flight ...")
                report = self.load(operation, tenant, in_flight, self.plan.latency_seconds)
                self.settle()
                found.setdefault(operation, {})[str(in_flight)] = {"per_second": report["per_second"]} | report["latency_us"]
        return found

    def imports(self) -> dict:
        console.transient("  import ...")
        report = self.load("import", self.data.tenants[0], 4, self.plan.import_seconds)
        start = time.monotonic()
        self.settle()
        return {"contacts_per_second": report["per_second"] * BATCH_SIZE, "batch_size": BATCH_SIZE, "in_flight": 4, "latency_us": report["latency_us"],
                "events_published_after_seconds": time.monotonic() - start}

    # Search.
    def search(self) -> dict:
        console.transient("  search ...")
        tenant = self.data.tenants[0]
        file = self.folder / f"{self.kind.object}-search-{tenant['number']}.jsonl"
        rows = [{"method": self.kind.rpc("List", plural=True), "body": {"query": term, "page_size": 20}, "class": kind, "label": term}
                for kind, terms in self.terms(tenant).items() for term in terms]
        self.random.shuffle(rows)
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))
        self.load("search", tenant, 1, self.plan.search_seconds, f"--count={len(rows)}", "--order=sequence")  # as warm as all else
        report = self.load("search", tenant, 1, self.plan.search_seconds, "--order=sequence")
        return {"in_flight": 1, "requests": report["requests"], "latency_us": report["latency_us"], "classes": report["classes"]}

    def terms(self, tenant: dict) -> dict[str, list[str]]:
        """Three characters and more. Names are drawn as common as they are in the data, which is by Zipf's law, so the common ones
        are asked for often; a term drawn twice is sent twice as often."""
        drawn = self.system.sql("select given_name, family_name, phones->0->>'number', emails->0->>'address' from contact.contact "
                                f"where tenant_id = '{tenant['uuid']}' and id = any (array[" +
                                ",".join(f"'{PREFIX['contact'].format(t=tenant['number'])}{self.random.randint(tenant['first'], tenant['last'])}'::uuid"
                                         for _ in range(self.plan.search_terms)) + "])")
        found = {kind: [] for kind in SEARCH_CLASSES}
        for given, family, phone, email in drawn:
            name = self.random.choice([given, family])
            found["prefix"].append(name[:self.random.randint(3, max(3, len(name)))])
            inner = family[1:] if len(family) > 3 else family + " "
            length = self.random.randint(3, max(3, min(5, len(inner))))
            start = self.random.randint(0, max(0, len(inner) - length))
            found["substring"].append(inner[start:start + length])
            digits = phone.lstrip("+")
            found["phone"].append(self.random.choice([phone, digits[-4:], digits[-5:], digits[-7:], digits[3:8]]))
            local = email.split("@")[0]
            found["e-mail"].append(self.random.choice([email, local, local[:self.random.randint(4, len(local))], local.split(".")[-1]]))
        return {kind: [term for term in terms if len(term.strip()) >= 3] for kind, terms in found.items()}


def summed(rounds: list[dict]) -> dict:
    """Of all rounds together; `spread` are the ratios of single pairs."""
    total = {key: sum(round[key] for round in rounds) for key in rounds[0] if key.endswith("_seconds") or key.endswith("requests")}
    per = lambda seconds, requests: seconds / requests * 1e6
    service = per(total["service_seconds"] + total["postgres_seconds"], total["requests"])
    limit = per(total["pgbench_client_seconds"] + total["pgbench_postgres_seconds"], total["pgbench_requests"])
    pairs = [per(r["service_seconds"] + r["postgres_seconds"], r["requests"]) /
             per(r["pgbench_client_seconds"] + r["pgbench_postgres_seconds"], r["pgbench_requests"]) for r in rounds]
    return {"ratio": service / limit, "spread": [min(pairs), max(pairs)], "us": service, "limit_us": limit,
            "service_us": per(total["service_seconds"], total["requests"]), "postgres_us": per(total["postgres_seconds"], total["requests"]),
            "own_us": per(total["own_seconds"], total["requests"]), "gateway_us": per(total["gateway_seconds"], total["requests"]),
            "pgbench_us": per(total["pgbench_client_seconds"], total["pgbench_requests"]),
            "pgbench_postgres_us": per(total["pgbench_postgres_seconds"], total["pgbench_requests"]),
            "requests": total["requests"], "pgbench_requests": total["pgbench_requests"]}


def starts(system: System, times: int = 3) -> dict[str, float]:
    """Seconds from exec to ready, the median."""
    found = {}
    for service in system.instance.services:
        taken = []
        for _ in range(times):
            if system.alive(service):
                system.stop(service)
            taken.append(system.timed_start(service))
        found[service] = statistics.median(taken)
    return found
