"""Lays a release out as /opt/crm/<version>, its configuration and keys as /etc/crm, and, on the machine itself, makes the
database and starts everything under systemd. Keys, passwords and configuration that are there already stay."""

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from crmlib import config, console, health, keys, paths, redis
from crmlib.instance import Instance, write

PRESET = "release"
KEPT_VERSIONS = 3
UNITS = sorted((paths.ROOT / "deploy/systemd").iterdir())


class Machine(Instance):
    """An instance whose PostgreSQL is Debian's own cluster, and whose files name their final places."""

    postgres_port = 5432
    source = Path("/opt/crm/current")


def main() -> int:
    parser = argparse.ArgumentParser(prog="deploy/install")
    parser.add_argument("--root", type=Path, default=Path("/"), metavar="DIR", help="only lay the files out under DIR")
    options = parser.parse_args()
    root = options.root.resolve()
    alone = root == Path("/")
    if alone and os.geteuid() != 0:
        raise console.Failure("installing takes root", "run it by sudo, or lay the files out elsewhere with --root DIR")
    release = paths.build_dir(PRESET)
    if not (release / "crm.binpb").exists():
        raise console.Failure("there is no release build", f"run tools/crm build {PRESET} first")
    with console.step("files"):
        lay_out(root, release)
    machine = Machine("machine", root / "etc/crm", 7000, Path("/opt/crm/current"))
    with console.step("keys and configuration"):
        keys.prepare(machine)
        config.prepare(machine, local_settings(machine))
        redis.prepare(machine)
        if root != Path("/"):
            name_final_places(machine, root)
        for unit in UNITS:
            write(root / "etc/systemd/system" / unit.name, unit.read_text(), 0o644)
    if alone:
        start(machine)
    return 0


def lay_out(root: Path, release: Path) -> None:
    version = time.strftime("%Y%m%dT%H%M%S")
    releases = root / "opt/crm"
    target = releases / version
    for service in paths.services():
        copy(release / "bin" / service, target / "bin" / service)
        migrations = paths.ROOT / "services" / service / "migrations"
        if migrations.is_dir():
            shutil.copytree(migrations, target / "services" / service / "migrations")
    copy(release / "protos/libcrm_protos.so", target / "lib/libcrm_protos.so")
    copy(release / "crm.binpb", target / "crm.binpb")
    shutil.copytree(paths.ROOT / "common/pg/migrations", target / "common/pg/migrations")
    link = releases / "current.new"
    link.unlink(missing_ok=True)
    link.symlink_to(version)
    link.replace(releases / "current")
    for old in sorted(path for path in releases.iterdir() if path.is_dir() and not path.is_symlink())[:-KEPT_VERSIONS]:
        shutil.rmtree(old)


def copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(source, target)


def local_settings(machine: Machine) -> dict:
    """/etc/crm/local.json: {service: {field: value}}, laid over the configuration that this release brings."""
    path = machine.folder / "local.json"
    try:
        return json.loads(path.read_text()) if path.exists() else {}
    except ValueError as error:
        raise console.Failure(f"{path} is no JSON: {error}", "repair it as deploy/README.md shows") from None


def name_final_places(machine: Machine, root: Path) -> None:
    for path in (machine.folder / "config").iterdir():
        path.write_text(path.read_text().replace(f"{root}/etc/crm", "/etc/crm"))


def start(machine: Machine) -> None:
    advice = "see above; journalctl -xe says more"
    with console.step("the user crm, PostgreSQL and Redis"):
        if subprocess.run(["id", "crm"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode != 0:
            console.command(["useradd", "--system", "--user-group", "--no-create-home", "--shell", "/usr/sbin/nologin", "crm"], "the user crm could not be made", advice)
        for path in machine.folder.rglob("*"):
            if path.name != "ca.key":  # only this script signs
                shutil.chown(path, "crm", "crm")
        shutil.chown(machine.folder, "crm", "crm")
        shutil.copy2(machine.folder / "config/redis.conf", "/etc/redis/redis-crm.conf")
        shutil.chown("/etc/redis/redis-crm.conf", "redis", "redis")
        console.command(["systemctl", "daemon-reload"], "systemd could not read the units", advice)
        console.command(["systemctl", "enable", "--now", "postgresql", "redis-server@crm"], "PostgreSQL or Redis did not start", advice)
        make_database(machine)
    services = machine.services
    with console.step("migrations"):
        for service in services:
            if service != "gateway":
                console.command(["systemctl", "start", f"crm-migrate@{service}"], f"the migrations of {service} failed", f"journalctl -u crm-migrate@{service} says why")
    with console.step("services"):
        console.command(["systemctl", "enable", "crm.target", *(f"crm@{service}" for service in services)], "the units could not be enabled", advice)
        for service in services:  # one after the other: an upgrade refuses no request for longer than one start
            console.command(["systemctl", "restart", f"crm@{service}"], f"{service} did not start", f"journalctl -u crm@{service} says why")
            health.wait(machine, [service])
    console.say(f"The CRM answers at {machine.url}; systemctl status 'crm@*' shows its services.")


def make_database(machine: Machine) -> None:
    """By the system's superuser over its Unix socket, where no password is needed."""
    def ask(sql: str) -> str:
        return console.command(["runuser", "-u", "postgres", "--", paths.POSTGRES_BIN / "psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1"],
                               "PostgreSQL refused a statement", "see above", input=sql, cwd="/").strip()
    if ask(f"select 1 from pg_database where datname = '{config.DATABASE}';"):
        return
    password = machine.secret("admin.password").read_text()
    ask(f"create role {config.ADMIN} login createrole password '{password}';\ncreate database {config.DATABASE} owner {config.ADMIN};\n")


if __name__ == "__main__":
    try:
        sys.exit(main())
    except console.Failure as failure:
        console.report("install", failure)
        sys.exit(1)
