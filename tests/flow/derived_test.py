#!/usr/bin/env python3
"""What is derived obeys rights too. A canary: a colleague's best day, in one record of every kind that has an owner, with words and sums that
stand nowhere else. Salespeople of several kinds, who may read nothing of it, ask everything that can be asked, before and after: every read,
with each value of each of its choices, every count, every order, filters by the canary's own values, prefixes of its words, its ids in every id
field, references, batches, kept etags; and they listen. Nothing of it may appear, and whatever they are told must be the same as before the
canary was there. For who may see everything it is not."""

import json
import os
import random
import re
import unittest

from callers import Findings, World, bearer, shown_ids
from rpcs import TYPE_ID, Http, Method, Requests, Recipe, Result, calm, first_refusal, parallel, tenant_uuid
from stack import PASSWORD, eventually

from crmlib import letterbox

WORD = "narwhal"
SUM = "777777.77"
PHONE = "+4930777555"
TRACES = (WORD, "777777", PHONE[3:])
LOOSE = {"position", "stale", "time", "schema_version", "now"}  # how far projections have got, and clocks: no business of anybody's
OWN = ("minnow", "1.11")
UNSTEADY = {"ListWebhooks"}  # a webhook is nobody's; one that fails says so
ORDINARY = 0.3  # the part of all filters and orders that is tried in an ordinary run; CRM_LONG=1 tries every one


def setUpModule():
    global world, stack, catalogue, zebra, admin, dice
    seed = int(os.environ.get("CRM_SEED") or random.randrange(10**6))
    print(f"seed {seed}: CRM_SEED={seed} repeats this run", flush=True)
    dice = random.Random(seed)
    world = World({"messaging": {"messaging": {"allowed_hosts": ["127.0.0.1"]}}})
    stack, catalogue = world.stack, world.catalogue
    zebra = world.tenant("zebra")
    admin = zebra.admin


class Spies:
    """Those who must not find out, by the kind of their rights."""

    def __init__(self):
        self.teams = {name: admin.post("/v1/teams", {"name": name})["id"] for name in ("sales", "others")}
        roles = {role["code"]: role["id"] for role in admin.get("/v1/roles", page_size=500)["roles"] if role["code"]}
        own = world.role(zebra, "own", world.everything(scope="SCOPE_OWN"))
        team = world.role(zebra, "team", world.everything(scope="SCOPE_TEAM"))
        self.users, self.tokens = {}, {}
        for name, role_id, team_id in (("own", own, self.teams["sales"]), ("team", team, self.teams["sales"]), ("manager", roles["manager"], self.teams["sales"]),
                                       ("head", roles["head"], self.teams["sales"])):
            email = f"{name}@spies.example.com"
            self.users[name] = admin.post("/v1/users", {"email": email, "given_name": name, "role_ids": [role_id], "team_id": team_id, "password": PASSWORD})["id"]
            self.tokens[name] = stack.api().post("/v1/sessions", {"login": email, "password": PASSWORD})["access_token"]
        self.tokens["key"] = admin.post("/v1/apiKeys", {"name": "robot", "role_ids": [own]})["secret"]
        email = "colleague@spies.example.com"
        self.colleague = admin.post("/v1/users", {"email": email, "given_name": "Colleague", "role_ids": [world.role(zebra, "all", world.everything())],
                                                  "team_id": self.teams["others"], "password": PASSWORD})["id"]
        self.canary = stack.api(stack.api().post("/v1/sessions", {"login": email, "password": PASSWORD})["access_token"])

    def allowed(self, name: str) -> set[str]:
        """Kinds that this one may read of everybody: not what is looked for."""
        # A head of sales reads every contact and company, of all teams, and the notes on them.
        return {"contact", "company", "note"} if name == "head" else set()


