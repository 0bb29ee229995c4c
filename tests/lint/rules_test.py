#!/usr/bin/env python3
"""tools/lint refuses bad snippets, at the right line, and leaves good ones alone."""

import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.dont_write_bytecode = True
sys.path.insert(0, str(ROOT / "tools"))

from lintlib import includes, migrations, protos, routes, sources  # noqa: E402
from lintlib import format as formatting  # noqa: E402
from lintlib.tree import Tree  # noqa: E402


class LintTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = Path(folder.name)

    def write(self, name: str, text: str) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def git(self, *arguments: str) -> None:
        subprocess.run(["git", "-C", self.root, "-c", "user.name=t", "-c", "user.email=t@example.com", *arguments], check=True, stdout=subprocess.DEVNULL)

    def found(self, check, name: str, text: str) -> list[tuple[int, str]]:
        self.write(name, text)
        return [(finding.line, finding.what) for finding in check.check(Tree(self.root)) if finding.path == name]

    def refused(self, check, name: str, text: str, line: int, words: str) -> None:
        found = self.found(check, name, text)
        self.assertTrue(any(at == line and words in what for at, what in found), f"{words!r} at line {line} not in {found}")

    def accepted(self, check, name: str, text: str) -> None:
        self.assertEqual(self.found(check, name, text), [])


class Includes(LintTest):
    def test_layers(self):
        self.refused(includes, "common/base/a.cc", '#include <string>\n#include "common/pg/db.h"\n', 2, "common/base includes common/pg/db.h")
        self.refused(includes, "common/pg/a.cc", '#include "common/rpc/service.h"\n', 1, "common/pg includes common/rpc/service.h")
        self.refused(includes, "common/app/a.cc", '#include "services/contact/service.h"\n', 1, "of a service")
        self.accepted(includes, "common/events/a.cc", '#include "common/pg/db.h"\n#include "common/events/lane.h"\n#include "crm/type/v1/money.pb.h"\n')

    def test_libraries_stay_behind_their_border(self):
        for header in ("libpq-fe.h", "pqxx/pqxx", "hiredis/hiredis.h", "grpcpp/grpcpp.h"):
            self.refused(includes, "services/contact/handlers/a.cc", f"#include <{header}>\n", 1, f"includes {header}")
        self.accepted(includes, "common/pg/a.cc", "#include <libpq-fe.h>\n#include <pqxx/pqxx>\n")
        self.accepted(includes, "common/redis/a.cc", "#include <hiredis/hiredis.h>\n")
        self.accepted(includes, "services/gateway/a.cc", "#include <grpcpp/grpcpp.h>\n")
        self.refused(includes, "services/contact/handlers/b.cc", "grpc::Status F();\n", 1, "grpc::Status")

    def test_services_do_not_meet(self):
        self.refused(includes, "services/contact/a.cc", '#include "services/identity/service.h"\n', 1, "another service")
        self.accepted(includes, "services/contact/a.cc", '#include "services/contact/service.h"\n')

    def test_rules_are_pure(self):
        self.refused(includes, "services/contact/rules/a.cc", '#include "common/pg/db.h"\n', 1, "rules see protos and common/base only")
        self.refused(includes, "services/contact/rules/a.cc", '#include "services/contact/service.h"\n', 1, "a rule includes")
        self.refused(includes, "services/contact/rules/a.cc", "int a;\nauto t = absl::Now();\n", 2, "absl::Now()")
        self.accepted(includes, "services/contact/rules/a.cc", '#include "common/base/error.h"\n#include "services/contact/rules/b.h"\n// absl::Now() stays out\n')

    def test_nothing_shipped_leans_on_tests(self):
        self.refused(includes, "services/contact/a.cc", '#include "tests/testing/postgres.h"\n', 1, "of tests/")


