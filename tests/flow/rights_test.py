#!/usr/bin/env python3
"""Who may do what: every rpc that the descriptors know, with every kind of caller, through the edge and at the service's own address.
What must come out follows from the rpc's access option alone; a new rpc is walked without touching this file."""

import json
import re
import subprocess
import tempfile
import time
import unittest
from collections import Counter
from pathlib import Path

from rpcs import (TYPE_ID, Catalogue, Http, Method, Mint, Native, Recipe, Result, Tenant, as_http, base64url, calm, claims_of, everything, fingerprint, first_refusal,
                  parallel, tenant_uuid)
from stack import PASSWORD, Stack, eventually

BITE_SECONDS = 5.0
SHOWN = 40  # failures listed
UNLIMITED = {"gateway": {"gateway": {"rate_per_second": 1_000_000, "public_per_minute": 1_000_000}}}
OURS = {"INTERNAL", "UNKNOWN", "DATA_LOSS", "UNAVAILABLE", "DEADLINE_EXCEEDED"}  # never the answer to a question of rights
TOKEN_REFUSED = ("UNAUTHENTICATED", "TOKEN_INVALID")
RIGHT_MISSING = ("PERMISSION_DENIED", "RIGHT_MISSING")


def setUpModule():
    global stack, catalogue, mint, native, zebra, gnu
    stack = Stack(changes=UNLIMITED)
    stack.__enter__()
    unittest.addModuleCleanup(stack.close)
    catalogue, mint = Catalogue(stack), Mint(stack)
    native = Native(catalogue, stack)
    unittest.addModuleCleanup(native.close)
    zebra, gnu = Tenant(stack, catalogue, "zebra"), Tenant(stack, catalogue, "gnu")
    for method in catalogue.methods:  # learn what each needs, so that everything below is otherwise valid
        if method.http and not ends_session(method):
            zebra.settle(method, fresh=True)
            gnu.settle(method, fresh=True)


def ends_session(method: Method) -> bool:
    return not method.reads and any("session" in prefixes for prefixes in catalogue.id_fields(method).values())


def takes_secret(method: Method) -> bool:
    """Its own answer to a wrong secret is UNAUTHENTICATED as well."""
    return any(re.search("(secret|password|token)$", field["name"]) and field["name"] != "page_token" for field in catalogue.fields(method.input))


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


def user_token(claims: dict, **changes) -> str:
    now = int(time.time())
    return mint.token(claims | {"iat": now, "exp": now + 600} | changes)


def role(name: str, grants: list[dict], personal_data: bool = True) -> str:
    return zebra.admin.post("/v1/roles", {"name": f"{name} {time.monotonic_ns()}", "grants": grants, "personal_data": personal_data})["id"]


def new_user(name: str, role_ids: list[str], **more) -> str:
    return zebra.admin.post("/v1/users", {"email": f"{name.replace(' ', '.')}.{time.monotonic_ns()}@zebra.example.com", "given_name": name, "role_ids": role_ids} | more)["id"]


def probe(method: Method, service: str, request: dict, headers: dict[str, str], **more) -> dict[str, Result]:
    """The rpc at each surface that has it."""
    found = {"gRPC": native.call(method, service, request, headers, **more)}
    if method.http and not more and service == catalogue.services_of(method)[0]:
        for number, route in enumerate(method.http):
            found[f"{route['method']} {route['path']}"] = Http(stack.instance.url, headers).call(method, request, number)
        found["Connect"] = Http(stack.instance.url, headers).connect(method, request)
        found["gRPC-Web"] = Http(stack.instance.url, headers).grpc_web(method, request)
    return found


def one_right_rpc(service: str) -> Method:
    """An rpc of the service that needs a right and harms nobody: what "bites everywhere" is looked at by."""
    return next(method for method in catalogue.methods if method.who == "right" and method.reads and not method.streams and method.http
                and catalogue.services_of(method) == [service] and method.http[0]["method"] == "GET")


