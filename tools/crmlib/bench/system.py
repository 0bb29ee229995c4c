"""The private system that is measured: durable PostgreSQL, Redis, the services of the release build; and what each of its
processes has cost so far."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from crmlib import config, console, health, keys, migrate, paths, postgres, redis
from crmlib.api import Api, ApiError, Unreachable
from crmlib.instance import Instance

PASSWORD = "correct horse battery"
PORT_BASES = range(4000, 4100, 10)  # gateway 5080, PostgreSQL 4432 and so on; below what the kernel hands out by itself
READY_SECONDS, STOP_SECONDS = 60.0, 60.0
TICKS = os.sysconf("SC_CLK_TCK")
# Statements are logged as JSON while they are captured. A row tells when it was committed.
POSTGRES = {"track_commit_timestamp": "on", "logging_collector": "on", "log_destination": "jsonlog", "log_directory": "pg_log",
            "log_filename": "postgresql.log", "log_rotation_age": "0", "log_rotation_size": "0"}
# While the service is compared with pgbench: nothing in the background that one side alone would pay for, no vacuum and no
# checkpoint between the rounds.
STILL = {"autovacuum": "off", "checkpoint_timeout": "1h", "max_wal_size": "16GB"}


class System:
    def __init__(self, folder: Path, build: Path):
        self.folder = folder
        # Before anything asks where PostgreSQL's data are: the answer depends on whether its user may enter here.
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o755)
        self.processes: dict[str, subprocess.Popen] = {}
        self.lock = None
        # A child dies with the thread that made it (PDEATHSIG): one that lives as long as the bench makes them all.
        self.spawner = ThreadPoolExecutor(max_workers=1)
        self.instance = Instance("bench", folder, free_base(folder, build), build)
        self.paused: list[str] = []
        self.settings = POSTGRES | STILL

    # Life.
    def prepare(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o755)  # the user postgres passes through
        (self.folder / "log").mkdir(exist_ok=True)
        self.lock = self.instance.lock()
        keys.prepare(self.instance)
        # The limit of requests per tenant is asked as always, only it is never reached. The bench's mail server shows a certificate of
        # the instance's own authority.
        config.prepare(self.instance, {"gateway": {"gateway": {"rate_per_second": 10_000_000}},
                                       "messaging": {"messaging": {"smtp_ca_file": str(self.instance.tls("ca.pem"))}}})
        redis.prepare(self.instance)
        postgres.prepare(self.instance)

    def start_stores(self) -> None:
        for name in ("postgres", "redis"):
            self.spawn(name)
        postgres.wait(self.instance, READY_SECONDS, alive=lambda: self.alive("postgres"))
        redis.wait(self.instance, READY_SECONDS, alive=lambda: self.alive("redis"))

    def as_in_production(self) -> None:
        """All services, and PostgreSQL with its vacuum and checkpoints."""
        if self.settings != POSTGRES:
            for name in [*[name for name in self.processes if name not in ("postgres", "redis") and self.alive(name)], "postgres"]:
                self.stop(name)
            self.settings = POSTGRES
            self.spawn("postgres")
            postgres.wait(self.instance, READY_SECONDS, alive=lambda: self.alive("postgres"))
        self.start(*[service for service in self.instance.services if not self.alive(service)])

    def begin(self, *services: str) -> None:
        """From nothing to these services running."""
        self.start_stores()
        postgres.bootstrap(self.instance)
        migrate.all_services(self.instance)
        self.start(*services)

    def close(self) -> None:
        self.resume()
        for name in [*[name for name in self.processes if name not in ("postgres", "redis")], "redis", "postgres"]:
            if self.alive(name):
                self.stop(name)
        self.spawner.shutdown()
        if self.lock:
            self.lock.close()

    def drop(self) -> None:
        postgres.drop(self.instance)
        shutil.rmtree(self.folder, ignore_errors=True)

    def command(self, name: str) -> list[str]:
        if name == "postgres":
            return [*postgres.command(self.instance), *[f"--{key}={value}" for key, value in self.settings.items()]]
        if name == "redis":
            return redis.command(self.instance)
        return [str(self.instance.binary(name)), f"--config={self.instance.config(name)}"]

    def spawn(self, name: str, command: list | None = None) -> None:
        """A service, a store, or a helper with a command of its own."""
        arguments = ["setpriv", "--pdeathsig", "KILL" if name != "postgres" else "INT"]
        if name == "postgres" and os.geteuid() == 0:
            arguments += ["--reuid", "postgres", "--regid", "postgres", "--init-groups"]
        with self.instance.log(name).open("ab") as log:
            self.processes[name] = self.spawner.submit(
                subprocess.Popen, [*arguments, "--", *map(str, command or self.command(name))], stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
                cwd=self.folder).result()

    def alive(self, name: str) -> bool:
        return name in self.processes and self.processes[name].poll() is None

    def start(self, *services: str) -> None:
        for service in services:
            self.spawn(service)
        health.wait(self.instance, list(services), READY_SECONDS, alive=self.alive)

    def only(self, *services: str) -> None:
        """Of the services these run, and no others."""
        for service in self.instance.services:
            if service not in services and self.alive(service):
                self.stop(service)
        self.start(*[service for service in services if not self.alive(service)])

    def timed_start(self, service: str) -> float:
        """Starts it and answers the seconds from exec until it says that it is ready."""
        begin = time.monotonic()
        self.spawn(service)
        while not health.ready(self.instance, service):
            if not self.alive(service) or time.monotonic() - begin > READY_SECONDS:
                raise console.Failure(f"{service} did not become ready", "its log says why", log=self.instance.log(service))
            time.sleep(0.002)
        return time.monotonic() - begin

    def stop(self, name: str) -> None:
        process = self.processes[name]
        process.send_signal(signal.SIGINT if name == "postgres" else signal.SIGTERM)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def pause(self) -> None:
        """Stops everything of ours but PostgreSQL, while pgbench has the machine."""
        for name, process in self.processes.items():
            if name != "postgres" and self.alive(name):
                process.send_signal(signal.SIGSTOP)
                self.paused.append(name)

    def resume(self) -> None:
        for name in self.paused:
            self.processes[name].send_signal(signal.SIGCONT)
        self.paused.clear()

    # What it costs.
    def cpu(self) -> dict[str, float]:
        """CPU seconds of each process so far; PostgreSQL's with all its children, those that have ended too."""
        return {name: (postgres_cpu(process.pid) if name == "postgres" else ticks(process.pid, 2))
                for name, process in self.processes.items() if self.alive(name)}

    def memory(self, name: str) -> dict[str, float]:
        """MB. PSS counts pages that several processes share by their part."""
        found = {}
        for line in Path(f"/proc/{self.processes[name].pid}/smaps_rollup").read_text().splitlines():
            words = line.split()
            if words[0] in ("Rss:", "Pss:"):
                found[words[0][:-1].lower()] = int(words[1]) / 1024
        return found

    def labels(self, service: str, metric: str, label: str) -> list[str]:
        """The values of a label among a service's metrics."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.instance.metrics_port(service)}/metrics", timeout=10) as answer:
            return sorted(set(re.findall(rf'^{metric}{{[^}}]*\b{label}="([^"]*)"', answer.read().decode(), re.MULTILINE)))

    # Asking it.
    def sql(self, statement: str, role: str = postgres.SUPERUSER) -> list[list[str]]:
        out = postgres.query(self.instance, role, statement)
        return [line.split("\t") for line in out.split("\n")] if out else []

    def value(self, statement: str) -> str:
        [[value]] = self.sql(statement)
        return value

    def api(self, token: str = "") -> Api:
        return Api(self.instance.url, token)

    def sign_up(self, number: int) -> dict:
        login = f"admin{number}@tenant{number}.example.com"
        answer = self.api().post("/v1/tenants:signUp", {
            "company_name": f"Tenant {number}", "email": login, "password": PASSWORD, "given_name": "Ada", "family_name": "Admin",
            "country_code": "DE", "time_zone": "Europe/Berlin", "currency_code": "EUR"})
        return {"login": login, "tenant_id": answer["tenant"]["id"], "user_id": answer["user"]["id"]}

    def token(self, login: str) -> str:
        """A fresh access token; they last for some minutes only."""
        try:
            return self.api().post("/v1/sessions", {"login": login, "password": PASSWORD})["access_token"]
        except (ApiError, Unreachable) as error:
            raise console.Failure(f"signing in as {login} failed", "see the log of identity", log=self.instance.log("identity"), output=str(error)) from None


def free_base(folder: Path, build: Path) -> int:
    if os.environ.get("CRM_PORT_BASE"):
        return int(os.environ["CRM_PORT_BASE"])
    for base in PORT_BASES:
        if all(free(port) for port in Instance("bench", folder, base, build).ports()):
            return base
    raise console.Failure("there is no free range of ports", "end what listens from 4100 to 5180, or set CRM_PORT_BASE")


def free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
            return True
        except OSError:
            return False


def ticks(pid: int, count: int) -> float:
    """User and system time of the process (2 fields of /proc/PID/stat), or with its children that have ended (4)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1].split()
    return sum(int(field) for field in fields[11:11 + count]) / TICKS


def postgres_cpu(postmaster: int) -> float:
    total = ticks(postmaster, 4)
    for child in Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split():
        try:  # one thread each: the scheduler's own account, in nanoseconds
            total += int(Path(f"/proc/{child}/schedstat").read_text().split()[0]) / 1e9
        except (FileNotFoundError, ProcessLookupError):
            pass  # ended meanwhile: counted by the postmaster
    return total


def backends(postmaster: int) -> int:
    return len(Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split())


def remembered(file: Path) -> dict:
    try:
        return json.loads(file.read_text())
    except (FileNotFoundError, ValueError):
        return {}
