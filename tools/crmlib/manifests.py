"""tools/crm manifests [--check]: writes what k8s/, deploy/compose.yaml, deploy/grafana and docs/CONFIGURATION.md repeat per service, from the
lists here, the services' sources and the descriptor set. The results are committed; a test says when they are out of date."""

import re
from pathlib import Path

from crmlib import config, console, containers, dashboards, descriptors, edge, paths, reference, yaml
from crmlib.containers import CONFIG, EDGE, EDGE_METRICS, GRPC, HEALTH, HTTP, LMTP, METRICS, SETTINGS, host
from crmlib.instance import write

HEAD = "# Made by tools/crm manifests (tools/crmlib/manifests.py): edit that.\n"
# Pods at least and at most, CPU asked for (millicores), memory (MiB).
SIZES = {"gateway": (2, 10, 500, 512), "identity": (2, 6, 250, 384), "contact": (2, 10, 500, 512), "deal_pipeline": (2, 10, 500, 512),
         "messaging": (2, 8, 250, 768), "scheduler": (2, 6, 250, 512), "analytics": (2, 6, 500, 768)}
DEFAULT_SIZE = (2, 6, 250, 512)
SETTLE_SECONDS = 10     # until every caller has noticed that a pod goes
GRACE_SECONDS = SETTLE_SECONDS + 30 + 5  # and the longest call, and a little
USER = 10001
PART_OF = {"app.kubernetes.io/part-of": "crm"}
DNS_PORTS = [{"protocol": "UDP", "port": 53}, {"protocol": "TCP", "port": 53}]
# Addresses of ours and of clouds' own services: nothing that a tenant names may lead there.
PRIVATE = ["10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16"]
OUTSIDE_PORTS = {"messaging": (25, 465, 587, 443), "scheduler": (443,), "gateway": (443,)}  # letters and webhooks


def run(args: list[str]) -> int:
    if args not in ([], ["--check"]):
        raise console.Failure("manifests knows --check alone", "tools/crm manifests writes them")
    binpb = paths.build_dir(paths.PRESET) / "crm.binpb"
    stale = sorted(str(path.relative_to(paths.ROOT)) for path, text in files(binpb).items() if not path.exists() or path.read_text() != text)
    if args:
        if stale:
            raise console.Failure(f"out of date: {', '.join(stale)}", "run tools/crm manifests and commit what it writes")
        return 0
    for path, text in files(binpb).items():
        write(path, text, 0o644)
    console.say(f"{len(stale)} written: {', '.join(stale)}" if stale else "All are up to date.")
    return 0


def files(binpb: Path) -> dict[Path, str]:
    base = paths.ROOT / "k8s/base"
    made: dict[Path, str] = {}
    for service in containers.services():
        made[base / f"{host(service)}.yaml"] = HEAD + yaml.documents(manifests(service))
        made[base / f"config/{host(service)}.json"] = config.text(containers.serve(containers.Containers(), service, SETTLE_SECONDS))
        if service != "gateway":
            made[base / f"config/{host(service)}-migrate.json"] = config.text(containers.migrate(containers.Containers(), service))
    made[base / "edge.yaml"] = HEAD + yaml.documents(edge_manifests())
    for name, text in edge_files("server-template {service} 16 {host}:{grpc} check port {metrics} resolvers names init-addr none resolve-prefer ipv4",
                                 binpb, client="/etc/crm/tls/tls-combined.pem", public="/etc/crm/public/tls-combined.pem").items():
        made[base / "config" / name] = text
    made[base / "kustomization.yaml"] = HEAD + yaml.documents([kustomization()])
    made[paths.ROOT / "k8s/components/cert-manager/certificates.yaml"] = HEAD + yaml.documents(certificates())
    made[paths.ROOT / "k8s/components/monitoring/monitors.yaml"] = HEAD + yaml.documents(monitors())
    made[paths.ROOT / "k8s/components/monitoring/rules.yaml"] = HEAD + rules()
    made[paths.ROOT / "deploy/compose.yaml"] = HEAD + yaml.documents([compose()])
    made |= dashboards.files()
    made[paths.ROOT / "docs/CONFIGURATION.md"] = reference.text(binpb)
    return made


