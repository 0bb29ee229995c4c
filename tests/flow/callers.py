"""A system, tenants in it and callers of every kind, for tests of who may do what: what must come out of a call follows from the rpc's
access option alone."""

import json
import re
import time
import unittest
from collections import Counter

from rpcs import TYPE_ID, Catalogue, Http, Method, Mint, Native, Result, Tenant, claims_of, everything
from stack import Stack

SHOWN = 40  # failures listed
UNLIMITED = {"gateway": {"gateway": {"rate_per_second": 1_000_000, "public_per_minute": 1_000_000}}}
OURS = {"INTERNAL", "UNKNOWN", "DATA_LOSS", "UNAVAILABLE", "DEADLINE_EXCEEDED"}  # never the answer to a question of rights
TOKEN_REFUSED = ("UNAUTHENTICATED", "TOKEN_INVALID")
RIGHT_MISSING = ("PERMISSION_DENIED", "RIGHT_MISSING")


class World:
    """One system, until the module's tests are done."""

    def __init__(self, changes: dict | None = None):
        self.stack = Stack(changes=UNLIMITED | (changes or {}))
        self.stack.__enter__()
        unittest.addModuleCleanup(self.stack.close)
        self.catalogue, self.mint = Catalogue(self.stack), Mint(self.stack)
        self.native = Native(self.catalogue, self.stack)
        unittest.addModuleCleanup(self.native.close)

    def tenant(self, mark: str) -> Tenant:
        """One that has learned what each rpc needs, so that what is asked of it is otherwise valid."""
        tenant = Tenant(self.stack, self.catalogue, mark)
        for method in self.catalogue.methods:
            if method.http and not self.ends_session(method):
                tenant.settle(method, fresh=True)
        return tenant

    def ends_session(self, method: Method) -> bool:
        return not method.reads and any("session" in prefixes for prefixes in self.catalogue.id_fields(method).values())

    def takes_secret(self, method: Method) -> bool:
        """Its own answer to a wrong secret is UNAUTHENTICATED as well."""
        return any(re.search("(secret|password|token)$", field["name"]) and field["name"] != "page_token" for field in self.catalogue.fields(method.input))

    def token(self, claims: dict, **changes) -> str:
        """Signed with the system's own key, good for ten minutes."""
        now = int(time.time())
        return self.mint.token(claims | {"iat": now, "exp": now + 600} | changes)

    def role(self, tenant: Tenant, name: str, grants: list[dict], personal_data: bool = True) -> str:
        return tenant.admin.post("/v1/roles", {"name": f"{name} {time.monotonic_ns()}", "grants": grants, "personal_data": personal_data})["id"]

    def user(self, tenant: Tenant, name: str, role_ids: list[str], **more) -> str:
        return tenant.admin.post("/v1/users", {"email": f"{name.replace(' ', '.')}.{time.monotonic_ns()}@{tenant.mark}.example.com", "given_name": name,
                                               "role_ids": role_ids} | more)["id"]

    def signed(self, tenant: Tenant, user: str, role_ids: list[str], **claims) -> str:
        """A token of this user, dated past what has just been changed about them."""
        return self.token(claims_of(tenant.admin.token), sub=user, roles=role_ids, iat=int(time.time()) + 15, **claims)

    def probe(self, method: Method, service: str, request: dict, headers: dict, **more) -> dict[str, Result]:
        """The rpc at each surface that has it."""
        found = {"gRPC": self.native.call(method, service, request, headers, **more)}
        if method.http and not more and service == self.catalogue.services_of(method)[0]:
            for surface in self.surfaces(method):
                found[surface] = self.ask(surface, method, request, headers)
        return found

    def surfaces(self, method: Method) -> list[str]:
        """Of the edge."""
        return [f"{route['method']} {route['path']}" for route in method.http] + ["Connect", "gRPC-Web"] if method.http else []

    def ask(self, surface: str, method: Method, request: dict, headers: dict) -> Result:
        """At one of those."""
        http = Http(self.stack.instance.url, headers)
        if surface == "Connect":
            return http.connect(method, request)
        if surface == "gRPC-Web":
            return http.grpc_web(method, request)
        return http.call(method, request, self.surfaces(method).index(surface))

    def one_right_rpc(self, service: str) -> Method:
        """An rpc of the service that needs a right and harms nobody: what "everywhere" is looked at by."""
        return next(method for method in self.catalogue.methods if method.who == "right" and method.reads and not method.streams and method.http
                    and self.catalogue.services_of(method) == [service] and method.http[0]["method"] == "GET")

    def everything(self, **more) -> list[dict]:
        return everything(self.catalogue, **more)


class Findings:
    """Everything that is wrong, at once."""

    def __init__(self):
        self.wrong: list[str] = []
        self.count = Counter()

    def expect(self, holds: bool, where: str, text: str) -> None:
        self.count["asked"] += 1
        if not holds:
            self.wrong.append(f"{where}: {text}")

    def done(self, test: unittest.TestCase, at_least: int) -> None:
        if self.wrong:
            test.fail("\n".join([f"{len(self.wrong)} of {self.count['asked']} answers are wrong:", *self.wrong[:SHOWN]]))
        test.assertGreater(self.count["asked"], at_least, "fewer answers than rpcs: the walk has lost its way")


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


def shown_ids(body) -> set[str]:
    return {f"{prefix}_{rest}" for prefix, rest in TYPE_ID.findall(json.dumps(body))}
