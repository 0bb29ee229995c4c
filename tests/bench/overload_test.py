"""What tools/crm bench --overload measures, with little of everything on a system of its own: that each part asks, counts and comes to an end.
The figures themselves say nothing here. Runs by itself: python3 tests/bench/overload_test.py"""

import os
import sys
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.dont_write_bytecode = True
sys.path.insert(0, str(ROOT / "tools"))

from crmlib.bench import data, overload, system  # noqa: E402

BUILD = Path(os.environ.get("CRM_BUILD") or ROOT / "build/dev")
LITTLE = overload.Plan(seconds=2, peak_seconds=1, back_seconds=2)


class Whole(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.system = system.System(Path(tempfile.mkdtemp(prefix="crm-bench-")), BUILD)
        cls.addClassCleanup(cls.system.drop)
        cls.addClassCleanup(cls.system.close)
        cls.system.prepare()
        cls.system.begin("identity", "contact", "gateway")
        cls.tenants = [cls.system.sign_up(number) for number in range(data.TENANTS)]
        loaded = data.Data(cls.system, cls.tenants, 2000)
        loaded.load()
        loaded.finish()

    def test_by_grpc(self):
        cores = {name: os.sched_getaffinity(process.pid) for name, process in self.system.processes.items()}
        measured = overload.Overload(self.system, self.tenants, LITTLE)
        found = measured.measure()
        self.assertGreater(found["peak_per_second"], 0)
        self.assertEqual([(one["factor"], one["flood_share"]) for one in found["phases"]], list(overload.PHASES))
        for one in found["phases"]:
            factor = one["factor"]
            self.assertAlmostEqual(one["offered_per_second"], factor * found["peak_per_second"], delta=1 + 0.02 * factor * found["peak_per_second"])
            self.assertGreater(one["goodput"], 0)
            self.assertGreater(one["cpu"]["contact"], 0)
            self.assertGreater(one["cpu"][overload.LOADGEN], 0)
        # Far more than it can do: some is not done, and each refusal says when to come back.
        most = found["phases"][-1]
        self.assertLess(most["goodput_per_second"], most["offered_per_second"])
        self.assertEqual(most["refused"], most["with_retry"])
        self.assertLessEqual(most["throttled"], most["refused"])
        self.assertEqual(cores, {name: os.sched_getaffinity(process.pid) for name, process in self.system.processes.items()}, "the cores are not given back")
        text = "\n".join(overload.text([found]))
        self.assertIn("10x", text)
        self.assertIn("back after" if found["back_seconds"] else "not back", text)

    def test_goals_that_are_missed_are_said(self):
        one = {"factor": 1, "flood_share": 0.9, "goodput": 0.95, "quiet_success": 1.0, "refused": 5, "with_retry": 5}
        ten = one | {"factor": 10, "quiet_success": 0.98}
        found = {"service": "contact", "back_seconds": 1.0, "phases": [one, one | {"factor": 3, "goodput": 0.89}, ten | {"flood_share": 0.97, "with_retry": 4}]}
        self.assertEqual(len(overload.misses(found)), 3)
        self.assertEqual(overload.misses(found | {"phases": [one]}), [])
        self.assertEqual(len(overload.misses(found | {"phases": [one], "back_seconds": 11.0})), 1)
        # Who asks for more than there is for them cannot have it.
        self.assertEqual(overload.misses(found | {"phases": [ten]}), [])

    def test_the_peak_is_back_when_half_a_second_brings_it(self):
        report = {"by_half_second": [10, 30, 46, 50]}
        self.assertEqual(overload.back(report, 100, 0.5), 2.0)
        self.assertIsNone(overload.back(report, 200, 0.5))


if __name__ == "__main__":
    unittest.main()