# Who calls whom, as the sources say.
def calls(service: str) -> list[str]:
    known = [name for name in containers.services() if name != "gateway"]
    if service in ("gateway", "edge"):
        return known
    text = "".join(path.read_text() for path in sorted((paths.ROOT / "services" / service).rglob("*.cc")) + sorted((paths.ROOT / "services" / service).rglob("*.h")))
    named = set(re.findall(r'(?:Hear|peer|Find|BatchGetRefs)\(\s*"([a-z_]+)"', text)) | {"identity"}  # everybody asks it for rights
    return [name for name in known if name in named and name != service]


def callers(service: str) -> list[str]:
    return [name for name in [*containers.services(), "edge"] if service in calls(name)]


# Parts.
def labels(name: str) -> dict:
    return {"app.kubernetes.io/name": name} | PART_OF


def pods(name: str) -> dict:
    return {"podSelector": {"matchLabels": {"app.kubernetes.io/name": name}}}


def meta(name: str, of: str | None = None, **more) -> dict:
    return {"name": name, "labels": labels(of or name)} | more


def probe(path: str, period: int, failures: int, **more) -> dict:
    return {"httpGet": {"path": path, "port": "metrics"}, "periodSeconds": period, "failureThreshold": failures, "timeoutSeconds": 2} | more


SECURE_CONTAINER = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}
SECURE_POD = {"runAsNonRoot": True, "runAsUser": USER, "runAsGroup": USER, "fsGroup": USER, "seccompProfile": {"type": "RuntimeDefault"}}


def resources(cpu: int, memory: int) -> dict:
    """Memory is limited to what is asked for, so that nobody is evicted for a neighbour; CPU is not, so that nobody is throttled."""
    return {"requests": {"cpu": f"{cpu}m", "memory": f"{memory}Mi"}, "limits": {"memory": f"{memory}Mi"}}


def spread(name: str) -> list[dict]:
    return [{"maxSkew": 1, "topologyKey": key, "whenUnsatisfiable": "ScheduleAnyway", "labelSelector": {"matchLabels": {"app.kubernetes.io/name": name}}}
            for key in ("topology.kubernetes.io/zone", "kubernetes.io/hostname")]


def deployment(name: str, image: str, command: dict, ports: dict[str, int], volumes: dict[str, tuple[str, dict]], size: tuple, probes: dict, grace: int) -> dict:
    """`volumes`: name -> (where it is mounted, its source)."""
    container = {"name": name, "image": image, "imagePullPolicy": "IfNotPresent"} | command | {
        "ports": [{"name": port, "containerPort": number, "protocol": "TCP"} for port, number in ports.items()],
        "resources": resources(*size[2:]), "securityContext": SECURE_CONTAINER} | probes | {
        "volumeMounts": [{"name": volume, "mountPath": path} | ({} if volume == "tmp" else {"readOnly": True}) for volume, (path, _) in volumes.items()]}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta(name), "spec": {
        "minReadySeconds": 2, "revisionHistoryLimit": 3, "progressDeadlineSeconds": 300,
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
        "selector": {"matchLabels": {"app.kubernetes.io/name": name}},
        "template": {"metadata": {"labels": labels(name)}, "spec": {
            "serviceAccountName": name, "automountServiceAccountToken": False, "enableServiceLinks": False, "terminationGracePeriodSeconds": grace,
            "securityContext": SECURE_POD, "topologySpreadConstraints": spread(name), "containers": [container],
            "volumes": [{"name": volume} | source for volume, (_, source) in volumes.items()]}}}}


def around(name: str, size: tuple) -> list[dict]:
    """What every Deployment has beside it."""
    selector = {"matchLabels": {"app.kubernetes.io/name": name}}
    return [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta(name), "automountServiceAccountToken": False},
        {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": meta(name),
         "spec": {"maxUnavailable": 1, "unhealthyPodEvictionPolicy": "AlwaysAllow", "selector": selector}},
        {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": meta(name), "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name}, "minReplicas": size[0], "maxReplicas": size[1],
            "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 65}}}],
            "behavior": {"scaleDown": {"stabilizationWindowSeconds": 300}}}},
    ]


def network(name: str, ingress: list[dict], egress: list[dict]) -> dict:
    return {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": meta(name), "spec": pods(name) | {
        "policyTypes": ["Ingress", "Egress"], "ingress": [*ingress, from_monitoring(METRICS)], "egress": egress}}


def from_monitoring(port: int) -> dict:
    return {"from": [{"namespaceSelector": {"matchLabels": {"crm/monitoring": "allowed"}}}], "ports": [{"protocol": "TCP", "port": port}]}


