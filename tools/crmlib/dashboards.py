"""Grafana's dashboards, one a process, from a description of a line per panel: deploy/grafana/<process>.json. Only metrics that exist: a
test compares them with what running processes expose."""

import json
from pathlib import Path

from crmlib import containers, paths, yaml

S = 'service="$name"'  # replaced by the process's name


def rate(metric: str, by: str, more: str = "", window: str = "$__rate_interval") -> str:
    return f"sum by ({by}) (rate({metric}{{{S}{more}}}[{window}]))"


def quantile(q: float, metric: str, by: str = "") -> str:
    return f"histogram_quantile({q}, sum by (le{', ' + by if by else ''}) (rate({metric}_bucket{{{S}}}[$__rate_interval])))"


# (title, unit, {legend: expression})
Panel = tuple[str, str, dict[str, str]]

PROCESS: list[Panel] = [
    ("Memory", "bytes", {"{{pod}}{{instance}}": f"process_resident_memory_bytes{{{S}}}"}),
    ("Log lines dropped", "short", {"{{pod}}{{instance}}": f"crm_log_lines_dropped{{{S}}}"}),
]
TOO_MANY: list[Panel] = [
    ("Waiting for their turn", "s", {f"p{int(q * 100)}": quantile(q, "crm_rpc_wait_seconds") for q in (0.5, 0.99)}),
    ("Refused as too many", "reqps", {"{{why}}": rate("crm_rpc_shed_total", "why")}),
]
RPCS: list[Panel] = [
    ("Calls by rpc", "reqps", {"{{rpc}}": rate("crm_rpc_requests_total", "rpc")}),
    ("Failures by code", "reqps", {"{{code}}": rate("crm_rpc_requests_total", "code", ', code=~"INTERNAL|UNKNOWN|DATA_LOSS|UNAVAILABLE|DEADLINE_EXCEEDED"')}),
    ("Refusals by code", "reqps", {"{{code}}": rate("crm_rpc_requests_total", "code", ', code!~"OK|INTERNAL|UNKNOWN|DATA_LOSS|UNAVAILABLE|DEADLINE_EXCEEDED"')}),
    ("Time of calls", "s", {f"p{int(q * 100)}": quantile(q, "crm_rpc_seconds") for q in (0.5, 0.95, 0.99)}),
    ("Slowest rpcs (p99)", "s", {"{{rpc}}": f"topk(8, {quantile(0.99, 'crm_rpc_seconds', 'rpc')})"}),
    ("Under way", "short", {"calls": f"sum(crm_rpc_in_flight{{{S}}})", "at most": f"sum(crm_rpc_in_flight_max{{{S}}})", "waiting": f"sum(crm_rpc_waiting{{{S}}})",
                            "streams": f"sum(crm_rpc_streams{{{S}}})"}),
    *TOO_MANY,
    ("Lost races", "reqps", {"lost races": rate("crm_rpc_lost_races_total", "service")}),
]
DATABASE: list[Panel] = [
    ("Time of batches (p99)", "s", {"{{statement}}": f"topk(8, {quantile(0.99, 'crm_pg_batch_seconds', 'statement')})"}),
    ("Batches", "ops", {"{{statement}}": f"topk(8, {rate('crm_pg_batch_seconds_count', 'statement')})"}),
    ("Waiting for a connection (p99)", "s", {"{{work}}": quantile(0.99, "crm_pg_wait_seconds", "work")}),
    ("Refused: too many wait", "ops", {"{{work}}": rate("crm_pg_refused_total", "work")}),
    ("Old replies dropped", "ops", {"rows": rate("crm_idempotency_purged_total", "service")}),
]
EVENTS_OUT: list[Panel] = [
    ("Events numbered", "ops", {"numbered": rate("crm_events_numbered_total", "service"), "Redis did not take": rate("crm_events_unpublished_total", "service")}),
    ("From commit to number (p99)", "s", {"p99": quantile(0.99, "crm_events_number_delay_seconds")}),
    ("Oldest event without a number", "s", {"age": f"max(crm_events_unnumbered_age_seconds{{{S}}})"}),
]
EVENTS_IN: list[Panel] = [
    ("Events behind", "short", {"{{producer}}": f"max by (producer) (crm_events_lag{{{S}}})"}),
    ("From request to effect (p99)", "s", {"{{producer}}": quantile(0.99, "crm_events_apply_delay_seconds", "producer")}),
    ("Put aside", "short", {"dead letters": f"max(crm_events_dead_letters{{{S}}})", "waiting behind them": f"max(crm_events_parked{{{S}}})"}),
]
OTHERS: list[Panel] = [
    ("Calls to others sent again, or not at all", "reqps", {"again": rate("crm_rpc_client_retries_total", "service"), "not sent": rate("crm_rpc_client_throttled_total", "service")}),
    ("Connections to Redis lost", "ops", {"lost": rate("crm_redis_connections_lost_total", "service")}),
    ("Work that blocks", "short", {"waiting or running": f"sum(crm_offload_pending{{{S}}})"}),
    ("Waiting for a thread (p99)", "s", {"p99": quantile(0.99, "crm_offload_wait_seconds")}),
]
HTTP: list[Panel] = [
    ("Requests by route", "reqps", {"{{route}}": f"topk(10, {rate('crm_http_requests_total', 'route')})"}),
    ("Answers by status", "reqps", {"{{status}}": rate("crm_http_requests_total", "status")}),
    ("Time of requests", "s", {f"p{int(q * 100)}": quantile(q, "crm_http_request_seconds") for q in (0.5, 0.95, 0.99)}),
    ("Slowest routes (p99)", "s", {"{{route}}": f"topk(8, {quantile(0.99, 'crm_http_request_seconds', 'route')})"}),
    ("Under way", "short", {"requests": f"sum(crm_gateway_in_flight{{{S}}})", "waiting": f"sum(crm_gateway_waiting{{{S}}})"}),
    *TOO_MANY,
    ("Live streams", "short", {"open": f"sum(crm_gateway_streams{{{S}}})"}),
    ("Events sent on live streams", "ops", {"sent": rate("crm_gateway_stream_events_total", "service"), "asked for anew": rate("crm_gateway_stream_fills_total", "service")}),
    ("Limited without Redis", "reqps", {"requests": rate("crm_rate_limit_local_total", "service")}),
]
LETTERS: list[Panel] = [
    ("Letters by outcome", "ops", {"{{outcome}}": rate("crm_letters_total", "outcome")}),
    ("Due, and how long the oldest waits", "short", {"due": f"max(crm_letters_due{{{S}}})", "oldest (s)": f"max(crm_letters_due_age_seconds{{{S}}})"}),
    ("Time of a letter (p99)", "s", {"p99": quantile(0.99, "crm_letter_seconds")}),
    ("Letters that arrived", "ops", {"{{outcome}}": rate("crm_letters_received_total", "outcome")}),
]
TIMERS: list[Panel] = [
    ("Timers", "ops", {"fired": rate("crm_timers_fired_total", "service"), "failed": rate("crm_timers_failed_total", "service")}),
    ("Late by", "s", {f"p{text}": quantile(q, "crm_timer_lateness_seconds") for q, text in ((0.5, "50"), (0.99, "99"), (0.999, "99.9"))}),
]
HAPROXY: list[Panel] = [
    ("Calls by service", "reqps", {"{{proxy}}": 'sum by (proxy) (rate(haproxy_backend_http_requests_total{service="$name"}[$__rate_interval]))'}),
    ("Answers of HTTP by class", "reqps", {"{{code}}": 'sum by (code) (rate(haproxy_frontend_http_responses_total{service="$name", proxy="partners"}[$__rate_interval]))'}),
    ("Connections", "short", {"open": 'sum(haproxy_frontend_current_sessions{service="$name", proxy="partners"})'}),
    ("Refused connections and calls", "ops", {"denied": 'sum(rate(haproxy_frontend_requests_denied_total{service="$name"}[$__rate_interval]))',
                                              "errors": 'sum(rate(haproxy_frontend_request_errors_total{service="$name"}[$__rate_interval]))'}),
    ("Servers up", "short", {"{{proxy}}": 'sum by (proxy) (haproxy_backend_active_servers{service="$name"})'}),
    ("Time of answers (average)", "s", {"{{proxy}}": 'haproxy_backend_response_time_average_seconds{service="$name"}'}),
]


