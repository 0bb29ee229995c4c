"""The very SQL that the service sends, read from PostgreSQL's log while the service answers a request, and run again by
pgbench: the same statements in the same order in one pipeline, prepared, as the same role with the same settings.

pgbench has no text variables that change: what differs from request to request is written as an expression over a number
(`('01900000-...' || $1)::uuid`); the other parameters travel as parameters with the values that the service sent, but for
NULL and the empty text, which it cannot send so."""

import dataclasses
import json
import random
import re
import resource
import subprocess
import time
from pathlib import Path

from crmlib import console, paths, postgres
from crmlib.bench.data import PREFIX, type_id
from crmlib.bench.kinds import Kind
from crmlib.bench.system import System, backends

# What common/pg/connection.cc sets when it connects; the schema is called as the role.
SESSION_OPTIONS = "-c search_path={},public -c TimeZone=UTC -c jit=off -c idle_in_transaction_session_timeout=30s"
EXECUTED = re.compile(r"execute ([^:]+): (.*)", re.DOTALL)
PARAMETER = re.compile(r"\$(\d+) = (NULL|'(?:[^']|'')*')")
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
CAPTURE_SECONDS = 20


@dataclasses.dataclass
class Statement:
    name: str
    sql: str
    parameters: list[str | None]

    @property
    def text(self) -> str:
        """Without the comments before it, on one line."""
        return " ".join(re.sub(r"^\s*--.*$", "", self.sql, flags=re.MULTILINE).split())


class Capture:
    """Everything that the role runs within the block, as batches: `batches` after it."""

    def __init__(self, system: System, role: str):
        self.system, self.role = system, role
        self.file = system.instance.postgres_data / "pg_log/postgresql.json"

    def __enter__(self) -> "Capture":
        self.switch("alter system set log_statement = 'all'", "alter system set log_parameter_max_length = -1")
        self.place = self.file.stat().st_size
        return self

    def __exit__(self, kind, error, trace) -> None:
        self.switch("alter system reset log_statement", "alter system set log_parameter_max_length = 0")
        self.batches = batches_of(self.read(), self.role)

    def switch(self, *statements: str) -> None:
        self.system.sql("; ".join(statements) + "; select pg_reload_conf()")
        # Every session has heard of it before its next command; the postmaster needs a moment to tell them.
        time.sleep(0.3)

    def read(self) -> list[dict]:
        with self.file.open("rb") as file:
            file.seek(self.place)
            return [json.loads(line) for line in file.read().decode().splitlines() if line.endswith("}")]


def batches_of(lines: list[dict], role: str) -> list[list[Statement]]:
    """By session in order; a batch begins with its settings (common/pg/connection.cc)."""
    sessions: dict[int, list[list[Statement]]] = {}
    for line in lines:
        match = EXECUTED.match(line.get("message", ""))
        if line.get("user") != role or not match:
            continue
        parameters = [None if value == "NULL" else value[1:-1].replace("''", "'") for _, value in PARAMETER.findall(line.get("detail", ""))]
        statement = Statement(match[1], match[2], parameters)
        batches = sessions.setdefault(line["pid"], [])
        if "set_config('app.tenant'" in statement.sql or not batches:
            batches.append([])
        batches[-1].append(statement)
    return [batch for batches in sessions.values() for batch in batches]


@dataclasses.dataclass
class Script:
    """One pgbench script."""
    label: str
    batch: list[Statement]
    lines: list[str]
    variables: dict[str, str]

    def text(self) -> str:
        return "\n".join(self.lines) + "\n"


def script_of(label: str, number: str, batch: list[Statement], changing: dict[str, str], tenant: tuple[str, str]) -> Script:
    """`changing`: parameter value as captured -> expression over pgbench's variables. `number`: pgbench's lines that set these.
    `tenant`: the captured tenant's uuid, and the one to run as."""
    variables: dict[str, str] = {}
    lines = [number, "\\startpipeline"]
    for place, statement in enumerate(batch):
        values = {}
        for index, value in enumerate(statement.parameters, 1):
            if not value:  # pgbench has no variable for these
                values[index] = "NULL" if value is None else "''"
            elif value in changing:
                values[index] = changing[value]
            else:
                name = f"{label}_{place}_{index}"
                variables[name] = value.replace(*tenant)
                values[index] = f":{name}"
        lines.append(re.sub(r"\$(\d+)\b", lambda match: values[int(match[1])], statement.text) + ";")
    lines.append("\\endpipeline")
    return Script(label, batch, lines, variables)


@dataclasses.dataclass
class Run:
    requests: int
    pgbench: float  # CPU seconds
    postgres: float
    seconds: float
    latency_us: float


