"""tools/crm deps: everything the build, the checks and the processes need, from Debian 12 and npm. What is there already
is left alone, so that a second run takes no time."""

import contextlib
import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from crmlib import console, paths

# The one list of Debian packages; Debian 12 pins their versions. cmake/Dependencies.cmake finds the libraries.
PACKAGES = {
    "build": "g++ cmake ninja-build ccache mold pkg-config clang-format git",
    "protobuf and gRPC": "protobuf-compiler libprotobuf-dev libprotoc-dev libgrpc++-dev grpc-proto",
    "libraries": "libabsl-dev libboost1.81-dev libpq-dev libpqxx-dev libhiredis-dev libnghttp2-dev libssl-dev libsodium-dev libicu-dev "
                 "libphonenumber8 libhowardhinnant-date-dev libspdlog-dev libfmt-dev prometheus-cpp-dev "
                 "nlohmann-json3-dev rapidjson-dev libcurl4-openssl-dev libcsv-dev libre2-dev libical-dev libkainjow-mustache-dev libgmime-3.0-dev libxml2-dev libmagic-dev",
    "tests": "libgtest-dev libgmock-dev libbenchmark-dev python3-aiosmtpd chromium fonts-dejavu-core prometheus clang-14 libclang-rt-14-dev llvm-14",
    "processes": "postgresql-15 redis-server supervisor haproxy openssl tzdata",
    "tools": "curl jq ca-certificates",
}
NODE_PACKAGES = "nodejs npm"  # only where no Node of at least NODE_MAJOR is there
NODE_MAJOR = 18
# Debian's packages start these as services of the system; ours are private ones, so what we install stays off.
SYSTEM_SERVICES = {"postgresql-15": "postgresql", "redis-server": "redis-server", "supervisor": "supervisor", "haproxy": "haproxy",
                   "prometheus": "prometheus"}

