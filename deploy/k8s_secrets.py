"""The Secrets that k8s/README.md lists, but for those of the operator's own. Made in a temporary folder; only the output stays."""

import base64
import sys
import tempfile
from pathlib import Path

from crmlib import config, console, containers, keys, paths, redis, yaml
from crmlib.instance import Instance


def main(args: list[str]) -> int:
    if len(args) != 1 or not args[0].replace("-", "").isalnum():
        raise console.Failure("one namespace is wanted", "deploy/k8s-secrets crm | kubectl apply -f -")
    with tempfile.TemporaryDirectory() as folder:
        store = Instance("kubernetes", Path(folder), 7000, paths.ROOT)
        keys.prepare(store)
        print("---\n".join(yaml.documents([secret]) for secret in secrets(store, args[0])), end="")
    return 0


def secrets(store: Instance, namespace: str) -> list[dict]:
    made = []

    def add(name: str, files: dict[str, str]) -> None:
        made.append({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": namespace, "labels": {"app.kubernetes.io/part-of": "crm"}},
                     "type": "Opaque", "data": {key: base64.b64encode(text.encode()).decode() for key, text in files.items()}})

    for service in containers.services():
        name = containers.host(service)
        add(f"{name}-secrets", {file: store.secret(file).read_text() for file in containers.secrets_of(service)})
        if service != "gateway":
            add(f"{name}-migrate-secrets", {file: store.secret(file).read_text() for file in (f"{service}.password", f"{service}_worker.password", "admin.password")})
    redis.prepare(store)
    add("redis-config", {"redis.conf": containers.redis_text(store)})
    add("edge-partners", {"edge-partners.map": ""})
    add("crm-db-admin", {"username": config.ADMIN, "password": store.secret("admin.password").read_text()})
    return made


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except console.Failure as failure:
        console.report("k8s-secrets", failure)
        sys.exit(1)
