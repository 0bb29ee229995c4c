"""A private system for a test: its own PostgreSQL, Redis and services as plain child processes in a folder and on ports of
its own, configured by the same code as tools/crm up. Tests may kill, pause and restart each process.

    with Stack() as stack:
        api = stack.sign_up()
        contact = api.post("/v1/contacts", {"given_name": "Ada"})
        stack.kill("contact")
        stack.start("contact")
        eventually(lambda: api.call("GET", f"/v1/contacts/{contact['id']}").ok)

CRM_BUILD names the build (build/dev without it). CRM_LOOPS gives every service so many event loops instead of one. CRM_DRAIN=1
ends the services as stop() does instead of killing them. CRM_KEEP=1 leaves the folder for a look. When the block ends by an exception, the
last lines of every log are printed."""

import contextlib
import dataclasses
import fcntl
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.dont_write_bytecode = True
sys.path[:0] = [str(ROOT / "tools"), str(Path(__file__).parent)]

from crmlib import config, edge, health, keys, migrate, postgres, redis  # noqa: E402
from crmlib.api import Api  # noqa: E402
from crmlib.instance import Instance  # noqa: E402
from shifted_clock import Clock  # noqa: E402

BUILD = Path(os.environ.get("CRM_BUILD") or ROOT / "build/dev")
LOOPS = int(os.environ.get("CRM_LOOPS") or 0)
DRAIN = bool(os.environ.get("CRM_DRAIN"))
# Bases far enough apart that no two systems meet, and below the ports that the kernel hands out by itself.
PORT_BASES = range(10000, 31600, 1100)
READY_SECONDS = 60.0  # sanitized binaries start slowly on a busy machine
STOP_SECONDS = 30.0
ARMED_SECONDS = 0.3
LOG_LINES = 25
PASSWORD = "correct horse battery"


def eventually(condition, seconds: float = 15.0, what: str = ""):
    """Polls until condition() is true and answers it; an exception of it counts as not yet, and the last one is shown."""
    deadline = time.monotonic() + seconds
    while True:
        error = None
        try:
            if result := condition():
                return result
        except Exception as raised:  # noqa: BLE001: whatever it is, it may pass
            error = raised
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds:.0f} s: {what or 'the condition'}") from error
        time.sleep(0.05)


