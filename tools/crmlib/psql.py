"""tools/crm psql [SERVICE | SERVICE_worker | admin | postgres] [ARGS...]: PostgreSQL's own shell, as that role."""

import os
import sys

from crmlib import config, console, paths, postgres
from crmlib.instance import Instance


def run(args: list[str]) -> int:
    instance = Instance.current()
    who, *rest = args if args and not args[0].startswith("-") else ["admin", *args]
    owners = [service for service in instance.services if service != "gateway"]
    known = ["admin", "postgres", *owners, *(f"{service}_worker" for service in owners)]
    if who not in known:
        raise console.Failure(f"there is no role {who}", f"take one of {', '.join(known)}")
    if not postgres.answers(instance):
        raise console.Failure("PostgreSQL is not running", "run tools/crm up")
    role = {"admin": config.ADMIN, "postgres": postgres.SUPERUSER}.get(who, who)
    environment = postgres.environment(instance, role)
    schema = who.removesuffix("_worker")
    if schema in owners:
        environment["PGOPTIONS"] = f"-c search_path={schema}"
        if sys.stdin.isatty():
            print("Rows show only of a tenant: select set_config('app.tenant', '<uuid>', false);")
    os.execve(paths.POSTGRES_BIN / "psql", ["psql", *rest], environment)
