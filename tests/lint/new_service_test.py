#!/usr/bin/env python3
"""What tools/new-service writes compiles as it is and breaks no rule of tools/lint."""

import contextlib
import importlib.machinery
import importlib.util
import io
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("CRM_BUILD") or ROOT / "build/dev")
sys.dont_write_bytecode = True
sys.path.insert(0, str(ROOT / "tools"))

from crmlib import plain  # noqa: E402
from lintlib import format as formatting  # noqa: E402
from lintlib import includes, migrations, protos, routes, sources  # noqa: E402
from lintlib.tree import Tree  # noqa: E402


def load():
    loader = importlib.machinery.SourceFileLoader("new_service", str(ROOT / "tools/new-service"))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("new_service", loader))
    loader.exec_module(module)
    return module


class NewServiceTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        quiet = contextlib.ExitStack()
        self.addCleanup(quiet.close)
        quiet.enter_context(contextlib.redirect_stdout(io.StringIO()))
        quiet.enter_context(contextlib.redirect_stderr(io.StringIO()))
        self.root = Path(folder.name)
        for name in ("tools/npm/node_modules", "build/deps/protos", "buf.yaml", ".clang-format", "protos/crm/type", "common"):
            (self.root / name).parent.mkdir(parents=True, exist_ok=True)
            os.symlink(ROOT / name, self.root / name)

    def test_it_keeps_the_rules_and_compiles(self):
        for arguments in (["loyalty", "reward"], ["gift_shop", "gift_category"]):
            self.assertEqual(load().main(arguments, self.root), 0)
        tree = Tree(self.root)
        ours = [name for name in tree.files if name.startswith(("services/", "protos/crm/loyalty", "protos/crm/gift_shop"))]
        self.assertEqual(len(ours), 18)
        findings = [str(finding) for check in (formatting, protos, routes, includes, sources, migrations) for finding in check.check(tree)
                    if finding.path in ours]
        self.assertEqual(findings, [])

        generated = self.root / "gen"
        generated.mkdir()
        subprocess.run(["protoc", f"-I{self.root / 'protos'}", *protos.includes(ROOT), f"--cpp_out={generated}",
                        *(name.removeprefix("protos/") for name in ours if name.endswith(".proto"))], check=True)
        unit = self.root / "unit.cc"
        unit.write_text("".join(f'#include "{name}"\n' for name in ours if name.endswith(".cc") and "/gift_shop/" in name))
        done = subprocess.run([*plain.flags(BUILD), f"-I{self.root}", f"-I{generated}", "-fsyntax-only", unit], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True)
        self.assertEqual(done.returncode, 0, done.stdout[:3000])

    def test_it_refuses_bad_names_and_what_is_there(self):
        new_service = load()
        for arguments in ([], ["Loyalty", "reward"], ["loyalty"], ["loyalty", "re-ward"]):
            self.assertEqual(new_service.main(arguments, self.root), 2)
        self.assertEqual(new_service.main(["loyalty", "reward"], self.root), 0)
        self.assertEqual(new_service.main(["loyalty", "reward"], self.root), 1)


if __name__ == "__main__":
    unittest.main()
