#!/usr/bin/env python3
"""Tokens that nobody gave out (forgeries.py), at every rpc and every surface: refused, all in the same words, whatever else is right. Each run
shows each forgery to each service at each surface, and each rpc some of them, by a seed that is printed (CRM_SEED repeats it); CRM_LONG=1
shows every one to every rpc."""

import json
import os
import random
import re
import subprocess
import tempfile
import time
import unittest
from pathlib import Path

from callers import OURS, RIGHT_MISSING, TOKEN_REFUSED, Findings, World, bearer
from forgeries import Forger
from rpcs import Method, Result, base64url, claims_of, parallel
from stack import PASSWORD, eventually

FORGERIES_LEAST = 60
EACH = 2  # forgeries that an rpc meets at each surface in an ordinary run, beside the services' examples


def setUpModule():
    global world, stack, zebra, gnu, seed
    seed = int(os.environ.get("CRM_SEED") or random.randrange(10**6))
    print(f"seed {seed}: CRM_SEED={seed} repeats this run", flush=True)
    world = World()
    stack = world.stack
    zebra, gnu = world.tenant("zebra"), world.tenant("gnu")


def lower(headers: dict) -> dict | None:
    """For the services' own addresses, from the gateway on behalf of somebody unknown; None for what stands beside a cookie, which they do
    not know, and for a tab, which HTTP/2 does not carry."""
    found: dict = {}
    for name, value in headers.items():
        found[name.lower()] = [found[name.lower()], value] if name.lower() in found else value
    if "cookie" in found or any("\t" in str(value) for value in headers.values()):
        return None
    return found if "authorization" in found else found | {"crm-anonymous": "1"}


class TokensTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.claims = claims_of(zebra.admin.token)
        cls.forger = Forger(world.mint, cls.claims, claims_of(gnu.admin.token), Path(folder.name))
        cls.requests = {method.name: zebra.make(method) for method in world.catalogue.methods}
        answer = stack.api().call("POST", "/v1/sessions", {"login": zebra.admin.login, "password": PASSWORD, "cookie": True})
        cls.cookie = answer.headers["set-cookie"].split(";")[0].partition("=")[2]
        cls.csrf = answer.body["csrf_token"]
        session = stack.api().post("/v1/sessions", {"login": zebra.admin.login, "password": PASSWORD})
        cls.secrets = {"a refresh token": session["refresh_token"], "a CSRF token": cls.csrf, "a user's id": zebra.admin.user_id,
                       "a tenant's id": zebra.admin.tenant_id, "a password": PASSWORD.replace(" ", "")}

    def shown(self, callers: dict[str, dict], wanted: tuple[str, str] = TOKEN_REFUSED) -> None:
        """Each of these to each service at each surface; each rpc gets some."""
        dice = random.Random(seed)
        names = sorted(callers)
        examples = {world.one_right_rpc(service).name for service in world.catalogue.services}
        items: list[tuple[Method, str, str, str]] = []
        for method, service in world.catalogue.walked:
            if method.who == "public":
                continue
            surfaces = ["gRPC"] + (world.surfaces(method) if service == world.catalogue.services_of(method)[0] else [])
            for surface in surfaces:
                every = os.environ.get("CRM_LONG") or method.name in examples
                items += [(method, service, surface, name) for name in (names if every else dice.sample(names, EACH))]
        findings, seen, asked = Findings(), set(), 0

        def ask(item) -> Result | None:
            method, service, surface, name = item
            if surface != "gRPC":
                return world.ask(surface, method, self.requests[method.name], callers[name])
            headers = lower(callers[name])
            return headers and world.native.call(method, service, self.requests[method.name], headers)

        for (method, service, surface, name), result in zip(items, parallel(ask, items)):
            if result is None:
                continue
            where = f"{service}: {method} by {surface} with {name}"
            findings.expect((result.code, result.reason) == wanted, where, f"{result}, must be {wanted}")
            findings.expect(result.code not in OURS, where, str(result))
            findings.expect(self.forger.good[:40] not in result.text, where, "the answer shows the token")
            seen.add(name)
            asked += 1
        self.assertEqual(seen, set(callers))
        findings.done(self, len(names) * len(world.catalogue.services))
        print(f"  {len(names)} ways, {asked} answers", flush=True)

    def test_the_good_token_is_good(self):
        """Else the forgeries would be refused for the way that they are made."""
        for service in world.catalogue.services:
            method = world.one_right_rpc(service)
            request = self.requests[method.name]
            for name, headers in ({"as it is": bearer(self.forger.good)} | self.forger.accepted()).items():
                results = {surface: world.ask(surface, method, request, headers) for surface in world.surfaces(method)}
                if native := lower(headers):
                    results["gRPC"] = world.native.call(method, service, request, native)
                self.assertEqual({surface: str(result) for surface, result in results.items() if not result.ok}, {}, f"{method}, {name}")
            self.assertTrue(world.ask(world.surfaces(method)[0], method, request, {"Cookie": f"crm_session={self.cookie}"}).ok, "the cookie is good")

    def test_forgeries(self):
        tokens = self.forger.tokens() | self.secrets | {"a key that nobody has given out": "crm_" + "a" * 60, "a key too short": "crm_a"}
        self.assertGreaterEqual(len(tokens), FORGERIES_LEAST)
        self.shown({name: bearer(token) for name, token in tokens.items()})

    def test_presentations(self):
        self.shown(self.forger.presented(self.cookie))

    def test_public_rpcs_take_no_account_of_them(self):
        """Signing in must be possible with an old token at hand; nobody becomes somebody by a bad one."""
        findings = Findings()
        methods = [(method, service) for method, service in world.catalogue.walked if method.who == "public"]
        for method, service in methods:
            for surface, result in world.probe(method, service, self.requests[method.name], bearer("not.a.token")).items():
                findings.expect(result.code not in OURS and result.reason != "RIGHT_MISSING", f"{service}: {method} by {surface}", str(result))
        findings.done(self, len(methods))

    def test_signed_but_of_another_tenant(self):
        """Even our own signature makes no rights: another tenant's roles grant nothing, a tenant that never was has none."""
        never = re.sub(r"_.*", "_" + zebra.admin.tenant_id[-26:][0] + zebra.admin.tenant_id[-25:][::-1].translate(str.maketrans("ilou", "jmpv")), zebra.admin.tenant_id)
        tokens = {"another tenant's id": world.token(self.claims, tid=gnu.admin.tenant_id), "another tenant's roles": world.token(self.claims, roles=claims_of(gnu.admin.token)["roles"]),
                  "a tenant that never was": world.token(self.claims, tid=never)}
        findings = Findings()
        items = [(method, service, name) for method, service in world.catalogue.walked if method.who == "right" for name in tokens]
        for (method, service, name), result in zip(items, parallel(lambda item: world.native.call(item[0], item[1], self.requests[item[0].name], bearer(tokens[item[2]])), items)):
            findings.expect((result.code, result.reason) == RIGHT_MISSING, f"{service}: {method} with {name}", str(result))
        findings.done(self, len(items) - 1)

    def test_keys_of_other_makes(self):
        """API keys: changed, cut, expired, deleted; at the edge and at a service's own address."""
        role = world.role(zebra, "robot", world.everything())
        key = zebra.admin.post("/v1/apiKeys", {"name": "robot", "role_ids": [role]})
        gone = zebra.admin.post("/v1/apiKeys", {"name": "gone", "role_ids": [role]})
        zebra.admin.delete(f"/v1/apiKeys/{gone['id']}")
        secret = key["secret"]
        method = world.one_right_rpc("contact")
        self.assertTrue(all(result.ok for result in world.probe(method, "contact", self.requests[method.name], bearer(secret)).values()))
        bad = {"changed": secret[:-1] + ("A" if secret[-1] != "A" else "B"), "cut": secret[:-1], "longer": secret + "A", "in capitals": secret.upper(), "its prefix": secret.split("_")[0] + "_",
               "its id": key["id"], "deleted": gone["secret"], "without its prefix": secret.removeprefix("crm_"), "twice": f"{secret},{secret}", "with a wildcard": secret[:-4] + "%%%%"}
        self.shown({name: bearer(value) for name, value in bad.items()})

    def test_a_key_that_is_rotated(self):
        """A second key joins the set and signs; then it leaves, and what it has signed is worth nothing at every service."""
        file = stack.instance.secret("jwks.json")
        before = file.read_text()
        key = self.forger.key("ed25519")
        jwk = json.loads(before)["keys"][0] | {"kid": "second", "x": self.public_x(key)}
        header = world.mint.header | {"kid": "second"}
        now = int(time.time())
        token = world.mint.token(self.claims | {"iat": now, "exp": now + 600}, header, key)

        def asked() -> list[Result]:
            return [result for service in world.catalogue.services for method in [world.one_right_rpc(service)]
                    for result in world.probe(method, service, self.requests[method.name], bearer(token)).values()]
        self.assertTrue(all((result.code, result.reason) == TOKEN_REFUSED for result in asked()))
        file.write_text(json.dumps({"keys": [*json.loads(before)["keys"], jwk]}))
        self.addCleanup(file.write_text, before)
        eventually(lambda: all(result.ok for result in asked()), 20, "the second key is known everywhere")
        file.write_text(before)
        eventually(lambda: all((result.code, result.reason) == TOKEN_REFUSED for result in asked()), 20, "the second key is forgotten everywhere, kept tokens too")

    def public_x(self, key: Path) -> str:
        return base64url(subprocess.run(["openssl", "pkey", "-in", key, "-pubout", "-outform", "DER"], stdout=subprocess.PIPE, check=True).stdout[-32:])


if __name__ == "__main__":
    unittest.main(verbosity=2, warnings="ignore")