NPM_CPU = {"x86_64": "x64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())

RUNTIME = paths.ROOT / "RUNTIME"  # of a package: what its programs need of Debian
LOCK = paths.NPM / "package-lock.json"
VALIDATE = paths.DEPS / "protos/buf/validate/validate.proto"
VALIDATE_STAMP = paths.DEPS / "validate.stamp"
PHONENUMBERS = paths.DEPS / "usr/include/phonenumbers/phonenumberutil.h"
LOG_FILE = paths.LOG / "deps.log"


def run(args: list[str]) -> int:
    if args:
        raise console.Failure(f"deps takes no arguments, not {' '.join(args)}", "run tools/crm deps")
    ensure()
    console.say("Everything that is needed is installed.")
    return 0


def ensure() -> None:
    check_release()
    install(missing_packages())
    if paths.PACKAGED:
        return
    install_npm()
    unpack_phonenumbers()
    write_validate_proto()


def check_release() -> None:
    release = platform.freedesktop_os_release()
    if (release.get("ID"), release.get("VERSION_ID")) != ("debian", "12"):
        raise console.Failure(f"this machine runs {release.get('PRETTY_NAME')}, and the packages are pinned to Debian 12",
                              "use Debian 12 (bookworm), on a machine or in a container")


def missing_packages() -> list[str]:
    wanted = RUNTIME.read_text().split() if paths.PACKAGED else [name for names in PACKAGES.values() for name in names.split()]
    if not paths.PACKAGED and not has_node():
        wanted += NODE_PACKAGES.split()
    shown = subprocess.run(["dpkg-query", "-W", "-f", "${Package} ${db:Status-Status}\n", *wanted],
                           stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout
    installed = {line.split()[0] for line in shown.splitlines() if line.split()[1] == "installed"}
    return [name for name in wanted if name not in installed]


def has_node() -> bool:
    if not shutil.which("node") or not shutil.which("npm"):
        return False
    version = subprocess.run(["node", "--version"], stdout=subprocess.PIPE, text=True).stdout
    match = re.match(r"v(\d+)\.", version)
    return bool(match) and int(match[1]) >= NODE_MAJOR


def as_root(args: list[str]) -> list[str]:
    if os.geteuid() == 0:
        return args
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    if not shutil.which("sudo") or not sys.stdin.isatty() and subprocess.run(["sudo", "-n", "true"], **quiet).returncode != 0:
        raise console.Failure("installing packages takes root, and sudo is not there or wants a password that nobody can type here",
                              f"run this in a terminal, or as root: apt-get install -y --no-install-recommends {' '.join(missing_packages())}")
    return ["sudo", *args]


def install(names: list[str]) -> None:
    if not names:
        return
    get = as_root(["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-y", "--no-install-recommends",
                   "-o", "DPkg::Lock::Timeout=300", "-o", "Acquire::Retries=3"])
    with console.step(f"installing {len(names)} Debian packages"), services_kept_off(names):
        log(f"# {' '.join(names)}\n", "w")
        if apt([*get, "install", *names]) != 0:  # no package lists yet, or old ones
            log("# the package lists may be old: update, then once more\n")
            apt([*get, "update"])
            if apt([*get, "install", *names]) != 0:
                raise console.Failure("Debian's packages could not be installed",
                                      "see the log; often `apt-get update` or `dpkg --configure -a` repairs it; then run this again",
                                      log=LOG_FILE)


def apt(args: list[str]) -> int:
    with LOG_FILE.open("a") as out:
        return subprocess.run(args, stdin=None if sys.stdin.isatty() else subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT).returncode


def log(text: str, mode: str = "a") -> None:
    LOG_FILE.parent.mkdir(parents=True, exist_ok=True)
    with LOG_FILE.open(mode) as out:
        out.write(text)


@contextlib.contextmanager
def services_kept_off(names: list[str]):
    """While these are installed, no service is started; afterwards those that we brought do not start with the machine."""
    services = [SYSTEM_SERVICES[name] for name in names if name in SYSTEM_SERVICES]
    policy = Path("/usr/sbin/policy-rc.d")
    ours = bool(services) and not policy.exists()
    if ours:
        subprocess.run(as_root(["sh", "-c", f"printf '#!/bin/sh\\nexit 101\\n' > {policy} && chmod 755 {policy}"]), check=True)
    try:
        yield
    finally:
        if ours:
            subprocess.run(as_root(["rm", "-f", str(policy)]), check=True)
    if services and Path("/run/systemd/system").is_dir():
        subprocess.run(as_root(["systemctl", "disable", "--now", *services]), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def npm_is_current() -> bool:
    """True if every package of the lock file that belongs on this machine is there in its version."""
    for where, entry in json.loads(LOCK.read_text())["packages"].items():
        if not where:
            continue
        try:
            if json.loads((paths.NPM / where / "package.json").read_text())["version"] != entry["version"]:
                return False
        except FileNotFoundError:
            if not entry.get("optional") or NPM_CPU in entry.get("cpu", []) and "linux" in entry.get("os", ["linux"]):
                return False
    return True


def install_npm() -> None:
    if npm_is_current():
        return
    with console.step("installing npm packages"):
        # Scripts stay off: each of these packages works as unpacked.
        console.command(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], "npm ci failed in tools/npm",
                        "check that npm reaches its registry, then run tools/crm deps again", log=paths.LOG / "npm.log", cwd=paths.NPM)
        if not npm_is_current():
            raise console.Failure("npm ci left packages of the lock file out", f"remove {paths.NPM}/node_modules and run tools/crm deps again",
                                  log=paths.LOG / "npm.log")


def unpack_phonenumbers() -> None:
    """libphonenumber-dev depends on Boost 1.74's development packages, which exclude 1.81's, so it is only unpacked."""
    if PHONENUMBERS.exists():
        return
    with console.step("unpacking libphonenumber-dev"), tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o777)  # apt downloads as a user of its own
        download = ["apt-get", "download", "libphonenumber-dev"]
        first = subprocess.run(download, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        if first.returncode != 0:
            apt(as_root(["apt-get", "update"]))
            console.command(download, "libphonenumber-dev could not be downloaded", "run apt-get update, then this again", cwd=folder)
        package = next(Path(folder).glob("*.deb"))
        paths.DEPS.mkdir(parents=True, exist_ok=True)
        console.command(["dpkg", "-x", package, paths.DEPS], "libphonenumber-dev could not be unpacked", f"remove {paths.DEPS} and run this again")


def write_validate_proto() -> None:
    """buf/validate/validate.proto is in no package as text: it is printed from the descriptor in protovalidate's code."""
    descriptor, printer = paths.TOOLS / "deps/validate_descriptor.mjs", paths.TOOLS / "deps/descriptor_to_proto.cc"
    stamp = hashlib.sha256(b"".join(path.read_bytes() for path in (descriptor, printer, LOCK))).hexdigest()
    if VALIDATE.exists() and VALIDATE_STAMP.exists() and VALIDATE_STAMP.read_text() == stamp:
        return
    with console.step("writing buf/validate/validate.proto"):
        paths.DEPS.mkdir(parents=True, exist_ok=True)
        binpb, program = paths.DEPS / "validate.binpb", paths.DEPS / "descriptor_to_proto"
        advice = "see above; run tools/crm deps again once it is repaired"
        console.command(["node", descriptor, paths.NPM / "node_modules", binpb], "the descriptor of validate.proto could not be read", advice)
        console.command(["g++", printer, "-o", program, "-lprotobuf", "-lpthread"], "descriptor_to_proto did not compile", advice)
        text = console.command([program, binpb, "buf/validate/validate.proto"], "validate.proto could not be printed", advice)
        if not VALIDATE.exists() or VALIDATE.read_text() != text:  # a new time stamp would rebuild every message
            VALIDATE.parent.mkdir(parents=True, exist_ok=True)
            VALIDATE.write_text(text)
        VALIDATE_STAMP.write_text(stamp)
