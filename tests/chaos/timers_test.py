#!/usr/bin/env python3
"""Timers and rules with five schedulers. Holders stand still (SIGSTOP, by chance or at a failpoint between claim and commit) until their
leases are over and others have fired what they held, and go on; series and schedules run over the turn of clocks in several zones meanwhile.
Then clocks jump, each process's by itself. Every effect must be there once, by what PostgreSQL holds; none before its time by PostgreSQL's
clock. CRM_SEED repeats a run's choices; CRM_LONG=1 takes 100,000 timers and 500 pauses, CRM_TIMERS and CRM_PAUSES say how many."""

import datetime
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import uuid
from pathlib import Path
from zoneinfo import ZoneInfo

from writes import PASSWORD, ChaosTest, Patient, Session, Stack, UNLIMITED, eventually, tenant_uuid
from rpcs import Mint, claims_of
from shifted_clock import Clock
from stack import ROOT

from crmlib.bench.data import type_id

SCHEDULERS = 5
WORKERS = ["scheduler", *(f"scheduler.{number}" for number in range(2, SCHEDULERS + 1))]
TIMERS, TIMERS_LONG = 2000, 100_000
PAUSES, PAUSES_LONG = 24, 500
SLEEPS, SLEEPS_LONG = 1, 10        # pauses in which the leases end by themselves
PAUSED_AT_ONCE = 3
SPREAD, SPREAD_LONG = 15.0, 600.0  # seconds over which timers come due
REACHED_SECONDS = 1.0              # in which a failpoint that stops is met, or the process is stopped wherever it is
SECONDS = 60.0
RULE_KNOWN_SECONDS = 2.0
STAMP_TOLERATED = 25.0             # between the time that an effect says and PostgreSQL's at its commit: an effect may take 20 s
SKEW_TOLERATED = 15.0              # of a stamp made by a call
REVOKED_SECONDS = 5.0
# Between claim and commit, also of what a rule does elsewhere; after the commit; and around events.
POINTS = ("timers.after_claim", "timers.before_effect", "timers.before_effect", "timers.after_effect", "rules.before_step", "rules.after_step",
          "events.before_number", "events.after_number", "events.after_publish", "events.before_effect", "events.after_effect")
ZONES = {"Europe/Berlin": datetime.date(2027, 3, 28), "America/New_York": datetime.date(2027, 3, 14), "Australia/Lord_Howe": datetime.date(2027, 4, 4)}
DAYS, DAYS_LONG = 3, 20            # around each zone's turn of clocks
JUMPS = [(600, 86_400), (-600, -86_400)]  # on, back; of each one by chance, in the long run all
DATES = ["2028-02-29 22:15:00", "2027-03-28 00:59:55", "2027-10-31 00:59:55", "2038-01-19 03:14:02"]  # UTC; and a day ahead

# Of each kind of timer in the plan: effects, each as record id, how many, when (PostgreSQL's time of the first). {t} is the tenant.
EVENTS = "select record_id, count(*), min(create_time) from {schema}.outbox where tenant_id = '{{t}}' and type = '{type}' group by 1"
TOLD = "select record_id, count(*), min(create_time) from scheduler.notification where tenant_id = '{{t}}' and title like '{title}' group by 1"
RUNS = "select record_id, count(*), min(create_time) from scheduler.rule_run where tenant_id = '{{t}}' and event_type = '{type}' and status = 3 group by 1"
BY_EVENT, BY_STAMP = True, False  # whether the time is PostgreSQL's own, or the process's
EFFECTS = {
    "reminder": [("event", EVENTS.format(schema="scheduler", type="reminder.fired"), BY_EVENT), ("notification", TOLD.format(title="reminder%"), BY_STAMP)],
    "task_due": [("event", EVENTS.format(schema="scheduler", type="task.overdue"), BY_EVENT), ("notification", TOLD.format(title="%task%"), BY_STAMP)],
    "rule_date": [("run", RUNS.format(type="date"), BY_STAMP), ("notification", TOLD.format(title="the date of %"), BY_STAMP)],
    "rule_silence": [("run", RUNS.format(type="silence"), BY_STAMP), ("notification", TOLD.format(title="the silence of %"), BY_STAMP),
                     ("change in another service", EVENTS.format(schema="deal_pipeline", type="deal.updated"), BY_EVENT)],
}
SHARES = {"reminder": 0.6, "task_due": 0.2, "rule_date": 0.1, "rule_silence": 0.1}
PREFIX = {"reminder": "reminder", "task_due": "task", "rule_date": "deal", "rule_silence": "deal"}
TABLE = {"reminder": "scheduler.reminder", "task": "scheduler.task", "deal": "deal_pipeline.deal"}
NUMBERED = ("identity", "contact", "deal_pipeline", "messaging", "scheduler", "analytics")


