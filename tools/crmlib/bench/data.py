"""Contacts in ten tenants, straight into the tables, as if the service had written them; deals.py adds the deals.

What a row looks like is not repeated here: one contact and one company are made through the API, and every row loaded is
a copy of theirs in which names, numbers, addresses and times are replaced. How names are folded and transliterated is
asked of the service, too. `check` then makes a loaded contact once more through the API and compares all its rows."""

import random
import re
from concurrent.futures import ThreadPoolExecutor

from crmlib import console
from crmlib.bench import names
from crmlib.bench.kinds import Kind
from crmlib.bench.system import System
from crmlib.demo import uuid_of

TENANTS = 10
LARGE_SHARE = 0.91  # of all rows in the first tenant; the others share the rest
COMPANIES_PER = 100  # contacts
ID_BASE = 100_000_000_000  # ids end in 12 digits, so that pgbench, which has integers only, can write them
# A record is one of these with its number at the end: UUIDs of version 7, rising with time as the service's own.
PREFIX = {"contact": "01900000-000{t}-7000-8000-", "company": "018f0000-000{t}-7000-8000-", "deal": "01910000-000{t}-7000-8000-"}
MARK = {"number": "+79161234567", "digits": "79161234567", "email": "mark.template@example.com", "given": "Markgiven", "family": "Markfamil",
        "company": "Marktrade"}
# How common names are (Zipf-Mandelbrot, 1 / (rank + q)): the first given name 3 % of all, the first family name 1 %.
Q = {"given": 10, "family": 50}
SESSION = "set synchronous_commit = off; set work_mem = '256MB'; set maintenance_work_mem = '1GB'; set search_path = {}, public;"
TABLES = ("contact", "company", "record_key", "search_entry")


