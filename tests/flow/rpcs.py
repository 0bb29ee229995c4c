"""Every rpc as the descriptor set says it, with requests made from the fields' rules, sent over HTTP and over gRPC. For tests
that walk the whole API: a new rpc, field or record is walked without touching them."""

import base64
import dataclasses
import http.client
import itertools
import json
import re
import subprocess
import tempfile
import threading
import time
import urllib.parse
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path

from envelopes import GRPC_CODES, envelope, frames, wire_fields
from stack import PASSWORD, Stack, eventually

from crmlib import letterbox
from crmlib.api import Api

TYPE_ID = re.compile(r"\b([a-z]+(?:_[a-z]+)*)_([0-7][0-9a-hjkmnp-tv-z]{25})\b")
# Fields that say how a call is made, not what it is about.
ENVELOPE = {"request_id", "etag", "page_size", "page_token", "filter", "order_by", "view", "count", "show_deleted", "update_mask"}
# What a pattern rule may want; the first that fits is taken.
PATTERN_SAMPLES = ("7.50", "12", "EUR", "DE", "en", "2026-11-23", "09:30", "18:00", "#336699", "contact", "abc", "deal.moved", "https://hooks.example.com/crm")


@dataclasses.dataclass(frozen=True)
class Result:
    """The same for both surfaces."""
    code: str     # "OK", "NOT_FOUND"
    reason: str   # "RECORD_NOT_FOUND"
    text: str     # the message
    fields: tuple  # violations
    metadata: dict
    body: object  # the reply
    status: int = 0  # of HTTP

    @property
    def ok(self) -> bool:
        return self.code == "OK"

    def __str__(self) -> str:
        return self.code if self.ok else f"{self.code}/{self.reason} {self.text[:300]!r} {list(self.fields)}"


@dataclasses.dataclass(frozen=True)
class Method:
    name: str      # "crm.contact.v1.ContactService.GetContact"
    package: str
    access: dict   # {"who": "right", "object": "contact", "action": "ACTION_READ"}
    http: tuple    # ({"method": "GET", "path": "/v1/contacts/{id}", "body": ""}, ...)
    reads: bool
    streams: bool
    input: str
    output: str

    @property
    def who(self) -> str:
        return self.access["who"]

    @property
    def right(self) -> tuple[str, str]:
        return self.access["object"], self.access["action"]

    @property
    def short(self) -> str:
        return self.name.rsplit(".", 1)[1]

    @property
    def variables(self) -> list[str]:
        """Field paths in the address."""
        return [name.split("=")[0] for route in self.http[:1] for name in re.findall(r"{([^}]+)}", route["path"])]

    def __str__(self) -> str:
        return self.name.removeprefix("crm.")


