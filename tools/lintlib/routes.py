"""HTTP routes (google.api.http) over all services: two that match the same request are refused, and so is an rpc that
does not say who may call it. Reads the descriptor set that protoc writes, so nothing needs to be built."""

import dataclasses
import re
import tempfile
from pathlib import Path

from lintlib import protos
from lintlib.tree import Finding, Tree

HTTP, ACCESS = 72295728, 51001  # extension numbers of google.api.http and crm.type.v1.access
VERBS = {2: "GET", 3: "PUT", 4: "POST", 5: "DELETE", 6: "PATCH"}


@dataclasses.dataclass(frozen=True)
class Route:
    verb: str
    template: str
    method: str  # full name of the rpc
    path: str
    line: int

    def shape(self) -> tuple[str, ...]:
        """Segments with variables as *, and the custom verb: two routes of one shape match the same requests."""
        template, _, custom = self.template.partition(":") if ":" in self.template.rsplit("/", 1)[-1] else (self.template, "", "")
        segments = re.sub(r"\{[^}=]+(=[^}]*)?\}", lambda match: (match[1] or "=*")[1:], template).strip("/").split("/")
        return (self.verb, *segments, ":" + custom)


def check(tree: Tree):
    if not tree.matching(".proto", under="protos/"):
        return
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "set.binpb"
        made = protos.image(tree.root / "protos", out, tree.root)
        if made.returncode != 0:
            yield Finding("protos", 1, made.stdout.strip()[:500], "repair what protoc names")
            return
        routes, without_access = read(out.read_bytes())
    for method, path, line in without_access:
        yield Finding(path, line, f"{method} says nothing about who may call it", "add option (crm.type.v1.access) = {...}; its server would not start")
    taken: dict[tuple, Route] = {}
    for route in routes:
        if not route.template.startswith("/v1/"):
            yield Finding(route.path, route.line, f"{route.method}: the route {route.template} is not under /v1/", "start it with /v1/")
        other = taken.setdefault(route.shape(), route)
        if other is not route:
            yield Finding(route.path, route.line, f"{route.verb} {route.template} of {route.method} collides with {other.template} of {other.method} ({other.path}:{other.line})",
                          "give one of them another path or a custom verb (:verb)")


def fields(data: bytes):
    """(number, value) of each field of a protobuf message: int for varints, bytes for the rest."""
    position = 0

    def varint() -> int:
        nonlocal position
        value = shift = 0
        while True:
            byte = data[position]
            position += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while position < len(data):
        tag = varint()
        kind = tag & 7
        if kind == 0:
            yield tag >> 3, varint()
            continue
        length = varint() if kind == 2 else {1: 8, 5: 4}[kind]
        yield tag >> 3, data[position:position + length]
        position += length


def read(descriptor_set: bytes) -> tuple[list[Route], list[tuple[str, str, int]]]:
    """Every route of our packages, and every rpc that has no access option."""
    routes, without_access = [], []
    for _, file in fields(descriptor_set):
        parts = list(fields(file))
        name = next(value.decode() for number, value in parts if number == 1)
        package = next((value.decode() for number, value in parts if number == 2), "")
        if not package.startswith("crm."):
            continue
        lines = method_lines(next((value for number, value in parts if number == 9), b""))
        for index, service in enumerate(value for number, value in parts if number == 6):
            service_parts = list(fields(service))
            service_name = next(value.decode() for number, value in service_parts if number == 1)
            for position, method in enumerate(value for number, value in service_parts if number == 2):
                method_parts = list(fields(method))
                full = f"{package}.{service_name}.{next(value.decode() for number, value in method_parts if number == 1)}"
                line = lines.get((index, position), 1)
                options = [option for number, value in method_parts if number == 4 for option in fields(value)]
                if not any(number == ACCESS for number, _ in options):
                    without_access.append((full, f"protos/{name}", line))
                for number, rule in options:
                    if number == HTTP:
                        routes += [Route(verb, template, full, f"protos/{name}", line) for verb, template in bindings(rule)]
    return routes, without_access


def bindings(rule: bytes):
    for number, value in fields(rule):
        if number in VERBS:
            yield VERBS[number], value.decode()
        elif number == 8:  # custom: {kind, path}
            custom = dict(fields(value))
            yield custom[1].decode(), custom[2].decode()
        elif number == 11:
            yield from bindings(value)


def method_lines(source_info: bytes) -> dict[tuple[int, int], int]:
    """(service's index, method's index) -> line, from SourceCodeInfo."""
    lines = {}
    for _, location in fields(source_info):
        parts = dict(fields(location))
        path, span = packed(parts.get(1, b"")), packed(parts.get(2, b""))
        if len(path) == 4 and path[0] == 6 and path[2] == 2:
            lines[path[1], path[3]] = span[0] + 1
    return lines


def packed(data: bytes) -> list[int]:
    values, value, shift = [], 0, 0
    for byte in data:
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            values.append(value)
            value = shift = 0
    return values
