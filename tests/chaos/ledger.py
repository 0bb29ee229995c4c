"""A client's own book: every request before it is sent, every answer when it has come. Afterwards PostgreSQL alone must agree with
it: what was acknowledged is there, what was not is wholly there or not at all, events are numbered without gaps and heard to the
end. Kinds of records, their tables and columns come from the descriptors and PostgreSQL's catalogue: a new kind is written and checked
without touching this file.

    writers = [Writer(stack, tenant, requester, number, folder, seed) for number in range(3)]
    ... faults ...
    Writer.end_all(writers)
    census.settle([tenant.uuid])
    problems, counts = Check(stack, catalogue, [tenant], folder).all()"""

import datetime
import decimal
import json
import random
import re
import sys
import threading
import time
from collections import Counter, defaultdict
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1] / "flow"))
from rpcs import Catalogue, Method, Recipe, Requests, Tenant, is_output, tenant_uuid  # noqa: E402
from writes import UNKNOWN, Patient, Requester, Sql, key  # noqa: E402

from crmlib import descriptors  # noqa: E402

GIVE_UP_EVERY = 5      # one request in so many is not repeated when its answer stays away: nobody knows what became of it
PAUSE_SECONDS = 0.015  # between a writer's requests: light load, and a check that takes a moment
KEPT_LIVE_MAX = 60     # records that a tenant's writers change among themselves
EVENT_RECORD, EVENT_REVISION = 5, 6  # of crm.events.v1.Event


class Ledger:
    """An append-only file of JSON lines, each written out before the next step is taken."""

    def __init__(self, path: Path):
        self.file = path.open("a")

    def write(self, **line) -> None:
        self.file.write(json.dumps(line) + "\n")
        self.file.flush()

    @staticmethod
    def read(folder: Path) -> list[dict]:
        """Every request of every ledger in the folder, with what became of it: `answer` (a body), `refused` (why) or neither."""
        found = []
        for path in sorted(folder.glob("*.ledger")):
            asked: dict[int, dict] = {}
            for line in path.read_text().splitlines():
                one = json.loads(line)
                if "method" in one:
                    asked[one["n"]] = one
                else:
                    asked[one["n"]] |= one
            found += asked.values()
        return found


class Kind:
    """A kind of record that rpcs make, and perhaps change and delete."""

    def __init__(self, catalogue: Catalogue, prefix: str, create: Method):
        self.prefix, self.create = prefix, create
        self.message = catalogue.records[prefix]
        self.record = catalogue.record(prefix)
        self.service = catalogue.home(prefix)
        name = self.message.rsplit(".", 1)[1]

        def find(verb: str) -> Method | None:
            return next((method for method in catalogue.methods if method.name == create.name.rsplit(".", 1)[0] + f".{verb}{name}" and method.http), None)
        self.update, self.delete = find("Update"), find("Delete")


def kinds(catalogue: Catalogue, requester: Requester, tenant: Tenant) -> list[Kind]:
    """Every kind whose making a made-up request reaches; what their rpcs need is learned on the way."""
    found = [Kind(catalogue, prefix, create) for prefix, create in sorted(catalogue.makers.items())]
    found = [kind for kind in found if create_is_ours(kind) and requester.learn(tenant, kind.create)]
    for kind in found:
        if kind.update and not requester.learn(tenant, kind.update):
            kind.update = None
    return found


def create_is_ours(kind: Kind) -> bool:
    return kind.create.who == "right"


