#!/usr/bin/env python3
"""The one gRPC address for other companies' systems, called with grpc-js as they would: who gets in, as whom, to what."""

import http.client
import json
import queue
import ssl
import subprocess
import threading
import unittest
from concurrent.futures import ThreadPoolExecutor

from stack import ROOT, Stack, eventually

from crmlib import descriptors, edge, keys

MODULES = ROOT / "tools/npm/node_modules"
SESSION = "/crm.identity.v1.SessionService/GetCurrentSession"
CREATE, GET = (f"/crm.identity.v1.TeamService/{name}" for name in ("CreateTeam", "GetTeam"))
REPORT = "/crm.analytics.v1.ReportService/GetRevenueReport"
WAIT_SECONDS = 90


class Client:
    """tests/flow/grpc_client.mjs, one process for all calls."""

    def __init__(self, stack: Stack):
        self.defaults = {"address": f"127.0.0.1:{stack.instance.edge_port}", "ca": str(stack.instance.tls("ca.pem"))}
        self.process = subprocess.Popen(["node", ROOT / "tests/flow/grpc_client.mjs", MODULES, stack.instance.build / "crm.binpb"],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.waiting: dict[int, queue.Queue] = {}
        self.lock, self.count = threading.Lock(), 0
        threading.Thread(target=self.read, daemon=True).start()

    def read(self) -> None:
        for line in self.process.stdout:
            answer = json.loads(line)
            self.waiting.pop(answer["n"]).put(answer)

    def call(self, path: str, request: dict | None = None, token: str = "", **more) -> dict:
        done: queue.Queue = queue.Queue()
        if token:
            more["metadata"] = {"authorization": f"Bearer {token}"} | more.get("metadata", {})
        with self.lock:
            self.count += 1
            self.waiting[self.count] = done
            self.process.stdin.write(json.dumps(self.defaults | {"n": self.count, "path": path, "request": request or {}} | more) + "\n")
            self.process.stdin.flush()
        return done.get(timeout=WAIT_SECONDS)

    def close(self) -> None:
        self.process.stdin.close()
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


class EdgeTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.stack = Stack(["gateway", "identity", "analytics"], with_edge=True)
        cls.addClassCleanup(cls.stack.close)
        try:
            cls.stack.start_all()
        except BaseException:
            cls.stack.print_logs()
            raise
        cls.instance = cls.stack.instance
        cls.client = Client(cls.stack)
        cls.addClassCleanup(cls.client.close)
        cls.admin, cls.other = cls.stack.sign_up(), cls.stack.sign_up()
        cls.role = next(role["id"] for role in cls.admin.get("/v1/roles")["roles"] if role["name"] == "Administrator")
        cls.key = cls.admin.post("/v1/apiKeys", {"name": "web shop", "role_ids": [cls.role]})
        # haproxy looks after a backend by itself; until then it would answer UNAVAILABLE.
        eventually(lambda: cls.ask(SESSION, token=cls.admin.token)["code"] == "OK" and cls.ask(REPORT, token=cls.admin.token)["code"] == "OK", 60)

    @classmethod
    def ask(cls, path: str, request: dict | None = None, **more) -> dict:
        return cls.client.call(path, request, **more)

    def certificate(self, name: str) -> dict:
        return {"cert": str(self.instance.tls(f"{name}.pem")), "key": str(self.instance.tls(f"{name}.key"))}

    def reload(self) -> None:
        self.stack.stop("edge")
        self.stack.start("edge")
        eventually(lambda: self.ask(SESSION, token=self.admin.token, fresh=self.id())["code"] == "OK", 60)

    def test_a_token_says_who_calls(self):
        answer = self.ask(SESSION, token=self.admin.token)
        self.assertEqual(answer["code"], "OK", answer)
        self.assertEqual(answer["reply"]["user_id"], self.admin.user_id)
        for token in ("nonsense", self.admin.token[:-4] + "AAAA"):
            self.assertEqual(self.ask(SESSION, token=token)["code"], "UNAUTHENTICATED")

    def test_an_api_key_works_and_ends_with_its_revocation(self):
        key = self.admin.post("/v1/apiKeys", {"name": "for a while", "role_ids": [self.role]})
        made = self.ask(CREATE, {"team": {"name": "Edge"}}, token=key["secret"])
        self.assertEqual(made["code"], "OK", made)
        team = made["reply"]["id"]
        self.assertEqual(self.admin.get(f"/v1/teams/{team}")["name"], "Edge")
        self.assertEqual(self.ask(GET, {"id": team}, token=key["secret"])["code"], "OK")
        # Walls: the other tenant does not find it.
        self.assertEqual(self.ask(GET, {"id": team}, token=self.other.token)["code"], "NOT_FOUND")
        self.admin.delete(f"/v1/apiKeys/{key['id']}")
        eventually(lambda: self.ask(GET, {"id": team}, token=key["secret"])["code"] == "UNAUTHENTICATED", 30)
        self.assertEqual(self.ask(GET, {"id": team}, token="crm_" + "0" * 60)["code"], "UNAUTHENTICATED")

    def test_repeating_a_write_under_its_key_makes_one(self):
        request = {"team": {"name": "Once"}}
        ids = {self.ask(CREATE, request, token=self.key["secret"], metadata={"idempotency-key": "edge-once"})["reply"]["id"] for _ in range(3)}
        self.assertEqual(len(ids), 1)

    def test_nobody_gets_nothing_but_what_is_public(self):
        self.assertEqual(self.ask(SESSION)["code"], "UNAUTHENTICATED")
        wrong = self.ask("/crm.identity.v1.SessionService/CreateSession", {"login": "a@b.example", "password": "wrong"})
        self.assertEqual(wrong["code"], "UNAUTHENTICATED", wrong)
        right = self.ask("/crm.identity.v1.SessionService/CreateSession", {"login": self.admin.login, "password": "correct horse battery"})
        self.assertEqual(right["code"], "OK", right)
        self.assertEqual(self.ask(SESSION, token=right["reply"]["access_token"])["code"], "OK")

    def test_a_registered_certificate_stands_for_its_key(self):
        edge.register(self.instance, "shop", self.key["secret"])
        keys.make_partner(self.instance, "stranger")
        self.reload()
        answer = self.ask(SESSION, **self.certificate("partner-shop"))
        self.assertEqual(answer["code"], "OK", answer)
        self.assertEqual(answer["reply"]["user_id"], self.key["id"])
        # Ours by the CA, but nobody's.
        self.assertEqual(self.ask(SESSION, **self.certificate("partner-stranger"))["code"], "UNAUTHENTICATED")
        # A token that is shown beside it counts, and a wrong one is not mended by the certificate.
        answer = self.ask(SESSION, token=self.other.token, **self.certificate("partner-shop"))
        self.assertEqual(answer["reply"]["user_id"], self.other.user_id)
        self.assertEqual(self.ask(SESSION, token="wrong", **self.certificate("partner-shop"))["code"], "UNAUTHENTICATED")

    def test_certificates_of_other_authorities_do_not_connect(self):
        # Those of our own services are of another CA too: at this address they are strangers.
        for name in ("analytics", "edge"):
            with self.subTest(name):
                answer = self.ask(SESSION, token=self.admin.token, **self.certificate(name))
                self.assertEqual(answer["code"], "UNAVAILABLE", answer)
        # And whoever asks for another server than ours hears of it.
        self.assertEqual(self.ask(SESSION, token=self.admin.token, ca=str(self.instance.tls("partner-ca.pem")))["code"], "UNAVAILABLE")

    def test_partners_do_not_reach_the_native_ports(self):
        keys.make_partner(self.instance, "inside")
        address = f"127.0.0.1:{self.instance.port('analytics')}"
        answer = self.ask(REPORT, token=self.admin.token, address=address, **self.certificate("partner-inside"))
        self.assertEqual(answer["code"], "UNAVAILABLE", answer)

    def test_forged_headers_change_nothing(self):
        forged = {"crm-tenant": self.other.tenant_id, "crm-anonymous": "1", "crm-cause": "x y 1", "crm-request-id": "forged-id", "crm-user": "admin",
                  "x-forwarded-for": "10.0.0.1", "x-forwarded-client-cert": "CN=gateway", "x-real-ip": "10.0.0.1", "cookie": "crm_session=x"}
        answer = self.ask(SESSION, token=self.admin.token, metadata=forged)
        self.assertEqual(answer["reply"]["tenant_id"], self.admin.tenant_id, answer)
        self.assertEqual(self.ask(SESSION, metadata=forged)["code"], "UNAUTHENTICATED")
        self.assertNotIn("forged-id", self.stack.log("identity"))
        two = self.ask(SESSION, metadata={"authorization": [f"Bearer {self.admin.token}", f"Bearer {self.other.token}"]})
        self.assertNotEqual(two["code"], "OK", two)

    def test_the_edges_certificate_is_nobodys(self):
        """Even if haproxy let a service's rpc through, the service would see a stranger."""
        for rpc in descriptors.rpcs(self.instance.build / "crm.binpb"):
            service = rpc.package.split(".")[1]
            if rpc.who != "public" and service in ("identity", "analytics"):
                with self.subTest(rpc.path):
                    answer = self.ask(rpc.path, hex="", address=f"127.0.0.1:{self.instance.port(service)}", metadata={"crm-tenant": self.admin.tenant_id},
                                      **self.certificate("edge"))
                    self.assertEqual(answer["code"], "UNAUTHENTICATED", answer)

    def test_only_what_users_may_call_is_offered(self):
        rpcs = descriptors.rpcs(self.instance.build / "crm.binpb")
        hidden = [rpc.path for rpc in rpcs if rpc.who == "service"]
        self.assertGreater(len(hidden), 3)
        others = ["/grpc.health.v1.Health/Check", "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", "/", "/metrics",
                  "/crm.identity.v1.TeamService/", GET + "/", GET.lower(), "/crm.identity.v1.TeamService/NoSuch"]
        for path in hidden + others:
            with self.subTest(path):
                answer = self.ask(path, hex="", token=self.admin.token)
                self.assertEqual(answer["code"], "UNIMPLEMENTED", answer)
        shared = [rpc.path for rpc in rpcs if rpc.package.split(".")[1] not in self.instance.services]
        self.assertTrue(shared)
        for path in shared:
            self.assertEqual(self.ask(path, hex="", token=self.admin.token)["code"], "UNIMPLEMENTED")

    def test_too_large_and_too_slow(self):
        large = self.ask(CREATE, {"team": {"name": "y" * (4 << 20)}}, token=self.admin.token)
        self.assertIn(large["code"], ("INVALID_ARGUMENT", "RESOURCE_EXHAUSTED", "NOT_SENT"), large)
        header = self.ask(SESSION, token=self.admin.token, metadata={"accept-language": "x" * 60000})
        self.assertNotEqual(header["code"], "OK")
        self.assertEqual(self.ask(SESSION, token=self.admin.token)["code"], "OK")
        self.assertEqual(self.ask(REPORT, token=self.admin.token, deadline_ms=1)["code"], "DEADLINE_EXCEEDED")

    def test_a_caller_without_measure_is_slowed_down(self):
        key = self.admin.post("/v1/apiKeys", {"name": "greedy", "role_ids": [self.role]})["secret"]
        total = edge.RATE_PER_SECOND * 10 * 2 + 500

        def one(_):
            return self.ask(SESSION, token=key)["code"]

        with ThreadPoolExecutor(max_workers=32) as pool:
            codes = set()
            for number in range(0, total, 500):
                codes |= set(pool.map(one, range(500)))
                if "RESOURCE_EXHAUSTED" in codes:
                    break
        self.assertIn("RESOURCE_EXHAUSTED", codes)
        self.assertEqual(self.ask(SESSION, token=self.admin.token)["code"], "OK", "others go on")

    def test_other_protocols_are_sent_away(self):
        context = ssl.create_default_context(cafile=self.instance.tls("ca.pem"))
        connection = http.client.HTTPSConnection("localhost", self.instance.edge_port, context=context, timeout=20)
        self.addCleanup(connection.close)
        connection.request("POST", SESSION, b"", {"Content-Type": "application/grpc", "Authorization": f"Bearer {self.admin.token}"})
        self.assertEqual(connection.getresponse().status, 505)

    def test_operators_see_it(self):
        self.ask(SESSION, token=self.admin.token)
        connection = http.client.HTTPConnection("127.0.0.1", self.instance.edge_metrics_port, timeout=20)
        self.addCleanup(connection.close)
        for path, expected in (("/readyz", b"ok"), ("/metrics", b'haproxy_backend_http_responses_total{proxy="identity"')):
            connection.request("GET", path)
            answer = connection.getresponse()
            self.assertEqual(answer.status, 200)
            self.assertIn(expected, answer.read())
        lines = [json.loads(line) for line in self.stack.log("edge").splitlines() if line.startswith("{")]
        self.assertTrue(any(line["rpc"] == SESSION and line["backend"] == "identity" for line in lines), lines[-3:])
        self.assertNotIn(self.admin.token[:40], self.stack.log("edge"))
        self.assertNotIn(self.key["secret"], self.stack.log("edge"))

    def test_a_service_that_is_gone_is_unavailable_and_comes_back(self):
        self.stack.kill("analytics")
        eventually(lambda: self.ask(REPORT, token=self.admin.token)["code"] == "UNAVAILABLE", 30)
        self.assertEqual(self.ask(SESSION, token=self.admin.token)["code"], "OK")
        self.stack.start("analytics")
        eventually(lambda: self.ask(REPORT, token=self.admin.token)["code"] == "OK", 60)


if __name__ == "__main__":
    unittest.main(verbosity=2)
