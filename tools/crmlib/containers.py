"""An instance whose processes are containers, each with a name and the same ports as all others: for deploy/compose.yaml and k8s/."""

from pathlib import Path

from crmlib import config, paths
from crmlib.instance import Instance

# In every container; gRPC, health, metrics, and letters that come in.
HTTP, GRPC, HEALTH, METRICS, LMTP, EDGE, EDGE_METRICS = 8080, 7100, 7200, 7300, 7400, 8443, 7300
RELEASE, SETTINGS = Path("/opt/crm"), Path("/etc/crm")
CONFIG = SETTINGS / "config"  # beside tls/ and secrets/: each is a mount of its own


def host(service: str) -> str:
    return service.replace("_", "-")


class Containers(Instance):
    source = RELEASE

    def __init__(self, folder: Path = SETTINGS):
        super().__init__("containers", folder, 7000, RELEASE)

    # Each container sees its own certificate and secrets only, under the same names.
    def tls(self, name: str) -> Path:
        return SETTINGS / "tls" / {"ca.pem": "ca.crt"}.get(name, "tls.crt" if name.endswith(".pem") else "tls.key")

    def secret(self, name: str) -> Path:
        return SETTINGS / "secrets" / name

    postgres_port, redis_port = 5432, 6379


def serve(instance: Containers, service: str, settle: float = 0) -> dict:
    """`settle`: seconds that callers take to notice that it is going."""
    made = config.serve(instance, service)
    made |= {"listen": f"0.0.0.0:{HTTP if service == 'gateway' else GRPC}", "health_listen": f"0.0.0.0:{HEALTH}", "metrics_listen": f"0.0.0.0:{METRICS}",
             "peers": {peer: f"dns:///{host(peer)}:{GRPC}" for peer in made["peers"]}, "drain_wait_seconds": settle}
    made["redis"]["host"] = "redis"
    if "postgres" in made:
        made["postgres"]["host"] = "postgres"
    if service == "gateway":
        made["gateway"] |= {"static_dirs": [str(RELEASE / "static")], "secure_cookies": True}
    if service == "messaging" and "messaging" in made:
        made["messaging"]["lmtp_listen"] = f"0.0.0.0:{LMTP}"
        made["messaging"].pop("allowed_hosts", None)
    return made


def migrate(instance: Containers, service: str) -> dict:
    made = config.migrate(instance, service)
    made["postgres"]["host"] = "postgres"
    return made


def secrets_of(service: str) -> list[str]:
    """Files that its configuration names in SETTINGS/secrets; the migration's password is the Job's alone."""
    instance = Containers()
    found = []

    def walk(value) -> None:
        if isinstance(value, dict):
            for inner in value.values():
                walk(inner)
        elif isinstance(value, str) and value.startswith(f"{SETTINGS}/secrets/"):
            found.append(value.rsplit("/", 1)[1])

    walk(serve(instance, service))
    return found


def services() -> list[str]:
    return sorted(paths.services(), key=Containers().place)


def redis_text(store: Instance) -> str:
    """Redis's configuration as that of `store`, in a container."""
    text = (store.folder / "config/redis.conf").read_text()
    return text.replace("bind 127.0.0.1", "bind 0.0.0.0").replace(f"port {store.redis_port}", "port 6379").replace(f"dir {store.folder}", "dir /tmp")
