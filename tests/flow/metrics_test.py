#!/usr/bin/env python3
"""Alerts and dashboards name only metrics, labels and services that running processes expose."""

import http.client
import json
import re
import smtplib
import unittest

from stack import ROOT, Stack, eventually

from crmlib import containers, dashboards

METRIC = re.compile(r"\b((?:crm|haproxy|process)_[a-z0-9_]+)(?:\{([^}]*)\})?")
# Labels that Prometheus adds, or that the scrape's configuration does.
ADDED = {"service", "instance", "job", "pod"}


def scraped(port: int) -> str:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("GET", "/metrics")
        return connection.getresponse().read().decode()
    finally:
        connection.close()


class MetricsTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.stack = Stack(with_edge=True)
        cls.addClassCleanup(cls.stack.close)
        try:
            cls.stack.start_all()
        except BaseException:
            cls.stack.print_logs()
            raise
        api = cls.stack.sign_up()
        api.post("/v1/contacts", {"given_name": "Ada"})
        # Some metrics begin with the first of what they count.
        api.get("/v1/reports/revenue?group_by=GROUP_BY_MONTH")
        instance = cls.stack.instance
        api.post("/v1/channels", {"name": "Office", "kind": "CHANNEL_KIND_EMAIL", "address": "office@example.com"})
        with smtplib.LMTP("127.0.0.1", instance.lmtp_port, timeout=30) as post:
            post.sendmail("somebody@example.org", ["office@example.com"],
                          "From: somebody@example.org\r\nTo: office@example.com\r\nMessage-ID: <1@example.org>\r\nSubject: x\r\n\r\nx\r\n")
        eventually(lambda: "crm_events_apply_delay_seconds" in scraped(instance.metrics_port("analytics")), 60)
        ports = {containers.host(name): instance.metrics_port(name) for name in instance.services} | {"edge": instance.edge_metrics_port}
        # process -> metric -> its labels
        cls.exposed: dict[str, dict[str, set[str]]] = {}
        for process, port in ports.items():
            found = cls.exposed.setdefault(process, {})
            for line in scraped(port).splitlines():
                if match := re.match(r"# TYPE (\S+)", line):
                    found.setdefault(match[1], set())
                elif match := re.match(r"([a-z_0-9]+)(?:\{(.*)\})? ", line):
                    found.setdefault(match[1], set()).update(re.findall(r'(\w+)="', match[2] or ""))

    def labels(self, process: str, metric: str) -> set[str] | None:
        found = self.exposed[process]
        base = re.sub(r"_(bucket|count|sum)$", "", metric)
        return found.get(metric, found.get(base))

    def test_dashboards(self):
        files = {path: json.loads(text) for path, text in dashboards.files().items() if path.suffix == ".json"}
        self.assertEqual(len(files), len(self.exposed))
        for path, board in files.items():
            expressions = [target["expr"] for panel in board["panels"] for target in panel.get("targets", [])]
            self.assertGreater(len(expressions), 4)
            for expression in expressions:
                for metric, selected in METRIC.findall(expression):
                    with self.subTest(f"{path.stem}: {metric}"):
                        labels = self.labels(path.stem, metric)
                        self.assertIsNotNone(labels, "not exposed")
                        self.assertLessEqual(set(re.findall(r"(\w+)\s*[=!~]", selected)) - ADDED, labels, expression)
                        self.assertIn(f'service="{path.stem}"', selected)

    def test_alerts(self):
        text = (ROOT / "deploy/monitoring/alerts.yaml").read_text()
        expressions = re.findall(r"expr: '([^']*)'", text)
        self.assertGreater(len(expressions), 20)
        for expression in expressions:
            for metric, selected in METRIC.findall(re.sub(r"\bcrm:\w+:\w+", "", expression)):
                with self.subTest(metric):
                    everywhere = [labels for process in self.exposed if (labels := self.labels(process, metric)) is not None]
                    self.assertTrue(everywhere, "no process exposes it")
                    known = set().union(*everywhere) | ADDED
                    self.assertLessEqual(set(re.findall(r"(\w+)\s*[=!~]", selected)), known, expression)

    def test_the_scrape_names_every_process(self):
        text = (ROOT / "deploy/monitoring/prometheus.yaml").read_text()
        named = dict(re.findall(r'"127\.0\.0\.1:(\d+)"\], labels: \{service: ([a-z-]+)\}', text))
        self.assertEqual(sorted(named.values()), sorted(self.exposed))
        base = self.stack.instance.port_base
        for port, process in named.items():
            mine = self.stack.instance.edge_metrics_port if process == "edge" else self.stack.instance.metrics_port(process.replace("-", "_"))
            self.assertEqual(int(port) - 7000, mine - base, process)


if __name__ == "__main__":
    unittest.main(verbosity=2)
