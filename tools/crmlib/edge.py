"""The one gRPC address for other companies' systems: haproxy in front of the services' native ports. Its configuration is
made here from the descriptor set; docs/OPERATORS.md says what it lets through."""

import dataclasses
import socket
import time

from crmlib import console, descriptors, keys
from crmlib.instance import Instance, write

NAME = "edge"
# What a caller may say of a call besides its message. Everything else is dropped, first of all what services believe of
# each other: crm-tenant, crm-anonymous, crm-cause.
HEADERS = ("authorization", "content-type", "te", "user-agent", "grpc-timeout", "grpc-encoding", "grpc-accept-encoding",
           "idempotency-key", "traceparent", "accept-language", "crm-time-zone")
RATE_PER_SECOND = 200    # of one caller, on average over ten seconds
PUBLIC_PER_MINUTE = 300  # sign-ins and forms of one address, as at the gateway
CONNECTIONS_MAX = 1000
STREAMS_MAX = 100        # calls at once on one connection
BUFFER_BYTES = 32768     # all headers of a call: a token alone may take 8 KB


@dataclasses.dataclass
class Settings:
    """Where things are; the rest is the same everywhere."""
    bind: str                # "127.0.0.1:8043"
    metrics_bind: str        # /metrics, /livez, /readyz; keep it inside
    folder: str              # of the maps
    certificate: str         # chain and key in one file: what callers see
    partner_ca: str          # who signs callers' certificates
    client_certificate: str  # chain and key in one file: what services see, CN "edge"
    ca: str                  # who signs services' certificates
    backends: dict[str, str]  # service -> haproxy's words for its servers
    partners: str = ""       # the map from certificates to API keys; in the folder unless it says otherwise


def of(instance: Instance, changes: dict | None = None) -> Settings:
    """`changes`: fields of Settings that the operator sets."""
    backends = {service: f"server {service} 127.0.0.1:{instance.port(service)} check port {instance.metrics_port(service)}"
                for service in instance.services if service != "gateway"}
    bundle = str(instance.tls("edge-bundle.pem"))
    settings = Settings(f"127.0.0.1:{instance.edge_port}", f"127.0.0.1:{instance.edge_metrics_port}", str(instance.folder / "config"), bundle,
                        str(instance.tls("partner-ca.pem")), bundle, str(instance.tls("ca.pem")), backends)
    unknown = set(changes or {}) - {field.name for field in dataclasses.fields(Settings)}
    if unknown:
        raise console.Failure(f"the edge has no setting {', '.join(sorted(unknown))}", "tools/crmlib/edge.py lists them: bind, certificate ...")
    return dataclasses.replace(settings, **(changes or {}))


def prepare(instance: Instance, changes: dict | None = None, rpcs: list[descriptors.Rpc] | None = None) -> None:
    rpcs = descriptors.rpcs(instance.build / "crm.binpb") if rpcs is None else rpcs
    settings = of(instance, changes)
    write(config_path(instance), configuration(settings), 0o644)
    write(instance.folder / "config/edge-routes.map", routes(rpcs, settings.backends), 0o644)
    write(instance.folder / "config/edge-public.lst", public(rpcs, settings.backends), 0o644)
    if not partners_path(instance).exists():
        write(partners_path(instance), "")


def config_path(instance: Instance):
    return instance.folder / "config/edge.cfg"


def partners_path(instance: Instance):
    return instance.folder / "config/edge-partners.map"


def command(instance: Instance) -> list[str]:
    return ["/usr/sbin/haproxy", "-W", "-f", str(config_path(instance))]


def check(instance: Instance) -> None:
    console.command(["/usr/sbin/haproxy", "-c", "-q", "-f", config_path(instance)], "haproxy does not take its configuration", "see above; report it")


# Which rpcs.
def offered(rpcs: list[descriptors.Rpc], backends: dict[str, str]) -> dict[str, tuple[str, descriptors.Rpc]]:
    """path -> service and rpc, of all that a user or an API key may call. Rpcs of shared packages (crm.type, crm.events) are
    served by every service, so that a path alone would not say by which."""
    found = {}
    for rpc in rpcs:
        service = rpc.package.split(".")[1]
        if service in backends and rpc.who in ("public", "signed_in", "right"):
            found[rpc.path] = service, rpc
    return dict(sorted(found.items()))


def routes(rpcs: list[descriptors.Rpc], backends: dict[str, str]) -> str:
    return "".join(f"{path} {service}\n" for path, (service, _) in offered(rpcs, backends).items())


def public(rpcs: list[descriptors.Rpc], backends: dict[str, str]) -> str:
    return "".join(f"{path}\n" for path, (_, rpc) in offered(rpcs, backends).items() if rpc.who == "public")


# haproxy's words.
def refusal(code: int, text: str, condition: str, more: str = "") -> str:
    """An answer as gRPC has it when there is nothing but a status (Trailers-Only)."""
    return f'  http-request return status 200 hdr grpc-status {code} hdr grpc-message "{text}"{more} {condition}\n'