class Catalogue:
    def __init__(self, stack: Stack):
        self.descriptors = stack.instance.build / "crm.binpb"
        self.tool = stack.instance.build / "bin/crm-describe"
        described = json.loads(subprocess.run([self.tool, self.descriptors], stdout=subprocess.PIPE, check=True).stdout)
        self.methods = [Method(**{key: tuple(value) if isinstance(value, list) else value for key, value in method.items()})
                        for method in described["methods"]]
        self.messages, self.enums = described["messages"], described["enums"]
        self.services = [service for service in stack.instance.services if service in stack.services and service != "gateway"]

    def services_of(self, method: Method) -> list[str]:
        """Whose addresses answer it: its package's service; for shared packages, every service."""
        name = method.package.split(".")[1]
        if name in self.services:
            return [name]
        return self.services if name in ("type", "events") else []

    @cached_property
    def walked(self) -> list[tuple[Method, str]]:
        """Every rpc at every service that should answer it."""
        return [(method, service) for method in self.methods for service in self.services_of(method)]

    @cached_property
    def records(self) -> dict[str, str]:
        """Id prefix -> message."""
        return {message["record"]["prefix"]: name for name, message in self.messages.items() if "record" in message}

    def record(self, prefix: str) -> dict:
        return self.messages[self.records[prefix]]["record"]

    def home(self, prefix: str) -> str:
        """The service that owns these records; "" for ids of no record (stages, sessions)."""
        return self.records[prefix].split(".")[1] if prefix in self.records else ""

    @cached_property
    def makers(self) -> dict[str, Method]:
        """Id prefix -> the rpc that makes such a record: the one that takes it whole, answers it and is called Create."""
        found = {}
        for prefix, name in self.records.items():
            for method in self.methods:
                takes = [field["name"] for field in self.fields(method.input) if field.get("message") == name and not field["repeated"]]
                if method.short.startswith("Create") and method.output == name and takes:
                    found[prefix] = method
        return found

    def fields(self, message: str) -> list[dict]:
        return self.messages[message]["fields"]

    def rights(self) -> list[tuple[str, str]]:
        return sorted({method.right for method in self.methods if method.who == "right"})

    def objects(self) -> list[str]:
        return sorted({object_ for object_, _ in self.rights()} | set(self.records))

    def actions(self) -> list[str]:
        return [name for name in self.enums["crm.type.v1.Action"] if name != "ACTION_UNSPECIFIED"]

    def clear_beside(self, message: str, field: dict, here: dict) -> None:
        """Takes out what cannot be given together with the field: others of its oneof."""
        for other in self.fields(message) if field.get("oneof") else ():
            if other.get("oneof") == field["oneof"] and other["name"] != field["name"]:
                here.pop(other["name"], None)

    def with_value(self, method: Method, request: dict, path: str, value) -> dict:
        """A copy of the request with the value at the path; messages on the way are made, lists keep or get one element."""
        copy = json.loads(json.dumps(request))
        here, message = copy, method.input
        for name in path.split("."):
            field = next(field for field in self.fields(message) if field["name"] == name)
            self.clear_beside(message, field, here)
            if path.endswith(name) and field["type"] != "message":
                here[name] = [value] if field["repeated"] else value
                break
            message = field["message"]
            inner = here.setdefault(name, [] if field["repeated"] else {})
            if isinstance(inner, list):
                inner[:] = inner[:1] or [{}]
                inner = inner[0]
            here = inner
        return copy

    def id_fields(self, method: Method, depth: int = 4) -> dict[str, tuple[str, ...]]:
        """Path in the request -> prefixes that may stand there. Fields in the address without a `ref` take the ids of what the
        rpc answers, or of what its service is called after."""
        found: dict[str, tuple[str, ...]] = {}

        def walk(message: str, path: str, level: int) -> None:
            for field in self.fields(message):
                here = path + field["name"]
                ref = field.get("info", {}).get("ref")
                written = "OUTPUT_ONLY" not in field.get("behavior", []) or here in method.variables
                if not written or field.get("map"):
                    continue
                if ref:
                    found[here] = tuple(self.records) if ref == "*" else tuple(ref.split(","))
                elif here in method.variables and field["type"] == "string":
                    record = self.messages[method.output].get("record", {}).get("prefix")
                    found[here] = (record or re.sub(r"(?<!^)(?=[A-Z])", "_", method.name.split(".")[-2].removesuffix("Service")).lower(),)
                elif field["type"] == "message" and level < depth and not field["message"].startswith("google."):
                    walk(field["message"], here + ".", level + 1)

        walk(method.input, "", 0)
        return found


def is_output(field: dict) -> bool:
    return "OUTPUT_ONLY" in field.get("behavior", [])


def rules_of(field: dict) -> dict:
    """The rules of the field's own kind, e.g. what stands under `string`."""
    rules = field.get("rules", {})
    return next((value for key, value in rules.items() if isinstance(value, dict)), {})


def is_needed(field: dict) -> bool:
    """Whether the rules refuse the field's default."""
    rules, own = field.get("rules", {}), rules_of(field)
    if rules.get("required") or "REQUIRED" in field.get("behavior", []):
        return True
    if int(own.get("min_len", 0)) > 0 or int(own.get("min_items", 0)) > 0 or int(own.get("min_pairs", 0)) > 0:
        return True
    if field["repeated"] or field["type"] == "message":
        return False
    if field["type"] == "enum" and 0 in own.get("not_in", []):
        return True
    if float(own.get("gte", 0)) > 0 or float(own.get("gt", -1)) >= 0:
        return True
    return bool(own.get("pattern")) and not re.search(own["pattern"], "")


@dataclasses.dataclass
class Recipe:
    """What a request needs beyond the rules: fields that only the rpc's own code asks for, and bodies too intricate for rules, taken
    from a record that exists."""
    forced: set[str] = dataclasses.field(default_factory=set)
    copies: dict = dataclasses.field(default_factory=dict)


