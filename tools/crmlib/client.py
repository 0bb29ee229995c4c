"""tools/crm client ts [--out DIR] [--url URL]: a typed TypeScript client package, from the description that a running gateway answers."""

import argparse
import shutil
import tempfile
import urllib.error
import urllib.request
from pathlib import Path

from crmlib import console, deps, paths
from crmlib.instance import Instance

TEMPLATE = paths.TOOLS / "client_ts"
MODULES = paths.NPM / "node_modules"


def run(args: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="tools/crm client")
    parser.add_argument("language", choices=["ts"])
    parser.add_argument("--out", metavar="DIR", type=Path, default=Path("crm-client"), help="where the package goes (crm-client)")
    parser.add_argument("--url", help="the gateway to ask; the instance's own without it")
    options = parser.parse_args(args)
    deps.ensure()
    url = options.url or Instance.current().url
    make(url, options.out)
    console.say(f"{options.out}: npm install && npm run build; README.md shows how it is used")
    return 0


def make(url: str, out: Path) -> None:
    """Writes the package; what was there of an earlier one is written over, everything else in the folder stays."""
    with tempfile.NamedTemporaryFile(suffix=".json") as file:
        try:
            with urllib.request.urlopen(f"{url}/openapi.json", timeout=30) as answer:
                shutil.copyfileobj(answer, file)
        except (urllib.error.URLError, TimeoutError) as error:
            raise console.Failure(f"{url}/openapi.json does not answer: {error}", "run tools/crm up, or name a gateway with --url") from None
        file.flush()
        out.mkdir(parents=True, exist_ok=True)
        for source in sorted(TEMPLATE.rglob("*")):
            target = out / source.relative_to(TEMPLATE)
            if source.is_dir():
                target.mkdir(exist_ok=True)
            else:
                shutil.copyfile(source, target)
        console.command(["node", MODULES / "openapi-typescript/bin/cli.js", file.name, "--output", out / "src/schema.ts"],
                        "the types could not be made", "see above; tools/crm deps installs openapi-typescript")
