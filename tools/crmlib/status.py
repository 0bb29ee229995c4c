"""tools/crm status [--json]: the processes, whether they are ready, and what memory they take."""

import json
import os
import time
from pathlib import Path

from crmlib import console, edge, health, postgres, redis, supervisor
from crmlib.instance import Instance


def run(args: list[str]) -> int:
    if args not in ([], ["--json"]):
        raise console.Failure(f"status knows --json, not {' '.join(args)}", "tools/crm status [--json]")
    instance = Instance.current()
    rows = collect(instance)
    healthy = bool(rows) and all(row["ready"] for row in rows)
    if args:
        print(json.dumps({"instance": instance.name, "url": instance.url, "ready": healthy, "processes": rows}, indent=2))
    elif not rows:
        print(f"{instance.name} is not running: tools/crm up starts it")
    else:
        print(f"{instance.name} at {instance.url}")
        print(console.table(["process", "state", "ready", "pid", "uptime", "memory", "port"],
                            [[row["name"], row["state"], "yes" if row["ready"] else "NO", row["pid"] or "-",
                              console.duration(row["uptime_seconds"]) if row["pid"] else "-", console.size(row["memory_bytes"]), row["port"]] for row in rows]))
        for row in rows:
            if not row["ready"]:
                print(f"{row['name']} is not ready: tools/crm logs {row['name']} says why")
    return 0 if healthy else 3


def collect(instance: Instance) -> list[dict]:
    rows = []
    for name, info in sorted(supervisor.processes(instance).items(), key=lambda item: order(instance, item[0])):
        running = info["statename"] in supervisor.RUNNING
        rows.append({
            "name": name,
            "state": info["statename"].lower(),
            "ready": running and is_ready(instance, name),
            "pid": info["pid"] if running else 0,
            "uptime_seconds": max(0, int(time.time()) - info["start"]) if running else 0,
            "memory_bytes": memory(info["pid"]) if running else 0,
            "port": {"postgres": instance.postgres_port, "redis": instance.redis_port, edge.NAME: instance.edge_port}.get(name) or instance.port(name),
        })
    return rows


def order(instance: Instance, name: str) -> int:
    return {"postgres": -2, "redis": -1, edge.NAME: 1000}.get(name) or instance.place(name)


def is_ready(instance: Instance, name: str) -> bool:
    others = {"postgres": postgres.answers, "redis": redis.answers, edge.NAME: edge.answers}
    return others[name](instance) if name in others else health.ready(instance, name)


def memory(pid: int) -> int:
    """Of a process and its children; shared pages are counted once where the kernel tells (Pss), which takes the right to ask."""
    total = 0
    for process in [pid, *descendants(pid)]:
        folder = Path(f"/proc/{process}")
        try:
            total += field(folder / "smaps_rollup", "Pss:")
        except (PermissionError, ProcessLookupError):
            total += field(folder / "status", "VmRSS:")
        except FileNotFoundError:
            pass
    return total


def field(path: Path, name: str) -> int:
    return next((int(line.split()[1]) << 10 for line in path.read_text().splitlines() if line.startswith(name)), 0)


def descendants(pid: int) -> list[int]:
    parents: dict[int, list[int]] = {}
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            try:
                parent = int(Path(f"/proc/{entry.name}/stat").read_text().rsplit(") ", 1)[1].split()[1])
            except (OSError, IndexError):
                continue
            parents.setdefault(parent, []).append(int(entry.name))
    found, waiting = [], [pid]
    while waiting:
        children = parents.get(waiting.pop(), [])
        found += children
        waiting += children
    return found
