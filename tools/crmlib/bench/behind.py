"""What goes on behind the requests: events on their way into projections, timers, letters. All services run, and share the cores
with what loads them.

When something became true is not asked of any process: PostgreSQL keeps the moment of each commit (track_commit_timestamp), and
a row knows the transaction that wrote it. Each part is measured twice: under a steady load for how long one takes, and with much
at once for how many there are in a second. Each counts that everything took place, and once."""

import dataclasses
import json
import random
import sys
import time
from pathlib import Path

from crmlib import console
from crmlib.bench.data import type_id
from crmlib.bench.kinds import CONTACT
from crmlib.bench.load import load
from crmlib.bench.system import System
from crmlib.demo import uuid_of

WAIT_SECONDS = 240  # for what was begun to end: far beyond what it takes
LOOK_SECONDS = 0.1
CALM_LOOKS = 3  # in a row that found nothing under way
BATCH_SIZE = 100  # contacts a request, as an import makes them
CREATES_IN_FLIGHT, BATCHES_IN_FLIGHT = 2, 2
LETTERS_PER_SECOND = 20  # in the steady stream
QUEUE_IN_FLIGHT = 16
LANES = 2  # tenants that contacts are imported into
FAR = "2100-01-01T00:00:00Z"
TEXT = "Dear Ada,\n\n" + 5 * "here is our offer: 250 boxes of the kind that you liked, delivered by the end of the month.\n\n"
PASSWORD = "correct horse battery"
SINK = Path(__file__).with_name("sink.py")


@dataclasses.dataclass
class Plan:
    """How much of it."""
    seconds: int  # of a steady load
    import_seconds: int  # of contacts in batches, a tenant
    timers_per_second: int  # in the steady stream
    timers: int  # due at one moment
    letters: int  # due at one moment


FULL = Plan(seconds=6, import_seconds=2, timers_per_second=100, timers=20_000, letters=3_000)
QUICK = Plan(seconds=2, import_seconds=1, timers_per_second=100, timers=2_000, letters=300)