class Writer(threading.Thread):
    """Makes, changes and deletes records of all kinds by chance, and keeps its ledger. Writers of one tenant change each other's records."""

    def __init__(self, stack, tenant: Tenant, found: list[Kind], number: int, folder: Path, seed):
        super().__init__(daemon=True)
        self.tenant, self.kinds, self.number = tenant, found, number
        self.http = Patient(stack.instance.url, {}, tenant.session)
        self.dice = random.Random(f"{seed}/writer {number}")
        self.ledger = Ledger(folder / f"{tenant.mark}-{number}.ledger")
        self.requests = Requests(tenant.catalogue, "", tenant.requests.hints)
        self.live: list[tuple[Kind, str]] = tenant.__dict__.setdefault("live", [])
        self.ending = threading.Event()
        self.turns = self.acknowledged = 0
        self.failed: BaseException | None = None
        self.slowest = 0.0
        self.start()

    def run(self) -> None:
        try:
            while not self.ending.wait(self.dice.uniform(0, 2 * PAUSE_SECONDS)):
                self.turn()
        except BaseException as error:  # noqa: BLE001: told by end_all
            self.failed = error

    @staticmethod
    def end_all(writers: list["Writer"]) -> None:
        for writer in writers:
            writer.ending.set()
        for writer in writers:
            writer.join(120)
            if writer.failed:
                raise writer.failed
            assert not writer.is_alive(), f"writer {writer.number} does not end"

    def turn(self) -> None:
        self.turns += 1
        chance, picked = self.dice.random(), None
        if self.live and (chance > 0.4 or len(self.live) > KEPT_LIVE_MAX):
            picked = self.live[self.dice.randrange(len(self.live))]
        kind = picked[0] if picked else self.dice.choice(self.kinds)
        method = kind.create if not picked else kind.delete if kind.delete and (chance > 0.85 or not kind.update) else kind.update
        if not method:
            return
        if method is kind.delete:
            try:
                self.live.remove(picked)
            except ValueError:
                return  # another writer was faster
        mark = self.requests.mark = f"t{self.tenant.mark}w{self.number}n{self.turns}x"
        recipe = self.tenant.recipes.get(method.name, Recipe())
        request = self.requests.make(method, recipe, lambda prefix: picked[1] if picked and prefix == kind.prefix else self.tenant.id(prefix))
        key_ = key()
        self.ledger.write(n=self.turns, method=method.name, kind=kind.prefix, tenant=self.tenant.uuid, id=picked[1] if picked else "", key=key_, mark=mark, request=request)
        start = time.monotonic()
        if self.turns % GIVE_UP_EVERY:
            result = self.http.keyed(method, request, key_)
        else:
            result = self.http.attempt(method, request, key_)
        self.slowest = max(self.slowest, time.monotonic() - start)
        if result.ok:
            self.acknowledged += 1
            self.ledger.write(n=self.turns, answer=result.body)
            if method is kind.create and len(self.live) < 2 * KEPT_LIVE_MAX:
                self.live.append((kind, result.body["id"]))
        elif result.code not in UNKNOWN:
            self.ledger.write(n=self.turns, refused=f"{result}")


class Witness:
    """A rule that tells somebody of every contact that is made: an effect of an event, by way of a run and a timer, which must happen once."""

    def __init__(self, stack, tenant: Tenant):
        self.stack, self.tenant, self.mark = stack, tenant, f"witness {time.monotonic_ns()}"
        self.rule = tenant.admin.post("/v1/rules", {"name": self.mark, "enabled": True, "trigger": {"event": {"type": "contact.created"}},
                                                    "actions": [{"notify": {"text": self.mark}}]})["id"]
        self.before = self.events()

    def events(self) -> int:
        return int(self.stack.value(f"select count(*) from contact.outbox where tenant_id = '{self.tenant.uuid}' and type = 'contact.created'"))

    def wrong(self) -> str:
        """"" when each event since has had its run, and each run its notification."""
        where = f"where tenant_id = '{self.tenant.uuid}'"
        runs = int(self.stack.value(f"select count(*) from scheduler.rule_run {where} and rule_id = '{tenant_uuid(self.rule)}'"))
        told = int(self.stack.value(f"select count(*) from scheduler.notification {where} and title = '{self.mark}'"))
        events = self.events() - self.before
        return "" if events == runs == told else f"{events} events, {runs} runs of the rule, {told} notifications"


