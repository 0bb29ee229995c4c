"""tools/crm up: from a bare machine to a running system; again and again, it only does what is missing."""

import importlib.util
import os
import time

from crmlib import build, config, console, deps, edge, health, keys, migrate, paths, postgres, redis, session, supervisor
from crmlib.instance import Instance


def run(args: list[str]) -> int:
    if args:
        raise console.Failure(f"up takes no arguments, not {' '.join(args)}", "CRM_INSTANCE, CRM_PORT_BASE and CRM_PRESET choose what starts")
    started = time.monotonic()
    instance = Instance.current()
    lock = instance.lock()
    console.say(f"tools/crm up ({instance.name}, {instance.url})")
    deps.ensure()
    if not paths.PACKAGED:
        build.build_services(instance.build.name)
    bring_up(instance)
    seed(instance)
    summary(instance, time.monotonic() - started)
    lock.close()
    return 0


def bring_up(instance: Instance, without: tuple[str, ...] = ()) -> None:
    """`without`: services that are not started."""
    if not supervisor.client(instance):
        check_ports(instance)
    instance.remember()
    with console.step("keys, certificates and configuration"):
        keys.prepare(instance)
        config.prepare(instance)
        redis.prepare(instance)
        edge.prepare(instance)
        supervisor.prepare(instance)
    with console.step("PostgreSQL and Redis"):
        postgres.prepare(instance)
        running = supervisor.ensure_running(instance)
        for name in ("postgres", "redis"):
            supervisor.start(running, name)
        postgres.wait(instance, alive=lambda: alive(running, "postgres"))
        postgres.bootstrap(instance)
        redis.wait(instance, alive=lambda: alive(running, "redis"))
    with console.step("migrations"):
        migrate.all_services(instance)
    with console.step("services"):
        for name, info in supervisor.processes(instance).items():
            if name in instance.services and name not in without:
                if info["statename"] in supervisor.RUNNING and is_stale(instance, name, info["start"]):
                    supervisor.stop(running, name)
                supervisor.start(running, name)
        if is_stale(instance, edge.NAME, supervisor.processes(instance)[edge.NAME]["start"]):
            supervisor.stop(running, edge.NAME)
        supervisor.start(running, edge.NAME)
        health.wait(instance, [name for name in instance.services if name not in without], alive=lambda service: alive(running, service))
        edge.wait(instance, alive=lambda: alive(running, edge.NAME))


def alive(running, name: str) -> bool:
    return running.getProcessInfo(name)["statename"] not in ("FATAL", "EXITED", "UNKNOWN")


def is_stale(instance: Instance, service: str, start: int) -> bool:
    """True if the process is older than what it was started from; supervisor tells the start in whole seconds."""
    if service == edge.NAME:
        files = [*(instance.folder / "config").glob("edge*"), instance.tls("edge-bundle.pem"), instance.tls("ca.pem"), instance.tls("partner-ca.pem")]
        return any(path.stat().st_mtime > start + 1 for path in files)
    files = [instance.binary(service), instance.config(service), instance.build / "protos/libcrm_protos.so"]
    if service == "gateway":
        files.append(instance.build / "crm.binpb")
    return any(path.exists() and path.stat().st_mtime > start + 1 for path in files)


def check_ports(instance: Instance) -> None:
    from crmlib import doctor
    taken = doctor.taken_ports(instance)
    if taken:
        listed = ", ".join(f"{port} ({what})" for port, what in taken.items())
        raise console.Failure(f"ports are taken already: {listed}",
                              f"end what listens there (ss -ltnp), or choose others: CRM_PORT_BASE={instance.port_base + 2000} tools/crm up")


def seed(instance: Instance) -> None:
    """Demo data through the API, once."""
    if session.credentials(instance) or not importlib.util.find_spec("crmlib.demo"):
        return
    from crmlib import demo
    with console.step("demo data"):
        demo.seed(instance)


def summary(instance: Instance, seconds: float) -> None:
    lines = [f"CRM is up after {console.duration(seconds)}: {instance.url}",
             f"  to look at     the console at {instance.url}/, the API to read and to try at {instance.url}/docs",
             f"  PostgreSQL     127.0.0.1:{instance.postgres_port} (tools/crm psql contact)   Redis  127.0.0.1:{instance.redis_port}",
             f"  other systems  gRPC with TLS at 127.0.0.1:{instance.edge_port} (docs/OPERATORS.md)",
             f"  logs           tools/crm logs [SERVICE] -f    metrics  http://127.0.0.1:{instance.metrics_port('contact')}/metrics (contact)"]
    known = session.credentials(instance)
    if known:
        lines += [f"  sign in as     {known['login']} with the password {known['password']}",
                  f"  token          {session.token(instance)}"]
    prefix = "".join(f"{name}={os.environ[name]} " for name in ("CRM_INSTANCE", "CRM_PORT_BASE") if os.environ.get(name))
    lines += ["Try:",
              f'  eval "$({prefix}tools/crm env)"',
              '  curl -s $CRM_URL/v1/session -H "Authorization: Bearer $CRM_TOKEN" | jq',
              '  curl -s "$CRM_URL/v1/contacts?page_size=3" -H "Authorization: Bearer $CRM_TOKEN" | jq',
              '  curl -s $CRM_URL/v1/contacts -H "Authorization: Bearer $CRM_TOKEN" -H "Content-Type: application/json" '
              """-d '{"given_name": "Ada", "family_name": "Lovelace"}' | jq"""]
    console.say("\n".join(lines))
