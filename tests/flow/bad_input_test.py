#!/usr/bin/env python3
"""Whatever comes in: an error that names the field, nothing half written, and every process goes on. Every route that takes a body
gets each kind of bad input, made from the descriptors; then chance has its turn, by a seed that is printed (CRM_SEED repeats it)."""

import base64
import datetime
import http.client
import json
import os
import random
import re
import shutil
import socket
import tempfile
import time
import unittest
import urllib.parse
from pathlib import Path

from rpcs import (Catalogue, Http, Method, Native, Tenant, as_http, calm, connect_error, envelope, fingerprint, first_refusal, frames as split_frames, grpc_error, http_result,
                  is_output, parallel, rules_of, takes_bytes)
from stack import Stack, eventually

from crmlib.api import Answer, Api, Unreachable
from crmlib.console import Failure
from crmlib.dataset import FILES, made_up, read

UNLIMITED = {"gateway": {"gateway": {"rate_per_second": 1_000_000, "public_per_minute": 1_000_000}}}
BODY_BYTES_MAX = 4 << 20
FUZZ_SECONDS = 12.0
SHOWN = 40
DAYS = ("0000-00-00", "9999999-01-01", "2026-02-30", "2026-13-01", "yesterday", "20261123", "2026-11-23 ", "٢٠٢٦-١١-٢٣")
TIMES = (*DAYS, "2026-11-23", "2026-11-23T25:00:00Z", "2026-11-23T05:39:03", "10000-01-01T00:00:00Z", "0000-01-01T00:00:00Z")
SUMS = ("1e999", "NaN", "Infinity", "12345678901234567890", "1,5", "0x10", "1.1234567", "١٢", " 1", "--1", "")
IDS = ("x", "widget_01h455vb4pex5vsknk084sn02q", "contact_01H455VB4PEX5VSKNK084SN02Q", "contact_81h455vb4pex5vsknk084sn02q", "01h455vb4pex5vsknk084sn02q",
       "contact_" + "0" * 300, "' OR '1'='1", "../../etc/passwd")


def setUpModule():
    global stack, catalogue, native, tenant, targets
    stack = Stack(changes=UNLIMITED)
    stack.__enter__()
    unittest.addModuleCleanup(stack.close)
    catalogue = Catalogue(stack)
    native = Native(catalogue, stack)
    unittest.addModuleCleanup(native.close)
    tenant = Tenant(stack, catalogue, "bad")
    targets = []
    for method in catalogue.methods:
        if method.who == "service":
            continue
        if method.http and not method.streams and not any("session" in prefixes for prefixes in catalogue.id_fields(method).values()):
            tenant.settle(method, fresh=True)
        targets += [(method, number) for number, route in enumerate(method.http) if route["body"] and not takes_bytes(route)]


class Case:
    """One bad request. `names`: the field that the error must name, if any one is wrong."""

    def __init__(self, method: Method, number: int, what: str, body, names: str = "", headers: dict | None = None, path: str | None = None, statuses=(400,)):
        verb, address, _ = as_http(method, method.http[number], tenant.make(method))
        self.where = f"{verb} {method.http[number]['path']}, {what}"
        self.verb, self.path = verb, path or address
        self.body, self.names, self.headers, self.statuses = body, names, headers or {}, statuses

    def send(self):
        data = self.body if isinstance(self.body, (bytes, type(None))) else json.dumps(self.body).encode()
        if data is None or len(data) <= BODY_BYTES_MAX:
            return tenant.http.raw(self.verb, self.path, data, self.headers)
        # Refused before it has been read: a careful client reads the answer although it could not send everything.
        api = tenant.http.api
        with socket.create_connection((api.host, api.port), timeout=20) as connection:
            head = f"{self.verb} {self.path} HTTP/1.1\r\nHost: crm\r\nContent-Type: application/json\r\nContent-Length: {len(data)}\r\n"
            head += "".join(f"{name}: {value}\r\n" for name, value in tenant.http.headers.items())
            try:
                connection.sendall(head.encode() + b"\r\n" + data)
            except (BrokenPipeError, ConnectionResetError):
                pass
            response = http.client.HTTPResponse(connection)
            response.begin()
            return http_result(Answer(response.status, {}, response.read()))


