"""clang-format with .clang-format."""

import re
import subprocess
from concurrent.futures import ThreadPoolExecutor

from lintlib.tree import Finding, Tree

MESSAGE = re.compile(r"^(.+?):(\d+):\d+: error: ", re.MULTILINE)
FILES_PER_RUN = 12


def runs(tree: Tree, *arguments: str):
    files = tree.matching(".cc", ".h")
    chunks = [files[i:i + FILES_PER_RUN] for i in range(0, len(files), FILES_PER_RUN)]
    with ThreadPoolExecutor() as pool:
        yield from pool.map(lambda chunk: subprocess.run(["clang-format", *arguments, *chunk], cwd=tree.root, text=True, errors="replace",
                                                         stdout=subprocess.PIPE, stderr=subprocess.STDOUT), chunks)


def check(tree: Tree):
    for done in runs(tree, "--dry-run", "-Werror"):
        seen = set()
        for name, line in MESSAGE.findall(done.stdout):
            if name not in seen:  # the first place says enough
                seen.add(name)
                yield Finding(name, int(line), "is not formatted", "run tools/lint --fix")
        if done.returncode != 0 and not seen:
            yield Finding(".clang-format", 1, f"clang-format failed: {done.stdout.strip()[:300]}", "run tools/crm deps, or repair .clang-format")


def fix(tree: Tree) -> None:
    for _ in runs(tree, "-i"):
        pass
