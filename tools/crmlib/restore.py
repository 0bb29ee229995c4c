"""tools/crm restore DIR [--to TIME]: PostgreSQL as it was, from what tools/crm backup keeps; Redis emptied, services started again. What
was there is moved aside, not dropped. With --check, only a trial beside the running system."""

import argparse
import datetime
import json
import os
import shlex
import shutil
import socket
import subprocess
import tarfile
import time
from pathlib import Path

from crmlib import backup, console, keys, paths, postgres
from crmlib.instance import POSTGRES_PORT, Instance, as_postgres

HELD = ("messaging", "scheduler")  # what acts outside by itself
RECOVERY_SECONDS = 6 * 3600


def run(args: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="tools/crm restore")
    parser.add_argument("folder", type=Path, metavar="DIR", help="what tools/crm backup wrote to")
    parser.add_argument("--to", metavar="TIME", help="the moment, e.g. '2026-11-23 10:15:00Z'; without it, the end of the log")
    parser.add_argument("--timeline", default="latest", help="a number: another line of history, after an earlier restore (default: latest)")
    parser.add_argument("--hold", action="store_true", help=f"leave {' and '.join(HELD)} stopped, to look at what they would send; tools/crm up starts them")
    parser.add_argument("--check", action="store_true", help="restore beside the running system, read all of it, and drop it again")
    options = parser.parse_args(args)
    instance = Instance.current()
    moment = parse_time(options.to) if options.to else None
    if options.check:
        check(options.folder.resolve(), moment)
        return 0
    lock = instance.lock()
    with console.step("stopping"):
        instance.stop_all()
    aside = database(instance, options.folder.resolve(), moment, options.timeline)
    instance.start_all(HELD if options.hold else ())
    console.say(f"PostgreSQL is as it was {f'at {options.to}' if options.to else 'at the end of the log'}; Redis was emptied."
                + (f" What was there before is in {aside}: remove it when all is well." if aside else "")
                + (f" {' and '.join(HELD)} are stopped." if options.hold else "")
                + "\nSessions, keys and letters are as they were then, too: docs/OPERATORS.md says what to look after.")
    lock.close()
    return 0


def parse_time(text: str) -> datetime.datetime:
    try:
        moment = datetime.datetime.fromisoformat(text)
    except ValueError:
        raise console.Failure(f"{text!r} is no time", "write it as '2026-11-23 10:15:00Z'; without a zone it is UTC") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=datetime.timezone.utc)


def check(folder: Path, moment: datetime.datetime | None) -> None:
    """A backup that nobody has restored is a hope. The trial's place is beside the backups, where there is room."""
    scratch = folder / "check"
    if scratch.exists():
        shutil.rmtree(scratch)
    scratch.mkdir(mode=0o755)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    instance = Instance("restore-check", scratch, port - POSTGRES_PORT, paths.build_dir(paths.PRESET))
    found = []

    def look() -> None:
        with console.step("reading all of it"):
            console.command([paths.POSTGRES_BIN / "pg_dump", "--file", os.devnull, "--no-sync"], "the restored database cannot be read", "take an older backup and find out why",
                            env=postgres.environment(instance, postgres.SUPERUSER))
            found.append(postgres.query(instance, postgres.SUPERUSER, "select count(*) from identity.tenant"))

    try:
        database(instance, folder, moment, look=look)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
        postgres.drop(instance)
    console.say(f"It can be restored: {found[0]} tenants are in it.")


def database(instance: Instance, folder: Path, moment: datetime.datetime | None, timeline: str = "latest", look=lambda: None) -> Path | None:
    """Puts the data folder in place of the one that is there, which must not be in use; answers where that one went. `look` is called
    while the restored server runs."""
    base = choose(folder, moment)
    open_keys(instance, base / "instance.tar")
    if backup.archive(instance) is None and json.loads((base / "about.json").read_text())["instance"] == instance.name:
        backup.remember(instance, folder)  # its log goes on there; that of a copy under another name must not
    keys.prepare(instance)
    data = instance.postgres_data
    aside = move_aside(data)
    try:
        with console.step(f"unpacking {base.name}"):
            unpack(base, data)
            rescue_log(aside, data, folder)
        with console.step("playing the log"):
            recover(instance, folder, moment, timeline, look)
    except BaseException:
        if data.exists():
            shutil.rmtree(data)
        if aside:
            aside.rename(data)
        raise
    return aside


