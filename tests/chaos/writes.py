"""Every write of the API, made from the descriptors and sent so that a death in between does not matter: what tests that
kill processes under writes share. A new rpc is among them without touching this file."""

import itertools
import json
import os
import random
import subprocess
import sys
import threading
import time
import unittest
import uuid
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1] / "flow"))  # behind this folder: it has a gate.py of its own
from rpcs import Catalogue, Http, Method, Recipe, Result, Tenant, as_http, first_refusal, http_result, takes_bytes, tenant_uuid  # noqa: E402,F401
from stack import PASSWORD, READY_SECONDS, Stack, eventually  # noqa: E402,F401

from crmlib import paths, postgres  # noqa: E402
from crmlib.api import Api, Unreachable  # noqa: E402
from crmlib.console import Failure  # noqa: E402

UNLIMITED = {"gateway": {"gateway": {"rate_per_second": 1_000_000, "public_per_minute": 1_000_000}}}
# Answers after which nobody knows whether it was done: the request is repeated under its key.
UNKNOWN = {"UNAVAILABLE", "DEADLINE_EXCEEDED", "CANCELLED", "UNREACHABLE", "INTERNAL", "UNKNOWN"}
PATIENCE_SECONDS = 60.0
PAUSE_SECONDS = 0.03
LONG_AFTER = "2027-06-01T00:00:00Z"


class ChaosTest(unittest.TestCase):
    """A class of tests with a system of its own. CRM_SEED repeats its choices, CRM_LONG=1 asks for its long version."""

    @classmethod
    def setUpClass(cls):
        cls.seed = int(os.environ.get("CRM_SEED") or random.randrange(10**6))
        cls.long = bool(os.environ.get("CRM_LONG"))
        print(f"seed {cls.seed}: CRM_SEED={cls.seed} repeats this run", flush=True)

    @classmethod
    def start(cls, changes: dict = UNLIMITED, stack: Stack | None = None) -> None:
        cls.stack = stack or Stack()
        cls.stack.changes = changes
        cls.stack.__enter__()
        cls.addClassCleanup(lambda: cls.stack.__exit__(None, None, None))
        cls.catalogue = Catalogue(cls.stack)
        cls.census = Census(cls.stack, cls.catalogue.services)
        cls.requester = Requester(cls.catalogue)


def key() -> str:
    return uuid.uuid4().hex


class Patient(Http):
    """The edge for a caller who repeats a write under its key until it is answered. Each thread has its own connections."""
    apis: dict[str, Api] = {}

    def __init__(self, url: str, headers: dict[str, str], session: "Session | None" = None):
        super().__init__(url, headers)
        self.session = session
        self.unanswered: list[str] = []  # attempts without an answer that says what became of it

    def once(self, verb: str, path: str, body=None, headers: dict | None = None) -> Result:
        """One attempt; no answer is UNREACHABLE."""
        own = self.session.headers() if self.session else {}
        try:
            result = http_result(self.api.call(verb, path, body, self.headers | own | (headers or {})))
        except Unreachable as error:
            result = Result("UNREACHABLE", "", str(error), (), {}, None)
        if result.code in UNKNOWN:
            self.unanswered.append(f"{verb} {path}: {result}")
        return result

    def raw(self, verb: str, path: str, body=None, headers: dict | None = None) -> Result:
        headers = {"Idempotency-Key": key()} | (headers or {}) if verb != "GET" else headers
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            result = self.once(verb, path, body, headers)
            if result.code not in UNKNOWN or time.monotonic() > deadline:
                return result
            time.sleep(PAUSE_SECONDS)

    def attempt(self, method: Method, request: dict, key_: str, headers: dict | None = None) -> Result:
        """One attempt at an rpc under this key."""
        verb, path, body = as_http(method, method.http[0], request)
        return self.once(verb, path, b"x" if takes_bytes(method.http[0]) else body, {"Idempotency-Key": key_} | (headers or {}))

    def keyed(self, method: Method, request: dict, key_: str) -> Result:
        """The rpc under this key, until it is answered."""
        verb, path, body = as_http(method, method.http[0], request)
        return self.raw(verb, path, b"x" if takes_bytes(method.http[0]) else body, {"Idempotency-Key": key_})


