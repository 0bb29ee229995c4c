#!/usr/bin/env python3
"""Who may do what: every rpc that the descriptors know, with every kind of caller, through the edge and at the service's own address.
What must come out follows from the rpc's access option alone; a new rpc is walked without touching this file."""

import json
import os
import random
import re
import subprocess
import time
import unittest

from callers import OURS, RIGHT_MISSING, TOKEN_REFUSED, Findings, World, bearer, shown_ids
from rpcs import TYPE_ID, Http, Method, Recipe, Result, Tenant, as_http, calm, claims_of, fingerprint, first_refusal, parallel, tenant_uuid
from stack import PASSWORD, eventually


# Objects of rights that are no records' prefixes.
NO_RECORDS = {"api_key", "clock", "operation", "report"}


def setUpModule():
    global world, stack, catalogue, native, zebra, gnu, seed
    seed = int(os.environ.get("CRM_SEED") or random.randrange(10**6))
    print(f"seed {seed}: CRM_SEED={seed} repeats this run", flush=True)
    world = World()
    stack, catalogue, native = world.stack, world.catalogue, world.native
    zebra, gnu = world.tenant("zebra"), world.tenant("gnu")


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
            return item, world.probe(method, service, self.requests[method.name], headers(method) if callable(headers) else headers, **more)

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
            if world.ends_session(method):
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

    def test_a_role_without_the_right(self):
        granted_but = {right: world.role(zebra, f"all but {' '.join(right)}", world.everything(but=right)) for right in catalogue.rights()}
        somebody = world.user(zebra, "somebody", [])
        now = int(time.time())
        tokens = {right: world.token(self.claims, sub=somebody, sid=self.claims["sid"], roles=[role_id], iat=now + 15) for right, role_id in granted_but.items()}
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
        somebody = world.user(zebra, "nobody", [])
        token = world.token(self.claims, sub=somebody, roles=[], iat=int(time.time()) + 15)

        def judge(method: Method, result: Result) -> str:
            if method.who in ("right", "service"):
                return "" if (result.code, result.reason) == RIGHT_MISSING else f"must be {RIGHT_MISSING}"
            return "it needs no role" if result.reason == "TOKEN_INVALID" and method.who == "signed_in" else ""
        self.walk({"a user without roles": bearer(token)}, judge, only=lambda method: method.who != "public")

    def test_references_obey_the_right_to_their_kind(self):
        """The short form of a record is for whom the rpc that answers it whole would let in."""
        [refs] = [method for method in catalogue.methods if method.name == "crm.type.v1.RefService.BatchGetRefs"]
        getters = {prefix: [method for method in catalogue.methods if method.output == record and method.reads and method.who != "service"]
                   for prefix, record in catalogue.records.items()}
        guarded = {prefix for prefix, methods in getters.items() if methods and all(method.who == "right" for method in methods)}
        ids = {prefix: zebra.kept.get(prefix) or zebra.seen[prefix][0] for prefix in catalogue.records if prefix in zebra.kept or prefix in zebra.seen}
        nobody = bearer(world.signed(zebra, world.user(zebra, "nobody", []), []))
        shown = {"administrator": set(), "a user without roles": set()}
        for service in catalogue.services:
            for who, headers in (("administrator", bearer(zebra.admin.token)), ("a user without roles", nobody)):
                result = native.call(refs, service, {"ids": sorted(ids.values())}, headers)
                self.assertTrue(result.ok, f"{service}: {result}")
                shown[who] |= {ref["type"] for ref in result.body["refs"]}
        self.assertEqual(shown["a user without roles"] & guarded, set(), "kinds that need a right")
        self.assertEqual(shown["a user without roles"], shown["administrator"] - guarded)
        self.assertGreater(len(shown["administrator"] & guarded), 10, "references to fewer kinds than there are")

    def test_a_users_token_where_only_services_may(self):
        def judge(method: Method, result: Result) -> str:
            return "" if (result.code, result.reason) == RIGHT_MISSING else f"must be {RIGHT_MISSING}"
        self.walk({"an administrator": bearer(zebra.admin.token), "an administrator who claims to be a service":
                   bearer(zebra.admin.token) | {"crm-tenant": zebra.admin.tenant_id}}, judge, only=lambda method: method.who == "service")

    def test_a_service_without_a_user(self):
        """Its certificate opens what is marked for services, and nothing else."""
        def judge(method: Method, result: Result) -> str:
            if method.who == "service":
                return "a service may" if result.code == "PERMISSION_DENIED" or (result.code == "UNAUTHENTICATED" and not world.takes_secret(method)) else ""
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


