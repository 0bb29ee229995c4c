"""How tools/crm bench reads the SQL that the service sends, writes it for pgbench, sums up its rounds, and takes letters. Runs by
itself: python3 tests/bench/bench_test.py"""

import sys
import unittest
from pathlib import Path
from xml.etree import ElementTree

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))

from crmlib.bench import behind, data, kinds, picture, report, rounds, sink, statements  # noqa: E402

TENANT = "11111111-1111-7111-8111-111111111111"
OTHER = "22222222-2222-7222-8222-222222222222"
ID = "01900000-0000-7000-8000-100000000001"
SETTINGS = "SELECT set_config('app.tenant', $1, true), set_config('statement_timeout', $2, true)"


def line(pid: int, name: str, sql: str, *values, user: str = "contact") -> dict:
    quoted = ("NULL" if value is None else "'" + value.replace("'", "''") + "'" for value in values)
    return {"user": user, "pid": pid, "message": f"execute {name}: {sql}",
            "detail": "parameters: " + ", ".join(f"${place} = {value}" for place, value in enumerate(quoted, 1))}


class Statements(unittest.TestCase):
    def test_a_batch_begins_with_its_settings_whatever_other_sessions_do(self):
        found = statements.batches_of([
            line(1, "pg.settings", SETTINGS, TENANT, "9950"),
            line(2, "pg.settings", SETTINGS, OTHER, "2000"),
            line(1, "contact.contact.get", "SELECT 1 FROM contact_view WHERE id = $1", ID),
            line(3, "x", "SELECT 1", user="identity"),
            {"user": "contact", "pid": 1, "message": "connection authorized"},
            line(1, "pg.settings", SETTINGS, TENANT, "9950"),
            line(2, "contact.contact.list", "SELECT 2")], "contact")
        self.assertEqual([[statement.name for statement in batch] for batch in found],
                         [["pg.settings", "contact.contact.get"], ["pg.settings"], ["pg.settings", "contact.contact.list"]])
        self.assertEqual(found[0][1].parameters, [ID])

    def test_values_keep_their_quotes_commas_and_nulls(self):
        values = ["it's, $2 = 'x'", None, "", "{\"a\",\"b\"}", "two\nlines"]
        [[statement]] = statements.batches_of([line(1, "s", "SELECT $1, $2, $3, $4, $5", *values)], "contact")
        self.assertEqual(statement.parameters, values)

    def test_what_changes_becomes_an_expression_and_the_rest_stays_a_parameter(self):
        batch = [statements.Statement("pg.settings", SETTINGS, [TENANT, "9950"]),
                 statements.Statement("contact.x", "-- a comment\nUPDATE x SET a = $2,\n  b = $3, c = $4 WHERE id = $1", [ID, "it's", None, ""])]
        script = statements.script_of("get_0", "\\set n 7", batch, {ID: "('p' || :n)::uuid"}, (TENANT, OTHER))
        self.assertEqual(script.lines, [
            "\\set n 7", "\\startpipeline",
            "SELECT set_config('app.tenant', :get_0_0_1, true), set_config('statement_timeout', :get_0_0_2, true);",
            "UPDATE x SET a = :get_0_1_2, b = NULL, c = '' WHERE id = ('p' || :n)::uuid;",
            "\\endpipeline"])
        self.assertEqual(script.variables, {"get_0_0_1": OTHER, "get_0_0_2": "9950", "get_0_1_2": "it's"})

    def test_a_tenth_parameter_is_not_the_first_followed_by_a_zero(self):
        sql = ", ".join(f"${place}" for place in range(1, 12))
        batch = [statements.Statement("s", f"SELECT {sql}", [f"v{place}" for place in range(1, 12)])]
        script = statements.script_of("s", "", batch, {"v10": "TEN"}, (TENANT, OTHER))
        self.assertIn(":s_0_9, TEN, :s_0_11;", script.lines[2])