class AccessTest(unittest.TestCase):
    """Every rpc x every caller."""

    @classmethod
    def setUpClass(cls):
        cls.claims = claims_of(zebra.admin.token)
        cls.requests = {method.name: zebra.make(method) for method in catalogue.methods}

    def walk(self, callers: dict[str, dict], judge, at_least: int | None = None, only=lambda method: True, **more) -> None:
        findings = Findings()
        items = [(method, service, who, headers) for method, service in catalogue.walked if only(method) for who, headers in callers.items()]

        def ask(item):
            method, service, who, headers = item
            return item, probe(method, service, self.requests[method.name], headers(method) if callable(headers) else headers, **more)

        for (method, service, who, _), results in parallel(ask, items):
            for surface, result in results.items():
                where = f"{service}: {method} by {surface} as {who}"
                findings.expect(result.code not in OURS, where, str(result))
                wrong = judge(method, result)
                findings.expect(not wrong, where, f"{result}; {wrong}")
        findings.done(self, len(items) if at_least is None else at_least)

    def test_the_walk_covers_every_rpc(self):
        walked = {method.name for method, _ in catalogue.walked}
        self.assertEqual(walked, {method.name for method in catalogue.methods})
        self.assertEqual([str(method) for method in catalogue.methods if not method.who], [], "rpcs that do not say who may call them")
        self.assertEqual({service for _, service in catalogue.walked}, set(catalogue.services))

    def test_requests_are_otherwise_valid(self):
        """As administrator nearly everything is accepted; what is not has got past every check of rights and form."""
        findings = Findings()
        accepted = 0
        routed = [method for method in catalogue.methods if method.http and method.who != "public"]
        for method in routed:
            if ends_session(method):
                continue
            result, request = zebra.settle(method, fresh=True)
            accepted += result.ok
            reached = result.ok or result.code in ("FAILED_PRECONDITION", "ALREADY_EXISTS", "ABORTED") or any("password" in field for field in result.fields)
            findings.expect(reached, str(method), f"{result} to {json.dumps(request)[:300]}")
        findings.done(self, 80)
        self.assertGreater(accepted, 0.8 * len(routed))

    def test_without_a_token(self):
        def judge(method: Method, result: Result) -> str:
            if method.who == "public":
                return "nobody's rights are asked for here" if result.reason in ("RIGHT_MISSING",) else ""
            return "" if (result.code, result.reason) == TOKEN_REFUSED else f"must be {TOKEN_REFUSED}"
        self.walk({"nobody": {"crm-anonymous": "1"}}, judge)

    def test_tokens_that_are_none(self):
        parts = zebra.admin.token.split(".")
        other_key = tempfile.NamedTemporaryFile(suffix=".pem")
        subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", other_key.name], check=True)
        now = int(time.time())
        grown = base64url(json.dumps(self.claims | {"sub": gnu.admin.user_id, "tid": gnu.admin.tenant_id}).encode())
        fresh = {"iat": now, "exp": now + 600}
        callers = {
            "garbage": bearer("not.a.token"),
            "an empty token": {"authorization": "Bearer "},
            "another scheme": {"authorization": "Basic YWRtaW46YWRtaW4="},
            "a key that nobody has given out": bearer("crm_" + "a" * 60),
            "expired": bearer(user_token(self.claims, iat=now - 1200, exp=now - 60)),
            "of the future": bearer(user_token(self.claims, iat=now + 600, exp=now + 1200)),
            "a broken signature": bearer(".".join([*parts[:2], ("A" if parts[2][0] != "A" else "B") + parts[2][1:]])),
            "no signature": bearer(".".join([*parts[:2], ""])),
            "another key": bearer(mint.token(self.claims | fresh, key=Path(other_key.name))),
            "changed claims": bearer(".".join([parts[0], grown, parts[2]])),
            "alg none": bearer(base64url(b'{"alg":"none","typ":"at+jwt"}') + "." + parts[1] + "."),
            "another audience": bearer(mint.token(self.claims | fresh | {"aud": "shop"})),
            "another issuer": bearer(mint.token(self.claims | fresh | {"iss": "shop"})),
            "a life too long": bearer(user_token(self.claims, exp=now + 30 * 86400)),
        }

        def judge(method: Method, result: Result) -> str:
            if method.who == "public":
                return "nobody's rights are asked for here" if result.reason == "RIGHT_MISSING" else ""
            return "" if (result.code, result.reason) == TOKEN_REFUSED else f"must be {TOKEN_REFUSED}"
        # Public writes (a sign-up, say) are done by each of them: one is enough.
        self.walk({"garbage": callers["garbage"]}, judge)
        self.walk(callers, judge, only=lambda method: method.who != "public")

    def test_a_role_without_the_right(self):
        granted_but = {right: role(f"all but {' '.join(right)}", everything(catalogue, but=right)) for right in catalogue.rights()}
        somebody = new_user("somebody", [])
        now = int(time.time())
        tokens = {right: user_token(self.claims, sub=somebody, sid=self.claims["sid"], roles=[role_id], iat=now + 15) for right, role_id in granted_but.items()}
        # The same token must be good for something, or it would be refused for another reason.
        for right, token in tokens.items():
            other = next(method for method in catalogue.methods if method.who == "right" and method.right != right and method.reads and method.http)
            self.assertNotIn((Http(stack.instance.url, bearer(token)).call(other, self.requests[other.name])).code, ("UNAUTHENTICATED", "PERMISSION_DENIED"))

        def judge(method: Method, result: Result) -> str:
            object_, action = method.right
            name = f"{object_}.{action.removeprefix('ACTION_').lower()}"
            return "" if (result.code, result.reason, result.metadata.get("right")) == (*RIGHT_MISSING, name) else f"must be PERMISSION_DENIED, naming {name}"
        self.walk({"all rights but this": lambda method: bearer(tokens[method.right])}, judge, only=lambda method: method.who == "right")

    def test_no_role_at_all(self):
        somebody = new_user("nobody", [])
        token = user_token(self.claims, sub=somebody, roles=[], iat=int(time.time()) + 15)

        def judge(method: Method, result: Result) -> str:
            if method.who in ("right", "service"):
                return "" if (result.code, result.reason) == RIGHT_MISSING else f"must be {RIGHT_MISSING}"
            return "it needs no role" if result.reason == "TOKEN_INVALID" and method.who == "signed_in" else ""
        self.walk({"a user without roles": bearer(token)}, judge, only=lambda method: method.who != "public")

    def test_a_users_token_where_only_services_may(self):
        def judge(method: Method, result: Result) -> str:
            return "" if (result.code, result.reason) == RIGHT_MISSING else f"must be {RIGHT_MISSING}"
        self.walk({"an administrator": bearer(zebra.admin.token), "an administrator who claims to be a service":
                   bearer(zebra.admin.token) | {"crm-tenant": zebra.admin.tenant_id}}, judge, only=lambda method: method.who == "service")

    def test_a_service_without_a_user(self):
        """Its certificate opens what is marked for services, and nothing else."""
        def judge(method: Method, result: Result) -> str:
            if method.who == "service":
                return "a service may" if result.code == "PERMISSION_DENIED" or (result.code == "UNAUTHENTICATED" and not takes_secret(method)) else ""
            if method.who == "public":
                return "everybody may" if result.reason == "RIGHT_MISSING" else ""
            if certificate in method.access.get("services", ()):
                return "this service may" if result.reason == "RIGHT_MISSING" else ""
            return "" if (result.code, result.reason) == RIGHT_MISSING else f"must be {RIGHT_MISSING}"
        named = {service for method in catalogue.methods for service in method.access.get("services", ())}
        for certificate in sorted(named | {"contact", "gateway"}):
            self.walk({f"the service {certificate}": {"crm-tenant": zebra.admin.tenant_id}}, judge, as_=certificate,
                      only=lambda method: method.name != "crm.identity.v1.TenantService.SignUp")

    def test_a_certificate_of_another_authority(self):
        folder = stack.instance.folder / "tls"
        for name in ("stranger",):
            subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1", "-subj", "/CN=gateway",
                            "-keyout", folder / f"{name}.key", "-out", folder / f"{name}.pem"], check=True, stderr=subprocess.DEVNULL)
        for service in catalogue.services:
            method = next(method for method in catalogue.methods if method.who == "service" and service in catalogue.services_of(method))
            result = native.call(method, service, zebra.make(method), {"crm-tenant": zebra.admin.tenant_id}, as_="stranger")
            self.assertEqual((result.code, result.reason), ("UNAVAILABLE", "UNAVAILABLE"), f"{service}: {result}")  # no connection at all

    def test_a_session_cookie_without_its_csrf_token(self):
        answer = stack.api().call("POST", "/v1/sessions", {"login": zebra.admin.login, "password": PASSWORD, "cookie": True})
        cookie = {"Cookie": answer.headers["set-cookie"].split(";")[0]}
        csrf = answer.body["csrf_token"]
        self.assertNotIn("cookie_secret", [key for key, value in answer.body.items() if value])
        findings = Findings()
        for method in catalogue.methods:
            for number, route in enumerate(method.http):
                if route["method"] == "GET" or method.who == "public":
                    continue
                for who, headers in {"without": cookie, "with a wrong": cookie | {"X-CSRF-Token": csrf[:-1] + ("A" if csrf[-1] != "A" else "B")}}.items():
                    result = Http(stack.instance.url, headers).call(method, self.requests[method.name], number)
                    findings.expect(result.reason == "CSRF_TOKEN_INVALID" and result.status == 403, f"{method} by cookie {who} CSRF token", str(result))
        findings.done(self, 60)
        self.assertTrue(Http(stack.instance.url, cookie | {"X-CSRF-Token": csrf}).raw("DELETE", "/v1/sessions/current").ok)


