"""The figures as text, and what they are held against."""

from crmlib import console
from crmlib.bench import overload

GOALS = {"get": 2.0, "list": 1.7, "create": 1.5, "http_get": 3.2}
SEARCH_P95_MS, IDLE_MB, START_SECONDS = 20.0, 60.0, 1.0
TITLES = {"get": "get", "list": "list of 50", "create": "create", "http_get": "HTTP get", "deal_get": "get a deal", "deal_list": "list of 50 deals",
          "deal_create": "create a deal"}


def misses(figures: dict) -> list[str]:
    """The goals that were not reached."""
    found = [f"{TITLES[name]}: ratio {ratio:.2f}, goal {GOALS[name]}" for name, ratio in figures["ratios"].items() if ratio > GOALS.get(name, ratio)]
    p95 = figures["search"]["latency_us"]["p95"] / 1000
    if p95 > SEARCH_P95_MS:
        found.append(f"search: p95 {p95:.1f} ms, goal {SEARCH_P95_MS:.0f}")
    found += [f"{name}: {memory['pss']:.0f} MB idle, goal {IDLE_MB:.0f}" for name, memory in figures["memory_mb"].items() if memory["pss"] > IDLE_MB]
    found += [f"{name}: ready after {seconds:.2f} s, goal {START_SECONDS:.0f}" for name, seconds in figures["start_seconds"].items() if seconds > START_SECONDS]
    return found


def text(figures: dict) -> str:
    parts = [f"{figures['contacts']:,} contacts and as many deals in {figures['tenants']} tenants, {figures['machine']}, commit {figures['commit']}", ""]
    if "ratios" in figures:
        parts += [f"On disk, with indexes: {figures['bytes']['contact']:,.0f} bytes a contact, {figures['bytes']['deal']:,.0f} a deal", "",
                  *requests(figures), ""]
    if "overload" in figures:
        return "\n".join([*parts, *overload.text(figures["overload"])])
    parts += behind(figures)
    if "ratios" in figures:
        missed = misses(figures)
        parts += ["", "Goals not reached: " + "; ".join(missed) if missed else "All goals are reached."]
    return "\n".join(parts)


def requests(figures: dict) -> list[str]:
    parts = ["CPU of a request, µs (16 in flight; load generator excluded)"]
    rows = []
    for name, found in figures["cpu"].items():
        low, high = found["spread"]
        rows.append([TITLES[name], f"{found['ratio']:.2f}", f"{GOALS.get(name, '')}", f"{low:.2f}-{high:.2f}", f"{found['us']:.0f}", f"{found['own_us']:.0f}",
                     f"{found['gateway_us']:.0f}" if name.startswith("http") else "-", f"{found['postgres_us']:.0f}", f"{found['limit_us']:.0f}",
                     f"{found['pgbench_us']:.0f}", f"{found['pgbench_postgres_us']:.0f}"])
    parts.append(console.table(["", "ratio", "goal", "by round", "total", "service", "gateway", "PostgreSQL", "limit", "pgbench", "its PostgreSQL"], rows))
    parts += ["", "Latency, ms (p50 / p99) and answers per second, load generator on the same cores"]
    rows = [[TITLES[name], *[f"{found['p50'] / 1000:.2f} / {found['p99'] / 1000:.2f}  {found['per_second']:,.0f}/s" for found in by_flight.values()]]
            for name, by_flight in figures["latency"].items()]
    parts.append(console.table(["", *[f"{in_flight} in flight" for in_flight in next(iter(figures["latency"].values()))]], rows))
    search = figures["search"]
    parts += ["", f"Search, ms, one at a time: p95 {search['latency_us']['p95'] / 1000:.1f} (goal {SEARCH_P95_MS:.0f})"]
    rows = [[name, str(found["requests"]), *[f"{found['latency_us'][key] / 1000:.1f}" for key in ("p50", "p95", "max")],
             ", ".join(f"{slow['label']} {slow['best_us'] / 1000:.1f}" for slow in found["slowest"][:3])] for name, found in sorted(search["classes"].items())]
    parts.append(console.table(["", "requests", "p50", "p95", "max", "slowest terms (at best)"], rows))
    imports = figures["import"]
    parts += ["", f"Import by batchCreate of {imports['batch_size']}, {imports['in_flight']} in flight: {imports['contacts_per_second']:,.0f} contacts/s", "",
              "Idle: memory, MB, and start"]
    rows = [[name, f"{memory['pss']:.0f}", f"{memory['rss']:.0f}", f"{figures['start_seconds'][name]:.2f} s",
             f"{figures['idle_cpu_ms_per_second'].get(name, 0):.1f}" if name in figures["idle_cpu_ms_per_second"] else "-"]
            for name, memory in figures["memory_mb"].items()]
    parts.append(console.table(["", "PSS", "RSS", "ready after", "CPU ms per second"], rows))
    parts.append(f"PostgreSQL idle: {figures['idle_cpu_ms_per_second']['postgres']:.1f} CPU ms per second")
    return parts