def sale(api, owner: str, name: str, amount: str, phone: str) -> dict[str, str]:
    """A contact, a company, a lead, a won deal and an open one of this owner; the ids."""
    made = {"company": api.post("/v1/companies", {"name": f"{name} limited", "owner_id": owner, "country_code": "NO"})["id"]}
    made["contact"] = api.post("/v1/contacts", {"given_name": name, "family_name": "Ahab", "company_id": made["company"], "owner_id": owner,
                                                "phones": [{"number": phone}], "emails": [{"address": f"{name.replace(chr(32), chr(46))}@sea.example.com"}]})["id"]
    made["lead"] = api.post("/v1/leads", {"title": f"{name} lead", "name": name, "email": f"{name.replace(chr(32), chr(46))}@sea.example.com", "owner_id": owner})["id"]
    made["deal"] = api.post("/v1/deals", {"title": f"{name} deal", "source": name, "owner_id": owner, "contact_id": made["contact"], "company_id": made["company"],
                                          "lines": [{"name": f"{name} oil", "quantity": "1", "unit_price": {"amount": amount, "currency_code": "EUR"}}]})["id"]
    made["open deal"] = api.post("/v1/deals", {"title": f"{name} hope", "owner_id": owner, "amount": {"amount": amount, "currency_code": "EUR"}})["id"]
    won = next(stage["id"] for stage in admin.get(f"/v1/pipelines/{zebra.id('pipeline')}")["stages"] if stage["kind"] == "STAGE_KIND_WON")
    api.post(f"/v1/deals/{made['deal']}:move", {"stage_id": won})
    made["note"] = api.post("/v1/notes", {"record_id": made["deal"], "text": f"{name} pays {amount}", "pinned": True})["id"]
    made["task"] = api.post("/v1/tasks", {"title": f"{name} task", "owner_id": owner, "contact_id": made["contact"], "deal_id": made["deal"],
                                          "due_time": "2036-01-01T10:00:00Z"})["id"]
    return made


def generated(api, owner: str, made: dict[str, str]) -> dict[str, str]:
    """One more of every kind of record that has an owner, from the descriptors alone, about those that are there."""
    requests = Requests(catalogue, WORD, hints={"amount": SUM})
    found = {}
    for prefix, maker in catalogue.makers.items():
        if not catalogue.record(prefix).get("owned") and prefix not in ("note", "file"):
            continue
        recipe = zebra.recipes.get(maker.name) or Recipe()
        request = requests.make(maker, Recipe(set(recipe.forced), {}), lambda kind: made.get(kind) or found.get(kind) or zebra.id(kind))
        body = maker.http[0]["body"]
        if any(field["name"] == "owner_id" and "OUTPUT_ONLY" not in field.get("behavior", []) for field in catalogue.fields(catalogue.records[prefix])):
            request = catalogue.with_value(maker, request, f"{body}.owner_id", owner)
        result = first_refusal(Http(stack.instance.url, bearer(api.token)).call(maker, request))
        if result.ok:
            found[f"generated {prefix}"] = result.body["id"]
    return found