class ScopeTest(unittest.TestCase):
    """Rights for own and team records end at other people's records."""

    @classmethod
    def setUpClass(cls):
        teams = [zebra.admin.post("/v1/teams", {"name": f"{name} {time.monotonic_ns()}"})["id"] for name in ("sales", "service")]
        claims = claims_of(zebra.admin.token)
        cls.callers = {}
        cls.users = {}
        for scope, team in (("SCOPE_OWN", teams[0]), ("SCOPE_TEAM", teams[1])):
            role_id = role(f"everything {scope}", everything(catalogue, scope=scope))
            user = new_user(f"Scoped {scope}", [role_id], team_id=team)
            cls.users[scope] = user
            cls.callers[scope] = bearer(user_token(claims, sub=user, roles=[role_id], team=team, teams=[team], iat=int(time.time()) + 15))
        cls.owned = {prefix: zebra.id(prefix) for prefix in catalogue.records if catalogue.record(prefix).get("owned")}

    def test_anothers_record_is_not_there(self):
        findings = Findings()
        items = []
        for method, service in catalogue.walked:
            for path, prefixes in catalogue.id_fields(method).items():
                if method.who == "right" and path in method.variables and prefixes[0] in self.owned:
                    items += [(method, service, scope, headers) for scope, headers in self.callers.items()]

        def ask(item):
            method, service, _, headers = item
            return item, probe(method, service, zebra.make(method), headers)

        for (method, service, scope, _), results in parallel(ask, items):
            for surface, result in results.items():
                findings.expect((result.code, result.reason) == ("NOT_FOUND", "RECORD_NOT_FOUND"), f"{service}: {method} by {surface} with {scope}", str(result))
        findings.done(self, 40)

    def test_reads_never_show_anothers_record(self):
        """No list, search, lookup, board, reference or report names one."""
        findings = Findings()
        others = set(self.owned.values())
        for method, service in catalogue.walked:
            if not method.reads or method.who == "service":
                continue
            request = zebra.make(method)
            if method.name == "crm.type.v1.RefService.BatchGetRefs":
                request = {"ids": sorted(others)}
            for scope, headers in self.callers.items():
                for surface, result in probe(method, service, request, headers).items():
                    shown = {f"{prefix}_{rest}" for prefix, rest in TYPE_ID.findall(json.dumps(result.body))} if result.ok else set()
                    findings.expect(not shown & others, f"{service}: {method} by {surface} with {scope}", f"shows {sorted(shown & others)}")
                    findings.expect(result.code not in OURS, f"{service}: {method} by {surface} with {scope}", str(result))
        findings.done(self, 100)

    def test_nothing_is_made_in_anothers_name(self):
        findings = Findings()
        for prefix in self.owned:
            if prefix not in catalogue.makers:  # comes by letter, in nobody's name
                continue
            maker = catalogue.makers[prefix]
            body = maker.http[0]["body"]
            for scope, headers in self.callers.items():
                mine = probe(maker, catalogue.services_of(maker)[0], catalogue.with_value(maker, zebra.make(maker), f"{body}.owner_id", self.users[scope]), headers)
                others = probe(maker, catalogue.services_of(maker)[0], catalogue.with_value(maker, zebra.make(maker), f"{body}.owner_id", zebra.admin.user_id), headers)
                for surface in mine:
                    findings.expect(mine[surface].ok, f"{maker} by {surface} with {scope} for oneself", str(mine[surface]))
                    findings.expect(others[surface].code == "PERMISSION_DENIED", f"{maker} by {surface} with {scope} for another", str(others[surface]))
        findings.done(self, 10)


