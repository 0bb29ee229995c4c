"""More than the system can do: what it still gets done, whom it serves, what it tells the others.

The peak is measured in a closed loop. Then requests come in an open loop at 1, 3 and 10 times that rate, whatever becomes of them, 90 % of
them one tenant's. A request counts as done if its answer came within its deadline, counted from the moment that it was to be sent.

On one machine the load generator takes from the system what it is to measure. So it has a core of its own, and the services with
PostgreSQL share the others, in every phase alike: what is compared is one and the same system."""

import dataclasses
import json
import os
import random
import subprocess
import time
from pathlib import Path

from crmlib import console
from crmlib.bench.data import PREFIX, type_id
from crmlib.bench.kinds import CONTACT
from crmlib.bench.system import System, ticks

# How many times the peak, and which part of it is one tenant's. The quiet ones' part of the third is the whole peak: more than their fair
# share of it, which is 9 of 10. In the last they ask for no more than at 3x.
PHASES = ((1, 0.9), (3, 0.9), (10, 0.9), (10, 0.97))
MIX = {"get": 0.5, "list": 0.3, "create": 0.2}
REQUESTS = 20_000  # that are drawn from
PEAK_IN_FLIGHT = (16, 32, 64, 128)
OUTSTANDING_MAX = {"contact": 8192, "gateway": 10240}
DEADLINE_MS = 2000
TOKENS_SECONDS = 240  # of the ten minutes that they last
CONNECTIONS = {"contact": 4, "gateway": 1024}  # as of as many gateways; of each tenant
BACK_SHARE, BACK_SECONDS = 0.9, 10
GOODPUT_LEAST = {1: 0.9, 3: 0.9, 10: 0.8}
QUIET_LEAST = 0.99  # where they ask for less than their share of the peak
QUIET_SHARE = 0.8
SERVICE = "crm.contact.v1.ContactService."
LOADGEN = "load generator"


@dataclasses.dataclass
class Plan:
    seconds: int  # of each factor
    peak_seconds: int  # of each number in flight
    back_seconds: int = 12  # that are looked at afterwards


FULL = Plan(seconds=60, peak_seconds=8)
QUICK = Plan(seconds=10, peak_seconds=3)


