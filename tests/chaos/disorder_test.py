#!/usr/bin/env python3
"""Events in disorder make no other projections. A tenant makes every request of the API; its events are then told again to copies of it, which
hold what its handlers wrote and nothing that consumers made of it: to two in good order, to the others with the producers mixed in another
way each time and through a Redis (disorder.py) that brings each event 2 to 5 times, shuffled, or not at all, and one long after all others.
What the consumers then hold must be the same, byte by byte.

Which tables consumers write, which events they tell of themselves and which columns are a moment's or chance's (two copies in good order
differ there, too) is found by trying: a new service, consumer or event is covered without touching this file. CRM_LONG=1: 1,000 copies.

And poison: an event whose effect throws, or ends the process, is put aside after five counted attempts, and only its record waits."""

import random
import time
import unittest
import uuid

from disorder import BadCourier
from writes import UNLIMITED, ChaosTest, PatientTenant, Sql, Stack, bring_back, eventually, tenant_uuid, writes

COPIES, COPIES_LONG = 16, 1000
AT_ONCE = 8  # copies that are told at the same time
HELD_SECONDS, HELD_SECONDS_LONG = 10.0, 60.0
NUMBERED_AT_ONCE = 500  # events of a tenant that a relay numbers in one transaction (RelayOptions)
SETTLE_SECONDS = 120.0
OTHERS_SECONDS = 5.0  # attempts at a poison event take nine; others' events must not wait for them
# What acts by itself would add its own doings at its own time: rules, and whatever workers look through (tables whose comment says queue).
ACTS = ("rule", "webhook")
BASE32 = "0123456789abcdefghjkmnpqrstvwxyz"


def type_id(value: uuid.UUID) -> str:
    """The tenant's id as the API shows it."""
    number = value.int
    return "tenant_" + "".join(BASE32[number >> shift & 31] for shift in range(125, -1, -5))


class Copy:
    def __init__(self, dice: random.Random):
        number = uuid.UUID(int=dice.getrandbits(128), version=4)
        self.uuid, self.bucket, self.id = str(number), number.bytes[15], type_id(number)


