"""A whole machine that runs the CRM under systemd (deploy/install): /opt/crm has the releases, /etc/crm keys and configuration, /var/lib/crm
the database. PostgreSQL and Redis are its own, with the settings of every other instance, so that all commands work alike."""

import os
import shutil
import subprocess
from functools import cached_property
from pathlib import Path

from crmlib import config, console, edge, health, keys, postgres, redis
from crmlib.instance import Instance

RELEASES, SETTINGS, STATE, BACKUPS = Path("/opt/crm"), Path("/etc/crm"), Path("/var/lib/crm"), Path("/var/backups/crm")
PORT_BASE = 7000
ADVICE = "see above; journalctl -xe says more"


class Machine(Instance):
    source = RELEASES / "current"
    backups = BACKUPS

    def __init__(self, root: Path = Path("/")):
        """`root`: its files are laid out under this folder, and name their final places."""
        self.root = root
        super().__init__("machine", self.under(SETTINGS), PORT_BASE, RELEASES / "current")

    def under(self, path: Path) -> Path:
        return self.root / path.relative_to("/")

    @cached_property
    def postgres_data(self) -> Path:
        return STATE / "postgres"

    def local_settings(self) -> dict:
        """/etc/crm/local.json: {service: {field: value}}, laid over the configuration that this release brings."""
        import json
        path = self.folder / "local.json"
        try:
            return json.loads(path.read_text()) if path.exists() else {}
        except ValueError as error:
            raise console.Failure(f"{path} is no JSON: {error}", "repair it as deploy/README.md shows") from None

    def prepare(self, rpcs: list) -> None:
        """Keys, passwords and configuration; what is there of keys stays."""
        changes = self.local_settings()
        keys.prepare(self)
        config.prepare(self, {name: value for name, value in changes.items() if name != edge.NAME})
        redis.prepare(self)
        edge.prepare(self, changes.get(edge.NAME), rpcs)
        if self.root != Path("/"):
            for path in (self.folder / "config").iterdir():
                path.write_text(path.read_text().replace(str(self.folder), str(SETTINGS)))

    def own_files(self) -> None:
        for path in (self.folder, *self.folder.rglob("*")):
            if path.name not in ("ca.key", "partner-ca.key"):  # only this script signs
                shutil.chown(path, "crm", "crm")

    def systemctl(self, *arguments: str, what: str) -> None:
        console.command(["systemctl", *arguments], what, ADVICE)

    def stop_all(self) -> None:
        units = [f"crm@{service}" for service in self.services]
        self.systemctl("stop", "crm-edge", *units, "crm-redis", "crm-postgres", what="the services did not stop")

    def start_data(self) -> None:
        STATE.mkdir(parents=True, exist_ok=True)
        STATE.chmod(0o755)  # the user postgres passes through
        postgres.prepare(self)
        self.systemctl("start", "crm-postgres", "crm-redis", what="PostgreSQL or Redis did not start")
        postgres.wait(self)
        postgres.bootstrap(self)

    def start_all(self, without: tuple[str, ...] = ()) -> None:
        """One after the other: an upgrade refuses no request for longer than one start. Migrations suit the release before them."""
        self.own_files()
        self.start_data()
        with console.step("migrations"):
            for service in self.services:
                if service != "gateway":
                    self.systemctl("start", f"crm-migrate@{service}", what=f"the migrations of {service} failed: journalctl -u crm-migrate@{service}")
        with console.step("services"):
            # Identity first, which knows everybody's rights; the door last.
            for service in sorted(self.services, key=lambda name: (name == "gateway", name != "identity")):
                if service not in without:
                    self.systemctl("restart", f"crm@{service}", what=f"{service} did not start: journalctl -u crm@{service}")
                    health.wait(self, [service])
            self.systemctl("restart", "crm-edge", what="the edge did not start: journalctl -u crm-edge")
            edge.wait(self)


def is_here() -> bool:
    return (SETTINGS / "config").is_dir() and (RELEASES / "current").exists()


def add_user() -> None:
    if subprocess.run(["id", "crm"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode != 0:
        console.command(["useradd", "--system", "--user-group", "--no-create-home", "--shell", "/usr/sbin/nologin", "crm"], "the user crm could not be made", ADVICE)
    os.makedirs(BACKUPS, exist_ok=True)
