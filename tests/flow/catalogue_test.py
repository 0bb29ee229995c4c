#!/usr/bin/env python3
"""What PostgreSQL's own catalogue says of a migrated system: which tables have walls, what their views show, what keys begin with, what
functions may, who owns and may do what. Each of these checks is shown faults, made by hand, that it must find. And the same from inside, as each
service's login roles: every statement on everything that is another's is refused."""

import json
import re
import subprocess
import unittest

from rpcs import Catalogue, Tenant, tenant_uuid
from stack import Stack

from crmlib import paths, postgres

# What lies across tenants, and why: the way from a login to its tenant, sign-in attempts at logins that may be nobody's, the leases
# that workers share, and which migrations have run.
WITHOUT_TENANT = {"directory", "login_failure", "mailbox", "bucket_lease", "migration"}
# Functions that run with their owner's rights, and why. There is no reason for one so far.
DEFINERS: dict[str, str] = {}
# PostgreSQL prints the condition of views and policies so.
CONDITION = re.compile(r'''\(("?\w+"?\.)?tenant_id = \(current_setting\('app\.tenant'::text\)\)::uuid\)''')
REFUSED = "42501"  # insufficient_privilege, row-level security included
TABLES_LEAST = 60


def setUpModule():
    global stack, lion, lynx, schemas, listed, superuser
    stack = Stack(changes={"gateway": {"gateway": {"rate_per_second": 1_000_000, "public_per_minute": 1_000_000}}})
    stack.__enter__()
    unittest.addModuleCleanup(stack.close)
    catalogue = Catalogue(stack)
    schemas = catalogue.services
    listed = ", ".join(f"'{schema}'" for schema in schemas)
    superuser = Superuser()
    lion, lynx = Tenant(stack, catalogue, "lion"), Tenant(stack, catalogue, "lynx")


