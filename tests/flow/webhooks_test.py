"""Webhooks over all processes, with a receiver of the test's own and the library that receivers use (npm standardwebhooks): what is
posted and how often, repeats after failures and deaths, rotation, replay, switching off."""

import http.server
import json
import queue
import shutil
import subprocess
import sys
import threading
import time
import unittest

from stack import ROOT, Stack, eventually

PATIENCE = 60.0
NPM = ROOT / "tools/npm"
VERIFY = """
const { Webhook } = require("standardwebhooks");
let text = ""; process.stdin.on("data", d => text += d).on("end", () => {
  const { secret, headers, body } = JSON.parse(text);
  try { new Webhook(secret).verify(body, headers); console.log("good"); } catch (e) { console.log("bad: " + e.message); }
});
"""


class Receiver:
    """Takes posts; `answers` says how to answer the next ones, then 200."""

    def __init__(self):
        self.posts: queue.Queue = queue.Queue()
        self.answers: list = []
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("content-length", 0))).decode()
                status, headers = receiver.answers.pop(0) if receiver.answers else (200, {})
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(b"answered")
                receiver.posts.put({"path": self.path, "headers": {k.lower(): v for k, v in self.headers.items()}, "body": body, "status": status})

            def log_message(self, *arguments):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def next(self, wanted=lambda post: True):
        deadline = time.monotonic() + PATIENCE
        while True:
            post = self.posts.get(timeout=max(0.1, deadline - time.monotonic()))
            if wanted(post):
                return post

    def close(self):
        self.server.shutdown()
        self.server.server_close()


def verify(secret, post) -> str:
    done = subprocess.run(["node", "-e", VERIFY], cwd=NPM, input=json.dumps({"secret": secret, "headers": post["headers"], "body": post["body"]}),
                          text=True, capture_output=True, timeout=60, check=True)
    return done.stdout.strip()


