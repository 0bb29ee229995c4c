#!/usr/bin/env python3
"""Overload: one tenant floods a service whose limit is small, by gRPC as another company's system would, and a gateway with a small limit by HTTP. It is refused, with the
time to come back; what nobody waits for any more is not begun; other tenants' calls all succeed; afterwards all is as before, and nothing
acknowledged is lost. How much work an overloaded system gets done is measured by `tools/crm bench --overload`."""

import json
import re
import subprocess
import tempfile
import threading
import time
import unittest
import urllib.request
from pathlib import Path

from ledger import Check, Writer, kinds
from writes import UNLIMITED, ChaosTest, PatientTenant, eventually

from crmlib import config
from crmlib.api import Api

FLOOD_SECONDS, FLOOD_SECONDS_LONG = 6, 60
FLOOD_RATE, FLOOD_FACTOR = 3000, 4  # a second at least, and at least so many times what it does with all places taken
IN_FLIGHT_MAX = 4
DEADLINE_MS = 1500
VAIN_MOST = 0.2         # of what comes too late, begun all the same
QUIET_THREADS = 2
QUIET_PAUSE_SECONDS = 0.02
SUCCEED_LEAST = 0.99
HEALED_PROMISE, HEALED_TOLERATED = 10.0, 30.0
SERVICE = "crm.contact.v1.ContactService."


