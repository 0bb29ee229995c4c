"""tools/crm: reads the command and calls the module that does it."""

import importlib
import os
import signal
import sys

from crmlib import console

# command: (module, what it says in the help). Each module has run(args) for its command, or run_<command>(args).
COMMANDS = {
    "up": ("up", "install, build, migrate and start everything; print URLs, a token, four lines to try"),
    "down": ("control", "stop the processes; the data stay"),
    "status": ("status", "[--json] the processes: pid, uptime, ready, memory"),
    "logs": ("logs", "[SERVICE] [-f] [-n LINES] what the processes wrote"),
    "restart": ("control", "[SERVICE...] restart these, or all services"),
    "reset": ("control", "stop and drop all data of this instance"),
    "doctor": ("doctor", "check versions, ports, disk, memory, certificates; say what to do"),
    "psql": ("psql", "[SERVICE | admin] [ARGS...] PostgreSQL as that service's role, or as the migration role"),
    "env": ("env", "print export lines (CRM_URL, CRM_TOKEN ...) for `eval`"),
    "test": ("test", "[--only REGEX] [--long] [--preset P] lint, build, then every test"),
    "fuzz": ("fuzz", "[NAME...] [--seconds N] [--coverage] look for input that breaks a parser (clang)"),
    "bench": ("bench", "[--json] [--quick] [--size N] measure against pgbench on the very SQL"),
    "demo": ("demo", "[DIR] the first job, step by step, on CSV files or on data of its own"),
    "client": ("client", "ts [--out DIR] [--url URL] a typed TypeScript client package"),
    "backup": ("backup", "[DIR] [--keep N] a base backup, and from then on PostgreSQL's log"),
    "restore": ("restore", "DIR [--to TIME] [--hold | --check] the database as it was then; Redis emptied"),
    "manifests": ("manifests", "[--check] write k8s/, compose, dashboards and the configuration's reference anew"),
    "package": ("package", "[--preset P] [--out DIR] an archive to install from (deploy/README.md)"),
    "partner": ("partner", "NAME < KEY a certificate for another company's system, standing for an API key"),
    "deps": ("deps", "install what is missing"),
    "build": ("build", "[PRESET] [TARGET...] build; presets: dev, release, asan, tsan, plain"),
    "migrate": ("migrate", "[SERVICE...] apply the migrations that are new"),
}

ENVIRONMENT = """
CRM_INSTANCE=name     another instance beside `default`, in .run/name
CRM_PORT_BASE=number  its ports: gateway +1080, services from +101, PostgreSQL +432, Redis +379 (default 7000)
CRM_PRESET=name       the build that `up` and `test` use (default dev)
"""


def usage() -> str:
    rows = [f"  {name:<9} {text}" for name, (_, text) in COMMANDS.items()]
    return "usage: tools/crm COMMAND\n\n" + "\n".join(rows) + "\n" + ENVIRONMENT


def main(argv: list[str]) -> int:
    if not argv or argv[0] in ("help", "-h", "--help"):
        print(usage(), end="")
        return 0
    command, *args = argv
    if command not in COMMANDS:
        print(f"crm: there is no command {command!r}\n\n{usage()}", file=sys.stderr, end="")
        return 2
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    module_name = COMMANDS[command][0]
    try:
        module = importlib.import_module(f"crmlib.{module_name}")
        entry = getattr(module, f"run_{command}", None) or module.run
        return entry(args) or 0
    except console.Failure as failure:
        console.report(command, failure)
        return 1
    except KeyboardInterrupt:
        print(f"\ncrm {command}: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # `tools/crm logs | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