class ForeignIdsTest(unittest.TestCase):
    """An id of another tenant is as good as one that never was."""

    def test_every_id_field(self):
        before = calm(stack, gnu.admin.tenant_id)
        findings = Findings()
        items = []
        for method, service in catalogue.walked:
            if method.who == "service":
                continue
            for path, prefixes in catalogue.id_fields(method).items():
                for prefix in prefixes:
                    items.append((method, service, path, prefix))

        def ask(item):
            method, service, path, prefix = item
            foreign = gnu.id(prefix) if prefix in catalogue.makers else gnu.seen[prefix][0]
            unknown = prefix + "_" + "7zzzzzzzzzzzzzzzzzzzzzzzzz"[:1] + foreign[-25:][::-1].translate(str.maketrans("ilou", "jmpv"))
            answers = []
            for value in (foreign, unknown):
                # The same records are written by many of these at once: a lost race says nothing, nor does a state that another
                # has just put a record into (one that calls reminders off finds those whose deal_id is being tried).
                for turn in range(20):
                    request = catalogue.with_value(method, zebra.make(method, fresh=path not in method.variables), path, value)
                    mask = next((name for name, inner in request.items() if name == "update_mask"), None)
                    if mask and path not in method.variables:
                        request[mask] = path.split(".")[1]
                    results = probe(method, service, request, bearer(zebra.admin.token))
                    reasons = {first_refusal(result).reason for result in results.values()}
                    if "CONFLICT" not in reasons and (turn == 3 or "STATE_INVALID" not in reasons):
                        break
                answers.append((value, results))
            return item, answers

        soft = []
        for (method, service, path, prefix), ((foreign, theirs), (unknown, nobodys)) in parallel(ask, items):
            for surface in theirs:
                where = f"{service}: {method} by {surface}, {path} = another tenant's {prefix}"
                result, control = first_refusal(theirs[surface]), first_refusal(nobodys[surface])
                findings.expect(result.code not in OURS, where, str(result))
                findings.expect(alike(result, foreign) == alike(control, unknown), where, f"{result}, but for an id that never was: {control}")
                if result.ok:
                    text = json.dumps(result.body).replace(foreign, "")
                    findings.expect("gnu" not in text, where, f"shows another tenant's record: {text[:300]}")
                    # A reference across services is not looked up when it is written, and leads nowhere when it is read; one within the
                    # service, or in the address, must exist.
                    home = catalogue.home(prefix) or catalogue.home("pipeline" if prefix == "stage" else "user")
                    findings.expect(method.reads or method.who == "public" or (home != service and path not in method.variables), where,
                                    "is accepted although this service owns such records and could know")
                    soft.append((method, surface, path, foreign, result))
                else:
                    # ALREADY_EXISTS: another surface has made it; the reference leads to another service and was accepted there.
                    findings.expect(result.code in ("NOT_FOUND", "INVALID_ARGUMENT", "FAILED_PRECONDITION", "ALREADY_EXISTS"), where, str(result))
        findings.done(self, 150)
        self.assertEqual(fingerprint(stack, gnu.admin.tenant_id), before, "another tenant's rows have changed")
        self.leads_nowhere(soft)
        # Least of all can one tenant end what another's people are doing.
        [subjects] = zip(*stack.sql(f"select subject_id from identity.access_change where tenant_id <> '{tenant_uuid(gnu.admin.tenant_id)}'"))
        self.assertFalse({id_ for ids in gnu.seen.values() for id_ in ids} & set(subjects), "another tenant's sessions are ended")

    def leads_nowhere(self, soft) -> None:
        """Records that name another tenant's id show nothing of it when it is expanded."""
        findings = Findings()
        for method, surface, path, foreign, result in soft:
            if method.reads or surface == "gRPC" or not isinstance(result.body, dict):
                continue
            found = [record for record in (result.body, *(item.get(key) for item in result.body.get("results", []) for key in item))
                     if isinstance(record, dict) and TYPE_ID.fullmatch(str(record.get("id", "")))]
            for record in found:
                prefix = record["id"].rsplit("_", 1)[0]
                getter = next((one for one in catalogue.methods if one.output == catalogue.records.get(prefix) and one.reads and one.http), None)
                if not getter:
                    continue
                verb, address, _ = as_http(getter, getter.http[0], {getter.variables[0]: record["id"]})
                name = re.sub(r"_ids?$", "", path.split(".", 1)[-1].removeprefix("deal.").removeprefix("contact.").removeprefix("company.").removeprefix("product."))
                answer = zebra.http.raw(verb, f"{address}?expand={name}")
                if answer.ok:
                    findings.expect(foreign not in answer.body["refs"], f"{address}?expand={name}", f"shows another tenant's {foreign}")
        findings.done(self, 3)