class Tenant:
    """Signed up, and asking again when nobody answers: the scheduler that requests go to may be one that stands still."""

    def __init__(self, stack: Stack, zone: str = "Europe/Berlin"):
        self.stack, self.zone = stack, ZoneInfo(zone)
        self.admin = stack.sign_up(time_zone=zone)
        self.uuid = tenant_uuid(self.admin.tenant_id)
        self.http = Patient(stack.instance.url, {}, Session(self.admin, self.admin.login))

    def call(self, verb: str, path: str, body=None) -> dict:
        result = self.http.raw(verb, path, body)
        assert result.ok, f"{verb} {path}: {result}"
        return result.body

    def post(self, path: str, body: dict) -> dict:
        return self.call("POST", path, body)

    def get(self, path: str) -> dict:
        return self.call("GET", path)

    def rule(self, name: str, trigger: dict, *actions: dict) -> str:
        return self.post("/v1/rules", {"name": name, "enabled": True, "trigger": trigger, "actions": list(actions)})["id"]


class Bulk:
    """Many timers of every kind, as copies of one that the services have written themselves: its record and its row."""

    def __init__(self, stack: Stack):
        self.stack, self.tenant = stack, Tenant(stack)
        later = (datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=40)).isoformat()
        stages = self.tenant.post("/v1/pipelines", {"name": "Offers", "is_default": True, "stages": [
            {"name": "New", "kind": "STAGE_KIND_OPEN"}, {"name": "Offer", "kind": "STAGE_KIND_OPEN"}, {"name": "Won", "kind": "STAGE_KIND_WON"},
            {"name": "Lost", "kind": "STAGE_KIND_LOST"}]})["stages"]
        self.tenant.rule("dates", {"date": {"object": "deal", "field": "expected_close_date", "hour": 9}}, {"notify": {"text": "the date of {{title}}"}})
        self.tenant.rule("silences", {"silence": {"stage_id": stages[1]["id"], "after": {"days": 30}}},
                         {"set_field": {"field": "tags", "operation": "OPERATION_ADD", "value": "silent"}}, {"notify": {"text": "the silence of {{title}}"}})
        self.t = self.tenant.uuid
        self.templates = {kind: eventually(lambda: self.with_timer(kind, path, body), SECONDS, f"a timer {kind}") for kind, path, body in (
            ("reminder", "/v1/reminders", {"text": "reminder", "due_time": later}), ("task_due", "/v1/tasks", {"title": "task", "due_time": later}),
            ("rule_date", "/v1/deals", {"title": "Cake", "expected_close_date": later[:10]}), ("rule_silence", "/v1/deals", {"title": "Tea", "stage_id": stages[1]["id"]}))}
        stack.sql("create unlogged table public.plan (kind text, id uuid, subject text, timer uuid, due timestamptz)")

    def with_timer(self, kind: str, path: str, body: dict) -> str:
        """A record, if it gets its timer: schedulers other than the one that saved a rule know it a second later."""
        id = self.tenant.post(path, body)["id"]
        deadline = time.monotonic() + RULE_KNOWN_SECONDS
        while time.monotonic() < deadline:
            if self.stack.value(f"select count(*) from scheduler.timer where tenant_id = '{self.t}' and kind = '{kind}' and subject = '{id}'") == "1":
                return id
            time.sleep(0.05)
        return ""

    def add(self, count: int, spread: float, dice: random.Random) -> None:
        """Due by chance within so many seconds from now, by PostgreSQL's clock."""
        lines = []
        for kind, share in SHARES.items():
            for _ in range(round(count * share)):
                id = str(uuid.UUID(int=dice.getrandbits(128), version=4))
                lines.append(f"{kind}\t{id}\t{type_id(PREFIX[kind], id)}\t{uuid.UUID(int=dice.getrandbits(128), version=4)}\t{dice.uniform(1, spread):.3f}")
        script = ["create temp table fresh (kind text, id uuid, subject text, timer uuid, seconds float8);", "copy fresh from stdin;", *lines, "\\.",
                  "alter table fresh add due timestamptz; update fresh set due = clock_timestamp() + seconds * interval '1 s';"]
        for kind, template in self.templates.items():
            table = TABLE[PREFIX[kind]]
            over = {"reminder": ", 'due_time', f.due", "task_due": ", 'due_time', f.due", "rule_date": ", 'expected_close_date', current_date - 2"}.get(kind, "")
            script.append(f"insert into {table} select (jsonb_populate_record(r, jsonb_build_object('id', f.id{over}))).* from {table} r, fresh f "
                          f"where r.tenant_id = '{self.t}' and r.id = '{tenant_uuid(template)}' and f.kind = '{kind}';")
        # Records first: a timer that finds none is spent.
        script.append("insert into scheduler.timer select (jsonb_populate_record(t, jsonb_build_object('id', f.timer, 'subject', f.subject, 'due_time', f.due, "
                      "'wake_time', f.due, 'create_time', clock_timestamp()))).* from scheduler.timer t join fresh f on f.kind = t.kind "
                      f"where t.tenant_id = '{self.t}' and (t.kind, t.subject) in ({', '.join(f'({kind!r}, {id!r})' for kind, id in self.templates.items())});"
                      "insert into public.plan select kind, id, subject, timer, due from fresh")
        self.stack.sql("begin;" + "\n".join(script) + ";commit")

    def left(self) -> int:
        return int(self.stack.value("select count(*) from scheduler.timer t join public.plan p on p.timer = t.id")) + \
            int(self.stack.value(f"select count(*) from scheduler.timer where tenant_id = '{self.t}' and kind = 'rule_run'"))

    def problems(self) -> list[str]:
        found = []
        for kind, effects in EFFECTS.items():
            planned = int(self.stack.value(f"select count(*) from public.plan where kind = '{kind}'"))
            for what, effect, by_event in effects:
                early = "seen < due" if by_event else f"seen < due - interval '{STAMP_TOLERATED} s' or seen > due + interval '1 h'"
                [[never, often, soon]] = self.stack.sql(
                    f"select count(*) filter (where times is null), count(*) filter (where times > 1), count(*) filter (where {early}) from public.plan p "
                    f"left join ({effect.format(t=self.t)}) e (subject, times, seen) using (subject) where kind = '{kind}'")
                found += [f"{kind}: {number} of {planned} {problem}" for number, problem in
                          ((never, f"never had their {what}"), (often, f"had their {what} more than once"), (soon, f"had their {what} at a wrong time")) if number != "0"]
        for problem, sql in {
            "reminders are not as they must be": f"select count(*) from public.plan p join scheduler.reminder r on r.tenant_id = '{self.t}' and r.id = p.id "
                                                 "where r.status <> 2 or r.revision <> 2",
            "tasks are not as they must be": f"select count(*) from public.plan p join scheduler.task r on r.tenant_id = '{self.t}' and r.id = p.id "
                                             "where r.overdue_since is distinct from p.due",
            "deals are not as they must be": f"select count(*) from public.plan p join deal_pipeline.deal r on r.tenant_id = '{self.t}' and r.id = p.id "
                                             "where r.tags <> case when kind = 'rule_silence' then '{silent}' else '{}' end::text[]",
            "stamps are far from PostgreSQL's time": "select count(*) from public.plan p join scheduler.reminder r using (id) join scheduler.outbox o "
                                                     f"on o.tenant_id = '{self.t}' and o.record_id = p.subject and o.type = 'reminder.fired' "
                                                     f"where abs(extract(epoch from r.close_time - o.create_time)) > {STAMP_TOLERATED}",
            "notifications do not have one event each": "select count(*) from (select count(*) n, (select count(*) from scheduler.outbox where tenant_id = "
                                                        f"'{self.t}' and type = 'notification.created') e from scheduler.notification where tenant_id = '{self.t}') x where n <> e",
        }.items():
            if (number := self.stack.value(sql)) != "0":
                found.append(f"{number} {problem}")
        return found + numbering(self.stack)

    def latest(self) -> float:
        return float(self.stack.value("select coalesce(max(extract(epoch from o.create_time - p.due)), 0) from public.plan p join scheduler.outbox o "
                                      f"on o.tenant_id = '{self.t}' and o.record_id = p.subject and o.type = 'reminder.fired' where p.kind = 'reminder'"))