class Data:
    def __init__(self, system: System, tenants: list[dict], size: int):
        self.system, self.tenants, self.size = system, tenants, size
        large = int(size * LARGE_SHARE)
        self.rows = [large, *[max((size - large) // (TENANTS - 1), 1)] * (TENANTS - 1)]
        for number, tenant in enumerate(tenants):
            tenant |= {"uuid": uuid_of(tenant["tenant_id"]), "rows": self.rows[number], "number": number,
                       "first": ID_BASE + 1, "last": ID_BASE + self.rows[number]}

    def load(self) -> None:
        api = self.system.api(self.system.token(self.tenants[0]["login"]))
        with console.step("names, as the service folds and transliterates them"):
            self.make_names(api)
            template = {kind: self.make_template(api, kind) for kind in ("contact", "company")}
        with console.step(f"{self.size:,} contacts"):
            self.run("drop schema if exists bench cascade; create schema bench")
            self.write_names()
            self.run(self.base_sql())
            indexes = [row[0] for row in self.system.sql(
                f"select indexdef from pg_indexes where schemaname = 'contact' and tablename in {TABLES} and indexname not like '%_pkey' "
                "order by indexdef like '%gin%' desc, tablename <> 'contact'")]
            for row in self.system.sql(f"select indexname from pg_indexes where schemaname = 'contact' and tablename in {TABLES} and indexname not like '%_pkey'"):
                self.run(f"drop index contact.{row[0]}")
            with ThreadPoolExecutor(2) as two:  # one session a core
                list(two.map(self.run, [self.record_sql("company", template["company"]) + ";" + self.record_sql("contact", template["contact"]),
                                        self.entry_sql("contact", template["contact"]) + ";" + self.entry_sql("company", template["company"])]))
        with console.step("their indexes"), ThreadPoolExecutor(2) as two:
            list(two.map(self.run, indexes))
        with console.step("vacuum, analyze"), ThreadPoolExecutor(2) as two:
            list(two.map(self.run, [f"vacuum analyze contact.{table}" for table in TABLES]))
        self.check(api)

    def finish(self) -> None:
        self.run("drop schema bench cascade; checkpoint")

    def warm(self, kind: Kind) -> None:
        """One kind's tables into PostgreSQL's own memory, as after a day of work; another kind's may have to leave for them."""
        self.run("create extension if not exists pg_prewarm schema public")
        self.run("select sum(public.pg_prewarm(c.oid)) from pg_class c where relkind in ('r', 'i') and "
                 f"relnamespace = '{kind.service}'::regnamespace and relname ~ '^(contact|record_key|search_entry|external_id|deal|stage)'")

    def bytes_apiece(self) -> dict[str, float]:
        """What one costs on disk: its rows in all tables that it has them in, with their indexes."""
        size = lambda schema, *tables: float(self.system.value(
            f"select sum(pg_total_relation_size(oid)) from pg_class where relnamespace = '{schema}'::regnamespace and relname in ({','.join(map(quoted, tables))})"))
        return {"contact": size("contact", "contact", "record_key", "search_entry") / self.size, "deal": size("deal_pipeline", "deal", "stage_visit") / self.size}

    def run(self, statement: str, schema: str = "contact") -> None:
        self.system.sql(SESSION.format(schema) + statement)

    def row_of(self, schema: str, table: str, id: str) -> dict[str, tuple[str, str | None]]:
        """A record's row: {column: (its type, its value as text)}."""
        columns = self.system.sql("select column_name, format_type(a.atttypid, a.atttypmod) from information_schema.columns c join pg_attribute a "
                                  f"on a.attrelid = '{schema}.{table}'::regclass and a.attname = column_name "
                                  f"where table_schema = '{schema}' and table_name = '{table}' order by ordinal_position")
        row = {}
        for column, of in columns:
            value, null = self.system.sql(f"select replace(coalesce({column}::text, ''), E'\\t', ' '), {column} is null from {schema}.{table} "
                                          f"where tenant_id = '{self.tenants[0]['uuid']}' and id = '{id}'")[0]
            row[column] = (of, None if null == "t" else value)
        return row

    # Names.
    def make_names(self, api) -> None:
        """self.names[script][kind]: rows of (name, folded, Latin letters or '')."""
        self.names = {}
        words = {"latin": (names.LATIN_GIVEN, names.LATIN_FAMILY, names.LATIN_SUFFIX),
                 "cyrillic": (names.CYRILLIC_GIVEN, names.CYRILLIC_FAMILY, names.CYRILLIC_SUFFIX)}
        for script, lists in words.items():
            given, family, suffix = (list(dict.fromkeys(words)) for words in lists)
            order = random.Random(7)
            order.shuffle(given)
            order.shuffle(family)
            pairs = [(given[i % len(given)], family[i % len(family)]) for i in range(max(len(given), len(family)))]
            folded = self.fold(api, pairs + [(given[0], word) for word in suffix])
            self.names[script] = {kind: [(word, *folded[word]) for word in of if word in folded]
                                  for kind, of in (("given", given), ("family", family), ("suffix", suffix))}

    def fold(self, api, pairs: list[tuple[str, str]]) -> dict[str, tuple[str, str]]:
        """word: (as it is searched for, the same in Latin letters), learnt from contacts with these names, which go again."""
        made, found = [], {}
        for start in range(0, len(pairs), 250):
            answer = api.post("/v1/contacts:batchCreate", {"requests": [{"contact": {"given_name": g, "family_name": f}} for g, f in pairs[start:start + 250]]})
            made += [uuid_of(result["contact"]["id"]) for result in answer["results"]]
        ids = ",".join(f"('{id}'::uuid, {place})" for place, id in enumerate(made))
        rows = self.system.sql(f"select replace(text, E'\\n', '|') from (values {ids}) v (id, place) "
                               f"join contact.search_entry on record_id = id where tenant_id = '{self.tenants[0]['uuid']}' order by place")
        for words, (text,) in zip(pairs, rows):
            # The name, the name in Latin letters if that differs, the name turned round.
            parts = text.split("|")
            keys, latins = parts[0].split(" "), parts[-2].split(" ")
            if len(keys) == len(latins) == 2:  # no name that falls into several words
                found |= {word: (key, latin) for word, key, latin in zip(words, keys, latins)}
        self.run(f"delete from contact.search_entry where record_id in (select id from (values {ids}) v (id, place)); "
                 f"delete from contact.contact where id in (select id from (values {ids}) v (id, place))")
        return found

    def write_names(self) -> None:
        self.run("create unlogged table bench.name (script int, kind text, place int, name text, key text, latin text, mail text, primary key (kind, script, place))")
        rows = []
        for script, kinds in enumerate(self.names.values()):
            for kind, found in kinds.items():
                for place, (name, key, latin) in enumerate(found, 1):
                    mail = re.sub("[^a-z]", "", latin) or f"n{place}"
                    rows.append("(" + ", ".join([str(script), quoted(kind), str(place), quoted(name), quoted(key), quoted(latin), quoted(mail)]) + ")")
        self.run(f"insert into bench.name values {','.join(rows)}; analyze bench.name")

    def place_sql(self, kind: str) -> str:
        """A name's place, drawn by its rank, in either script."""
        q, counts = Q[kind], [len(kinds[kind]) for kinds in self.names.values()]
        latin, cyrillic = (f"floor({q + 1} * power({(count + q + 1) / (q + 1)!r}, random()) - {q})::int" for count in counts)
        return f"case when script = 0 then least({latin}, {counts[0]}) else least({cyrillic}, {counts[1]}) end"

    # What differs from record to record, one narrow row each, from which the wide ones are made.
    def base_sql(self) -> str:
        tenants = ",".join(f"('{t['uuid']}'::uuid, {t['number']}, {t['rows']}, '{uuid_of(t['user_id'])}'::uuid, '{t['user_id']}')" for t in self.tenants)
        cities, titles = (f"(array[{','.join(map(quoted, words))}])" for words in (names.CITY, names.JOB_TITLE))
        suffix_counts = [len(kinds["suffix"]) for kinds in self.names.values()]
        return f"""
create unlogged table bench.tenant as select * from (values {tenants}) v (tenant_id, number, rows, user_id, user_text);
select setseed(0.5);
create unlogged table bench.contact as
with drawn as materialized (
  select t.*, n, {ID_BASE} + n as id_number, (random() < 0.5)::int as script, random() as r1, random() as r2, random() as r3
  from bench.tenant t, generate_series(1, rows) n),
placed as materialized (select drawn.*, {self.place_sql('given')} as given_place, {self.place_sql('family')} as family_place from drawn)
select tenant_id, user_id, user_text, n, ({sql_prefix('contact')} || id_number)::uuid as id,
  g.name as given_name, f.name as family_name, g.name || ' ' || f.name as display_name, g.key || ' ' || f.key as key,
  nullif(g.latin || ' ' || f.latin, g.key || ' ' || f.key) as latin, f.key || ' ' || g.key as turned,
  '7916' || lpad((n::bigint * 7919 % 10000000)::text, 7, '0') as digits, g.mail || '.' || f.mail || n || '@example.com' as email,
  {cities}[1 + floor(r1 * {len(names.CITY)})] as city, {titles}[1 + floor(r2 * {len(names.JOB_TITLE)})] as job_title,
  case when r3 < 0.6 then ({sql_prefix('company')} || {ID_BASE} + 1 + floor(r3 / 0.6 * greatest(rows / {COMPANIES_PER}, 1)))::uuid end as company_id,
  timestamptz '2025-01-01' + n * interval '10 seconds' as create_time
from placed join bench.name g on g.kind = 'given' and g.script = placed.script and g.place = given_place
  join bench.name f on f.kind = 'family' and f.script = placed.script and f.place = family_place;
create unlogged table bench.company as
with drawn as materialized (
  select t.*, n, {ID_BASE} + n as id_number, (random() < 0.5)::int as script, random() as r1, random() as r2
  from bench.tenant t, generate_series(1, greatest(rows / {COMPANIES_PER}, 1)) n),
placed as materialized (select drawn.*, {self.place_sql('family')} as family_place,
  1 + floor(r1 * case when script = 0 then {suffix_counts[0]} else {suffix_counts[1]} end)::int as suffix_place from drawn)
select tenant_id, user_id, user_text, n, ({sql_prefix('company')} || id_number)::uuid as id, f.name || ' ' || s.name || ' ' || n as name,
  f.key || ' ' || s.key || ' ' || n as key, nullif(f.latin || ' ' || s.latin || ' ' || n, f.key || ' ' || s.key || ' ' || n) as latin,
  '7495' || lpad((n::bigint * 7919 % 10000000)::text, 7, '0') as digits, 'office' || n || '@example.com' as email,
  {cities}[1 + floor(r2 * {len(names.CITY)})] as city, timestamptz '2025-01-01' + n * interval '10 minutes' as create_time
from placed join bench.name f on f.kind = 'family' and f.script = placed.script and f.place = family_place
  join bench.name s on s.kind = 'suffix' and s.script = placed.script and s.place = suffix_place;
analyze bench.contact; analyze bench.company"""

    # Templates.
    def make_template(self, api, kind: str) -> dict:
        record = {"phones": [{"number": MARK["number"]}], "emails": [{"address": MARK["email"]}], "tags": ["newsletter"], "source": "import",
                  "addresses": [{"street": "Am Markt 1", "city": "Markstadt", "postal_code": "10115", "country_code": "DE"}],
                  "external_ids": []}
        record |= ({"given_name": MARK["given"], "family_name": MARK["family"], "job_title": "Marktitle", "language": "de"} if kind == "contact"
                   else {"name": MARK["company"]})
        collection = {"contact": "contacts", "company": "companies"}[kind]
        id = uuid_of(api.post(f"/v1/{collection}", record)["id"])
        tenant = self.tenants[0]["uuid"]
        row = self.row_of("contact", kind, id)
        keys = self.system.sql(f"select kind, key from contact.record_key where tenant_id = '{tenant}' and record_id = '{id}' order by kind")
        [[name, text]] = self.system.sql(f"select name, replace(text, E'\\n', '|') from contact.search_entry where tenant_id = '{tenant}' and record_id = '{id}'")
        for table, column in (("record_key", "record_id"), ("search_entry", "record_id"), (kind, "id")):
            self.run(f"delete from contact.{table} where tenant_id = '{tenant}' and {column} = '{id}'")
        return {"row": row, "keys": keys, "name": name, "text": text}

    def record_sql(self, kind: str, template: dict) -> str:
        """The record's own table: the template's columns, those that differ from the narrow row."""
        differs = {"tenant_id": "tenant_id", "id": "id", "owner_id": "user_id", "creator_id": "user_text", "create_time": "create_time",
                   "update_time": "create_time", "city": "city"}
        differs |= {"contact": {"given_name": "given_name", "family_name": "family_name", "display_name": "display_name", "job_title": "job_title",
                                "company_id": "company_id"}, "company": {"name": "name"}}[kind]
        # `b` has all that differs; text within the jsonb columns is replaced by its mark.
        marks = {"phones": (MARK["number"], "'+' || digits"), "emails": (MARK["email"], "email"), "addresses": ("Markstadt", "city")}
        columns, values = [], []
        for column, (of, value) in template["row"].items():
            columns.append(column)
            if column in differs:
                values.append(differs[column])
            elif column in marks:
                mark, new = marks[column]
                if mark not in (value or ""):
                    raise console.Failure(f"{kind}.{column} of the template does not hold {mark}: {value}", "adapt crmlib/bench/data.py to how it is stored")
                values.append(f"replace({quoted(value)}, {quoted(mark)}, {new})::{of}")
            else:
                values.append("null" if value is None else f"{quoted(value)}::{of}")
        return f"insert into contact.{kind} ({', '.join(columns)}) select {', '.join(values)} from bench.{kind} order by tenant_id, id"

    def entry_sql(self, kind: str, template: dict) -> str:
        """What the record is found by: its keys and its search entry, as the template's with the marks replaced."""
        made = []
        for key_kind, key in template["keys"]:
            value = (f"replace({quoted(key)}, {quoted(MARK['digits'])}, digits)" if MARK["digits"] in key else
                     f"replace({quoted(key)}, {quoted(MARK['email'])}, email)")
            made.append(f"insert into contact.record_key (tenant_id, object, kind, key, record_id) select tenant_id, '{kind}', {quoted(key_kind)}, {value}, id "
                        f"from bench.{kind} order by 1, 4")
        if kind == "contact":
            name, turned = f"{MARK['given']} {MARK['family']}".lower(), f"{MARK['family']} {MARK['given']}".lower()
            expected = [name, turned, MARK["digits"], MARK["email"]]
            text = "concat_ws(E'\\n', key, latin, turned, digits, email)"
        else:
            name, expected = MARK["company"].lower(), [MARK["company"].lower(), MARK["digits"], MARK["email"]]
            text = "concat_ws(E'\\n', key, latin, digits, email)"
        if template["name"] != name or template["text"].split("|") != expected:
            raise console.Failure(f"a {kind}'s search entry is now {template['text']!r}", "adapt crmlib/bench/data.py to how it is made")
        made.append(f"insert into contact.search_entry (tenant_id, object, record_id, name, text) select tenant_id, '{kind}', id, key, {text} "
                    f"from bench.{kind} order by tenant_id, id")
        return ";".join(made)

    # Proof.
    def check(self, api) -> None:
        """Loaded records read as any other, and the service would have written the same rows."""
        kept = {"contact": ("given_name", "family_name", "job_title", "language", "city", "company_id"), "company": ("name", "city")}
        tenant = self.tenants[0]
        for kind, collection in (("contact", "contacts"), ("company", "companies")):
            rows = self.rows[0] if kind == "contact" else self.rows[0] // COMPANIES_PER
            id = PREFIX[kind].format(t=0) + str(ID_BASE + 1 + rows // 3)
            loaded = api.get(f"/v1/{collection}/{type_id(kind, id)}")
            again = api.post(f"/v1/{collection}", {name: loaded[name] for name in (*kept[kind], "phones", "emails", "addresses", "tags", "source") if loaded.get(name)})
            own = {kind: ("id", "create_time", "update_time"), "record_key": ("record_id",), "search_entry": ("record_id",)}
            for table, without in own.items():
                key = "id" if table == kind else "record_id"
                drop = "".join(f" - '{name}'" for name in without)
                found = [self.system.sql(f"select to_jsonb(t){drop} from contact.{table} t where tenant_id = '{tenant['uuid']}' and {key} = '{one}' order by 1")
                         for one in (id, uuid_of(again["id"]))]
                if found[0] != found[1] or not found[0]:
                    raise console.Failure(f"the rows of a {kind} loaded into {table} are not what the service writes", "adapt crmlib/bench/data.py",
                                          output=f"loaded: {found[0]}\nmade:   {found[1]}")


def sql_prefix(kind: str) -> str:
    before, after = PREFIX[kind].split("{t}")
    return f"'{before}' || number || '{after}'"


def type_id(prefix: str, uuid: str) -> str:
    number = int(uuid.replace("-", ""), 16)
    letters = ""
    for _ in range(26):
        letters = "0123456789abcdefghjkmnpqrstvwxyz"[number & 31] + letters
        number >>= 5
    return f"{prefix}_{letters}"


def quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