class Requests:
    """Makes requests that obey every rule the descriptors tell. Texts begin with `mark`. `hints`: values of fields that no rule could
    tell, by name."""

    def __init__(self, catalogue: Catalogue, mark: str = "", hints: dict[str, str] | None = None):
        self.catalogue, self.mark, self.hints = catalogue, mark, hints or {}
        self.numbers = itertools.count(int(time.time() * 1000) % 10**9)

    def make(self, method: Method, recipe: Recipe, ids) -> dict:
        """`ids(prefix)` answers an id to refer to."""
        making = Making(self, method, recipe, ids)
        request = making.message(method.input, "")
        if making.mask and isinstance(request.get(making.body), dict):
            if len(request[making.body]) <= 1:  # the id alone, or not even that where there is but one
                request[making.body] |= making.title()
            request[making.mask] = ",".join(name for name in request[making.body] if f"{making.body}.{name}" not in method.variables)
        return request


class Making:
    """One request in the making."""

    def __init__(self, requests: Requests, method: Method, recipe: Recipe, ids):
        self.requests, self.catalogue, self.method, self.recipe, self.ids = requests, requests.catalogue, method, recipe, ids
        self.forced = set(method.variables) | recipe.forced
        self.places = self.catalogue.id_fields(method)
        self.body = method.http[0]["body"] if method.http else ""
        self.mask = next((field["name"] for field in self.catalogue.fields(method.input) if field.get("message") == "google.protobuf.FieldMask"), None)

    def message(self, name: str, path: str) -> dict:
        out = {}
        if path.removesuffix(".") in self.recipe.copies:
            out |= self.recipe.copies[path.removesuffix(".")]()
        chosen: set[str] = set()
        for field in self.catalogue.fields(name):
            here = path + field["name"]
            wanted = here in self.forced or any(one.startswith(here + ".") for one in self.forced)
            if field["name"] in out and not wanted:
                continue
            possible = not is_output(field) and not (self.mask and "IMMUTABLE" in field.get("behavior", []))
            if wanted or (possible and (is_needed(field) or field["name"] == "enabled")):
                if field.get("oneof") in chosen:
                    continue
                chosen |= {field["oneof"]} if field.get("oneof") else set()
                out[field["name"]] = self.value(field, here)
        return out

    def title(self) -> dict:
        """Something harmless to change."""
        [field] = [field for field in self.catalogue.fields(self.method.input) if field["name"] == self.body]
        for inner in self.catalogue.fields(field["message"]):
            if is_plain_text(inner) and not inner.get("info") and "IMMUTABLE" not in inner.get("behavior", []):
                return {inner["name"]: self.value(inner, f"{self.body}.{inner['name']}")}
        # No text: whatever else may be set.
        for inner in self.catalogue.fields(field["message"]):
            if not is_output(inner) and not inner.get("info") and "IMMUTABLE" not in inner.get("behavior", []):
                return {inner["name"]: self.value(inner, f"{self.body}.{inner['name']}")}
        return {}

    def value(self, field: dict, here: str):
        own = rules_of(field)
        if field.get("map"):
            return {"key": "value"}
        if field["repeated"]:
            items = {**field, "repeated": False, "rules": own.get("items", {})}
            return [self.value(items, here) for _ in range(max(1, int(own.get("min_items", 1))))]
        kind = field["type"]
        if kind == "message":
            special = {"google.protobuf.Timestamp": "2026-11-23T05:39:03Z", "google.protobuf.Duration": "3s", "google.protobuf.FieldMask": "name"}
            if field["name"] in ("due_time", "until_time"):
                return "2036-11-23T05:39:03Z"  # what has come due changes by itself
            if field["message"] in special:
                return special[field["message"]]
            return self.message(field["message"], here + ".")
        if kind == "enum":
            names = self.catalogue.enums[field["enum"]]
            return names[1] if len(names) > 1 else names[0]
        if kind == "bool":
            # What cannot be posted would be tried again by itself; what a rule does would come at any time.
            return here not in ("webhook.enabled", "rule.enabled")
        if kind == "bytes":
            return base64.b64encode(b"x").decode()
        if kind == "string":
            return self.text(field, own, here)
        number = max(float(own.get("gte", 1)), float(own["gt"]) + 1 if "gt" in own else 1)
        number = min(number, float(own.get("lte", number)))
        return number if kind in ("double", "float") else str(int(number)) if "64" in kind else int(number)

    def text(self, field: dict, own: dict, here: str) -> str:
        name, number = field["name"], next(self.requests.numbers)
        if here in self.places:
            return self.ids(self.places[here][0])
        if name in self.requests.hints:
            return self.requests.hints[name]
        if own.get("in"):
            return next((one for one in own["in"] if one), "")
        if name == "url":
            return f"https://{self.requests.mark or 'walls'}.example.com/{number}"
        if own.get("email") or name in ("email", "address"):
            return f"x{number}@{self.requests.mark or 'walls'}.example.com"
        if own.get("pattern"):
            fitting = [one for one in PATTERN_SAMPLES if re.search(own["pattern"], one) and len(one) <= int(own.get("max_len", 99))]
            assert fitting, f"{self.method}: no sample fits the pattern of {here}, {own['pattern']}: add one to PATTERN_SAMPLES"
            return fitting[0]
        if field.get("info", {}).get("date"):
            return "2026-11-23"
        if field.get("info", {}).get("decimal"):
            return "12.50"
        if name in ("phone", "number"):
            return f"+49 30 {number % 10**7:07d}"
        if name == "time_zone":
            return "Europe/Berlin"
        return f"{self.requests.mark} {name} {number}".strip()[-int(own.get("max_len", 60)):].ljust(int(own.get("min_len", 0)), "x")


