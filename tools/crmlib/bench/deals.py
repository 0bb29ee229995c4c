"""As many deals as contacts, straight into the tables: nine of ten are closed, as after some years of work. As in data.py, each row
is a copy of one that the service made, in which titles, amounts, stages and times are replaced, and a loaded deal is made once more
through the API to see that the service would have written the same."""

from concurrent.futures import ThreadPoolExecutor

from crmlib import console
from crmlib.bench.data import ID_BASE, Data, quoted, sql_prefix, type_id
from crmlib.bench.kinds import DEAL
from crmlib.demo import uuid_of

MARK = {"title": "Marktitle", "amount": "4242.50"}
OPEN_SHARE, WON_SHARE = 0.1, 0.7  # the others are lost
TABLES = ("deal", "stage_visit", "stage_total")
SLICES = 4  # of stage_total, as the service has them; `check` would tell


def load(data: Data) -> None:
    """After the contacts, whose schema `bench` it needs."""
    api = data.system.api(data.system.token(data.tenants[0]["login"]))
    with console.step(f"{data.size:,} deals"):
        write_stages(data)
        row = template(data, api)
        run(data, base_sql())
        indexes = data.system.sql("select indexname, indexdef from pg_indexes where schemaname = 'deal_pipeline' and tablename in ('deal', 'stage_visit') "
                                  "and indexname not like '%_pkey' order by indexdef like '%gin%' desc")
        for name, _ in indexes:
            run(data, f"drop index deal_pipeline.{name}")
        with ThreadPoolExecutor(2) as two:  # one session a core
            list(two.map(lambda sql: run(data, sql), [record_sql(row), visit_sql() + ";" + total_sql()]))
    with console.step("their indexes"), ThreadPoolExecutor(2) as two:
        list(two.map(lambda index: run(data, index[1]), indexes))
        list(two.map(lambda table: run(data, f"vacuum analyze deal_pipeline.{table}"), TABLES))
    check(data, api)


def run(data: Data, statement: str) -> None:
    data.run(statement, schema="deal_pipeline")


def write_stages(data: Data) -> None:
    """Of each tenant's own pipeline the first stage, the won one and the lost one."""
    rows = []
    for tenant in data.tenants:
        found = data.system.api(data.system.token(tenant["login"])).get("/v1/pipelines")["pipelines"]
        found = next(pipeline for pipeline in found if pipeline["is_default"])
        kinds = {stage["kind"]: stage for stage in reversed(found["stages"])}  # the first of each kind
        for status, kind in ((1, "STAGE_KIND_OPEN"), (2, "STAGE_KIND_WON"), (3, "STAGE_KIND_LOST")):
            rows.append((tenant["uuid"], status, uuid_of(found["id"]), uuid_of(kinds[kind]["id"]), kinds[kind]["name"]))
    values = ",".join(f"('{tenant}'::uuid, {status}, '{pipeline}'::uuid, '{stage}'::uuid, {quoted(name)})" for tenant, status, pipeline, stage, name in rows)
    run(data, "create unlogged table bench.stage as select * from "
              f"(values {values}) v (tenant_id, status, pipeline_id, stage_id, stage_name)")


def template(data: Data, api) -> dict:
    """Columns of an open deal as the service writes them: {name: (type, text or None)}."""
    id = uuid_of(api.post(DEAL.collection, body(MARK["title"], MARK["amount"]))["id"])
    row = data.row_of("deal_pipeline", "deal", id)
    run(data, f"delete from stage_visit where deal_id = '{id}'; delete from deal where id = '{id}'; "
              f"delete from stage_total where tenant_id = '{data.tenants[0]['uuid']}'")
    return row


def body(title: str, amount: str, **more) -> dict:
    return {"title": title, "amount": {"amount": amount, "currency_code": "EUR"}, "tags": ["newsletter"], "source": "import"} | more


def base_sql() -> str:
    """What differs from deal to deal: one narrow row each, of the contact with the same number."""
    return f"""
create unlogged table bench.deal as
with drawn as materialized (
  select tenant_id, user_id, user_text, n, id as contact_id, display_name, create_time, random() as r1, random() as r2 from bench.contact)
select d.tenant_id, d.user_id, d.user_text, n, ({sql_prefix('deal')} || {ID_BASE} + n)::uuid as id, d.contact_id,
  d.display_name || ', ' || n as title, (100 + floor(r1 * 99900))::numeric + 0.50 as amount, s.status, s.pipeline_id, s.stage_id, s.stage_name,
  first.stage_id as first_stage_id, first.stage_name as first_stage_name, d.create_time, d.create_time + interval '20 days' as close_time
from drawn d join bench.tenant t on t.tenant_id = d.tenant_id
  join bench.stage s on s.tenant_id = d.tenant_id and s.status = case when r2 < {OPEN_SHARE} then 1 when r2 < {OPEN_SHARE + WON_SHARE} then 2 else 3 end
  join bench.stage first on first.tenant_id = d.tenant_id and first.status = 1;
analyze bench.deal"""


