"""A wall clock of its own for one process, moved while it runs, as faketime does it: a preloaded library adds an offset from a mapped file to
the wall clock and leaves the steady clock alone, as a real jump does. Debian's libfaketime will not do: it resolves symbols at its first
call, which allocates, which asks jemalloc, which asks for the time while it sets itself up, and there both stand still."""

import os
import struct
import subprocess
import tempfile
from pathlib import Path

SOURCE = Path(__file__).with_name("shifted_clock.c")


class Clock:
    def __init__(self, folder: Path, name: str):
        self.library, self.file = folder / "shifted_clock.so", folder / f"{name}.clock"
        if not self.library.exists():
            build(self.library)
        self.set(0)

    def set(self, seconds: float) -> None:
        """At once and whole: eight bytes of the file that the process has mapped."""
        handle = os.open(self.file, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            os.pwrite(handle, struct.pack("=q", round(seconds * 1e9)), 0)
        finally:
            os.close(handle)

    def environment(self) -> dict[str, str]:
        # A sanitizer's library insists on being the first one otherwise.
        checks = {name: f"verify_asan_link_order=0:{os.environ.get(name, '')}" for name in ("ASAN_OPTIONS",)}
        return checks | {"LD_PRELOAD": str(self.library), "CRM_CLOCK_FILE": str(self.file)}


def build(library: Path) -> None:
    with tempfile.TemporaryDirectory(dir=library.parent) as folder:
        made = Path(folder) / library.name
        subprocess.run(["gcc", "-O2", "-Wall", "-Werror", "-shared", "-fPIC", "-o", made, SOURCE], check=True)
        made.chmod(0o755)
        made.replace(library)
