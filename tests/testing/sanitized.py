#!/usr/bin/env python3
"""sanitized.py COMMAND...: runs a test of a build with sanitizers (cmake/Toolchain.cmake: CRM_SANITIZE). Every process that it starts,
however deep, writes its sanitizer's reports to one folder: a report fails the test also when the process that made it was killed,
ended as if nothing had been, or was started again. ctest runs every test of such a build by this."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
LINES_MAX = 400
ENVIRONMENT = {
    "CRM_LOOPS": "3",  # of every service (tests/flow/stack.py): with one event loop there is little to race with
    "CRM_DRAIN": "1",  # what was leaked is found when a process ends by itself
    "G_SLICE": "always-malloc",  # GLib's own allocator hides from sanitizers what belongs to whom
}
OPTIONS = {
    # What is kept after it was freed, 256 MB otherwise, looks like growth to tests that watch memory.
    "ASAN_OPTIONS": "detect_stack_use_after_return=1:strict_string_checks=1:quarantine_size_mb=32",
    "LSAN_OPTIONS": "",
    "UBSAN_OPTIONS": "print_stacktrace=1",
    "TSAN_OPTIONS": f"suppressions={TESTS}/tsan.supp:second_deadlock_stack=1:history_size=4",
}


def main(command: list[str]) -> int:
    folder = Path(tempfile.mkdtemp(prefix="crm-sanitized-"))
    folder.chmod(0o777)  # processes of other users report too
    environment = ENVIRONMENT | os.environ
    for name, options in OPTIONS.items():
        own = os.environ.get(name)  # comes last, and so wins
        environment[name] = ":".join(filter(None, [options, f"log_path={folder}/report", own]))
    try:
        code = subprocess.run(command, env=environment).returncode
        reports = sorted(folder.iterdir())
        for report in reports:
            lines = report.read_text(errors="replace").splitlines()
            print(f"--- {report.name}", *lines[:LINES_MAX], sep="\n", flush=True)
        if reports:
            print(f"{len(reports)} process(es) made reports of sanitizers: see above", flush=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return code or (1 if reports else 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
