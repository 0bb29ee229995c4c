"""tools/crm fuzz: the fuzzers of tests/fuzz under libFuzzer, each for a while, with ASan and UBSan (clang)."""

import argparse
import os
import re
import shutil
import subprocess
from pathlib import Path

from crmlib import build, console, deps, paths

FOLDER = paths.ROOT / "tests/fuzz"
CORPUS = FOLDER / "corpus"
PRESET = "fuzz"
SECONDS = 60
INPUT_BYTES_MAX = 4096  # what parsers get wrong shows in short texts; long ones only take time
STUCK_SECONDS = 25  # for one input; the first one also waits for tables to be made
MEMORY_MIB = 2048
COVERAGE_MIN = 85  # percent of the lines of the parsers, together


def run(args: list[str]) -> int:
    options = parse(args)
    deps.ensure()
    chosen = options.names or names()
    if unknown := sorted(set(chosen) - set(names())):
        raise console.Failure(f"there is no fuzzer {', '.join(unknown)}", f"there are {', '.join(names())}")
    return coverage() if options.coverage else fuzz(chosen, options.seconds)


def parse(args: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tools/crm fuzz")
    parser.add_argument("names", metavar="NAME", nargs="*", help="these only; without any, all of tests/fuzz")
    parser.add_argument("--seconds", type=int, default=SECONDS, help=f"how long each runs (default {SECONDS})")
    parser.add_argument("--coverage", action="store_true", help="instead say which lines of the parsers the corpus reaches")
    return parser.parse_args(args)


def names() -> list[str]:
    return sorted(path.name.removesuffix("_fuzz.cc") for path in FOLDER.glob("*_fuzz.cc"))


def fuzz(chosen: list[str], seconds: int) -> int:
    folder = build.build(PRESET, [f"fuzz_{name}" for name in chosen])
    found = [name for name in chosen if not one(folder, name, seconds)]
    if found:
        raise console.Failure(f"{', '.join(found)} found something", "see above: the input stands in the file that is named. Repair it, and keep "
                              "the input in tests/fuzz/corpus, so that every test run tries it again", output="")
    return 0


def one(folder: Path, name: str, seconds: int) -> bool:
    """Runs one fuzzer from its committed corpus and what earlier runs have found beside it; True if nothing broke."""
    work, findings = folder / "corpus" / name, folder / "findings" / name
    for path in (work, findings):
        path.mkdir(parents=True, exist_ok=True)
    log = folder / "findings" / f"{name}.log"
    command = [folder / "bin" / f"fuzz_{name}", work, CORPUS / name, f"-max_total_time={seconds}", f"-max_len={INPUT_BYTES_MAX}",
               f"-timeout={STUCK_SECONDS}", f"-rss_limit_mb={MEMORY_MIB}", f"-artifact_prefix={findings}/", "-print_final_stats=1", "-verbosity=1"]
    environment = os.environ | {
        "ASAN_OPTIONS": "detect_stack_use_after_return=1:strict_string_checks=1:detect_leaks=0:allocator_may_return_null=1",
        "UBSAN_OPTIONS": "print_stacktrace=1",
        "LLVM_PROFILE_FILE": "/dev/null",
    }
    with log.open("w") as out:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, env=environment)
    text = log.read_text(errors="replace")
    executed = re.search(r"stat::number_of_executed_units:\s*(\d+)", text)
    reached = re.findall(r"cov: (\d+)", text)
    console.say(f"  {name:<16} {int(executed[1]) if executed else 0:>10} runs, {reached[-1] if reached else 0:>6} edges"
                + ("" if done.returncode == 0 else "  BROKEN"))
    if done.returncode == 0:
        return True
    lines = text.splitlines()
    telling = [line for line in lines if re.search(r"ERROR|runtime error|what\(\)|SUMMARY|Test unit written|not so|DEADLYSIGNAL", line)]
    frames = [line for line in lines if re.search(r"#\d+ .* (in|at) .*(common|services|tests/fuzz)/", line)]
    print("\n".join(telling[:8] + frames[:8]), flush=True)
    print(f"  the whole log: {log}", flush=True)
    return False


def covered() -> dict[str, list[str]]:
    """Which sources each fuzzer says it covers, on its first line."""
    found = {}
    for name in names():
        first = (FOLDER / f"{name}_fuzz.cc").read_text().splitlines()[0]
        if not first.startswith("// covers: "):
            raise console.Failure(f"tests/fuzz/{name}_fuzz.cc does not say what it covers", "begin it with `// covers: common/base/email.cc`")
        found[name] = first.removeprefix("// covers: ").split()
    return found


def coverage() -> int:
    """Lines of the parsers that the committed corpus and the changes of one test run reach."""
    sources = sorted({source for sources in covered().values() for source in sources})
    folder = build.build("coverage", ["fuzz_replay"])
    program = folder / "bin/fuzz_replay"
    raw, profile = folder / "fuzz.profraw", folder / "fuzz.profdata"
    with console.step("replaying the corpus"):
        console.command([program], "the replay failed", "run build/coverage/bin/fuzz_replay, which says more",
                        env=os.environ | {"LLVM_PROFILE_FILE": str(raw), "CRM_LONG": "1"})
    llvm = Path(shutil.which("llvm-cov-14") or "/usr/lib/llvm-14/bin/llvm-cov").resolve().parent
    console.command([llvm / "llvm-profdata", "merge", "-sparse", raw, "-o", profile], "the profile cannot be read", "install llvm-14")
    shown = console.command([llvm / "llvm-cov", "export", "-summary-only", "-format=lcov", f"-instr-profile={profile}", program,
                             *(paths.ROOT / source for source in sources)], "the coverage cannot be read", "install llvm-14")
    lines = reached = 0
    for block in shown.split("end_of_record"):
        name, all_, hit = (re.search(rf"^{key}:(.*)$", block, re.MULTILINE) for key in ("SF", "LF", "LH"))
        if not (name and all_ and hit):
            continue
        lines, reached = lines + int(all_[1]), reached + int(hit[1])
        console.say(f"  {Path(name[1]).relative_to(paths.ROOT)!s:<48} {int(hit[1]) * 100 / max(int(all_[1]), 1):5.1f} % of {all_[1]}")
    percent = reached * 100 / max(lines, 1)
    console.say(f"  all parsers: {percent:.1f} % of {lines} lines")
    if percent < COVERAGE_MIN:
        raise console.Failure(f"the corpus reaches {percent:.1f} % of the parsers' lines, and at least {COVERAGE_MIN} % are asked for",
                              "add inputs to tests/fuzz/corpus that lead where nothing has been")
    return 0