class BadInput(unittest.TestCase):
    maxDiff = None  # the difference names the tables

    def setUp(self):
        self.pids = {name: process.pid for name, process in stack.processes.items()}
        self.before = calm(stack, tenant.admin.tenant_id)
        self.before_replies = fingerprint(stack, tenant.admin.tenant_id, without=("idempotency",))

    def refused(self, cases: list[Case], at_least: int) -> None:
        """Each is answered by a 4xx that names what is wrong; nothing has been written, nobody has died."""
        self.assertGreaterEqual(len(cases), at_least)
        wrong, answered = [], False
        for case, result in zip(cases, parallel(Case.send, cases)):
            answered = answered or result.ok  # a batch, none of whose items was made: its answer is kept for a repeat
            result = first_refusal(result)  # of a batch; HTTP says 200 then
            named = not case.names or any(case.names in re.split(r"[.\[\]]", field) for field in result.fields)
            if result.ok or result.status not in (*case.statuses, *((200,) if ":batch" in case.path or ":import" in case.path else ())) or not result.text or not named:
                wrong.append(f"{case.where}: HTTP {result.status} {result}" + ("" if named else f"; must name {case.names}"))
        if wrong:
            self.fail("\n".join([f"{len(wrong)} of {len(cases)} answers are wrong:", *wrong[:SHOWN]]))
        self.unharmed()
        if answered:
            self.assertEqual(fingerprint(stack, tenant.admin.tenant_id, without=("idempotency",)), self.before_replies, "a refused item has left something behind")
        else:
            self.assertEqual(fingerprint(stack, tenant.admin.tenant_id), self.before, "a refused request has left something behind")
        print(f"  {len(cases)} refused", flush=True)

    def unharmed(self) -> None:
        self.assertEqual({name: process.pid for name, process in stack.processes.items() if process.poll() is None}, self.pids, "a process has died")
        for service in stack.services:
            errors = [line for line in stack.log(service).splitlines() if '"code":"INTERNAL"' in line or '"level":"error"' in line or '"level":"critical"' in line]
            self.assertEqual(errors[:3], [], f"{service} has failed inside")


def body_of(method: Method, number: int):
    return as_http(method, method.http[number], tenant.make(method))[2]


def message_of(method: Method, number: int) -> str:
    """The message that the route's body is."""
    body = method.http[number]["body"]
    return method.input if body == "*" else next(field["message"] for field in catalogue.fields(method.input) if field["name"] == body)


def leaves(method: Method, number: int, depth: int = 3) -> list[tuple[list[str], dict]]:
    """(path in the body, field) of everything that may be sent there."""
    found = []
    root = "" if method.http[number]["body"] == "*" else method.http[number]["body"] + "."

    def walk(message: str, path: list[str]) -> None:
        for field in catalogue.fields(message):
            here = [*path, field["name"]]
            if is_output(field) or root + ".".join(here) in method.variables:
                continue
            found.append((here, field))
            if field["type"] == "message" and not field.get("map") and not field["message"].startswith("google.") and len(here) < depth:
                walk(field["message"], here)

    walk(message_of(method, number), [])
    return found


def placed(method: Method, number: int, path: list[str], value):
    """The route's valid body with this value at the path; lists on the way get as many elements as they need."""
    body = json.loads(json.dumps(body_of(method, number)))
    here, message = body, message_of(method, number)
    for name in path[:-1]:
        field = next(field for field in catalogue.fields(message) if field["name"] == name)
        catalogue.clear_beside(message, field, here)
        message = field["message"]
        inner = here.setdefault(name, [{} for _ in range(max(1, int(rules_of(field).get("min_items", 0))))] if field["repeated"] else {})
        here = inner[0] if isinstance(inner, list) else inner
    catalogue.clear_beside(message, next(field for field in catalogue.fields(message) if field["name"] == path[-1]), here)
    here[path[-1]] = value
    return body