class PersonalDataTest(unittest.TestCase):
    """Who may not see personal data sees none, wherever it stands."""

    SECRETS = ("305550177", "pii@pii.example.com", "Pii street", "pii_handle", "Pii Person", "1977-07-17")

    def test_no_read_shows_it(self):
        post = zebra.admin.post
        contact = post("/v1/contacts", {"given_name": "Visible", "birth_date": "1977-07-17", "phones": [{"number": "+49 30 5550177"}],
                                        "emails": [{"address": "pii@pii.example.com"}], "messengers": [{"kind": "telegram", "handle": "pii_handle"}],
                                        "addresses": [{"street": "Pii street 7", "city": "Berlin"}]})["id"]
        company = post("/v1/companies", {"name": "Visible limited", "phones": [{"number": "+49 30 5550177"}], "emails": [{"address": "pii@pii.example.com"}],
                                         "addresses": [{"street": "Pii street 7", "city": "Berlin"}]})["id"]
        lead = post("/v1/leads", {"title": "Visible", "name": "Pii Person", "phone": "+49 30 5550177", "email": "pii@pii.example.com"})["id"]
        user = post("/v1/users", {"email": "pii@pii.example.com", "given_name": "Visible", "phone": "+49305550177"})["id"]
        zebra.admin.patch(f"/v1/contacts/{contact}", {"phones": [{"number": "+49305550177", "label": "new"}]})  # stands in the history now
        role_id = role("reader without personal data", everything(catalogue), personal_data=False)
        reader = new_user("Reader", [role_id])
        headers = bearer(user_token(claims_of(zebra.admin.token), sub=reader, roles=[role_id], iat=int(time.time()) + 15))
        own = {"contact": contact, "company": company, "lead": lead, "user": user}

        questions = []
        for method, service in catalogue.walked:
            if not method.reads or method.who not in ("right", "signed_in") or method.short in ("RecountReports", "ListAccessChanges"):
                continue
            base = zebra.requests.make(method, zebra.recipes.get(method.name) or Recipe(), lambda prefix: own.get(prefix) or zebra.id(prefix))
            names = {field["name"] for field in catalogue.fields(method.input)}
            questions += [(method, service, base)]
            questions += [(method, service, base | {"query": query, "view": "VIEW_FULL"}) for query in ("visible", "+49305550177", "pii@pii.example.com") if "query" in names]
            if "external_id" in names:
                questions += [(method, service, {key: value}) for key, value in (("phone", "+49305550177"), ("email", "pii@pii.example.com")) if key in names]
            if method.short == "BatchGetRefs":
                questions += [(method, service, {"ids": sorted(own.values())})]
        findings, shown = Findings(), set()
        for (method, service, request), results in zip(questions, parallel(lambda question: probe(*question, headers), questions)):
            for surface, result in results.items():
                text = json.dumps(result.body, ensure_ascii=False)
                found = [secret for secret in self.SECRETS if secret in text]
                findings.expect(not found, f"{service}: {method} by {surface} {json.dumps(request)}", f"shows {found}")
                shown |= {id_ for id_ in own.values() if id_ in text}
        findings.done(self, 100)
        self.assertEqual(shown, set(own.values()), "the reads do not show the records")

    def test_nor_does_the_live_stream(self):
        role_id = role("listener without personal data", everything(catalogue), personal_data=False)
        reader = new_user("Listener", [role_id])
        token = user_token(claims_of(zebra.admin.token), sub=reader, roles=[role_id], iat=int(time.time()) + 15)
        with stack.api(token).events("/v1/events") as heard:
            contact = zebra.admin.post("/v1/contacts", {"given_name": "Visible", "phones": [{"number": "+49305550177"}], "emails": [{"address": "pii@pii.example.com"}]})["id"]
            heard.until(lambda event: event.body.get("id") == contact)
            self.assertEqual([event.data for event in heard.seen if any(secret in event.data for secret in self.SECRETS)], [])


