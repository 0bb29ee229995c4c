#!/usr/bin/env python3
"""deploy/install on a whole machine: packages are unpacked and installed, the units run, a tenant signs up, a backup is restored to its moment,
and an upgrade keeps everything. In namespaces of its own (mounts, network, processes), so that nothing of this machine changes; systemctl is
systemctl.py, which goes by the units' own words."""

import fcntl
import json
import os
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

from stack import BUILD, ROOT, eventually

from crmlib import package
from crmlib.api import Api

PASSWORD = "correct horse battery"
URL = "http://127.0.0.1:8080"
NAMESPACES = ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc", "--propagation", "private"]


def possible() -> bool:
    return os.geteuid() == 0 and subprocess.run([*NAMESPACES, "true"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0


@unittest.skipUnless(possible(), "this user may not make namespaces: run it as root")
class MachineTest(unittest.TestCase):
    def test_install_restore_upgrade(self):
        folder = Path(tempfile.mkdtemp(prefix="crm-machine-"))
        self.addCleanup(shutil.rmtree, folder, ignore_errors=True)
        folder.chmod(0o755)
        archive = package.make(BUILD, folder)
        subprocess.run(["tar", "-xzf", archive, "-C", folder], check=True)
        [unpacked] = folder.glob("crm-*/")
        done = subprocess.run([*NAMESPACES, sys.executable, __file__, "--inside", folder, unpacked], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              cwd=ROOT / "tests/flow")
        logs = "".join(f"--- {path.name}\n{path.read_text(errors='replace')[-2000:]}\n" for path in sorted((folder / "state").glob("*.log")))
        self.assertEqual(done.returncode, 0, f"{done.stdout}\n{logs}")


# What follows runs inside the namespaces.
def make_machine(folder: Path) -> None:
    for name in ("state", "bin"):
        (folder / name).mkdir()
    # All that an installation changes is laid over what is there.
    for path in ("/etc", "/opt", "/var/lib", "/var/backups"):
        upper, work = folder / f"over{path.replace('/', '-')}", folder / f"work{path.replace('/', '-')}"
        upper.mkdir()
        work.mkdir()
        subprocess.run(["mount", "-t", "overlay", "overlay", "-o", f"lowerdir={path},upperdir={upper},workdir={work}", path], check=True)
    (folder / "bin/systemctl").symlink_to(ROOT / "tests/flow/systemctl.py")
    os.chmod(ROOT / "tests/flow/systemctl.py", 0o755)
    for key in [key for key in os.environ if key.startswith(("CRM_", "LD_"))]:
        del os.environ[key]
    os.environ |= {"FAKE_SYSTEMD": str(folder / "state"), "PATH": f"{folder / 'bin'}:{os.environ['PATH']}"}
    with socket.socket() as probe:  # the loopback of a new network is down
        request = struct.pack("16sH14x", b"lo", 0x1)
        fcntl.ioctl(probe, 0x8914, request)


def run(*arguments) -> str:
    done = subprocess.run([str(argument) for argument in arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.returncode == 0, f"{arguments} ended with {done.returncode}:\n{done.stdout}"
    return done.stdout


def inside(folder: Path, unpacked: Path) -> None:
    make_machine(folder)
    (Path("/etc/crm")).mkdir()
    Path("/etc/crm/local.json").write_text(json.dumps({"edge": {"bind": "127.0.0.1:8443"}}))
    run(unpacked / "deploy/install")
    crm = "/opt/crm/current/tools/crm"
    answer = Api(URL).post("/v1/tenants:signUp", {
        "company_name": "Machine", "email": "ada@example.com", "password": PASSWORD, "given_name": "Ada", "family_name": "Admin",
        "country_code": "DE", "time_zone": "Europe/Berlin", "currency_code": "EUR"})
    api = Api(URL, answer["session"]["access_token"])
    before = api.post("/v1/contacts", {"given_name": "Before"})["id"]
    with socket.create_connection(("127.0.0.1", 8443), timeout=10):
        pass
    # Nothing runs as root, and keys are not everybody's.
    for name in ("crm@contact", "crm-postgres", "crm-redis", "crm-edge"):
        pid = (folder / f"state/{name}.pid").read_text()
        assert os.stat(f"/proc/{pid}").st_uid != 0, f"{name} runs as root"
    for path in Path("/etc/crm/secrets").iterdir():
        assert path.name == "jwks.json" or path.stat().st_mode & 0o077 == 0, path

    # As crm-backup.service does at night.
    run("systemctl", "start", "crm-backup.service")
    [about] = Path("/var/backups/crm/base").glob("*/about.json")
    after = api.post("/v1/contacts", {"given_name": "After"})["id"]
    run("systemctl", "start", "crm-restore-check.service")
    run(crm, "restore", "/var/backups/crm", "--to", json.loads(about.read_text())["time"], "--hold")
    assert not (folder / "state/crm@messaging.pid").exists(), "what acts outside was to stay stopped"
    assert api.call("GET", f"/v1/contacts/{before}").status == 200
    assert api.call("GET", f"/v1/contacts/{after}").status == 404, "made after the moment"

    # The same again is an upgrade: keys, data and what runs stay or come back.
    secret = Path("/etc/crm/secrets/signing.pem").read_text()
    run(unpacked / "deploy/install")
    assert Path("/etc/crm/secrets/signing.pem").read_text() == secret
    eventually(lambda: api.call("GET", f"/v1/contacts/{before}").status == 200, 30)
    assert (folder / "state/crm@messaging.pid").exists()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--inside"]:
        inside(Path(sys.argv[2]), Path(sys.argv[3]))
    else:
        unittest.main(verbosity=2)