class FieldsTest(BadInput):
    """Each field with values that it cannot have."""

    def cases(self, wrong_values, limit_nested: bool = True) -> list[Case]:
        """`wrong_values(field)` lists (what, value). Messages that stand in many places are tried in the first of each route's kind."""
        found, seen = [], set()
        for method, number in targets:
            for path, field in leaves(method, number):
                if len(path) > 1 and limit_nested:
                    key = (method.package, path[-2], path[-1], field["type"], method.http[number]["method"])
                    if key in seen:
                        continue
                    seen.add(key)
                for what, value in wrong_values(field):
                    found.append(Case(method, number, f"{'.'.join(path)} = {what}", placed(method, number, path, value), names=path[-1]))
        return found

    def test_wrong_types(self):
        def wrong(field: dict):
            kind = "map" if field.get("map") else field["type"]
            if field["repeated"] and kind != "map":
                return [("text", "x"), ("a number", 7), ("an object", {"a": 1})]
            values = {
                "string": [("a number", 5), ("an object", {}), ("a list", []), ("true", True)],
                "bytes": [("a number", 5), ("no base64", "*")],
                "bool": [("text", "yes"), ("a number", 1), ("a list", [])],
                "enum": [("an unknown name", "NO_SUCH_THING"), ("an unknown number", 9999), ("a list", [])],
                "map": [("text", "x"), ("a list", []), ("an object of objects", {"a": {"b": 1}})],
                "message": [("text", "x"), ("a number", 5), ("a list", [])],
            }
            if kind == "message" and field["message"] == "google.protobuf.Timestamp":
                return [("a number", 5), ("an object", {})]
            if kind == "message" and field["message"] == "google.protobuf.FieldMask":
                return [("a number", 5), ("an object", {})]
            return values.get(kind) or [("text", "many"), ("a fraction", 1.5), ("beyond 64 bits", 10**30), ("a list", [])]
        self.refused(self.cases(wrong), 1000)

    def test_days_and_moments(self):
        def wrong(field: dict):
            if field.get("message") == "google.protobuf.Timestamp" and not field["repeated"]:
                return [(repr(value), value) for value in TIMES]
            pattern = rules_of(field).get("pattern", "")
            if field["type"] == "string" and (field.get("info", {}).get("date") or "(0[1-9]|1[0-2])-(0[1-9]" in pattern):
                return [(repr(value), value) for value in DAYS]
            return []
        self.refused(self.cases(wrong), 60)

    def test_sums(self):
        def wrong(field: dict):
            if field["name"] == "amount" or field.get("info", {}).get("decimal") or field["name"] in ("quantity", "discount_percent"):
                if field["type"] == "string":
                    optional = re.search(rules_of(field).get("pattern") or "$^", "")
                    return [(repr(value), value) for value in (*SUMS, *(("-1",) if field["name"] != "amount" else ())) if value or not optional]
            if field["name"] == "currency_code":
                return [(repr(value), value) for value in ("eur", "EURO", "€", "E R", "12A")]
            return []
        self.refused(self.cases(wrong), 60)

    def test_ids(self):
        def wrong(field: dict):
            if field.get("info", {}).get("ref") and field["type"] == "string":
                values = [value for value in IDS if not value.startswith(field["info"]["ref"] + "_") or "H" in value or len(value) > 100]
                return [(repr(value[:40]), [value] if field["repeated"] else value) for value in values]
            return []
        self.refused(self.cases(wrong), 200)

    def test_ids_in_the_address(self):
        cases = []
        for method in catalogue.methods:
            for number, route in enumerate(method.http):
                for variable in re.findall(r"{([^}]+)}", route["path"]):
                    if not variable.endswith("id") or method.streams:
                        continue
                    for value in ("x", "widget_01h455vb4pex5vsknk084sn02q", "CONTACT_01h455vb4pex5vsknk084sn02q", "a" * 3000, "%00", "%ff%fe", "%27%20OR%201=1"):
                        verb, _, body = as_http(method, route, tenant.make(method))
                        path = re.sub(r"{([^}]+)}", lambda match: value if match[1] == variable else tenant.id("form"), route["path"])
                        case = Case(method, number, f"{variable} = {value[:40]}", body, path=path, statuses=(400, 404, 414))
                        cases.append(case)
        self.refused(cases, 200)

    def test_texts(self):
        def wrong(field: dict):
            if field["type"] != "string" or field["repeated"]:
                return []
            most = int(rules_of(field).get("max_len", 0))
            return [("NUL", "a\0b")] + ([(f"{most + 1} characters", "x" * (most + 1))] if most else [])
        self.refused(self.cases(wrong), 300)

    def test_too_many(self):
        def wrong(field: dict):
            rules = rules_of(field)
            if field.get("map"):
                return [("too many pairs", {f"k{number}": "x" for number in range(int(rules["max_pairs"]) + 1)})] if "max_pairs" in rules else []
            if not field["repeated"] or "max_items" not in rules:
                return []
            element = {"string": "x", "enum": 1}.get(field["type"], {})
            return [("too many items", [element] * (int(rules["max_items"]) + 1))]
        self.refused(self.cases(wrong), 30)

    def test_unknown_names(self):
        cases = []
        for method, number in targets:
            body = body_of(method, number)
            cases.append(Case(method, number, "an unknown name", body | {"no_such_field": 1}, "no_such_field"))
            for name in body:
                camel = re.sub(r"_([a-z])", lambda match: match[1].upper(), name)
                if camel != name:
                    cases.append(Case(method, number, "camel case", {camel if key == name else key: value for key, value in body.items()}, camel))
                if isinstance(body[name], dict) and catalogue.messages.get(next((field.get("message", "") for field in catalogue.fields(message_of(method, number))
                                                                                if field["name"] == name), "")):
                    cases.append(Case(method, number, "an unknown name within", body | {name: body[name] | {"no_such_field": 1}}, "no_such_field"))
            cases.append(Case(method, number, "an unknown parameter", body, "no_such_parameter", path=Case(method, number, "", {}).path + "?no_such_parameter=1"))
        self.refused(cases, 120)


