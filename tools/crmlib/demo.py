"""tools/crm demo [DIR]: the whole story, step by step, as a new tenant, on CSV files or on data of its own; and the demo data that
tools/crm up makes once."""

import json
import tempfile
import time
from decimal import Decimal
from pathlib import Path

from crmlib import console, postgres, session, showcase
from crmlib.dataset import made_up, read
from crmlib.firstjob import PASSWORD, FirstJob, cents, today
from crmlib.instance import Instance, write
from crmlib.story import Story, mail_server


def run(args: list[str]) -> int:
    if len(args) > 1 or (args and args[0].startswith("-")):
        raise console.Failure("the demo takes one folder, or none", "tools/crm demo [DIR]")
    instance = Instance.current()
    data = read(Path(args[0])) if args else made_up(today())
    start = time.monotonic()
    console.say(f"The story of a customer, after {len(data.customers)} customers, {len(data.suppliers)} suppliers, {len(data.employees)} employees, "
                f"{len(data.products)} products, {len(data.orders)} orders ({data.name}):")
    with tempfile.TemporaryDirectory(prefix="crm-letters-") as letters, mail_server(Path(letters)) as smtp_port:
        job = Story(instance.url, data, f"{slug(data.name)}-{time.time_ns() // 1_000_000:x}", Path(letters), smtp_port, instance.lmtp_port)
        facts = job.run()
    console.say(f"  {compare_with_sql(instance, facts)}")
    console.say(f"Done in {time.monotonic() - start:.0f} s. Sign in at {instance.url} as {job.login} with the password {PASSWORD}")
    return 0


def compare_with_sql(instance: Instance, facts: dict) -> str:
    """The revenue counted once more by PostgreSQL over the deals themselves, past every service."""
    tenant = facts["tenant_id"]
    statement = f"""
        SELECT coalesce(sum((line->'total'->>'amount')::numeric), 0) + coalesce(sum(d.amount_amount) FILTER (WHERE line IS NULL), 0)
        FROM deal_pipeline.deal d LEFT JOIN LATERAL jsonb_array_elements(d.lines) AS line ON true
        WHERE d.tenant_id = '{uuid_of(tenant)}' AND d.won_time IS NOT NULL AND d.delete_time IS NULL"""
    counted = cents(Decimal(postgres.query(instance, postgres.SUPERUSER, statement)))
    if counted != Decimal(facts["revenue"]):
        raise console.Failure(f"SQL over the deals counts {counted}, the report says {facts['revenue']}", "report this: they must be equal")
    return f"SQL over the deals themselves counts the same: {counted:,}"


def uuid_of(type_id: str) -> str:
    """The uuid of a TypeID: Crockford's base 32 of 128 bits."""
    number = 0
    for letter in type_id.rsplit("_", 1)[1]:
        number = number * 32 + "0123456789abcdefghjkmnpqrstvwxyz".index(letter)
    text = f"{number:032x}"
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))


def slug(name: str) -> str:
    return "".join(letter if letter.isascii() and letter.isalnum() else "-" for letter in name.lower()).strip("-") or "data"


def seed(instance: Instance) -> None:
    """The tenant that tools/crm up signs its reader in to."""
    if "analytics" not in instance.services:
        return
    job = FirstJob(instance.url, made_up(today()), f"demo-{time.time_ns() // 1_000_000:x}", say=lambda text: None)
    job.run()
    showcase.run(job, instance.lmtp_port if "messaging" in instance.services else None)
    # The console offers these on its sign-in page, and the reference at /docs: in development only, where this file is.
    write(instance.folder / "static/demo.json", json.dumps(showcase.demo_users(job), ensure_ascii=False, indent=2) + "\n", 0o644)
    session.keep(instance, job.login, PASSWORD)
