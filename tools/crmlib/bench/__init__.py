"""tools/crm bench [--json] [--size N,...] [--quick] [--behind] [--overload] [--keep] [--print-sql] [--svg FILE] [--of FILE ...]:
measures the services against pgbench on the very SQL, and what goes on behind requests (docs/PERFORMANCE.md). It builds the release preset
and starts a system of its own in .run/bench-SIZE.

--json       all figures as JSON
--size N,... contacts, and as many deals (a million; a hundred thousand with --quick); several sizes one after the other
--quick      shorter rounds: three minutes in all, for a first impression
--behind     only events, timers and letters, on a database of their own
--overload   only what it gets done when more comes than it can do (a hundred thousand contacts; a database of its own)
--keep       leaves the loaded database for the next run with --keep
--print-sql  only prints what pgbench runs
--svg FILE   a picture of what requests cost at each size
--of FILE... measures nothing: table and picture of what runs with --json have written"""

import argparse
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

from crmlib import build, console, deps, paths
from crmlib.bench import behind, deals, overload, picture, report, rounds
from crmlib.bench.data import TENANTS, Data
from crmlib.bench.kinds import CONTACT, DEAL, Kind
from crmlib.bench.statements import Pgbench, Statements, print_sql
from crmlib.bench.system import POSTGRES, System, remembered
from crmlib.instance import write

IDLE_AFTER_SECONDS = 3.0  # what a service does at its start is over


def run(args: list[str]) -> int:
    options = parse(args)
    output = sys.stdout
    if options.json:
        sys.stdout = sys.stderr  # the steps
    try:
        figures = written(options.of) if options.of else measured(options)
    finally:
        sys.stdout = output
    if not figures:
        return 0
    if options.json:
        print(json.dumps(figures if len(figures) > 1 else figures[0], indent=2, ensure_ascii=False))
    else:
        if not options.of:
            print("\n\n".join(map(report.text, figures)))
        if len(figures) > 1:
            print("\n" + report.sizes(figures))
    if options.svg:
        options.svg.write_text(picture.svg(figures))
    return 0


