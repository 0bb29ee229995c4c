"""Who may include whom (ARCHITECTURE.md): base <- obs <- {json, pg, redis, rpc} <- events <- app <- services."""

import re

from lintlib.tree import Finding, Tree

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')

# What each folder of common/ may include of the others.
COMMON = {
    "base": set(),
    "obs": {"base"},
    "json": {"base", "obs"},
    "pg": {"base", "obs", "json"},
    "redis": {"base", "obs"},
    "rpc": {"base", "obs", "json"},
    "events": {"base", "obs", "json", "pg", "redis", "rpc"},
    "app": {"base", "obs", "json", "pg", "redis", "rpc", "events"},
}

# Libraries that stay behind one border: header prefixes, who may, and what to use instead.
LIBRARIES = [
    (("libpq-fe.h", "libpq/", "postgresql/", "pqxx/"), ("common/pg/", "tools/", "tests/"), "speak to PostgreSQL through common/pg/db.h"),
    (("hiredis/", "hiredis.h"), ("common/redis/", "tests/"), "speak to Redis through common/redis"),
    (("grpcpp/", "grpc/", "grpc++/", "nghttp2/"), ("common/rpc/", "services/gateway/", "tools/", "tests/"), "call other services through common/rpc/client.h"),
]

PURE_FORBIDDEN = [
    (re.compile(r"\babsl::Now\s*\("), "absl::Now()"),
    (re.compile(r"\b(system_clock|steady_clock)::now\b"), "a clock"),
    (re.compile(r"\bco_(await|return)\b"), "a coroutine"),
]
GRPC_STATUS = re.compile(r"\bgrpc::Status\b")


def check(tree: Tree):
    for name in tree.matching(".cc", ".h"):
        for number, line in enumerate(tree.text(name).splitlines(), 1):
            match = INCLUDE.match(line)
            if match:
                yield from included(name, number, match[2])
            elif not line.lstrip().startswith("//"):
                yield from used(name, number, line)


def included(name: str, number: int, header: str):
    folders = name.split("/")
    for prefixes, allowed, instead in LIBRARIES:
        if header.startswith(prefixes) and not name.startswith(allowed):
            yield Finding(name, number, f"includes {header}, which only {', '.join(allowed)} may", instead)
    target = header.split("/")
    if target[0] in ("tests", "tools") and folders[0] != target[0] and folders[0] != "tests":
        yield Finding(name, number, f"includes {header} of {target[0]}/", "what is shipped cannot lean on tests or tools: move it into common/")
    if folders[0] == "common":
        if target[0] == "services":
            yield Finding(name, number, f"common/ includes {header} of a service", "hand it in from the service, e.g. as a function or a message")
        elif target[0] == "common" and len(folders) > 2 and target[1] != folders[1] and target[1] not in COMMON.get(folders[1], set()):
            allowed = ", ".join(sorted(COMMON.get(folders[1], set()))) or "nothing of common/"
            yield Finding(name, number, f"common/{folders[1]} includes {header}; it may include {allowed}",
                          "move what is needed down a layer, or what needs it up")
    if folders[0] == "services" and target[0] == "services" and target[1] != folders[1]:
        yield Finding(name, number, f"{folders[1]} includes {header} of another service",
                      f"call {target[1]} by runtime.peer(\"{target[1]}\"), or hear its events")
    if is_pure(folders) and target[0] == "common" and target[1] != "base":
        yield Finding(name, number, f"a rule includes {header}: rules see protos and common/base only",
                      "take what is needed as a parameter; load and store in the handler")
    if is_pure(folders) and target[0] == "services" and "rules" not in target:
        yield Finding(name, number, f"a rule includes {header}: rules see protos, common/base and other rules only",
                      "take what is needed as a parameter")


def used(name: str, number: int, line: str):
    if is_pure(name.split("/")):
        for pattern, what in PURE_FORBIDDEN:
            if pattern.search(line):
                yield Finding(name, number, f"a rule uses {what}: rules are pure functions", "take the time, or what was loaded, as a parameter")
    if GRPC_STATUS.search(line) and not name.startswith(("common/rpc/", "services/gateway/", "tools/", "tests/")):
        yield Finding(name, number, "grpc::Status stays in common/rpc", "answer absl::Status; common/base/error.h makes it")


def is_pure(folders: list[str]) -> bool:
    return folders[0] == "services" and "rules" in folders[2:-1]