@unittest.skipUnless(shutil.which("node") and (NPM / "node_modules/standardwebhooks").exists(), "Node and its modules are not here: run tools/crm deps")
class WebhooksTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.stack = Stack(changes={"messaging": {"messaging": {"allowed_hosts": ["127.0.0.1"], "webhook_retry_seconds": 1, "webhook_disable_seconds": 3}}})
        cls.stack.__enter__()
        cls.addClassCleanup(lambda: cls.stack.__exit__(None, None, None))

    def setUp(self):
        self.admin = self.stack.sign_up()
        self.receiver = Receiver()
        self.addCleanup(self.receiver.close)

    def tearDown(self):
        if any(error for _, error in self._outcome.result.failures + self._outcome.result.errors):
            self.stack.print_logs()

    def hook(self, event_types, **more):
        return self.admin.post("/v1/webhooks", {"name": "Shop", "url": f"{self.receiver.url}/hook", "event_types": event_types, "enabled": True} | more)

    def test_events_are_posted_signed_and_once(self):
        hook = self.hook(["contact.*"])
        self.assertTrue(hook["secret"].startswith("whsec_"))
        self.assertNotIn("secret", {k for k, v in self.admin.get(f"/v1/webhooks/{hook['id']}").items() if v})
        contact = self.admin.post("/v1/contacts", {"given_name": "Ada", "birth_date": "1985-05-03"})
        self.admin.post("/v1/companies", {"name": "Not asked for"})
        self.admin.patch(f"/v1/contacts/{contact['id']}", {"city": "Bonn"})
        posts = {json.loads(post["body"])["type"]: post for post in (self.receiver.next(), self.receiver.next())}
        self.assertEqual(set(posts), {"contact.created", "contact.updated"})
        for post in posts.values():
            self.assertEqual(verify(hook["secret"], post), "good")
            self.assertIn("bad", verify("whsec_" + "A" * 44, post))
            self.assertIn("bad", verify(hook["secret"], post | {"body": post["body"].replace("Ada", "Eve")}))
        body = json.loads(posts["contact.updated"]["body"])
        self.assertEqual((body["record_id"], body["changed_fields"], body["data"]["contact"]["city"]), (contact["id"], ["city"], "Bonn"))
        self.assertEqual(body["data"]["contact"]["birth_date"], "", "personal data was not asked for")
        log = eventually(lambda: (d := self.admin.get("/v1/deliveries", filter=f'webhook_id = "{hook["id"]}" AND status = DELIVERY_STATUS_DELIVERED')["deliveries"])
                         and len(d) == 2 and d, PATIENCE)
        self.assertEqual({d["id"] for d in log}, {post["headers"]["webhook-id"] for post in posts.values()})
        one = self.admin.get(f"/v1/deliveries/{log[0]['id']}")
        self.assertEqual((one["response_status"], one["response_body"], one["attempt_count"]), (200, "answered", 1))
        self.assertIn(one["body"], [post["body"] for post in posts.values()])
        with self.assertRaises(queue.Empty):
            self.receiver.posts.get(timeout=0.5)

    def test_what_fails_is_posted_again_with_the_same_id(self):
        hook = self.hook(["deal.created", "webhook.*"])
        self.receiver.answers = [(302, {"Location": f"{self.receiver.url}/elsewhere"}), (429, {"Retry-After": "2"})]
        deal = self.admin.post("/v1/deals", {"title": "Boxes"})
        posts = [self.receiver.next() for _ in range(3)]
        self.assertEqual([post["status"] for post in posts], [302, 429, 200])
        self.assertEqual({post["path"] for post in posts}, {"/hook"}, "nobody follows a redirection")
        self.assertEqual(len({post["headers"]["webhook-id"] for post in posts}), 1)
        self.assertEqual(json.loads(posts[-1]["body"])["record_id"], deal["id"])
        self.assertEqual(verify(hook["secret"], posts[-1]), "good")
        delivery = eventually(lambda: (d := self.admin.get(f"/v1/deliveries/{posts[0]['headers']['webhook-id']}"))["status"] == "DELIVERY_STATUS_DELIVERED" and d, PATIENCE)
        self.assertEqual((delivery["attempt_count"], delivery["error"]), (3, ""))
        # Replayed, it is the same one once more.
        self.admin.post(f"/v1/deliveries/{delivery['id']}:replay")
        self.assertEqual(self.receiver.next()["headers"]["webhook-id"], delivery["id"])

    def test_nothing_is_lost_when_the_service_dies_or_redis_is_emptied(self):
        self.hook(["contact.created"])
        made = []
        for i in range(20):
            made.append(self.admin.post("/v1/contacts", {"given_name": f"C{i}"})["id"])
            if i == 5:
                self.stack.kill("messaging")
            if i == 10:
                self.stack.empty_redis()
                self.stack.start("messaging")
        told, ids = set(), set()
        while told != set(made):
            post = self.receiver.next()
            told.add(json.loads(post["body"])["record_id"])
            ids.add(post["headers"]["webhook-id"])
        self.assertEqual(len(ids), 20, "one delivery each, however often it was posted")

    def test_a_rotated_secret_signs_beside_the_former_one(self):
        hook = self.hook(["company.created"])
        rotated = self.admin.post(f"/v1/webhooks/{hook['id']}:rotateSecret")
        self.assertNotEqual(rotated["secret"], hook["secret"])
        self.admin.post("/v1/companies", {"name": "Northwind"})
        post = self.receiver.next()
        self.assertEqual((verify(hook["secret"], post), verify(rotated["secret"], post)), ("good", "good"))
        self.admin.post(f"/v1/webhooks/{hook['id']}:test")
        self.assertEqual(json.loads(self.receiver.next()["body"])["type"], "webhook.test")

    def test_one_that_only_fails_is_switched_off_and_told_of(self):
        hook = self.hook(["contact.created"])
        self.receiver.answers = [(503, {})] * 50
        first = self.admin.post("/v1/contacts", {"given_name": "One"})
        off = eventually(lambda: (h := self.admin.get(f"/v1/webhooks/{hook['id']}")) and not h["enabled"] and h, PATIENCE)
        self.assertIn("503", off["disable_reason"])
        told = eventually(lambda: [n for n in self.admin.get("/v1/notifications")["notifications"] if "Shop" in n["title"]], PATIENCE)
        self.assertIn("503", told[0]["text"])
        second = self.admin.post("/v1/contacts", {"given_name": "Two"})  # while it is off
        failed = eventually(lambda: len(d := self.admin.get("/v1/deliveries", filter="status = DELIVERY_STATUS_FAILED")["deliveries"]) == 2 and d, PATIENCE)
        self.assertEqual({d["record_id"] for d in failed}, {first["id"], second["id"]})
        self.assertFalse(self.admin.call("POST", f"/v1/webhooks/{hook['id']}:replay", {"from_time": "2020-01-01T00:00:00Z"}).ok)
        self.receiver.answers = []
        self.admin.patch(f"/v1/webhooks/{hook['id']}", {"enabled": True})
        replay = (f"/v1/webhooks/{hook['id']}:replay", {"from_time": "2020-01-01T00:00:00Z"}, {"Idempotency-Key": "replay"})
        self.assertEqual(self.admin.post(*replay)["delivery_count"], 2)
        good = {json.loads(self.receiver.next(lambda p: p["status"] == 200)["body"])["record_id"] for _ in range(2)}
        self.assertEqual(good, {first["id"], second["id"]})
        # Repeated under its key it is answered as before, and nothing is posted again.
        self.assertEqual(self.admin.post(*replay)["delivery_count"], 2)
        again = (f"/v1/deliveries/{failed[0]['id']}:replay", {}, {"Idempotency-Key": "replay-one"})
        before = eventually(lambda: (d := self.admin.get(f"/v1/deliveries/{failed[0]['id']}"))["status"] == "DELIVERY_STATUS_DELIVERED" and d, PATIENCE)
        made = self.admin.post(*again)
        self.assertEqual((made["status"], made["attempt_count"]), ("DELIVERY_STATUS_PENDING", 0))
        self.receiver.next(lambda p: p["status"] == 200)
        done = eventually(lambda: (d := self.admin.get(f"/v1/deliveries/{before['id']}"))["status"] == "DELIVERY_STATUS_DELIVERED" and d, PATIENCE)
        self.assertEqual(self.admin.post(*again), made)
        sign = self.admin.post("/v1/contacts", {"given_name": "Three"})
        self.assertEqual(json.loads(self.receiver.next()["body"])["record_id"], sign["id"], "something was posted again before it")
        self.assertEqual(self.admin.get(f"/v1/deliveries/{before['id']}")["etag"], done["etag"])

    def test_gone_is_gone(self):
        hook = self.hook(["contact.created"])
        self.receiver.answers = [(410, {})]
        self.admin.post("/v1/contacts", {"given_name": "One"})
        eventually(lambda: not self.admin.get(f"/v1/webhooks/{hook['id']}")["enabled"], PATIENCE)

    def test_addresses_inside_are_refused(self):
        for url in ("https://10.0.0.1/", "https://169.254.169.254/latest/meta-data", "http://example.com/", "https://[::1]/", "https://user:pw@example.com/", "ftp://example.com/"):
            answer = self.admin.call("POST", "/v1/webhooks", {"name": "x", "url": url, "event_types": ["*"], "enabled": True})
            self.assertEqual(answer.status, 400, url)
        for types in (["deal"], ["*.*"], ["deal.moved "], ["Deal.moved"]):
            self.assertEqual(self.admin.call("POST", "/v1/webhooks", {"name": "x", "url": "https://example.com/", "event_types": types}).status, 400, types)
        # A name that leads inside is found out when it is posted to.
        hook = self.admin.post("/v1/webhooks", {"name": "x", "url": "https://localhost:1/", "event_types": ["contact.created"], "enabled": True})
        self.admin.post("/v1/contacts", {"given_name": "One"})
        failed = eventually(lambda: [d for d in self.admin.get("/v1/deliveries", filter=f'webhook_id = "{hook["id"]}"')["deliveries"] if d["error"]], PATIENCE)
        self.assertEqual(failed[0]["response_status"], 0)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + ["-v"] + sys.argv[1:])