class Session:
    """An administrator's token, a new one before the old one ends."""

    RENEWED_AFTER_SECONDS = 300.0

    def __init__(self, api: Api, login: str):
        self.api, self.login, self.lock = api, login, threading.Lock()
        self.token, self.since = api.token, time.monotonic()

    def headers(self) -> dict[str, str]:
        with self.lock:
            if time.monotonic() - self.since > self.RENEWED_AFTER_SECONDS:
                answer = Patient(self.api.url, {}).raw("POST", "/v1/sessions", {"login": self.login, "password": PASSWORD})
                assert answer.ok, f"signing in again: {answer}"
                self.token, self.since = answer.body["access_token"], time.monotonic()
            return {"Authorization": f"Bearer {self.token}"}


class PatientTenant(Tenant):
    """A tenant with one record of every kind, whose further requests outlive deaths. It has a mail server that nobody reaches, and
    letters for it wait until long after the test."""
    given: dict[str, dict] = {}  # rpc -> what no rule tells of its request

    def __init__(self, stack: Stack, catalogue: Catalogue, mark: str):
        super().__init__(stack, catalogue, mark)
        self.session = Session(self.admin, self.admin.login)
        self.http = Patient(stack.instance.url, {}, self.session)
        self.requests.hints = {"login": self.admin.login, "password": PASSWORD, "old_password": PASSWORD, "new_password": PASSWORD}
        self.uuid = tenant_uuid(self.admin.tenant_id)
        self.admin.patch(f"/v1/channels/{self.id('channel')}", {"smtp": {"host": "127.0.0.1", "port": 9, "security": "SMTP_SECURITY_NONE"}})
        self.given = {"SendMessage": {"channel_id": self.id("channel"), "not_before": LONG_AFTER, "text": "x", "recipients": [{"address": "somebody@example.org"}]}}

    def make(self, method: Method, fresh: bool = False) -> dict:
        return super().make(method, fresh) | self.given.get(method.short, {})

    def fresh(self, prefix: str) -> str:
        if prefix != "message":
            return super().fresh(prefix)
        method = next(method for method in self.catalogue.methods if method.short == "SendMessage")
        result = self.http.call(method, self.make(method))
        assert result.ok, f"{method}: {result}"
        return result.body["id"]


def writes(catalogue: Catalogue) -> list[Method]:
    """What a signed-in user may change by one request and one answer. Not what ends the session that everything else is sent by."""
    return [method for method in catalogue.methods if method.http and not method.reads and not method.streams
            and not any("session" in prefixes for prefixes in catalogue.id_fields(method).values())]


class Sql:
    """stack.sql over one kept psql, for who asks hundreds of times; a thread at a time."""

    END = "end of the answer"

    def __init__(self, stack: Stack):
        self.stack, self.lock, self.process = stack, threading.Lock(), None

    def __call__(self, statement: str) -> list[list[str]]:
        with self.lock:
            for attempt in range(2):
                if self.process is None or self.process.poll() is not None:
                    self.process = subprocess.Popen(
                        [paths.POSTGRES_BIN / "psql", "-X", "-q", "-A", "-t", "-F", "\t", "-v", "ON_ERROR_STOP=1"], stdin=subprocess.PIPE,
                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=postgres.environment(self.stack.instance, postgres.SUPERUSER))
                lines = []
                try:
                    self.process.stdin.write(f"{statement.rstrip().removesuffix(';')}\n;\nselect '{self.END}';\n")
                    self.process.stdin.flush()
                    for line in self.process.stdout:
                        if line.rstrip("\n") == self.END:
                            return [one.split("\t") for one in lines]
                        lines.append(line.rstrip("\n"))
                except BrokenPipeError:
                    pass
                self.process.wait()
                self.process = None
                if attempt:
                    raise Failure(f"PostgreSQL refused a statement: {lines}", "see above")
        return []

    def close(self) -> None:
        with self.lock:
            if self.process:
                self.process.stdin.close()
                self.process.stdout.read()
                self.process.wait()
                self.process = None