def tcp(*ports: int) -> list[dict]:
    return [{"protocol": "TCP", "port": port} for port in ports]


def to_data(database: bool = True) -> list[dict]:
    return ([{"to": [{"podSelector": {"matchLabels": {"crm/role": "postgres"}}}], "ports": tcp(5432)}] if database else []) + [
        {"to": [{"podSelector": {"matchLabels": {"crm/role": "redis"}}}], "ports": tcp(6379)}]


# A service.
def manifests(service: str) -> list[dict]:
    name, size = host(service), SIZES.get(service, DEFAULT_SIZE)
    ports = {"http": HTTP} if service == "gateway" else {"grpc": GRPC}
    ports |= {"health": HEALTH, "metrics": METRICS}
    if service == "messaging":
        ports["lmtp"] = LMTP
    volumes = {"config": (str(CONFIG), {"configMap": {"name": f"{name}-config"}}),
               "tls": (str(SETTINGS / "tls"), {"secret": {"secretName": f"{name}-tls", "defaultMode": 0o440}}),
               "secrets": (str(SETTINGS / "secrets"), {"secret": {"secretName": f"{name}-secrets", "defaultMode": 0o440}}),
               "tmp": ("/tmp", {"emptyDir": {"sizeLimit": "1Gi"}})}
    probes = {"startupProbe": probe("/livez", 1, 60), "readinessProbe": probe("/readyz", 2, 2), "livenessProbe": probe("/livez", 10, 3)}
    made = [deployment(name, f"crm/{name}", {"args": [f"--config={CONFIG}/config.json"]}, ports, volumes, size, probes, GRACE_SECONDS)]
    if service == "gateway":
        spec = {"type": "ClusterIP", "ports": [{"name": "http", "port": 80, "targetPort": "http", "appProtocol": "http"}]}
    else:  # headless: callers see every pod and balance by themselves
        spec = {"clusterIP": "None", "ports": [{"name": "grpc", "port": GRPC, "targetPort": "grpc", "appProtocol": "grpc"}]}
    if service == "messaging":
        spec["ports"].append({"name": "lmtp", "port": LMTP, "targetPort": "lmtp"})
    made.append({"apiVersion": "v1", "kind": "Service", "metadata": meta(name), "spec": spec | {"selector": {"app.kubernetes.io/name": name}}})
    made += around(name, size)
    if service == "gateway":
        ingress = [{"from": [{"namespaceSelector": {"matchLabels": {"crm/ingress": "allowed"}}}], "ports": tcp(HTTP)}]
    else:
        ingress = [{"from": [pods(host(caller)) for caller in callers(service)], "ports": tcp(GRPC)}]
    if service == "messaging":
        ingress.append({"from": [{"podSelector": {"matchLabels": {"crm/role": "mail-server"}}}], "ports": tcp(LMTP)})
    egress = [*to_data(service != "gateway"), {"to": [pods(host(callee)) for callee in calls(service)], "ports": tcp(GRPC)}]
    if service in OUTSIDE_PORTS:
        egress.append({"to": [{"ipBlock": {"cidr": "0.0.0.0/0", "except": PRIVATE}}], "ports": tcp(*OUTSIDE_PORTS[service])})
    made.append(network(name, ingress, egress))
    if service != "gateway":
        made += migration(name)
    return made


def migration(name: str) -> list[dict]:
    """Runs before the rollout; what it changes suits the release before it. An advisory lock keeps two from meeting."""
    job = f"{name}-migrate"
    mounts = {"config": (str(CONFIG), {"configMap": {"name": f"{job}-config"}}),
              "secrets": (str(SETTINGS / "secrets"), {"secret": {"secretName": f"{job}-secrets", "defaultMode": 0o440}})}
    component = {"app.kubernetes.io/component": "migration"}
    return [
        {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": job, "labels": labels(job) | component}, "spec": {
            "backoffLimit": 6, "activeDeadlineSeconds": 3600, "ttlSecondsAfterFinished": 600,
            "template": {"metadata": {"labels": labels(job) | component}, "spec": {
                "serviceAccountName": name, "automountServiceAccountToken": False, "enableServiceLinks": False, "restartPolicy": "OnFailure",
                "securityContext": SECURE_POD,
                "containers": [{"name": job, "image": f"crm/{name}", "imagePullPolicy": "IfNotPresent", "args": ["migrate", f"--config={CONFIG}/migrate.json"],
                                "resources": resources(100, 128), "securityContext": SECURE_CONTAINER,
                                "volumeMounts": [{"name": volume, "mountPath": path, "readOnly": True} for volume, (path, _) in mounts.items()]}],
                "volumes": [{"name": volume} | source for volume, (_, source) in mounts.items()]}}}},
        {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": job, "labels": labels(job)},
         "spec": pods(job) | {"policyTypes": ["Ingress", "Egress"], "ingress": [], "egress": to_data()[:1]}},
    ]