def is_plain_text(field: dict) -> bool:
    return field["type"] == "string" and not field["repeated"] and not is_output(field) and not field.get("info", {}).get("ref")


def is_unique(field: dict) -> bool:
    return field["name"] in ("name", "title", "email", "address", "sku", "external_ids", "is_default")


def flattened(value, path: str = ""):
    """The request's leaves as parameters of an address."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from flattened(inner, f"{path}.{name}" if path else name)
    elif isinstance(value, list):
        for inner in value:
            yield path, inner
    else:
        yield path, {True: "true", False: "false"}.get(value, value) if isinstance(value, bool) else value


def at(request, path: str):
    for name in path.split("."):
        request = request.get(name) if isinstance(request, dict) else request[0].get(name) if isinstance(request, list) and request else None
    return request


def without(request: dict, path: str) -> dict:
    copy = json.loads(json.dumps(request))
    here = copy
    *names, last = path.split(".")
    for name in names:
        here = here.get(name, {})
    if isinstance(here, dict):
        here.pop(last, None)
    return copy


def takes_bytes(route: dict) -> bool:
    """The body is a crm.type.v1.Content: over HTTP the bytes themselves, of which none are badly formed."""
    return route["body"] == "content"


def as_http(method: Method, route: dict, request: dict) -> tuple[str, str, dict | None]:
    """(method, address, body) of a request in the form of one of its routes."""
    path, rest = route["path"], request
    for variable in re.findall(r"{([^}]+)}", path):
        name = variable.split("=")[0]
        path = path.replace("{" + variable + "}", urllib.parse.quote(str(at(request, name) or ""), safe=""))
        rest = without(rest, name)
    if route["method"] == "PATCH":
        rest = without(rest, "update_mask")
    if route["body"] == "*":
        return route["method"], path, rest
    body = None
    if route["body"]:
        body, rest = rest.get(route["body"], {}), {name: value for name, value in rest.items() if name != route["body"]}
    parameters = list(flattened(rest))
    return route["method"], path + ("?" + urllib.parse.urlencode(parameters) if parameters else ""), body


CODES = ("OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED",
         "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED")  # google.rpc.Code


def first_refusal(result: Result) -> Result:
    """A batch answers OK and a status per item: the first item that was refused, else the result itself."""
    items = result.body.get("results", []) if isinstance(result.body, dict) else []
    for item in items if isinstance(items, list) else ():
        if isinstance(item, dict) and item.get("error"):
            error = item["error"]
            return refusal(CODES[error["code"]], error.get("message", ""), error.get("details", []), result.status)
    return result


class Http:
    """The edge, for one caller. All share their threads' connections."""
    apis: dict[str, Api] = {}

    def __init__(self, url: str, headers: dict[str, str]):
        self.api = self.apis.setdefault(url, Api(url))
        self.headers = headers

    def call(self, method: Method, request: dict, route: int = 0) -> Result:
        verb, path, body = as_http(method, method.http[route], request)
        if takes_bytes(method.http[route]):
            body = base64.b64decode(body.get("data", "eA=="))
        return self.stream(path) if method.streams else self.raw(verb, path, body)

    def raw(self, verb: str, path: str, body=None, headers: dict | None = None) -> Result:
        return http_result(self.api.call(verb, path, body, self.headers | (headers or {})))

    def stream(self, path: str) -> Result:
        """The first message of a server's stream."""
        connection = http.client.HTTPConnection(self.api.host, self.api.port, timeout=20)
        try:
            connection.request("GET", path, headers={"Accept": "text/event-stream"} | self.headers)
            response = connection.getresponse()
            if response.status not in (200, 206):
                return http_error(response.status, json.loads(response.read()))
            if "event-stream" not in response.headers.get("content-type", ""):  # crm.type.v1.Content: the bytes themselves
                return Result("OK", "", "", (), {}, response.read().decode(errors="replace"), response.status)
            kind = ""
            while line := response.readline():
                name, _, value = line.decode().rstrip("\r\n").partition(":")
                if name == "event":
                    kind = value.strip()
                if name == "data" and kind == "error":
                    return http_error(response.status, json.loads(value))
                if name == "data":
                    return Result("OK", "", "", (), {}, json.loads(value), 200)
            return Result("UNKNOWN", "", "the stream ended without a message", (), {}, None, response.status)
        finally:
            connection.close()


    def connect(self, method: Method, request: dict) -> Result:
        """The rpc by Connect, as generated clients of browsers send it."""
        text = json.dumps(request).encode()
        if not method.streams:
            answer = self.send(method, text, "application/json")
            return Result("OK", "", "", (), {}, json.loads(answer[1]), answer[0]) if answer[0] == 200 else connect_error(*answer)
        status, data = self.send(method, envelope(text), "application/connect+json", first=True)
        if status != 200:
            return connect_error(status, data)
        flags, text = frames(data)[0]
        if flags == 2:
            error = json.loads(text).get("error")
            return connect_error(status, json.dumps(error).encode()) if error else Result("UNKNOWN", "", "the stream ended without a message", (), {}, None, status)
        return Result("OK", "", "", (), {}, json.loads(text), status)

    def grpc_web(self, method: Method, request: dict) -> Result:
        """The rpc by gRPC-Web, with JSON in its frames."""
        status, data = self.send(method, envelope(json.dumps(request).encode()), "application/grpc-web+json", first=method.streams)
        if status != 200:
            return connect_error(status, data)
        body = None
        for flags, text in frames(data):
            if flags & 0x80:
                trailers = dict(line.split(": ", 1) for line in text.decode().split("\r\n") if line)
                if trailers["grpc-status"] != "0":
                    return grpc_error(trailers, status)
            else:
                body = json.loads(text)
        return Result("OK", "", "", (), {}, body, status)

    def send(self, method: Method, body: bytes, kind: str, first: bool = False) -> tuple[int, bytes]:
        """The answer's status and bytes; of a stream, its first frame."""
        service, _, name = method.name.rpartition(".")
        connection = http.client.HTTPConnection(self.api.host, self.api.port, timeout=30)
        try:
            connection.request("POST", f"/{service}/{name}", body, {"Content-Type": kind} | self.headers)
            response = connection.getresponse()
            if not first or response.status != 200:
                return response.status, response.read()
            head = response.read(5)
            return response.status, head + response.read(int.from_bytes(head[1:5], "big"))
        finally:
            connection.close()