class RolesTest(unittest.TestCase):
    """Each role, as sign-up makes them and with one right alone: every rpc is open to whom its grants name, and to nobody else."""

    NO_MESSAGE = "ff"  # no protobuf: rights come first, so whoever may call it is told that it cannot be read, and nothing is done

    @classmethod
    def setUpClass(cls):
        cls.tenant = Tenant(stack, catalogue, "okapi")
        cls.claims = claims_of(cls.tenant.admin.token)
        cls.package = [role for role in cls.tenant.admin.get("/v1/roles", page_size=500)["roles"] if role["code"]]

    def walk(self, grants: dict[str, set[tuple[str, str]]], tokens: dict[str, str], only=lambda method, name: True) -> None:
        """`grants`: what the role of this name grants."""
        findings = Findings()
        items = [(method, service, name) for method, service in catalogue.walked for name in grants if method.who == "right" and only(method, name)]

        def ask(item) -> dict[str, Result]:
            method, service, name = item
            headers = bearer(tokens[name])
            found = {"gRPC": native.call(method, service, {}, headers, hex_=self.NO_MESSAGE)}
            if method.right not in grants[name] or method.reads:
                found |= {surface: world.ask(surface, method, self.tenant.make(method), headers) for surface in world.surfaces(method)}
            return found

        for (method, service, name), results in zip(items, parallel(ask, items)):
            right = ".".join(method.right).replace("ACTION_", "").lower()
            for surface, result in results.items():
                where = f"{service}: {method} by {surface} as {name}"
                refused = (result.code, result.reason, result.metadata.get("right")) == (*RIGHT_MISSING, right)
                findings.expect(refused == (method.right not in grants[name]), where, f"{result}, but the role {'grants' if refused else 'does not grant'} {right}")
                findings.expect(result.code not in OURS | {"UNAUTHENTICATED"}, where, str(result))
                if surface == "gRPC" and not refused:
                    findings.expect(result.reason == "BODY_INVALID", where, str(result))
        findings.done(self, len(items) - 1)
        print(f"  {len(grants)} roles, {findings.count['asked'] // 2} answers", flush=True)

    def test_roles_that_sign_up_makes(self):
        grants = {role["code"]: {(object_, grant["action"]) for grant in role["grants"]
                                 for object_ in (catalogue.objects() if grant["object"] == "*" else [grant["object"]])} for role in self.package}
        tokens = {role["code"]: world.signed(self.tenant, world.user(self.tenant, "somebody", [role["id"]]), [role["id"]]) for role in self.package}
        self.assertGreater(len({frozenset(rights) for rights in grants.values()}), 2, "fewer different roles than there are")
        self.walk(grants, tokens)

    def test_one_right_alone(self):
        """Each at every scope; in an ordinary run with the rpcs that ask for it and a few of the others."""
        grants = {f"{'.'.join(right)} {scope}": {right} for right in catalogue.rights() for scope in ("SCOPE_OWN", "SCOPE_TEAM", "SCOPE_ALL")}
        tokens = {}
        for name, [right] in grants.items():
            role_id = world.role(self.tenant, name, [{"object": right[0], "action": right[1], "scope": name.split()[1]}])
            tokens[name] = world.token(self.claims, sub=self.tenant.admin.user_id, roles=[role_id], iat=int(time.time()) + 15)
        dice = random.Random(seed)
        self.walk(grants, tokens, only=lambda method, name: method.right in grants[name] or os.environ.get("CRM_LONG") or dice.random() < 0.02)

    def test_every_right_is_one_of_something(self):
        """A misspelt object would be a right that nobody but administrators can have."""
        self.assertEqual({object_ for object_, _ in catalogue.rights()} - set(catalogue.records), NO_RECORDS)
        self.assertEqual([str(method) for method in catalogue.methods if method.who == "right" and method.right[1] == "ACTION_UNSPECIFIED"], [])


