"""The tree that is checked, and what a check finds in it."""

import dataclasses
import subprocess
from pathlib import Path

SKIPPED = {"build", ".run", "node_modules", "__pycache__"}  # what .gitignore names, where there is no git


@dataclasses.dataclass(frozen=True)
class Finding:
    path: str  # from the tree's root
    line: int
    what: str
    fix: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.what}\n    fix: {self.fix}"


class Tree:
    """Every file that git tracks or would track; without git, every file. Paths are relative, with slashes."""

    def __init__(self, root: Path):
        self.root = root
        listed = subprocess.run(["git", "-C", str(root), "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
                                stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        if listed.returncode == 0:
            names = set(filter(None, listed.stdout.decode().split("\0")))
        else:
            names = {str(path.relative_to(root)) for path in root.rglob("*") if not SKIPPED & set(path.relative_to(root).parts)}
        self.files = sorted(name for name in names if (root / name).is_file())

    def matching(self, *suffixes: str, under: str = "") -> list[str]:
        return [name for name in self.files if name.endswith(suffixes) and name.startswith(under)]

    def text(self, name: str) -> str:
        return (self.root / name).read_text(encoding="utf-8", errors="replace")
