"""The whole story of a customer over all processes: on Northwind's books where they are at hand, and on made-up ones."""

import datetime
import sys
import tempfile
import unittest
from decimal import Decimal
from pathlib import Path

from stack import ROOT, Stack

from crmlib import demo
from crmlib.dataset import made_up, read
from crmlib.firstjob import cents
from crmlib.story import Story, can_take_letters, mail_server

NORTHWIND = ROOT.parent / "shared/data/northwind"


class StoryTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        if not can_take_letters():
            raise unittest.SkipTest("python3-aiosmtpd is not installed: run tools/crm deps")
        cls.stack = Stack()
        cls.stack.__enter__()
        cls.addClassCleanup(lambda: cls.stack.__exit__(None, None, None))

    def tearDown(self):
        if any(error for _, error in self._outcome.result.failures + self._outcome.result.errors):
            self.stack.print_logs()

    def tell(self, data, name):
        with tempfile.TemporaryDirectory(prefix="crm-letters-") as letters, mail_server(Path(letters)) as smtp_port:
            facts = Story(self.stack.instance.url, data, name, Path(letters), smtp_port, self.stack.instance.lmtp_port,
                          say=lambda text: print(text, flush=True)).run()
        print(demo.compare_with_sql(self.stack.instance, facts))
        self.assertEqual(Decimal(facts["revenue"]), cents(data.revenue()) + Decimal("1999.90"))
        self.assertEqual((facts["leads"], facts["rule_runs"], facts["notices"], facts["letters"], facts["copies"]), (1, 4, 1, 1, 1))
        self.assertEqual(facts["messages"], ["MESSAGE_DIRECTION_INBOUND", "MESSAGE_DIRECTION_OUTBOUND"])
        self.assertEqual(facts["tasks"], ["TASK_STATUS_DONE"])

    @unittest.skipUnless(NORTHWIND.exists(), f"{NORTHWIND} is not there: run where the shared data lie beside the checkout")
    def test_northwind(self):
        self.tell(read(NORTHWIND), "northwind")

    def test_made_up(self):
        self.tell(made_up(datetime.date(2026, 11, 23), customers=10, suppliers=3, products=8, orders=30), "made-up")


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + ["-v"] + sys.argv[1:])