class BodiesTest(BadInput):
    """Bodies that are none."""

    def each(self, what: str, make, **more) -> list[Case]:
        return [Case(method, number, what, make(json.dumps(body_of(method, number))), **more) for method, number in targets]

    def test_broken_json(self):
        cases = []
        for what, make in {
                "cut off": lambda text: text[:-1], "an open brace": lambda _: "{", "a list": lambda _: "[]", "text": lambda _: '"x"', "null": lambda _: "null",
                "a comma at the end": lambda text: text[:-1] + ",}", "single quotes": lambda _: "{'a': 1}", "a second value": lambda text: text + "{}",
                "a comment": lambda text: text + " // done", "NaN": lambda text: text[:-1] + (", " if len(text) > 2 else "") + '"x": NaN}',
                "no quotes": lambda _: "{a: 1}", "a control character": lambda _: '{"a\n": 1}', "a bad escape": lambda _: r'{"\x41": 1}',
                "a lone surrogate": lambda _: r'{"\ud800": 1}', "XML": lambda _: "<a/>"}.items():
            cases += self.each(what, lambda text, make=make: make(text).encode())
        for what, make in {"a NUL byte": lambda text: text.replace(b"{", b"{\0", 1), "UTF-16": lambda text: text.decode().encode("utf-16"),
                           "bad UTF-8": lambda text: b'{"\xff\xfe": 1}', "an overlong slash": lambda text: b'{"\xc0\xaf": 1}', "bytes": lambda _: bytes(range(256))}.items():
            cases += self.each(what, lambda text, make=make: make(text.encode()))
        self.refused(cases, 1000)

    def test_bad_text_inside_fields(self):
        cases = []
        for method, number in targets:
            for path, field in leaves(method, number, depth=1):
                if field["type"] == "string" and not field["repeated"]:
                    body = json.dumps(placed(method, number, path, "@@")).encode()
                    for what, value in {"bad UTF-8": b"\xff\xfe", "a cut sequence": b"\xe2\x82", "a raw NUL": b"\0", "a surrogate in UTF-8": b"\xed\xa0\x80"}.items():
                        cases.append(Case(method, number, f"{path[0]} = {what}", body.replace(b"@@", value)))
        self.refused(cases, 600)

    def test_names_twice(self):
        cases = []
        for method, number in targets:
            for name, value in body_of(method, number).items():
                text = json.dumps(body_of(method, number))
                cases.append(Case(method, number, f"{name} twice", f"{text[:-1]}, {json.dumps(name)}: {json.dumps(value)}}}".encode(), name))
                break
        self.refused(cases, 30)

    def test_deep_nesting(self):
        cases = self.each("lists 100,000 deep", lambda _: b'{"a":' + b"[" * 100_000)
        cases += self.each("objects 10,000 deep", lambda _: b'{"a":' * 10_000 + b"1" + b"}" * 10_000)
        for method, number in targets:
            for path, field in leaves(method, number, depth=1):
                if field["type"] == "message" and not field["message"].startswith("google."):
                    inner: object = "x"
                    for _ in range(200):
                        inner = [inner]
                    cases.append(Case(method, number, f"{path[0]} 200 lists deep", placed(method, number, path, inner)))
        self.refused(cases, 120)

    def test_content_types(self):
        cases = []
        for kind in ("text/plain", "application/xml", "application/json; charset=utf-16", "multipart/form-data; boundary=x", "application/octet-stream", "json", ""):
            cases += self.each(f"Content-Type: {kind!r}", lambda text: text.encode(), headers={"Content-Type": kind}, statuses=(400, 415))
        cases += self.each("compressed", lambda text: text.encode(), headers={"Content-Encoding": "br"}, statuses=(415,))
        self.refused(cases, 300)

    def test_too_large(self):
        cases = self.each("one byte above 4 MiB", lambda text: text.encode() + b" " * (BODY_BYTES_MAX + 1 - len(text)), statuses=(413,))
        wide = [Case(method, number, f"{path[0]} of 10 MB", json.dumps(placed(method, number, path, "x" * 10_000_000)).encode(), statuses=(413,))
                for method, number in targets[::6] for path, field in leaves(method, number, depth=1)[:1] if field["type"] == "string" and not field["repeated"]]
        wide += [Case(*targets[0], "10 MB", b"[" * 10_000_000, statuses=(413,))]
        long = [Case(method, number, f"{path[0]} of 3.9 MB", placed(method, number, path, "x" * 3_900_000), names=path[0])
                for method, number in targets for path, field in leaves(method, number, depth=1)
                if field["type"] == "string" and not field["repeated"] and "max_len" in rules_of(field)][::4]
        self.refused(cases + wide + long, 100)

    def test_bodies_where_there_are_none(self):
        cases = [Case(method, number, "a body", {"a": 1}) for method in catalogue.methods for number, route in enumerate(method.http)
                 if not route["body"] and not method.streams]
        self.refused(cases, 40)