class Pgbench:
    def __init__(self, system: System, folder: Path, role: str):
        self.system, self.folder = system, folder
        self.environment = postgres.environment(system.instance, role) | {"PGOPTIONS": SESSION_OPTIONS.format(role), "PGAPPNAME": "pgbench"}

    def run(self, scripts: list[Script], clients: int, seconds: int, variables: dict[str, str]) -> Run:
        """What `seconds` of it cost beyond connecting and preparing, which a run of one transaction a client tells."""
        first = self.once(scripts, clients, ["-t", "1"], variables | {"k": "0"})
        rest = self.once(scripts, clients, ["-T", str(seconds)], variables | {"k": "1"})
        return Run(rest.requests - first.requests, rest.pgbench - first.pgbench, rest.postgres - first.postgres, rest.seconds, rest.latency_us)

    def once(self, scripts: list[Script], clients: int, length: list[str], variables: dict[str, str]) -> Run:
        arguments = [paths.POSTGRES_BIN / "pgbench", "-n", "-M", "prepared", "-c", str(clients), "-j", "1", *length]
        for script in scripts:
            file = self.folder / f"{script.label}.sql"
            file.write_text(script.text())
            arguments += ["-f", file]
            for name, value in script.variables.items():
                arguments += ["-D", f"{name}={value}"]
        for name, value in variables.items():
            arguments += ["-D", f"{name}={value}"]
        postmaster = self.system.processes["postgres"].pid
        idle = backends(postmaster)
        before, own, start = self.system.cpu()["postgres"], resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
        done = subprocess.run([str(argument) for argument in arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              text=True, env=self.environment)
        seconds, after = time.monotonic() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
        while backends(postmaster) > idle and time.monotonic() < start + seconds + 5:
            time.sleep(0.01)  # until its sessions have ended and are accounted for
        requests = re.search(r"number of transactions actually processed: (\d+)", done.stdout)
        failed = re.search(r"number of failed transactions: (\d+)", done.stdout)
        if done.returncode != 0 or not requests or (failed and failed[1] != "0"):
            raise console.Failure("pgbench failed", "run tools/crm bench --print-sql and look at the statement", output=done.stdout + done.stderr)
        latency = re.search(r"latency average = ([\d.]+) ms", done.stdout)
        return Run(int(requests[1]), after.ru_utime + after.ru_stime - own.ru_utime - own.ru_stime, self.system.cpu()["postgres"] - before, seconds,
                   float(latency[1]) * 1000 if latency else 0.0)


class Statements:
    """The scripts of the measured calls, captured from the running service with requests of the first tenant."""

    CREATES = 4  # records, each a script of its own, so that names and addresses differ as in the service's requests

    def __init__(self, system: System, kind: Kind, tenant: dict, token: str):
        self.system, self.kind, self.tenant = system, kind, tenant
        self.records = [kind.made_up(random.Random(number), number) for number in range(self.CREATES)]
        self.api = system.api(token)
        self.example = PREFIX[kind.object].format(t=tenant["number"]) + str(tenant["first"])
        path = f"{kind.collection}/{type_id(kind.object, self.example)}"
        self.found = {"get": [self.capture(lambda: self.api.get(path), kind.read_mark)],
                      "list": [self.capture(lambda: self.api.get(kind.collection, page_size=50), kind.read_mark)],
                      "create": [self.capture(lambda record=record: self.create(record), kind.insert_mark) for record in self.records]}

    def create(self, record: dict) -> None:
        self.api.post(self.kind.collection, record)

    def capture(self, request, mark: str) -> list[Statement]:
        deadline = time.monotonic() + CAPTURE_SECONDS
        while time.monotonic() < deadline:
            request()  # the statements are prepared and the caches filled
            with Capture(self.system, self.kind.service) as capture:
                request()
            for batch in capture.batches:
                if len(batch) > 1 and any(mark in statement.sql for statement in batch):
                    return batch
        raise console.Failure(f"no statement of the service contained {mark!r}", "adapt crmlib/bench/statements.py to the SQL that it sends")

    def scripts(self, operation: str, tenant: dict) -> list[Script]:
        made = []
        for place, batch in enumerate(self.found[operation]):
            label, changing, number = f"{operation}_{place}", {}, ""
            expression = f"('{PREFIX[self.kind.object].format(t=tenant['number'])}' || :n)"
            if operation == "get":
                changing = {self.example: f"{expression}::uuid"}
                number = "\\set n random(:first, :last)"
            if operation == "create":
                # The record's id, and the key against repetition, which is a uuid of its own.
                row = next(statement for statement in batch if self.kind.insert_mark in statement.sql)
                keep = next(statement for statement in batch if "INSERT INTO idempotency" in statement.sql)
                id = next(value for value in row.parameters if value and UUID.fullmatch(value) and value != self.tenant["uuid"])
                key = keep.parameters[1]
                if not UUID.fullmatch(key):
                    raise console.Failure(f"the idempotency key is {key!r}", "adapt crmlib/bench/statements.py")
                changing = {id: f"('{self.rising}' || :n)::uuid", key: f"('{self.rising}' || :n)"}
                # Rising over all clients, as identifiers of the service rise with time.
                number = "\\set k :k + 1\n\\set n 100000000000 + :k * 64 + :client_id"
            made.append(script_of(label, number, batch, changing, (self.tenant["uuid"], tenant["uuid"])))
        return made

    @property
    def rising(self) -> str:
        """A prefix above every id made so far: the time in milliseconds, as UUIDv7 has it."""
        milliseconds = f"{int(time.time() * 1000):012x}"
        return f"{milliseconds[:8]}-{milliseconds[8:]}-7000-8000-"


def print_sql(statements: Statements) -> str:
    parts = []
    for operation in ("get", "list", "create"):
        script = statements.scripts(operation, statements.tenant)[0]
        parts.append(f"-- {operation}: the service prepares these as {', '.join(statement.name for statement in script.batch)}")
        parts.append(script.text())
        parts += [f"-- {name} = {value[:200]}{'...' if len(value) > 200 else ''}" for name, value in script.variables.items()]
        parts.append("")
    parts.append(f"-- pgbench -n -M prepared, role {statements.kind.service}, PGOPTIONS='{SESSION_OPTIONS.format(statements.kind.service)}'")
    return "\n".join(parts)
