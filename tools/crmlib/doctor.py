"""tools/crm doctor: what could be in the way, each with what to do about it. Ends with 1 if something is."""

import dataclasses
import datetime
import os
import platform
import shutil
import socket
import subprocess
import time

from crmlib import build, console, deps, paths, status, supervisor
from crmlib.instance import Instance

DISK_BYTES, MEMORY_BYTES = 8 << 30, 3 << 30
CERTIFICATE_DAYS, BACKUP_DAYS = 14, 2


@dataclasses.dataclass
class Result:
    name: str
    good: bool
    what: str
    advice: str = ""


def run(args: list[str]) -> int:
    instance = Instance.current()
    results = [result for check in (release, packages, node_and_npm, disk, memory, ports, certificates, backups, descriptors, processes) for result in check(instance)]
    for result in results:
        print(f"{'ok  ' if result.good else 'BAD '} {result.name:<14} {result.what}")
        if not result.good:
            print(f"     what to do:    {result.advice}")
    bad = sum(not result.good for result in results)
    print(f"{bad} to repair" if bad else "All is well.")
    return 1 if bad else 0


def release(instance: Instance):
    try:
        deps.check_release()
        yield Result("system", True, f"{platform.freedesktop_os_release()['PRETTY_NAME']}, {os.cpu_count()} cores")
    except console.Failure as failure:
        yield Result("system", False, failure.what, failure.advice)


def packages(instance: Instance):
    missing = deps.missing_packages()
    yield Result("packages", not missing, f"missing: {', '.join(missing)}" if missing else "all installed", "run tools/crm deps")
    for name, arguments, wanted in (("PostgreSQL", [paths.POSTGRES_BIN / "postgres", "--version"], " 15."), ("Redis", ["redis-server", "--version"], "v=7."),
                                    ("OpenSSL", ["openssl", "version"], "OpenSSL 3."), ("compiler", ["g++", "--version"], " 12.")):
        try:
            first = subprocess.run(arguments, stdout=subprocess.PIPE, text=True).stdout.splitlines()[0]
        except (FileNotFoundError, IndexError):
            first = "not installed"
        yield Result(name, wanted in first, first, f"Debian 12 brings the version that we need ({wanted.strip()}x): run tools/crm deps")


def node_and_npm(instance: Instance):
    yield Result("node", deps.has_node(), "there" if deps.has_node() else f"no Node {deps.NODE_MAJOR} or later with npm", "run tools/crm deps")
    yield Result("npm packages", deps.npm_is_current(), "as locked" if deps.npm_is_current() else "not as in tools/npm/package-lock.json", "run tools/crm deps")


def disk(instance: Instance):
    free = shutil.disk_usage(paths.ROOT).free
    yield Result("disk", free >= DISK_BYTES, f"{console.size(free)} free", f"free some: a build and its data take up to {console.size(DISK_BYTES)}")


def memory(instance: Instance):
    available = next(int(line.split()[1]) << 10 for line in open("/proc/meminfo") if line.startswith("MemAvailable"))
    yield Result("memory", available >= MEMORY_BYTES, f"{console.size(available)} available",
                 f"end other programs: compiling takes about {console.size(build.JOB_BYTES)} per job")


def taken_ports(instance: Instance) -> dict[int, str]:
    taken = {}
    for port, what in instance.ports().items():
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                taken[port] = what
    return taken


def ports(instance: Instance):
    if supervisor.client(instance):
        yield Result("ports", True, f"in use by {instance.name} itself (gateway {instance.port('gateway')})")
        return
    taken = taken_ports(instance)
    yield Result("ports", not taken, "taken: " + ", ".join(map(str, taken)) if taken else f"free (gateway {instance.port('gateway')})",
                 f"end what listens there (ss -ltnp), or set CRM_PORT_BASE, e.g. to {instance.port_base + 2000}")


def certificates(instance: Instance):
    for path in sorted((instance.folder / "tls").glob("*.pem")):
        seconds = subprocess.run(["openssl", "x509", "-in", path, "-noout", "-checkend", str(CERTIFICATE_DAYS * 86400)], stdout=subprocess.DEVNULL).returncode
        yield Result(f"{path.stem}.pem", seconds == 0, "valid" if seconds == 0 else f"ends within {CERTIFICATE_DAYS} days", "run tools/crm up, which renews it")


def backups(instance: Instance):
    from crmlib import backup, postgres
    folder = backup.archive(instance)
    if folder is None:
        yield Result("backups", True, "none are made (tools/crm backup DIR begins)")
        return
    known = backup.backups(folder)
    age = (backup.now() - datetime.datetime.fromisoformat(known[-1][1]["time"])).total_seconds() if known else None
    yield Result("backups", age is not None and age < BACKUP_DAYS * 86400, f"the last one is {console.duration(age)} old" if known else f"{folder} holds none",
                 "run tools/crm backup; under systemd: systemctl status crm-backup.timer")
    if postgres.answers(instance):
        failing = backup.ask(instance, "select coalesce(last_failed_time > coalesce(last_archived_time, '-infinity'), false) from pg_stat_archiver") == "t"
        yield Result("log archive", not failing, f"PostgreSQL cannot write to {folder}/wal" if failing else "the log arrives", f"see {instance.log('postgres')}; the disk may be full")


def descriptors(instance: Instance):
    binpb = instance.build / "crm.binpb"
    if not binpb.exists():
        yield Result("descriptors", False, f"{binpb} is not built", "run tools/crm build")
        return
    newest = max((path.stat().st_mtime for path in (paths.ROOT / "protos").rglob("*.proto")), default=0)
    fresh = binpb.stat().st_mtime >= newest
    age = console.duration(time.time() - binpb.stat().st_mtime)
    yield Result("descriptors", fresh, f"{age} old" + ("" if fresh else ", older than the protos"), "run tools/crm up, which builds them and restarts the gateway")


def processes(instance: Instance):
    rows = status.collect(instance)
    unready = [row["name"] for row in rows if not row["ready"]]
    if rows:
        yield Result("processes", not unready, f"not ready: {', '.join(unready)}" if unready else f"{len(rows)} ready",
                     f"see tools/crm logs {unready[0] if unready else ''}")
