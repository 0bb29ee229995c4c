"""Debian's supervisor over an instance's processes: its configuration, and its XML-RPC interface on a Unix socket."""

import http.client
import os
import shlex
import socket
import tempfile
import time
import xmlrpc.client
import zlib
from pathlib import Path

from crmlib import console, edge, postgres, redis
from crmlib.instance import Instance, postgres_user, write

SOCKET_PATH_MAX = 100  # the system takes 107 bytes; supervisor adds a suffix while it binds
RUNNING = ("RUNNING", "STARTING")


def socket_path(instance: Instance) -> Path:
    inside = instance.folder / "supervisor.sock"
    return inside if len(str(inside)) <= SOCKET_PATH_MAX else Path(tempfile.gettempdir()) / f"crm-{zlib.crc32(str(inside).encode()):x}.sock"


def config_path(instance: Instance) -> Path:
    return instance.folder / "config/supervisord.conf"


def prepare(instance: Instance) -> None:
    folder = instance.folder
    (folder / "log").mkdir(parents=True, exist_ok=True)
    parts = [f"""[supervisord]
logfile={instance.log("supervisor")}
logfile_maxbytes=5MB
logfile_backups=1
pidfile={folder}/supervisor.pid
directory={folder}
umask=077
{"user=root" if os.geteuid() == 0 else ""}
[unix_http_server]
file={socket_path(instance)}
chmod=0700

[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface

[supervisorctl]
serverurl=unix://{socket_path(instance)}
"""]
    # PostgreSQL: SIGINT ends sessions and shuts down cleanly. Services drain on SIGTERM.
    parts.append(program(instance, "postgres", postgres.command(instance), 10, True, f"user={postgres_user()}\nstopsignal=INT\nstopwaitsecs=60"))
    parts.append(program(instance, "redis", redis.command(instance), 20, True, "stopwaitsecs=10"))
    for service in instance.services:
        arguments = [str(instance.binary(service)), f"--config={instance.config(service)}"]
        parts.append(program(instance, service, arguments, 100 + instance.place(service), False, "stopwaitsecs=40"))
    # Before the services, so that it stops before them.
    parts.append(program(instance, edge.NAME, edge.command(instance), 900, False, "stopsignal=USR1\nstopwaitsecs=50"))
    write(config_path(instance), "\n".join(parts))


def program(instance: Instance, name: str, arguments: list[str], priority: int, autostart: bool, more: str) -> str:
    return f"""[program:{name}]
command={shlex.join(arguments).replace("%", "%%")}
priority={priority}
autostart={str(autostart).lower()}
autorestart=true
startsecs=1
startretries=30
redirect_stderr=true
stdout_logfile={instance.log(name)}
stdout_logfile_maxbytes=50MB
stdout_logfile_backups=2
{more}
"""


class Transport(xmlrpc.client.Transport):
    def __init__(self, path: Path):
        super().__init__()
        self.path = path

    def make_connection(self, host):
        connection = http.client.HTTPConnection("localhost", timeout=120)
        connection.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.sock.settimeout(120)
        connection.sock.connect(str(self.path))
        return connection


def client(instance: Instance):
    """supervisor's own methods (startProcess, stopProcess, getAllProcessInfo ...); None when it is not running."""
    proxy = xmlrpc.client.ServerProxy("http://localhost/RPC2", transport=Transport(socket_path(instance)))
    try:
        proxy.supervisor.getState()
        return proxy.supervisor
    except (OSError, http.client.HTTPException):
        return None


def processes(instance: Instance) -> dict[str, dict]:
    """name -> supervisor's information; empty when it is not running."""
    running = client(instance)
    return {info["name"]: info for info in running.getAllProcessInfo()} if running else {}


def ensure_running(instance: Instance):
    running = client(instance)
    if running:
        update(running)
        return running
    console.command(["/usr/bin/supervisord", "-c", config_path(instance)], "supervisor did not start",
                    "see above; if a port or socket is taken by an older run, tools/crm down ends it", cwd=instance.folder)
    deadline = time.monotonic() + 10
    while not (running := client(instance)):
        if time.monotonic() > deadline:
            raise console.Failure("supervisor does not answer on its socket", "see its log", log=instance.log("supervisor"))
        time.sleep(0.05)
    return running


def update(running) -> None:
    """After its file changed: adds new programs, replaces changed ones, drops those that are gone."""
    added, changed, removed = running.reloadConfig()[0]
    for name in removed + changed:
        running.stopProcessGroup(name)
        running.removeProcessGroup(name)
    for name in added + changed:
        running.addProcessGroup(name)


def start(running, name: str) -> None:
    try:
        running.startProcess(name, False)
    except xmlrpc.client.Fault as fault:
        if "ALREADY_STARTED" not in fault.faultString:
            raise console.Failure(f"{name} could not be started: {fault.faultString}", "see tools/crm logs " + name) from None


def stop(running, name: str) -> None:
    try:
        running.stopProcess(name, True)
    except xmlrpc.client.Fault as fault:
        if "NOT_RUNNING" not in fault.faultString:
            raise console.Failure(f"{name} could not be stopped: {fault.faultString}", "see tools/crm logs " + name) from None


def shutdown(instance: Instance, seconds: float = 90) -> bool:
    """Stops everything: services first, by their priorities. False if nothing ran."""
    running = client(instance)
    if not running:
        return False
    pid = running.getPID()
    running.shutdown()
    deadline = time.monotonic() + seconds
    while Path(f"/proc/{pid}").exists() and Path(f"/proc/{pid}/stat").read_text().split(") ")[-1][:1] != "Z":
        if time.monotonic() > deadline:
            raise console.Failure(f"supervisor (pid {pid}) does not end", "see its log", log=instance.log("supervisor"))
        time.sleep(0.05)
    return True