class Figures(unittest.TestCase):
    def round(self, requests: int, service: float, postgres: float, limit: float) -> dict:
        return {"requests": requests, "service_seconds": service, "postgres_seconds": postgres, "own_seconds": service, "gateway_seconds": 0.0,
                "pgbench_requests": 1000, "pgbench_client_seconds": limit / 4, "pgbench_postgres_seconds": limit * 3 / 4}

    def test_rounds_are_added_up_before_they_are_divided(self):
        found = rounds.summed([self.round(1000, 0.06, 0.04, 0.05), self.round(3000, 0.36, 0.24, 0.05)])
        self.assertAlmostEqual(found["us"], 0.7 / 4000 * 1e6)
        self.assertAlmostEqual(found["limit_us"], 0.1 / 2000 * 1e6)
        self.assertAlmostEqual(found["ratio"], 3.5)
        self.assertAlmostEqual(found["spread"][0], 2.0)
        self.assertAlmostEqual(found["spread"][1], 4.0)
        self.assertAlmostEqual(found["service_us"] + found["postgres_us"], found["us"])

    def figures(self) -> dict:
        return {"ratios": {"get": 2.0, "list": 1.7, "create": 1.5, "http_get": 3.2}, "search": {"latency_us": {"p95": 20_000}},
                "memory_mb": {"contact": {"pss": 60.0}}, "start_seconds": {"contact": 1.0}}

    def test_a_goal_is_reached_by_being_met(self):
        self.assertEqual(report.misses(self.figures()), [])

    def test_each_goal_that_is_missed_is_named(self):
        figures = self.figures()
        figures["ratios"]["list"] = 1.71
        figures["search"]["latency_us"]["p95"] = 20_100
        figures["memory_mb"]["contact"]["pss"] = 61.0
        figures["start_seconds"]["contact"] = 1.2
        self.assertEqual([text.split(":")[0] for text in report.misses(figures)], ["list of 50", "search", "contact", "contact"])


    def test_what_goes_on_behind_requests_has_a_line_each(self):
        measured = {"count": 20_000, "per_second": 1234.5, "p50_ms": 120.4, "p99_ms": 311.6}
        cost = {"service_us": 100.0, "postgres_us": 250.0, "others_us": 50.0}
        lines = report.behind({"events": {"steady": measured, "import": measured, "catch_up": measured | cost},
                               "timers": {"steady": measured, "burst": measured | cost}, "letters": {"steady": measured, "burst": measured | cost}})
        rows = [line.split() for line in lines[1].splitlines()]
        self.assertIn("20,000 1,234 - - 400 100 250 50".split(), [row[-8:] for row in rows])
        self.assertIn("20,000 1,234 120 312 400 100 250 50".split(), [row[-8:] for row in rows])
        self.assertIn("20,000 1,234 120 312 - - - -".split(), [row[-8:] for row in rows])


class Sizes(unittest.TestCase):
    def one(self, size: int, create_us: float) -> dict:
        latency = {"16": {"p50": 500.0, "p99": 2000.0}}
        cpu = {"get": {"us": 60.0, "limit_us": 45.0}, "create": {"us": create_us, "limit_us": create_us / 1.5}}
        return {"contacts": size, "cpu": cpu, "ratios": {"get": 1.33, "create": 1.5}, "latency": {"get": latency, "create": latency},
                "search": {"latency_us": {"p95": 15_000}}, "import": {"contacts_per_second": 7000}, "bytes": {"contact": 1900.0, "deal": 1200.0},
                "memory_mb": {"contact": {"pss": 44.0}}, "letters": {"burst": {"per_second": 280}}, "timers": {"burst": {"per_second": 900}},
                "events": {"p50_ms": 22, "p99_ms": 35, "catch_up": {"per_second": 30_000}}}

    def test_the_table_has_a_column_a_size(self):
        text = report.sizes([self.one(100_000, 500.0), self.one(1_000_000, 560.0)])
        self.assertRegex(text, r"contacts and deals +100,000 +1,000,000")
        self.assertRegex(text, r"CPU of a request, µs: create +500 +560")
        self.assertRegex(text, r"bytes a contact +1,900 +1,900")

    def test_the_picture_is_xml_with_a_line_and_a_limit_for_each_operation(self):
        for sizes in ([self.one(100_000, 500.0)], [self.one(100_000, 500.0), self.one(1_000_000, 560.0)]):
            root = ElementTree.fromstring(picture.svg(sizes))
            lines = root.findall("{http://www.w3.org/2000/svg}polyline")
            self.assertEqual(len(lines), 4)
            self.assertEqual({len(line.get("points").split()) for line in lines}, {len(sizes)})

    def test_no_label_stands_on_another(self):
        places = sorted(picture.apart({"a": 100.0, "b": 101.0, "c": 300.0, "d": 102.0}).values())
        self.assertTrue(all(later - earlier >= picture.LABEL_HEIGHT for earlier, later in zip(places, places[1:])))

    def test_what_differs_between_kinds_follows_from_their_names(self):
        self.assertEqual(kinds.DEAL.rpc("List", plural=True), "crm.deal_pipeline.v1.DealService.ListDeals")
        self.assertEqual(kinds.CONTACT.rpc("Get"), "crm.contact.v1.ContactService.GetContact")


