"""tools/crm test: everything the tests need, then lint, the build, and all of ctest; the long run ends with the fuzzers."""

import argparse
import json
import os
import subprocess
import time

from crmlib import build, console, deps, fuzz, paths, plain

# Seconds for one test; some take half an hour in their long versions.
TIMEOUT, TIMEOUT_LONG = 900, 3600


def run(args: list[str]) -> int:
    options = parse(args)
    start = time.monotonic()
    console.say("tools/crm test")
    deps.ensure()
    if not options.only:
        lint()
    folder = paths.build_dir(options.preset)
    build.configure(options.preset, folder)
    build.ninja(folder, targets(folder, options.only) if options.only else [], f"building {options.preset}")
    if not options.only:
        plain.check(folder)
    console.say(f"  ready to test after {console.duration(time.monotonic() - start)}")
    failed = ctest(folder, options)
    if options.long and not options.only:
        console.say(f"  the fuzzers, {fuzz.SECONDS} s each")
        failed = fuzz.fuzz(fuzz.names(), fuzz.SECONDS) or failed
    return failed


def parse(args: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tools/crm test")
    parser.add_argument("--only", metavar="REGEX", help="only the tests whose name matches, without lint; builds what they need")
    parser.add_argument("--long", action="store_true", help="with the long versions of the tests that have one (CRM_LONG=1), then the fuzzers")
    parser.add_argument("--preset", default=paths.PRESET, choices=build.PRESETS, help="dev, asan, tsan ...")
    return parser.parse_args(args)


def lint() -> None:
    with console.step("lint"):
        done = subprocess.run([paths.TOOLS / "lint"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode != 0:
        print(done.stdout, end="", flush=True)
        raise console.Failure("lint found what stands above", "repair it as each line says (tools/lint --fix formats), then run this again")


def targets(folder, only: str) -> list[str]:
    """What the chosen tests need: a C++ test is a target of its name; a Python test needs every service."""
    shown = console.command(["ctest", "--test-dir", folder, "--show-only=json-v1", "-R", only], "ctest could not list the tests",
                            "run tools/crm build, which says more")
    names = [test["name"] for test in json.loads(shown)["tests"]]
    if not names:
        raise console.Failure(f"no test's name matches {only!r}", f"list them with: ctest --test-dir {folder} -N")
    binaries = [name for name in names if name.startswith(("unit_", "integration_", "fuzz_"))]
    return binaries + ([*paths.services(), "crm_descriptors", "crm-describe", "crm-loadgen"] if len(binaries) < len(names) else [])


def ctest(folder, options: argparse.Namespace) -> int:
    environment = os.environ | ({"CRM_LONG": "1"} if options.long else {})
    arguments = ["ctest", "--test-dir", str(folder), "-j", str(build.jobs()), "--output-on-failure", "--no-tests=error",
                 "--timeout", str(TIMEOUT_LONG if options.long else TIMEOUT)]
    if options.only:
        arguments += ["-R", options.only]
    done = subprocess.run(arguments, stdin=subprocess.DEVNULL, env=environment)
    if done.returncode != 0:
        raise console.Failure("tests failed: ctest lists them above", "run one again with: tools/crm test --only NAME",
                              output="")
    return 0