class Sources(LintTest):
    def test_size(self):
        self.refused(sources, "common/base/long.cc", "int a;\n" * 801, 801, "801 lines")
        self.accepted(sources, "common/base/long.cc", "int a;\n" * 800)

    def test_places_of_one_machine(self):
        home, workplace, host = "/" + "home/joe/crm", "/" + "work/main/x", "registry." + "npmjs.org"
        self.refused(sources, "README.md", f"one\nsee {home}\n", 2, "path of one machine")
        self.refused(sources, "docs/a.md", f"see `{workplace}`\n", 1, "path of one machine")
        self.refused(sources, "tools/npm/package-lock.json", f'{{"resolved": "https://{host}/a"}}\n', 1, "package registry")
        self.accepted(sources, "README.md", "see https://example.com/work/main and $HOME/x, teams work/life\n")

    def test_unfinished(self):
        self.refused(sources, "common/base/a.cc", "int a;  // TO" + "DO: more\n", 1, "unfinished")

    def test_awaiting_inside_of_a_choice(self):
        self.refused(sources, "common/base/a.cc", "auto a = b ? c()\n         : co_await d();\n", 2, "awaits inside of ?:")
        self.refused(sources, "common/base/a.cc", "auto a = b ? co_await d() : c();\n", 1, "awaits inside of ?:")
        self.accepted(sources, "common/base/a.cc", "// Really?\nfor (auto& a : co_await b()) c();\nint d = a ? 1 : 2;\nco_await e(a ? 1 : 2);\n")

    def test_tenant_for_a_session(self):
        self.refused(sources, "services/contact/sql/a.sql", "set app.tenant = 'x';\n", 1, "whole session")
        self.accepted(sources, "services/contact/sql/a.sql", "select set_config('app.tenant', $1, true);\n")


class Migrations(LintTest):
    name = "services/contact/migrations/0001_contact.sql"

    def test_keys_start_with_the_tenant(self):
        self.refused(migrations, self.name, "create table contact (\n  tenant_id uuid not null,\n  id uuid not null,\n  primary key (id, tenant_id)\n);\n", 4, "primary key starts with id")
        self.refused(migrations, self.name, "create table contact (\n  tenant_id uuid not null,\n  id uuid primary key\n);\n", 3, "on a single column")
        self.refused(migrations, self.name, "create table contact (tenant_id uuid, id uuid);\n", 1, "no primary key")
        self.refused(migrations, self.name, "create table c (\n tenant_id uuid, id uuid, email text,\n primary key (tenant_id, id),\n unique (email));\n", 4, "unique starts with email")
        self.refused(migrations, self.name, "\ncreate unique index on contact (lower(email));\n", 2, "unique index")
        self.refused(migrations, self.name, "alter table c add constraint f foreign key (deal_id) references d (id);\n", 1, "foreign key starts with deal_id")
        self.accepted(migrations, self.name, "create table contact (\n  tenant_id uuid not null, -- (first)\n  id uuid not null,\n  amount numeric(21, 6) not null default 0,\n"
                      "  primary key (tenant_id, id),\n  unique (tenant_id, amount),\n  foreign key (tenant_id, id) references company (tenant_id, id)\n) partition by hash (tenant_id);\n"
                      "create unique index on contact (tenant_id, lower(email));\ncreate index on contact (email);\n")

        self.accepted(migrations, self.name, "create table tenant (\n  tenant_id uuid primary key,\n  name text not null\n);\n")

    def test_an_exception_says_why(self):
        table = "create table directory (\n  login text not null,\n  primary key (login)\n);\n"
        self.refused(migrations, self.name, table, 3, "primary key starts with login")
        self.refused(migrations, self.name, "-- No tenant:\n" + table, 4, "primary key starts with login")
        self.accepted(migrations, self.name, "-- No tenant: finds the tenant of a login\n" + table)
        self.refused(migrations, self.name, "-- No tenant: finds it\n" + table + table, 8, "primary key starts with login")

    def test_types(self):
        def table(column):
            return f"create table t (\n  tenant_id uuid not null,\n  x {column},\n  primary key (tenant_id, x)\n);\n"
        for column in ("double precision", "real not null", "float8"):
            self.refused(migrations, self.name, table(column), 3, "floating-point")
        self.refused(migrations, self.name, table("timestamp not null"), 3, "without a time zone")
        self.refused(migrations, self.name, table("serial"), 3, "serial")
        self.refused(migrations, self.name, table("integer generated always as identity"), 3, "less than a bigint")
        self.accepted(migrations, self.name, table("timestamptz not null default now()"))
        self.accepted(migrations, self.name, "-- Inexact: a measured rank\n" + table("real"))

    def test_no_triggers(self):
        self.refused(migrations, self.name, "select 1;\ncreate trigger t after insert on contact execute function f();\n", 2, "trigger")

    def test_numbers(self):
        self.write("services/contact/migrations/0001_a.sql", "select 1;\n")
        self.refused(migrations, "services/contact/migrations/0003_c.sql", "select 1;\n", 1, "0002 comes next")
        self.refused(migrations, "services/contact/migrations/4_d.sql", "select 1;\n", 1, "is not named like")


