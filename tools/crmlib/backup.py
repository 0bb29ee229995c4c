"""tools/crm backup [DIR] [--keep N]: a base backup, and from then on PostgreSQL's log (WAL) as it is written, so that tools/crm restore can
come back to any moment after it.

    DIR/base/20261123T101500Z/   base.tar.gz, pg_wal.tar.gz, backup_manifest, about.json, instance.tar (keys and passwords)
    DIR/wal/                     one compressed file for each 16 MB of log, or for each minute in which something was written

docs/OPERATORS.md says what a restore to the past means for events and letters."""

import argparse
import datetime
import json
import os
import shlex
import shutil
import subprocess
import tarfile
import time
from pathlib import Path

from crmlib import console, paths, postgres
from crmlib.instance import Instance, as_postgres, postgres_user, write

KEPT_BACKUPS = 7
ARCHIVE_SECONDS = 120  # for the log that a backup ends in to arrive
STAMP = "%Y%m%dT%H%M%SZ"
KEYS = ("secrets", "tls", "config")  # without which a restored database opens to nobody


def run(args: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="tools/crm backup")
    parser.add_argument("folder", nargs="?", type=Path, metavar="DIR", help="where backups go; stays so until another is named")
    parser.add_argument("--keep", type=int, default=KEPT_BACKUPS, metavar="N", help="base backups that stay; older ones and the log before them go")
    options = parser.parse_args(args)
    instance = Instance.current()
    lock = instance.lock()
    if not postgres.answers(instance):
        raise console.Failure("PostgreSQL is not running", "run tools/crm up")
    folder = (options.folder or archive(instance) or default_folder(instance)).resolve()
    taken = take(instance, folder, max(1, options.keep))
    console.say(f"{taken} ({console.size(sum(path.stat().st_size for path in taken.iterdir()))}); from here on the log goes to {folder / 'wal'}.\n"
                f"  tools/crm restore {folder} [--to '{now():%Y-%m-%d %H:%M:%S}Z'] comes back to the end, or to a moment.")
    lock.close()
    return 0


def now() -> datetime.datetime:
    return datetime.datetime.now(datetime.timezone.utc)


def default_folder(instance: Instance) -> Path:
    if instance.backups:
        return instance.backups
    return instance.postgres_data.with_name(f"{instance.postgres_data.name}-backup")


# Where the log goes.
def archive(instance: Instance) -> Path | None:
    """The folder of backups that this instance's log goes to."""
    try:
        return Path(json.loads((instance.folder / "backup.json").read_text())["folder"])
    except (FileNotFoundError, ValueError, KeyError):
        return None


def remember(instance: Instance, folder: Path) -> None:
    write(instance.folder / "backup.json", json.dumps({"folder": str(folder)}) + "\n", 0o644)


def settings(folder: Path | None) -> dict[str, str]:
    """What PostgreSQL must be told. archive_mode takes a restart, archive_command does not: so the first is always on. The command answers
    that it is done only when the file is whole and on disk; asked again for a file that is there, it compares."""
    if folder is None:
        return {"archive_mode": "on", "archive_command": "/bin/true", "archive_timeout": "0"}
    file = f"{shlex.quote(str(folder / 'wal'))}/%f.gz"
    return {"archive_mode": "on", "archive_timeout": "60",
            "archive_command": f"if [ -e {file} ]; then gzip -dc {file} | cmp -s - %p; "
                               f"else gzip -1 -c %p > {file}.part && sync {file}.part && mv {file}.part {file} && sync {shlex.quote(str(folder / 'wal'))}; fi"}


def configure(instance: Instance, folder: Path) -> None:
    remember(instance, folder)
    postgres.write_settings(instance, instance.postgres_data / "postgresql.auto.conf", durable(instance))
    ask(instance, "select pg_reload_conf()")
    wanted = settings(folder)["archive_command"]
    deadline = time.monotonic() + 30
    while ask(instance, "show archive_command") != wanted:
        if time.monotonic() > deadline:
            raise console.Failure("PostgreSQL does not take its new settings", "see its log", log=instance.log("postgres"))
        time.sleep(0.05)
    if ask(instance, "show archive_mode") != "on":
        raise console.Failure("PostgreSQL was started before it kept a log for backups", "tools/crm restart postgres, then this again")


