"""The first job over all processes: on Northwind's books where they are at hand, and on made-up ones."""

import datetime
import sys
import unittest
from decimal import Decimal
from pathlib import Path

from stack import ROOT, Stack

from crmlib import demo
from crmlib.dataset import made_up, read
from crmlib.firstjob import LIVE_SECONDS, FirstJob, cents

NORTHWIND = ROOT.parent / "shared/data/northwind"


class FirstJobTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.stack = Stack()
        cls.stack.__enter__()
        cls.addClassCleanup(lambda: cls.stack.__exit__(None, None, None))

    def tearDown(self):
        if any(error for _, error in self._outcome.result.failures + self._outcome.result.errors):
            self.stack.print_logs()

    def run_job(self, data, name):
        facts = FirstJob(self.stack.instance.url, data, name, say=lambda text: print(text, flush=True)).run()
        print(demo.compare_with_sql(self.stack.instance, facts))
        # How fast is the bench's matter; the job itself has seen each change arrive.
        print(f"the slowest change showed on an open stream after {facts['slowest_live_seconds']} s (aim: {LIVE_SECONDS} s)")
        self.assertEqual(Decimal(facts["revenue"]), cents(data.revenue()) + Decimal("1999.90"))
        self.assertEqual(facts["leads"], 1)
        return facts

    @unittest.skipUnless(NORTHWIND.exists(), f"{NORTHWIND} is not there: run where the shared data lie beside the checkout")
    def test_northwind(self):
        facts = self.run_job(read(NORTHWIND), "northwind")
        self.assertEqual(facts["imported_revenue"], "1265793.04")
        self.assertEqual((facts["companies"], facts["contacts"], facts["products"], facts["deals"]), (120, 120, 77, 830))
        self.assertEqual((len(facts["users"]), len(facts["teams"])), (9, 2))
        self.assertEqual(facts["report_rows"], {"EMPLOYEE": 10, "PRODUCT": 77 + 1, "COUNTRY": 21 + 1, "MONTH": 23 + 1})

    def test_made_up(self):
        self.run_job(made_up(datetime.date(2026, 11, 23)), "made-up")

    def test_a_folder_that_is_none(self):
        from crmlib.console import Failure
        with self.assertRaisesRegex(Failure, "customers.csv is missing"):
            read(Path(__file__).parent)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + ["-v"] + sys.argv[1:])
