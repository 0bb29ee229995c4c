"""The configuration of each service as crm.app.v1.Config in JSON (protos/crm/app/v1/config.proto is the reference)."""

import json

from crmlib.instance import Instance, service_of, write

ADMIN = "crm_admin"
DATABASE = "crm"


def prepare(instance: Instance, changes: dict | None = None) -> None:
    """Writes every service's files. `changes`: {service: {field: value}} laid over them, nested messages merged."""
    for process in instance.processes:
        service = service_of(process)
        serving = merged(merged(serve(instance, process), (changes or {}).get(service, {})), (changes or {}).get(process, {}) if process != service else {})
        write(instance.config(process), text(serving))
        if process == service != "gateway":
            write(instance.migrate_config(service), text(migrate(instance, service)))


def text(config: dict) -> str:
    return json.dumps(config, indent=2) + "\n"


def merged(config: dict, changes: dict) -> dict:
    return config | {key: merged(config.get(key, {}), value) if isinstance(value, dict) else value for key, value in changes.items()}


def serve(instance: Instance, process: str) -> dict:
    service = service_of(process)
    config = {
        "listen": f"127.0.0.1:{instance.port(process)}",
        "health_listen": f"127.0.0.1:{instance.health_port(process)}",
        "tls": {
            "cert_file": str(instance.tls(f"{service}.pem")),
            "key_file": str(instance.tls(f"{service}.key")),
            "ca_file": str(instance.tls("ca.pem")),
        },
        "redis": {
            "host": "127.0.0.1",
            "port": instance.redis_port,
            "password_file": str(instance.secret("redis.password")),
        },
        "peers": {peer: f"127.0.0.1:{instance.port(peer)}" for peer in instance.services if peer not in (service, "gateway")},
        "tokens": {"issuer": "crm", "jwks_file": str(instance.secret("jwks.json"))},
    }
    if service == "gateway":
        # What the instance adds (demo users) comes before what the build brings.
        config["gateway"] = {"descriptors_file": str(instance.build / "crm.binpb"),
                             "static_dirs": [str(instance.folder / "static"), str(instance.build / "static")]}
    else:
        config["postgres"] = postgres(instance) | {
            "password_file": str(instance.secret(f"{service}.password")),
            "worker_password_file": str(instance.secret(f"{service}_worker.password")),
        }
    if service == "messaging":
        # Letters to servers on this machine are a developer's wish; in production nothing inside the network may be reached.
        config["messaging"] = {
            "lmtp_listen": f"127.0.0.1:{instance.lmtp_port_of(process)}",
            "secrets_key_file": str(instance.secret("channels.key")),
            "allowed_hosts": ["127.0.0.0/8", "::1"],
        }
        config["offload_threads"] = 16  # each letter on its way holds one while its server talks
    if service == "scheduler" and has_failpoints(instance):
        config["scheduler"] = {"test_clock": True}  # release builds refuse it
    if service == "identity":
        config["tokens"]["signing_key_file"] = str(instance.secret("signing.pem"))
    return config


def has_failpoints(instance: Instance) -> bool:
    """Whether the binaries were built for tests: what only tests may do is compiled in."""
    try:
        return "CRM_FAILPOINTS:BOOL=ON" in (instance.build / "CMakeCache.txt").read_text()
    except FileNotFoundError:
        return False


def postgres(instance: Instance) -> dict:
    return {"host": "127.0.0.1", "port": instance.postgres_port, "database": DATABASE}


def migrate(instance: Instance, service: str) -> dict:
    """For `<service> migrate`: the migration role's password is in no file that a serving process reads."""
    return {
        "postgres": postgres(instance) | {
            "password_file": str(instance.secret(f"{service}.password")),
            "worker_password_file": str(instance.secret(f"{service}_worker.password")),
            "admin_user": ADMIN,
            "admin_password_file": str(instance.secret("admin.password")),
        },
        "migrations_dir": str(instance.source / "services" / service / "migrations"),
        "common_migrations_dir": str(instance.source / "common/pg/migrations"),
    }