class Overload:
    """`tenants` with loaded data (data.Data), the first one floods. `service`: "contact" by gRPC, "gateway" by HTTP."""

    def __init__(self, system: System, tenants: list[dict], plan: Plan, service: str = "contact"):
        self.system, self.tenants, self.plan, self.service = system, tenants, plan, service
        self.random = random.Random(11)
        self.signed_in = float("-inf")
        self.folder = system.folder / "overload"
        self.folder.mkdir(exist_ok=True)
        cores = sorted(os.sched_getaffinity(0))
        self.own, self.others = cores[:1], cores[1:] or cores

    def measure(self) -> dict:
        self.confine()
        try:
            self.write(PHASES[0][1])
            with console.step(f"{self.service}: the peak"):
                self.run("--in-flight=16", f"--seconds={self.plan.peak_seconds}")  # first plans, connections
                rounds = {in_flight: self.run(f"--in-flight={in_flight}", f"--seconds={self.plan.peak_seconds}") for in_flight in PEAK_IN_FLIGHT}
                in_flight = max(rounds, key=lambda number: done(rounds[number]))
                # Held as long as each phase: what a few seconds bring after a vacuum and a checkpoint, no minute does.
                best = self.run(f"--in-flight={in_flight}", f"--seconds={self.plan.seconds}")
                peak = done(best) / best["seconds"]
            found = {"service": self.service, "peak_per_second": peak, "peak_in_flight": in_flight, "peak_cpu": best["cpu"], "deadline_ms": DEADLINE_MS,
                     "mix": MIX, "seconds": self.plan.seconds, "cores": {LOADGEN: len(self.own), "system": len(self.others)},
                     "closed_loop": {number: done(one) / one["seconds"] for number, one in rounds.items()}, "phases": []}
            for factor, share in PHASES:
                with console.step(f"{self.service}: {factor} x {peak:,.0f} requests a second, {share:.0%} one tenant's"):
                    found["phases"].append(self.phase(factor, share, peak))
            ended = time.monotonic()
            with console.step(f"{self.service}: back at its peak"):
                self.write(PHASES[0][1])
                after = self.run(f"--in-flight={in_flight}", f"--seconds={self.plan.back_seconds}")
                found["back_seconds"] = back(after, peak, after["began"] - ended)
                found["back_per_second"] = done(after) / after["seconds"]
            return found
        finally:
            self.release()

    def phase(self, factor: int, share: float, peak: float) -> dict:
        self.write(share)
        report = self.run(f"--rate={round(factor * peak)}", f"--in-flight={OUTSTANDING_MAX[self.service]}", f"--seconds={self.plan.seconds}")
        classes = {name: report["classes"].get(name, {"requests": 0, "failed": 0, "errors": {}, "latency_us": None}) for name in ("flood", "quiet")}
        refused = sum(one["count"] for code, one in report["errors"].items() if code in REFUSALS)
        # Answers are counted for the time that was asked in; what came in the last moments was work, too.
        goodput = done(report) / self.plan.seconds
        return {"factor": factor, "flood_share": share, "offered_per_second": report["requests"] / self.plan.seconds, "goodput_per_second": goodput, "goodput": goodput / peak,
                "quiet_success": 1 - classes["quiet"]["failed"] / max(classes["quiet"]["requests"], 1), "refused": refused, "throttled": report["throttled"],
                "with_retry": report["with_retry"],
                "errors": {code: one["count"] for code, one in report["errors"].items()},
                "latency_us": {name: one["latency_us"] for name, one in classes.items()}, "quiet_errors": classes["quiet"]["errors"], "cpu": report["cpu"]}

    # Who runs where.
    def confine(self) -> None:
        for name, process in self.system.processes.items():
            if self.system.alive(name):
                pin(process.pid, self.others)

    def release(self) -> None:
        for name, process in self.system.processes.items():
            if self.system.alive(name):
                pin(process.pid, [*self.own, *self.others])

    # Requests.
    def write(self, flood_share: float) -> None:
        with (self.folder / "requests").open("w") as out:
            for number in range(REQUESTS):
                flood = self.random.random() < flood_share
                tenant = self.tenants[0] if flood else self.random.choice(self.tenants[1:])
                what = self.random.choices(list(MIX), list(MIX.values()))[0]
                out.write(json.dumps(self.request(tenant, what, number) | {"class": "flood" if flood else "quiet", "caller": tenant["login"]}) + "\n")

    def request(self, tenant: dict, what: str, number: int) -> dict:
        contact = type_id("contact", PREFIX["contact"].format(t=tenant["number"]) + str(self.random.randint(tenant["first"], tenant["last"])))
        person = CONTACT.made_up(self.random, number)
        if self.service == "gateway":
            return {"get": {"http": "GET", "path": f"/v1/contacts/{contact}"}, "list": {"http": "GET", "path": "/v1/contacts?page_size=50"},
                    "create": {"http": "POST", "path": "/v1/contacts", "body": person}}[what]
        return {"get": {"method": f"{SERVICE}GetContact", "body": {"id": contact}}, "list": {"method": f"{SERVICE}ListContacts", "body": {"page_size": 50}},
                "create": {"method": f"{SERVICE}CreateContact", "body": {"contact": person}}}[what]

    def run(self, *more: str) -> dict:
        """What the load generator reports; `cpu` is what it and each of the system's processes took, in cores; `began` when it started."""
        instance, tokens = self.system.instance, self.tokens()
        open_loop = any(one.startswith("--rate") for one in more)
        target = ([f"--http=127.0.0.1:{instance.port('gateway')}", *([f"--connections={CONNECTIONS['gateway']}"] if open_loop else [])] if self.service == "gateway" else
                  [f"--grpc=127.0.0.1:{instance.port('contact')}", "--peer=contact", f"--ca={instance.tls('ca.pem')}", f"--cert={instance.tls('gateway.pem')}",
                   f"--key={instance.tls('gateway.key')}", f"--connections={CONNECTIONS['contact']}"])
        arguments = [instance.build / "bin/crm-loadgen", f"--requests={self.folder / 'requests'}", f"--token-file={tokens}", f"--deadline-ms={DEADLINE_MS}", *target, *more]
        before, began = self.system.cpu(), time.monotonic()
        with (self.folder / "out").open("w") as out:
            process = subprocess.Popen(["taskset", "-c", ",".join(map(str, self.own)), *map(str, arguments)], stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT)
            used = 0.0
            while os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
                time.sleep(0.02)
            used = ticks(process.pid, 2)  # a zombie still tells
            process.wait()
        text = (self.folder / "out").read_text()
        if process.returncode != 0:
            raise console.Failure("the load generator failed", "see above", output=text)
        report, after = json.loads(text), self.system.cpu()
        report["cpu"] = {name: (after[name] - before[name]) / report["seconds"] for name in ("contact", "gateway", "postgres") if name in after}
        report["cpu"][LOADGEN] = used / report["seconds"]
        report["began"] = began
        odd = {code: one for code, one in report["errors"].items() if code not in EXPECTED}
        if odd or not done(report):
            raise console.Failure(f"requests failed for another reason than overload: {odd or 'none was served'}", f"see the log of {self.service}", output=json.dumps(odd, indent=1))
        return report


    def tokens(self) -> Path:
        """One for each tenant. Signing in again would give the system a rest that it is not to have."""
        file = self.folder / "tokens"
        if time.monotonic() - self.signed_in > TOKENS_SECONDS:
            file.touch(mode=0o600)
            file.write_text("".join(f"{tenant['login']} {self.system.token(tenant['login'])}\n" for tenant in self.tenants))
            self.signed_in = time.monotonic()
        return file