class Transport:
    """What a session writes to."""

    def __init__(self):
        self.said, self.closed = b"", False

    def write(self, data: bytes) -> None:
        self.said += data

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed


class Sink(unittest.TestCase):
    def talk(self, *pieces: bytes, signed_in: bool = True) -> tuple[list[bytes], list[bytes]]:
        """The codes that were answered, and the letters taken."""
        taken: list[bytes] = []
        session = sink.Session(taken.append, signed_in)
        session.connection_made(Transport())
        for piece in pieces:
            session.data_received(piece)
        return [line[:3] for line in session.transport.said.splitlines() if line[3:4] == b" "], taken

    ENVELOPE = b"EHLO x\r\nMAIL FROM:<a@x.example>\r\nRCPT TO:<b@x.example>\r\nDATA\r\n"
    LETTER = b"Subject: one\r\nMessage-ID: <1@x.example>\r\n\r\n..dot\r\n.\r\n"

    def test_a_letter_is_taken_however_it_is_cut(self):
        whole = self.ENVELOPE + self.LETTER + b"QUIT\r\n"
        expected = ([b"220", b"250", b"250", b"250", b"354", b"250", b"221"], [b"1@x.example"])
        self.assertEqual(self.talk(whole), expected)
        self.assertEqual(self.talk(*[bytes([byte]) for byte in whole]), expected)

    def test_two_letters_of_one_connection_are_two(self):
        second = self.ENVELOPE.partition(b"\r\n")[2] + self.LETTER.replace(b"<1@", b"<2@")
        self.assertEqual(self.talk(self.ENVELOPE + self.LETTER, second)[1], [b"1@x.example", b"2@x.example"])

    def test_what_is_no_letter_is_refused(self):
        self.assertEqual(self.talk(b"DATA\r\n")[0], [b"220", b"503"])
        self.assertEqual(self.talk(b"RCPT TO:<b@x.example>\r\n")[0], [b"220", b"503"])
        self.assertEqual(self.talk(self.ENVELOPE + b"Subject: none\r\n\r\nMessage-ID: <no@x.example>\r\n.\r\n"),
                         ([b"220", b"250", b"250", b"250", b"354", b"554"], []))
        self.assertEqual(self.talk(self.ENVELOPE + b".\r\n")[1], [])

    def test_who_must_sign_in_is_asked_to(self):
        self.assertEqual(self.talk(self.ENVELOPE, signed_in=False)[0], [b"220", b"250", b"530", b"530", b"530"])
        for words in ((b"AUTH PLAIN AGFkYQBzZWNyZXQ=\r\n",), (b"AUTH PLAIN\r\n", b"AGFkYQBzZWNyZXQ=\r\n")):
            self.assertEqual(self.talk(*words, self.ENVELOPE + self.LETTER, signed_in=False)[1], [b"1@x.example"])


class Ids(unittest.TestCase):
    def test_identifiers_made_later_are_greater(self):
        first, second = behind.uuid_prefix(), behind.uuid_prefix()
        self.assertLessEqual(first, second)
        ids = [data.type_id("reminder", first + f"{place:012}") for place in (0, 1, 9, 10, 19_999)]
        self.assertEqual(ids, sorted(ids))
        self.assertRegex(first + "0" * 12, statements.UUID)

    def test_a_type_id_is_its_uuid_in_base_32(self):
        # The TypeID specification's valid vectors.
        self.assertEqual(data.type_id("prefix", "0110c853-1d09-52d8-d73e-1194e95b5f19"), "prefix_0123456789abcdefghjkmnpqrs")
        self.assertEqual(data.type_id("prefix", "01890a5d-ac96-774b-bcce-b302099a8057"), "prefix_01h455vb4pex5vsknk084sn02q")


if __name__ == "__main__":
    unittest.main()
