#!/usr/bin/env python3
"""k8s/ without a cluster: renders, and is right by schemas, types, our own rules and promtool. Every check is shown something wrong, too."""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.dont_write_bytecode = True
sys.path.insert(0, str(ROOT / "tools"))

from crmlib import containers, manifests  # noqa: E402

MODULES = ROOT / "tools/npm/node_modules"
BUILD = Path(os.environ.get("CRM_BUILD") or ROOT / "build/dev")
OVERLAYS = ("dev", "staging", "prod")
KUBECTL_MINOR = 28  # components and Kustomize 5; Debian's own is 1.20


def kubectl() -> bool:
    if not shutil.which("kubectl"):
        return False
    shown = subprocess.run(["kubectl", "version", "--client"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout
    match = re.search(r"v1\.(\d+)\.", shown) or re.search(r'Minor:"(\d+)', shown)
    return bool(match) and int(match[1]) >= KUBECTL_MINOR


def secrets() -> list[str]:
    """What k8s/README.md has the operator make."""
    return sorted(set(re.findall(r"^\| `([a-z-]+)` \|", (ROOT / "k8s/README.md").read_text(), re.M)))


@unittest.skipUnless(kubectl(), f"no kubectl of at least 1.{KUBECTL_MINOR}: k8s/ is not rendered here")
class RenderedTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = Path(tempfile.mkdtemp(prefix="crm-k8s-"))
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        cls.rendered = {overlay: subprocess.run(["kubectl", "kustomize", ROOT / "k8s/overlays" / overlay], stdout=subprocess.PIPE, check=True, text=True).stdout
                        for overlay in OVERLAYS}

    def complaints(self, cases: list[tuple[str, bool, bool]]) -> list[list[str]]:
        """Of each (text, whether types are checked, whether images must be pinned)."""
        calls = {containers.host(name): [containers.host(callee) for callee in manifests.calls(name)] for name in [*containers.services(), "edge"]}
        options = []
        for number, (text, types, pinned) in enumerate(cases):
            documents = self.folder / f"documents-{number}.yaml"
            documents.write_text(text)
            options.append({"documents": str(documents), "secrets": secrets(), "calls": calls, "pinned": pinned, "types": types})
        file = self.folder / "options.json"
        file.write_text(json.dumps(options))
        done = subprocess.run(["node", ROOT / "tests/lint/k8s_check.mjs", MODULES, self.folder / "types", file], stdout=subprocess.PIPE, check=True, text=True,
                              env=os.environ | {"NODE_NO_WARNINGS": "1"})
        return json.loads(done.stdout)

    def test_every_overlay_is_right(self):
        # Staging has nothing that the other two have not: its types are theirs.
        found = self.complaints([(text, overlay != "staging", overlay != "dev") for overlay, text in self.rendered.items()])
        for overlay, complaints in zip(self.rendered, found):
            with self.subTest(overlay):
                self.assertEqual(complaints, [])

    def test_each_process_is_there(self):
        names = re.findall(r"^kind: (\w+)\nmetadata:\n(?:  .*\n)*?  name: ([\w-]+)$", self.rendered["prod"], re.M)
        for service in containers.services():
            name = containers.host(service)
            wanted = ["Deployment", "Service", "ServiceAccount", "PodDisruptionBudget", "NetworkPolicy"]
            for kind in wanted:
                self.assertIn((kind, name), names)
            if service != "gateway":
                self.assertIn(("Job", f"{name}-migrate"), names)
        for kind, name in (("Deployment", "edge"), ("Cluster", "crm-db"), ("PrometheusRule", "crm"), ("PodMonitor", "crm"), ("HTTPRoute", "crm"),
                           ("ScaledObject", "analytics"), ("Certificate", "contact-tls"), ("ConfigMap", "dashboard-contact")):
            self.assertIn((kind, name), names)

    def test_mistakes_are_found(self):
        # Without the dashboards, which take most of the reading.
        prod = "---\n".join(part for part in self.rendered["prod"].split("---\n") if "  name: dashboard-" not in part)
        cases = [
            ("unknown field", r"        resources:\n          limits:", "        resurces:\n          limits:", "type: "),
            ("wrong type", r"minReadySeconds: 2", "minReadySeconds: two", "schema: "),
            ("no such kind", r"kind: PodDisruptionBudget", "kind: PodDisruptionBudge", "there is no policy/v1"),
            ("probe's port", r"          httpGet:\n            path: /readyz\n            port: metrics", "          httpGet:\n            path: /readyz\n            port: metric",
             "readinessProbe asks the port metric"),
            ("no probe", r"        livenessProbe:", "        lifenessProbe:", "has no livenessProbe"),
            ("root", r"        runAsNonRoot: true", "        runAsNonRoot: false", "may run as root"),
            ("writable root", r"readOnlyRootFilesystem: true", "readOnlyRootFilesystem: false", "is not restricted"),
            ("memory", r"          limits:\n            memory: 512Mi", "          limits:\n            memory: 1024Mi", "limited to just that"),
            ("version", r"image: registry.example.com/crm/contact:1", "image: registry.example.com/crm/contact:latest", "names no version"),
            ("selector", r"  selector:\n    app.kubernetes.io/name: contact\n", "  selector:\n    app.kubernetes.io/name: contacts\n", "selects no pod"),
            ("target port", r"targetPort: grpc\n", "targetPort: grpcc\n", "leads to the port grpcc"),
            ("secret", r"secretName: contact-secrets", "secretName: contact-secret", "nobody makes the Secret"),
            ("drain", r"terminationGracePeriodSeconds: 45", "terminationGracePeriodSeconds: 30", "is killed before its calls can end"),
            ("configured port", r'"listen": "0.0.0.0:7100"', '"listen": "0.0.0.0:7101"', "says listen"),
            ("file that is not there", r"/etc/crm/tls/tls.crt\"", '/etc/crm/tsl/tls.crt"', "is not mounted"),
            ("closed to a caller", r"  ingress:\n  - from:\n    - podSelector:\n        matchLabels:\n          app.kubernetes.io/name: gateway\n",
             "  ingress:\n  - from:\n    - podSelector:\n        matchLabels:\n          app.kubernetes.io/name: gateways\n", "does not let gateway in"),
            ("default deny", r"  name: default-deny\n(.*\n)*?spec:\n  podSelector: {}\n  policyTypes:\n  - Ingress\n", "  name: default-deny\nspec:\n  podSelector: {}\n  policyTypes:\n",
             "nothing denies"),
            ("budget", r"  name: contact\n  namespace: crm\nspec:\n  maxUnavailable: 1\n  selector:\n    matchLabels:\n      app.kubernetes.io/name: contact\n",
             "  name: contact\n  namespace: crm\nspec:\n  maxUnavailable: 1\n  selector:\n    matchLabels:\n      app.kubernetes.io/name: nobody\n", "has no PodDisruptionBudget"),
        ]
        texts = []
        for what, pattern, wrong, _ in cases:
            text, count = re.subn(pattern, wrong.replace("\\", "\\\\"), prod, count=1)
            self.assertEqual(count, 1, f"the case {what} finds nothing to break")
            texts.append((text, what == "unknown field", True))
        for (what, _, _, expected), found in zip(cases, self.complaints(texts)):
            with self.subTest(what):
                self.assertTrue(any(expected in line for line in found), found[:5])


class RulesTest(unittest.TestCase):
    def test_what_is_generated_is_up_to_date(self):
        made = manifests.files(BUILD / "crm.binpb")
        # What rpcs there are is told by each package anew: here a new one may be missing, but none may be there that is not offered.
        lists = {path for path in made if path.name in ("edge-routes.map", "edge-public.lst")}
        stale = sorted(str(path.relative_to(ROOT)) for path, text in made.items() if path not in lists and (not path.exists() or path.read_text() != text))
        self.assertEqual(stale, [], "run tools/crm manifests and commit what it writes")
        for path in lists:
            self.assertEqual(set(path.read_text().splitlines()) - set(made[path].splitlines()), set(), f"{path} offers too much: run tools/crm manifests")

    def test_the_secrets_that_are_promised_are_made(self):
        """deploy/k8s-secrets makes all that k8s/README.md lists but the operator's own, each with the files that its process is told of."""
        shown = subprocess.run([ROOT / "deploy/k8s-secrets", "crm"], stdout=subprocess.PIPE, check=True, text=True).stdout
        made = {re.search(r"^  name: (\S+)$", part, re.M)[1]: set(re.findall(r"^  ([\w.]+): \S", part[part.index("data:"):], re.M)) for part in shown.split("---\n")}
        self.assertEqual(sorted(made), sorted(set(secrets()) - {"crm-backups", "crm-public-tls"}))
        for service in containers.services():
            self.assertLessEqual(set(containers.secrets_of(service)), made[f"{containers.host(service)}-secrets"])

    @unittest.skipUnless(shutil.which("promtool"), "promtool (Debian: prometheus) is not here")
    def test_alerts(self):
        folder = ROOT / "deploy/monitoring"
        for arguments in (["check", "rules", "alerts.yaml"], ["check", "config", "prometheus.yaml"], ["test", "rules", "alerts_test.yaml"]):
            done = subprocess.run(["promtool", *arguments], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            self.assertEqual(done.returncode, 0, done.stdout)

    def test_every_alert_has_a_case_and_a_paragraph(self):
        alerts = re.findall(r"- alert: (\w+)", (ROOT / "deploy/monitoring/alerts.yaml").read_text())
        cases = re.findall(r"- alertname: (\w+)", (ROOT / "deploy/monitoring/alerts_test.yaml").read_text())
        paragraphs = re.findall(r"^## (\w+)$", (ROOT / "docs/RUNBOOK.md").read_text(), re.M)
        self.assertGreater(len(alerts), 10)
        self.assertEqual(sorted(alerts), sorted(set(cases)))
        self.assertEqual(alerts, paragraphs)
        linked = re.findall(r"RUNBOOK.md#(\w+)", (ROOT / "deploy/monitoring/alerts.yaml").read_text())
        self.assertEqual(linked, [alert.lower() for alert in alerts])


if __name__ == "__main__":
    unittest.main(verbosity=2)
