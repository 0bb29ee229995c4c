"""Lays a release out as /opt/crm/<version>, its configuration and keys as /etc/crm, and, on the machine itself, makes the
database and starts everything under systemd. Keys, passwords and configuration that are there already stay."""

import argparse
import os
import shutil
import sys
from pathlib import Path

from crmlib import console, deps, descriptors, machine, package, paths
from crmlib.instance import write

PRESET = "release"
KEPT_VERSIONS = 3
UNITS = sorted((paths.ROOT / "deploy/systemd").iterdir())


def main() -> int:
    parser = argparse.ArgumentParser(prog="deploy/install")
    parser.add_argument("--root", type=Path, default=Path("/"), metavar="DIR", help="only lay the files out under DIR")
    options = parser.parse_args()
    root = options.root.resolve()
    alone = root == Path("/")
    if alone and os.geteuid() != 0:
        raise console.Failure("installing takes root", "run it by sudo, or lay the files out elsewhere with --root DIR")
    if not paths.PACKAGED and not (paths.build_dir(PRESET) / "crm.binpb").exists():
        raise console.Failure("there is no release build", f"run tools/crm build {PRESET} first, or install from a package (tools/crm package)")
    if alone:
        deps.check_release()
        deps.install(deps.missing_packages())
    target = machine.Machine(root)
    with console.step("files"):
        release = lay_out(target)
    with console.step("keys and configuration"):
        target.prepare(descriptors.rpcs(release / "crm.binpb"))
        for unit in UNITS:
            write(target.under(Path("/etc/systemd/system")) / unit.name, unit.read_text(), 0o644)
    if alone:
        start(target)
    return 0


def lay_out(target: machine.Machine) -> Path:
    """The release under its version; `current` points at it."""
    releases = target.under(machine.RELEASES)
    version = package.version()
    release = releases / version
    if release.exists():
        shutil.rmtree(release)  # installed again
    if paths.PACKAGED:
        shutil.copytree(paths.ROOT, release, symlinks=True, ignore=shutil.ignore_patterns(".run", "__pycache__"))
    else:
        package.lay_out(release, paths.build_dir(PRESET))
    link = releases / "current.new"
    link.unlink(missing_ok=True)
    link.symlink_to(version)
    link.replace(releases / "current")
    release.touch()
    old = sorted((path for path in releases.iterdir() if path.is_dir() and not path.is_symlink()), key=lambda path: path.stat().st_mtime)
    for path in old[:-KEPT_VERSIONS]:
        shutil.rmtree(path)
    return release


def start(target: machine.Machine) -> None:
    with console.step("the user crm and the units"):
        machine.add_user()
        target.systemctl("daemon-reload", what="systemd could not read the units")
        target.systemctl("enable", "crm.target", "crm-postgres", "crm-redis", "crm-edge", "crm-backup.timer", "crm-restore-check.timer", *(f"crm@{service}" for service in target.services),
                         what="the units could not be enabled")
    target.start_all()
    target.systemctl("start", "crm-backup.timer", "crm-restore-check.timer", what="the timer of backups did not start")
    console.say(f"The CRM answers at {target.url}; systemctl status 'crm*' shows its services.")


if __name__ == "__main__":
    try:
        sys.exit(main())
    except console.Failure as failure:
        console.report("install", failure)
        sys.exit(1)