# The address for other companies' systems.
RESOLVERS = """
resolvers names
  parse-resolv-conf
  hold valid 5s
  accepted_payload_size 8192
"""


def edge_files(server: str, binpb: Path | None = None, client: str = "/etc/crm/tls/edge-bundle.pem", public: str | None = None) -> dict[str, str]:
    binpb = binpb or paths.build_dir(paths.PRESET) / "crm.binpb"
    rpcs = descriptors.rpcs(binpb)
    backends = {service: server.format(service=service, host=host(service), grpc=GRPC, metrics=METRICS)
                for service in containers.services() if service != "gateway"}
    partner_ca = "/etc/crm/tls/partner-ca.crt" if public is None else "/etc/crm/partner-ca/ca.crt"
    settings = edge.Settings(f":{EDGE}", f":{EDGE_METRICS}", str(CONFIG), public or client, partner_ca, client, "/etc/crm/tls/ca.crt", backends,
                             f"{CONFIG}/edge-partners.map" if public is None else "/etc/crm/partners/edge-partners.map")
    return {"edge.cfg": edge.configuration(settings) + RESOLVERS, "edge-routes.map": edge.routes(rpcs, backends), "edge-public.lst": edge.public(rpcs, backends)}


def edge_manifests() -> list[dict]:
    secret = {name: {"secret": {"secretName": source, "defaultMode": 0o440}} for name, source in
              (("tls", "edge-tls"), ("public", "edge-public-tls"), ("partner-ca", "partner-ca"), ("partners", "edge-partners"))}
    volumes = {"config": (str(CONFIG), {"configMap": {"name": "edge-config"}})} | {name: (str(SETTINGS / name), source) for name, source in secret.items()} | {
        "tmp": ("/tmp", {"emptyDir": {"sizeLimit": "64Mi"}})}
    size = (2, 6, 250, 256)
    command = {"command": ["haproxy", "-W", "-f", f"{CONFIG}/edge.cfg"],
               "lifecycle": {"preStop": {"exec": {"command": ["sleep", str(SETTLE_SECONDS)]}}}}
    probes = {"startupProbe": probe("/livez", 1, 60), "readinessProbe": probe("/readyz", 2, 2), "livenessProbe": probe("/livez", 10, 3)}
    made = deployment("edge", "haproxy", command, {"grpcs": EDGE, "metrics": EDGE_METRICS}, volumes, size, probes, SETTLE_SECONDS + 45 + 5)
    return [made,
            {"apiVersion": "v1", "kind": "Service", "metadata": meta("edge"), "spec": {
                "type": "ClusterIP", "ports": [{"name": "grpcs", "port": 443, "targetPort": "grpcs"}], "selector": {"app.kubernetes.io/name": "edge"}}},
            *around("edge", size),
            network("edge", [{"ports": tcp(EDGE)}], [{"to": [pods(host(callee)) for callee in calls("edge")], "ports": tcp(GRPC, METRICS)}])]


# All of it.
def kustomization() -> dict:
    names = [host(service) for service in containers.services()]
    generators = []
    for service in containers.services():
        name = host(service)
        generators.append({"name": f"{name}-config", "files": [f"config.json=config/{name}.json"]})
        if service != "gateway":
            generators.append({"name": f"{name}-migrate-config", "files": [f"migrate.json=config/{name}-migrate.json"]})
    generators.append({"name": "edge-config", "files": [f"config/{name}" for name in ("edge.cfg", "edge-routes.map", "edge-public.lst")]})
    return {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization",
            "resources": ["namespace.yaml", "policies.yaml", *(f"{name}.yaml" for name in names), "edge.yaml"], "configMapGenerator": generators}