class DisorderTest(ChaosTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        stack = Stack()
        cls.courier = BadCourier(stack.instance.redis_port, "", cls.seed, HELD_SECONDS_LONG if cls.long else HELD_SECONDS)
        cls.addClassCleanup(cls.courier.close)
        changes = {service: UNLIMITED.get(service, {}) | {"redis": {"port": cls.courier.port}} for service in stack.services}
        cls.start(changes, stack)
        cls.courier.password = stack.instance.secret("redis.password").read_text()
        cls.dice = random.Random(cls.seed)
        cls.sql = Sql(cls.stack)
        cls.schemas = [service for service in cls.catalogue.services if cls.has_outbox(service)]
        cls.tenant = PatientTenant(cls.stack, cls.catalogue, "ann")
        for method in writes(cls.catalogue):
            cls.requester.learn(cls.tenant, method)
        cls.census.settle([cls.tenant.uuid])
        cls.look()

    @classmethod
    def has_outbox(cls, service: str) -> bool:
        return bool(cls.stack.sql(f"select 1 from pg_tables where schemaname = '{service}' and tablename = 'outbox'"))

    @classmethod
    def look(cls) -> None:
        """What the catalogue knows."""
        names = ", ".join(f"'{schema}'" for schema in cls.schemas)
        shared = cls.schemas[0]
        rows = cls.sql(f"""
            select n.nspname, c.relname, coalesce(obj_description(c.oid), '') ~ '\\mqueue\\M',
              string_agg(a.attname, ',' order by a.attnum) filter (where a.attgenerated = '')
            from pg_class c join pg_namespace n on n.oid = c.relnamespace join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
            where n.nspname in ({names}) and c.relkind = 'r' group by 1, 2, 3 having bool_or(a.attname = 'tenant_id') order by 1, 2""")
        counts = {}
        for _, table, _, _ in rows:
            counts[table] = counts.get(table, 0) + 1
        assert shared
        cls.columns = {(schema, table): columns.split(",") for schema, table, queue, columns in rows
                       if queue == "f" and not table.startswith(ACTS)}
        cls.heard = sorted({(consumer, producer) for consumer in cls.schemas for producer, in cls.sql(f"select distinct producer from {consumer}.position")})
        cls.events = {schema: [(int(number), type_) for number, type_ in cls.sql(
            f"select id, type from {schema}.outbox where tenant_id = '{cls.tenant.uuid}' order by seq")] for schema in cls.schemas}
        cls.projected = {}  # (schema, table) -> columns that consumers fill
        for prefix in cls.catalogue.records:
            place = (cls.catalogue.home(prefix), cls.catalogue.record(prefix)["table"])
            filled = {field["name"] for field in cls.catalogue.fields(cls.catalogue.records[prefix]) if field.get("info", {}).get("projected")}
            if filled:
                cls.projected[place] = filled

    # Copies.
    def tell(self, copy: Copy) -> None:
        """Writes the tenant's events as the copy's, all producers' at once: what consumers tell of themselves is numbered behind them."""
        old, new = self.tenant.admin.tenant_id.encode().hex(), copy.id.encode().hex()
        self.sql("begin; " + "; ".join(
            f"""insert into {schema}.outbox (tenant_id, bucket, type, record_id, event, create_time)
                select '{copy.uuid}', {copy.bucket}, type, record_id, decode(replace(encode(event, 'hex'), '{old}', '{new}'), 'hex'), clock_timestamp()
                from {schema}.outbox where tenant_id = '{self.tenant.uuid}' and id in ({', '.join(str(number) for number, _ in events)}) order by seq"""
            for schema, events in self.events.items() if events) + "; commit")

    def furnish(self, copy: Copy) -> None:
        """What the handlers wrote."""
        statements = ["set session_replication_role = replica"]
        for (schema, table), columns in self.columns.items():
            if (schema, table) in self.made:
                continue
            names = [column for column in columns if column not in self.projected.get((schema, table), ())]
            quoted = ", ".join(f'"{name}"' for name in names)
            values = ", ".join(f"'{copy.uuid}'" if name == "tenant_id" else f'"{name}"' for name in names)
            statements.append(f"insert into {schema}.\"{table}\" ({quoted}) overriding system value select {values} from {schema}.\"{table}\" "
                              f"where tenant_id = '{self.tenant.uuid}' on conflict do nothing")
        statements.append("set session_replication_role = origin")
        for statement in statements:
            self.sql(statement)

    def settle(self, copies: list[Copy]) -> None:
        tenants = ", ".join(f"'{copy.uuid}'" for copy in copies)
        ask = " union all ".join(
            [f"select '{schema} has events without number' from {schema}.outbox where tenant_id in ({tenants}) and seq is null" for schema in self.schemas] +
            [f"select '{consumer} is behind {producer}' from {producer}.lane l left join {consumer}.position p on p.tenant_id = l.tenant_id and p.producer = '{producer}' "
             f"where l.tenant_id in ({tenants}) and l.seq > coalesce(p.seq, 0)" for consumer, producer in self.heard])
        left = []

        def done() -> bool:
            left[:] = self.sql(ask)
            return not left
        try:
            eventually(done, SETTLE_SECONDS, "everything is heard")
        except AssertionError as error:
            raise AssertionError(f"{error}: {left[:5]}") from None

    def rows(self, copy: Copy, place: tuple[str, str], columns: list[str]) -> list[list[str]]:
        """The rows with these columns, in the order of their text; what names the copy is left out."""
        schema, table = place
        if "slice" in columns:  # into how many rows sums are cut is chance
            numbers = {name for name, in self.sql(f"""select attname from pg_attribute a join pg_type t on t.oid = a.atttypid
                where attrelid = '{schema}.{table}'::regclass and attnum > 0 and typname in ('int8', 'numeric') and attname <> 'slice'""")}
            keys = [column for column in columns if column not in numbers and column != "slice"]
            names = [*keys, *(f'sum("{column}")' for column in columns if column in numbers)]
            select = f"select {', '.join(names)} from {schema}.\"{table}\" where tenant_id = '{copy.uuid}' group by {', '.join(keys)}"
        else:
            names = [f'"{column}"' for column in columns]
            select = f"select {', '.join(names)} from {schema}.\"{table}\" where tenant_id = '{copy.uuid}'"
        text = ", ".join(f"x.\"{number}\"" for number in range(len(names)))
        aliases = ", ".join(f'"{number}"' for number in range(len(names)))
        found = self.sql(f"select replace(replace(replace(to_json(array[{', '.join(f'{one}::text' for one in text.split(', '))}])::text, '{copy.uuid}', 'T'), "
                         f"'{copy.id}', 'T'), '{copy.id.encode().hex()}', 'T') from ({select}) x ({aliases}) order by 1")
        return [row[0] for row in found]

    def all_rows(self, copy: Copy) -> dict:
        return {place: self.rows(copy, place, [column for column in columns if column not in self.chance.get(place, ())])
                for place, columns in self.columns.items()}

    def wait_for_calm(self, copies: list[Copy]) -> None:
        self.settle(copies)
        self.settle(copies)  # what consumers told of themselves meanwhile is heard, too

    # The test.
    def find_out(self) -> None:
        """What consumers write and tell, by telling everything to a copy that has nothing."""
        self.made, self.chance, self.own = set(), {}, {schema: set() for schema in self.schemas}
        bare = Copy(self.dice)
        self.tell(bare)
        self.wait_for_calm([bare])
        for (schema, table) in self.columns:
            if self.sql(f"select 1 from {schema}.\"{table}\" where tenant_id = '{bare.uuid}' limit 1"):
                self.made.add((schema, table))
        for schema, events in self.events.items():
            told = {}
            for _, type_ in events:
                told[type_] = told.get(type_, 0) + 1
            for type_, count in self.sql(f"select type, count(*) from {schema}.outbox where tenant_id = '{bare.uuid}' group by 1"):
                if int(count) > told.get(type_, 0):
                    self.own[schema].add(type_)
        self.events = {schema: [one for one in events if one[1] not in self.own[schema]] for schema, events in self.events.items()}

    def copies(self, count: int) -> list[Copy]:
        copies = [Copy(self.dice) for _ in range(count)]
        for copy in copies:
            self.furnish(copy)
        for copy in copies:
            self.tell(copy)
        self.wait_for_calm(copies)
        return copies

    def test_projections_are_the_same(self):
        self.find_out()
        self.assertLess(max(map(len, self.events.values())), NUMBERED_AT_ONCE, "numbers would differ from copy to copy")
        (first,), (second,) = self.copies(1), self.copies(1)
        wanted, again = self.all_rows(first), self.all_rows(second)
        for place, columns in self.columns.items():
            if wanted[place] != again[place]:
                self.chance[place] = {column for column in columns if self.rows(first, place, [column]) != self.rows(second, place, [column])}
        wanted, again = self.all_rows(first), self.all_rows(second)
        self.assertEqual([place for place in wanted if wanted[place] != again[place]], [], "two copies in good order differ")
        print(f"  {sum(map(len, self.events.values()))} events, {len({type_ for events in self.events.values() for _, type_ in events})} types; consumers write "
              f"{', '.join('.'.join(place) for place in sorted(self.made))}\n  and tell of {self.own}\n  a moment's or chance's: "
              f"{ {'.'.join(place): sorted(columns) for place, columns in sorted(self.chance.items())} }", flush=True)
        self.assertGreater(sum(len(rows) for place, rows in wanted.items() if place in self.made), 50, "consumers have made next to nothing of it")

        # It can tell: one row less, or one number more.
        self.sql(f"update contact.activity set source_seq = source_seq + 1000 where tenant_id = '{second.uuid}' and id = (select min(id::text)::uuid from contact.activity where tenant_id = '{second.uuid}')")
        self.assertNotEqual(self.all_rows(second)["contact", "activity"], wanted["contact", "activity"])

        self.courier.disorderly = True
        start, total, wrong = time.monotonic(), COPIES_LONG if self.long else COPIES, []
        done, early = 0, []

        def compare(copies: list[Copy]) -> None:
            for copy in copies:
                got = self.all_rows(copy)
                for place in wanted:
                    if got[place] != wanted[place]:
                        more, less = (sorted(set(one) - set(other))[:3] for one, other in ((got[place], wanted[place]), (wanted[place], got[place])))
                        wrong.append(f"{'.'.join(place)} ({', '.join(self.columns[place])}): {len(got[place])} rows instead of {len(wanted[place])}\n    has  {more}\n    not  {less}")
        while done < total and len(wrong) < 20:
            copies = self.copies(min(AT_ONCE, total - done))
            compare(copies)
            early = early or copies
            done += len(copies)
        courier = self.courier
        print(f"  {done} copies in {time.monotonic() - start:.0f} s: {courier.events} events published, brought {courier.copies} times, {courier.lost} lost", flush=True)
        eventually(lambda: courier.late == 1, courier.held_seconds + 20, "what was held back comes")
        self.wait_for_calm(early)
        compare(early)
        self.assertFalse(wrong, "\n".join(["disorder has made something else:", *wrong[:20]]))
        tenants_dead = {schema: self.sql(f"select producer, seq, error from {schema}.dead_letter") for schema in self.schemas}
        self.assertEqual({schema: rows for schema, rows in tenants_dead.items() if rows}, {})

    # Events whose effect fails or ends the process, whoever hears them.
    def poisoned(self, victim: str, action: str) -> None:
        bad, good = self.tenant.fresh("company"), self.tenant.fresh("company")
        other = self.stack.sign_up()
        others = other.post("/v1/companies", {"name": "Other"})["id"]
        self.settle_tenants([self.tenant.uuid, tenant_uuid(other.tenant_id)])
        self.stack.failpoints(victim, f"events.in_effect={action}@{bad}")
        self.stack.await_armed()
        start, deaths = time.monotonic(), 0
        for name in ("first", "second"):
            self.tenant.admin.patch(f"/v1/companies/{bad}", {"name": name})
            self.tenant.admin.patch(f"/v1/companies/{good}", {"name": name})
            other.patch(f"/v1/companies/{others}", {"name": name})
        took = {}
        while len(took) < 2 and time.monotonic() - start < SETTLE_SECONDS:
            if not self.stack.alive(victim):
                deaths += bring_back(self.stack, [victim])
            for what, tenant in (("another tenant's events", tenant_uuid(other.tenant_id)), ("what comes behind the poison", self.tenant.uuid)):
                behind = self.sql(f"""select 1 from contact.lane l left join {victim}.position p on p.tenant_id = l.tenant_id and p.producer = 'contact'
                    where l.tenant_id = '{tenant}' and l.seq > coalesce(p.seq, 0) union all select 1 from contact.outbox where tenant_id = '{tenant}' and seq is null""")
                if not behind:
                    took.setdefault(what, time.monotonic() - start)
            time.sleep(0.05)
        self.stack.failpoints(victim)
        letters = self.sql(f"delete from {victim}.dead_letter returning record_id, attempts, error, seq")
        letters.sort(key=lambda letter: int(letter[3]))
        print(f"  {action} in {victim}: {deaths} deaths; {', '.join(f'{what} heard after {seconds:.1f} s' for what, seconds in took.items())}", flush=True)
        self.assertEqual([(record, int(attempts)) for record, attempts, *_ in letters], [(bad, 5), (bad, 0)], f"only the record of the poison waits: {letters}")
        self.assertEqual(len(took), 2, took)
        self.assertGreaterEqual(took["what comes behind the poison"], took["another tenant's events"] - 0.1)
        if action == "error":
            self.assertEqual(deaths, 0)
            self.assertLess(took["another tenant's events"], OTHERS_SECONDS, "others waited for the poison")
        else:
            self.assertTrue(5 <= deaths <= 12, f"{deaths} deaths: five counted ones, and those that led to it within ever smaller groups")

    def settle_tenants(self, uuids: list[str]) -> None:
        self.census.settle(uuids, SETTLE_SECONDS)

    def test_poison_is_put_aside(self):
        self.poisoned("analytics", "error")
        self.poisoned("analytics", "kill")


if __name__ == "__main__":
    unittest.main(verbosity=2, warnings="ignore")