class Requester:
    """Makes valid requests, about records of their own where they can be made. What a request needs to have happened before it (what
    is restored must be deleted) is found by trying the other rpcs of its service on the same record."""

    def __init__(self, catalogue: Catalogue):
        self.catalogue = catalogue
        self.before: dict[str, list[Method]] = {}  # rpc -> what comes before
        self.hopeless: dict[str, str] = {}  # rpc -> the answer to every attempt

    def mine(self, method: Method) -> list[str]:
        """Prefixes of the records in the address."""
        return sorted({prefix for path, prefixes in self.catalogue.id_fields(method).items() if path in method.variables for prefix in prefixes})

    def made(self, tenant: PatientTenant, method: Method, ids: dict[str, str]) -> dict:
        recipe = tenant.recipes.setdefault(method.name, Recipe())
        return tenant.requests.make(method, recipe, lambda prefix: ids.get(prefix) or tenant.id(prefix)) | tenant.given.get(method.short, {})

    def prepare(self, tenant: PatientTenant, method: Method, before: list[Method]) -> dict:
        """A request whose time has come."""
        ids = {prefix: tenant.fresh(prefix) for prefix in self.mine(method)}
        for other in before:
            result = tenant.http.call(other, self.made(tenant, other, ids))
            tenant.harvest(result.body)
        return self.made(tenant, method, ids)

    def request(self, tenant: PatientTenant, method: Method) -> dict:
        return self.prepare(tenant, method, self.before.get(method.name, []))

    def learn(self, tenant: PatientTenant, method: Method, census: "Census | None" = None) -> bool:
        """Whether the rpc can be had to succeed, with a census: to write something, if anything makes it."""
        result, _ = tenant.settle(method, fresh=True)
        if not result.ok and result.code != "FAILED_PRECONDITION":
            self.hopeless[method.name] = str(result)
            return False
        if result.ok and (census is None or self.writes_after(tenant, method, [], census)):
            return True
        relatives = [other for other in writes(self.catalogue)
                     if other.name.rsplit(".", 1)[0] == method.name.rsplit(".", 1)[0] and other != method and self.mine(other) == self.mine(method)]
        for other in relatives if self.mine(method) else ():
            if self.writes_after(tenant, method, [other], None if not result.ok else census):
                self.before[method.name] = [other]
                return True
        if not result.ok:
            self.hopeless[method.name] = str(result)
        return result.ok

    def writes_after(self, tenant: PatientTenant, method: Method, before: list[Method], census: "Census | None") -> bool:
        """Whether it succeeds after these; with a census: and keeps its answer."""
        key_ = key()
        answer = first_refusal(tenant.http.keyed(method, self.prepare(tenant, method, before), key_))
        return answer.ok and (census is None or bool(census.effect(tenant.uuid, self.catalogue.services_of(method)[0], key_)))


def bring_back(stack: Stack, names: list[str], seconds: float = READY_SECONDS) -> int:
    """Starts what is dead until all of them are ready; answers how often that was. A PostgreSQL whose last children are still ending
    refuses at first, and a service may die again before it was ready."""
    deadline, starts = time.monotonic() + seconds, 0
    while True:
        for name in names:
            if not stack.alive(name):
                stack.start(name, wait=False)
                starts += 1
        try:
            stack.wait_ready(names)
            return starts
        except Failure:
            if time.monotonic() > deadline:
                raise
            time.sleep(PAUSE_SECONDS)


class Reviver:
    """Starts again whatever has died, with its failpoints taken out, and measures how long it is until it is ready."""

    def __init__(self, stack: Stack, names: list[str]):
        self.stack, self.names = stack, names
        self.deaths = {name: 0 for name in names}
        self.ready: list[tuple[float, str]] = []  # (seconds from its death to ready, who)
        self.failures: list[str] = []
        self.ending = threading.Event()
        self.threads = [threading.Thread(target=self.watch, args=(name,), daemon=True) for name in names]
        for thread in self.threads:
            thread.start()

    def watch(self, name: str) -> None:
        while not self.ending.wait(0.01):
            if self.stack.alive(name):
                continue
            start = time.monotonic()
            try:
                self.stack.failpoints(name)
                bring_back(self.stack, [name])
            except Exception as error:  # noqa: BLE001: told by end()
                self.failures.append(f"{name}: {error!r}")
            self.ready.append((time.monotonic() - start, name))
            self.deaths[name] += 1

    def life(self, name: str):
        """The process that it is now: what dies() asks about."""
        while not self.stack.alive(name):
            time.sleep(0.005)
        return name, self.stack.processes[name], self.deaths[name]

    def dies(self, life, seconds: float) -> bool:
        """Whether it dies within this time; then it is ready again."""
        name, process, deaths = life
        deadline = time.monotonic() + seconds
        while process.poll() is None:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.005)
        deadline = time.monotonic() + READY_SECONDS
        while self.deaths[name] <= deaths and time.monotonic() < deadline:
            time.sleep(0.005)
        return True

    def end(self) -> tuple[float, str]:
        """The longest time until something was ready again, and who it was."""
        self.ending.set()
        for thread in self.threads:
            thread.join()
        assert not self.failures, self.failures
        return max(self.ready, default=(0.0, "nobody"))


