"""One running system: its folder, its ports, its services. `default` lives in .run/default; tests make their own."""

import dataclasses
import fcntl
import json
import os
import pwd
import subprocess
import tempfile
import zlib
from functools import cached_property
from pathlib import Path

from crmlib import console, paths

PORT_BASE = 7000
GATEWAY_PORT, EDGE_PORT, POSTGRES_PORT, REDIS_PORT = 1080, 1043, 432, 379  # above the base
EDGE_METRICS_PORT = 399
REPLICA_STEP = 12  # between the ports of a service's replicas: more than there are services
# Services by port: gRPC at base + 100 + place, health 100 higher, metrics another 100. New ones go to the end, so that no
# service's port ever changes; one that is not listed takes a place after these.
PLACES = ("gateway", "identity", "contact", "deal_pipeline", "messaging", "scheduler", "analytics")


@dataclasses.dataclass
class Instance:
    name: str
    folder: Path
    port_base: int
    build: Path  # with bin/ and crm.binpb
    # Service -> how many processes of it there are, where it is more than one: "scheduler", "scheduler.2", ... (tests). Whoever calls
    # it calls the first one; the work that waits in its tables they divide.
    replicas: dict[str, int] = dataclasses.field(default_factory=dict)

    source = paths.ROOT  # where the migrations are
    backups = None  # a folder of its own for them, where the usual one will not do

    @staticmethod
    def current(preset: str | None = None) -> "Instance":
        """The one that the environment names. A running or stopped instance remembers its ports and its build."""
        if paths.PACKAGED and not os.environ.get("CRM_INSTANCE"):
            from crmlib import machine
            if machine.is_here():
                return machine.Machine()
        name = os.environ.get("CRM_INSTANCE") or "default"
        if not name.replace("-", "").replace("_", "").isalnum():
            raise console.Failure(f"CRM_INSTANCE={name!r} is no name for a folder", "use letters, digits, - and _")
        folder = paths.RUN / name
        try:
            kept = json.loads((folder / "instance.json").read_text())
        except (FileNotFoundError, ValueError):
            kept = {}
        base = os.environ.get("CRM_PORT_BASE") or kept.get("port_base", PORT_BASE)
        if preset is None:
            preset = os.environ.get("CRM_PRESET") or kept.get("preset", paths.PRESET)
        try:
            base = int(base)
        except ValueError:
            raise console.Failure(f"CRM_PORT_BASE={base!r} is no number", "use one from 1024 to 64000, e.g. 9000") from None
        return Instance(name, folder, base, paths.build_dir(preset))

    # Its processes, as tools/crm runs them; deploy/'s machine has systemd do it.
    def stop_all(self) -> None:
        from crmlib import supervisor
        supervisor.shutdown(self)

    def start_all(self, without: tuple[str, ...] = ()) -> None:
        from crmlib import up
        up.bring_up(self, without)

    def remember(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o755)  # the user postgres passes through
        write(self.folder / "instance.json", json.dumps({"port_base": self.port_base, "preset": self.build.name}) + "\n", 0o644)

    # Ports.
    def place(self, process: str) -> int:
        service = service_of(process)
        place = PLACES.index(service) if service in PLACES else len(PLACES) + [s for s in paths.services() if s not in PLACES].index(service)
        return place + REPLICA_STEP * (int(process.partition(".")[2] or 1) - 1)

    def port(self, service: str) -> int:
        return self.port_base + (GATEWAY_PORT if service_of(service) == "gateway" else 100) + self.place(service)

    def health_port(self, service: str) -> int:
        return self.port_base + 200 + self.place(service)

    def metrics_port(self, service: str) -> int:
        return self.port_base + 300 + self.place(service)

    @property
    def lmtp_port(self) -> int:
        """Where letters arrive."""
        return self.lmtp_port_of("messaging")

    def lmtp_port_of(self, process: str) -> int:
        return self.port_base + 400 + self.place(process)

    @property
    def postgres_port(self) -> int:
        return self.port_base + POSTGRES_PORT

    @property
    def redis_port(self) -> int:
        return self.port_base + REDIS_PORT

    @property
    def edge_port(self) -> int:
        """Where other companies' systems call by gRPC."""
        return self.port_base + EDGE_PORT

    @property
    def edge_metrics_port(self) -> int:
        return self.port_base + EDGE_METRICS_PORT

    def ports(self) -> dict[int, str]:
        """Every port and what listens there."""
        found = {self.postgres_port: "postgres", self.redis_port: "redis", self.edge_port: "edge", self.edge_metrics_port: "edge (metrics)"}
        for process in self.processes:
            found |= {self.port(process): process, self.health_port(process): f"{process} (health)", self.metrics_port(process): f"{process} (metrics)"}
            if service_of(process) == "messaging":
                found[self.lmtp_port_of(process)] = f"{process} (letters in, LMTP)"
        return found

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port('gateway')}"

    # Files.
    @cached_property
    def services(self) -> list[str]:
        return sorted(paths.services(), key=self.place)

    @property
    def processes(self) -> list[str]:
        """The services, and their replicas."""
        return [process for service in self.services for process in (service, *(f"{service}.{number}" for number in range(2, self.replicas.get(service, 1) + 1)))]

    def binary(self, process: str) -> Path:
        return self.build / "bin" / service_of(process)

    def config(self, service: str) -> Path:
        return self.folder / "config" / f"{service}.json"

    def migrate_config(self, service: str) -> Path:
        return self.folder / "config" / f"{service}.migrate.json"

    def secret(self, name: str) -> Path:
        return self.folder / "secrets" / name

    def tls(self, name: str) -> Path:
        return self.folder / "tls" / name

    def log(self, name: str) -> Path:
        return self.folder / "log" / f"{name}.log"

    @cached_property
    def postgres_data(self) -> Path:
        """Inside the folder; elsewhere where the user postgres cannot pass through to it (a checkout in /root)."""
        inside = self.folder / "postgres"
        if os.geteuid() != 0 or subprocess.run(as_postgres(["test", "-x", self.folder]), cwd="/").returncode == 0:
            return inside
        return Path("/var/lib/postgresql") / f"crm-{zlib.crc32(str(self.folder).encode()):x}"

    def lock(self):
        """Held while a command changes the instance, so that two do not meet; released when the process ends."""
        self.folder.mkdir(parents=True, exist_ok=True)
        file = (self.folder / "lock").open("w")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            console.say(f"  waiting for another tools/crm at work on {self.name}")
            fcntl.flock(file, fcntl.LOCK_EX)
        return file


def service_of(process: str) -> str:
    """"scheduler" of "scheduler.2"."""
    return process.partition(".")[0]


def postgres_user() -> str:
    """PostgreSQL refuses to run as root."""
    return "postgres" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name


def as_postgres(args: list) -> list[str]:
    args = [str(arg) for arg in args]
    return ["runuser", "-u", "postgres", "--", *args] if os.geteuid() == 0 else args


def write(path: Path, text: str, mode: int = 0o600) -> None:
    """Replaces the file whole, with this mode from its first byte; unchanged text leaves it alone, time stamp included."""
    if path.exists() and path.read_text() == text and path.stat().st_mode & 0o777 == mode:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False) as out:
        os.fchmod(out.fileno(), mode)
        out.write(text)
    os.replace(out.name, path)