class Questions:
    """Everything that can be asked, as (rpc, request)."""

    def __init__(self, colleague: str):
        self.colleague = colleague
        self.reads = [method for method in catalogue.methods if method.reads and not method.streams and method.http and method.who in ("right", "signed_in")
                      and method.short != "RecountReports"]

    def record_of(self, method: Method) -> dict | None:
        """The records that a list lists."""
        found = [catalogue.messages[field["message"]] for field in catalogue.fields(method.output) if field.get("message") in catalogue.records.values() and field["repeated"]]
        return found[0] if len(found) == 1 else None

    def standing(self) -> list[tuple[Method, dict]]:
        """What does not name the canary's ids: asked before and after."""
        found = []
        for method in self.reads:
            base = zebra.make(method)
            variants = [base]
            record = self.record_of(method)
            for field in catalogue.fields(method.input):
                name = field["name"]
                if field["type"] == "enum":
                    values = [value for value in catalogue.enums[field["enum"]][1:] if value != "COUNT_ESTIMATE"]
                    variants += [base | {name: [value] if field["repeated"] else value} for value in values]
                elif name in ("owner_id", "user_id", "author_id"):
                    variants.append(base | {name: self.colleague})
                elif name == "query":
                    variants += [base | {"query": text, "count": "COUNT_EXACT"} for text in (WORD[:1], WORD[:3], WORD, WORD.upper(), "ahab", PHONE, f"{WORD}@sea")]
                    variants.append(base | {"query": "ahab", "count": "COUNT_EXACT", "page_size": 1})
                elif name == "show_deleted":
                    variants.append(base | {"show_deleted": True} | ({"count": "COUNT_EXACT"} if self.counts(method) else {}))
                elif name == "filter" and record and self.counts(method):
                    variants += [base | {"filter": text, "count": "COUNT_EXACT"} for text in some(self.filters(record))]
                elif name == "order_by" and record:
                    orders = [f"{inner['name']}{end}" for inner in catalogue.fields(self.name_of(record)) for end in ("", " desc")
                              if inner["type"] != "message" and not inner["repeated"]]
                    variants += [base | {"order_by": order, "page_size": 2} for order in some(orders)]
                elif name == "external_id":
                    variants += [{"email": f"{WORD}@sea.example.com"}, {"phone": PHONE}] if any(one["name"] == "phone" for one in catalogue.fields(method.input)) else []
                elif name == "source":
                    variants.append(base | {"source": WORD})
            if method.short == "ComputeWorkingTime":  # from now on, if nothing is said
                variants = [variant | {"start_time": "2026-11-23T08:00:00Z"} for variant in variants]
            found += [(method, variant) for variant in variants]
        return found

    def name_of(self, record: dict) -> str:
        return next(name for name, message in catalogue.messages.items() if message is record)

    def counts(self, method: Method) -> bool:
        return any(field["name"] == "count" for field in catalogue.fields(method.input))

    def filters(self, record: dict) -> list[str]:
        """By what the canary will be, in every field that could say it."""
        found = ["", 'create_time > "2020-01-01T00:00:00Z"']
        for field in catalogue.fields(self.name_of(record)):
            name, info = field["name"], field.get("info", {})
            if name in ("owner_id", "author_id", "creator_id", "user_id", "assignee_id"):
                found += [f'{name} = "{self.colleague}"', f'NOT {name} = "{self.colleague}"']
            elif field.get("message", "").endswith(".Money"):
                found += [f"{name}.amount > 700000", f"{name}.amount = {SUM}"]
            elif field["type"] == "string" and not field["repeated"] and not info.get("ref") and not info.get("date"):
                found += [f'{name} = "{WORD}"', f'{name} : "{WORD}"', f'{name} : "{WORD[:2]}"']
        return found

    def about(self, ids: dict[str, str]) -> list[tuple[Method, dict, str]]:
        """Each id of the canary in each id field of each read and each address; a file's bytes are a stream."""
        found = []
        for method in catalogue.methods:
            if not method.http or method.who not in ("right", "signed_in") or (method.streams and not method.variables):
                continue
            for path, prefixes in catalogue.id_fields(method).items():
                if not method.reads and path not in method.variables:
                    continue  # a write that names it: rights_test.py
                for id_ in ids.values():
                    if id_.rsplit("_", 1)[0] in prefixes and not (method.short == "BatchGetRefs"):
                        found.append((method, catalogue.with_value(method, zebra.make(method), path, id_), id_))
        return found


def some(items: list) -> list:
    return items if os.environ.get("CRM_LONG") else [item for item in items if dice.random() < ORDINARY]


def firm(value):
    if isinstance(value, dict):
        return {name: firm(inner) for name, inner in value.items() if name not in LOOSE}
    return [firm(inner) for inner in value] if isinstance(value, list) else value


def told(result: Result):
    return firm(result.body) if result.ok else [result.code, result.reason]


