"""Where things are: in the checkout, or in a package of it (tools/crm package), which has what runs where the checkout has a build."""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TOOLS = ROOT / "tools"
RUN = ROOT / ".run"
LOG = RUN / "log"  # of builds and installations; each instance keeps its own
BUILD = ROOT / "build"
DEPS = BUILD / "deps"
NPM = TOOLS / "npm"
POSTGRES_BIN = Path("/usr/lib/postgresql/15/bin")

PACKAGED = (ROOT / "VERSION").is_file()

PRESET = os.environ.get("CRM_PRESET", "dev")


def build_dir(preset: str) -> Path:
    return ROOT if PACKAGED else BUILD / preset


def services() -> list[str]:
    """Every folder of services/ that has a main.cc, as CMake sees it; in a package, what is in bin/."""
    if PACKAGED:
        return sorted(path.name for path in (ROOT / "bin").iterdir())
    return sorted(main.parent.name for main in (ROOT / "services").glob("*/main.cc"))
