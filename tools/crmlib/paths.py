"""Where things are in the checkout."""

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

PRESET = os.environ.get("CRM_PRESET", "dev")


def build_dir(preset: str) -> Path:
    return BUILD / preset


def services() -> list[str]:
    """Every folder of services/ that has a main.cc, as CMake sees it."""
    return sorted(main.parent.name for main in (ROOT / "services").glob("*/main.cc"))
