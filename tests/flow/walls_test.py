#!/usr/bin/env python3
"""A tenant cannot see another: what two tenants with the same data get to see of each other through every read of the API. What the
database itself enforces is in catalogue_test.py."""

import json
import re
import time
import unittest

from callers import UNLIMITED
from rpcs import TYPE_ID, Catalogue, Native, Tenant, as_http, parallel
from stack import Stack


def setUpModule():
    global stack, catalogue, native, lion, lynx
    stack = Stack(changes=UNLIMITED)
    stack.__enter__()
    unittest.addModuleCleanup(stack.close)
    catalogue = Catalogue(stack)
    native = Native(catalogue, stack)
    unittest.addModuleCleanup(native.close)
    lion, lynx = Tenant(stack, catalogue, "twin"), Tenant(stack, catalogue, "twin")
    for tenant in (lion, lynx):
        tenant.same = same_data(tenant)
        tenant.ids = {id_ for ids in tenant.seen.values() for id_ in ids} | set(tenant.same.values())
    assert not lion.ids & lynx.ids


def same_data(tenant: Tenant) -> dict[str, str]:
    """Records that are alike to the letter in both tenants, unique values included; their ids."""
    post, ids = tenant.admin.post, {}
    external = {"external_ids": [{"system": "shop", "id": "4711"}]}
    ids["team"] = post("/v1/teams", {"name": "Twins"})["id"]
    ids["company"] = post("/v1/companies", {"name": "Twin limited", "tax_id": "DE 1", "team_id": ids["team"], **external})["id"]
    ids["contact"] = post("/v1/contacts", {"given_name": "Castor", "family_name": "Twin", "company_id": ids["company"], "phones": [{"number": "+4930424242"}],
                                           "emails": [{"address": "castor@twins.example.com"}], **external})["id"]
    ids["product"] = post("/v1/products", {"name": "Twin bed", "sku": "TWIN-1", "unit_price": {"amount": "99.90", "currency_code": "EUR"}, **external})["id"]
    ids["lead"] = post("/v1/leads", {"title": "Twin lead", "name": "Castor", "phone": "+4930424242"})["id"]
    ids["deal"] = post("/v1/deals", {"title": "Twin deal", "contact_id": ids["contact"], "company_id": ids["company"], **external,
                                     "lines": [{"product_id": ids["product"], "quantity": "2"}]})["id"]
    ids["role"] = post("/v1/roles", {"name": "Twin"})["id"]
    return ids