class DerivedTest(unittest.TestCase):
    """A salesperson who may see only what is theirs cannot work out what a colleague does: whatever they ask for is the same before and
    after the colleague's best day. For who may see everything it is not."""

    QUERY = "whale"
    LOOSE = {"position", "stale", "time", "schema_version", "now"}  # how far projections have got, and clocks: no business of anybody's

    @classmethod
    def setUpClass(cls):
        cls.claims = claims_of(zebra.admin.token)
        cls.role_id = role("salesperson", everything(catalogue, scope="SCOPE_OWN"))
        cls.poor, cls.rich = new_user("Poor", [cls.role_id]), new_user("Rich", [cls.role_id])
        cls.poor_token = user_token(cls.claims, sub=cls.poor, roles=[cls.role_id], iat=int(time.time()) + 15)
        cls.everybody = zebra.admin.token
        # Something of their own, that they must go on seeing.
        cls.sale(cls.poor, "minnow", "1.11")

    @classmethod
    def sale(cls, owner: str, name: str, amount: str) -> dict[str, str]:
        """A contact, a company, a lead and a won deal of this owner; the ids."""
        post = zebra.admin.post
        made = {"company": post("/v1/companies", {"name": f"{name} limited", "owner_id": owner, "country_code": "NO"})["id"]}
        made["contact"] = post("/v1/contacts", {"given_name": name, "family_name": "Ahab", "company_id": made["company"], "owner_id": owner,
                                                "phones": [{"number": "+4930111222"}], "emails": [{"address": f"{name}@sea.example.com"}]})["id"]
        made["lead"] = post("/v1/leads", {"title": name, "name": name, "email": f"{name}@sea.example.com", "owner_id": owner})["id"]
        made["deal"] = post("/v1/deals", {"title": f"{name} deal", "source": name, "owner_id": owner, "contact_id": made["contact"], "company_id": made["company"],
                                          "lines": [{"name": "oil", "quantity": "1", "unit_price": {"amount": amount, "currency_code": "EUR"}}]})["id"]
        made["open deal"] = post("/v1/deals", {"title": f"{name} hope", "owner_id": owner, "amount": {"amount": amount, "currency_code": "EUR"}})["id"]
        won = next(stage["id"] for stage in zebra.admin.get(f"/v1/pipelines/{zebra.id('pipeline')}")["stages"] if stage["kind"] == "STAGE_KIND_WON")
        post(f"/v1/deals/{made['deal']}:move", {"stage_id": won})
        return made

    def questions(self) -> list[tuple[Method, dict]]:
        """Every read, plainly and with each value of each of its choices, narrowed to the colleague, and with each count."""
        found = []
        for method in catalogue.methods:
            if not method.reads or method.streams or not method.http or method.who not in ("right", "signed_in") or method.short == "RecountReports":
                continue
            base = zebra.make(method)
            variants = [base]
            for field in catalogue.fields(method.input):
                name = field["name"]
                if field["type"] == "enum":
                    variants += [base | {name: value} for value in catalogue.enums[field["enum"]][1:] if value != "COUNT_ESTIMATE"]
                elif name in ("owner_id", "user_id"):
                    variants.append(base | {name: self.rich})
                elif name == "query":
                    variants += [base | {"query": self.QUERY, "count": "COUNT_EXACT"}, base | {"query": "ahab", "count": "COUNT_EXACT", "page_size": 1}]
                elif name == "filter":
                    message = catalogue.messages[method.output]
                    [record] = [catalogue.messages[field["message"]] for field in message["fields"] if field.get("message") in catalogue.records.values()]
                    if record["record"].get("owned"):
                        variants.append(base | {"filter": f'owner_id = "{self.rich}"', "count": "COUNT_EXACT"})
                elif name == "external_id":
                    variants.append({"email": f"{self.QUERY}0@sea.example.com"})
            if method.short == "ComputeWorkingTime":  # from now on, if nothing is said
                variants = [variant | {"start_time": "2026-11-23T08:00:00Z"} for variant in variants]
            found += [(method, variant) for variant in variants]
        return found

    def answers(self, token: str) -> list[str]:
        http = Http(stack.instance.url, bearer(token))
        return [json.dumps(self.firm(result.body) if result.ok else [result.code, result.reason], sort_keys=True)
                for result in parallel(lambda question: http.call(*question), self.questions())]

    def firm(self, value):
        if isinstance(value, dict):
            return {name: self.firm(inner) for name, inner in value.items() if name not in self.LOOSE}
        return [self.firm(inner) for inner in value] if isinstance(value, list) else value

    def settled(self) -> None:
        """Until the projections have heard everything."""
        eventually(lambda: zebra.admin.post("/v1/reports:recount")["equal"], 20, "projections equal their recount")
        eventually(lambda: stack.value("select count(*) from deal_pipeline.outbox where seq is null") == "0", 20, "events are numbered")
        heads = "select max(seq) from deal_pipeline.outbox where tenant_id = '%s'" % tenant_uuid(zebra.admin.tenant_id)
        eventually(lambda: stack.value(heads) == stack.value("select seq from analytics.position where producer = 'deal_pipeline' and tenant_id = '%s'"
                                                             % tenant_uuid(zebra.admin.tenant_id)), 20, "analytics has heard every deal")

    def test_a_colleagues_best_day(self):
        self.settled()
        mine, all_ = self.answers(self.poor_token), self.answers(self.everybody)
        self.assertIn("1.11", "".join(mine), "they see their own revenue")
        with stack.api(self.poor_token).events("/v1/events") as heard, \
                stack.api(self.poor_token).events("/v1/reports/revenue:watch", group_by="GROUP_BY_EMPLOYEE") as watched:
            first = self.firm(watched.next().body)
            made = [self.sale(self.rich, f"{self.QUERY}{number}", "777777.77") for number in range(3)]
            self.settled()
            after_mine, after_all = self.answers(self.poor_token), self.answers(self.everybody)
            # Signs of their own end the wait: what was sent before them, in each service's lane, would have been heard by now.
            own = self.sale(self.poor, "minnow2", "2.22")
            waiting = {own["contact"], own["deal"], "report.changed"}
            while waiting:
                event = heard.next()
                waiting -= {event.body.get("id"), event.body.get("type")}
            others = {id_ for sale in made for id_ in sale.values()}
            self.assertEqual([event.data for event in heard.seen if others & {"_".join(id_) for id_ in TYPE_ID.findall(event.data)} or "777777" in event.data], [])
            self.assertEqual([event.data for event in heard.seen if event.body.get("type") == "report.changed"
                              and event.body["payload"]["deal_id"] != own["deal"]], [])
            totals = [event.body["total"]["revenue"][0]["amount"] for event in watched.seen]
            self.assertEqual(sorted(set(totals)), ["1.11"], f"the watched report shows a colleague's revenue, after {first}")
            watched.until(lambda event: event.body["total"]["revenue"][0]["amount"] == "3.33")
        findings = Findings()
        told = set()
        for (method, request), before, after, all_before, all_after in zip(self.questions(), mine, after_mine, all_, after_all):
            told |= {str(method)} if all_before != all_after else set()
            findings.expect(before == after, f"{method} {json.dumps(request)}", f"was {before[:400]}, is {after[:400]}")
            findings.expect("777777" not in after, f"{method} {json.dumps(request)}", "shows a colleague's sum")
        findings.done(self, 100)
        # The questions are good ones: whoever may see everything sees the difference by each of these kinds.
        for kind in ("GetRevenueReport", "GetFunnelReport", "GetEmployeeReport", "GetBoard", "ListDeals", "ListContacts", "ListCompanies", "ListLeads", "LookupContacts"):
            self.assertTrue(any(name.endswith(kind) for name in told), f"{kind} shows no difference even to an administrator")

    def test_estimates_and_references(self):
        made = self.sale(self.rich, "kraken", "888888.88")
        rows = [{"deal": {"title": f"kraken {number}", "owner_id": self.rich, "amount": {"amount": "5.00", "currency_code": "EUR"}},
                 "open_time": "2026-01-02T03:04:05Z"} for number in range(300)]
        self.assertTrue(all("error" not in result for result in zebra.admin.post("/v1/deals:import", {"deals": rows})["results"]))
        stack.sql("analyze deal_pipeline.deal")
        poor = stack.api(self.poor_token)
        self.assertGreater(zebra.admin.get("/v1/deals", count="COUNT_ESTIMATE")["total_size"], 250)
        self.assertLess(poor.get("/v1/deals", count="COUNT_ESTIMATE")["total_size"], 50, "the estimate counts what others own")
        # Their own deal may name the colleague's contact; that says nothing about who it is.
        deal = poor.post("/v1/deals", {"title": "mine", "contact_id": made["contact"], "company_id": made["company"]})
        self.assertEqual(poor.get(f"/v1/deals/{deal['id']}", expand="contact,company")["refs"], {})
        self.assertEqual(set(zebra.admin.get(f"/v1/deals/{deal['id']}", expand="contact,company")["refs"]), {made["contact"], made["company"]})
        paths = [f"/v1/deals/{made['deal']}", f"/v1/deals/{made['deal']}/revisions", f"/v1/deals/{made['deal']}/stageVisits", f"/v1/contacts/{made['contact']}"]
        for one in poor.post("/v1/batch", {"requests": [{"path": path} for path in paths]})["responses"]:
            self.assertEqual(one["status"], 404, one)
        for service in catalogue.services:
            [refs] = [method for method in catalogue.methods if method.name == "crm.type.v1.RefService.BatchGetRefs"]
            result = native.call(refs, service, {"ids": sorted(made.values())}, bearer(self.poor_token))
            self.assertEqual(result.body, {"refs": []} if result.ok else None, f"{service}: {result}")


