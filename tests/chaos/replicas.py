"""Two of every process: a second one of each service, with ports and a configuration of its own, every caller told both addresses;
and a balancer (haproxy) before the two gateways, which asks their /readyz as Kubernetes does."""

import json

from writes import READY_SECONDS, Stack, eventually

from crmlib import config, health, migrate, postgres
from crmlib.instance import Instance, write

SECOND = "-2"
BALANCER = "balancer"
# The balancer looks ten times a second: by then it has noticed.
GATEWAY_WAIT_SECONDS = 1


def service_of(name: str) -> str:
    return name.removesuffix(SECOND)


class Twins(Instance):
    """The ports of "contact-2" are 400 above contact's, which is above everybody's."""

    def place(self, service: str) -> int:
        return super().place(service_of(service)) + (400 if service.endswith(SECOND) else 0)

    def port(self, service: str) -> int:
        return super().port("gateway") + 1 if service == f"gateway{SECOND}" else super().port(service)

    def binary(self, service: str):
        return super().binary(service_of(service))

    @property
    def balancer_port(self) -> int:
        return self.port_base + 1090

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.balancer_port}"

    @property
    def twins(self) -> list[str]:
        return [service + SECOND for service in self.services]

    def ports(self) -> dict[int, str]:
        second = {port: name for name in self.twins for port in (self.port(name), self.health_port(name), self.metrics_port(name))}
        return super().ports() | second | {self.lmtp_port + 400: f"messaging{SECOND} (letters in, LMTP)", self.balancer_port: BALANCER}


class TwinStack(Stack):
    def __init__(self):
        super().__init__()
        self.port_lock.close()
        self.instance = Twins("test", self.folder, 0, self.instance.build)
        self.instance.port_base = self.reserve_ports(self.instance)

    @property
    def everybody(self) -> list[str]:
        return [*self.services, *self.instance.twins]

    def start_all(self) -> None:
        self.prepare()
        for name in ("postgres", "redis"):
            self.start(name)
        postgres.bootstrap(self.instance)
        migrate.all_services(self.instance, [service for service in self.services if service != "gateway"])
        for name in self.everybody:
            self.start(name, wait=False)
        self.wait_ready()
        self.start(BALANCER)

    def prepare(self) -> None:
        both = {service: f"127.0.0.1:{self.instance.port(service)},127.0.0.1:{self.instance.port(service + SECOND)}" for service in self.services}
        for service in self.services:
            change = {"peers": {peer: both[peer] for peer in self.services if peer not in (service, "gateway")}}
            if service == "gateway":
                change["drain_wait_seconds"] = GATEWAY_WAIT_SECONDS
            self.changes[service] = config.merged(self.changes.get(service, {}), change)
        super().prepare()
        for service in self.services:
            twin = service + SECOND
            text = json.loads(self.instance.config(service).read_text())
            text |= {"listen": f"127.0.0.1:{self.instance.port(twin)}", "health_listen": f"127.0.0.1:{self.instance.health_port(twin)}"}
            if service == "messaging":
                text["messaging"]["lmtp_listen"] = f"127.0.0.1:{self.instance.lmtp_port + 400}"
            write(self.instance.config(twin), config.text(text))
        self.balancer_config.write_text(BALANCER_CONFIG.format(
            port=self.instance.balancer_port, servers="\n".join(
                f"  server {name} 127.0.0.1:{self.instance.port(name)} check port {self.instance.metrics_port(name)} inter 100ms fall 1 rise 1"
                for name in ("gateway", f"gateway{SECOND}"))))

    @property
    def balancer_config(self):
        return self.folder / "config/balancer.cfg"

    def command(self, name: str) -> list[str]:
        return ["/usr/sbin/haproxy", "-db", "-f", str(self.balancer_config)] if name == BALANCER else super().command(name)

    def wait_ready(self, names: list[str] | None = None, seconds: float = READY_SECONDS) -> None:
        names = self.everybody if names is None else names
        super().wait_ready([name for name in names if name not in self.instance.twins], seconds)
        health.wait(self.instance, [name for name in names if name in self.instance.twins], seconds, alive=self.alive)
        if self.alive(BALANCER) and any(service_of(name) == "gateway" for name in names):
            eventually(lambda: self.api().call("GET", "/both").ok, seconds, "the balancer knows that both gateways are ready")


# It sends nothing twice but what no server has taken (retry-on conn-failure is its default).
BALANCER_CONFIG = """
global
  maxconn 500
defaults
  mode http
  timeout connect 5s
  timeout check 5s
  timeout client 60s
  timeout server 60s
  timeout tunnel 1h
  option redispatch
  retries 3
frontend public
  bind 127.0.0.1:{port}
  monitor-uri /both
  monitor fail if {{ nbsrv(gateways) lt 2 }}
  default_backend gateways
backend gateways
  balance roundrobin
  option httpchk GET /readyz
{servers}
"""
