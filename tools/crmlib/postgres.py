"""The private PostgreSQL of an instance: its folder, its settings, its first roles; `psql`."""

import os
import shutil
import subprocess
import time
from pathlib import Path

from crmlib import config, console, paths
from crmlib.instance import Instance, as_postgres, write

SUPERUSER = "postgres"


def prepare(instance: Instance, durable: bool = True) -> None:
    """The data folder, with settings for this machine. `durable` off is for tests: a killed process loses nothing, a
    machine that loses power would."""
    data = instance.postgres_data
    if not (data / "PG_VERSION").exists():
        if data.exists():
            shutil.rmtree(data)  # of an interrupted initdb
        make_folder(data)
        password = data.parent / f".{data.name}.password"
        write(password, instance.secret("postgres.password").read_text())
        try:
            if os.geteuid() == 0:
                shutil.chown(password, "postgres")
            arguments = ["initdb", "-D", data, "-U", SUPERUSER, "-A", "scram-sha-256", f"--pwfile={password}", "-E", "UTF8", "--locale=C.UTF-8",
                         *([] if durable else ["--no-sync"])]
            console.command(as_postgres([paths.POSTGRES_BIN / arguments[0], *arguments[1:]]), "initdb failed", "run tools/crm deps; then tools/crm reset",
                            cwd="/")
        finally:
            password.unlink()
    write_settings(instance, data / "postgresql.auto.conf", durable)


def make_folder(path: Path) -> None:
    path.mkdir(parents=True, mode=0o700)
    if os.geteuid() == 0:
        shutil.chown(path, "postgres", "postgres")


def write_settings(instance: Instance, path: Path, durable: bool, more: dict[str, str] | None = None) -> None:
    from crmlib import backup
    chosen = settings(instance, durable) | backup.settings(backup.archive(instance)) | (more or {})
    text = "".join("%s = '%s'\n" % (name, value.replace("'", "''")) for name, value in chosen.items())
    write(path, text)
    if os.geteuid() == 0:
        shutil.chown(path, "postgres", "postgres")


def settings(instance: Instance, durable: bool) -> dict[str, str]:
    megabytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 20
    shared = max(128, min(megabytes // 8, 4096)) if durable else 64
    chosen = {
        "listen_addresses": "127.0.0.1",
        "port": str(instance.postgres_port),
        "unix_socket_directories": "",
        "password_encryption": "scram-sha-256",
        "max_connections": "300",  # per service and event loop: 2 for gets, 2 for lists, 8 for writes, workers
        "shared_buffers": f"{shared}MB",
        "effective_cache_size": f"{max(256, megabytes // 2)}MB",
        "work_mem": "16MB",
        "maintenance_work_mem": f"{max(64, min(megabytes // 16, 1024))}MB",
        "random_page_cost": "1.1",  # everything is on flash or in memory
        "jit": "off",  # compiling costs more than our short statements
        "wal_compression": "lz4",
        "min_wal_size": "256MB",
        "max_wal_size": "2GB",
        "checkpoint_timeout": "15min",
        # Queue-like tables (outbox, bucket leases) turn over fast.
        "autovacuum_naptime": "10s",
        "autovacuum_vacuum_scale_factor": "0.05",
        "autovacuum_vacuum_insert_scale_factor": "0.1",
        "autovacuum_analyze_scale_factor": "0.02",
        "autovacuum_vacuum_cost_delay": "1ms",
        "idle_in_transaction_session_timeout": "5min",
        "tcp_keepalives_idle": "30",
        "log_min_duration_statement": "1000",
        "log_parameter_max_length": "0",  # values may be personal
        "log_parameter_max_length_on_error": "0",
        "log_line_prefix": "%m [%p] %u ",
        "timezone": "UTC",
        "log_timezone": "UTC",
    }
    if not durable:
        chosen |= {"fsync": "off", "full_page_writes": "off", "max_wal_size": "512MB", "min_wal_size": "80MB"}
    return chosen


def command(instance: Instance) -> list[str]:
    return [str(paths.POSTGRES_BIN / "postgres"), "-D", str(instance.postgres_data)]


def answers(instance: Instance) -> bool:
    return subprocess.run([paths.POSTGRES_BIN / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(instance.postgres_port)]).returncode == 0


def wait(instance: Instance, seconds: float = 60, alive=lambda: True) -> None:
    deadline = time.monotonic() + seconds
    while not answers(instance):
        if time.monotonic() > deadline or not alive():
            raise console.Failure(f"PostgreSQL does not answer on port {instance.postgres_port}",
                                  "see its log; if the port is taken, choose other ports by CRM_PORT_BASE", log=instance.log("postgres"))
        time.sleep(0.05)


def bootstrap(instance: Instance) -> None:
    """The role that runs migrations, and the database; `<service> migrate` makes everything else."""
    password = instance.secret("admin.password").read_text()
    exists = query(instance, SUPERUSER, "select count(*) from pg_database d join pg_roles r on r.oid = d.datdba "
                   f"where datname = '{config.DATABASE}' and rolname = '{config.ADMIN}'", database="postgres")
    if exists == "1":
        return
    query(instance, SUPERUSER, f"drop database if exists {config.DATABASE}; drop role if exists {config.ADMIN}; "
          f"create role {config.ADMIN} login createrole password '{password}'; create database {config.DATABASE} owner {config.ADMIN}",
          database="postgres")


def environment(instance: Instance, role: str, database: str = config.DATABASE) -> dict[str, str]:
    """What libpq's programs need to be this role; the password goes by environment, so that no argument shows it."""
    file = {SUPERUSER: "postgres", config.ADMIN: "admin"}.get(role, role)
    return os.environ | {"PGHOST": "127.0.0.1", "PGPORT": str(instance.postgres_port), "PGUSER": role, "PGDATABASE": database,
                         "PGPASSWORD": instance.secret(f"{file}.password").read_text()}


def query(instance: Instance, role: str, sql: str, database: str = config.DATABASE) -> str:
    """Runs SQL and answers the rows, tab-separated."""
    out = console.command([paths.POSTGRES_BIN / "psql", "-X", "-q", "-A", "-t", "-F", "\t", "-v", "ON_ERROR_STOP=1"], "PostgreSQL refused a statement",
                          "see above; tools/crm psql admin shows the database", input=sql.rstrip().removesuffix(";") + "\n;\n",
                          env=environment(instance, role, database))
    return out.rstrip("\n")


def drop(instance: Instance) -> None:
    from crmlib import backup
    data = instance.postgres_data
    for path in (data, backup.default_folder(instance), *data.parent.glob(f"{data.name}.before-*")):
        if path.exists():
            shutil.rmtree(path)
