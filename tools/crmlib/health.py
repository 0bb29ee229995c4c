"""Whether the services are ready, by their plain HTTP /readyz."""

import http.client
import time

from crmlib import console
from crmlib.instance import Instance


def ready(instance: Instance, service: str) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", instance.metrics_port(service), timeout=2)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
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
            raise console.Failure(f"{name} {'ended' if dead else 'is not ready'} (port {instance.metrics_port(name)})",
                                  "its log says why; tools/crm doctor checks ports, memory and certificates", log=instance.log(name))
        time.sleep(0.05)
