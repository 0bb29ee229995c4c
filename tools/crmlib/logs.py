"""tools/crm logs [PROCESS] [-f] [-n LINES]."""

import argparse
import os

from crmlib import console
from crmlib.instance import Instance


def run(args: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="tools/crm logs")
    parser.add_argument("process", nargs="?", help="a service, postgres, redis or supervisor; without it, all")
    parser.add_argument("-f", action="store_true", dest="follow", help="go on as lines come in")
    parser.add_argument("-n", type=int, default=50, dest="lines", help="how many lines of each (50)")
    options = parser.parse_args(args)
    instance = Instance.current()
    files = sorted((instance.folder / "log").glob(f"{options.process or '*'}.log"))
    if not files:
        there = sorted(path.stem for path in (instance.folder / "log").glob("*.log"))
        raise console.Failure(f"there is no log of {options.process or instance.name}", f"there are: {', '.join(there)}" if there else "run tools/crm up first")
    os.execvp("tail", ["tail", "-n", str(options.lines), *(["-F"] if options.follow else []), *map(str, files)])
