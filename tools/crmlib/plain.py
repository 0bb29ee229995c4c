"""The build is a unity build: a file may lean on what its neighbour includes. This checks each source by itself, without
making code of it, so that every file includes what it uses. A ninja file of its own keeps it incremental."""

import json
import shlex
from pathlib import Path

from crmlib import build, console, paths

FOLDER = paths.BUILD / "syntax"


def check(built: Path) -> None:
    """`built` is a finished build: its flags and generated headers are used."""
    sources = sorted(path for top in ("common", "services", "tools") for path in (paths.ROOT / top).rglob("*.cc")
                     if "node_modules" not in path.parts and path.parent.name != "deps")
    if not sources:
        return
    lines = ["rule check", "  command = " + shlex.join(flags(built)) + " -fsyntax-only -MMD -MF $out.d -MT $out $in && touch $out",
             "  depfile = $out.d", "  deps = gcc", "  description = Building $in"]
    lines += [f"build {path.relative_to(paths.ROOT)}.ok: check {path}" for path in sources]
    FOLDER.mkdir(parents=True, exist_ok=True)
    write_if_changed(FOLDER / "build.ninja", "\n".join(lines) + "\n")
    build.ninja(FOLDER, [], "each file by itself")


def flags(built: Path) -> list[str]:
    """The compiler and the include folders, definitions and warnings of all targets together."""
    seen: dict[str, None] = {}
    for entry in json.loads((built / "compile_commands.json").read_text()):
        words = shlex.split(entry["command"])
        for word, following in zip(words, words[1:] + [""]):
            if word == "-isystem":
                seen[f"-isystem{following}"] = None
            elif word.startswith(("-I", "-D", "-W", "-std=")):
                seen[word] = None
    return ["g++", *seen, "-fdiagnostics-color=never"]


def write_if_changed(path: Path, text: str) -> None:
    if not path.exists() or path.read_text() != text:
        path.write_text(text)