def connect_error(status: int, data: bytes) -> Result:
    error = json.loads(data)
    code = error["code"].upper()
    return refusal("CANCELLED" if code == "CANCELED" else code, error["message"], [detail.get("debug", {}) for detail in error["details"]], status)


def grpc_error(trailers: dict[str, str], status: int) -> Result:
    """Of google.rpc.Status in the trailers: the reason, its metadata, the violations' fields."""
    details = []
    told = base64.b64decode(trailers["grpc-status-details-bin"] + "==")
    for any_ in wire_fields(told).get(3, []):
        parts = wire_fields(any_)
        value = wire_fields(parts.get(2, [b""])[0])
        kind = parts[1][0].decode().rsplit(".", 1)[-1]
        if kind == "ErrorInfo":
            entries = [wire_fields(entry) for entry in value.get(3, [])]
            details.append({"reason": value[1][0].decode(), "metadata": {entry[1][0].decode(): entry.get(2, [b""])[0].decode() for entry in entries}})
        if kind == "BadRequest":
            details.append({"field_violations": [{"field": wire_fields(one).get(1, [b""])[0].decode()} for one in value.get(1, [])]})
    return refusal(GRPC_CODES[int(trailers["grpc-status"])], urllib.parse.unquote(trailers.get("grpc-message", "")), details, status)