def parse(args: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tools/crm bench", description=__doc__.split("\n\n")[0], formatter_class=argparse.RawDescriptionHelpFormatter,
                                     epilog=__doc__.split("\n\n")[1])
    for name in ("json", "quick", "behind", "overload", "keep", "print-sql"):
        parser.add_argument(f"--{name}", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--size", help=argparse.SUPPRESS)
    parser.add_argument("--svg", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--of", type=Path, nargs="+", help=argparse.SUPPRESS)
    options = parser.parse_args(args)
    given = options.size or ("100000" if options.quick or options.print_sql or options.overload else "1000000")
    if not all(size.isdecimal() and TENANTS <= int(size) <= 100_000_000 for size in given.split(",")):
        raise console.Failure(f"--size {given} is not possible", f"take at least {TENANTS} and at most 100,000,000; several with commas between them")
    options.sizes = list(map(int, given.split(",")))
    return options


def written(files: list[Path]) -> list[dict]:
    """Of earlier runs, the smallest size first."""
    found = []
    for file in files:
        read = json.loads(file.read_text())
        found += read if isinstance(read, list) else [read]
    return sorted(found, key=lambda figures: figures["contacts"])


def measured(options: argparse.Namespace) -> list[dict]:
    deps.ensure()
    folder = build.build("release", [*paths.services(), "crm_descriptors", "crm-loadgen"])
    if options.behind:
        return [measure(options, 0, System(paths.RUN / "bench-behind", folder))]
    if options.overload:
        return [measure(options, size, System(paths.RUN / f"bench-overload-{size}", folder)) for size in options.sizes]
    return list(filter(None, (measure(options, size, System(paths.RUN / f"bench-{size}", folder)) for size in options.sizes)))


def measure(options: argparse.Namespace, size: int, system: System) -> dict | None:
    plan, behind_plan = (rounds.QUICK, behind.QUICK) if options.quick else (rounds.FULL, behind.FULL)
    kept_file = system.folder / "loaded.json"
    kept = remembered(kept_file) if options.keep else {}
    if kept.get("size") != size or kept.get("migrations") != migrations():
        kept = {}
        system.drop()
    system.prepare()
    if options.overload:
        system.settings = POSTGRES  # minutes of writes: with vacuum, as in production
    try:
        with console.step("starting PostgreSQL, Redis and the services"):
            system.begin(*system.instance.services)
        figures = {"contacts": size, "deals": size, "tenants": TENANTS, "machine": machine(), "commit": commit(), "quick": options.quick}
        kept["tenants"] = kept.get("tenants") or [system.sign_up(number) for number in range(TENANTS)]
        if options.overload:
            return figures | {"overload": flooded(options, system, kept, size, lambda: write(kept_file, remember(kept, size)))}
        if not options.behind:
            if not options.print_sql:
                with console.step("start and idle memory of each service"):
                    figures["start_seconds"] = rounds.starts(system)
                    time.sleep(IDLE_AFTER_SECONDS)
                    figures["memory_mb"] = {service: system.memory(service) for service in system.instance.services}
            data = Data(system, kept["tenants"], size)
            if "bytes" not in kept:
                data.load()
                deals.load(data)
                data.finish()
                kept["bytes"] = data.bytes_apiece()
            figures["bytes"] = kept["bytes"]
            figures |= {"cpu": {}, "ratios": {}, "latency": {}, "idle_cpu_ms_per_second": {}}
            for kind in (CONTACT, DEAL):
                requests(options, system, data, kind, plan, figures)
            if options.print_sql:
                return None
        write(kept_file, remember(kept, size))
        return figures | behind.Behind(system, kept["tenants"], behind_plan).measure()
    finally:
        system.close()
        if not options.keep:
            system.drop()


def remember(kept: dict, size: int) -> str:
    return json.dumps(kept | {"size": size, "migrations": migrations()})


def flooded(options: argparse.Namespace, system: System, kept: dict, size: int, loaded) -> list[dict]:
    system.only("identity", "gateway", CONTACT.service)
    data = Data(system, kept["tenants"], size)
    if not kept.get("contacts"):
        data.load()
        data.finish()
        kept["contacts"] = True
    loaded()
    data.warm(CONTACT)
    plan = overload.QUICK if options.quick else overload.FULL
    return [overload.Overload(system, kept["tenants"], plan, service).measure() for service in (CONTACT.service, "gateway")]


def requests(options: argparse.Namespace, system: System, data: Data, kind: Kind, plan: rounds.Plan, figures: dict) -> None:
    """One kind's ratios, latencies and so on, into the figures."""
    system.only("identity", "gateway", kind.service)  # those that hear of what is created would cost CPU of their own
    data.warm(kind)
    tenant = data.tenants[0]
    with console.step(f"reading the SQL that {kind.service} sends"):
        statements = Statements(system, kind, tenant, system.token(tenant["login"]))
    if options.print_sql:
        print(print_sql(statements))
        return
    load = rounds.Rounds(system, data, kind, statements, Pgbench(system, system.folder / "load", kind.service), plan)
    named = lambda found: found if kind == CONTACT else {f"{kind.object}_{name}": value for name, value in found.items()}
    with console.step(f"{kind.object}s: ratios"):
        found = load.ratios()
        figures["cpu"] |= named(found)
        figures["ratios"] |= named({name: cpu["ratio"] for name, cpu in found.items()})
    with console.step(f"{kind.object}s: latencies" + (", search, import" if kind == CONTACT else "")):
        figures["idle_cpu_ms_per_second"] |= load.idle()
        figures["latency"] |= named(load.latencies())
        if kind == CONTACT:
            figures["search"] = load.search()
            figures["import"] = load.imports()


def migrations() -> str:
    """Changes with them, so that a kept database is not taken for today's."""
    files = [*sorted((paths.ROOT / "common/pg/migrations").glob("*.sql")), *sorted((paths.ROOT / "services").glob("*/migrations/*.sql"))]
    return subprocess.run(["sha256sum"], input=b"".join(file.read_bytes() for file in files), stdout=subprocess.PIPE, check=True).stdout.decode().split()[0]


def machine() -> str:
    model = re.search(r"model name\s*: (.*)", open("/proc/cpuinfo").read())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{os.cpu_count()} x {model[1].strip() if model else 'CPU'}, {memory:.0f} GB, PostgreSQL {version()}"


def version() -> str:
    out = subprocess.run([paths.POSTGRES_BIN / "postgres", "--version"], stdout=subprocess.PIPE, text=True).stdout
    return (re.search(r"[\d.]+", out) or ["?"])[0]


def commit() -> str:
    out = subprocess.run(["git", "-C", paths.ROOT, "rev-parse", "--short", "HEAD"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout
    return out.strip() or "?"