REFUSALS = ("OVERLOADED", "RATE_LIMITED", "HTTP 503", "HTTP 429")
EXPECTED = (*REFUSALS, "DEADLINE_EXCEEDED", "HTTP 504", "NOT SENT", "LATE", "no answer")


def done(report: dict) -> int:
    return report["requests"] - report["failed"]


def back(report: dict, peak: float, late: float) -> float | None:
    """Seconds from the end of the flood until half a second brought as much as at the peak, or nearly; None: not within the time."""
    for slot, count in enumerate(report["by_half_second"]):
        if 2 * count >= BACK_SHARE * peak:
            return late + (slot + 1) / 2
    return None


def pin(pid: int, cores: list[int]) -> None:
    """The process, its threads and its children; those that it makes later inherit it."""
    for task in Path(f"/proc/{pid}/task").iterdir():
        try:
            os.sched_setaffinity(int(task.name), cores)
            for child in (task / "children").read_text().split():
                pin(int(child), cores)
        except (ProcessLookupError, FileNotFoundError):
            pass  # has ended


def misses(found: dict) -> list[str]:
    """The goals that were not reached."""
    missed = []
    for one in found["phases"]:
        factor, fits = one["factor"], one["factor"] * (1 - one["flood_share"]) < QUIET_SHARE
        if one["goodput"] < GOODPUT_LEAST[factor]:
            missed.append(f"{found['service']} at {factor}x: {one['goodput']:.0%} of the peak, goal {GOODPUT_LEAST[factor]:.0%}")
        if fits and one["quiet_success"] < QUIET_LEAST:
            missed.append(f"{found['service']} at {factor}x: quiet tenants {one['quiet_success']:.2%}, goal {QUIET_LEAST:.0%}")
        if one["with_retry"] < one["refused"]:
            missed.append(f"{found['service']} at {factor}x: {one['refused'] - one['with_retry']} refusals without RetryInfo")
    if found["back_seconds"] is None or found["back_seconds"] > BACK_SECONDS:
        missed.append(f"{found['service']}: its peak was not back within {BACK_SECONDS} s")
    return missed


def text(all_found: list[dict]) -> list[str]:
    parts = []
    for found in all_found:
        cores = found["cores"]
        parts += [f"Overload of {found['service']}: peak {found['peak_per_second']:,.0f}/s in a closed loop ({found['peak_in_flight']} in flight), then an open loop for "
                  f"{found['seconds']} s each; {cores['system']} core(s) for services and PostgreSQL, "
                  f"{cores[LOADGEN]} for the load generator"]
        rows = []
        for one in found["phases"]:
            latency = [f"{one['latency_us'][name]['p50'] / 1000:.0f} / {one['latency_us'][name]['p99'] / 1000:.0f}" if one["latency_us"][name] else "-"
                       for name in ("flood", "quiet")]
            rows.append([f"{one['factor']}x", f"{one['flood_share']:.0%}", f"{one['offered_per_second']:,.0f}", f"{one['goodput_per_second']:,.0f}", f"{one['goodput']:.0%}", f"{one['quiet_success']:.2%}",
                         f"{one['with_retry']:,} of {one['refused']:,}", f"{one['throttled']:,}", *latency, *[f"{one['cpu'].get(name, 0):.2f}" for name in ("contact", "gateway", "postgres", LOADGEN)]])
        parts.append(console.table(["", "one tenant's", "offered/s", "done/s", "of peak", "quiet done", "refusals with RetryInfo", "by the client", "flood p50 / p99 ms", "quiet p50 / p99 ms",
                                    "cores: contact", "gateway", "PostgreSQL", "generator"], rows))
        back_text = "not back" if found["back_seconds"] is None else f"back after {found['back_seconds']:.1f} s"
        parts += [f"After it: {back_text} ({found['back_per_second']:,.0f}/s)", ""]
    missed = [one for found in all_found for one in misses(found)]
    return [*parts, "Goals not reached: " + "; ".join(missed) if missed else "All goals are reached."]
