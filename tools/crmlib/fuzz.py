"""tools/crm fuzz: the fuzzers of tests/fuzz under libFuzzer, each for a while, with ASan and UBSan (clang)."""

import argparse
import json
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
COVERAGE_MIN = 85  # percent of the lines of each parser


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


def covered() -> dict[str, set[str] | None]:
    """The sources that fuzzers say they cover, on their first lines; None: the whole file, else the functions of these names."""
    found: dict[str, set[str] | None] = {}
    for name in names():
        first = (FOLDER / f"{name}_fuzz.cc").read_text().splitlines()[0]
        if not first.startswith("// covers: "):
            raise console.Failure(f"tests/fuzz/{name}_fuzz.cc does not say what it covers", "begin it with `// covers: common/base/email.cc`")
        for word in first.removeprefix("// covers: ").split():
            source, _, functions = word.partition("#")
            if not (paths.ROOT / source).is_file():
                raise console.Failure(f"tests/fuzz/{name}_fuzz.cc covers {source}, which does not exist", "name a file of the repository")
            named = found.setdefault(source, set())
            found[source] = None if not functions or named is None else named | set(functions.split(","))
    return found


def coverage() -> int:
    """Lines of the parsers that the committed corpus and the changes of one long test run reach."""
    covered()  # says what is wrong before anything is built
    folder = build.build("coverage", ["fuzz_replay"])
    program = folder / "bin/fuzz_replay"
    raw = folder / "fuzz.profraw"
    with console.step("replaying the corpus"):
        console.command([program], "the replay failed", "run build/coverage/bin/fuzz_replay, which says more",
                        env=os.environ | {"LLVM_PROFILE_FILE": str(raw), "CRM_LONG": "1"})
    return table(program, raw)


def table(program: Path, raw: Path) -> int:
    """Says how much of each parser was reached by a run of the program that left this profile."""
    sources = covered()
    profile = raw.with_suffix(".profdata")
    llvm = Path(shutil.which("llvm-cov-14") or "/usr/lib/llvm-14/bin/llvm-cov").resolve().parent
    console.command([llvm / "llvm-profdata", "merge", "-sparse", raw, "-o", profile], "the profile cannot be read", "install llvm-14")

    def export(form: str) -> str:
        return console.command([llvm / "llvm-cov", "export", f"-format={form}", "-skip-expansions", f"-instr-profile={profile}", program,
                                *(paths.ROOT / source for source in sources)], "the coverage cannot be read", "install llvm-14")

    spans = spans_of(json.loads(export("text")), llvm, sources)
    lines = reached = 0
    short = []
    for block in export("lcov").split("end_of_record"):
        named = re.search(r"^SF:(.*)$", block, re.MULTILINE)
        source = str(Path(named[1]).relative_to(paths.ROOT)) if named else ""
        if source not in sources:
            continue
        counts = [(int(line), int(count)) for line, count in re.findall(r"^DA:(\d+),(\d+)", block, re.MULTILINE)]
        if sources[source] is not None:
            counts = [(line, count) for line, count in counts if any(first <= line <= last for first, last in spans[source])]
        hit = sum(1 for _, count in counts if count > 0)
        lines, reached = lines + len(counts), reached + hit
        percent = hit * 100 / max(len(counts), 1)
        missed = [line for line, count in counts if count == 0]
        console.say(f"  {source:<54} {percent:5.1f} % of {len(counts)}" + (f"  not: {ranges(missed)}" if percent < COVERAGE_MIN else ""))
        if percent < COVERAGE_MIN:
            short.append(source)
    percent = reached * 100 / max(lines, 1)
    console.say(f"  all parsers: {percent:.1f} % of {lines} lines")
    if short:
        raise console.Failure(f"the corpus reaches less than {COVERAGE_MIN} % of the lines of {', '.join(short)}",
                              "add inputs to tests/fuzz/corpus that lead where nothing has been")
    return 0


def spans_of(report: dict, llvm: Path, sources: dict[str, set[str] | None]) -> dict[str, list[tuple[int, int]]]:
    """From which line to which the functions go that are covered by name."""
    functions = [function for data in report["data"] for function in data["functions"]]
    mangled = [function["name"].rpartition(":")[2] for function in functions]  # of a static one: file.cc:name
    plain = subprocess.run([llvm / "llvm-cxxfilt"], input="\n".join(mangled), capture_output=True, text=True, check=True).stdout.splitlines()
    spans: dict[str, list[tuple[int, int]]] = {source: [] for source in sources}
    for function, name in zip(functions, plain):
        source = os.path.relpath(function["filenames"][0], paths.ROOT)
        named = re.search(r"(\w+)(\[abi:\w+\])?\(", name.replace("(anonymous namespace)", "anonymous"))
        if source in sources and sources[source] is not None and named and named[1] in sources[source]:
            spans[source].append((function["regions"][0][0], function["regions"][0][2]))
    for source, wanted in sources.items():
        if wanted is not None and not spans[source]:
            raise console.Failure(f"{source} has none of the functions {', '.join(sorted(wanted))}", "correct `covers:` of its fuzzer")
    return spans


def ranges(lines: list[int]) -> str:
    """1, 2, 3, 7 -> 1-3 7"""
    out: list[list[int]] = []
    for line in lines:
        if out and line == out[-1][1] + 1:
            out[-1][1] = line
        else:
            out.append([line, line])
    return " ".join(str(first) if first == last else f"{first}-{last}" for first, last in out)