class ScopeTest(unittest.TestCase):
    """Rights for own and team records end at other people's records."""

    @classmethod
    def setUpClass(cls):
        teams = [zebra.admin.post("/v1/teams", {"name": f"{name} {time.monotonic_ns()}"})["id"] for name in ("sales", "service")]
        claims = claims_of(zebra.admin.token)
        cls.callers = {}
        cls.users = {}
        for scope, team in (("SCOPE_OWN", teams[0]), ("SCOPE_TEAM", teams[1])):
            role_id = world.role(zebra, f"everything {scope}", world.everything(scope=scope))
            user = world.user(zebra, f"Scoped {scope}", [role_id], team_id=team)
            cls.users[scope] = user
            cls.callers[scope] = bearer(world.token(claims, sub=user, roles=[role_id], team=team, teams=[team], iat=int(time.time()) + 15))
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
            return item, world.probe(method, service, zebra.make(method), headers)

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
                for surface, result in world.probe(method, service, request, headers).items():
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
                mine = world.probe(maker, catalogue.services_of(maker)[0], catalogue.with_value(maker, zebra.make(maker), f"{body}.owner_id", self.users[scope]), headers)
                others = world.probe(maker, catalogue.services_of(maker)[0], catalogue.with_value(maker, zebra.make(maker), f"{body}.owner_id", zebra.admin.user_id), headers)
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
                    results = world.probe(method, service, request, bearer(zebra.admin.token))
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
        role_id = world.role(zebra, "reader without personal data", world.everything(), personal_data=False)
        reader = world.user(zebra, "Reader", [role_id])
        headers = bearer(world.token(claims_of(zebra.admin.token), sub=reader, roles=[role_id], iat=int(time.time()) + 15))
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
        for (method, service, request), results in zip(questions, parallel(lambda question: world.probe(*question, headers), questions)):
            for surface, result in results.items():
                text = json.dumps(result.body, ensure_ascii=False)
                found = [secret for secret in self.SECRETS if secret in text]
                findings.expect(not found, f"{service}: {method} by {surface} {json.dumps(request)}", f"shows {found}")
                shown |= {id_ for id_ in own.values() if id_ in text}
        findings.done(self, 100)
        self.assertEqual(shown, set(own.values()), "the reads do not show the records")

    def test_nor_does_the_live_stream(self):
        role_id = world.role(zebra, "listener without personal data", world.everything(), personal_data=False)
        reader = world.user(zebra, "Listener", [role_id])
        token = world.token(claims_of(zebra.admin.token), sub=reader, roles=[role_id], iat=int(time.time()) + 15)
        with stack.api(token).events("/v1/events") as heard:
            contact = zebra.admin.post("/v1/contacts", {"given_name": "Visible", "phones": [{"number": "+49305550177"}], "emails": [{"address": "pii@pii.example.com"}]})["id"]
            heard.until(lambda event: event.body.get("id") == contact)
            self.assertEqual([event.data for event in heard.seen if any(secret in event.data for secret in self.SECRETS)], [])


def alike(result: Result, id_: str):
    """What an answer tells, whatever the id is called; of accepted ones only that they are."""
    if result.ok:
        return "OK"
    hidden = json.dumps([result.code, result.reason, result.text, result.fields, result.metadata]).replace(id_, "<id>")
    return re.sub(r"\d{6,}", "<n>", TYPE_ID.sub("<other id>", hidden))


if __name__ == "__main__":
    unittest.main(verbosity=2, warnings="ignore")