class Check:
    """What PostgreSQL holds against what the ledgers say. Every problem is a line; counts say how much was looked at."""

    def __init__(self, stack, catalogue: Catalogue, tenants: list[Tenant], folder: Path):
        self.sql, self.catalogue, self.services = Sql(stack), catalogue, catalogue.services
        self.uuids = [tenant.uuid for tenant in tenants]
        self.tenants = ", ".join(f"'{uuid}'" for uuid in self.uuids)
        self.asked = Ledger.read(folder)
        self.problems: list[str] = []
        self.counts: Counter = Counter()
        names = ", ".join(f"'{service}'" for service in self.services)
        self.columns: dict[str, dict[str, str]] = defaultdict(dict)  # "contact.company" -> column -> type
        for schema, table, column, type_ in self.sql(
                "select n.nspname, c.relname, a.attname, t.typname from pg_class c join pg_namespace n on n.oid = c.relnamespace "
                "join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped join pg_type t on t.oid = a.atttypid "
                f"where n.nspname in ({names}) and c.relkind = 'r'"):
            self.columns[f"{schema}.{table}"][column] = type_
        self.made = {one["kind"] for one in self.asked}
        # Record id -> revision -> row, superseded ones too.
        self.revisions: dict[str, dict[int, dict]] = defaultdict(dict)
        self.current: dict[str, dict] = {}
        self.owners: dict[str, str] = {}  # record id -> prefix
        self.tables: dict[str, str] = {}
        for prefix in catalogue.records:
            self.load(prefix)

    def rows(self, table: str, what: str = "row_to_json(x)") -> list[dict]:
        """The tenants' rows."""
        return [json.loads(row) for row, in self.sql(f"select {what} from {table} x where tenant_id in ({self.tenants})")]

    def load(self, prefix: str) -> None:
        table = f"{self.catalogue.home(prefix)}.{self.catalogue.record(prefix)['table']}"
        columns = self.columns.get(table, {})
        if "revision" not in columns or columns.get("id") != "uuid":
            return
        self.tables[prefix] = table
        for row in self.rows(table):
            self.current[row["id"]] = row
            self.owners[row["id"]] = prefix
            self.keep(row)
        if f"{table}_history" in self.columns:
            for row in self.rows(f"{table}_history"):
                if row["revision"] in self.revisions[row["id"]]:
                    self.wrong(f"{table} {row['id']} has revision {row['revision']} twice")
                self.keep(row)

    def keep(self, row: dict) -> None:
        self.revisions[row["id"]][row["revision"]] = row

    def wrong(self, text: str) -> None:
        self.problems.append(text)

    def all(self) -> tuple[list[str], Counter]:
        self.acknowledged()
        self.unacknowledged()
        self.chains()
        self.numbers()
        self.beside()
        self.projections()
        self.sums()
        self.sql.close()
        return self.problems, self.counts

    # What was acknowledged.
    def acknowledged(self) -> None:
        seen: dict[tuple[str, str], dict] = {}
        for one in self.asked:
            if "answer" not in one:
                continue
            body, table = one["answer"], self.tables.get(one["kind"])
            if table is None:
                continue
            where = f"{one['method']} {one['mark']} ({body['id']}, etag {body.get('etag')})"
            uuid, revision = tenant_uuid(body["id"]), int(body["etag"]) if body.get("etag", "").isdigit() else 0
            if not revision:
                continue
            self.counts["acknowledged"] += 1
            twin = seen.setdefault((uuid, revision), one)
            if twin["mark"] != one["mark"]:
                self.wrong(f"{where}: {twin['mark']} was acknowledged with the same etag")
            row = self.revisions[uuid].get(revision)
            if row is None:
                # Without a history what a later write has replaced is gone.
                latest = self.current.get(uuid)
                if latest is None or latest["revision"] < revision or f"{table}_history" in self.columns:
                    self.wrong(f"{where} was acknowledged and is not there: revisions {sorted(self.revisions[uuid])}")
                continue
            for field in self.catalogue.fields(self.catalogue.records[one["kind"]]):
                self.compare(where, field, body, row, self.columns[table])

    def compare(self, where: str, field: dict, body: dict, row: dict, columns: dict[str, str]) -> None:
        name, info = field["name"], field.get("info", {})
        if name in ("id", "etag") or info.get("projected") or info.get("computed") or name not in body:
            return
        value = body[name]
        if field.get("message") == "crm.type.v1.Money" and not field["repeated"]:
            got = {"amount": row.get(f"{name}_amount"), "currency_code": row.get(f"{name}_currency_code")} if f"{name}_amount" in columns else None
            if got is None:
                return
        elif name in columns:
            got = row[name]
        else:
            return
        self.counts["fields compared"] += 1
        wanted, have = plain(field, value, self.catalogue), stored(field, got, columns.get(name, ""), self.catalogue)
        if wanted != have:
            self.wrong(f"{where}: {name} was acknowledged as {str(wanted)[:200]} and is {str(have)[:200]}")

    # What was not: wholly there or not at all. The mark is in a text of what the request would have written.
    def unacknowledged(self) -> None:
        kept = {service: {row["key"] for row in self.rows(f"{service}.idempotency", "json_build_object('key', key)")} for service in self.services}
        marks: dict[str, list[tuple[str, int]]] = defaultdict(list)
        for uuid, revisions in self.revisions.items():
            for revision, row in revisions.items():
                for mark in set(re.findall(r"\bt[a-z]+w\d+n\d+x", json.dumps(row))):
                    marks[mark].append((uuid, revision))
        for one in self.asked:
            service = one["method"].split(".")[1]
            is_kept, there = one["key"] in kept[service], marks.get(one["mark"], [])
            where = f"{one['method']} {one['mark']}"
            outcome = "answer" if "answer" in one else "refused" if "refused" in one else "unknown"
            self.counts[f"{outcome} requests"] += 1
            if outcome == "answer" and not is_kept:
                self.wrong(f"{where} was acknowledged, but its answer is not kept for a repeat")
            if outcome == "refused" and (is_kept or there):
                self.wrong(f"{where} was refused ({one['refused'][:120]}), yet it has been written: {there}")
            if not is_kept and there:
                self.wrong(f"{where} is there without its kept answer: {there}")
            marked = one["mark"] in json.dumps(one["request"])
            if is_kept and marked and not there and not one["id"]:
                self.wrong(f"{where} has a kept answer and is not there")
            if is_kept and not one["id"] and len({uuid for uuid, _ in there if self.owner_of(uuid) == one["kind"]}) > 1:
                self.wrong(f"{where} was made twice: {there}")
            if outcome == "unknown":
                self.counts["unknown that were done" if is_kept else "unknown that were not done"] += 1

    def owner_of(self, uuid: str) -> str:
        return self.owners.get(uuid, "")

    # Every revision from the first on, and each with its event.
    def chains(self) -> None:
        told: dict[str, Counter] = defaultdict(Counter)
        for service in self.services:
            for record, type_, event in self.sql(f"select record_id, type, encode(event, 'hex') from {service}.outbox where tenant_id in ({self.tenants})"):
                parsed = descriptors.parsed(bytes.fromhex(event))
                if record != descriptors.text(parsed, EVENT_RECORD):
                    self.wrong(f"{service}'s event {type_} is about another record than its row says, {record}")
                told[record][(type_, parsed.get(EVENT_REVISION, [0])[-1])] += 1
                self.counts["events"] += 1
        by_uuid = {tenant_uuid(record): events for record, events in told.items() if "_" in record}
        for prefix, table in self.tables.items():
            if f"{table}_history" not in self.columns:
                continue
            emits = any(uuid in by_uuid for uuid, row in self.current.items() if self.owner_of(uuid) == prefix)
            for uuid in [uuid for uuid in self.current if self.owner_of(uuid) == prefix]:
                have = sorted(self.revisions[uuid])
                self.counts["revisions"] += len(have)
                if have != list(range(1, self.current[uuid]["revision"] + 1)):
                    self.wrong(f"{table} {uuid} has revisions {have}")
                if not emits or prefix not in self.made:
                    continue
                events = by_uuid.get(uuid, Counter())
                twice = [f"{type_} at {revision}" for (type_, revision), count in events.items() if count > 1 and revision]
                missing = sorted(set(have) - {revision for _, revision in events})
                if twice or missing:
                    self.wrong(f"{table} {uuid}: revisions without an event {missing}, events told twice {twice}, of {dict(events)}")

    # Numbers without gaps, heard to the end, nothing put aside.
    def numbers(self) -> None:
        for service in self.services:
            for tenant, count, low, high, distinct, head in self.sql(
                    f"select tenant_id, count(*), min(seq), max(seq), count(distinct seq), (select seq from {service}.lane l where l.tenant_id = o.tenant_id) "
                    f"from {service}.outbox o where tenant_id in ({self.tenants}) group by tenant_id"):
                self.counts["lanes"] += 1
                if not (count == high == distinct == head and low == "1"):
                    self.wrong(f"{service} numbers the {count} events of {tenant} from {low} to {high}, {distinct} of them differ, head {head}")
            for producer in self.services:
                for tenant, seq, head in self.sql(
                        f"select tenant_id, p.seq, l.seq from {service}.position p join {producer}.lane l using (tenant_id) "
                        f"where p.producer = '{producer}' and tenant_id in ({self.tenants})"):
                    self.counts["positions"] += 1
                    if seq != head:
                        self.wrong(f"{service} has heard {producer}'s events of {tenant} up to {seq} of {head}")
            for row in self.sql(f"select producer, seq, record_id, error from {service}.dead_letter where tenant_id in ({self.tenants})"):
                self.wrong(f"{service} has put an event aside: {row}")

    # What stands beside records: keys, search entries, ids elsewhere.
    def beside(self) -> None:
        for table, columns in self.columns.items():
            if not {"object", "record_id", "tenant_id"} <= columns.keys() or columns["record_id"] != "uuid":
                continue
            service = table.split(".")[0]
            rows = self.rows(table)
            by_object: dict[str, Counter] = defaultdict(Counter)
            for row in rows:
                by_object[row["object"]][row["record_id"]] += 1
                self.counts["rows beside records"] += 1
                if f"{service}.{row['object']}" in self.tables.values() and row["record_id"] not in self.current:
                    self.wrong(f"{table} has {row} of a record that is not there")
            if not table.endswith(".search_entry"):
                continue
            for object_, entries in by_object.items():
                title = self.catalogue.record(object_).get("title", "")
                texts = {row["record_id"]: row["name"] + " " + row["text"] for row in rows if row["object"] == object_}
                for uuid, row in self.current.items():
                    if self.owner_of(uuid) != object_ or row.get("delete_time"):
                        continue
                    if entries[uuid] != 1:
                        self.wrong(f"{table} has {entries[uuid]} entries of the {object_} {uuid}")
                    else:
                        for mark in re.findall(r"\bt[a-z]+w\d+n\d+x", row.get(title) or ""):
                            self.counts["search entries"] += 1
                            if mark not in texts[uuid]:
                                self.wrong(f"{table} finds the {object_} {uuid} by {texts[uuid][:100]!r}, it is called {row[title]!r}")

    # What others keep of a record says its newest revision.
    def projections(self) -> None:
        for table, columns in self.columns.items():
            if columns.get("id") != "uuid" or "revision" not in columns or table in self.tables.values() or table.endswith("_history") or "tenant_id" not in columns:
                continue
            for row in self.rows(table):
                record = self.current.get(row["id"])
                if record is None:
                    continue
                self.counts["projected rows"] += 1
                if row["revision"] > record["revision"]:
                    self.wrong(f"{table} knows revision {row['revision']} of {row['id']}, which is at {record['revision']}")
                for column in columns.keys() & record.keys() - {"revision", "tenant_id", "id", "create_time", "update_time", "status"}:
                    if columns[column] in ("text", "uuid") and isinstance(record[column], (str, type(None))) and row[column] != record[column]:
                        self.counts["projected columns that differ"] += 1
                        self.wrong(f"{table}.{column} of {row['id']} is {row[column]!r}, the record's is {record[column]!r}")

    # Totals that are kept, and effects that leave a row each.
    def sums(self) -> None:
        for text, sql in {
            "stage totals do not count the deals": "select t.tenant_id, t.n, d.n from (select tenant_id, sum(deal_count) n from deal_pipeline.stage_total group by 1) t "
            "join (select tenant_id, count(*) n from deal_pipeline.deal where delete_time is null group by 1) d using (tenant_id) where t.n <> d.n",
            "users are not known where they must be": " union ".join(
                f"select tenant_id::text, '{schema}', id::text from identity.account a where not exists "
                f"(select 1 from {schema}.member m where m.tenant_id = a.tenant_id and m.user_id = a.id)" for schema in ("contact", "deal_pipeline", "scheduler", "messaging")),
            "the timeline tells a thing twice": "select tenant_id, kind, object, record_id, time from contact.activity group by 1, 2, 3, 4, 5 having count(*) > 1",
        }.items():
            for row in self.sql(f"select * from ({sql}) x where tenant_id::text in ({self.tenants})"):
                self.wrong(f"{text}: {row}")