class Behind:
    def __init__(self, system: System, tenants: list[dict], plan: Plan):
        self.system, self.tenants, self.plan = system, tenants, plan
        self.random = random.Random(5)
        self.folder = system.folder / "behind"
        self.folder.mkdir(exist_ok=True)
        self.heard: list[tuple[str, str]] = []  # who hears whom

    def measure(self) -> dict:
        with console.step("all services, until they have heard of everything"):
            self.system.as_in_production()
            self.calm()
        found = {}
        for name in ("events", "timers", "letters"):
            with console.step(name):
                found[name] = getattr(self, name)()
        return found

    # Waiting.
    def calm(self) -> None:
        """Until every event has been numbered and has taken effect wherever it is heard."""
        if not self.heard:
            self.heard = [(service, producer) for service in self.system.instance.services if service != "gateway"
                          for producer in self.system.labels(service, "crm_events_lag", "producer")]
        waiting = [f"exists (select from {producer}.outbox where seq is null)" for producer in sorted({producer for _, producer in self.heard})]
        waiting += [f"exists (select from {producer}.lane l left join {service}.position p on p.tenant_id = l.tenant_id and p.producer = '{producer}' "
                    "where l.seq > coalesce(p.seq, 0))" for service, producer in self.heard]
        self.until(f"not ({' or '.join(waiting)})", "events are still under way", "analytics", CALM_LOOKS)

    def until(self, condition: str, what: str, service: str, looks: int = 1) -> None:
        """Until the condition has held so often in a row. PostgreSQL does the waiting: a session each look would cost more than what is
        measured."""
        try:
            self.system.sql(f"set statement_timeout = '{WAIT_SECONDS}s'; do $$ declare held int := 0; begin loop if {condition} then held := held + 1; "
                            f"else held := 0; end if; exit when held = {looks}; perform pg_sleep({LOOK_SECONDS}); end loop; end $$")
        except console.Failure as failure:
            if "statement timeout" not in failure.output:
                raise
            raise console.Failure(f"after {WAIT_SECONDS} s {what}", "its log says why", log=self.system.instance.log(service)) from None

    # Sums.
    def spread(self, sql: str, count: int, service: str) -> dict:
        """`sql` answers `begin` and `done` of each: how long one took, and how many there were in a second from the first begin to
        the last done."""
        [[found, done, p50, p99, seconds]] = self.system.sql(
            "select count(*), count(done), percentile_cont(0.5) within group (order by milliseconds), percentile_cont(0.99) within group (order by milliseconds), "
            f"extract(epoch from max(done) - min(begin)) from (select *, extract(epoch from done - begin) * 1000 as milliseconds from ({sql}) rows) spread")
        if int(found) != count or int(done) != count:
            raise console.Failure(f"of {count} there are {found}, and {done} took place", f"{service} has lost or doubled some: see its log",
                                  log=self.system.instance.log(service))
        return {"count": count, "per_second": count / max(float(seconds), 0.001), "p50_ms": float(p50), "p99_ms": float(p99)}

    def cost(self, before: dict[str, float], count: int, service: str) -> dict[str, float]:
        """CPU microseconds apiece until now: of `service`, of PostgreSQL, and of everything else that runs, which hears of it."""
        used = {name: seconds - before.get(name, 0.0) for name, seconds in self.system.cpu().items() if name != "sink"}
        own, postgres = used.pop(service), used.pop("postgres")
        per = lambda seconds: seconds / count * 1e6
        return {"service_us": per(own), "postgres_us": per(postgres), "others_us": per(sum(used.values()))}

    # Events.
    def events(self) -> dict:
        """ContactCreated, from the commit of the contact to the commit of its row in analytics."""
        steady, imported, behind = self.created_singly(), self.imported(), self.caught_up()
        return {"per_second": imported["per_second"], "p50_ms": steady["p50_ms"], "p99_ms": steady["p99_ms"], "steady": steady, "import": imported,
                "catch_up": behind}

    def created_singly(self) -> dict:
        rows = ({"method": CONTACT.rpc("Create"), "body": {"contact": CONTACT.made_up(self.random, number)}} for number in range(2000))
        begin = self.now()
        report = load(self.system, "contact", self.written("create.jsonl", rows), self.tenants[0]["login"], CREATES_IN_FLIGHT, self.plan.seconds)
        self.calm()
        return self.projected(begin, report["requests"])

    def imported(self) -> dict:
        begin = self.now()
        count = self.import_contacts()
        self.calm()
        return self.projected(begin, count)

    def import_contacts(self) -> int:
        """As fast as they are taken; the tenants one after the other."""
        rows = ({"method": CONTACT.rpc("BatchCreate", plural=True),
                 "body": {"requests": [{"contact": CONTACT.made_up(self.random, place * BATCH_SIZE + i)} for i in range(BATCH_SIZE)]}} for place in range(50))
        file = self.written("import.jsonl", rows)
        return sum(load(self.system, "contact", file, tenant["login"], BATCHES_IN_FLIGHT, self.plan.import_seconds)["requests"] * BATCH_SIZE
                   for tenant in self.tenants[:LANES])

    def projected(self, begin: str, count: int) -> dict:
        tenants = ", ".join(f"'{uuid_of(tenant['tenant_id'])}'" for tenant in self.tenants[:LANES])
        return self.spread("select pg_xact_commit_timestamp(c.xmin) as begin, pg_xact_commit_timestamp(f.xmin) as done from contact.contact c "
                           "left join analytics.contact_fact f on f.tenant_id = c.tenant_id and f.id = c.id "
                           f"where c.tenant_id in ({tenants}) and c.create_time >= '{begin}'", count, "analytics")

    def caught_up(self) -> dict:
        """What analytics missed while it stood still, from its first effect to its last. Nobody makes any meanwhile."""
        self.system.stop("analytics")
        count = self.import_contacts()
        self.until("not exists (select from contact.outbox where seq is null)", "contact has not numbered its events", "contact")
        begin, before = self.now(), self.system.cpu()
        self.system.start("analytics")
        self.calm()
        cost = self.cost(before, count, "analytics")
        return self.spread(f"select '{begin}'::timestamptz as begin, done from (select pg_xact_commit_timestamp(xmin) as done from analytics.activity_fact "
                           f"where producer = 'contact') f where done >= '{begin}'", count, "analytics") | cost

    # Timers.
    def timers(self) -> dict:
        """Reminders, from their due time to the commit of what they do: they are fired, and their owner is told."""
        steady = self.fired(self.plan.timers_per_second * self.plan.seconds, 1 / self.plan.timers_per_second)
        burst = self.fired(self.plan.timers, 0)
        return {"per_second": burst["per_second"], "lateness_p50_ms": steady["p50_ms"], "lateness_p99_ms": steady["p99_ms"], "steady": steady, "burst": burst}

    def fired(self, count: int, apart: float) -> dict:
        """Of all tenants in turn, due at one moment or `apart` seconds from each other. One of each tenant is made by the API, for a far
        day; the others are its copies."""
        prefix = uuid_prefix()
        ids = [prefix + f"{place:012}" for place in range(count)]
        templates = [self.template(tenant) for tenant in self.tenants]
        rows = ",".join(f"({place}, {place % len(self.tenants)}, '{id}'::uuid, '{type_id('reminder', id)}')" for place, id in enumerate(ids))
        [[due, late]] = self.system.sql(f"""
begin;
create temp table made as select * from (values {rows}) v (place, tenant, id, subject);
create temp table template as select * from (values {','.join(templates)}) v (tenant, reminder, timer);
create temp table moment as select clock_timestamp() + interval '{2 + count / 2500} s' as due;
alter table made add due timestamptz; update made set due = moment.due + place * interval '{apart} s' from moment;
insert into scheduler.reminder select (jsonb_populate_record(null::scheduler.reminder, reminder || jsonb_build_object('id', id, 'due_time', due))).*
  from made join template using (tenant);
insert into scheduler.timer select (jsonb_populate_record(null::scheduler.timer, timer || jsonb_build_object(
  'id', id, 'subject', subject, 'due_time', due, 'wake_time', due))).* from made join template using (tenant);
commit;
select due, clock_timestamp() > due from moment""")
        if late == "t":
            raise console.Failure(f"{count} timers took too long to be set", "give their due time more room in crmlib/bench/behind.py")
        self.until(f"clock_timestamp() >= '{due}'", "the timers are not due", "scheduler")
        before = self.system.cpu()
        subjects = f"between '{type_id('reminder', ids[0])}' and '{type_id('reminder', ids[-1])}'"
        self.until(f"not exists (select from scheduler.timer where subject {subjects})", "timers are left", "scheduler")
        self.calm()
        cost = {} if apart else self.cost(before, count, "scheduler")
        told = int(self.system.value(f"select count(*) from scheduler.notification where record_id {subjects}"))
        if told != count:
            raise console.Failure(f"{count} reminders made {told} notifications", "see the log of scheduler", log=self.system.instance.log("scheduler"))
        return self.spread("select due_time as begin, pg_xact_commit_timestamp(xmin) as done from scheduler.reminder "
                           f"where id between '{ids[0]}' and '{ids[-1]}' and status = 2", count, "scheduler") | cost

    def template(self, tenant: dict) -> str:
        made = self.system.api(self.system.token(tenant["login"])).post("/v1/reminders", {"text": "Call Ada", "due_time": FAR})
        id, place = made["id"], self.tenants.index(tenant)
        return (f"({place}, (select to_jsonb(r) from scheduler.reminder r where id = '{uuid_of(id)}'), "
                f"(select to_jsonb(t) from scheduler.timer t where subject = '{id}'))")

    # Letters.
    def letters(self) -> dict:
        """From the request that makes one (its create_time) until the mail server has taken it (its send_time), by SMTP with TLS and
        sign-in, as to a company's server."""
        port = self.start_sink()
        try:
            for number, tenant in enumerate(self.tenants):
                self.set_channel(tenant, number, port)
            steady, burst = self.sent_singly(), self.sent_together()
        finally:
            self.system.stop("sink")
        return {"per_second": burst["per_second"], "p50_ms": steady["p50_ms"], "p99_ms": steady["p99_ms"], "steady": steady, "burst": burst}

    def start_sink(self) -> int:
        for name in ("ready", "taken"):
            (self.folder / name).unlink(missing_ok=True)
        tls = [self.system.instance.tls(name) for name in ("messaging.pem", "messaging.key")]
        self.system.spawn("sink", [sys.executable, SINK, self.folder, *tls])
        deadline = time.monotonic() + WAIT_SECONDS
        while not (self.folder / "ready").exists():
            if time.monotonic() > deadline or not self.system.alive("sink"):
                raise console.Failure("the bench's mail server does not answer", "its log says why", log=self.system.instance.log("sink"))
            time.sleep(LOOK_SECONDS)
        return int((self.folder / "ready").read_text())

    def set_channel(self, tenant: dict, number: int, port: int) -> None:
        api = self.system.api(self.system.token(tenant["login"]))
        channel = {"smtp": {"host": "localhost", "port": port, "security": "SMTP_SECURITY_TLS", "user": "bench"}, "password": PASSWORD}
        address = f"sales@tenant{number}.example.com"
        there = [one for one in api.get("/v1/channels")["channels"] if one["address"] == address]
        if there:
            api.patch(f"/v1/channels/{there[0]['id']}", channel)
        else:
            api.post("/v1/channels", channel | {"name": "Sales", "address": address, "is_default": True})

    def letter(self) -> dict:
        return {"recipients": [{"address": f"ada{self.random.randrange(10**9)}@example.com"}], "subject": "Our offer", "text": TEXT}

    def sent_singly(self) -> dict:
        """A fixed number a second, of all tenants in turn."""
        apis = [self.system.api(self.system.token(tenant["login"])) for tenant in self.tenants]
        begin, taken, count, start = self.now(), self.taken(), self.plan.seconds * LETTERS_PER_SECOND, time.monotonic()
        for place in range(count):
            time.sleep(max(0.0, start + place / LETTERS_PER_SECOND - time.monotonic()))
            apis[place % len(apis)].post("/v1/messages", self.letter())
        return self.sent(begin, "create_time", count, taken)

    def sent_together(self) -> dict:
        """Accepted for a far day, then due at one moment."""
        begin, taken, each = self.now(), self.taken(), self.plan.letters // len(self.tenants)
        rows = ({"method": "crm.messaging.v1.MessageService.SendMessage", "body": self.letter() | {"not_before": FAR}} for _ in range(each))
        file = self.written("queue.jsonl", rows)
        for tenant in self.tenants:
            load(self.system, "messaging", file, tenant["login"], QUEUE_IN_FLIGHT, WAIT_SECONDS, f"--count={each}", "--order=sequence")
        self.calm()
        count, before = each * len(self.tenants), self.system.cpu()
        due = self.system.value(f"update messaging.send set due_time = clock_timestamp() where due_time = '{FAR}'; select clock_timestamp()")
        return self.sent(begin, f"'{due}'::timestamptz", count, taken) | self.cost(before, count, "messaging")

    def sent(self, begin: str, since: str, count: int, taken: int) -> dict:
        made = f"from messaging.message where create_time >= '{begin}' and direction = 2"
        self.until(f"not exists (select from messaging.send where due_time < '{FAR}')", "letters are left", "messaging")
        self.calm()
        found = self.spread(f"select {since} as begin, case when status = 3 then send_time end as done {made}", count, "messaging")
        if self.taken() - taken != count:
            raise console.Failure(f"the mail server has {self.taken() - taken} letters of {count}", "see the log of messaging",
                                  log=self.system.instance.log("messaging"))
        return found

    def taken(self) -> int:
        """Letters that the mail server has, told apart by their Message-ID."""
        return len(set((self.folder / "taken").read_text().split()))

    # Small things.
    def now(self) -> str:
        return self.system.value("select clock_timestamp()")

    def written(self, name: str, rows) -> Path:
        file = self.folder / name
        with file.open("w") as out:
            for row in rows:
                out.write(json.dumps(row) + "\n")
        return file


def uuid_prefix() -> str:
    """What identifiers made now begin with: UUIDs of version 7 have the time there. Twelve digits are to follow."""
    milliseconds = f"{time.time_ns() // 1_000_000:012x}"
    return f"{milliseconds[:8]}-{milliseconds[8:]}-7000-8000-"
