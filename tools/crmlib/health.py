"""Whether the services are ready, by their plain HTTP /readyz."""

import http.client
import time

from crmlib import console
from crmlib.instance import Instance


def ready(instance: Instance, service: str) -> bool:
    return ask(instance, service)[0]


def ask(instance: Instance, service: str) -> tuple[bool, str]:
    """Whether it is ready, and if not, what it says of it."""
    connection = http.client.HTTPConnection("127.0.0.1", instance.metrics_port(service), timeout=2)
    try:
        connection.request("GET", "/readyz")
        answer = connection.getresponse()
        return answer.status == 200, answer.read().decode(errors="replace").strip()
    except (OSError, http.client.HTTPException) as error:
        return False, str(error)
    finally:
        connection.close()


def wait(instance: Instance, services: list[str], seconds: float = 60, alive=lambda service: True) -> None:
    """Until all are ready. `alive` answers false for one that has given up."""
    deadline = time.monotonic() + seconds
    waiting = list(services)
    while waiting := [service for service in waiting if not ready(instance, service)]:
        dead = next((service for service in waiting if not alive(service)), None)
        if dead or time.monotonic() > deadline:
            name = dead or waiting[0]
            state = "ended" if dead else f"is not ready: {ask(instance, name)[1]}"
            raise console.Failure(f"{name} {state} (port {instance.metrics_port(name)})",
                                  "its log says why; tools/crm doctor checks ports, memory and certificates", log=instance.log(name))
        time.sleep(0.05)