def sizes(figures: list[dict]) -> str:
    """One line a figure, one column a size."""
    rows = [["ratio: " + TITLES[name], *[f"{one['ratios'][name]:.2f}" for one in figures]] for name in figures[0]["ratios"]]
    rows += [["CPU of a request, µs: " + TITLES[name], *[f"{one['cpu'][name]['us']:.0f}" for one in figures]] for name in figures[0]["cpu"]]
    rows += [["p50 / p99 at 16 in flight, ms: " + TITLES[name], *[f"{one['latency'][name]['16']['p50'] / 1000:.2f} / {one['latency'][name]['16']['p99'] / 1000:.2f}"
                                                                  for one in figures]] for name in figures[0]["latency"]]
    rows += [[title, *[f"{value(one):,.0f}" for one in figures]] for title, value in (
        ("search, p95, ms", lambda one: one["search"]["latency_us"]["p95"] / 1000), ("import, contacts a second", lambda one: one["import"]["contacts_per_second"]),
        ("event to projection, p50, ms", lambda one: one["events"]["p50_ms"]), ("... p99", lambda one: one["events"]["p99_ms"]),
        ("... a second after a standstill", lambda one: one["events"]["catch_up"]["per_second"]), ("timers a second", lambda one: one["timers"]["burst"]["per_second"]),
        ("letters a second", lambda one: one["letters"]["burst"]["per_second"]), ("bytes a contact", lambda one: one["bytes"]["contact"]),
        ("bytes a deal", lambda one: one["bytes"]["deal"]), ("memory of contact, idle, MB", lambda one: one["memory_mb"]["contact"]["pss"]))]
    return console.table(["contacts and deals", *[f"{one['contacts']:,}" for one in figures]], rows)


def behind(figures: dict) -> list[str]:
    events, timers, letters = figures["events"], figures["timers"], figures["letters"]
    rows = [line("event to projection, contacts made singly", events["steady"]), line("... imported", events["import"]),
            line("... after a standstill", events["catch_up"], delays=False), line("timer to effect, one after the other", timers["steady"]),
            line("... all due at once", timers["burst"]), line("letter to mail server, sent singly", letters["steady"]),
            line("... all due at once", letters["burst"])]
    return ["Behind the requests: all services on the same cores; delays in ms, CPU in µs apiece",
            console.table(["", "count", "per second", "p50", "p99", "CPU", "own service", "PostgreSQL", "those who hear"], rows)]


def line(title: str, found: dict, delays: bool = True) -> list[str]:
    """Where something stood still, delays say only how long that was."""
    cost = [found[key] for key in ("service_us", "postgres_us", "others_us")] if "service_us" in found else []
    return [title, f"{found['count']:,}", f"{found['per_second']:,.0f}", *([f"{found['p50_ms']:.0f}", f"{found['p99_ms']:.0f}"] if delays else ["-", "-"]),
            *([f"{number:.0f}" for number in (sum(cost), *cost)] if cost else 4 * ["-"])]
