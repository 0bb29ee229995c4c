#!/usr/bin/python3
"""Stands for systemctl where there is no systemd: carries out what deploy/ asks of it by the units' own words (ExecStart, User, Type, Restart is
left out), so that a test meets the real unit files. FAKE_SYSTEMD names the folder with pid files and logs."""

import os
import pwd
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

STATE = Path(os.environ["FAKE_SYSTEMD"])
UNITS = Path("/etc/systemd/system")
SIGNALS = {"SIGINT": signal.SIGINT, "SIGUSR1": signal.SIGUSR1}


def find(name: str) -> tuple[Path, str]:
    """The unit's file, and what %i stands for."""
    name = name if "." in name else name + ".service"
    stem, suffix = name.rsplit(".", 1)
    template, _, instance = stem.partition("@")
    path = UNITS / (f"{template}@.{suffix}" if instance else name)
    if not path.exists():
        sys.exit(f"Unit {name} not found.")
    return path, instance


def read(path: Path, instance: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in path.read_text().splitlines():
        if "=" in line and not line.startswith("#"):
            key, value = line.split("=", 1)
            found.setdefault(key, []).append(value.replace("%i", instance))
    return found


def arguments(unit: dict, line: str) -> list[str]:
    command = shlex.split(line)
    user = unit.get("User", ["root"])[0]
    group = pwd.getpwnam(user).pw_gid
    return command if user == "root" else ["setpriv", "--reuid", user, "--regid", str(group), "--init-groups", "--", *command]


def pid_file(name: str) -> Path:
    return STATE / f"{name.removesuffix('.service')}.pid"


def start(name: str) -> None:
    path, instance = find(name)
    if path.suffix != ".service" or running(name):
        return
    unit = read(path, instance)
    with (STATE / f"{name}.log").open("ab") as log:
        for line in unit.get("ExecStartPre", []):
            subprocess.run(arguments(unit, line), stdout=log, stderr=log, check=True, cwd="/")
        [line] = unit["ExecStart"]
        if unit.get("Type") == ["oneshot"]:
            if subprocess.run(arguments(unit, line), stdout=log, stderr=log, cwd="/").returncode != 0:
                sys.exit(f"Job for {name} failed: {(STATE / f'{name}.log').read_text()[-1000:]}")
            return
        process = subprocess.Popen(arguments(unit, line), stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/", start_new_session=True)
    pid_file(name).write_text(str(process.pid))


def running(name: str) -> int:
    try:
        pid = int(pid_file(name).read_text())
        return pid if Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1][0] != "Z" else 0
    except (FileNotFoundError, ProcessLookupError):
        return 0


def stop(name: str) -> None:
    path, instance = find(name)
    pid = running(name)
    if pid:
        unit = read(path, instance)
        os.kill(pid, SIGNALS.get(unit.get("KillSignal", [""])[0], signal.SIGTERM))
        deadline = time.monotonic() + int(unit.get("TimeoutStopSec", ["90"])[0])
        while running(name):
            if time.monotonic() > deadline:
                sys.exit(f"{name} does not stop")
            time.sleep(0.05)
    pid_file(name).unlink(missing_ok=True)


def main(verb: str, names: list[str]) -> None:
    names = [name for name in names if not name.startswith("--")]
    if verb == "daemon-reload":
        return
    for name in names:
        if verb == "enable":
            path, _ = find(name)
            assert "[Install]" in path.read_text(), f"{name} cannot be enabled"
        if verb in ("stop", "restart"):
            stop(name)
        if verb in ("start", "restart"):
            start(name)


main(sys.argv[1], sys.argv[2:])