class AddressesTest(BadInput):
    """Parameters and headers."""

    def test_parameters(self):
        cases = []
        for method in catalogue.methods:
            for number, route in enumerate(method.http):
                if route["method"] != "GET" or method.streams:
                    continue
                fields = {field["name"]: field for field in catalogue.fields(method.input)}
                _, path, _ = as_http(method, route, tenant.make(method))
                sign = "&" if "?" in path else "?"

                def bad(name: str, value: str):
                    cases.append(Case(method, number, f"{name}={value[:40]}", None, names=name if name in fields and value != "%00" else "", path=f"{path}{sign}{name}={value}"))
                for value in ("x", "-1", "1.5", "99999999999999999999", "%00", "1%2C000"):
                    if fields.get("page_size"):
                        bad("page_size", value)
                for value in ("x", "%ff", "AAAA", "../..", "-1"):
                    if "page_token" in fields:
                        cases.append(Case(method, number, f"page_token={value}", None, path=f"{path}{sign}page_token={value}"))
                for value in ("no_such_field%20%3D%201", "(", "a%20AND", "%22", "create_time%20%3E%20%22yesterday%22", "id%20%3D%20%22x%22", "(" * 500, "NOT%20" * 300 + "a%3D1",
                              "create_time%20%3D%20%229999999-01-01%22", "%00"):
                    if "filter" in fields:
                        cases.append(Case(method, number, f"filter={value[:40]}", None, path=f"{path}{sign}filter={value}"))
                for value in ("no_such_field", "id%20sideways", "id%2Cid%2Cid%2Cid%2Cid%2Cid", "id%3B%20drop%20table%20contact", "%00", "etag"):
                    if "order_by" in fields:
                        cases.append(Case(method, number, f"order_by={value}", None, path=f"{path}{sign}order_by={value}"))
                for name, field in fields.items():
                    if field["type"] == "enum":
                        bad(name, "NO_SUCH_THING")
                    if field["type"] == "bool":
                        bad(name, "maybe")
                    if field["type"] == "string" and "max_len" in rules_of(field) and int(rules_of(field)["max_len"]) < 2000 and name not in ("id",):
                        bad(name, "x" * (int(rules_of(field)["max_len"]) + 1))
                for name, field in fields.items():
                    for inner in catalogue.messages.get(field.get("message", ""), {}).get("fields", []) if not field["repeated"] else []:
                        dates = "(0[1-9]|1[0-2])-(0[1-9]" in rules_of(inner).get("pattern", "")
                        for value in DAYS[:5] if dates else ("Nowhere/City",) if inner["name"] == "time_zone" else ():
                            cases.append(Case(method, number, f"{name}.{inner['name']}={value}", None, names=inner["name"],
                                              path=f"{path}{sign}{name}.{inner['name']}={urllib.parse.quote(value)}"))
                cases.append(Case(method, number, "an unknown parameter", None, names="nothing", path=f"{path}{sign}nothing=1"))
                cases.append(Case(method, number, "an unknown expansion", None, names="expand", path=f"{path}{sign}expand=nothing"))
                cases.append(Case(method, number, "bad escapes", None, path=f"{path}{sign}%zz=1"))
        self.refused(cases, 300)

    def test_headers(self):
        cases = []
        for method, number in targets:
            body = body_of(method, number)
            if not method.reads:
                for key in ("x" * 101, "two words", "ключ".encode().decode("latin-1"), '""'):
                    cases.append(Case(method, number, f"Idempotency-Key: {key[:20]}", body, names="Idempotency-Key", headers={"Idempotency-Key": key}))
                cases.append(Case(method, number, "If-Match: x", body, names="If-Match", headers={"If-Match": "x"}))
            cases.append(Case(method, number, "X-Timeout: soon", body, names="X-Timeout", headers={"X-Timeout": "soon"}))
            cases.append(Case(method, number, "Crm-Time-Zone: here; now", body, names="Crm-Time-Zone", headers={"Crm-Time-Zone": "here; now"}))
        self.refused(cases, 250)

    def test_a_key_with_another_body(self):
        cases = []
        writes = [(method, number) for method, number in targets if not method.reads and method.who != "public"]
        for method, number in writes:
            body = body_of(method, number)
            change = next(((path, field) for path, field in leaves(method, number, depth=1) if field["type"] == "string" and not field["repeated"]
                           and not field.get("info") and path[0] not in ("etag", "request_id") and not rules_of(field).get("pattern")), None)
            if not change or method.short in ("ChangePassword",):
                continue
            fresh = as_http(method, method.http[number], tenant.make(method, fresh=True))
            key = f"same-{len(cases)}-{time.monotonic_ns()}"
            first = tenant.http.raw(*fresh, {"Idempotency-Key": key})
            if not first.ok:
                continue
            again = tenant.http.raw(*fresh, {"Idempotency-Key": key})
            self.assertTrue(again.ok, f"{method}: the same again must be answered as before, not {again}")
            other = json.loads(json.dumps(fresh[2]))
            other[change[0][0]] = "something else"
            cases.append(Case(method, number, f"a used key with another {change[0][0]}", other, headers={"Idempotency-Key": key}, path=fresh[1]))
        before = calm(stack, tenant.admin.tenant_id)  # after the first, good ones
        results = [case.send() for case in cases]
        # What the record's state forbids or has done already may be said as well; nothing may be done.
        wrong = [f"{case.where}: {result}" for case, result in zip(cases, results) if result.reason not in ("IDEMPOTENCY_KEY_REUSED", "STATE_INVALID") and not result.ok]
        self.assertEqual(wrong, [])
        self.assertGreater(sum(result.reason == "IDEMPOTENCY_KEY_REUSED" for result in results), 20)
        self.assertEqual(fingerprint(stack, tenant.admin.tenant_id), before, "a used key with another body has written something")
        self.unharmed()

    def test_what_is_no_http(self):
        url = tenant.http.api
        for text in (b"", b"\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"\x16\x03\x01\x02\x00", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
                     b"GET /v1/contacts HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", b"POST /v1/contacts HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
                     b"POST /v1/contacts HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
                     b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n\r\n", b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 5000 + b"\r\n",
                     b"GET /v1/contacts HTTP/1.1\r\nHost: a\r\nA\0B: c\r\n\r\n", random.Random(1).randbytes(2000)):
            with socket.create_connection((url.host, url.port), timeout=10) as connection:
                connection.sendall(text)
                connection.shutdown(socket.SHUT_WR)
                answer = b""
                try:
                    while part := connection.recv(65536):
                        answer += part
                except ConnectionResetError:
                    pass
                if answer:  # or closed without a word, where there was nothing to answer
                    self.assertRegex(answer, rb"^HTTP/1\.[01] (4\d\d|505) ", text[:60])
        self.unharmed()
        self.assertTrue(tenant.http.raw("GET", "/v1/contacts").ok)


