"""tools/crm down, restart, reset."""

import shutil

from crmlib import console, edge, health, postgres, supervisor, up
from crmlib.instance import Instance


def run_down(args: list[str]) -> int:
    instance = Instance.current()
    lock = instance.lock()
    with console.step(f"stopping {instance.name}"):
        ran = supervisor.shutdown(instance)
    console.say("Stopped; the data stay (tools/crm up goes on, tools/crm reset drops them)." if ran else "Nothing was running.")
    lock.close()
    return 0


def run_restart(args: list[str]) -> int:
    instance = Instance.current()
    known = ["postgres", "redis", *instance.services, edge.NAME]
    if unknown := [name for name in args if name not in known]:
        raise console.Failure(f"there is no process {', '.join(unknown)}", f"take some of {', '.join(known)}")
    lock = instance.lock()
    running = supervisor.client(instance)
    if not running:
        raise console.Failure(f"{instance.name} is not running", "run tools/crm up")
    for name in args or instance.services:
        with console.step(f"restarting {name}"):
            supervisor.stop(running, name)
            supervisor.start(running, name)
            if name == "postgres":
                postgres.wait(instance)
            elif name == edge.NAME:
                edge.wait(instance)
            elif name != "redis":
                health.wait(instance, [name], alive=lambda service: up.alive(running, service))
    lock.close()
    return 0


def run_reset(args: list[str]) -> int:
    instance = Instance.current()
    lock = instance.lock()
    with console.step(f"stopping {instance.name}"):
        supervisor.shutdown(instance)
    with console.step("dropping its data, keys and logs"):
        postgres.drop(instance)
        for path in instance.folder.iterdir() if instance.folder.exists() else []:
            if path.is_dir():
                shutil.rmtree(path)
            elif path.name != "lock":
                path.unlink()
    lock.close()
    console.say("Nothing is left; tools/crm up starts anew.")
    return 0