class Stack:
    def __init__(self, services: list[str] | None = None, changes: dict | None = None, build: Path = BUILD, with_edge: bool = False,
                 durable: bool = False, replicas: dict[str, int] | None = None, clocks: tuple[str, ...] = ()):
        """`services`: only these (all without it). `changes`: {service: {field: value}} over the configuration. `with_edge`: also
        haproxy, as the process "edge". `durable`: PostgreSQL waits for the disk. `replicas`: {service: how many processes}; the second of
        contact is "contact.2". `clocks`: processes whose clock set_clock() moves ("postgres" and "redis" too)."""
        self.folder = Path(tempfile.mkdtemp(prefix="crm-stack-"))
        self.folder.chmod(0o755)  # the user postgres passes through
        self.with_edge, self.durable = with_edge, durable
        self.processes: dict[str, subprocess.Popen] = {}
        # A child dies with the thread that made it (PDEATHSIG), so that a killed test leaves nothing behind: one thread
        # that lives as long as the stack makes them all.
        self.spawner = ThreadPoolExecutor(max_workers=1)
        self.port_lock = None
        self.instance = Instance("test", self.folder, 0, build, replicas or {})
        self.instance.port_base = self.reserve_ports(self.instance)
        self.services = self.instance.processes if services is None else services
        self.clocks = {name: Clock(self.folder, name) for name in clocks}
        self.changes = (changes or {}) | {service: ({"loops": LOOPS} if LOOPS else {}) | (changes or {}).get(service, {}) for service in self.instance.services}
        self.tenants = 0

    # Life.
    def __enter__(self) -> "Stack":
        try:
            self.start_all()
        except BaseException:
            self.__exit__(*sys.exc_info())
            raise
        return self

    def __exit__(self, kind, error, trace) -> None:
        if kind and not issubclass(kind, KeyboardInterrupt):
            self.print_logs()
        self.close()

    def start_all(self) -> None:
        self.prepare()
        for name in ("postgres", "redis"):
            self.start(name)
        postgres.bootstrap(self.instance)
        migrate.all_services(self.instance, [service for service in self.instance.services if service in self.services and service != "gateway"])
        for service in self.services:
            self.start(service, wait=False)
        self.wait_ready()
        if self.with_edge:
            self.start(edge.NAME)

    def prepare(self) -> None:
        for folder in ("log", "failpoints"):
            (self.folder / folder).mkdir()
        keys.prepare(self.instance)
        config.prepare(self.instance, self.changes)
        redis.prepare(self.instance)
        if self.with_edge:
            edge.prepare(self.instance)
        postgres.prepare(self.instance, self.durable)

    def close(self) -> None:
        if DRAIN:
            self.drain()
        for process in self.processes.values():
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.kill()
        for process in self.processes.values():
            process.wait()
        self.spawner.shutdown()
        if self.port_lock:
            self.port_lock.close()
        if os.environ.get("CRM_KEEP"):
            print(f"kept: {self.folder}", file=sys.stderr)
        else:
            shutil.rmtree(self.folder, ignore_errors=True)
            shutil.rmtree(self.instance.postgres_data, ignore_errors=True)

    def drain(self) -> None:
        """Asks all services at once to end; those that have not in time are left to be killed."""
        draining = [self.processes[name] for name in self.services if self.alive(name)]
        for process in draining:
            process.send_signal(signal.SIGCONT)
            process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + STOP_SECONDS
        for process in draining:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(max(0.0, deadline - time.monotonic()))

    def reserve_ports(self, instance: Instance) -> int:
        """A base whose ports are free; locked against the stacks of other test processes."""
        folder = Path(tempfile.gettempdir()) / f"crm-stack-ports-{os.geteuid()}"
        folder.mkdir(exist_ok=True)
        bases = list(PORT_BASES)
        random.shuffle(bases)
        for base in bases:
            lock = (folder / str(base)).open("w")
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                lock.close()
                continue
            if all(free(port) for port in dataclasses.replace(instance, port_base=base).ports()):
                self.port_lock = lock
                return base
            lock.close()
        raise AssertionError("no free range of ports: end what listens between "
                             f"{PORT_BASES.start} and {PORT_BASES.stop}")

    # Processes: "postgres", "redis" and the services' names.
    def command(self, name: str) -> list[str]:
        if name == "postgres":
            return postgres.command(self.instance)
        if name == "redis":
            return redis.command(self.instance)
        if name == edge.NAME:
            return edge.command(self.instance)
        return [str(self.instance.binary(name)), f"--config={self.instance.config(name)}"]

    def start(self, name: str, wait: bool = True) -> None:
        assert not self.alive(name), f"{name} runs already"
        arguments = ["setpriv", "--pdeathsig", "KILL"]
        if name == "postgres" and os.geteuid() == 0:
            arguments += ["--reuid", "postgres", "--regid", "postgres", "--init-groups"]
        environment = os.environ | {"CRM_FAILPOINT_FILE": str(self.failpoint_file(name))}
        if name in self.clocks:
            environment |= self.clocks[name].environment()
        with self.instance.log(name).open("ab") as log:
            self.processes[name] = self.spawner.submit(
                subprocess.Popen, [*arguments, "--", *self.command(name)], stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
                cwd=self.folder, env=environment).result()
        if wait:
            self.wait_ready([name])

    def wait_ready(self, names: list[str] | None = None, seconds: float = READY_SECONDS) -> None:
        names = self.services if names is None else names
        if "postgres" in names:
            postgres.wait(self.instance, seconds, alive=lambda: self.alive("postgres"))
        if "redis" in names:
            redis.wait(self.instance, seconds, alive=lambda: self.alive("redis"))
        if edge.NAME in names:
            edge.wait(self.instance, seconds, alive=lambda: self.alive(edge.NAME))
        health.wait(self.instance, [name for name in names if name in self.services], seconds, alive=self.alive)

    def alive(self, name: str) -> bool:
        return name in self.processes and self.processes[name].poll() is None

    def kill(self, name: str, number: int = signal.SIGKILL) -> None:
        """Ends it at once, as a crash would, and waits until it is gone. Other signals: also waits."""
        process = self.processes[name]
        process.send_signal(number)
        process.wait(STOP_SECONDS)

    def stop(self, name: str) -> None:
        """Asks it to drain and end; a service that does not in time is a failure."""
        self.kill(name, signal.SIGINT if name == "postgres" else signal.SIGTERM)

    def restart(self, name: str) -> None:
        if self.alive(name):
            self.kill(name)
        self.start(name)

    def pause(self, name: str) -> None:
        self.processes[name].send_signal(signal.SIGSTOP)

    def resume(self, name: str) -> None:
        self.processes[name].send_signal(signal.SIGCONT)

    def wait_dead(self, name: str, seconds: float = 20.0) -> int:
        """Until it has ended by itself, e.g. by a failpoint; its exit code (negative: the signal)."""
        return self.processes[name].wait(seconds)

    def stopped(self, name: str) -> bool:
        """Whether it stands still: paused, or by a failpoint that stops it."""
        return Path(f"/proc/{self.processes[name].pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"

    def set_clock(self, name: str, seconds: float) -> None:
        """From now on its wall clock is so far ahead of (below 0: behind) the machine's; its steady clock goes on as before."""
        self.clocks[name].set(seconds)

    # Faults.
    def failpoint_file(self, name: str) -> Path:
        return self.folder / "failpoints" / name

    def failpoints(self, service: str, *lines: str) -> None:
        """Arms exactly these ("pg.before_commit=kill"; common/base/failpoint.h), none without lines. Read within 50 ms,
        on a busy machine later: await_armed."""
        file = self.failpoint_file(service)
        # A name of its own: a test arms while its reviver disarms.
        new = file.with_name(f".{service}.{threading.get_ident()}.new")
        new.write_text("".join(f"{line}\n" for line in lines))
        new.replace(file)

    @staticmethod
    def await_armed() -> None:
        """Until a running process has read its failpoints, before what is to meet them is begun."""
        time.sleep(ARMED_SECONDS)

    def empty_redis(self) -> None:
        answer = redis.ask(self.instance, "FLUSHALL")
        assert answer == "+OK", answer

    # What tests look at.
    def sql(self, statement: str, role: str = postgres.SUPERUSER) -> list[list[str]]:
        """The rows as text; the superuser sees every tenant. A service's role: its own schema, and only what it may."""
        out = postgres.query(self.instance, role, statement)
        return [line.split("\t") for line in out.split("\n")] if out else []

    def value(self, statement: str, role: str = postgres.SUPERUSER) -> str:
        """The single value that it answers."""
        [[value]] = self.sql(statement, role)
        return value

    def api(self, token: str = "") -> Api:
        return Api(self.instance.url, token)

    def sign_up(self, **more) -> Api:
        """A new tenant's administrator, signed in; `login`, `tenant_id` and `user_id` are attributes of the answer."""
        self.tenants += 1
        login = f"admin{self.tenants}@tenant{self.tenants}.example.com"
        answer = self.api().post("/v1/tenants:signUp", {
            "company_name": f"Tenant {self.tenants}", "email": login, "password": PASSWORD, "given_name": "Ada", "family_name": "Admin",
            "country_code": "DE", "time_zone": "Europe/Berlin", "currency_code": "EUR"} | more)
        api = self.api(answer["session"]["access_token"])
        api.login, api.tenant_id, api.user_id = login, answer["tenant"]["id"], answer["user"]["id"]
        return api

    def log(self, name: str) -> str:
        path = self.instance.log(name)
        return path.read_text(errors="replace") if path.exists() else ""

    def print_logs(self) -> None:
        for path in sorted((self.folder / "log").glob("*.log")):
            lines = path.read_text(errors="replace").splitlines()[-LOG_LINES:]
            state = "runs" if self.alive(path.stem) else "ended"
            print(f"--- {path.stem} ({state})", *lines, sep="\n", file=sys.stderr)


def free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
            return True
        except OSError:
            return False
