"""tools/crm build [PRESET] [TARGET...]: configure once, then ninja, with progress and an estimate of the time left."""

import os
import re
import subprocess
import time
from pathlib import Path

from crmlib import console, deps, paths

PRESETS = ("dev", "release", "asan", "tsan", "plain", "fuzz", "coverage")
# What an edge costs before its like has been measured, in seconds of one core: only their proportions matter.
COMPILE_SECONDS, LINK_SECONDS, OTHER_SECONDS = 20.0, 1.0, 0.3
JOB_BYTES = 2 << 30  # a unity unit that sees gRPC and Asio takes up to this much memory to compile
FAILURES_MAX = 20  # one run names the errors of several files
REPORT_SECONDS = 20  # between two progress lines where there is no terminal

STATUS = re.compile(r"^\[(\d+)/(\d+)\] (.*)$")


def run(args: list[str]) -> int:
    preset = args[0] if args else paths.PRESET
    deps.ensure()
    build(preset, args[1:])
    return 0


def build(preset: str, targets: list[str] = []) -> Path:
    """Builds these targets, or all, and answers the build's folder."""
    if preset not in PRESETS:
        raise console.Failure(f"there is no preset {preset!r}", f"take one of {', '.join(PRESETS)}")
    folder = paths.build_dir(preset)
    configure(preset, folder)
    ninja(folder, targets, f"building {' '.join(targets) if 0 < len(targets) <= 3 else preset}")
    return folder


def build_services(preset: str) -> Path:
    return build(preset, [*paths.services(), "crm_descriptors"])


def configure(preset: str, folder: Path) -> None:
    if (folder / "build.ninja").exists():
        return  # ninja runs CMake again by itself when a CMake file or a folder's content changes
    with console.step(f"configuring {preset}"):
        console.command(["cmake", "--preset", preset], "CMake could not configure",
                        "run tools/crm deps; if it still fails, the log names what is missing", log=paths.LOG / f"configure-{preset}.log", cwd=paths.ROOT)


def jobs() -> int:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return max(1, min(len(os.sched_getaffinity(0)), memory // JOB_BYTES))


def cost(description: str) -> float:
    if description.startswith("Building"):
        return COMPILE_SECONDS
    return LINK_SECONDS if description.startswith("Linking") else OTHER_SECONDS


def ninja(folder: Path, targets: list[str], title: str) -> None:
    environment = os.environ | {"NINJA_STATUS": "[%f/%t] ", "CLICOLOR_FORCE": "0"}
    arguments = ["ninja", "-C", str(folder), "-j", str(jobs()), "-k", str(FAILURES_MAX), *targets]
    total = estimate(folder, targets, environment)
    log = paths.LOG / f"build-{folder.name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    start, reported, done = time.monotonic(), time.monotonic(), 0.0
    with log.open("w") as out, subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                                text=True, errors="replace", env=environment) as process:
        for line in process.stdout:
            out.write(line)
            match = STATUS.match(line)
            if not match:
                continue
            done += cost(match[3])
            now = time.monotonic()
            text = f"  {title}: {match[1]} of {match[2]}{left(done, total, now - start)}"
            console.transient(text)
            if not console.TTY and now - reported >= REPORT_SECONDS:
                console.say(text)
                reported = now
    seconds = time.monotonic() - start
    if process.returncode != 0:
        raise console.Failure(f"{title} (preset {folder.name}) did not compile", f"repair what the compiler names; the whole log is {log}",
                              output=first_errors(log.read_text(errors="replace")))
    if done:
        console.say(f"  {title} ({console.duration(seconds)})")


def estimate(folder: Path, targets: list[str], environment: dict[str, str]) -> float:
    """The cost of all that ninja would do now. A dry run would stop at CMake's own rule, so that is taken out first."""
    # First let CMake look at changed files and folders, so that the plan is the one that will be carried out.
    subprocess.run(["ninja", "-C", str(folder), "build.ninja"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    plan = folder / "estimate.ninja"
    plan.write_text(re.sub(r"(?m)^build build\.ninja:.*\n(?:[ \t].*\n)*", "", (folder / "build.ninja").read_text()))
    dry = subprocess.run(["ninja", "-C", str(folder), "-f", plan.name, "-n", *targets], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                         stderr=subprocess.STDOUT, text=True, env=environment)
    return sum(cost(match[3]) for line in dry.stdout.splitlines() if (match := STATUS.match(line)))


def left(done: float, total: float, seconds: float) -> str:
    """The time left, once enough is done to tell."""
    if seconds < 5 or done <= 0 or total <= done:
        return ""
    return f", about {console.duration(seconds / done * (total - done))} left"


def first_errors(log: str) -> str:
    """The compiler's first errors: those after them often only follow from them."""
    lines = log.splitlines()
    errors = [i for i, line in enumerate(lines) if re.search(r"\b(fatal )?error: |undefined reference|multiple definition|CMake Error|^ninja: error", line)]
    if not errors:
        return "\n".join(lines[-console.TAIL_LINES:])
    return "\n".join("\n".join(lines[i:i + 4]) for i in errors[:5])
