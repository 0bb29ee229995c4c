"""Runs the tour of the README, line by line, as a newcomer would: its shell blocks against a system of its own."""

import os
import re
import subprocess
import sys
import unittest

from stack import ROOT, Stack


class TourTest(unittest.TestCase):
    def test_every_line_of_the_readme(self):
        text = (ROOT / "README.md").read_text()
        tour = text[text.index("## A five-minute tour"):text.index("## Where things are")]
        blocks = re.findall(r"```sh\n(.*?)```", tour, re.S)
        self.assertGreater(len(blocks), 5)
        # What `tools/crm env` would set comes from this test's own system.
        script = "\n".join(blocks).replace('eval "$(tools/crm env)"', ":")
        with Stack() as stack:
            api = stack.sign_up()
            done = subprocess.run(["bash", "-euo", "pipefail", "-x", "-c", script], cwd=ROOT, text=True, timeout=120,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                  env=os.environ | {"CRM_URL": stack.instance.url, "CRM_TOKEN": api.token})
            self.assertEqual(done.returncode, 0, done.stdout[-3000:])


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + ["-v"] + sys.argv[1:])