class NativeTest(BadInput):
    """At the services' own addresses, past the gateway."""

    def test_bytes_that_are_no_message(self):
        dice = random.Random(7)
        headers = {"authorization": f"Bearer {tenant.admin.token}"}
        items = []
        for method, service in catalogue.walked:
            if method.streams:
                continue
            mine = headers if method.who != "service" else {"crm-tenant": tenant.admin.tenant_id}
            for text in ("ff", "0a", "0affffffff0f", "0a02fffe", "0a03610062", "0b" * 200, "1a" + "0a" * 3000, dice.randbytes(400).hex(), "08" + "ff" * 9 + "7f"):
                items.append((method, service, mine, text))
        wrong = []
        for (method, service, _, text), result in zip(items, parallel(lambda item: native.call(item[0], item[1], {}, item[2], hex_=item[3]), items)):
            if result.code in ("INTERNAL", "UNKNOWN", "DATA_LOSS", "UNAVAILABLE", "DEADLINE_EXCEEDED"):
                wrong.append(f"{service}: {method} {text[:40]}: {result}")
        self.assertEqual(wrong[:SHOWN], [])
        self.unharmed()

    def test_too_large(self):
        headers = {"authorization": f"Bearer {tenant.admin.token}"}
        for service in catalogue.services:
            method = next(method for method, home in catalogue.walked if home == service and not method.streams and method.who == "right")
            result = native.call(method, service, {}, headers, hex_="0a" + "8080808004" + "00")  # a length beyond the message
            self.assertEqual((result.code, result.reason), ("INVALID_ARGUMENT", "BODY_INVALID"), f"{service}: {result}")
            big = BODY_BYTES_MAX + 1
            length = bytes([big & 127 | 128, big >> 7 & 127 | 128, big >> 14 & 127 | 128, big >> 21]).hex()
            result = native.call(method, service, {}, headers, hex_="0a" + length + "61" * big)
            self.assertIn(result.reason, ("TOO_LARGE", "BODY_INVALID"), f"{service}: {result}")
        self.unharmed()


