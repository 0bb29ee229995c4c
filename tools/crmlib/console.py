"""What the commands print: steps, progress, and failures that say what to do."""

import contextlib
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

TTY = sys.stdout.isatty() and not os.environ.get("CI")
TAIL_LINES = 25  # of a failed step's log


class Failure(Exception):
    """A step that failed: what happened, the log that shows why, and what to do about it."""

    def __init__(self, what: str, advice: str, log: Path | None = None, output: str = ""):
        super().__init__(what)
        self.what, self.advice, self.log, self.output = what, advice, log, output


def report(command: str, failure: Failure) -> None:
    clear()
    sys.stdout.flush()
    lines = [f"crm {command} failed: {failure.what}"]
    text = failure.output
    if failure.log and failure.log.exists():
        text = failure.log.read_text(errors="replace")
        lines.append(f"  last lines of {failure.log}:")
    lines += [f"  | {line}" for line in text.splitlines()[-TAIL_LINES:]]
    lines.append(f"  what to do: {failure.advice}")
    print("\n".join(lines), file=sys.stderr)


def say(text: str) -> None:
    clear()
    print(text, flush=True)


def clear() -> None:
    if TTY:
        print("\r\033[K", end="", flush=True)


def transient(text: str) -> None:
    """A line that the next one replaces; nothing where there is no terminal."""
    if TTY:
        print("\r\033[K" + text[: shutil.get_terminal_size().columns - 1], end="", flush=True)


@contextlib.contextmanager
def step(text: str):
    """Prints what is done and, when it took a second or more, how long it took."""
    transient(f"  {text} ...")
    start = time.monotonic()
    yield
    seconds = time.monotonic() - start
    say(f"  {text}" + (f" ({duration(seconds)})" if seconds >= 1 else ""))


def duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes = seconds / 60
    if minutes < 60:
        return f"{int(minutes)} min {int(seconds) % 60:02d} s"
    if minutes < 48 * 60:
        return f"{int(minutes / 60)} h {int(minutes) % 60:02d} min"
    return f"{int(minutes / 60 / 24)} days"


def size(count: float) -> str:
    for unit in ("B", "KB", "MB", "GB"):
        if count < 1024 or unit == "GB":
            return f"{count:.0f} {unit}" if count >= 10 or unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    raise AssertionError


def table(header: list[str], rows: list[list[str]]) -> str:
    widths = [max(len(str(row[i])) for row in [header, *rows]) for i in range(len(header))]
    return "\n".join("  ".join(str(cell).ljust(width) for cell, width in zip(row, widths)).rstrip() for row in [header, *rows])


def command(args: list, what: str, advice: str, *, log: Path | None = None, input: str | None = None, **options) -> str:
    """Runs a program to its end and answers what it printed; a Failure with its last lines when it fails."""
    try:
        done = subprocess.run([str(a) for a in args], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
                              **({"input": input} if input is not None else {"stdin": subprocess.DEVNULL}), **options)
    except FileNotFoundError as missing:
        raise Failure(f"{what}: {missing.filename} is not there", "run tools/crm deps") from None
    if log:
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text(done.stdout)
    if done.returncode != 0:
        raise Failure(f"{what} (exit {done.returncode})", advice, log=log, output=done.stdout)
    return done.stdout