class Census:
    """What the database holds of a tenant, counted: rows and the sums of their numbers per table, events by type."""

    # Numbers that differ from run to run whatever happens: order, sizes of ids, fences, attempts.
    NOT_SUMMED = {"id", "seq", "source_seq", "bucket", "fence", "token", "attempts", "offset_seconds", "visit", "position", "bytes", "duration_ms"}

    def __init__(self, stack: Stack, schemas: list[str]):
        self.stack, self.schemas, self.sql = stack, schemas, Sql(stack)
        names = ", ".join(f"'{schema}'" for schema in schemas)
        rows = self.sql(f"""
            select n.nspname, c.relname, bool_or(a.attname = 'slice'), coalesce(string_agg(a.attname, ',' order by a.attname) filter (where t.typname in ('int4', 'int8', 'numeric')), '')
            from pg_class c join pg_namespace n on n.oid = c.relnamespace
            join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped join pg_type t on t.oid = a.atttypid
            where n.nspname in ({names}) and c.relkind = 'r' group by 1, 2
            having count(*) filter (where a.attname = 'tenant_id') > 0 order by 1, 2""")
        self.tables = [(schema, table, [column for column in columns.split(",") if column and column not in self.NOT_SUMMED]) for schema, table, _, columns in rows]
        self.sliced = {(schema, table) for schema, table, sliced, _ in rows if sliced == "t"}  # into how many rows the sums are cut is chance
        self.numbers = itertools.count()

    def of(self, tenant_uuid_: str, without: set[str] = frozenset()) -> dict[str, str]:
        parts = []
        for schema, table, columns in self.tables:
            if table in without or f"{schema}.{table}" in without:
                continue
            where = f"from {schema}.\"{table}\" where tenant_id = '{tenant_uuid_}'"
            if table == "outbox":
                parts.append(f"select '{schema}.outbox ' || type, count(*)::text {where} group by type")
            else:
                sums = "".join(f" || ' {column} ' || coalesce(sum(\"{column}\"), 0)" for column in columns)
                count = "''" if (schema, table) in self.sliced else "count(*)::text"
                parts.append(f"select '{schema}.{table}', {count}{sums} {where}")
        return dict(self.sql(" union all ".join(parts)))

    def effect(self, tenant_uuid_: str, schema: str, key_: str) -> dict[str, int]:
        """What the transaction that keeps this key's answer has written: rows per table, events by type; {} if nothing is kept."""
        kept = f"with kept as (select xmin::text as x, create_time from {schema}.idempotency where tenant_id = '{tenant_uuid_}' and key = '{key_}')"
        parts = []
        for schema_, table, _ in self.tables:
            if schema_ == schema:
                # Numbering writes an event's row anew; it keeps the time of its first transaction.
                name, same, group = ("'outbox ' || type", "t.create_time = kept.create_time", "group by type") if table == "outbox" else (f"'{table}'", "t.xmin::text = kept.x", "")
                parts.append(f"select {name}, count(*) from {schema}.\"{table}\" t, kept where tenant_id = '{tenant_uuid_}' and {same} {group}")
        return {name: int(count) for name, count in self.sql(f"{kept} {' union all '.join(parts)}") if int(count)}

    def behind(self, tenant_uuids: list[str]) -> list[str]:
        """Events that have no number yet, and consumers that have not heard all that is numbered."""
        tenants = ", ".join(f"'{one}'" for one in tenant_uuids)
        parts = [f"select '{schema} has unnumbered events: ' || count(*) from {schema}.outbox where tenant_id in ({tenants}) and seq is null having count(*) > 0"
                 for schema in self.schemas]
        # Who hears somebody hears him of every tenant; of a new one it may not know yet.
        parts += [f"select '{schema} is at ' || coalesce(p.seq, 0) || ' of {producer}, which is at ' || l.seq from {producer}.lane l "
                  f"left join {schema}.position p on p.tenant_id = l.tenant_id and p.producer = '{producer}' where l.tenant_id in ({tenants}) "
                  f"and coalesce(p.seq, 0) <> l.seq and exists (select 1 from {schema}.position where producer = '{producer}')"
                  for schema in self.schemas for producer in self.schemas]
        return [row[0] for row in self.sql(" union all ".join(parts))]

    def settle(self, tenant_uuids: list[str], seconds: float = 60.0) -> float:
        """Waits until every event is numbered and heard; the seconds it took."""
        start = time.monotonic()
        left = ["?"]

        def done() -> bool:
            nonlocal left
            left = self.behind(tenant_uuids)
            return not left
        try:
            eventually(done, seconds, "everything is numbered and heard")
        except AssertionError as error:
            raise AssertionError(f"{error}: {left}") from None
        return time.monotonic() - start


def dumps(value) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False)
