"""deploy/compose/<service>/{config.json,tls,secrets}: each container gets its own folder and sees nobody else's keys."""

import shutil
import sys
from pathlib import Path

from crmlib import config, console, containers, keys, manifests, paths, redis
from crmlib.instance import Instance, write

FOLDER = Path(__file__).resolve().parent / "compose"


def main(folder: Path) -> int:
    store = Instance("compose", folder / "keys", 7000, paths.ROOT)
    keys.prepare(store)
    names = containers.Containers()
    for service in containers.services():
        own = folder / service
        put_tls(store, service, own)
        for secret in containers.secrets_of(service):
            put(store.secret(secret), own / "secrets" / secret)
        made = containers.serve(names, service)
        if service == "gateway":
            made["gateway"]["secure_cookies"] = False  # compose.yaml publishes plain HTTP, on this machine alone
        write(own / "config/config.json", config.text(made), 0o644)
        if service != "gateway":
            migrating = folder / f"{service}-migrate"
            for secret in (f"{service}.password", f"{service}_worker.password", "admin.password"):
                put(store.secret(secret), migrating / "secrets" / secret)
            write(migrating / "config/config.json", config.text(containers.migrate(names, service)), 0o644)
    put_edge(store, folder / "edge")
    put(store.secret("admin.password"), folder / "postgres/admin.password")
    redis.prepare(store)
    write(folder / "redis/redis.conf", containers.redis_text(store), 0o644)
    return 0


def put(source: Path, target: Path) -> None:
    """Readable to the container's user, who is not ours; the folder around is closed to others."""
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
    target.chmod(0o444)


def put_tls(store: Instance, name: str, own: Path) -> None:
    for source, target in ((f"{name}.pem", "tls.crt"), (f"{name}.key", "tls.key"), ("ca.pem", "ca.crt")):
        put(store.tls(source), own / "tls" / target)


def put_edge(store: Instance, own: Path) -> None:
    put(store.tls("edge-bundle.pem"), own / "tls/edge-bundle.pem")
    put(store.tls("ca.pem"), own / "tls/ca.crt")
    put(store.tls("partner-ca.pem"), own / "tls/partner-ca.crt")
    for name, text in manifests.edge_files("server {service} {host}:{grpc} check port {metrics} resolvers names init-addr none resolve-prefer ipv4").items():
        write(own / "config" / name, text, 0o644)
    if not (own / "config/edge-partners.map").exists():
        write(own / "config/edge-partners.map", "", 0o644)


if __name__ == "__main__":
    try:
        FOLDER.mkdir(mode=0o700, exist_ok=True)
        sys.exit(main(FOLDER))
    except console.Failure as failure:
        console.report("compose-keys", failure)
        sys.exit(1)