def http_result(answer) -> Result:
    if answer.ok or answer.status == 304:
        return Result("OK", "", "", (), {}, json.loads(answer.data) if answer.data else None, answer.status)
    try:
        return http_error(answer.status, answer.body)
    except (ValueError, KeyError, TypeError):
        return Result("UNKNOWN", "", f"HTTP {answer.status} without our error: {answer.data[:200]!r}", (), {}, None, answer.status)


def http_error(status: int, body: dict) -> Result:
    return refusal(body["error"]["status"], body["error"]["message"], body["error"].get("details", []), status)


def refusal(code: str, text: str, details: list[dict], status: int) -> Result:
    fields = [violation["field"] for detail in details for violation in detail.get("field_violations", [])]
    info = next((detail for detail in details if "reason" in detail), {})
    return Result(code, info.get("reason", ""), text, tuple(fields), info.get("metadata", {}), None, status)


class Native:
    """The services' own addresses over gRPC with TLS, many calls at once."""

    def __init__(self, catalogue: Catalogue, stack: Stack):
        self.stack = stack
        self.process = subprocess.Popen([catalogue.tool, "call", catalogue.descriptors, stack.instance.folder / "tls"], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        self.lock = threading.Lock()
        self.numbers = itertools.count(1)
        self.waiting: dict[int, tuple[threading.Event, list]] = {}
        threading.Thread(target=self.read, daemon=True).start()

    def read(self) -> None:
        for line in self.process.stdout:
            answer = json.loads(line)
            done, box = self.waiting.pop(answer["n"])
            box.append(answer)
            done.set()

    def call(self, method: Method, service: str, request: dict, metadata: dict[str, str], as_: str = "gateway", hex_: str | None = None) -> Result:
        line = {"address": f"127.0.0.1:{self.stack.instance.port(service)}", "method": method.name, "metadata": metadata, "as": as_}
        line |= {"request": request} if hex_ is None else {"hex": hex_}
        done, box = threading.Event(), []
        with self.lock:
            line["n"] = next(self.numbers)
            self.waiting[line["n"]] = (done, box)
            self.process.stdin.write(json.dumps(line) + "\n")
            self.process.stdin.flush()
        assert done.wait(60), f"{method}: no answer from crm-describe"
        answer = box[0]
        assert "was not sent" not in answer.get("message", ""), f"{method}: {answer['message']}"
        return Result(answer["code"], answer.get("reason", ""), answer.get("message", ""), tuple(answer.get("fields", ())), answer.get("metadata", {}),
                      answer.get("reply"))

    def close(self) -> None:
        self.process.stdin.close()
        self.process.wait(60)


class Mint:
    """Tokens signed with the instance's own key, or with anything else."""

    def __init__(self, stack: Stack):
        self.key = stack.instance.secret("signing.pem")
        self.kid = json.loads(stack.instance.secret("jwks.json").read_text())["keys"][0]["kid"]

    def token(self, claims: dict, header: dict | None = None, key: Path | None = None) -> str:
        return self.seal(*(json.dumps(part, separators=(",", ":")) for part in (self.header if header is None else header, claims)), key)

    @property
    def header(self) -> dict:
        return {"alg": "EdDSA", "kid": self.kid, "typ": "at+jwt"}

    def seal(self, header: str, body: str, key: Path | None = None) -> str:
        """These very texts, signed."""
        text = ".".join(base64url(part.encode(errors="surrogateescape")) for part in (header, body))
        with tempfile.NamedTemporaryFile() as file:
            file.write(text.encode())
            file.flush()
            signature = subprocess.run(["openssl", "pkeyutl", "-sign", "-rawin", "-inkey", key or self.key, "-in", file.name], stdout=subprocess.PIPE, check=True).stdout
        return f"{text}.{base64url(signature)}"


def base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def claims_of(token: str) -> dict:
    part = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


class Tenant:
    """A tenant with one record of every kind, each made by its own rpc. Texts begin with the tenant's mark, so that they can be looked
    for elsewhere."""

    def __init__(self, stack: Stack, catalogue: Catalogue, mark: str):
        self.stack, self.catalogue, self.mark = stack, catalogue, mark
        self.admin = stack.sign_up(company_name=f"{mark} company")
        self.http = Http(stack.instance.url, {"Authorization": f"Bearer {self.admin.token}"})
        self.seen: dict[str, list[str]] = {}
        self.kept: dict[str, str] = {"tenant": self.admin.tenant_id, "user": self.admin.user_id}
        self.recipes: dict[str, Recipe] = {}
        self.requests = Requests(catalogue, mark)
        # What sign-up brings arrives by events.
        eventually(lambda: self.look_around() or "stage" in self.seen, 20, "the package's pipeline")
        self.kept["stage"] = self.seen["stage"][1]  # new deals stand on the first
        for prefix in catalogue.makers:
            self.id(prefix)
        self.write_letter()
        # A rule's run, which nothing but a rule makes.
        self.harvest(self.http.raw("POST", f"/v1/rules/{self.id('rule')}:run", {"record_id": self.id("deal")}).body)
        # A delivery, which only a webhook's events make. Then it is off: what cannot be posted would be tried again by itself.
        webhook = f"/v1/webhooks/{self.id('webhook')}"
        self.http.raw("PATCH", webhook, {"enabled": True})
        self.harvest(self.http.raw("POST", f"{webhook}:test", {}).body)
        self.http.raw("PATCH", webhook, {"enabled": False})

    def write_letter(self) -> None:
        """What no rpc makes without a mail server comes by letter: a conversation and its message."""
        address = self.http.raw("GET", f"/v1/channels/{self.id('channel')}").body["address"]
        letter = f"From: {self.mark} <{self.mark}@customer.example>\r\nTo: {address}\r\nSubject: {self.mark} letter\r\n\r\n{self.mark} asks\r\n"
        refused = letterbox.hand_in(self.stack.instance.lmtp_port, f"{self.mark}@customer.example", [address], letter.encode())
        assert not refused, refused
        eventually(lambda: self.look_around() or {"conversation", "message"} <= set(self.seen), 20, "the letter")

    def look_around(self) -> None:
        """Ids of everything that the tenant's lists show."""
        for method in self.catalogue.methods:
            route = method.http[0] if method.http else None
            if route and method.reads and not method.streams and route["method"] == "GET" and "{" not in route["path"]:
                if not any(is_needed(field) for field in self.catalogue.fields(method.input)):
                    self.harvest(self.http.raw("GET", route["path"]).body)

    def harvest(self, body) -> None:
        for prefix, suffix in TYPE_ID.findall(json.dumps(body)):
            ids = self.seen.setdefault(prefix, [])
            if f"{prefix}_{suffix}" not in ids:
                ids.append(f"{prefix}_{suffix}")

    def id(self, prefix: str) -> str:
        """One of this tenant's, always the same; made if there is none."""
        if prefix not in self.kept:
            self.kept[prefix] = self.seen[prefix][0] if self.seen.get(prefix) else self.fresh(prefix)
        return self.kept[prefix]

    def fresh(self, prefix: str) -> str:
        """A new one, by its rpc; of kinds that no rpc makes, one that was seen."""
        method = self.catalogue.makers.get(prefix)
        if not method:
            assert self.seen.get(prefix), f"no rpc makes a {prefix}, and no list shows one"
            return self.seen[prefix][0]
        result, request = self.settle(method)
        assert result.ok, f"{method} as administrator, {request}: {result}"
        self.harvest(result.body)
        return result.body["id"]

    def make(self, method: Method, fresh: bool = False) -> dict:
        """`fresh`: about records of its own, so that nothing that others use is changed by it."""
        mine = {prefix for path, prefixes in self.catalogue.id_fields(method).items() if path in method.variables for prefix in prefixes}
        recipe = self.recipes.setdefault(method.name, Recipe())
        return self.requests.make(method, recipe, lambda prefix: self.fresh(prefix) if fresh and prefix in mine else self.id(prefix))

    def settle(self, method: Method, fresh: bool = False) -> tuple[Result, dict]:
        """Sends a request as administrator, and adds what the answers ask for until it is accepted, or nothing helps."""
        recipe = self.recipes.setdefault(method.name, Recipe())
        for _ in range(6):
            request = self.make(method, fresh)
            result = first_refusal(self.http.call(method, request))
            if result.code != "INVALID_ARGUMENT" or not self.mend(method, recipe, request, result):
                break
        return result, request

    def mend(self, method: Method, recipe: Recipe, request: dict, result: Result) -> bool:
        for name in result.fields:
            path = self.place_of(method, re.sub(r"\[\d+\]", "", name))
            if path and at(request, path) in (None, "", [], {}) and path not in recipe.forced:
                recipe.forced.add(path)
                return True
        # What it names is there and still not right: take it from a record that exists.
        for field in self.catalogue.fields(method.input) if any("." in name or "[" in name for name in result.fields) else ():
            record = self.catalogue.messages.get(field.get("message", ""), {}).get("record")
            if record and field["name"] not in recipe.copies:
                recipe.copies[field["name"]] = self.copier(record["prefix"])
                return True
        # The error names nothing that could be added: any one of the optional texts may be what is missing.
        places = [self.place_of(method, name) for name in result.fields]
        for message, path in [(self.type_at(method.input, place), place + ".") for place in places if place] + [(method.input, "")]:
            for field in self.catalogue.messages.get(message, {}).get("fields", ()):
                here = path + field["name"]
                if is_plain_text(field) and field["name"] not in ENVELOPE and here not in recipe.forced and at(request, here) is None:
                    recipe.forced.add(here)
                    return True
        return False

    def place_of(self, method: Method, name: str) -> str:
        """Where in the request a field named by an error is: from its root, from its body, or from a batch's item."""
        prefixes = [""] + [field["name"] + "." for field in self.catalogue.fields(method.input) if field["type"] == "message"]
        return next((prefix + name for prefix in prefixes if self.type_at(method.input, prefix + name) is not None), "")

    def type_at(self, message: str, path: str) -> str | None:
        """The message of the field at the path, "" for other fields; None if there is no such field."""
        for name in path.split("."):
            field = next((field for field in self.catalogue.messages.get(message, {}).get("fields", ()) if field["name"] == name), None)
            if not field:
                return None
            message = field.get("message", "")
        return message

    def copier(self, prefix: str):
        """The body of a record that exists, without what only answers have."""
        getter = next(method for method in self.catalogue.methods
                      if method.http and method.output == self.catalogue.records[prefix] and method.reads and method.variables)
        source = self.seen[prefix][0] if self.seen.get(prefix) else None
        body = self.http.call(getter, {getter.variables[0]: source}).body if source else {}

        def strip(message: str, value: dict, top: bool) -> dict:
            out = {}
            for field in self.catalogue.fields(message):
                name = field["name"]
                if name not in value or value[name] in ("", [], {}, None) or is_output(field) or (not top and name.endswith(("id", "ids"))):
                    continue
                if top and is_unique(field):
                    continue
                inner = value[name]
                if field["type"] == "message" and not field["message"].startswith("google.") and not field.get("map"):
                    inner = [strip(field["message"], one, False) for one in inner] if field["repeated"] else strip(field["message"], inner, False)
                out[name] = inner
            return out

        return lambda: strip(self.catalogue.records[prefix], body or {}, True)


def tenant_uuid(type_id: str) -> str:
    """The uuid inside a TypeID: Crockford's base 32, 26 letters, two spare bits in front."""
    number = 0
    for letter in type_id.rsplit("_", 1)[1]:
        number = number * 32 + "0123456789abcdefghjkmnpqrstvwxyz".index(letter)
    text = f"{number:032x}"
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))


