"""Every surface with the clients that people use, from npm: the OpenAPI description with a validator, a linter and typed clients;
Connect and gRPC-Web from Node and from a browser, of the same site and of another one; gRPC with mTLS at a service's own port; the
browsable reference."""

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import unittest
import urllib.error
import urllib.request
from pathlib import Path

from stack import BUILD, PASSWORD, ROOT, Stack

from crmlib import client

NPM = ROOT / "tools/npm/node_modules"
WEB = ROOT / "tests/flow/web"
SECONDS = 180
CHROMIUM = shutil.which("chromium")
SERVICES = ["identity", "contact", "deal_pipeline", "analytics", "gateway"]


class Workshop:
    """A folder with the tests' scripts, the npm packages and the code generated from our protos."""

    def __init__(self):
        self.folder = Path(tempfile.mkdtemp(prefix="crm-web-"))
        (self.folder / "node_modules").symlink_to(NPM)
        for file in WEB.iterdir():
            shutil.copy(file, self.folder)
        (self.folder / "package.json").write_text('{"type": "module"}\n')

    def generate(self) -> None:
        """TypeScript's own plugin for protoc, on the descriptor set that the gateway has."""
        descriptors = BUILD / "crm.binpb"
        listed = json.loads(run(["node", "proto_files.mjs", descriptors], self.folder))
        (self.folder / "gen").mkdir()
        run(["protoc", f"--plugin=protoc-gen-es={NPM}/.bin/protoc-gen-es", f"--descriptor_set_in={descriptors}", "--es_out=gen",
             "--es_opt=target=js,import_extension=js", *listed], self.folder)

    def close(self) -> None:
        if os.environ.get("CRM_KEEP"):
            print(f"kept: {self.folder}", file=sys.stderr)
        else:
            shutil.rmtree(self.folder, ignore_errors=True)


def run(command: list, folder: Path, seconds: float = SECONDS) -> str:
    done = subprocess.run([str(part) for part in command], cwd=folder, text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=seconds)
    if done.returncode != 0:
        raise AssertionError(f"{' '.join(str(part) for part in command[:3])} ended with {done.returncode}:\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")
    return done.stdout


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def fetch(url: str, **headers):
    try:
        return urllib.request.urlopen(urllib.request.Request(url, headers={name.replace("_", "-"): value for name, value in headers.items()}))
    except urllib.error.HTTPError as error:
        return error


class SurfacesTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.other_port = free_port()  # where the browser's other site will be
        cls.stack = Stack(SERVICES, changes={"gateway": {"gateway": {"cors_origins": [f"http://127.0.0.1:{cls.other_port}"]}}})
        cls.stack.__enter__()
        cls.addClassCleanup(lambda: cls.stack.__exit__(None, None, None))
        cls.workshop = Workshop()
        cls.addClassCleanup(cls.workshop.close)
        cls.folder = cls.workshop.folder
        cls.workshop.generate()
        cls.url = cls.stack.instance.url
        cls.admin = cls.stack.sign_up()
        static = cls.stack.folder / "static"
        static.mkdir()
        (static / "demo.json").write_text(json.dumps({"users": [{"role": "administrator", "name": "Ada", "login": cls.admin.login, "password": PASSWORD}]}))

    def test_the_description_is_valid_and_complete(self):
        with fetch(f"{self.url}/openapi.json") as answer:
            text, etag = answer.read(), answer.headers["ETag"]
        document = json.loads(text)
        (self.folder / "openapi.json").write_bytes(text)
        checked = json.loads(run(["node", "openapi_check.mjs", "openapi.json"], self.folder))
        self.assertEqual(checked["version"], "3.1.0")
        self.assertTrue(checked["valid"], checked["errors"])
        self.assertEqual(checked["problems"], [])
        # Every route of every rpc, with its comment.
        schema = self.admin.get("/v1/schema")
        routes = [route for route in schema["routes"] if not route["rpc"].startswith("crm.events.")]
        described = {operation["x-rpc"] for path in document["paths"].values() for operation in path.values() if "x-rpc" in operation}
        self.assertEqual(described, {route["rpc"] for route in routes})
        self.assertGreaterEqual(checked["operations"], len(routes))
        for path, methods in document["paths"].items():
            for method, operation in methods.items():
                self.assertTrue(operation.get("summary"), f"{method} {path}")
        contact = document["components"]["schemas"]["ContactInput"]
        self.assertEqual(contact["properties"]["given_name"]["maxLength"], 200)
        self.assertNotIn("create_time", contact["properties"])
        self.assertIs(contact["additionalProperties"], False)
        # Kept by clients, small on the way.
        self.assertEqual(fetch(f"{self.url}/openapi.json", If_None_Match=etag).status, 304)
        packed = fetch(f"{self.url}/openapi.json", Accept_Encoding="gzip")
        self.assertEqual(packed.headers["Content-Encoding"], "gzip")
        self.assertLess(len(packed.read()), len(text) / 5)
        self.assertEqual(fetch(f"{self.url}/openapi.json", Accept_Encoding="gzip", If_None_Match=packed.headers["ETag"]).status, 304)

    def test_typed_clients_compile_and_work(self):
        with fetch(f"{self.url}/openapi.json") as answer:
            (self.folder / "typed.json").write_bytes(answer.read())
        run([NPM / ".bin/openapi-typescript", "typed.json", "-o", "schema.d.ts"], self.folder)
        run([NPM / ".bin/tsc", "--strict", "--noUncheckedIndexedAccess", "--target", "es2022", "--module", "nodenext", "--types", "node", "--typeRoots", NPM / "@types",
             "--skipLibCheck", "typed.ts"], self.folder)
        self.assertIn("ok typed", run(["node", "typed.js", self.url, self.admin.token], self.folder))

    def test_node_speaks_connect_and_grpc_web(self):
        out = run(["node", "node.mjs", self.url, self.admin.token], self.folder)
        self.assertEqual(out.count("ok "), 6, out)

    def test_node_speaks_grpc_to_a_service(self):
        instance = self.stack.instance
        out = run(["node", "native.mjs", f"127.0.0.1:{instance.port('contact')}", f"127.0.0.1:{instance.port('analytics')}", instance.folder / "tls", self.admin.token], self.folder)
        self.assertIn("ok native", out)

    @unittest.skipUnless(CHROMIUM, "needs Debian's chromium (tools/crm deps installs it)")
    def test_browsers_of_two_sites(self):
        out = run(["node", "browser.mjs", self.url, self.other_port, self.admin.token, self.admin.login, PASSWORD], self.folder)
        self.assertEqual(out.count("ok "), 3, out)

    def test_the_client_package_compiles_and_survives_the_gateway(self):
        client.make(self.url, self.folder / "crm-client")
        run([NPM / ".bin/tsc", "-p", "crm-client"], self.folder)
        lines: list[str] = []
        with subprocess.Popen(["node", "client_story.mjs", self.url, self.admin.login, PASSWORD], cwd=self.folder, text=True, stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as story:
            self.addCleanup(story.kill)
            for line in story.stdout:
                lines.append(line.rstrip())
                if lines[-1] in ("cut", "mend"):
                    self.stack.kill("gateway") if lines[-1] == "cut" else self.stack.start("gateway")
                    with contextlib.suppress(BrokenPipeError):  # it has failed: its last lines say why
                        os.write(story.stdin.fileno(), b"\n")
        self.assertEqual((story.returncode, lines[-1]), (0, "ok story"), "\n".join(lines))

    def test_keys_are_public(self):
        with fetch(f"{self.url}/.well-known/jwks.json") as answer:
            [key] = json.load(answer)["keys"]
        self.assertEqual({name: key[name] for name in ("kty", "crv", "alg", "use")}, {"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig"})
        self.assertNotIn("d", key)
        kept = json.loads(self.stack.instance.secret("jwks.json").read_text())["keys"][0]
        self.assertEqual((key["kid"], key["x"]), (kept["kid"], kept["x"]))


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + ["-v"] + sys.argv[1:])