def certificates() -> list[dict]:
    """One a process; the name in it is how the others know it."""
    made = []
    for service in [*containers.services(), "edge"]:
        name = host(service)
        spec = {"secretName": f"{name}-tls", "commonName": service, "duration": "2160h", "renewBefore": "720h",
                "dnsNames": [name],
                "privateKey": {"algorithm": "ECDSA", "size": 256, "rotationPolicy": "Always"}, "usages": ["server auth", "client auth", "digital signature"],
                "issuerRef": {"name": "crm-internal", "kind": "Issuer"}}
        if service == "edge":
            spec["additionalOutputFormats"] = [{"type": "CombinedPEM"}]
        made.append({"apiVersion": "cert-manager.io/v1", "kind": "Certificate", "metadata": meta(f"{name}-tls", name), "spec": spec})
    return made


def monitors() -> list[dict]:
    return [{"apiVersion": "monitoring.coreos.com/v1", "kind": "PodMonitor", "metadata": meta("crm") | {"labels": dict(PART_OF)}, "spec": {
        "selector": {"matchLabels": dict(PART_OF)}, "podTargetLabels": ["app.kubernetes.io/name"],
        "podMetricsEndpoints": [{"port": "metrics", "path": "/metrics", "interval": "15s",
                                 "relabelings": [{"sourceLabels": ["__meta_kubernetes_pod_label_app_kubernetes_io_name"], "targetLabel": "service"}]}]}}]


def rules() -> str:
    """deploy/monitoring/alerts.yaml, which promtool checks, as a PrometheusRule."""
    text = (paths.ROOT / "deploy/monitoring/alerts.yaml").read_text()
    groups = text[text.index("groups:"):]
    head = yaml.documents([{"apiVersion": "monitoring.coreos.com/v1", "kind": "PrometheusRule", "metadata": {"name": "crm", "labels": dict(PART_OF)}}])
    return head + "spec:\n" + "".join(f"  {line}".rstrip() + "\n" for line in groups.splitlines())


# One machine with containers.
def compose() -> dict:
    made: dict = {
        "postgres": {"image": "postgres:15", "restart": "unless-stopped", "command": ["-c", "jit=off", "-c", "max_connections=300", "-c", "random_page_cost=1.1"],
                     "environment": {"POSTGRES_USER": config.ADMIN, "POSTGRES_DB": config.DATABASE, "POSTGRES_PASSWORD_FILE": "/run/crm/admin.password"},
                     "volumes": ["postgres:/var/lib/postgresql/data", "./compose/postgres:/run/crm:ro"],
                     "healthcheck": {"test": ["CMD", "pg_isready", "-U", config.ADMIN], "interval": "2s", "retries": 60}},
        "redis": {"image": "redis:7", "restart": "unless-stopped", "command": ["redis-server", "/etc/redis.conf"],
                  "volumes": ["./compose/redis/redis.conf:/etc/redis.conf:ro"]}}
    for service in containers.services():
        name = host(service)
        build = {"context": "..", "dockerfile": "deploy/Dockerfile", "args": {"SERVICE": service}}
        secure = {"read_only": True, "cap_drop": ["ALL"], "security_opt": ["no-new-privileges:true"]}
        depends = {"postgres": {"condition": "service_healthy"}}
        if service != "gateway":
            made[f"{name}-migrate"] = {"image": f"crm/{name}", "build": build, "command": ["migrate", f"--config={CONFIG}/config.json"], "restart": "on-failure",
                                       "volumes": [f"./compose/{service}-migrate:{SETTINGS}:ro"], "depends_on": depends} | secure
            depends = {f"{name}-migrate": {"condition": "service_completed_successfully"}}
        made[name] = {"image": f"crm/{name}", "build": build, "restart": "unless-stopped", "volumes": [f"./compose/{service}:{SETTINGS}:ro"],
                      "tmpfs": ["/tmp"], "stop_grace_period": "45s", "depends_on": depends} | secure
    made["gateway"]["ports"] = [f"127.0.0.1:{HTTP}:{HTTP}"]
    made["edge"] = {"image": "haproxy:2.6", "restart": "unless-stopped", "command": ["haproxy", "-W", "-f", f"{CONFIG}/edge.cfg"],
                    "volumes": [f"./compose/edge:{SETTINGS}:ro"], "ports": [f"127.0.0.1:{EDGE}:{EDGE}"], "depends_on": [host(s) for s in containers.services()]}
    return {"name": "crm", "services": made, "volumes": {"postgres": {}}}