def numbering(stack: Stack) -> list[str]:
    found = []
    for schema in NUMBERED:
        gaps = stack.value(f"select count(*) from (select seq - row_number() over (partition by tenant_id order by seq) as off from {schema}.outbox where seq is not null) x where off <> 0")
        found += [f"{schema}: {gaps} events out of number"] * (gaps != "0")
        found += [f"{schema} has given up {row}" for row in stack.sql(f"select * from {schema}.dead_letter limit 5")]
    return found


class Zone:
    """A tenant in a zone whose clocks turn: a daily task at nine and a daily rule that waits, its clock moved on day by day."""

    def __init__(self, stack: Stack, zone: str, turn: datetime.date, days: int):
        self.stack, self.tenant = stack, Tenant(stack, zone)
        self.first, self.days, self.day = turn - datetime.timedelta(days=days // 2 + 1), days, 0
        self.expected = [datetime.datetime.combine(self.first + datetime.timedelta(days=day), datetime.time(9), self.tenant.zone) for day in range(days)]
        self.deal = self.tenant.post("/v1/deals", {"title": "Every day"})["id"]
        self.move_to(self.expected[0] - datetime.timedelta(hours=5))
        start = self.expected[0].isoformat()
        self.task = self.tenant.post("/v1/tasks", {"title": "Every day at nine", "due_time": start, "recurrence": f"FREQ=DAILY;COUNT={days}"})
        self.rule = self.tenant.rule("every day", {"schedule": {"object": "deal", "recurrence": f"FREQ=DAILY;COUNT={days}", "start_time": start}},
                                     {"notify": {"text": "at nine"}}, {"wait": {"time": {"hours": 5}}}, {"notify": {"text": "at two"}})

    def move_to(self, moment: datetime.datetime) -> None:
        now = datetime.datetime.fromisoformat(self.tenant.get("/v1/clock")["now"].replace("Z", "+00:00"))
        ahead = int((moment - now).total_seconds()) + 2
        if ahead > 0:
            self.tenant.post("/v1/clock:advance", {"seconds": ahead})

    def runs(self, status: int) -> int:
        return int(self.stack.value(f"select count(*) from scheduler.rule_run where tenant_id = '{self.tenant.uuid}' and status = {status}"))

    def next_day(self) -> bool:
        if self.day == self.days:
            return False
        self.move_to(self.expected[self.day])
        eventually(lambda: self.runs(2) == 1 and self.overdue() == self.day + 1, SECONDS, f"nine o'clock of day {self.day} in {self.tenant.zone}")
        self.move_to(self.expected[self.day] + datetime.timedelta(hours=6))
        eventually(lambda: self.runs(3) == self.day + 1, SECONDS, f"two o'clock of day {self.day} in {self.tenant.zone}")
        self.day += 1
        return True

    def overdue(self) -> int:
        return int(self.stack.value(f"select count(*) from scheduler.task_overdue where tenant_id = '{self.tenant.uuid}'"))

    def problems(self) -> list[str]:
        where = f"where tenant_id = '{self.tenant.uuid}'"
        wanted = [int(moment.timestamp()) for moment in self.expected]
        found = []
        for what, sql in {"due times": f"select extract(epoch from due_time)::bigint from scheduler.task {where} order by 1",
                          "overdue marks": f"select extract(epoch from due_time)::bigint from scheduler.task_overdue {where} order by 1"}.items():
            if (have := [int(row[0]) for row in self.stack.sql(sql)]) != wanted:
                found.append(f"{self.tenant.zone}: {what} are {have}, not {wanted}")
        for what, sql in {"tasks told of": f"select count(*) from scheduler.outbox {where} and type = 'task.overdue'",
                          "tasks told of, different ones": f"select count(distinct record_id) from scheduler.outbox {where} and type = 'task.overdue'",
                          "runs": f"select count(*) from scheduler.rule_run {where} and status = 3",
                          "notifications at nine": f"select count(*) from scheduler.notification {where} and title = 'at nine'",
                          "notifications at two": f"select count(*) from scheduler.notification {where} and title = 'at two'"}.items():
            if (have := self.stack.value(sql)) != str(self.days):
                found.append(f"{self.tenant.zone}: {have} {what}, not {self.days}")
        return found


class Pauses:
    """Schedulers stopped and continued, each by a thread of its own; no more than some at once, so that others are there to fire."""

    def __init__(self, stack: Stack, count: int, sleeps: int, seed: int):
        self.stack, self.left, self.sleeps = stack, count, sleeps
        self.lock, self.room = threading.Lock(), threading.Semaphore(PAUSED_AT_ONCE)
        self.made, self.held, self.at_points, self.slept, self.failures = 0, 0, 0, 0, []
        self.threads = [threading.Thread(target=self.run, args=(name, random.Random(f"{seed}/{name}")), daemon=True) for name in WORKERS]
        for thread in self.threads:
            thread.start()

    def run(self, name: str, dice: random.Random) -> None:
        try:
            while True:
                with self.lock:
                    if self.left <= 0 or self.failures:
                        return
                    self.left -= 1
                    sleep = self.sleeps > 0 and name != WORKERS[0]
                    self.sleeps -= sleep
                with self.room:
                    self.pause(name, dice, sleep)
                time.sleep(dice.uniform(0.05, 0.5))
        except Exception as error:  # noqa: BLE001: told by end()
            self.failures.append(f"{name}, after {self.made} pauses: {error!r}")
            self.stack.resume(name)

    def holder(self, name: str) -> str:
        return f"%:{self.stack.instance.port(name)}"

    def pause(self, name: str, dice: random.Random, sleep: bool) -> None:
        point = dice.choice((*POINTS, None, None))
        if point:
            self.stack.failpoints(name, f"{point}=stop")
            deadline = time.monotonic() + REACHED_SECONDS
            while not self.stack.stopped(name) and time.monotonic() < deadline:
                time.sleep(0.01)
        met = self.stack.stopped(name)
        if not met:
            self.stack.pause(name)
        self.stack.failpoints(name)
        eventually(lambda: self.stack.stopped(name), SECONDS, f"{name} stands still")
        mine = f"holder like '{self.holder(name)}'"
        held = self.stack.sql(f"select tenant_id, id, fence from scheduler.timer where {mine}")
        if not sleep:  # its leases are over, as if it had stood still for as long as they last
            self.stack.sql(f"update scheduler.timer set wake_time = least(wake_time, due_time) where {mine}; delete from scheduler.bucket_lease where {mine}")
        if held:
            claims = ", ".join(f"('{tenant}'::uuid, '{id}'::uuid, {fence}::bigint)" for tenant, id, fence in held)
            eventually(lambda: self.stack.value(f"select count(*) from scheduler.timer where (tenant_id, id, fence) in ({claims})") == "0",
                       3 * SECONDS, f"others fire what {name} holds: {held[:3]}")
        elif sleep:
            eventually(lambda: self.stack.value(f"select count(*) from scheduler.bucket_lease where {mine} and until > now()") == "0", SECONDS, "its lease is over")
        self.stack.resume(name)
        with self.lock:
            self.made += 1
            self.held += len(held)
            self.at_points += met
            self.slept += sleep

    def end(self) -> None:
        for thread in self.threads:
            thread.join()
        for name in WORKERS:
            self.stack.resume(name)
        assert not self.failures, self.failures


class TimersTest(ChaosTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        stack = Stack(replicas={"scheduler": SCHEDULERS}, clocks=("postgres", "gateway", "identity", "contact", "deal_pipeline", *WORKERS))
        cls.start(UNLIMITED, stack)
        cls.bulk = Bulk(cls.stack)
        cls.dice = random.Random(cls.seed)

    def undone(self) -> int:
        return sum(self.stack.log(name).count("a timer could not fire") for name in WORKERS)

    def test_1_holders_stand_still(self):
        count = int(os.environ.get("CRM_TIMERS") or (TIMERS_LONG if self.long else TIMERS))
        pauses = int(os.environ.get("CRM_PAUSES") or (PAUSES_LONG if self.long else PAUSES))
        zones = [Zone(self.stack, name, turn, DAYS_LONG if self.long else DAYS) for name, turn in ZONES.items()]
        start = time.monotonic()
        self.bulk.add(count, SPREAD_LONG if self.long else SPREAD, self.dice)
        stopping = Pauses(self.stack, pauses, SLEEPS_LONG if self.long else SLEEPS, self.seed)
        try:
            while any([zone.next_day() for zone in zones]):
                pass
        finally:
            stopping.end()
        eventually(lambda: self.bulk.left() == 0, 10 * SECONDS, "every timer has fired")
        took = time.monotonic() - start
        self.census.settle([self.bulk.t, *(zone.tenant.uuid for zone in zones)])
        print(f"  {count} timers and {sum(zone.days for zone in zones)} days in {len(zones)} zones, {stopping.made} pauses in {took:.0f} s: {stopping.held} timers were held, "
              f"{stopping.at_points} pauses at a failpoint, {stopping.slept} until leases ended by themselves; {self.undone()} attempts of the woken were undone; "
              f"the latest {self.bulk.latest():.1f} s after its time", flush=True)
        problems = self.bulk.problems() + [problem for zone in zones for problem in zone.problems()]
        self.assertFalse(problems, "\n".join(problems))
        self.assertGreater(stopping.held, pauses // 4, "the paused held too little")
        self.assertGreater(stopping.at_points, pauses // 20, "too few pauses at a failpoint")
        self.assertGreater(self.undone(), 0, "nobody who woke tried what others had done")

    def test_2_clocks_jump(self):
        movable = ["gateway", "identity", "contact", "deal_pipeline", *WORKERS]
        mint = Mint(self.stack)
        tenant = Tenant(self.stack)
        off = [0.0]
        jumps = [jump for pair in JUMPS for jump in (pair if self.long else [self.dice.choice(pair)])]
        for jump in jumps:
            # Some are off, others are not, and none is off by the same amount as the database.
            moved = [name for name in movable if self.dice.random() < 0.7] or movable
            self.bulk.add((10 if self.long else 2) * 100, 4.0, self.dice)
            for name in moved:
                self.stack.set_clock(name, jump)
            with self.subTest(jump=jump, moved=moved):
                # A session made, used and revoked; stamps by PostgreSQL's clock; tokens of another time refused.
                api = self.stack.api()
                session = api.post("/v1/sessions", {"login": tenant.admin.login, "password": PASSWORD})
                claims = claims_of(session["access_token"])
                self.assertLess(abs(claims["iat"] - self.database_time()), SKEW_TOLERATED, "a token is dated by the database's clock")
                mine = self.stack.api(session["access_token"])
                before = self.database_time()
                contact = mine.post("/v1/contacts", {"given_name": "Ada"})
                deal = mine.post("/v1/deals", {"title": "Boxes", "contact_id": contact["id"]})
                after = self.database_time()
                for record in (contact, deal):
                    stamp = datetime.datetime.fromisoformat(record["create_time"].replace("Z", "+00:00")).timestamp()
                    off.append(max(before - stamp, stamp - after))
                self.assertLess(max(off), SKEW_TOLERATED, "a record is dated by the database's clock")
                for shift, why in ((-claims["exp"] + claims["iat"] - 5, "it has expired"), (3600, "it is not valid yet")):
                    wrong = mint.token(claims | {"iat": claims["iat"] + shift, "exp": claims["exp"] + shift})
                    self.assertEqual(self.stack.api(wrong).call("GET", "/v1/contacts").status, 401, why)
                self.assertTrue(mine.call("DELETE", "/v1/sessions/current").ok)
                eventually(lambda: mine.call("GET", "/v1/contacts").status == 401, REVOKED_SECONDS, "the revoked session is refused")
                eventually(lambda: self.bulk.left() == 0, 2 * SECONDS, "every timer has fired")
                problems = self.bulk.problems()
                self.assertFalse(problems, "\n".join(problems))
            for name in moved:
                self.stack.set_clock(name, 0)
        print(f"  jumps by {jumps} s: {self.stack.value('select count(*) from public.plan')} timers, each once and none early; "
              f"records dated {max(off):.3f} s outside the time of their request at most", flush=True)

    def test_3_the_clock_of_postgresql_jumps(self):
        """It is the clock: what is due by it fires. Ten minutes on and back, nothing is lost and nothing twice."""
        for jump in (600, 0):
            self.bulk.add(200, 900.0 if jump else 3.0, self.dice)
            self.stack.set_clock("postgres", jump)
            time_there = self.database_time()
            self.assertLess(abs(time_there - time.time() - jump), 30)
            contact = eventually(lambda: self.stamped_near(time_there), SECONDS, "services go by it")
            self.assertTrue(contact)
        # All at once, as a service sets a timer with its record: one that finds its record due later is spent.
        self.stack.sql("begin; update scheduler.reminder r set due_time = now() from public.plan p where p.id = r.id and r.status = 1; "
                       "update scheduler.task r set due_time = now() from public.plan p where p.id = r.id and r.overdue_since is null; "
                       "update public.plan p set due = k.due_time from scheduler.task k where k.id = p.id; "
                       "update scheduler.timer t set due_time = now(), wake_time = now() from public.plan p where p.timer = t.id; commit")
        eventually(lambda: self.bulk.left() == 0, 2 * SECONDS, "every timer has fired")
        problems = [problem for problem in self.bulk.problems() if "time" not in problem]
        self.assertFalse(problems, "\n".join(problems))

    def stamped_near(self, moment: float) -> bool:
        """Whether a newcomer's contact is: older tokens have come to their end by that clock."""
        contact = self.stack.sign_up().post("/v1/contacts", {"given_name": "Ada"})
        return abs(datetime.datetime.fromisoformat(contact["create_time"].replace("Z", "+00:00")).timestamp() - moment) < SKEW_TOLERATED

    def database_time(self) -> float:
        return float(self.stack.value("select extract(epoch from clock_timestamp())"))

    def test_9_the_check_notices(self):
        """What a fault could do, done by hand."""
        t = self.bulk.t
        one = f"(select min(subject) from public.plan where kind = '{{}}')"
        for sql, wanted in {
            f"insert into scheduler.outbox (tenant_id, bucket, type, record_id, event) select tenant_id, bucket, type, record_id, event from scheduler.outbox "
            f"where tenant_id = '{t}' and type = 'reminder.fired' and record_id = {one.format('reminder')}": "had their event more than once",
            f"delete from scheduler.notification where tenant_id = '{t}' and record_id = {one.format('task_due')}": "never had their notification",
            f"update scheduler.outbox set create_time = create_time - interval '1 h' where tenant_id = '{t}' and type = 'task.overdue' and record_id = {one.format('task_due')}":
                "had their event at a wrong time",
            f"delete from scheduler.rule_run where tenant_id = '{t}' and event_type = 'silence' and record_id = {one.format('rule_silence')}": "never had their run",
            f"update deal_pipeline.deal set tags = '{{}}' where tenant_id = '{t}' and 'silent' = any (tags)": "deals are not as they must be",
        }.items():
            self.stack.sql(sql)
            self.assertTrue(any(wanted in problem for problem in self.bulk.problems()), f"{sql}: nothing says that some {wanted}")


class OddDatesTest(unittest.TestCase):
    """The story of a customer with every process on another day, PostgreSQL, Redis and the certificates included."""

    def test_the_story_on_odd_days(self):
        seed = int(os.environ.get("CRM_SEED") or random.randrange(10**6))
        now = datetime.datetime.now(datetime.timezone.utc)
        moments = [now + datetime.timedelta(days=1), *(datetime.datetime.fromisoformat(text).replace(tzinfo=datetime.timezone.utc) for text in DATES)]
        chosen = moments if os.environ.get("CRM_LONG") else [random.Random(seed).choice(moments)]
        with tempfile.TemporaryDirectory(prefix="crm-clock-") as folder:
            Path(folder).chmod(0o755)
            clock = Clock(Path(folder), "everybody")
            for moment in chosen:
                with self.subTest(moment=moment):
                    clock.set((moment - datetime.datetime.now(datetime.timezone.utc)).total_seconds())
                    done = subprocess.run([sys.executable, ROOT / "tests/flow/story_test.py", "StoryTest.test_made_up"], env=os.environ | clock.environment(),
                                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=300)
                    self.assertEqual(done.returncode, 0, done.stdout[-5000:])
                    print(f"  the story on {moment:%Y-%m-%d %H:%M}", flush=True)


if __name__ == "__main__":
    unittest.main(verbosity=2, warnings="ignore")