def configuration(settings: Settings) -> str:
    maps = settings.folder
    partners = settings.partners or f"{maps}/edge-partners.map"
    allowed = "|".join(HEADERS)
    secure = f"ssl crt {settings.client_certificate} ca-file {settings.ca} verify required alpn h2 no-check-ssl"
    text = f"""# Made by tools/crmlib/edge.py: edit that, or /etc/crm/local.json.
global
  log stdout format raw local0 info
  maxconn {CONNECTIONS_MAX + 200}
  tune.bufsize {BUFFER_BYTES}
  tune.h2.max-concurrent-streams {STREAMS_MAX}
  ssl-default-bind-options ssl-min-ver TLSv1.2 no-tls-tickets
  ssl-default-bind-ciphers ECDHE+AESGCM:ECDHE+CHACHA20
  ssl-default-server-options ssl-min-ver TLSv1.3
  hard-stop-after 45s

defaults
  mode http
  log global
  timeout connect 3s
  timeout http-request 10s
  timeout client 10m
  timeout server 10m
  timeout queue 5s
  timeout check 3s
  retries 2
  retry-on conn-failure
  option redispatch

# Two tables of who has called how often.
backend rate_of_callers
  stick-table type binary len 32 size 100k expire 1m store http_req_rate(10s)
backend rate_of_addresses
  stick-table type ipv6 size 100k expire 2m store http_req_rate(1m)

frontend inside
  bind {settings.metrics_bind}
  option dontlog-normal
  http-request use-service prometheus-exporter if {{ path /metrics }}
  http-request return status 200 content-type text/plain string "ok" if {{ path /livez /readyz }}
  http-request return status 404

frontend partners
  bind {settings.bind} ssl crt {settings.certificate} ca-file {settings.partner_ca} verify optional alpn h2
  maxconn {CONNECTIONS_MAX}
  log-format '{{"ts":"%[date,utime(%Y-%m-%dT%H:%M:%S)]Z","level":"info","svc":"edge","msg":"served","rpc":"%[var(txn.path),json(utf8s)]","http":%ST,"code":"%[var(txn.code),json(utf8s)]","ms":%Tr,"bytes":%B,"from":"%ci","certificate":"%[ssl_c_s_dn(cn),json(utf8s)]","request_id":"%[var(txn.id),json(utf8s)]","backend":"%b","end":"%ts"}}'
  http-request set-var(txn.path) path
  http-request set-var(txn.id) uuid()
  http-after-response set-var(txn.code) res.hdr(grpc-status)
  http-after-response set-header content-type application/grpc if {{ var(txn.code) -m found }}
  acl is_public var(txn.path) -m str -f {maps}/edge-public.lst
  acl is_offered var(txn.path),map_str({maps}/edge-routes.map) -m found
  acl has_token req.hdr(authorization) -m found
  acl has_certificate ssl_c_used

  # Only gRPC over HTTP/2.
  http-request return status 505 content-type text/plain string "gRPC over HTTP/2 only" unless {{ req.ver 2.0 }}
  http-request return status 415 content-type text/plain string "application/grpc only" unless {{ method POST }} {{ req.hdr(content-type) -m beg application/grpc }} !{{ req.hdr(content-type) -m beg application/grpc-web }}
  http-request del-header ^(?!({allowed})$) -m reg
  http-request set-header crm-request-id %[var(txn.id)]

  # Only what users and API keys may call; no health, no reflection.
"""
    text += refusal(12, "This address does not offer the method.", "unless is_offered")
    text += f"""
  # Who: a token or an API key, or a certificate that stands for an API key. An unknown certificate never gets this far.
"""
    text += refusal(16, "One header authorization is enough.", "if { req.hdr_cnt(authorization) gt 1 }")
    text += f"""  http-request set-header authorization "Bearer %[ssl_c_der,sha2(256),hex,lower,map_str({partners})]" if !has_token has_certificate {{ ssl_c_der,sha2(256),hex,lower,map_str({partners}) -m found }}
"""
    text += refusal(16, "This call needs a token: send authorization Bearer with an API key or an access token, or a certificate that is registered.", "if !is_public !has_token")
    text += f"""
  # How often.
  http-request track-sc0 req.hdr(authorization),sha2(256) table rate_of_callers if has_token
  http-request track-sc1 src table rate_of_addresses if is_public
"""
    pushback = " hdr grpc-retry-pushback-ms 1000"
    text += refusal(8, "Too many calls: slow down and send it again.", f"if {{ sc0_http_req_rate(rate_of_callers) gt {RATE_PER_SECOND * 10} }}", pushback)
    text += refusal(8, "Too many calls without a token from this address: wait a minute.", f"if is_public {{ sc1_http_req_rate(rate_of_addresses) gt {PUBLIC_PER_MINUTE} }}", pushback)
    text += f"""
  use_backend %[var(txn.path),map_str({maps}/edge-routes.map)]
"""
    for service, server in settings.backends.items():
        host = service.replace("_", "-")
        text += f"""
backend {service}
  option httpchk GET /readyz
  default-server {secure} verifyhost {host} sni str({host}) inter 1s fall 2 rise 1 maxconn 2000
  {server}
"""
    return text


# Other companies' certificates.
def register(instance: Instance, name: str, secret: str) -> None:
    """Makes a certificate for the partner and writes down which API key it stands for; one that is there is kept, with the new key."""
    keys.make_partner(instance, name)
    fingerprint = keys.fingerprint(instance.tls(f"partner-{name}.pem"))
    lines = [line for line in partners_path(instance).read_text().splitlines() if not line.startswith(fingerprint)]
    write(partners_path(instance), "".join(f"{line}\n" for line in [*lines, f"{fingerprint} {secret}"]))


def answers(instance: Instance) -> bool:
    """By its inner port: where others call is the operator's choice."""
    try:
        with socket.create_connection(("127.0.0.1", instance.edge_metrics_port), timeout=1):
            return True
    except OSError:
        return False


def wait(instance: Instance, seconds: float = 60, alive=lambda: True) -> None:
    deadline = time.monotonic() + seconds
    while not answers(instance):
        if time.monotonic() > deadline or not alive():
            raise console.Failure(f"the edge does not answer on port {instance.edge_metrics_port}", "its log says why", log=instance.log(NAME))
        time.sleep(0.05)