class RpcSurfacesTest(BadInput):
    """Connect and gRPC-Web: bodies and frames that are none, at every rpc."""

    def test_bodies_that_are_no_message(self):
        before = fingerprint(stack, tenant.admin.tenant_id, without=("delivery",))  # webhooks are tried again meanwhile
        dice = random.Random(11)
        texts = [b"[]", b'"text"', b"1", b"{", b'{"a": }', b"\xff\xfe", b'{"no_such_field_of_anybody": 1}', b'{"a": ' + b"[" * 3000, dice.randbytes(300)]
        frames = [b"", b"\0", b"\0\0\0", b"\0\x7f\xff\xff\xff{}", b"\0\0\0\0\x02{}" * 2, b"\x01\0\0\0\x02{}", b"\x40\0\0\0\x02{}", dice.randbytes(300), *map(envelope, texts)]
        items = []
        for method in catalogue.methods:
            if method.who == "service" or not catalogue.services_of(method) or method.package.split(".")[1] in ("type", "events"):
                continue
            if method.streams:
                items += [(method, "application/connect+json", text) for text in frames]
            else:
                items += [(method, "application/json", text) for text in texts]
            items += [(method, "application/grpc-web+json", text) for text in frames]
            items += [(method, "application/grpc-web-text+json", text) for text in (b"????", b"AAAA", b"%00")]

        def ask(item):
            method, kind, text = item
            status, data = tenant.http.send(method, text, kind)
            if status != 200:
                return status, connect_error(status, data)
            [(flags, told)] = split_frames(base64.b64decode(data) if "-text" in kind else data)
            if flags & 0x80:
                trailers = dict(line.split(": ", 1) for line in told.decode().split("\r\n") if line)
                return status, grpc_error(trailers, status)
            return status, connect_error(status, json.dumps(json.loads(told)["error"]).encode())

        wrong = [f"{method} {kind} {text[:30]!r}: HTTP {status} {result}" for (method, kind, text), (status, result) in zip(items, parallel(ask, items))
                 if result.code != "INVALID_ARGUMENT" or not result.reason]
        self.assertEqual(wrong[:SHOWN], [])
        self.assertGreater(len(items), 1000)
        self.unharmed()
        self.assertEqual(fingerprint(stack, tenant.admin.tenant_id, without=("delivery",)), before, "a refused request has left something behind")
        print(f"  {len(items)} refused", flush=True)


class CsvTest(BadInput):
    """tools/crm demo DIR: files that are none are refused before anything is sent, by file, line and column."""

    def folder(self, name: str | None = None, change=None) -> Path:
        folder = Path(tempfile.mkdtemp(prefix="crm-csv-"))
        self.addCleanup(shutil.rmtree, folder)
        data = made_up(datetime.date(2026, 11, 23), customers=5, suppliers=3, products=6, orders=8)
        for file, columns in FILES.items():
            lines = [",".join(columns)] + [",".join(f'"{row[column]}"' for column in columns) for row in getattr(data, file)]
            text = ("\n".join(lines) + "\n").encode()
            (folder / f"{file}.csv").write_bytes(change(text) if file == name and change else text)
        return folder

    def test_good_files_are_read(self):
        self.assertEqual(len(read(self.folder()).orders), 8)

    def test_files_that_are_none(self):
        for what, change in {
                "empty": lambda _: b"", "binary": lambda _: bytes(range(256)) * 10, "a NUL": lambda text: text.replace(b"\n", b"\n\0", 1),
                "Latin-1": lambda text: text + 'x,"M\xfcller"'.encode("latin-1"), "HTML": lambda _: b"<html><body>Not found</body></html>\n",
                "JSON": lambda _: b'[{"customer_id": 1}]\n', "semicolons": lambda text: text.replace(b",", b";"), "no first line": lambda text: text.split(b"\n", 1)[1],
                "an open quote": lambda text: text + b'"open', "a field of 10 MB": lambda text: text + b'"' + b"x" * 10_000_000 + b'"\n',
                "UTF-16": lambda text: text.decode().encode("utf-16")}.items():
            for name in FILES:
                with self.subTest(what=what, file=name), self.assertRaisesRegex(Failure, rf"{name}\.csv"):
                    read(self.folder(name, change))
        folder = self.folder()
        (folder / "orders.csv").unlink()
        with self.assertRaisesRegex(Failure, r"orders\.csv is missing"):
            read(folder)
        self.unharmed()

    def test_values_that_are_none(self):
        for name, column, values in (
                ("orders", "order_date", (*DAYS[:5], "")), ("orders", "required_date", ("2026-02-30",)), ("orders", "shipped_date", ("soon",)),
                ("orders", "customer_id", ("nobody", "")), ("orders", "employee_id", ("nobody",)), ("orders", "order_id", ("",)),
                ("order_details", "unit_price", ("1e999", "NaN", "", "-1", "12345678901234567890", "1,5")), ("order_details", "quantity", ("many", "-1", "")),
                ("order_details", "discount", ("2", "-0.1", "half")), ("order_details", "product_id", ("nothing",)), ("order_details", "order_id", ("nothing",)),
                ("products", "unit_price", ("cheap", "1e999", "-1")), ("employees", "reports_to", ("nobody",)), ("customers", "company_name", ("",)),
                ("customers", "customer_id", ("",))):
            for value in values:
                def change(text: bytes) -> bytes:
                    lines = text.decode().split("\n")
                    cells = lines[2].split('","')
                    place = FILES[name].index(column)
                    cells[place] = ('"' if place == 0 else "") + value + ('"' if place == len(cells) - 1 else "")
                    lines[2] = '","'.join(cells)
                    return "\n".join(lines).encode()
                with self.subTest(file=name, column=column, value=value), self.assertRaisesRegex(Failure, rf"{name}\.csv.*line 3.*{column}"):
                    read(self.folder(name, change))
        for name, column in (("customers", "customer_id"), ("products", "product_id"), ("orders", "order_id"), ("employees", "employee_id")):
            with self.subTest(file=name, twice=column), self.assertRaisesRegex(Failure, rf"{name}\.csv.*{column}.*twice"):
                read(self.folder(name, lambda text: text + text.split(b"\n")[1] + b"\n"))