def fingerprint(stack: Stack, tenant_id: str, without: tuple[str, ...] = ()) -> str:
    """Changes with any row of the tenant in any schema, tables of these names left out. A line for each table, so that a difference names it."""
    uuid = tenant_uuid(tenant_id)
    tables = stack.sql("select n.nspname || '.' || quote_ident(c.relname), c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace "
                       "join pg_attribute a on a.attrelid = c.oid and a.attname = 'tenant_id' where c.relkind in ('r', 'p') and not c.relispartition order by 1")
    parts = " union all ".join(f"select '{table}', md5(string_agg(md5(t::text), '' order by md5(t::text))) from {table} t where tenant_id = '{uuid}'"
                               for table, name in tables if name not in without)
    return "\n".join(" ".join(row) for row in stack.sql(parts))


def calm(stack: Stack, tenant_id: str) -> str:
    """The fingerprint once it stays: when events have been numbered and heard."""
    last = ""

    def stays() -> bool:
        nonlocal last
        time.sleep(0.2)
        before, last = last, fingerprint(stack, tenant_id)
        return before == last
    eventually(stays, 20, "nothing changes any more")
    return last


def everything(catalogue: Catalogue, but: tuple[str, str] | None = None, scope: str = "SCOPE_ALL") -> list[dict]:
    """Grants of every right that some rpc asks for or some record has, one apart."""
    return [{"object": object_, "action": action, "scope": scope} for object_ in catalogue.objects() for action in catalogue.actions()
            if (object_, action) != but]


POOL = ThreadPoolExecutor(12)  # threads that keep their connections


def parallel(work, items) -> list:
    return list(POOL.map(work, items))
