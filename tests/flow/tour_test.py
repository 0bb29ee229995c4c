"""Runs the shell lines of the README's tour and of the guides, as a newcomer would, against a system of its own."""

import os
import re
import subprocess
import sys
import unittest

from stack import ROOT, Stack


class TourTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.stack = Stack()
        cls.stack.__enter__()
        cls.addClassCleanup(lambda: cls.stack.__exit__(None, None, None))

    def run_blocks(self, text: str, at_least: int) -> None:
        blocks = re.findall(r"```sh\n(.*?)```", text, re.S)
        self.assertGreaterEqual(len(blocks), at_least)
        # What `tools/crm env` would set comes from this test's own system.
        script = "\n".join(blocks).replace('eval "$(tools/crm env)"', ":")
        api = self.stack.sign_up()
        done = subprocess.run(["bash", "-euo", "pipefail", "-x", "-c", script], cwd=ROOT, text=True, timeout=120,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              env=os.environ | {"CRM_URL": self.stack.instance.url, "CRM_TOKEN": api.token})
        self.assertEqual(done.returncode, 0, done.stdout[-3000:])

    def test_the_tour_of_the_readme(self):
        text = (ROOT / "README.md").read_text()
        self.run_blocks(text[text.index("## A five-minute tour"):text.index("## Where things are")], 6)

    def test_the_guide_for_front_end_teams(self):
        self.run_blocks((ROOT / "docs/FRONT_END.md").read_text(), 6)

    def test_the_guide_to_timeline_files_and_webhooks(self):
        self.run_blocks((ROOT / "docs/TIMELINE_FILES_WEBHOOKS.md").read_text(), 6)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + ["-v"] + sys.argv[1:])