def durable(instance: Instance) -> bool:
    return ask(instance, "show fsync") == "on"


def ask(instance: Instance, sql: str) -> str:
    return postgres.query(instance, postgres.SUPERUSER, sql, "postgres")


# The backup.
def take(instance: Instance, folder: Path, keep: int = KEPT_BACKUPS) -> Path:
    make_folders(folder)
    with console.step("archiving the log"):
        configure(instance, folder)
    stamp = now().strftime(STAMP)
    part, whole = folder / "base" / f"{stamp}.part", folder / "base" / stamp
    with console.step("base backup"):
        console.command([paths.POSTGRES_BIN / "pg_basebackup", "-D", part, "--format=tar", "--gzip", "--compress=1", "--checkpoint=fast", "--wal-method=stream",
                         "--manifest-checksums=SHA256", "--label", f"crm {stamp}", "--no-password"], "the base backup failed", "see above; the disk may be full",
                        env=postgres.environment(instance, postgres.SUPERUSER, "postgres"))
        keep_keys(instance, part / "instance.tar")
        # The moment from which on it can be restored: the log up to here is inside.
        about = {"time": ask(instance, "select to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')"),
                 "postgresql": ask(instance, "show server_version"), "instance": instance.name, "services": instance.services}
        write(part / "about.json", json.dumps(about, indent=1) + "\n")
        part.rename(whole)
        sync(whole.parent)
    with console.step("the log until now"):
        wait_archived(instance)
    prune(folder, keep)
    return whole


def make_folders(folder: Path) -> None:
    for path, mode in ((folder, 0o755), (folder / "base", 0o700), (folder / "wal", 0o700)):
        path.mkdir(parents=True, exist_ok=True)
        path.chmod(mode)
    if os.geteuid() == 0:
        shutil.chown(folder / "wal", postgres_user(), postgres_user())
    if subprocess.run(as_postgres(["test", "-w", folder / "wal"]), cwd="/").returncode != 0:
        raise console.Failure(f"the user {postgres_user()} cannot write to {folder / 'wal'}", "choose a folder that other users can pass through, e.g. in /var/backups")


def keep_keys(instance: Instance, path: Path) -> None:
    with path.open("xb") as file:
        os.fchmod(file.fileno(), 0o600)
        with tarfile.open(fileobj=file, mode="w") as tar:
            for name in KEYS:
                if (instance.folder / name).is_dir():
                    tar.add(instance.folder / name, name)


def wait_archived(instance: Instance, seconds: float = ARCHIVE_SECONDS) -> None:
    """Until everything that has committed is in the archive."""
    # Something must be in the segment for it to be switched.
    segment = ask(instance, "select pg_walfile_name(pg_logical_emit_message(false, 'crm', 'backup'))")
    ask(instance, "select pg_switch_wal()")
    deadline = time.monotonic() + seconds
    while ask(instance, f"select coalesce(last_archived_wal, '') >= '{segment}' from pg_stat_archiver") != "t":
        if time.monotonic() > deadline:
            raise console.Failure("PostgreSQL's log does not reach the backup folder", "see its log; the disk may be full", log=instance.log("postgres"))
        time.sleep(0.1)


def backups(folder: Path) -> list[tuple[Path, dict]]:
    """Oldest first."""
    return [(path, json.loads((path / "about.json").read_text())) for path in sorted((folder / "base").glob("*Z")) if (path / "about.json").exists()]


def prune(folder: Path, keep: int) -> None:
    """Old base backups, and the log that only they needed."""
    for path, _ in backups(folder)[:-keep]:
        shutil.rmtree(path)
    for part in (folder / "base").glob("*.part"):
        shutil.rmtree(part)
    manifest = json.loads((backups(folder)[0][0] / "backup_manifest").read_text())
    first = manifest["WAL-Ranges"][0]
    high, low = (int(half, 16) for half in first["Start-LSN"].split("/"))
    oldest = f"{first['Timeline']:08X}{high:08X}{low >> 24:08X}"
    console.command(as_postgres([paths.POSTGRES_BIN / "pg_archivecleanup", "-x", ".gz", folder / "wal", oldest]), "old log files could not be removed", "see above", cwd="/")


def sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    os.fsync(handle)
    os.close(handle)