class TwinsTest(unittest.TestCase):
    """Two tenants whose records are alike to the letter."""

    def reads(self, tenant: Tenant) -> list[tuple[str, str, dict | None]]:
        """(method, address, body) of every read over HTTP: plain, in each direction of its choices, searched, counted, expanded."""
        found = []
        for method in catalogue.methods:
            if not method.reads or method.streams or method.who == "service":
                continue
            base = tenant.make(method)
            names = {field["name"] for field in catalogue.fields(method.input)}
            variants = [base]
            variants += [base | {"query": text, "count": "COUNT_EXACT"} for text in ("twin", "castor", "+4930424242", "castor@twins.example.com") if "query" in names]
            variants += [base | {"filter": text, "count": "COUNT_EXACT"} for text in ("", 'create_time > "2020-01-01T00:00:00Z"') if {"filter", "count"} <= names]
            variants += [base | {"show_deleted": True, "view": "VIEW_FULL"} for name in names & {"show_deleted"} if "view" in names]
            if "external_id" in names:
                variants = [{"phone": "030 424242"}, {"email": "Castor@twins.example.com"}, {"external_system": "shop", "external_id": "4711"}]
            for route in method.http:
                for variant in variants:
                    verb, address, body = as_http(method, route, variant)
                    found.append((verb, address, body))
                    if expand := self.expandable(address, route):
                        found.append((verb, f"{address}{'&' if '?' in address else '?'}expand={expand}", body))
        return found

    def expandable(self, address: str, route: dict) -> str:
        """What the edge itself says can be expanded here."""
        if route["path"] not in self.names:
            answer = lion.http.raw(route["method"], f"{address.split('?')[0]}?expand=nothing", {} if route["body"] else None)
            self.names[route["path"]] = ",".join(re.sub(r".*: use ", "", answer.text).split(", ")) if ": use " in answer.text else ""
        return self.names[route["path"]]

    names: dict[str, str] = {}

    def test_no_read_shows_the_other(self):
        for mine, other in ((lion, lynx), (lynx, lion)):
            asked = self.reads(mine)
            shown, refs = set(), 0
            for (verb, address, body), result in zip(asked, parallel(lambda read: mine.http.raw(*read), asked)):
                found = {f"{prefix}_{rest}" for prefix, rest in TYPE_ID.findall(json.dumps(result.body))}
                self.assertFalse(found & other.ids, f"{verb} {address} {body} shows the other tenant's {found & other.ids}")
                shown |= found
                refs += len(result.body.get("refs", {})) if isinstance(result.body, dict) else 0
            self.assertGreater(len(asked), 100)
            self.assertGreater(refs, 10, "nothing was expanded")
            self.assertLessEqual(set(mine.same.values()), shown, "the reads do not show what is there")

    def test_the_native_surface_does_not_either(self):
        for mine, other in ((lion, lynx), (lynx, lion)):
            # A claim to be another tenant's beside the token changes nothing.
            headers = {"authorization": f"Bearer {mine.admin.token}", "crm-tenant": other.admin.tenant_id}
            walked = [(method, service) for method, service in catalogue.walked if method.reads and method.who != "service"]

            def ask(item):
                method, service = item
                request = {"ids": sorted(other.ids | mine.ids)} if method.short == "BatchGetRefs" else mine.make(method)
                return native.call(method, service, request, headers)
            for (method, service), result in zip(walked, parallel(ask, walked)):
                found = {f"{prefix}_{rest}" for prefix, rest in TYPE_ID.findall(json.dumps(result.body))}
                self.assertFalse(found & other.ids, f"{service}: {method} shows the other tenant's {found & other.ids}")

    def test_headers_choose_no_tenant(self):
        for name in ("crm-tenant", "Crm-Tenant", "x-tenant-id", "crm-anonymous", "Grpc-Metadata-Crm-Tenant"):
            answer = lion.admin.call("GET", "/v1/tenant", headers={name: lynx.admin.tenant_id})
            self.assertEqual(answer.body["id"], lion.admin.tenant_id, name)

    def test_page_tokens_and_keys_are_ones_own(self):
        page = lynx.admin.get("/v1/users", page_size=1)
        roles = lynx.admin.get("/v1/roles", page_size=1)
        self.assertTrue(roles["next_page_token"], page)
        answer = lion.admin.call("GET", "/v1/roles", query={"page_size": 1, "page_token": roles["next_page_token"]})
        self.assertEqual(answer.reason, "PAGE_TOKEN_INVALID", answer.data)
        key = {"Idempotency-Key": f"twins-{time.monotonic_ns()}"}
        body = {"given_name": "Pollux"}
        theirs = lynx.admin.must("POST", "/v1/contacts", body, key)
        ours = lion.admin.must("POST", "/v1/contacts", body, key)
        self.assertNotEqual(ours["id"], theirs["id"])
        self.assertEqual(lion.admin.must("POST", "/v1/contacts", body, key)["id"], ours["id"])

    def test_live_streams(self):
        with lion.admin.events("/v1/events") as ours, lynx.admin.events("/v1/events") as theirs:
            for mine in (lion, lynx):
                for prefix in catalogue.makers:
                    mine.fresh(prefix)
                mine.sign = mine.admin.post("/v1/contacts", {"given_name": "sign"})["id"]
                mine.deal_sign = mine.admin.post("/v1/deals", {"title": "sign"})["id"]
            for mine, other, heard in ((lion, lynx, ours), (lynx, lion, theirs)):
                waiting = {mine.sign, mine.deal_sign}
                while waiting:
                    waiting -= {heard.next().body.get("id")}
                self.foreign(mine, other, heard)
            stream_id = next(event.body["stream_id"] for event in theirs.seen if "stream_id" in event.body)
            self.assertEqual(lion.admin.call("POST", f"/v1/events/{stream_id}", {"topics": ["deal"]}).status, 404)
            self.assertTrue(lynx.admin.call("POST", f"/v1/events/{stream_id}", {"topics": ["deal", "contact"]}).ok)
            last = theirs.last_id
        # Another tenant's place in its events is no way in.
        for place in (last, re.sub(r"-\d+", "-0", last)):
            with lion.admin.events("/v1/events", last_event_id=place) as resumed:
                sign = lion.admin.post("/v1/contacts", {"given_name": "sign"})["id"]
                resumed.until(lambda event: event.body.get("id") == sign)
                self.foreign(lion, lynx, resumed)

    def foreign(self, mine: Tenant, other: Tenant, heard) -> None:
        other.look_around()
        ids = {id_ for ids in other.seen.values() for id_ in ids} | other.ids
        text = " ".join(event.data for event in heard.seen)
        self.assertFalse({f"{prefix}_{rest}" for prefix, rest in TYPE_ID.findall(text)} & ids, "hears the other tenant's events")


if __name__ == "__main__":
    unittest.main(verbosity=2, warnings="ignore")