def plain(field: dict, value, catalogue: Catalogue):
    """An answer's value in a form that a column's can be compared with."""
    if field.get("map"):
        return bare(value or {})
    if isinstance(value, list):
        return [plain({**field, "repeated": False}, one, catalogue) for one in value]
    kind = field["type"]
    if field.get("message") == "google.protobuf.Timestamp":
        return instant(value)
    if field.get("message") == "crm.type.v1.Money":
        return money(value)
    if kind == "message":
        return bare(value)
    if kind == "enum":
        return catalogue.enums[field["enum"]].index(value) if isinstance(value, str) else value
    if kind == "string":
        return re.sub(r"^[a-z_]+_([0-7][0-9a-hjkmnp-tv-z]{25})$", lambda found: tenant_uuid("x_" + found[1]), value or "") if field.get("info", {}).get("ref") else value or ""
    if kind in ("bool", "bytes"):
        return value
    return decimal.Decimal(str(value or 0))


def stored(field: dict, value, type_: str, catalogue: Catalogue):
    """A column's value in the same form."""
    if field.get("map"):
        return bare(value or {})
    if field["repeated"] and type_ != "jsonb":
        return [stored({**field, "repeated": False}, one, type_, catalogue) for one in value or []]
    if field["repeated"]:
        return [bare(one) for one in value or []] if field["type"] == "message" else value or []
    kind = field["type"]
    if field.get("message") == "google.protobuf.Timestamp":
        return instant(value)
    if field.get("message") == "crm.type.v1.Money":
        return money(value)
    if kind == "message":
        return bare(value)
    if kind == "string":
        if field.get("info", {}).get("ref") and value and "_" in str(value):
            return tenant_uuid(value)
        if field.get("info", {}).get("decimal"):
            return "" if value is None else str(value)
        return "" if value is None else str(value)
    if kind in ("bool", "bytes", "enum"):
        return value if value is not None else 0
    return decimal.Decimal(str(value or 0))


def instant(value):
    return datetime.datetime.fromisoformat(value.replace("Z", "+00:00")).astimezone(datetime.timezone.utc).replace(tzinfo=None) if value else None


def money(value):
    if not value or value.get("amount") in (None, ""):
        return None
    return decimal.Decimal(str(value["amount"])), value.get("currency_code") or ""


def bare(value):
    """JSON without defaults, which one side prints and the other may not."""
    if isinstance(value, dict):
        kept = {name: bare(inner) for name, inner in value.items()}
        return {name: inner for name, inner in kept.items() if inner not in ("", None, [], {}, False, 0, "0") and not (isinstance(inner, str) and inner.endswith("_UNSPECIFIED"))}
    if isinstance(value, list):
        return [bare(one) for one in value]
    return value
