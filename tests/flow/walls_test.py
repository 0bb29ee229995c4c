#!/usr/bin/env python3
"""A tenant cannot see another, and a service cannot see another's tables: what the database itself enforces, table by table as its
catalogue lists them, and what two tenants with the same data get to see of each other through every read of the API."""

import json
import re
import time
import unittest

from rpcs import TYPE_ID, Catalogue, Http, Method, Native, Tenant, as_http, parallel, tenant_uuid
from stack import Stack, eventually

from crmlib import postgres
from crmlib.console import Failure

# What lies across tenants, and why: the way from a login to its tenant, sign-in attempts at logins that may be nobody's, the leases
# that workers share, and which migrations have run.
WITHOUT_TENANT = {"directory", "login_failure", "mailbox", "bucket_lease", "migration"}
# PostgreSQL prints the condition of views and policies so.
CONDITION = re.compile(r'''\(("?\w+"?\.)?tenant_id = \(current_setting\('app\.tenant'::text\)\)::uuid\)''')
REFUSED = "42501"  # insufficient_privilege, row-level security included
UNLIMITED = {"gateway": {"gateway": {"rate_per_second": 1_000_000, "public_per_minute": 1_000_000}}}


def setUpModule():
    global stack, catalogue, native, lion, lynx, schemas
    stack = Stack(changes=UNLIMITED)
    stack.__enter__()
    unittest.addModuleCleanup(stack.close)
    catalogue = Catalogue(stack)
    native = Native(catalogue, stack)
    unittest.addModuleCleanup(native.close)
    lion, lynx = Tenant(stack, catalogue, "twin"), Tenant(stack, catalogue, "twin")
    schemas = catalogue.services
    for tenant in (lion, lynx):
        tenant.same = same_data(tenant)
        tenant.ids = {id_ for ids in tenant.seen.values() for id_ in ids} | set(tenant.same.values())
    assert not lion.ids & lynx.ids


def same_data(tenant: Tenant) -> dict[str, str]:
    """Records that are alike to the letter in both tenants, unique values included; their ids."""
    post, ids = tenant.admin.post, {}
    external = {"external_ids": [{"system": "shop", "id": "4711"}]}
    ids["team"] = post("/v1/teams", {"name": "Twins"})["id"]
    ids["company"] = post("/v1/companies", {"name": "Twin limited", "tax_id": "DE 1", "team_id": ids["team"], **external})["id"]
    ids["contact"] = post("/v1/contacts", {"given_name": "Castor", "family_name": "Twin", "company_id": ids["company"], "phones": [{"number": "+4930424242"}],
                                           "emails": [{"address": "castor@twins.example.com"}], **external})["id"]
    ids["product"] = post("/v1/products", {"name": "Twin bed", "sku": "TWIN-1", "unit_price": {"amount": "99.90", "currency_code": "EUR"}, **external})["id"]
    ids["lead"] = post("/v1/leads", {"title": "Twin lead", "name": "Castor", "phone": "+4930424242"})["id"]
    ids["deal"] = post("/v1/deals", {"title": "Twin deal", "contact_id": ids["contact"], "company_id": ids["company"], **external,
                                     "lines": [{"product_id": ids["product"], "quantity": "2"}]})["id"]
    ids["role"] = post("/v1/roles", {"name": "Twin"})["id"]
    return ids


def rows(statement: str) -> list[dict]:
    return json.loads(stack.value(f"select coalesce(jsonb_agg(x), '[]') from ({statement}) x"))


def relations(kinds: str) -> list[dict]:
    """Of the services' schemas; partitions too."""
    names = ", ".join(f"'{schema}'" for schema in schemas)
    return rows(f"""
        select c.oid::int, n.nspname as schema, c.relname as name, c.relrowsecurity as walled, c.relforcerowsecurity as forced, c.relispartition as partition,
               pg_get_userbyid(c.relowner) as owner, coalesce(obj_description(c.oid, 'pg_class'), '') as comment,
               (select json_agg(a.attname order by a.attnum) from pg_attribute a where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped) as columns
        from pg_class c join pg_namespace n on n.oid = c.relnamespace where n.nspname in ({names}) and c.relkind in ({kinds}) order by 2, 3""")


