"""tools/crm bench [--json] [--size N] [--quick] [--behind] [--overload] [--keep] [--print-sql]: measures the services against pgbench on the very
SQL, and what goes on behind requests (docs/PERFORMANCE.md). It builds the release preset and starts a system of its own in .run/bench.

--json       all figures as JSON
--size N     contacts (a million; a hundred thousand with --quick)
--quick      shorter rounds: three minutes in all, for a first impression
--behind     only events, timers and letters, on a database of their own
--overload   only what it gets done when more comes than it can do (a hundred thousand contacts; a database of its own)
--keep       leaves the loaded database for the next run with --keep
--print-sql  only prints what pgbench runs"""

import argparse
import json
import os
import random
import re
import subprocess
import sys
import time

from crmlib import build, console, deps, migrate, paths, postgres
from crmlib.bench import behind, overload, report, rounds
from crmlib.bench.data import TENANTS, Data, type_id
from crmlib.bench.statements import Pgbench, Statements, print_sql
from crmlib.bench.system import MEASURED, System, remembered
from crmlib.instance import write

IDLE_AFTER_SECONDS = 3.0  # what a service does at its start is over


def run(args: list[str]) -> int:
    options = parse(args)
    output = sys.stdout
    if options.json:
        sys.stdout = sys.stderr  # the steps
    try:
        deps.ensure()
        folder = build.build("release", [*paths.services(), "crm_descriptors", "crm-loadgen"])
        figures = measure(options, System(paths.RUN / ("bench-behind" if options.behind else "bench-overload" if options.overload else "bench"), folder))
    finally:
        sys.stdout = output
    if figures and options.json:
        print(json.dumps(figures, indent=2, ensure_ascii=False))
    elif figures:
        print(report.text(figures))
    return 0


def parse(args: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tools/crm bench", description=__doc__.split("\n\n")[0], formatter_class=argparse.RawDescriptionHelpFormatter,
                                     epilog=__doc__.split("\n\n")[1])
    for name in ("json", "quick", "behind", "overload", "keep", "print-sql"):
        parser.add_argument(f"--{name}", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--size", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args(args)
    options.size = options.size or (100_000 if options.quick or options.print_sql or options.overload else 1_000_000)
    if not TENANTS <= options.size <= 100_000_000:
        raise console.Failure(f"--size {options.size} is not possible", f"take at least {TENANTS} and at most 100,000,000")
    return options


def measure(options: argparse.Namespace, system: System) -> dict | None:
    plan, behind_plan = (rounds.QUICK, behind.QUICK) if options.quick else (rounds.FULL, behind.FULL)
    kept_file = system.folder / "loaded.json"
    kept = remembered(kept_file) if options.keep else {}
    if kept.get("size") != options.size or kept.get("migrations") != migrations():
        kept = {}
        system.drop()
    system.prepare()
    try:
        with console.step("starting PostgreSQL, Redis and the services"):
            system.start_stores()
            postgres.bootstrap(system.instance)
            migrate.all_services(system.instance)
            system.start(*system.instance.services)
        figures = {"contacts": 0 if options.behind else options.size, "tenants": TENANTS, "machine": machine(), "commit": commit(), "quick": options.quick}
        if options.behind:
            tenants = kept.get("tenants") or [system.sign_up(number) for number in range(TENANTS)]
            write(kept_file, json.dumps({"size": options.size, "migrations": migrations(), "tenants": tenants}))
            return figures | behind.Behind(system, tenants, behind_plan).measure()
        if not options.print_sql and not options.overload:
            with console.step("start and idle memory of each service"):
                figures["start_seconds"] = rounds.starts(system)
                time.sleep(IDLE_AFTER_SECONDS)
                figures["memory_mb"] = {service: system.memory(service) for service in system.instance.services}
        # Those that only hear of the contacts' events would cost CPU of their own.
        for service in system.instance.services:
            if service not in MEASURED:
                system.stop(service)

        tenants = kept.get("tenants") or [system.sign_up(number) for number in range(TENANTS)]
        data = Data(system, tenants, options.size)
        if not kept:
            data.load()
            write(kept_file, json.dumps({"size": options.size, "migrations": migrations(), "tenants": tenants}))
        if options.overload:
            plan = overload.QUICK if options.quick else overload.FULL
            return figures | {"overload": [overload.Overload(system, tenants, plan, service).measure() for service in ("contact", "gateway")]}
        with console.step("reading the SQL that the service sends"):
            data.warm()
            tenant = tenants[0] | {"example_id": type_id("contact", tenants[0]["prefix"] + str(tenants[0]["first"]))}
            people = [rounds.made_up(random.Random(number), number) for number in range(Statements.CREATES)]
            statements = Statements(system, tenant, system.token(tenant["login"]), people)
        if options.print_sql:
            print(print_sql(statements))
            return None
        load = rounds.Rounds(system, data, statements, Pgbench(system, system.folder / "load"), plan)
        with console.step("ratios"):
            figures["cpu"] = load.ratios()
            figures["ratios"] = {name: found["ratio"] for name, found in figures["cpu"].items()}
        with console.step("latencies, search, import"):
            figures["idle_cpu_ms_per_second"] = load.idle()
            figures["latency"] = load.latencies()
            figures["search"] = load.search()
            figures["import"] = load.imports()
        return figures | behind.Behind(system, tenants, behind_plan).measure()
    finally:
        system.close()
        if not options.keep:
            system.drop()


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
