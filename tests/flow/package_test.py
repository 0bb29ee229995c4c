#!/usr/bin/env python3
"""What tools/crm package makes works away from the checkout: it unpacks, it is whole, a service runs from it, and deploy/install lays it
out on a machine without systemd."""

import json
import os
import re
import shutil
import subprocess
import tarfile
import tempfile
import unittest
from pathlib import Path

from stack import BUILD, ROOT, Stack

from crmlib import manifests, package, paths


class PackageTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = Path(tempfile.mkdtemp(prefix="crm-package-"))
        cls.folder.chmod(0o755)
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        archive = package.make(BUILD, cls.folder / "out")
        with tarfile.open(archive) as tar:
            tar.extractall(cls.folder)
        [cls.unpacked] = cls.folder.glob("crm-*")

    def run_there(self, *arguments: str, **more) -> str:
        environment = {key: value for key, value in os.environ.items() if not key.startswith(("CRM_", "LD_"))}
        done = subprocess.run(arguments, cwd=self.unpacked, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **more)
        self.assertEqual(done.returncode, 0, done.stdout)
        return done.stdout

    def test_it_is_whole_and_small(self):
        self.run_there("sha256sum", "--quiet", "-c", "SHA256SUMS")
        self.assertEqual(sorted(path.name for path in (self.unpacked / "bin").iterdir()), paths.services())
        for service in paths.services():
            self.assertNotIn(".debug_info", subprocess.run(["readelf", "-S", self.unpacked / "bin" / service], stdout=subprocess.PIPE, text=True).stdout)
        for name in ("crm.binpb", "deploy/Dockerfile", "k8s/README.md", "docs/OPERATORS.md", "common/pg/migrations/0001_common.sql", "tools/crmlib/backup.py"):
            self.assertTrue((self.unpacked / name).exists(), name)
        runtime = (self.unpacked / "RUNTIME").read_text().split()
        for name in ("libnghttp2-14", "libpq5", "postgresql-15", "haproxy", "tzdata"):
            self.assertTrue(any(one.startswith(name) for one in runtime), name)
        self.assertFalse(any(one.endswith("-dev") for one in runtime), "nothing of a compiler is needed")
        # What the image leaves out is no library that a program is linked with.
        left_out = re.search(r"grep -v -E '([^']+)'", (self.unpacked / "deploy/Dockerfile").read_text())[1]
        dropped = {one for one in runtime if re.search(left_out, one)}
        self.assertTrue(dropped)
        self.assertEqual(dropped & (package.libraries(self.unpacked) | set(package.LOADED)), set())
        self.assertIn("usage:", self.run_there("tools/crm", "help"))

    def test_a_service_runs_from_it(self):
        stack = Stack(["gateway", "identity"], build=self.unpacked)
        stack.instance.source = self.unpacked
        with stack:
            maps = Path(f"/proc/{stack.processes['identity'].pid}/maps").read_text()
            self.assertIn(f"{self.unpacked}/lib/libcrm_protos.so", maps)
            self.assertNotIn(str(ROOT), maps, "something of the checkout is used")
            self.assertEqual(stack.sign_up().get("/v1/session")["display_name"], "Ada Admin")

    def test_it_installs_where_there_is_no_systemd(self):
        root = self.folder / "root"
        (root / "etc/crm").mkdir(parents=True)
        (root / "etc/crm/local.json").write_text(json.dumps({"gateway": {"gateway": {"secure_cookies": True}}, "edge": {"bind": "*:8443"}}))
        self.run_there("deploy/install", "--root", str(root))
        current = root / "opt/crm/current"
        self.assertEqual(os.readlink(current), (self.unpacked / "VERSION").read_text().strip())
        keys = {path.name: path.read_bytes() for path in (root / "etc/crm/secrets").iterdir()}
        config = root / "etc/crm/config"
        for service in paths.services():
            loaded = json.loads((config / f"{service}.json").read_text())
            for file in self.files(loaded):
                self.assertTrue((root / file.removeprefix("/")).exists(), f"{service} names {file}")
        self.assertTrue(json.loads((config / "gateway.json").read_text())["gateway"]["secure_cookies"])
        edge = (config / "edge.cfg").read_text()
        self.assertIn("bind *:8443", edge)
        self.assertNotIn(str(root), edge)
        # Once more, as an upgrade does: keys stay.
        self.run_there("deploy/install", "--root", str(root))
        self.assertEqual(keys, {path.name: path.read_bytes() for path in (root / "etc/crm/secrets").iterdir()})

    def test_containers_find_what_they_are_told_of(self):
        """deploy/compose.yaml without containers: every mount is made, every file that a process is told of is in its mounts."""
        self.run_there("deploy/compose-keys")
        made = self.unpacked / "deploy/compose"
        services = manifests.compose()["services"]
        for name, service in services.items():
            mounts = dict(reversed(volume.split(":")[:2]) for volume in service.get("volumes", []) if volume.startswith("./"))
            for inside, outside in mounts.items():
                self.assertTrue((self.unpacked / "deploy" / outside).exists(), f"{name}: {outside}")
            for other in service.get("depends_on", []):
                self.assertIn(other, services)
            argument = next((one for one in service.get("command", ["--config=/etc/crm/config/config.json"]) if one.startswith("--config=")), None)
            if argument and "build" in service:
                def outside(path: str) -> Path:
                    return self.unpacked / "deploy" / mounts["/etc/crm"] / path.removeprefix("/etc/crm/")
                loaded = json.loads(outside(argument.removeprefix("--config=")).read_text())
                for file in self.files(loaded):
                    there = outside(file) if file.startswith("/etc/crm/") else self.unpacked / file.removeprefix("/opt/crm/")
                    self.assertTrue(there.exists(), f"{name} is told of {file}")
                for peer in loaded.get("peers", {}).values():
                    self.assertIn(peer.removeprefix("dns:///").split(":")[0], services)
        text = (made / "edge/config/edge.cfg").read_text().replace("/etc/crm/", f"{made}/edge/")
        (made / "edge.cfg").write_text(text)
        done = subprocess.run(["/usr/sbin/haproxy", "-c", "-q", "-f", made / "edge.cfg"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.assertEqual(done.returncode, 0, done.stdout)
        # Nobody sees another's keys.
        self.assertFalse((made / "contact/secrets/signing.pem").exists())
        self.assertFalse((made / "contact/secrets/admin.password").exists())

    def files(self, value) -> list[str]:
        """Every file and folder that a configuration names."""
        if isinstance(value, dict):
            return [file for inner in value.values() for file in self.files(inner)]
        if isinstance(value, list):
            return [file for inner in value for file in self.files(inner) if not file.endswith("/static")]  # static_dirs may be absent
        return [value] if isinstance(value, str) and value.startswith("/") else []

    @unittest.skipUnless(shutil.which("systemd-analyze"), "systemd-analyze is not here")
    def test_the_units_are_well_formed(self):
        folder = self.folder / "units"
        shutil.copytree(ROOT / "deploy/systemd", folder)
        for path in folder.iterdir():
            if path.suffix == ".service":
                # The programs are not installed here; everything else is checked.
                text = "\n".join("ExecStart=/bin/true" if line.startswith("ExecStart=") else line for line in path.read_text().splitlines()
                                 if not line.startswith(("ExecStartPre=", "ExecReload=")))
                path.write_text(text + "\n")
        done = subprocess.run(["systemd-analyze", "verify", "--man=no", *sorted(folder.iterdir())], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        complaints = [line for line in done.stdout.splitlines() if any(path.stem in line for path in folder.iterdir())]
        self.assertEqual(complaints, [])


if __name__ == "__main__":
    unittest.main(verbosity=2)