def words(relation: dict) -> set[str]:
    return set(re.findall(r"\w+", relation["comment"]))


def tenant_tables() -> list[dict]:
    return [table for table in relations("'r', 'p'") if "tenant_id" in table["columns"]]


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


class CatalogueTest(unittest.TestCase):
    """What is true of every table that has a tenant."""

    @classmethod
    def setUpClass(cls):
        cls.tables = tenant_tables()
        cls.name = staticmethod(lambda relation: f"{relation['schema']}.{relation['name']}")

    def all(self, items, wrong, what: str, at_least: int) -> None:
        bad = [f"{item if isinstance(item, str) else self.name(item)}: {text}" for item in items if (text := wrong(item))]
        self.assertEqual(bad, [], what)
        self.assertGreaterEqual(len(items), at_least, "fewer than there are: the catalogue was not read")

    def test_every_table_has_a_tenant_or_a_reason(self):
        self.assertEqual({table["name"] for table in relations("'r', 'p'") if "tenant_id" not in table["columns"]}, WITHOUT_TENANT)

    def test_row_level_security_is_forced(self):
        self.all(self.tables, lambda table: "" if table["walled"] and table["forced"] else "row-level security is not enabled and forced", "", 60)

    def test_policies(self):
        policies: dict[str, list[dict]] = {}
        for policy in rows("select schemaname as schema, tablename as name, policyname as policy, permissive, roles, cmd, qual, with_check from pg_policies"):
            policies.setdefault(self.name(policy), []).append(policy)

        def wrong(table: dict) -> str:
            service = table["schema"]
            for policy in policies.get(self.name(table), []):
                if len(policy["roles"]) != 1:
                    return f"{policy['policy']} is for {policy['roles']}"
                [role] = policy["roles"]
                if role == service:
                    conditions = [policy["qual"] or "", policy["with_check"] or ""]
                    if policy["cmd"] != "ALL" or not all(CONDITION.fullmatch(condition) for condition in conditions):
                        return f"{policy['policy']} lets {role} {policy['cmd']} by {conditions}"
                elif role == f"{service}_reader":
                    if policy["cmd"] != "SELECT":
                        return f"{policy['policy']} lets the views' owner {policy['cmd']}"
                elif role == f"{service}_worker":
                    if "queue" not in words(table):
                        return "lets the worker in, but is no queue"
                elif role != f"{service}_owner":
                    return f"{policy['policy']} is for {role}"
            mine = [policy for policy in policies.get(self.name(table), []) if policy["roles"] == [service]]
            return "" if mine or "private" in words(table) else "has no policy for its service"
        self.all(self.tables, wrong, "policies", 60)

    def test_views(self):
        views = {self.name(view): view for view in relations("'v'")}
        definitions = {self.name(row): row["definition"] for row in rows("select schemaname as schema, viewname as name, definition from pg_views")}
        options = dict(stack.sql("select oid, array_to_string(reloptions, ',') from pg_class where relkind = 'v' and reloptions is not null"))

        def wrong(table: dict) -> str:
            name = f"{self.name(table)}_view"
            if table["partition"] or "private" in words(table):
                return "" if name not in views else "is private but has a view"
            if name not in views:
                return "has no view"
            if views[name]["owner"] != f"{table['schema']}_reader":
                return f"its view belongs to {views[name]['owner']}"
            if views[name]["columns"] != table["columns"]:
                return "its view has other columns"
            where = definitions[name].rsplit("WHERE", 1)[-1].strip(" ;")
            if not CONDITION.fullmatch(where):
                return f"its view shows rows where {where}"
            return "" if not options.get(str(views[name]["oid"])) else f"its view has options {options[str(views[name]['oid'])]}"
        self.all(self.tables, wrong, "views", 60)
        self.assertEqual({name for name in views if name.removesuffix("_view") not in {self.name(table) for table in self.tables}}, set(), "views of no table")
        self.assertEqual(relations("'m', 'f'"), [], "materialised views and foreign tables have no walls")

    def test_keys_begin_with_the_tenant(self):
        keys: dict[str, list[tuple[str, list]]] = {}
        for key in rows("""select n.nspname as schema, t.relname as name, i.relname as index, x.indisprimary as primary,
                                  (select json_agg(pg_get_indexdef(x.indexrelid, k, true) order by k) from generate_series(1, x.indnkeyatts) k) as columns
                           from pg_index x join pg_class t on t.oid = x.indrelid join pg_class i on i.oid = x.indexrelid
                           join pg_namespace n on n.oid = t.relnamespace where x.indisunique"""):
            keys.setdefault(self.name(key), []).append(key)

        def wrong(table: dict) -> str:
            mine = keys.get(self.name(table), [])
            if not any(key["primary"] for key in mine):
                return "has no primary key"
            return ", ".join(f"{key['index']} begins with {key['columns'][0]}" for key in mine if key["columns"][0] != "tenant_id")
        self.all(self.tables, wrong, "keys", 60)
        foreign = rows("""select conrelid::regclass::text as name, conname, (select attname from pg_attribute where attrelid = conrelid and attnum = conkey[1]) as first,
                                 (select relnamespace from pg_class where oid = conrelid) = (select relnamespace from pg_class where oid = confrelid) as home
                          from pg_constraint where contype = 'f'""")
        self.assertEqual([key for key in foreign if key["first"] != "tenant_id" or not key["home"]], [], "foreign keys across tenants or schemas")

    def test_functions_and_triggers(self):
        names = ", ".join(f"'{schema}'" for schema in schemas)
        functions = rows(f"""select n.nspname as schema, p.proname as name, p.prosecdef as definer, p.proconfig as config
                             from pg_proc p join pg_namespace n on n.oid = p.pronamespace where n.nspname in ({names})""")
        self.all(functions, lambda function: "" if any(setting.startswith("search_path=") for setting in function["config"] or []) else "has no search path of its own",
                 "functions", len(schemas))
        self.assertEqual([self.name(function) for function in functions if function["definer"]], [], "functions that run with their owner's rights")
        self.assertEqual(rows("select tgname from pg_trigger where not tgisinternal"), [], "triggers")

    def test_rights_stay_at_home(self):
        """Every right on every relation, function and schema is its own service's; nothing is everybody's."""
        names = ", ".join(f"'{schema}'" for schema in schemas)
        grants = rows(f"""
            select n.nspname as schema, c.relname as name, c.relkind as kind, case a.grantee when 0 then 'PUBLIC' else pg_get_userbyid(a.grantee) end as role,
                   a.privilege_type as right, coalesce(obj_description(c.oid, 'pg_class'), '') as comment
            from pg_class c join pg_namespace n on n.oid = c.relnamespace, aclexplode(c.relacl) a where n.nspname in ({names})
            union all select nspname, nspname, 'n', case a.grantee when 0 then 'PUBLIC' else pg_get_userbyid(a.grantee) end, a.privilege_type, ''
            from pg_namespace, aclexplode(nspacl) a where nspname in ({names})""")

        def wrong(grant: dict) -> str:
            service, role, right = grant["schema"], grant["role"], grant["right"]
            allowed = {f"{service}_owner": {right}, f"{service}_reader": {right}, service: {"SELECT", "USAGE"}, f"{service}_worker": {"USAGE"}}
            if grant["kind"] in ("r", "p"):
                allowed[service] |= {"INSERT", "UPDATE"} | ({"DELETE"} if "deletable" in words(grant) or grant["name"] in WITHOUT_TENANT else set())
                if "queue" in words(grant):
                    allowed[f"{service}_worker"] |= {"SELECT", "INSERT", "UPDATE", "DELETE"}
                if "twin" in words(grant):
                    allowed[service] -= {"UPDATE", "DELETE"}
            return "" if right in allowed.get(role, set()) else f"{role} may {right}"
        self.all(grants, wrong, "grants", 300)

    def test_roles(self):
        roles = {row["rolname"]: row for row in rows("select rolname, rolsuper, rolcreaterole, rolcreatedb, rolbypassrls, rolcanlogin, rolreplication from pg_roles")}
        for service in schemas:
            for role, login in ((service, True), (f"{service}_worker", True), (f"{service}_owner", False), (f"{service}_reader", False)):
                self.assertEqual(roles[role]["rolcanlogin"], login, role)
                self.assertFalse(any(roles[role][power] for power in ("rolsuper", "rolcreaterole", "rolcreatedb", "rolbypassrls", "rolreplication")), roles[role])
        members = stack.sql("select pg_get_userbyid(member), pg_get_userbyid(roleid) from pg_auth_members")
        logins = {role for service in schemas for role in (service, f"{service}_worker")}
        self.assertEqual([pair for pair in members if pair[0] in logins], [], "a login role that may become another")