def rows(process: str) -> dict[str, list[Panel]]:
    if process == "edge":
        return {"Calls of other systems": HAPROXY}
    if process == "gateway":
        return {"Requests": HTTP, "Process": PROCESS + OTHERS}
    if process == "identity":  # calls and hears nobody
        return {"Calls": RPCS, "PostgreSQL": DATABASE, "Events that leave": EVENTS_OUT, "Process": PROCESS + OTHERS[1:]}
    more = {"messaging": {"Letters": LETTERS}, "scheduler": {"Timers": TIMERS}}.get(process, {})
    return more | {"Calls": RPCS, "PostgreSQL": DATABASE, "Events that leave": EVENTS_OUT, "Events that come in": EVENTS_IN, "Process": PROCESS + OTHERS}


def dashboard(process: str) -> dict:
    name, panels, at, number = containers.host(process), [], 0, 1
    for title, group in rows(process).items():
        panels.append({"id": number, "type": "row", "title": title, "collapsed": False, "gridPos": {"h": 1, "w": 24, "x": 0, "y": at}, "panels": []})
        number, at = number + 1, at + 1
        for place, (what, unit, series) in enumerate(group):
            panels.append({
                "id": number, "type": "timeseries", "title": what, "datasource": {"type": "prometheus", "uid": "${source}"},
                "gridPos": {"h": 8, "w": 8, "x": place % 3 * 8, "y": at + place // 3 * 8},
                "fieldConfig": {"defaults": {"unit": unit, "min": 0, "custom": {"fillOpacity": 10, "showPoints": "never"}}, "overrides": []},
                "options": {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi", "sort": "desc"}},
                "targets": [{"refId": chr(ord("A") + index), "expr": expression.replace("$name", name), "legendFormat": legend}
                            for index, (legend, expression) in enumerate(series.items())]})
            number += 1
        at += (len(group) + 2) // 3 * 8
    return {"uid": f"crm-{name}", "title": f"CRM {name}", "tags": ["crm"], "editable": True, "schemaVersion": 39, "version": 1, "refresh": "30s", "timezone": "browser",
            "time": {"from": "now-3h", "to": "now"}, "annotations": {"list": []}, "links": [{"type": "dashboards", "title": "CRM", "tags": ["crm"], "asDropdown": True}],
            "templating": {"list": [{"name": "source", "type": "datasource", "query": "prometheus", "label": "Prometheus"}]}, "panels": panels}


def processes() -> list[str]:
    return [*containers.services(), "edge"]


def files() -> dict[Path, str]:
    folder = paths.ROOT / "deploy/grafana"
    made = {folder / f"{containers.host(process)}.json": json.dumps(dashboard(process), indent=1) + "\n" for process in processes()}
    kustomization = {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization",
                     "generatorOptions": {"disableNameSuffixHash": True, "labels": {"grafana_dashboard": "1", "app.kubernetes.io/part-of": "crm"}},
                     "configMapGenerator": [{"name": f"dashboard-{containers.host(process)}", "files": [f"{containers.host(process)}.json"]} for process in processes()]}
    made[folder / "kustomization.yaml"] = "# Made by tools/crm manifests (tools/crmlib/dashboards.py): edit that.\n" + yaml.documents([kustomization])
    return made