def alike(result: Result, id_: str):
    """What an answer tells, whatever the id is called."""
    if result.ok:
        return json.dumps(firm(result.body), sort_keys=True).replace(id_, "<id>")
    hidden = json.dumps([result.code, result.reason, result.text, result.fields, result.metadata]).replace(id_, "<id>")
    return re.sub(r"\d{6,}", "<n>", TYPE_ID.sub("<other id>", hidden))


def never(id_: str) -> str:
    """An id of the same kind that never was."""
    prefix, rest = id_.rsplit("_", 1)
    return f"{prefix}_7{rest[1:][::-1]}"


class DerivedTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.spies = Spies()
        cls.questions = Questions(cls.spies.colleague)
        for name, user in cls.spies.users.items():  # something of their own, that they must go on seeing
            sale(admin, user, f"{OWN[0]} {name}", OWN[1], "+4930111222")

    def ask(self, who: str) -> list[Result]:
        http = Http(stack.instance.url, bearer(self.spies.tokens[who] if who else admin.token))
        return parallel(lambda question: http.call(*question), self.standing)

    def settled(self) -> None:
        """Until everything has been heard."""
        eventually(lambda: admin.post("/v1/reports:recount")["equal"], 30, "projections equal their recount")
        uuid = tenant_uuid(admin.tenant_id)
        for service in catalogue.services:
            eventually(lambda: stack.value(f"select count(*) from {service}.outbox where seq is null") == "0", 30, "events are numbered")
        for service in catalogue.services:
            for producer, in stack.sql(f"select distinct producer from {service}.position"):
                heads = f"select coalesce(max(seq), 0) from {producer}.outbox where tenant_id = '{uuid}'"
                eventually(lambda: stack.value(heads) == stack.value(f"select coalesce(max(seq), 0) from {service}.position where producer = '{producer}' and tenant_id = '{uuid}'"),
                           30, f"{service} has heard {producer}")
        calm(stack, admin.tenant_id)

    def test_a_colleagues_best_day(self):
        spies, findings = self.spies, Findings()
        self.standing = self.questions.standing()
        self.settled()
        before = {who: self.ask(who) for who in ("", *spies.tokens)}
        self.assertIn(OWN[1], json.dumps(told_all(before["own"])), "they see their own revenue")
        streams = {who: (stack.api(token).events("/v1/events"), stack.api(token).events("/v1/reports/revenue:watch", group_by="GROUP_BY_EMPLOYEE"))
                   for who, token in spies.tokens.items() if who != "key"}
        self.addCleanup(lambda: [stream.close() for pair in streams.values() for stream in pair])
        shown_first = {who: firm(watched.next(30).body) for who, (_, watched) in streams.items()}

        made = self.best_day()
        self.settled()
        ids = set(made.values())
        after = {who: self.ask(who) for who in ("", *spies.tokens)}
        noticed: set[str] = set()
        for number, (method, request) in enumerate(self.standing):
            noticed |= {str(method)} if told(before[""][number]) != told(after[""][number]) else set()
            for who in spies.tokens:
                if self.may(who, method):
                    continue
                was, is_ = before[who][number], after[who][number]
                where = f"{method} as {who} {json.dumps(request)}"
                findings.expect(method.short in UNSTEADY or told(was) == told(is_), where, f"was {json.dumps(told(was))[:400]}, is {json.dumps(told(is_))[:400]}")
                self.clean(findings, where, is_.body, ids, request)
                if is_.ok and isinstance(is_.body, dict) and is_.body.get("total_size") is not None and not is_.body.get("next_page_token"):
                    items = next((value for value in is_.body.values() if isinstance(value, list)), [])
                    findings.expect(is_.body["total_size"] == len(items), where, f"counts {is_.body['total_size']}, shows {len(items)}")
        asked = findings.count["asked"]
        self.heard(findings, streams, shown_first, made)
        self.by_id(findings, made)
        self.by_reference(findings, made)
        print(f"  {len(self.standing)} questions by {len(spies.tokens)} spies, {len(made)} canaries: {findings.count['asked']} answers looked at", flush=True)
        findings.done(self, 1000)
        self.assertGreater(asked, len(self.standing))
        # The questions are good ones: whoever may see everything sees the difference by each of these kinds.
        for kind in ("GetRevenueReport", "GetFunnelReport", "GetEmployeeReport", "GetBoard", "ListDeals", "ListContacts", "ListCompanies", "ListLeads", "LookupContacts",
                     "ListNotes", "ListTasks", "ListActivities", "ListFiles", "ListMessages", "ListConversations", "ListDeliveries"):
            self.assertTrue(any(name.endswith(kind) for name in noticed), f"{kind} shows no difference even to an administrator")

    def may(self, who: str, method: Method) -> bool:
        """Whether this one's rights reach all records of what the rpc answers."""
        return bool(self.spies.allowed(who) & {method.access.get("object", "")})

    def best_day(self) -> dict[str, str]:
        spies = self.spies
        hook = admin.post("/v1/webhooks", {"name": "all", "url": "http://127.0.0.1:9/canary", "event_types": ["*"], "enabled": True})["id"]
        made = sale(spies.canary, spies.colleague, WORD, SUM, PHONE)
        made |= generated(spies.canary, spies.colleague, made)
        # A letter from the customer, and what comes of it.
        address = admin.get(f"/v1/channels/{zebra.id('channel')}")["address"]
        letter = f"From: {WORD} <{WORD}@sea.example.com>\r\nTo: {address}\r\nSubject: {WORD}\r\n\r\n{WORD} offers {SUM}\r\n"
        self.assertFalse(letterbox.hand_in(stack.instance.lmtp_port, f"{WORD}@sea.example.com", [address], letter.encode()))
        letters = eventually(lambda: [one for one in admin.get("/v1/conversations", page_size=500)["conversations"] if WORD in json.dumps(one)], 30, "the letter")
        made["conversation"] = letters[0]["id"]
        made["message"] = admin.get("/v1/messages", filter=f'conversation_id = "{letters[0]["id"]}"')["messages"][0]["id"]
        eventually(lambda: any(one["record_id"] == made["deal"] for one in admin.pages("/v1/deliveries", "deliveries")), 30, "a webhook's delivery")
        admin.patch(f"/v1/webhooks/{hook}", {"enabled": False})  # what cannot be posted would be tried again by itself
        made["delivery"] = next(one["id"] for one in admin.pages("/v1/deliveries", "deliveries") if one["record_id"] == made["deal"])
        return made

    def clean(self, findings: Findings, where: str, body, ids: set[str], request) -> None:
        text = json.dumps(body, ensure_ascii=False)
        asked = json.dumps(request, ensure_ascii=False)
        found = [trace for trace in TRACES if trace in text and trace not in asked]
        found += sorted(shown_ids(body) & ids - shown_ids(request))
        findings.expect(not found, where, f"shows {found}")

    def by_id(self, findings: Findings, made: dict[str, str]) -> None:
        """An id that a spy has heard of is as good as one that never was."""
        questions = [(who, *question) for question in self.questions.about(made) for who in self.spies.tokens
                     if not self.may(who, question[0]) and question[2].rsplit("_", 1)[0] not in self.spies.allowed(who)]

        def ask(question):
            who, method, request, id_ = question
            http = Http(stack.instance.url, bearer(self.spies.tokens[who]))
            other = json.loads(json.dumps(request).replace(id_, never(id_)))
            return http.call(method, request), http.call(method, other)

        for (who, method, request, id_), (real, control) in zip(questions, parallel(ask, questions)):
            where = f"{method} as {who} about {id_}"
            findings.expect(alike(real, id_) == alike(control, never(id_)), where, f"{alike(real, id_)[:300]}, but for an id that never was {alike(control, never(id_))[:300]}")
            self.clean(findings, where, real.body, set(made.values()), request)

    def by_reference(self, findings: Findings, made: dict[str, str]) -> None:
        """Their own deal may name the colleague's contact; that says nothing about who it is. References, batches and etags neither."""
        for who, token in self.spies.tokens.items():
            if who in ("key", "head"):
                continue
            api = stack.api(token)
            deal = api.post("/v1/deals", {"title": "mine", "contact_id": made["contact"], "company_id": made["company"]})["id"]
            for path in (f"/v1/deals/{deal}", "/v1/deals"):
                refs = api.get(path, expand="contact,company,owner")["refs"]
                findings.expect(not set(made.values()) & set(refs), f"{path}?expand as {who}", f"shows {refs}")
            self.assertEqual(stack.api(self.spies.tokens["head"]).call("GET", f"/v1/notes/{made['note']}").status, 404, "a note on another team's deal")
            paths = [f"/v1/{kind}s/{made[kind]}" for kind in ("deal", "lead", "task", "note")] + [f"/v1/deals/{made['deal']}/revisions"]
            for one in api.post("/v1/batch", {"requests": [{"path": path} for path in paths]})["responses"]:
                findings.expect(one["status"] == 404, f"a batch as {who}", json.dumps(one))
            for path in paths:
                etag = admin.call("GET", path).headers.get("etag", '"1"')
                findings.expect(api.call("GET", path, headers={"If-None-Match": etag}).status == 404, f"{path} as {who} with its etag", "is not 404")
            [method] = [method for method in catalogue.methods if method.name == "crm.type.v1.RefService.BatchGetRefs"]
            for service in catalogue.services:
                result = world.native.call(method, service, {"ids": sorted(made.values())}, bearer(token))
                findings.expect(result.ok and result.body == {"refs": []}, f"{service}: references as {who}", f"{result} {result.body}")

    def heard(self, findings: Findings, streams: dict, shown_first: dict, made: dict[str, str]) -> None:
        """Signs of their own end the wait: what was sent before them, in each service's lane, would have been heard by now."""
        for who, (events, watched) in streams.items():
            sign = sale(admin, self.spies.users[who], f"sign {who}", "2.22", "+4930111333")
            waiting = {sign["contact"], sign["deal"], sign["task"]}
            while waiting:
                waiting -= {events.next(30).body.get("id")}
            allowed = self.spies.allowed(who)
            ids = {id_ for id_ in made.values() if id_.rsplit("_", 1)[0] not in allowed}
            for event in events.seen:
                shown = shown_ids(event.body) & ids
                shown |= {trace for trace in (TRACES if not allowed else [SUM[:6]]) if trace in event.data}
                findings.expect(not shown, f"the live stream of {who}", f"shows {shown}: {event.data[:300]}")
            watched.until(lambda event: "2.22" in event.data or "3.33" in event.data, 30)
            for event in watched.seen:
                findings.expect(SUM[:6] not in event.data, f"the watched report of {who}", event.data[:300])
                if event.body["total"] == shown_first[who]["total"]:
                    continue
                findings.expect("2.22" in event.data or "3.33" in event.data, f"the watched report of {who}", f"became {event.data[:300]} by a colleague's sale")

    def test_estimates(self):
        rows = [{"deal": {"title": f"kraken {number}", "owner_id": self.spies.colleague, "amount": {"amount": "5.00", "currency_code": "EUR"}},
                 "open_time": "2026-01-02T03:04:05Z"} for number in range(300)]
        self.assertTrue(all("error" not in result for result in admin.post("/v1/deals:import", {"deals": rows})["results"]))
        stack.sql("analyze deal_pipeline.deal")
        self.assertGreater(admin.get("/v1/deals", count="COUNT_ESTIMATE")["total_size"], 250)
        for who in ("own", "team", "manager"):
            self.assertLess(stack.api(self.spies.tokens[who]).get("/v1/deals", count="COUNT_ESTIMATE")["total_size"], 50, f"the estimate for {who} counts what others own")


def told_all(results: list[Result]) -> list:
    return [told(result) for result in results]


if __name__ == "__main__":
    unittest.main(verbosity=2, warnings="ignore")