def alike(result: Result, id_: str):
    """What an answer tells, whatever the id is called; of accepted ones only that they are."""
    if result.ok:
        return "OK"
    hidden = json.dumps([result.code, result.reason, result.text, result.fields, result.metadata]).replace(id_, "<id>")
    return re.sub(r"\d{6,}", "<n>", TYPE_ID.sub("<other id>", hidden))


class BiteTest(unittest.TestCase):
    """What is taken away is gone everywhere within five seconds."""

    def surfaces(self) -> list[tuple[str, Method]]:
        return [(service, one_right_rpc(service)) for service in catalogue.services]

    def ask(self, token: str) -> dict[str, Result]:
        found = {}
        for service, method in self.surfaces():
            for surface, result in probe(method, service, zebra.make(method), bearer(token)).items():
                found[f"{service} by {surface}"] = result
        return found

    def bites(self, what: str, token: str, change, wanted: tuple[str, str]) -> None:
        before = self.ask(token)
        self.assertEqual({where: str(result) for where, result in before.items() if not result.ok}, {}, "must work before")
        change()
        start = time.monotonic()
        eventually(lambda: all((result.code, result.reason) == wanted for result in self.ask(token).values()), BITE_SECONDS, f"{what} bites on every service")
        print(f"  {what} bit everywhere after {time.monotonic() - start:.1f} s", flush=True)

    def signed_in(self, name: str, grants: list[dict]) -> tuple[str, str, str]:
        """(user, role, access token) of a real sign-in."""
        role_id = role(name, grants)
        email = f"{name}@bite.example.com"
        user = zebra.admin.post("/v1/users", {"email": email, "given_name": name, "role_ids": [role_id], "password": PASSWORD})["id"]
        session = stack.api().post("/v1/sessions", {"login": email, "password": PASSWORD})
        return user, role_id, session["access_token"]

    def test_a_right_taken_from_a_role_and_given_back(self):
        user, role_id, token = self.signed_in("demoted", everything(catalogue))
        self.bites("a right taken from a role", token, lambda: zebra.admin.patch(f"/v1/roles/{role_id}", {"grants": []}), RIGHT_MISSING)
        zebra.admin.patch(f"/v1/roles/{role_id}", {"grants": everything(catalogue)})
        eventually(lambda: all(result.ok for result in self.ask(token).values()), BITE_SECONDS, "a right that is given counts everywhere")

    def test_a_role_taken_from_a_user(self):
        user, _, token = self.signed_in("reassigned", everything(catalogue))
        self.bites("a role taken from a user", token, lambda: zebra.admin.patch(f"/v1/users/{user}", {"role_ids": []}), TOKEN_REFUSED)

    def test_signing_out(self):
        _, _, token = self.signed_in("leaver", everything(catalogue))
        self.bites("signing out", token, lambda: stack.api(token).delete("/v1/sessions/current"), TOKEN_REFUSED)

    def test_suspension(self):
        user, _, token = self.signed_in("suspended", everything(catalogue))
        self.bites("suspension", token, lambda: zebra.admin.post(f"/v1/users/{user}:suspend"), TOKEN_REFUSED)
        refused = stack.api().call("POST", "/v1/sessions", {"login": "suspended@bite.example.com", "password": PASSWORD})
        self.assertIn(refused.status, (401, 403))
        self.walk_refused(token, "a suspended user")

    def test_a_deleted_key(self):
        role_id = role("robot", everything(catalogue))
        key = zebra.admin.post("/v1/apiKeys", {"name": "robot", "role_ids": [role_id]})
        service, method = self.surfaces()[0]
        http = Http(stack.instance.url, bearer(key["secret"]))
        self.assertTrue(http.call(method, zebra.make(method)).ok)
        zebra.admin.delete(f"/v1/apiKeys/{key['id']}")
        eventually(lambda: all(http.call(method, zebra.make(method)).reason == "TOKEN_INVALID" for _, method in self.surfaces()), BITE_SECONDS,
                   "a deleted key is refused")

    def test_a_live_stream_ends(self):
        _, _, token = self.signed_in("listener", everything(catalogue))
        with stack.api(token).events("/v1/events") as events:
            stack.api(token).delete("/v1/sessions/current")
            start = time.monotonic()
            end = events.until(lambda event: event.type == "error", BITE_SECONDS + 1)
            self.assertEqual(end.body["error"]["status"], "UNAUTHENTICATED")
            print(f"  a live stream ended after {time.monotonic() - start:.1f} s", flush=True)

    def walk_refused(self, token: str, who: str) -> None:
        """Every rpc refuses this token, not only the one that was looked at."""
        findings = Findings()
        walked = [(method, service) for method, service in catalogue.walked if method.who != "public"]
        for (method, service), results in zip(walked, parallel(lambda item: probe(*item, zebra.make(item[0]), bearer(token)), walked)):
            for surface, result in results.items():
                findings.expect((result.code, result.reason) == TOKEN_REFUSED, f"{service}: {method} by {surface} as {who}", str(result))
        findings.done(self, len(walked))


if __name__ == "__main__":
    unittest.main(verbosity=2, warnings="ignore")