class Superuser:
    """One session of the superuser, so that a fault can be made, looked at and undone in one transaction."""

    END = "--end--"

    def __init__(self):
        self.process = subprocess.Popen([paths.POSTGRES_BIN / "psql", "-X", "-q", "-A", "-t", "-F", "\t"], env=postgres.environment(stack.instance, postgres.SUPERUSER),
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        unittest.addModuleCleanup(self.close)

    def ask(self, statement: str) -> list[list[str]]:
        self.process.stdin.write(f"{statement}\n;\n\\echo {self.END}\n")
        self.process.stdin.flush()
        lines = []
        while (line := self.process.stdout.readline().rstrip("\n")) != self.END:
            assert self.process.poll() is None, lines
            lines.append(line)
        if errors := [line for line in lines if line.startswith("ERROR")]:
            raise AssertionError(f"{statement}: {errors}")
        return [line.split("\t") for line in lines]

    def close(self) -> None:
        self.process.stdin.close()
        self.process.wait(20)


def rows(statement: str) -> list[dict]:
    [[value]] = superuser.ask(f"select coalesce(jsonb_agg(x), '[]') from ({statement}) x")
    return json.loads(value)


def relations(kinds: str) -> list[dict]:
    """Of the services' schemas; partitions too."""
    return rows(f"""
        select c.oid::int, n.nspname as schema, c.relname as name, c.relrowsecurity as walled, c.relforcerowsecurity as forced, c.relispartition as partition,
               pg_get_userbyid(c.relowner) as owner, coalesce(obj_description(c.oid, 'pg_class'), '') as comment, coalesce(array_to_string(c.reloptions, ','), '') as options,
               (select json_agg(a.attname order by a.attnum) from pg_attribute a where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped) as columns
        from pg_class c join pg_namespace n on n.oid = c.relnamespace where n.nspname in ({listed}) and c.relkind in ({kinds}) order by 2, 3""")


def words(relation: dict) -> set[str]:
    return set(re.findall(r"\w+", relation["comment"]))


def tenant_tables() -> list[dict]:
    return [table for table in relations("'r', 'p'") if "tenant_id" in table["columns"]]


def named(relation: dict) -> str:
    return f"{relation['schema']}.{relation['name']}"


def as_role(role: str, settings: str, statements: dict[str, str]) -> dict[str, str]:
    """Runs each statement by itself as this role: the number of rows it touched or the count it answered, or its error's SQLSTATE."""
    script = ["""create function pg_temp.run(statement text) returns text language plpgsql as $$
        declare n bigint; begin
          if statement ilike 'select%' then execute statement into n; else execute statement; get diagnostics n = row_count; end if;
          raise exception using errcode = 'RB000', message = n::text;  -- undone, whatever it did
        exception when sqlstate 'RB000' then return sqlerrm; when others then return sqlstate; end $$;""", settings]
    values = ", ".join(f"($n${name}$n$, $s${statement}$s$)" for name, statement in statements.items())
    script.append(f"select name || chr(9) || pg_temp.run(statement) from (values {values}) v (name, statement)")
    out = postgres.query(stack.instance, role, ";\n".join(part.rstrip(";") for part in script))
    return dict(line.split("\t") for line in out.splitlines() if "\t" in line)


# The checks: each answers what is wrong, one line a fault.
def wrong_tables() -> list[str]:
    tables = tenant_tables()
    assert len(tables) >= TABLES_LEAST, "fewer tables than there are: the catalogue was not read"
    found = [f"{named(table)} has no tenant" for table in relations("'r', 'p'") if "tenant_id" not in table["columns"] and table["name"] not in WITHOUT_TENANT]
    found += [f"{named(table)}: row-level security is not enabled and forced" for table in tables if not (table["walled"] and table["forced"])]
    found += [f"{named(relation)} is materialised or foreign: there are no walls around such" for relation in relations("'m', 'f'")]
    nullable = rows(f"""select n.nspname as schema, c.relname as name from pg_attribute a join pg_class c on c.oid = a.attrelid join pg_namespace n on n.oid = c.relnamespace
                        where n.nspname in ({listed}) and c.relkind in ('r', 'p') and a.attname = 'tenant_id' and not (a.attnotnull and a.atttypid = 'uuid'::regtype)""")
    return found + [f"{named(table)}: tenant_id is no uuid, or may be NULL" for table in nullable]


def wrong_policies() -> list[str]:
    policies: dict[str, list[dict]] = {}
    for policy in rows("select schemaname as schema, tablename as name, policyname as policy, permissive, roles, cmd, qual, with_check from pg_policies"):
        policies.setdefault(named(policy), []).append(policy)
    found = []
    for table in tenant_tables():
        service = table["schema"]
        mine = policies.get(named(table), [])
        for policy in mine:
            role = policy["roles"][0] if len(policy["roles"]) == 1 else ""
            conditions = [policy["qual"] or "", policy["with_check"] or ""]
            allowed = {service: policy["cmd"] == "ALL" and all(CONDITION.fullmatch(condition) for condition in conditions), f"{service}_reader": policy["cmd"] == "SELECT",
                       f"{service}_worker": "queue" in words(table), f"{service}_owner": True}
            if not allowed.get(role):
                found.append(f"{named(table)}: {policy['policy']} lets {policy['roles']} {policy['cmd']} by {conditions}")
        if not any(policy["roles"] == [service] for policy in mine) and "private" not in words(table):
            found.append(f"{named(table)} has no policy for its service")
    return found


def wrong_views() -> list[str]:
    views = {named(view): view for view in relations("'v'")}
    definitions = {named(row): row["definition"] for row in rows("select schemaname as schema, viewname as name, definition from pg_views")}
    found, expected = [], set()
    for table in tenant_tables():
        name = f"{named(table)}_view"
        if table["partition"] or "private" in words(table):
            found += [f"{named(table)} is private but has a view"] if name in views else []
            continue
        expected.add(name)
        if name not in views:
            found.append(f"{named(table)} has no view")
            continue
        where = definitions[name].rsplit("WHERE", 1)[-1].strip(" ;")
        found += [f"{name} belongs to {views[name]['owner']}"] if views[name]["owner"] != f"{table['schema']}_reader" else []
        found += [f"{name} has other columns than its table"] if views[name]["columns"] != table["columns"] else []
        found += [f"{name} shows rows where {where}"] if not CONDITION.fullmatch(where) else []
        found += [f"{name} has options {views[name]['options']}"] if views[name]["options"] else []
    return found + [f"{name} is the view of no table" for name in sorted(set(views) - expected)]


def wrong_keys() -> list[str]:
    keys: dict[str, list[dict]] = {}
    for key in rows("""select n.nspname as schema, t.relname as name, i.relname as index, x.indisprimary as primary,
                              (select json_agg(pg_get_indexdef(x.indexrelid, k, true) order by k) from generate_series(1, x.indnkeyatts) k) as columns
                       from pg_index x join pg_class t on t.oid = x.indrelid join pg_class i on i.oid = x.indexrelid
                       join pg_namespace n on n.oid = t.relnamespace where x.indisunique or x.indisexclusion"""):
        keys.setdefault(named(key), []).append(key)
    found = []
    for table in tenant_tables():
        mine = keys.get(named(table), [])
        found += [] if any(key["primary"] for key in mine) else [f"{named(table)} has no primary key"]
        found += [f"{named(table)}: {key['index']} begins with {key['columns'][0]}" for key in mine if key["columns"][0] != "tenant_id"]
    foreign = rows("""select conrelid::regclass::text as name, conname, (select attname from pg_attribute where attrelid = conrelid and attnum = conkey[1]) as first,
                             (select attname from pg_attribute where attrelid = confrelid and attnum = confkey[1]) as theirs,
                             (select relnamespace from pg_class where oid = conrelid) = (select relnamespace from pg_class where oid = confrelid) as home
                      from pg_constraint where contype = 'f'""")
    return found + [f"{key['name']}: {key['conname']} reaches across tenants or schemas" for key in foreign
                    if (key["first"], key["theirs"]) != ("tenant_id", "tenant_id") or not key["home"]]


def wrong_functions() -> list[str]:
    functions = rows(f"""select n.nspname as schema, p.proname as name, p.prosecdef as definer, coalesce(p.proconfig, '{{}}') as config, pg_get_userbyid(p.proowner) as owner
                         from pg_proc p join pg_namespace n on n.oid = p.pronamespace where n.nspname in ({listed})""")
    assert len(functions) >= len(schemas), "fewer functions than there are"
    found = []
    for function in functions:
        paths = [setting.removeprefix("search_path=") for setting in function["config"] if setting.startswith("search_path=")]
        found += [] if paths else [f"{named(function)} has no search path of its own"]
        found += [f"{named(function)} looks in {path}" for path in paths if '"$user"' in path]
        found += [f"{named(function)} runs with its owner's rights"] if function["definer"] and named(function) not in DEFINERS else []
    found += [f"trigger {row['tgname']}" for row in rows("select tgname from pg_trigger where not tgisinternal")]
    found += [f"event trigger {row['evtname']}" for row in rows("select evtname from pg_event_trigger")]
    return found + [f"rule {row['rulename']} on {row['name']}" for row in rows(
        f"select r.rulename, c.oid::regclass::text as name from pg_rewrite r join pg_class c on c.oid = r.ev_class join pg_namespace n on n.oid = c.relnamespace "
        f"where n.nspname in ({listed}) and not (c.relkind = 'v' and r.rulename = '_RETURN')")]


def wrong_grants() -> list[str]:
    """Every right on every schema, relation, column, function and type is its own service's; nothing is everybody's."""
    who = "case a.grantee when 0 then 'PUBLIC' else pg_get_userbyid(a.grantee) end as role, a.privilege_type as right"
    grants = rows(f"""
        select n.nspname as schema, c.relname as name, c.relkind as kind, {who}, coalesce(obj_description(c.oid, 'pg_class'), '') as comment
        from pg_class c join pg_namespace n on n.oid = c.relnamespace, aclexplode(c.relacl) a where n.nspname in ({listed})
        union all select n.nspname, c.relname || '.' || t.attname, 'column', {who}, coalesce(obj_description(c.oid, 'pg_class'), '')
        from pg_attribute t join pg_class c on c.oid = t.attrelid join pg_namespace n on n.oid = c.relnamespace, aclexplode(t.attacl) a where n.nspname in ({listed})
        union all select nspname, nspname, 'n', {who}, '' from pg_namespace, aclexplode(nspacl) a where nspname in ({listed})
        union all select n.nspname, p.proname, 'function', {who}, '' from pg_proc p join pg_namespace n on n.oid = p.pronamespace, aclexplode(p.proacl) a where n.nspname in ({listed})
        union all select n.nspname, t.typname, 'type', {who}, '' from pg_type t join pg_namespace n on n.oid = t.typnamespace, aclexplode(t.typacl) a where n.nspname in ({listed})""")
    assert len(grants) > 300, "fewer grants than there are"
    found = []
    for grant in grants:
        service, role, right = grant["schema"], grant["role"], grant["right"]
        allowed = {f"{service}_owner": {right}, f"{service}_reader": {right}, service: {"SELECT", "USAGE", "EXECUTE"}, f"{service}_worker": {"USAGE", "EXECUTE"}}
        if grant["kind"] in ("r", "p"):
            allowed[service] |= {"INSERT", "UPDATE"} | ({"DELETE"} if "deletable" in words(grant) or grant["name"] in WITHOUT_TENANT else set())
            if "queue" in words(grant):
                allowed[f"{service}_worker"] |= {"SELECT", "INSERT", "UPDATE", "DELETE"}
            if "twin" in words(grant):
                allowed[service] -= {"UPDATE", "DELETE"}
        # A function is reached through its schema only, whose usage is nobody else's.
        if right not in allowed.get(role, set()) and not (role == "PUBLIC" and grant["kind"] == "function"):
            found.append(f"{grant['schema']}.{grant['name']}: {role} may {right}")
    found += [f"database: {row['role']} may {row['right']}" for row in rows(f"select {who} from pg_database, aclexplode(datacl) a where datname = current_database()")
              if row["role"] == "PUBLIC" and row["right"] == "CREATE"]
    found += [f"public: {row['role']} may CREATE" for row in rows(f"select {who} from pg_namespace, aclexplode(nspacl) a where nspname = 'public'")
              if row["right"] == "CREATE" and row["role"] not in ("pg_database_owner", postgres.SUPERUSER)]
    return found + [f"what is made later is granted by itself: {row['acl']}" for row in rows("select defaclacl::text as acl from pg_default_acl")]


def wrong_owners() -> list[str]:
    """What a service logs in as owns nothing, or it could take the walls down."""
    owned = rows(f"""
        select n.nspname as schema, c.relname as name, pg_get_userbyid(c.relowner) as owner, c.relkind = 'v' as view
        from pg_class c join pg_namespace n on n.oid = c.relnamespace where n.nspname in ({listed})
        union all select n.nspname, p.proname, pg_get_userbyid(p.proowner), false from pg_proc p join pg_namespace n on n.oid = p.pronamespace where n.nspname in ({listed})
        union all select n.nspname, t.typname, pg_get_userbyid(t.typowner), false from pg_type t join pg_namespace n on n.oid = t.typnamespace
                  where n.nspname in ({listed}) and t.typrelid = 0 and t.typelem = 0
        union all select nspname, nspname, pg_get_userbyid(nspowner), false from pg_namespace where nspname in ({listed})""")
    assert len(owned) > 5 * TABLES_LEAST, "fewer objects than there are"
    logins = {role for service in schemas for role in (service, f"{service}_worker")}
    found = [f"{row['schema']}.{row['name']} belongs to {row['owner']}" for row in owned
             if row["owner"] not in ({f"{row['schema']}_reader"} if row["view"] else {f"{row['schema']}_owner", postgres.SUPERUSER if row["schema"] == row["name"] else ""})]
    return found + [f"{row['what']} belongs to {row['owner']}" for row in rows(
        "select 'database' as what, pg_get_userbyid(datdba) as owner from pg_database union all select 'large object', pg_get_userbyid(lomowner) from pg_largeobject_metadata "
        "union all select relname, pg_get_userbyid(relowner) from pg_class c join pg_namespace n on n.oid = c.relnamespace where n.nspname = 'public'") if row["owner"] in logins]


def wrong_roles() -> list[str]:
    roles = {row["rolname"]: row for row in rows("select rolname, rolsuper, rolcreaterole, rolcreatedb, rolbypassrls, rolcanlogin, rolreplication from pg_roles")}
    found = []
    for service in schemas:
        for role, login in ((service, True), (f"{service}_worker", True), (f"{service}_owner", False), (f"{service}_reader", False)):
            found += [f"{role}: rolcanlogin is {roles[role]['rolcanlogin']}"] if roles[role]["rolcanlogin"] != login else []
            found += [f"{role} has {power}" for power in ("rolsuper", "rolcreaterole", "rolcreatedb", "rolbypassrls", "rolreplication") if roles[role][power]]
    logins = {role for service in schemas for role in (service, f"{service}_worker")}
    found += [f"{member} may become {role}" for member, role in superuser.ask("select pg_get_userbyid(member), pg_get_userbyid(roleid) from pg_auth_members") if member in logins]
    return found + [f"every session begins with {setting}" for [setting] in superuser.ask("select unnest(setconfig) from pg_db_role_setting")
                    if setting.split("=")[0] in ("app.tenant", "row_security", "session_replication_role", "role")]


CHECKS = (wrong_tables, wrong_policies, wrong_views, wrong_keys, wrong_functions, wrong_grants, wrong_owners, wrong_roles)
BARE = "create table contact.bare (tenant_id uuid not null, id uuid not null, primary key (tenant_id, id)); alter table contact.bare owner to contact_owner"
# (what somebody does, the check that must say so)
FAULTS = (
    (BARE, wrong_tables),
    (BARE, wrong_policies),
    (BARE, wrong_views),
    ("create table contact.bare (id uuid primary key)", wrong_tables),
    ("alter table contact.contact no force row level security", wrong_tables),
    ("alter table identity.session disable row level security", wrong_tables),
    ("create materialized view contact.seen as select 1 as one", wrong_tables),
    ("create policy open on contact.contact to contact using (true)", wrong_policies),
    ("create policy open on contact.contact to contact using (tenant_id = current_setting('app.tenant')::uuid)", wrong_policies),
    ("create policy open on contact.contact using (tenant_id = current_setting('app.tenant')::uuid)", wrong_policies),
    ("create policy open on contact.contact to contact using (tenant_id = current_setting('app.tenant')::uuid) with check (true)", wrong_policies),
    ("create policy open on contact.contact for select to contact_worker using (true)", wrong_policies),
    ("create policy open on deal_pipeline.deal for all to deal_pipeline_reader using (true)", wrong_policies),
    ("create view contact.leak as select * from contact.contact", wrong_views),
    ("alter view contact.contact_view owner to contact_owner", wrong_views),
    ("alter view contact.contact_view set (security_invoker = true)", wrong_views),
    ("create unique index leak on contact.contact (id)", wrong_keys),
    ("alter table contact.activity drop constraint activity_pkey cascade", wrong_keys),
    ("create unique index leak on contact.contact (lower(tenant_id::text), id)", wrong_keys),
    ("alter table contact.contact add constraint leak foreign key (tenant_id, id) references identity.team (tenant_id, id) not valid", wrong_keys),
    ("create function contact.leak() returns int language sql as 'select 1'", wrong_functions),
    ("create function contact.leak() returns int language sql security definer set search_path = contact as 'select 1'", wrong_functions),
    ("create function contact.leak() returns int language sql set search_path = '$user', contact as 'select 1'", wrong_functions),
    ("create trigger leak before update on contact.note for each row execute function suppress_redundant_updates_trigger()", wrong_functions),
    ("create rule leak as on update to contact.contact do also nothing", wrong_functions),
    ("grant select on contact.contact to deal_pipeline", wrong_grants),
    ("grant select on contact.contact_view to public", wrong_grants),
    ("grant select (id) on contact.contact to messaging", wrong_grants),
    ("grant usage on schema contact to public", wrong_grants),
    ("grant create on schema contact to contact", wrong_grants),
    ("grant delete on identity.tenant to identity", wrong_grants),
    ("grant update on contact.contact_history to contact", wrong_grants),
    ("grant truncate on contact.contact to contact", wrong_grants),
    ("grant create on schema public to public", wrong_grants),
    ("alter default privileges in schema contact grant select on tables to messaging", wrong_grants),
    ("create table contact.bare (id int); alter table contact.bare owner to contact", wrong_owners),
    ("create table contact.bare (id int)", wrong_owners),
    ("alter role contact bypassrls", wrong_roles),
    ("grant contact_owner to messaging", wrong_roles),
    ("alter role contact_reader login", wrong_roles),
    ("alter role contact set app.tenant = '00000000-0000-7000-8000-000000000001'", wrong_roles),
    ("alter role contact set row_security = off", wrong_roles),
)


class CatalogueTest(unittest.TestCase):
    maxDiff = None

    def test_nothing_is_wrong(self):
        for check in CHECKS:
            with self.subTest(check.__name__):
                self.assertEqual(check(), [])
        self.assertEqual({table["name"] for table in relations("'r', 'p'") if "tenant_id" not in table["columns"]}, WITHOUT_TENANT)

    def test_each_check_finds_what_it_is_for(self):
        for fault, check in FAULTS:
            with self.subTest(fault):
                superuser.ask(f"begin; {fault}")
                try:
                    self.assertNotEqual(check(), [], f"not found by {check.__name__}")
                finally:
                    superuser.ask("rollback")
        self.test_nothing_is_wrong()


class LoginRolesTest(unittest.TestCase):
    """The same from inside: connected as each role, statement by statement."""

    def test_foreign_schemas_are_closed(self):
        tables = relations("'r', 'p', 'v'")
        others = rows(f"select n.nspname as schema, c.relname as name from pg_class c join pg_namespace n on n.oid = c.relnamespace where n.nspname in ({listed}) and c.relkind = 'S'")
        functions = rows(f"""select n.nspname as schema, p.proname as name, coalesce((select string_agg('null::' || format_type(t, null), ', ' order by o)
                             from unnest(p.proargtypes) with ordinality u (t, o)), '') as arguments from pg_proc p join pg_namespace n on n.oid = p.pronamespace where n.nspname in ({listed})""")
        for service in schemas:
            for role in (service, f"{service}_worker"):
                statements = {}
                for table in tables:
                    if table["schema"] == service:
                        continue
                    name, column = f'{table["schema"]}."{table["name"]}"', table["columns"][0]
                    statements |= {f"select {name}": f"select count(*) from {name}", f"insert {name}": f"insert into {name} default values",
                                   f"update {name}": f'update {name} set "{column}" = "{column}"', f"delete {name}": f"delete from {name}"}
                    if not table["name"].endswith("_view"):
                        statements |= {f"truncate {name}": f"truncate {name}", f"lock {name}": f"lock table {name} in access share mode"}
                statements |= {f"next {named(one)}": f"select nextval('{named(one)}')" for one in others if one["schema"] != service}
                statements |= {f"call {named(one)}": f"select count({named(one)}({one['arguments']}))" for one in functions if one["schema"] != service}
                statements |= {f"create in {schema}": f"create table {schema}.mine (a int)" for schema in [*schemas, "public"]}
                answers = as_role(role, f"set app.tenant = '{tenant_uuid(lion.admin.tenant_id)}'", statements)
                self.assertEqual(len(answers), len(statements))
                self.assertEqual({name: answer for name, answer in answers.items() if answer != REFUSED}, {}, f"{role} in foreign schemas")
                usable = stack.sql(f"select nspname from pg_namespace where nspname in ({listed}) and has_schema_privilege('{role}', oid, 'usage, create')")
                self.assertEqual(usable, [[service]], f"schemas open to {role}")

    def test_walls_are_not_taken_down_from_inside(self):
        for service in schemas:
            policy = stack.sql(f"select quote_ident(policyname) from pg_policies where schemaname = '{service}' and tablename = 'outbox'")[0][0]
            for role in (service, f"{service}_worker"):
                statements = {text: text for text in (
                    f"alter table {service}.outbox disable row level security", f"alter table {service}.outbox no force row level security",
                    f"drop policy {policy} on {service}.outbox", f"create policy x on {service}.outbox using (true)", f"alter view {service}.outbox_view set (security_invoker = false)",
                    f"drop view {service}.outbox_view", f"create view {service}.leak as select 1", f"create function {service}.leak() returns int language sql as 'select 1'",
                    f"alter table {service}.outbox owner to {role}", f"set role {service}_owner", f"set role {service}_reader",
                    f"set role {postgres.SUPERUSER}", f"set session authorization {postgres.SUPERUSER}", "set session_replication_role = replica", "alter role current_user bypassrls",
                    "copy (select 1) to program 'true'", "copy pg_class to '/tmp/leak'", "select count(pg_read_file('/etc/passwd'))", "select count(lo_import('/etc/passwd'))",
                    "select count(*) from pg_authid", "create role leak", "create schema leak", "create extension dblink", "alter system set row_security = off")}
                answers = as_role(role, f"set app.tenant = '{tenant_uuid(lion.admin.tenant_id)}'", statements)
                # Not within a function, or within a transaction: PostgreSQL says so before it asks who it is.
                wrong = {text: answer for text, answer in answers.items() if answer not in (REFUSED, "0A000", "25001")}
                self.assertEqual(wrong, {}, role)
            # Without row-level security's walls there is an error instead of rows.
            full = [table for table in tenant_tables() if table["schema"] == service and "private" not in words(table) and not table["partition"]]
            answers = as_role(service, f"set app.tenant = '{tenant_uuid(lion.admin.tenant_id)}'; set row_security = off", {table["name"]: f"select count(*) from {named(table)}" for table in full})
            self.assertEqual({name: answer for name, answer in answers.items() if answer != REFUSED}, {}, service)

    def test_without_a_tenant_there_are_no_rows(self):
        for service in schemas:
            mine = [table for table in tenant_tables() if table["schema"] == service and "private" not in words(table) and not table["partition"]]
            statements = {f"{table['name']}{end}": f"select count(*) from {service}.{table['name']}{end}" for table in mine for end in ("", "_view")}
            for settings in ("reset app.tenant", "set app.tenant = ''", "set app.tenant = 'all'"):
                answers = as_role(service, settings, statements)
                self.assertEqual(len(answers), len(statements))
                # Empty tables answer none; where there is a row to judge, the missing tenant is an error.
                self.assertEqual({name: answer for name, answer in answers.items() if answer not in ("0", "42704", "22P02")}, {}, f"{service} after {settings}")
                self.assertIn(answers["outbox_view"], ("42704", "22P02"))
            # A tenant that is none of ours: nothing at all.
            answers = as_role(service, "set app.tenant = '00000000-0000-7000-8000-000000000001'", statements)
            self.assertEqual({name: answer for name, answer in answers.items() if answer != "0"}, {}, service)

    def test_with_a_tenant_there_are_only_its_rows(self):
        ours, theirs = tenant_uuid(lion.admin.tenant_id), tenant_uuid(lynx.admin.tenant_id)
        filled = 0
        for service in schemas:
            mine = [table for table in tenant_tables() if table["schema"] == service and "private" not in words(table) and not table["partition"]]
            statements, expected = {}, {}
            for table in mine:
                name = f"{service}.{table['name']}"
                full = int(stack.value(f"select count(*) from {name} where tenant_id = '{theirs}'")) > 0
                for end in ("", "_view"):
                    statements[f"see {table['name']}{end}"] = f"select count(*) from {name}{end} where tenant_id <> '{ours}'"
                    expected[f"see {table['name']}{end}"] = {"0"}
                statements[f"change {table['name']}"] = f"update {name} set tenant_id = tenant_id where tenant_id = '{theirs}'"
                expected[f"change {table['name']}"] = {"0", REFUSED}
                statements[f"delete {table['name']}"] = f"delete from {name} where tenant_id = '{theirs}'"
                expected[f"delete {table['name']}"] = {"0", REFUSED}
                if full and int(stack.value(f"select count(*) from {name} where tenant_id = '{ours}'")) > 0:
                    filled += 1
                    fields = ", ".join(f'"{column}"' for column in table["columns"])
                    statements[f"give away {table['name']}"] = f"update {name} set tenant_id = '{theirs}'"
                    expected[f"give away {table['name']}"] = {REFUSED}
                    values = ", ".join(f"'{theirs}'" if column == "tenant_id" else f'"{column}"' for column in table["columns"])
                    statements[f"plant {table['name']}"] = f"insert into {name} ({fields}) overriding system value select {values} from {name} limit 1"
                    expected[f"plant {table['name']}"] = {REFUSED}
            answers = as_role(service, f"set app.tenant = '{ours}'", statements)
            self.assertEqual(len(answers), len(statements))
            self.assertEqual({name: answer for name, answer in answers.items() if answer not in expected[name]}, {}, f"{service} as one tenant, about another")
        self.assertGreater(filled, 30, "too few tables with rows to prove anything")

    def test_workers_see_queues_alone(self):
        for service in schemas:
            mine = [table for table in tenant_tables() if table["schema"] == service]
            answers = as_role(f"{service}_worker", "reset app.tenant", {table["name"]: f"select count(*) from {service}.{table['name']}" for table in mine})
            wrong = {table["name"]: answers[table["name"]] for table in mine if (answers[table["name"]] == REFUSED) == ("queue" in words(table))}
            self.assertEqual(wrong, {}, f"{service}_worker")


if __name__ == "__main__":
    unittest.main(verbosity=2, warnings="ignore")