def record_sql(row: dict) -> str:
    closed = "case when status = 1 then create_time else close_time end"
    differs = {"tenant_id": "tenant_id", "id": "id", "title": "title", "pipeline_id": "pipeline_id", "stage_id": "stage_id", "status": "status",
               "revision": "case when status = 1 then 1 else 2 end", "amount_amount": "amount", "contact_id": "contact_id", "owner_id": "user_id",
               "creator_id": "user_text", "open_time": "create_time", "create_time": "create_time", "update_time": closed, "stage_enter_time": closed,
               "won_time": "case when status = 2 then close_time end", "lost_time": "case when status = 3 then close_time end",
               "lost_reason": "case when status = 3 then 'Too dear' else '' end"}
    values = [differs.get(column) or ("null" if value is None else "'" + value.replace("'", "''") + "'::" + of) for column, (of, value) in row.items()]
    return f"insert into deal_pipeline.deal ({', '.join(row)}) select {', '.join(values)} from bench.deal order by tenant_id, id"


def visit_sql() -> str:
    """Each deal's stays: in the first stage, and where it was closed."""
    return """insert into deal_pipeline.stage_visit (tenant_id, deal_id, visit, stage_id, stage_name, enter_time, leave_time, actor_id)
select tenant_id, id, visit, case visit when 1 then first_stage_id else stage_id end, case visit when 1 then first_stage_name else stage_name end,
  case visit when 1 then create_time else close_time end, case when visit = 1 and status <> 1 then close_time end, user_text
from bench.deal, generate_series(1, 2) visit where visit = 1 or status <> 1 order by tenant_id, id, visit"""


def total_sql() -> str:
    nil = "'00000000-0000-0000-0000-000000000000'::uuid"
    return f"""insert into deal_pipeline.stage_total (tenant_id, stage_id, owner_id, team_id, currency_code, slice, deal_count, amount)
select tenant_id, stage_id, user_id, {nil}, 'EUR', get_byte(uuid_send(id), 15) % {SLICES}, count(*), sum(amount) from bench.deal group by 1, 2, 3, 6"""


def check(data: Data, api) -> None:
    """A loaded open deal reads as any other and has the rows that the service writes; the board's totals are its deals'."""
    tenant = data.tenants[0]["uuid"]
    [[id, title, amount, contact]] = data.system.sql("select id, title, amount_amount, contact_id from deal_pipeline.deal "
                                                     f"where tenant_id = '{tenant}' and status = 1 and contact_id is not null limit 1")
    api.get(f"{DEAL.collection}/{type_id('deal', id)}")
    again = uuid_of(api.post(DEAL.collection, body(title, amount, contact_id=type_id("contact", contact)))["id"])
    for table, key, without in (("deal", "id", ("id", "create_time", "update_time", "open_time", "stage_enter_time")),
                                ("stage_visit", "deal_id", ("deal_id", "enter_time"))):
        drop = "".join(f" - '{name}'" for name in without)
        found = [data.system.sql(f"select to_jsonb(t){drop} from deal_pipeline.{table} t where tenant_id = '{tenant}' and {key} = '{one}' order by 1")
                 for one in (id, again)]
        if found[0] != found[1] or not found[0]:
            raise console.Failure(f"the rows of a deal loaded into {table} are not what the service writes", "adapt crmlib/bench/deals.py",
                                  output=f"loaded: {found[0]}\nmade:   {found[1]}")
    wrong = data.system.sql(
        "select coalesce(t.slice, d.slice), t.deal_count, d.count from (select * from deal_pipeline.stage_total "
        f"where tenant_id = '{tenant}') t full join (select stage_id, get_byte(uuid_send(id), 15) % {SLICES} as slice, count(*) as count "
        f"from deal_pipeline.deal where tenant_id = '{tenant}' group by 1, 2) d using (stage_id, slice) where t.deal_count is distinct from d.count")
    if wrong:
        raise console.Failure("the board's totals are not those of the deals", "adapt crmlib/bench/deals.py", output=str(wrong))
