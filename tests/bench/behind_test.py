"""What tools/crm bench measures behind the requests, with little of everything on a system of its own: that each part counts what
took place, finds its columns and comes to an end. The figures themselves say nothing here. Runs by itself:
python3 tests/bench/behind_test.py"""

import os
import sys
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.dont_write_bytecode = True
sys.path.insert(0, str(ROOT / "tools"))

from crmlib import console  # noqa: E402
from crmlib.bench import behind, report, system  # noqa: E402

BUILD = Path(os.environ.get("CRM_BUILD") or ROOT / "build/dev")
LITTLE = behind.Plan(seconds=1, import_seconds=1, timers_per_second=20, timers=60, letters=12)
TENANTS = 3


class Whole(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.system = system.System(Path(tempfile.mkdtemp(prefix="crm-bench-")), BUILD)
        cls.addClassCleanup(cls.system.drop)
        cls.addClassCleanup(cls.system.close)
        cls.system.prepare()
        cls.system.begin("identity", "gateway")
        cls.tenants = [cls.system.sign_up(number) for number in range(TENANTS)]

    def test_each_part_counts_what_took_place(self):
        self.assertEqual(self.system.value("show autovacuum"), "off")
        found = behind.Behind(self.system, self.tenants, LITTLE).measure()
        self.assertEqual(self.system.value("show autovacuum"), "on")
        for part in ("events", "timers", "letters"):
            self.assertGreater(found[part]["per_second"], 0)
        self.assertGreater(found["events"]["steady"]["count"], 0)
        self.assertEqual(found["events"]["import"]["count"] % behind.BATCH_SIZE, 0)
        self.assertEqual(found["events"]["catch_up"]["count"] % behind.BATCH_SIZE, 0)
        self.assertEqual((found["timers"]["steady"]["count"], found["timers"]["burst"]["count"]), (20, 60))
        self.assertEqual(found["letters"]["burst"]["count"], 12)
        for measured in (found["events"]["steady"], found["timers"]["burst"], found["letters"]["steady"]):
            self.assertTrue(0 < measured["p50_ms"] <= measured["p99_ms"], measured)
        self.assertEqual(self.system.value("select count(*) from messaging.message where status = 3"),
                         str(found["letters"]["steady"]["count"] + 12))
        text = "\n".join(report.behind(found))
        self.assertIn("letter to mail server", text)

        # Again, as with --keep: nothing of the first time is counted.
        again = behind.Behind(self.system, self.tenants, LITTLE)
        self.assertEqual(again.fired(30, 0)["count"], 30)

        # One that is missing is a failure, whatever the figures.
        with self.assertRaisesRegex(console.Failure, "of 31 there are 30"):
            again.spread("select now() as begin, now() as done from generate_series(1, 30)", 31, "scheduler")
        with self.assertRaisesRegex(console.Failure, "and 29 took place"):
            again.spread("select now() as begin, case when n > 1 then now() end as done from generate_series(1, 30) n", 30, "scheduler")


if __name__ == "__main__":
    unittest.main()