class OverloadTest(ChaosTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.start(config.merged(UNLIMITED, {service: {"in_flight_max": IN_FLIGHT_MAX} for service in ("contact", "gateway")}))
        cls.flood, cls.quiet = (PatientTenant(cls.stack, cls.catalogue, mark) for mark in ("flo", "qui"))
        cls.kinds = [kind for kind in kinds(cls.catalogue, cls.requester, cls.quiet) if kind.service == "contact"]
        cls.folder = Path(tempfile.mkdtemp(prefix="crm-ledger-", dir=cls.stack.folder))

    def metric(self, name: str, rpc: str = "", service: str = "contact") -> float:
        """The sum over all labels, or of one rpc."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.stack.instance.metrics_port(service)}/metrics", timeout=10) as answer:
            found = re.findall(rf"^{name}(?:{{([^}}]*)}})? (\S+)$", answer.read().decode(), re.MULTILINE)
        return sum(float(value) for labels, value in found if rpc in labels)

    def load(self, requests: list[dict], *more: str) -> dict:
        """What crm-loadgen says of sending them as the flooding tenant."""
        instance, folder = self.stack.instance, Path(tempfile.mkdtemp(prefix="crm-load-", dir=self.stack.folder))
        (folder / "requests").write_text("".join(json.dumps(request) + "\n" for request in requests))
        (folder / "token").write_text(self.flood.session.headers()["Authorization"].removeprefix("Bearer "))
        target = ([f"--http=127.0.0.1:{instance.port('gateway')}"] if "http" in requests[0] else
                  [f"--grpc=127.0.0.1:{instance.port('contact')}", "--peer=contact", f"--ca={instance.tls('ca.pem')}",
                   f"--cert={instance.tls('gateway.pem')}", f"--key={instance.tls('gateway.key')}", "--connections=2"])
        done = subprocess.run([str(instance.build / "bin/crm-loadgen"), f"--requests={folder / 'requests'}", f"--token-file={folder / 'token'}", *target,
                               f"--deadline-ms={DEADLINE_MS}", *more], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, check=True, timeout=300)
        return json.loads(done.stdout)

    def flooding(self, requests: list[dict]) -> str:
        """As the load generator's option: far more than this build does on this machine."""
        usual = self.load(requests, f"--in-flight={IN_FLIGHT_MAX}", "--seconds=1")
        return f"--rate={max(FLOOD_RATE, int(FLOOD_FACTOR * (usual['requests'] - usual['failed']) / usual['seconds']))}"

    def under_flood(self, service: str, requests: list[dict], *more: str) -> tuple[dict, "Quiet"]:
        """The flood's report, and what a quiet tenant has met while `service` refused."""
        shed = self.metric("crm_rpc_shed_total", service=service)
        found: list[dict] = []
        flood = threading.Thread(target=lambda: found.append(self.load(requests, *more)))
        flood.start()
        eventually(lambda: self.metric("crm_rpc_shed_total", service=service) > shed, 30, "the flood is refused")
        quiet = Quiet(self)
        flood.join()
        quiet.end()
        self.assertTrue(found, "the load generator failed")
        return found[0], quiet

    def judge(self, what: str, report: dict, quiet: "Quiet", refused: dict[str, int]) -> None:
        answered, failed = len(quiet.times), len(quiet.failed)
        print(f"  {what}: {report['requests']} requests, {report['requests'] - report['failed']} served, "
              f"{ {code: one['count'] for code, one in report['errors'].items()} }, {report['with_retry']} say when to come back; a quiet tenant: {answered} "
              f"calls, {failed} failed, the slowest {max(quiet.times, default=0):.2f} s", flush=True)
        self.assertGreater(sum(refused.values()), 100, f"{what}: {report['errors']}")
        self.assertEqual(report["with_retry"], sum(refused.values()), f"{what}: refusals that do not say when to come back")
        self.assertGreater(report["requests"] - report["failed"], 20, f"{what}: nothing was served any more")
        self.assertGreater(answered, 30, what)
        self.assertGreaterEqual(1 - failed / answered, SUCCEED_LEAST, f"{what}: {quiet.failed[:5]}")

    def healed(self, what: str) -> None:
        """The flooding tenant, too, is served again."""
        start = time.monotonic()
        api = Api(self.stack.instance.url, headers=self.flood.session.headers())
        eventually(lambda: all(api.call("GET", "/v1/contacts?page_size=5").ok for _ in range(20)), HEALED_TOLERATED, f"{what}: all is as before")
        eventually(lambda: self.metric("crm_rpc_in_flight") == self.metric("crm_rpc_waiting") == 0, HEALED_TOLERATED, f"{what}: nothing is left under way")
        print(f"  {what}: as before after {time.monotonic() - start:.1f} s (promised {HEALED_PROMISE:.0f})", flush=True)

    def setUp(self):
        self.seconds = FLOOD_SECONDS_LONG if self.long else FLOOD_SECONDS

    def test_1_by_grpc(self):
        contact = self.flood.id("contact")
        requests = ([{"method": f"{SERVICE}GetContact", "body": {"id": contact}}] * 3 + [{"method": f"{SERVICE}ListContacts", "body": {"page_size": 50}}] * 2 +
                    [{"method": f"{SERVICE}CreateContact", "body": {"contact": {"given_name": "Flood", "family_name": f"Number {n}"}}} for n in range(5)])
        flooding = self.flooding(requests)
        count = "select count(*) from contact.contact where tenant_id = '{}'".format(self.flood.uuid)
        before = int(self.stack.value(count))
        writers = [Writer(self.stack, self.quiet, self.kinds, number, self.folder, self.seed) for number in range(2)]
        try:
            report, quiet = self.under_flood("contact", requests, flooding, f"--seconds={self.seconds}", "--in-flight=4096")
        finally:
            Writer.end_all(writers)
        self.judge("by gRPC", report, quiet, {"OVERLOADED": report["errors"].get("OVERLOADED", {}).get("count", 0)})
        self.assertEqual(set(report["errors"]) - {"OVERLOADED", "DEADLINE_EXCEEDED", "NOT SENT"}, set(), report["errors"])
        # Whatever was not served was not done behind its caller's back: what is late at most is what was under way at the end of its time.
        created = int(self.stack.value(count)) - before
        late = report["errors"].get("DEADLINE_EXCEEDED", {}).get("count", 0)
        self.assertLessEqual(created, report["requests"] - report["failed"] + late)
        self.healed("by gRPC")
        unanswered = sum((writer.http.unanswered for writer in writers), [])
        self.assertLessEqual(len(unanswered), (1 - SUCCEED_LEAST) * sum(writer.turns for writer in writers) + 1, unanswered[:5])
        self.census.settle([self.quiet.uuid, self.flood.uuid])
        problems, counts = Check(self.stack, self.catalogue, [self.quiet], self.folder).all()
        self.assertFalse(problems, "\n".join(problems[:40]))
        self.assertGreater(counts["acknowledged"], 20)
        self.assertRegex(self.stack.log("contact"), "calls were refused: there are too many")

    def test_2_by_http(self):
        requests = [{"http": "GET", "path": "/v1/contacts?page_size=50"}, {"http": "GET", "path": f"/v1/contacts/{self.flood.id('contact')}"}]
        report, quiet = self.under_flood("gateway", requests, "--in-flight=300", "--connections=300", self.flooding(requests), f"--seconds={self.seconds}")
        self.judge("by HTTP", report, quiet, {code: one["count"] for code, one in report["errors"].items() if code in ("HTTP 503", "HTTP 429")})
        refused = next(json.loads(one["first"]) for code, one in report["errors"].items() if code == "HTTP 503")
        self.assertIn("RetryInfo", json.dumps(refused), refused)
        # Each connection is held back: far fewer refusals than what would be sent otherwise.
        self.assertLess(report["errors"]["HTTP 503"]["count"], 300 * (self.seconds + 2))
        eventually(lambda: self.metric("crm_gateway_in_flight", service="gateway") == 0, HEALED_TOLERATED, "nothing is left under way")
        self.assertRegex(self.stack.log("gateway"), "calls were refused: there are too many")
        self.healed("by HTTP")

    def test_3_what_nobody_waits_for_is_not_begun(self):
        """Everything is asked for with less time than it takes while all places are taken."""
        rpc = f"{SERVICE}ListContacts"
        requests = [{"method": rpc, "body": {"page_size": 50}}]
        flooding = self.flooding(requests)
        shed_before, before = self.metric("crm_rpc_shed_total"), self.metric("crm_rpc_seconds_count", rpc)
        report = self.load(requests, flooding, "--seconds=2", "--in-flight=4096", "--deadline-ms=20")
        answered = self.metric("crm_rpc_seconds_count", rpc) - before
        late = report["errors"].get("DEADLINE_EXCEEDED", {}).get("count", 0)
        served = report["requests"] - report["failed"]
        shed = self.metric("crm_rpc_shed_total") - shed_before
        print(f"  20 ms each: {report['requests']} requests, {served} served, {answered:.0f} answered, {shed:.0f} refused, {late} late", flush=True)
        # Nearly all that is worked on is still waited for; without a look at deadlines everything would be worked on.
        self.assertLessEqual(answered - served, VAIN_MOST * report["requests"])
        self.assertGreater(shed, 100, report["errors"])
        self.healed("what nobody waits for")


class Quiet:
    """A tenant's calls, one after another in a few threads: reads and writes."""

    def __init__(self, test: OverloadTest):
        self.test, self.times, self.failed = test, [], []
        self.ending = threading.Event()
        self.threads = [threading.Thread(target=self.run, args=(number,), daemon=True) for number in range(QUIET_THREADS)]
        for thread in self.threads:
            thread.start()

    def run(self, number: int) -> None:
        api, turn = Api(self.test.stack.instance.url), 0
        while not self.ending.wait(QUIET_PAUSE_SECONDS):
            turn += 1
            start, headers = time.monotonic(), self.test.quiet.session.headers()
            if turn % 3 == 0:
                answer = api.call("POST", "/v1/contacts", {"given_name": "Quiet", "family_name": f"{number} {turn}"}, headers)
            else:
                answer = api.call("GET", f"/v1/contacts/{self.test.quiet.id('contact')}" if turn % 3 == 1 else "/v1/contacts?page_size=20", None, headers)
            self.times.append(time.monotonic() - start)
            if not answer.ok:
                self.failed.append(f"{answer.status} {answer.data[:300]!r}")

    def end(self) -> None:
        self.ending.set()
        for thread in self.threads:
            thread.join(60)


if __name__ == "__main__":
    unittest.main(verbosity=2, warnings="ignore")
