"""tools/crm package [--preset P] [--out DIR]: everything that a machine or a container image needs, in one archive:

    crm-<version>/  bin/ lib/ static/ crm.binpb services/*/migrations common/pg/migrations deploy/ k8s/ docs/ tools/
                    VERSION  RUNTIME (Debian packages)  SHA256SUMS"""

import argparse
import hashlib
import os
import re
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

from crmlib import build, console, deps, manifests, paths
from crmlib.instance import write

# Of the tools, what is of use without a compiler.
TOOLS = ("tools/crm", "tools/crmlib")
FOLDERS = ("deploy", "k8s", "docs")
# Loaded by name while running, so that no linker knows of them.
LOADED = ("ca-certificates", "tzdata")


def run(args: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="tools/crm package")
    parser.add_argument("--preset", default="release", choices=build.PRESETS, help="release; dev has failpoints and is for tests")
    parser.add_argument("--out", type=Path, default=paths.BUILD, metavar="DIR", help="where the archive goes")
    options = parser.parse_args(args)
    if paths.PACKAGED:
        raise console.Failure("this is a package already", "run it in a checkout")
    deps.ensure()
    folder = build.build_services(options.preset)
    archive = make(folder, options.out.resolve())
    console.say(f"{archive} ({console.size(archive.stat().st_size)}): unpack it, then deploy/install, or tools/crm up to try it; deploy/README.md says more.")
    return 0


def version() -> str:
    """The day and name of the commit, so that versions sort by age."""
    if paths.PACKAGED:
        return (paths.ROOT / "VERSION").read_text().strip()
    shown = subprocess.run(["git", "-C", paths.ROOT, "log", "-1", "--format=%cd-%h", "--date=format-local:%Y%m%d.%H%M%S", "--abbrev=10"],
                           env=os.environ | {"TZ": "UTC"}, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout.strip()
    return shown or "unversioned"


def make(folder: Path, out: Path) -> Path:
    name = f"crm-{version()}"
    out.mkdir(parents=True, exist_ok=True)
    archive = out / f"{name}.tar.gz"
    with console.step("packing"), tempfile.TemporaryDirectory(dir=out) as temporary:
        lay_out(Path(temporary) / name, folder)
        part = archive.with_suffix(".part")
        with tarfile.open(part, "w:gz", compresslevel=6) as tar:
            tar.add(Path(temporary) / name, name, filter=as_root)
        part.replace(archive)
    return archive


def as_root(info: tarfile.TarInfo) -> tarfile.TarInfo:
    info.uid = info.gid = 0
    info.uname = info.gname = "root"
    return info


def lay_out(target: Path, folder: Path) -> None:
    """A release's files as they run; `folder` is the build."""
    for service in paths.services():
        binary(folder / "bin" / service, target / "bin" / service)
        migrations = paths.ROOT / "services" / service / "migrations"
        if migrations.is_dir():
            shutil.copytree(migrations, target / "services" / service / "migrations")
    binary(folder / "protos/libcrm_protos.so", target / "lib/libcrm_protos.so")
    shutil.copy2(folder / "crm.binpb", target / "crm.binpb")
    if (folder / "static").is_dir():
        shutil.copytree(folder / "static", target / "static", ignore=shutil.ignore_patterns("*.stamp"))
    shutil.copytree(paths.ROOT / "common/pg/migrations", target / "common/pg/migrations")
    for name in (*FOLDERS, *TOOLS):
        source = paths.ROOT / name
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target / name, ignore=shutil.ignore_patterns("__pycache__", "node_modules"))
        else:
            shutil.copy2(source, target / name)
    # Fresh from this build's descriptors, so that no new rpc needs a commit in k8s/.
    for path, text in manifests.files(folder / "crm.binpb").items():
        write(target / path.relative_to(paths.ROOT), text, 0o644)
    (target / "VERSION").write_text(version() + "\n")
    (target / "RUNTIME").write_text("\n".join(runtime(target)) + "\n")
    (target / "SHA256SUMS").write_text(sums(target))


def binary(source: Path, target: Path) -> None:
    """Without what only a debugger reads; the build keeps that."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if not source.exists():
        raise console.Failure(f"{source} is not built", f"run tools/crm build {source.parents[1].name}")
    console.command(["strip", "--strip-unneeded", "-o", target, source], f"{source.name} could not be stripped", "run tools/crm deps")


def libraries(target: Path) -> set[str]:
    """The Debian packages that the programs are linked with."""
    files = set()
    for program in [*(target / "bin").iterdir(), *(target / "lib").iterdir()]:
        shown = console.command(["ldd", program], f"{program.name} needs a library that is not here", "run tools/crm deps")
        files |= {os.path.realpath(match) for match in re.findall(r"=> (/\S+)", shown) if not os.path.realpath(match).startswith((str(target), str(paths.BUILD)))}
    # Debian lists some files under /lib, which is a link to /usr/lib.
    names = [name for file in sorted(files) for name in {file, file.removeprefix("/usr")}]
    shown = subprocess.run(["dpkg-query", "-S", *names], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout
    owners = {line.split(": ")[1]: line.split(": ")[0].split(":")[0] for line in shown.splitlines()}
    unknown = [file for file in files if file not in owners and file.removeprefix("/usr") not in owners]
    if unknown:
        raise console.Failure(f"{', '.join(sorted(unknown))} are of no Debian package", "link what Debian has")
    return set(owners.values())


def runtime(target: Path) -> list[str]:
    return sorted(libraries(target) | set(LOADED) | set(f"{deps.PACKAGES['processes']} {deps.PACKAGES['tools']} python3".split()))


def sums(target: Path) -> str:
    """As sha256sum -c reads them."""
    return "".join(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(target)}\n" for path in sorted(target.rglob("*")) if path.is_file())
