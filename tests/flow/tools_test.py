#!/usr/bin/env python3
"""tools/crm as a newcomer uses it: up, look, break, restart, down, up, reset, on an instance of its own."""

import json
import os
import signal
import subprocess
import time
import unittest
from pathlib import Path

from stack import BUILD, ROOT, Instance, Stack, eventually

READY = 0
NOT_READY = 3


class ToolsTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.reservation = Stack()  # never started: only its ports
        cls.name = f"test-{os.getpid()}"
        cls.environment = {key: value for key, value in os.environ.items() if not key.startswith("CRM_")} | {
            "CRM_INSTANCE": cls.name, "CRM_PORT_BASE": str(cls.reservation.instance.port_base), "CRM_PRESET": BUILD.name}
        cls.instance = Instance(cls.name, ROOT / ".run" / cls.name, cls.reservation.instance.port_base, BUILD)

    @classmethod
    def tearDownClass(cls):
        cls.crm("reset")
        (cls.instance.folder / "lock").unlink(missing_ok=True)
        cls.instance.folder.rmdir()
        cls.reservation.close()

    @classmethod
    def crm(cls, *arguments: str, expect: int = 0, **more) -> str:
        done = subprocess.run([ROOT / "tools/crm", *arguments], env=cls.environment | more, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True)
        assert done.returncode == expect, f"crm {' '.join(arguments)} ended with {done.returncode}, not {expect}:\n{done.stdout}"
        return done.stdout

    def status(self, expect: int = READY) -> dict[str, dict]:
        return {row["name"]: row for row in json.loads(self.crm("status", "--json", expect=expect))["processes"]}

    def test_a_life(self):
        self.crm("up")
        rows = self.status()
        self.assertEqual(list(rows), ["postgres", "redis", *self.instance.services, "edge"])
        for name, row in rows.items():
            self.assertTrue(row["ready"] and row["pid"] > 0 and row["memory_bytes"] > 1 << 20, row)

        # Again: seconds, and nothing is restarted.
        start = time.monotonic()
        self.assertIn(self.instance.url, self.crm("up"))
        self.assertLess(time.monotonic() - start, 60)
        self.assertEqual({name: row["pid"] for name, row in self.status().items()}, {name: row["pid"] for name, row in rows.items()})

        # What a killed process was is started again.
        os.kill(rows["contact"]["pid"], signal.SIGKILL)
        eventually(lambda: self.status()["contact"]["pid"] not in (0, rows["contact"]["pid"]), 30)

        self.assertIn("All is well", self.crm("doctor"))
        self.assertEqual(self.crm("psql", "contact", "-Atc", "select current_user, current_schema()").strip(), "contact|contact")
        self.assertIn(f"export CRM_URL={self.instance.url}", self.crm("env"))
        self.assertIn("contact", self.crm("logs", "contact", "-n", "3"))
        before = self.status()["redis"]["pid"]
        self.crm("restart", "redis")
        self.assertNotEqual(self.status()["redis"]["pid"], before)
        eventually(lambda: all(row["ready"] for row in self.status().values()), 20)

        # Secrets are readable by their owner alone.
        for path in (self.instance.folder / "secrets").iterdir():
            if path.name != "jwks.json":
                self.assertEqual(path.stat().st_mode & 0o777, 0o600, path)

        # A backup, and back to it: what came in between is gone.
        self.crm("backup")
        folder = Path(json.loads((self.instance.folder / "backup.json").read_text())["folder"])
        self.crm("psql", "postgres", "-qc", "create table public.later()")
        self.assertIn("as it was", self.crm("restore", str(folder), "--to", json.loads(next((folder / "base").glob("*/about.json")).read_text())["time"]))
        self.assertEqual(self.crm("psql", "postgres", "-Atc", "select to_regclass('public.later') is null").strip(), "t")
        self.assertTrue(all(row["ready"] for row in self.status().values()))

        # Down keeps the data; up finds them.
        count = "select count(*) from contact.contact"
        contacts = self.crm("psql", "postgres", "-Atc", count)
        self.crm("down")
        self.assertEqual(self.status(expect=NOT_READY), {})
        self.crm("up")
        self.assertEqual(self.crm("psql", "postgres", "-Atc", count), contacts)

    def test_mistakes_are_answered_with_what_to_do(self):
        for arguments in (("psql", "nobody"), ("restart", "nothing"), ("build", "nopreset"), ("up", "more")):
            with self.subTest(arguments=arguments):
                self.assertIn("what to do:", self.crm(*arguments, expect=1))
        self.assertIn("usage:", self.crm("frobnicate", expect=2))
        self.assertIn("CRM_PORT_BASE", self.crm("status", expect=1, CRM_PORT_BASE="many"))


if __name__ == "__main__":
    unittest.main(verbosity=2)
