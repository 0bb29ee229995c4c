"""tools/crm migrate [SERVICE...]: applies the migrations that are new, with each service's own binary."""

from crmlib import console, config, keys, postgres
from crmlib.instance import Instance


def run(args: list[str]) -> int:
    instance = Instance.current()
    unknown = [name for name in args if name not in instance.services]
    if unknown:
        raise console.Failure(f"there is no service {', '.join(unknown)}", f"take some of {', '.join(instance.services)}")
    if not postgres.answers(instance):
        raise console.Failure("PostgreSQL is not running", "run tools/crm up, which migrates too")
    lock = instance.lock()
    keys.prepare(instance)
    config.prepare(instance)
    with console.step("migrations"):
        all_services(instance, args or None)
    lock.close()
    return 0


def all_services(instance: Instance, names: list[str] | None = None) -> None:
    for service in instance.services if names is None else names:
        if service == "gateway":
            continue  # owns no tables
        console.command([instance.binary(service), "migrate", f"--config={instance.migrate_config(service)}"], f"the migrations of {service} failed",
                        f"repair the migration that is named, or look with tools/crm psql admin; then tools/crm migrate {service}",
                        log=instance.log(f"migrate-{service}"))
