"""The private Redis of an instance. It keeps nothing on disk: whatever it holds can be made again from PostgreSQL."""

import socket
import time

from crmlib import console
from crmlib.instance import Instance, write

MEMORY = "256mb"


def prepare(instance: Instance) -> None:
    password = instance.secret("redis.password").read_text()
    write(instance.folder / "config/redis.conf", f"""bind 127.0.0.1
port {instance.redis_port}
protected-mode yes
requirepass {password}
save ""
appendonly no
dir {instance.folder}
maxmemory {MEMORY}
maxmemory-policy noeviction
tcp-backlog 128
loglevel notice
""")


def command(instance: Instance) -> list[str]:
    return ["/usr/bin/redis-server", str(instance.folder / "config/redis.conf")]


def ask(instance: Instance, *words: str, seconds: float = 2) -> str:
    """One command, its answer's first line: enough for PING, FLUSHALL, DBSIZE."""
    password = instance.secret("redis.password").read_text()
    with socket.create_connection(("127.0.0.1", instance.redis_port), timeout=seconds) as connection:
        for command in (("AUTH", password), words):
            connection.sendall(f"*{len(command)}\r\n".encode() + b"".join(b"$%d\r\n%s\r\n" % (len(word.encode()), word.encode()) for word in command))
        lines = connection.makefile("rb")
        greeting = lines.readline().decode().strip()
        return lines.readline().decode().strip() if greeting == "+OK" else greeting


def answers(instance: Instance) -> bool:
    try:
        return ask(instance, "PING") == "+PONG"
    except OSError:
        return False


def wait(instance: Instance, seconds: float = 20, alive=lambda: True) -> None:
    deadline = time.monotonic() + seconds
    while not answers(instance):
        if time.monotonic() > deadline or not alive():
            raise console.Failure(f"Redis does not answer on port {instance.redis_port}",
                                  "see its log; if the port is taken, choose other ports by CRM_PORT_BASE", log=instance.log("redis"))
        time.sleep(0.05)