class Format(LintTest):
    def test_format(self):
        self.write(".clang-format", (ROOT / ".clang-format").read_text())
        self.refused(formatting, "common/base/a.cc", "int a;\nint  b;\n", 2, "not formatted")
        formatting.fix(Tree(self.root))
        self.accepted(formatting, "common/base/a.cc", (self.root / "common/base/a.cc").read_text())


class Protos(LintTest):
    HEAD = '// Words.\nsyntax = "proto3";\n\npackage crm.word.v1;\n\nimport "crm/type/v1/options.proto";\nimport "google/api/annotations.proto";\n\n'
    SERVICE = ("// Keeps words.\nservice WordService {\n"
               "  // Answers one.\n  rpc GetWord(GetWordRequest) returns (Word) {\n"
               "    option (google.api.http) = {get: \"/v1/words/{id}\"};\n    option (crm.type.v1.access) = {public: true};\n  }\n%s}\n")
    MESSAGES = ("\n// A word.\nmessage Word {\n  // Its id.\n  string id = 1;\n  // Its text.\n  string text = 2;\n}\n\n"
                "// Names a word.\nmessage GetWordRequest {\n  // The word.\n  string id = 1;\n}\n")
    NAME = "protos/crm/word/v1/word.proto"

    def setUp(self):
        super().setUp()
        for name in ("tools/npm/node_modules", "build/deps/protos"):
            (self.root / name).parent.mkdir(parents=True, exist_ok=True)
            os.symlink(ROOT / name, self.root / name)
        self.write("buf.yaml", (ROOT / "buf.yaml").read_text())
        self.write("protos/crm/type/v1/options.proto", (ROOT / "protos/crm/type/v1/options.proto").read_text())
        self.write(".gitignore", "/tools\n/build\n")
        self.git("init", "-q")

    def proto(self, rpcs: str = "", messages: str = MESSAGES) -> str:
        return self.HEAD + self.SERVICE % rpcs + messages

    def test_lint_and_comments(self):
        self.accepted(protos, self.NAME, self.proto())
        self.refused(protos, self.NAME, self.proto(messages=self.MESSAGES.replace("string text", "string wordText")), 23, "lower_snake_case")
        self.refused(protos, self.NAME, self.proto(messages=self.MESSAGES.replace("  // Its text.\n", "")), 22, "should have a non-empty comment")

    def test_breaking(self):
        self.accepted(protos, self.NAME, self.proto())
        self.git("add", "-A")
        self.git("commit", "-qm", "first")
        self.accepted(protos, self.NAME, self.proto(messages=self.MESSAGES + "\n// More.\nmessage More {}\n"))
        broken = self.proto(messages=self.MESSAGES.replace("  // Its text.\n  string text = 2;\n", ""))
        self.write(self.NAME, broken)
        self.assertTrue(any("2" in finding.what and "Word" in finding.what for finding in protos.check(Tree(self.root))))
        self.git("add", "-A")
        self.git("commit", "-qm", "second")
        self.assertTrue(list(protos.check(Tree(self.root))), "a committed change is compared with the commit before it")
        self.git("commit", "-q", "--amend", "-m", "second\n\nBreaking-API: nobody has used it yet")
        self.assertEqual(list(protos.check(Tree(self.root))), [])

    def test_routes(self):
        rpc = ("  // Answers another.\n  rpc FindWord(GetWordRequest) returns (Word) {\n    option (google.api.http) = {get: \"%s\"};\n"
               "    option (crm.type.v1.access) = {public: true};\n  }\n")
        self.refused(routes, self.NAME, self.proto(rpc % "/v1/words/{name}"), 17, "collides with /v1/words/{id} of crm.word.v1.WordService.GetWord")
        self.refused(routes, self.NAME, self.proto(rpc % "/words"), 17, "not under /v1/")
        self.accepted(routes, self.NAME, self.proto(rpc % "/v1/words/{name}:find"))
        self.accepted(routes, self.NAME, self.proto(rpc % "/v1/words/{name=shelves/*}"))
        without = rpc.replace("    option (crm.type.v1.access) = {public: true};\n", "") % "/v1/others/{id}"
        self.refused(routes, self.NAME, self.proto(without), 17, "says nothing about who may call it")


if __name__ == "__main__":
    unittest.main()
