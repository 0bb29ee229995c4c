"""buf lint (buf.yaml) and buf breaking against the last landed commit."""

import os
import platform
import re
import subprocess
import tempfile
from pathlib import Path

from lintlib.tree import Finding, Tree

MESSAGE = re.compile(r"^(.+?):(\d+):\d+:(.*)$")
# The program itself: the package that wraps it names platforms that npm may not find.
BUF = f"tools/npm/node_modules/@bufbuild/buf-linux-{ {'x86_64': 'x64'}.get(platform.machine(), platform.machine())}/bin/buf"
# A commit whose message has this trailer may change the API in a breaking way; the reason stands behind it.
TRAILER = "Breaking-API"


def check(tree: Tree):
    if not tree.matching(".proto", under="protos/"):
        return
    yield from lint(tree)
    yield from breaking(tree)


def includes(root: Path) -> list[str]:
    return [f"-I{root / 'tools/npm/node_modules/google-proto-files'}", f"-I{root / 'build/deps/protos'}", "-I/usr/include"]


def buf(tree: Tree, *arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run([tree.root / BUF, *arguments], cwd=tree.root, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def lint(tree: Tree):
    try:
        done = buf(tree, "lint")
    except FileNotFoundError:
        yield Finding("buf.yaml", 1, "buf is not installed", "run tools/crm deps")
        return
    yield from findings(done, "buf.yaml", "see the comment in buf.yaml; its rules: buf.build/docs/lint/rules")


def findings(done: subprocess.CompletedProcess, where: str, fix: str, prefix: str = ""):
    if done.returncode == 0:
        return
    found = [MESSAGE.match(line) for line in done.stdout.splitlines()]
    for match in filter(None, found):
        yield Finding(prefix + match[1].removeprefix("./"), int(match[2]), match[3].strip(), fix)
    if not any(found):
        yield Finding(where, 1, done.stdout.strip()[:500] or f"buf ended with {done.returncode}", fix)


def baseline(tree: Tree) -> str | None:
    """The commit that the tree's protos must stay compatible with: HEAD for a changed tree, else the one before HEAD; none
    for the first commit, and none where HEAD says that it breaks the API."""
    def git(*arguments: str) -> str | None:
        done = subprocess.run(["git", "-C", tree.root, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        return done.stdout.strip() if done.returncode == 0 else None
    if git("status", "--porcelain", "--", "protos"):
        return git("rev-parse", "--verify", "HEAD")
    if git("log", "-1", f"--format=%(trailers:key={TRAILER},valueonly)"):
        return None
    return git("rev-parse", "--verify", "HEAD^")


def image(protos: Path, out: Path, root: Path) -> subprocess.CompletedProcess:
    files = sorted(str(path.relative_to(protos)) for path in protos.rglob("*.proto"))
    return subprocess.run(["protoc", f"-I{protos}", *includes(root), "--include_imports", "--include_source_info", f"--descriptor_set_out={out}", *files],
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def breaking(tree: Tree):
    commit = baseline(tree)
    if not commit:
        return
    with tempfile.TemporaryDirectory() as folder:
        archive = subprocess.run(["git", "-C", tree.root, "archive", commit, "protos"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        if archive.returncode != 0:
            return  # no protos then
        subprocess.run(["tar", "-x", "-C", folder], input=archive.stdout, check=True)
        before, after = Path(folder) / "before.binpb", Path(folder) / "after.binpb"
        if image(Path(folder) / "protos", before, tree.root).returncode != 0:
            return  # what did not compile had no users
        made = image(tree.root / "protos", after, tree.root)
        if made.returncode != 0:
            yield Finding("protos", 1, made.stdout.strip()[:500], "repair what protoc names")
            return
        # Only our packages: Google's and buf's change with their pinned versions.
        done = buf(tree, "breaking", os.fspath(after), "--against", os.fspath(before), "--exclude-imports", "--path", "crm")
        yield from findings(done, "protos", f"keep what clients use: deprecate and add; if nobody can be using it, say so in the commit's trailer {TRAILER}: <reason>",
                            prefix="protos/")