class ZFuzzTest(BadInput):
    """Chance, after everything else: requests with a few changes, good ones among them."""

    def test_fuzz(self):
        seed = int(os.environ.get("CRM_SEED") or time.time())
        print(f"  CRM_SEED={seed}", flush=True)
        deadline = time.monotonic() + FUZZ_SECONDS
        api = Api(stack.instance.url, tenant.admin.token)
        harmless = [(method, number) for method, number in targets if method.short not in ("SignUp", "CreateSession", "ChangePassword", "SuspendUser", "UpdateRole", "UpdateUser")]

        def one(number: int) -> str:
            if time.monotonic() > deadline:
                return ""
            dice = random.Random(seed * 1_000_003 + number)
            method, route = dice.choice(harmless)
            verb, path, body = as_http(method, method.http[route], tenant.make(method))
            data = self.mutate(dice, body)
            if dice.random() < 0.2:
                path = "/" + urllib.parse.quote(self.mutate_text(dice, path[1:]), safe="/:?&=%_.+,;@!$'()*~-")
            try:
                answer = api.call(verb, path, data, {"Content-Type": dice.choice(["application/json"] * 9 + ["application/x-www-form-urlencoded"])})
            except Unreachable as error:
                return f"{number}: {verb} {path!r}: {error!r}"
            result = http_result(answer)
            return f"{number}: {verb} {path} {data[:300]!r}: HTTP {answer.status} {result}" if answer.status >= 500 and answer.status != 501 or result.code == "UNKNOWN" else "ok"

        wrong, done, number = [], 0, 0
        while time.monotonic() < deadline:
            results = parallel(one, range(number, number + 500))
            number += 500
            wrong += [result for result in results if result not in ("", "ok")]
            done += results.count("ok")
        print(f"  {done} requests", flush=True)
        self.assertEqual(wrong[:SHOWN], [], f"CRM_SEED={seed}")
        self.assertGreater(done, 500)
        self.unharmed()
        # Still in order: what was accepted is whole, and everybody agrees about it.
        eventually(lambda: tenant.http.raw("POST", "/v1/reports:recount", {}).body["equal"], 30, "projections equal their recount")
        for method in catalogue.makers.values():
            result, request = tenant.settle(method)
            self.assertTrue(result.ok, f"{method} {request}: {result}")

    def mutate(self, dice: random.Random, body) -> bytes:
        body = json.loads(json.dumps(body))
        for _ in range(dice.randint(1, 3)):
            holders = []

            def walk(value):
                if isinstance(value, (dict, list)) and value:
                    holders.append(value)
                    for inner in value.values() if isinstance(value, dict) else value:
                        walk(inner)
            walk(body)
            if not holders:
                break
            holder = dice.choice(holders)
            key = dice.choice(list(holder) if isinstance(holder, dict) else range(len(holder)))
            holder[key] = self.value(dice, holder[key])
        text = json.dumps(body, ensure_ascii=dice.random() < 0.5).encode("utf-8", "surrogatepass")
        if dice.random() < 0.3:
            raw = bytearray(text)
            for _ in range(dice.randint(1, 4)):
                raw[dice.randrange(len(raw))] = dice.randrange(256)
            text = bytes(raw)
        return text

    def value(self, dice: random.Random, old):
        return dice.choice([
            lambda: None, lambda: [], lambda: {}, lambda: [old, old], lambda: {"a": old}, lambda: dice.choice([0, -1, 1, 2**31, 2**63, 2**64, -2**63, 1e308, 0.1]),
            lambda: dice.choice(["", " ", "\0", "\u202e", "e\u0301", "\ud800", "😀" * 50, "x" * dice.choice([10, 100, 1000, 20000]), "%s%n", "';--", "-0", "1e5", "null"]),
            lambda: dice.choice([True, False]), lambda: dice.choice(SUMS + DAYS + TIMES + IDS), lambda: self.mutate_text(dice, str(old)),
            lambda: "".join(chr(dice.choice([dice.randrange(32, 127), dice.randrange(0x400, 0x600), dice.randrange(0x10000, 0x10ffff)])) for _ in range(dice.randint(1, 30)))])()

    @staticmethod
    def mutate_text(dice: random.Random, text: str) -> str:
        letters = list(text)
        for _ in range(dice.randint(1, 3)):
            place = dice.randrange(len(letters) + 1)
            letters[place:place + dice.randint(0, 2)] = dice.choice(["", "a", "%", "/", ":", "_", "0", "Z", "?", "&", "=", "é"])
        return "".join(letters)


if __name__ == "__main__":
    unittest.main(verbosity=2, warnings="ignore")