class LoginRolesTest(unittest.TestCase):
    """The same from inside: connected as each role, statement by statement."""

    def test_foreign_schemas_are_closed(self):
        tables = relations("'r', 'p', 'v'")
        for service in schemas:
            for role in (service, f"{service}_worker"):
                foreign = {f"{table['schema']}.{table['name']}": f"select count(*) from {table['schema']}.{table['name']}" for table in tables
                           if table["schema"] != service}
                answers = as_role(role, f"set app.tenant = '{tenant_uuid(lion.admin.tenant_id)}'", foreign)
                self.assertEqual(len(answers), len(foreign))
                self.assertEqual({name: answer for name, answer in answers.items() if answer != REFUSED}, {}, f"{role} in foreign schemas")
                with self.assertRaises(Failure):
                    postgres.query(stack.instance, role, f"create table {service}.mine (a int)")

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


class TwinsTest(unittest.TestCase):
    """Two tenants whose records are alike to the letter."""

    def reads(self, tenant: Tenant) -> list[tuple[str, str, dict | None]]:
        """(method, address, body) of every read over HTTP: plain, in each direction of its choices, searched, counted, expanded."""
        found = []
        for method in catalogue.methods:
            if not method.reads or method.streams or method.who == "service":
                continue
            base = tenant.make(method)
            names = {field["name"] for field in catalogue.fields(method.input)}
            variants = [base]
            variants += [base | {"query": text, "count": "COUNT_EXACT"} for text in ("twin", "castor", "+4930424242", "castor@twins.example.com") if "query" in names]
            variants += [base | {"filter": text, "count": "COUNT_EXACT"} for text in ("", 'create_time > "2020-01-01T00:00:00Z"') if {"filter", "count"} <= names]
            variants += [base | {"show_deleted": True, "view": "VIEW_FULL"} for name in names & {"show_deleted"} if "view" in names]
            if "external_id" in names:
                variants = [{"phone": "030 424242"}, {"email": "Castor@twins.example.com"}, {"external_system": "shop", "external_id": "4711"}]
            for route in method.http:
                for variant in variants:
                    verb, address, body = as_http(method, route, variant)
                    found.append((verb, address, body))
                    if expand := self.expandable(address, route):
                        found.append((verb, f"{address}{'&' if '?' in address else '?'}expand={expand}", body))
        return found

    def expandable(self, address: str, route: dict) -> str:
        """What the edge itself says can be expanded here."""
        if route["path"] not in self.names:
            answer = lion.http.raw(route["method"], f"{address.split('?')[0]}?expand=nothing", {} if route["body"] else None)
            self.names[route["path"]] = ",".join(re.sub(r".*: use ", "", answer.text).split(", ")) if ": use " in answer.text else ""
        return self.names[route["path"]]

    names: dict[str, str] = {}

    def test_no_read_shows_the_other(self):
        for mine, other in ((lion, lynx), (lynx, lion)):
            asked = self.reads(mine)
            shown, refs = set(), 0
            for (verb, address, body), result in zip(asked, parallel(lambda read: mine.http.raw(*read), asked)):
                found = {f"{prefix}_{rest}" for prefix, rest in TYPE_ID.findall(json.dumps(result.body))}
                self.assertFalse(found & other.ids, f"{verb} {address} {body} shows the other tenant's {found & other.ids}")
                shown |= found
                refs += len(result.body.get("refs", {})) if isinstance(result.body, dict) else 0
            self.assertGreater(len(asked), 100)
            self.assertGreater(refs, 10, "nothing was expanded")
            self.assertLessEqual(set(mine.same.values()), shown, "the reads do not show what is there")

    def test_the_native_surface_does_not_either(self):
        for mine, other in ((lion, lynx), (lynx, lion)):
            # A claim to be another tenant's beside the token changes nothing.
            headers = {"authorization": f"Bearer {mine.admin.token}", "crm-tenant": other.admin.tenant_id}
            walked = [(method, service) for method, service in catalogue.walked if method.reads and method.who != "service"]

            def ask(item):
                method, service = item
                request = {"ids": sorted(other.ids | mine.ids)} if method.short == "BatchGetRefs" else mine.make(method)
                return native.call(method, service, request, headers)
            for (method, service), result in zip(walked, parallel(ask, walked)):
                found = {f"{prefix}_{rest}" for prefix, rest in TYPE_ID.findall(json.dumps(result.body))}
                self.assertFalse(found & other.ids, f"{service}: {method} shows the other tenant's {found & other.ids}")

    def test_headers_choose_no_tenant(self):
        for name in ("crm-tenant", "Crm-Tenant", "x-tenant-id", "crm-anonymous", "Grpc-Metadata-Crm-Tenant"):
            answer = lion.admin.call("GET", "/v1/tenant", headers={name: lynx.admin.tenant_id})
            self.assertEqual(answer.body["id"], lion.admin.tenant_id, name)

    def test_page_tokens_and_keys_are_ones_own(self):
        page = lynx.admin.get("/v1/users", page_size=1)
        roles = lynx.admin.get("/v1/roles", page_size=1)
        self.assertTrue(roles["next_page_token"], page)
        answer = lion.admin.call("GET", "/v1/roles", query={"page_size": 1, "page_token": roles["next_page_token"]})
        self.assertEqual(answer.reason, "PAGE_TOKEN_INVALID", answer.data)
        key = {"Idempotency-Key": f"twins-{time.monotonic_ns()}"}
        body = {"given_name": "Pollux"}
        theirs = lynx.admin.must("POST", "/v1/contacts", body, key)
        ours = lion.admin.must("POST", "/v1/contacts", body, key)
        self.assertNotEqual(ours["id"], theirs["id"])
        self.assertEqual(lion.admin.must("POST", "/v1/contacts", body, key)["id"], ours["id"])

    def test_live_streams(self):
        with lion.admin.events("/v1/events") as ours, lynx.admin.events("/v1/events") as theirs:
            for mine in (lion, lynx):
                for prefix in catalogue.makers:
                    mine.fresh(prefix)
                mine.sign = mine.admin.post("/v1/contacts", {"given_name": "sign"})["id"]
                mine.deal_sign = mine.admin.post("/v1/deals", {"title": "sign"})["id"]
            for mine, other, heard in ((lion, lynx, ours), (lynx, lion, theirs)):
                waiting = {mine.sign, mine.deal_sign}
                while waiting:
                    waiting -= {heard.next().body.get("id")}
                self.foreign(mine, other, heard)
            stream_id = next(event.body["stream_id"] for event in theirs.seen if "stream_id" in event.body)
            self.assertEqual(lion.admin.call("POST", f"/v1/events/{stream_id}", {"topics": ["deal"]}).status, 404)
            self.assertTrue(lynx.admin.call("POST", f"/v1/events/{stream_id}", {"topics": ["deal", "contact"]}).ok)
            last = theirs.last_id
        # Another tenant's place in its events is no way in.
        for place in (last, re.sub(r"-\d+", "-0", last)):
            with lion.admin.events("/v1/events", last_event_id=place) as resumed:
                sign = lion.admin.post("/v1/contacts", {"given_name": "sign"})["id"]
                resumed.until(lambda event: event.body.get("id") == sign)
                self.foreign(lion, lynx, resumed)

    def foreign(self, mine: Tenant, other: Tenant, heard) -> None:
        other.look_around()
        ids = {id_ for ids in other.seen.values() for id_ in ids} | other.ids
        text = " ".join(event.data for event in heard.seen)
        self.assertFalse({f"{prefix}_{rest}" for prefix, rest in TYPE_ID.findall(text)} & ids, "hears the other tenant's events")


if __name__ == "__main__":
    unittest.main(verbosity=2, warnings="ignore")