def choose(folder: Path, moment: datetime.datetime | None) -> Path:
    """The newest base backup before the moment."""
    known = backup.backups(folder)
    if not known:
        raise console.Failure(f"{folder} holds no backup", "name the folder that tools/crm backup wrote to")
    fitting = [path for path, about in known if moment is None or datetime.datetime.fromisoformat(about["time"]) <= moment]
    if not fitting:
        raise console.Failure(f"the oldest backup was done at {known[0][1]['time']}, after the moment", "name a later moment, or a folder with older backups")
    return fitting[-1]


def open_keys(instance: Instance, path: Path) -> None:
    """Keys and passwords, where those of this instance are lost too; what is there stays."""
    if (instance.folder / "secrets").is_dir() or not path.exists():
        return
    instance.folder.mkdir(parents=True, exist_ok=True)
    instance.folder.chmod(0o755)
    with tarfile.open(path) as tar:
        tar.extractall(instance.folder, filter="data") if hasattr(tarfile, "data_filter") else tar.extractall(instance.folder)


def move_aside(data: Path) -> Path | None:
    if not data.exists():
        return None
    aside = data.with_name(f"{data.name}.before-{backup.now().strftime(backup.STAMP)}")
    data.rename(aside)
    return aside


def unpack(base: Path, data: Path) -> None:
    postgres.make_folder(data)
    for name, target in (("base", data), ("pg_wal", data / "pg_wal")):
        with (base / f"{name}.tar.gz").open("rb") as archive:
            done = subprocess.run(as_postgres(["tar", "-xz", "-C", target]), stdin=archive, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd="/")
        if done.returncode != 0:
            raise console.Failure(f"{base / name}.tar.gz could not be unpacked", "see above; take an older backup by --to", output=done.stdout)
    copy(base / "backup_manifest", data / "backup_manifest")
    console.command(as_postgres([paths.POSTGRES_BIN / "pg_verifybackup", "-q", "-n", data]), "the backup is damaged", "take an older one by --to", cwd="/")


def copy(source: Path, target: Path) -> None:
    shutil.copyfile(source, target)
    target.chmod(0o600)
    if os.geteuid() == 0:
        shutil.chown(target, "postgres", "postgres")


def rescue_log(aside: Path | None, data: Path, folder: Path) -> None:
    """The end of the log that had not reached the archive, where the old data folder still has it."""
    for path in sorted((aside / "pg_wal").iterdir()) if aside and (aside / "pg_wal").is_dir() else []:
        if len(path.name) == 24 and not (folder / "wal" / f"{path.name}.gz").exists():
            copy(path, data / "pg_wal" / path.name)


def recover(instance: Instance, folder: Path, moment: datetime.datetime | None, timeline: str, look) -> None:
    """PostgreSQL alone, until it has played the log up to the moment and takes writes."""
    data = instance.postgres_data
    more = {"restore_command": f"gzip -dc {shlex.quote(str(folder / 'wal'))}/%f.gz > %p 2>/dev/null", "recovery_target_timeline": timeline}
    if moment:
        more |= {"recovery_target_time": moment.isoformat(), "recovery_target_action": "promote", "recovery_target_inclusive": "true"}
    postgres.write_settings(instance, data / "postgresql.auto.conf", True, more)
    copy(Path(os.devnull), data / "recovery.signal")
    log = data / "recovery.log"
    control = [paths.POSTGRES_BIN / "pg_ctl", "-D", data, "-t", str(RECOVERY_SECONDS)]
    try:
        started = subprocess.run(as_postgres([*control, "-l", log, "-w", "-s", "start"]), cwd="/", stdin=subprocess.DEVNULL).returncode == 0
        deadline = time.monotonic() + RECOVERY_SECONDS
        while started and backup.ask(instance, "select pg_is_in_recovery()") != "f":
            if time.monotonic() > deadline:
                raise console.Failure("PostgreSQL is still playing the log", "look at its log", output=tail(log))
            time.sleep(0.2)
    except console.Failure:
        started = False
    if not started:
        text = tail(log)
        kill(control)
        advice = "see above"
        if "recovery ended before configured recovery target was reached" in text:
            advice = "the log ends before that moment: name an earlier one, or leave --to out for all there is"
        raise console.Failure("PostgreSQL could not be brought to the moment", advice, output=text)
    try:
        look()
    except BaseException:
        kill(control)
        raise
    console.command(as_postgres([*control, "-w", "-m", "fast", "stop"]), "PostgreSQL did not stop after recovery", "see above", cwd="/")
    log.unlink()


def kill(control: list) -> None:
    subprocess.run(as_postgres([*control, "-m", "immediate", "-w", "stop"]), cwd="/", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def tail(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-console.TAIL_LINES:]) if log.exists() else ""
