#!/usr/bin/env python3
"""What is taken away is gone within five seconds, everywhere: at each service's own address and each surface of the edge, in live streams that
are open, for tokens, session cookies and API keys that were used a moment ago, and behind an etag that a cache has kept."""

import sys
import time
import unittest
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1] / "flow"))
from callers import RIGHT_MISSING, TOKEN_REFUSED, Findings, World, bearer  # noqa: E402
from rpcs import Http, Method, Result, parallel  # noqa: E402
from stack import PASSWORD, eventually  # noqa: E402

PROMISE, TOLERATED = 5.0, 7.5  # seconds; the second on a busy machine
PROBE_SECONDS = 0.3  # between a stream's test records


def setUpModule():
    global world, stack, catalogue, zebra, admin
    world = World()
    stack, catalogue = world.stack, world.catalogue
    zebra = world.tenant("zebra")
    admin = zebra.admin


def bit(what: str, since: float) -> None:
    print(f"  {what} bit everywhere after {time.monotonic() - since:.1f} s", flush=True)


def gone(find, what: str) -> None:
    """Until find() finds nothing; what it still finds is the failure."""
    deadline = time.monotonic() + TOLERATED
    while found := find():
        if time.monotonic() > deadline:
            raise AssertionError(f"{what} after {TOLERATED} s: {found}")
        time.sleep(0.05)


class Holder:
    """A user who has signed in twice, as a machine and as a browser, and listens to everything."""

    def __init__(self, name: str, scope: str = "SCOPE_ALL", **more):
        self.name = name
        self.role_id = world.role(zebra, name, world.everything(scope=scope))
        self.email = f"{name.replace(' ', '.')}.{time.monotonic_ns()}@bite.example.com"
        self.user = admin.post("/v1/users", {"email": self.email, "given_name": name, "role_ids": [self.role_id], "password": PASSWORD} | more)["id"]
        self.session = stack.api().post("/v1/sessions", {"login": self.email, "password": PASSWORD})
        self.token = self.session["access_token"]
        self.api = stack.api(self.token)
        browser = stack.api().call("POST", "/v1/sessions", {"login": self.email, "password": PASSWORD, "cookie": True})
        self.cookie = {"Cookie": browser.headers["set-cookie"].split(";")[0], "X-CSRF-Token": browser.body["csrf_token"]}
        self.streams = []

    def listen(self) -> "Holder":
        self.streams = [self.api.events("/v1/events"), self.api.events("/v1/reports/revenue:watch", group_by="GROUP_BY_EMPLOYEE")]
        for stream in self.streams:
            stream.next(20)
        return self

    def ask(self, headers: dict | None = None) -> dict[str, Result]:
        found = {}
        for service in catalogue.services:
            method = world.one_right_rpc(service)
            for surface, result in world.probe(method, service, zebra.make(method), headers or bearer(self.token)).items():
                found[f"{service} by {surface}"] = result
        return found

    def close(self) -> None:
        for stream in self.streams:
            stream.close()


class TokensEndTest(unittest.TestCase):
    """After what ends a token, it is refused by everybody, and what it has opened is closed. All changes are made at once, each to a user of its
    own, and each has its own five seconds."""

    def test_whatever_ends_a_token(self):
        teams = [admin.post("/v1/teams", {"name": f"{name} {time.monotonic_ns()}"})["id"] for name in ("north", "south", "dissolved")]
        empty = world.role(zebra, "nothing", [])
        changes = {
            "a role taken from a user": lambda who: admin.patch(f"/v1/users/{who.user}", {"role_ids": []}),
            "another role": lambda who: admin.patch(f"/v1/users/{who.user}", {"role_ids": [empty]}),
            "another team": lambda who: admin.patch(f"/v1/users/{who.user}", {"team_id": teams[1]}),
            "no team": lambda who: admin.patch(f"/v1/users/{who.user}", {"team_id": None}),
            "signing out": lambda who: stack.api(who.token).delete("/v1/sessions/current"),
            "suspension": lambda who: admin.post(f"/v1/users/{who.user}:suspend"),
        }
        holders = {what: Holder(what, team_id=teams[0]).listen() for what in changes}
        self.addCleanup(lambda: [who.close() for who in holders.values()])
        for what, who in holders.items():
            self.assertEqual({where: str(result) for where, result in who.ask().items() if not result.ok}, {}, f"must work before {what}")
            self.assertTrue(Http(stack.instance.url, who.cookie).raw("GET", "/v1/session").ok)

        def change_and_watch(what: str) -> tuple[str, float, float]:
            who = holders[what]
            changes[what](who)
            start = time.monotonic()
            eventually(lambda: all((result.code, result.reason) == TOKEN_REFUSED for result in who.ask().values()), TOLERATED, f"{what} bites on every service")
            everywhere = time.monotonic() - start
            for stream in who.streams:
                try:
                    end = stream.until(lambda event: event.type == "error", max(0.1, start + TOLERATED - time.monotonic()))
                except (EOFError, TimeoutError) as error:
                    raise AssertionError(f"{what} does not end an open stream") from error
                self.assertEqual(end.body["error"]["status"], "UNAUTHENTICATED", what)
            return what, everywhere, time.monotonic() - start

        for what, everywhere, streams in parallel(change_and_watch, changes):
            print(f"  {what}: refused everywhere after {everywhere:.1f} s, live streams ended after {streams:.1f} s", flush=True)
        # The browser's session outlives a change of roles and teams, with the new rights; suspension ends it, signing out of another does not.
        for what, wanted in {"a role taken from a user": RIGHT_MISSING, "another role": RIGHT_MISSING, "another team": ("OK", ""), "no team": ("OK", ""),
                             "signing out": ("OK", ""), "suspension": TOKEN_REFUSED}.items():
            result = Http(stack.instance.url, holders[what].cookie).raw("GET", "/v1/deals")
            self.assertEqual((result.code, result.reason), wanted, f"a browser's session after {what}")
        refused = stack.api().call("POST", "/v1/sessions", {"login": holders["suspension"].email, "password": PASSWORD})
        self.assertIn(refused.status, (401, 403))
        renewed = stack.api().call("POST", "/v1/sessions:refresh", {"refresh_token": holders["suspension"].session["refresh_token"]})
        self.assertIn(renewed.status, (401, 403), renewed.data)
        self.walk_refused(holders["suspension"].token)

    def walk_refused(self, token: str) -> None:
        """Every rpc refuses a suspended user, not only those that were looked at."""
        findings = Findings()
        walked = [(method, service) for method, service in catalogue.walked if method.who != "public"]
        for (method, service), results in zip(walked, parallel(lambda item: world.probe(*item, zebra.make(item[0]), bearer(token)), walked)):
            for surface, result in results.items():
                findings.expect((result.code, result.reason) == TOKEN_REFUSED, f"{service}: {method} by {surface} as a suspended user", str(result))
        findings.done(self, len(walked))

    def test_a_deleted_key(self):
        """Kept by the edge and by each service that was shown it."""
        key = admin.post("/v1/apiKeys", {"name": "robot", "role_ids": [world.role(zebra, "robot", world.everything())]})
        asked = {service: world.one_right_rpc(service) for service in catalogue.services}

        def ask() -> list[Result]:
            return [result for service, method in asked.items() for result in world.probe(method, service, zebra.make(method), bearer(key["secret"])).values()]
        self.assertTrue(all(result.ok for result in ask()))
        with stack.api(key["secret"]).events("/v1/events") as events:
            events.next(20)
            admin.delete(f"/v1/apiKeys/{key['id']}")
            start = time.monotonic()
            eventually(lambda: all((result.code, result.reason) == TOKEN_REFUSED for result in ask()), TOLERATED, "a deleted key is refused")
            end = events.until(lambda event: event.type == "error", max(0.1, start + TOLERATED - time.monotonic()))
            self.assertEqual(end.body["error"]["status"], "UNAUTHENTICATED")
            bit("a deleted key", start)


class RightsNarrowTest(unittest.TestCase):
    """Tokens that stay good mean less: a role's grants change, or the tree of teams."""

    @classmethod
    def setUpClass(cls):
        cls.method: Method = world.one_right_rpc("deal_pipeline")

    def deal(self, title: str, **more) -> str:
        return admin.post("/v1/deals", {"title": title, "amount": {"amount": "5000.00", "currency_code": "EUR"}} | more)["id"]

    def won(self) -> str:
        return next(stage["id"] for stage in admin.get(f"/v1/pipelines/{zebra.id('pipeline')}")["stages"] if stage["kind"] == "STAGE_KIND_WON")

    def test_a_right_taken_from_a_role_and_given_back(self):
        who = Holder("demoted").listen()
        self.addCleanup(who.close)
        self.assertEqual({where: str(result) for where, result in who.ask().items() if not result.ok}, {})
        admin.patch(f"/v1/roles/{who.role_id}", {"grants": []})
        start = time.monotonic()
        eventually(lambda: all((result.code, result.reason) == RIGHT_MISSING for result in who.ask().values()), TOLERATED, "a right taken from a role bites on every service")
        bit("a right taken from a role", start)
        # An open stream that has nothing to say may stay open; with the next news it ends.
        [_, watched] = who.streams
        admin.post(f"/v1/deals/{self.deal('news')}:move", {"stage_id": self.won()})
        eventually(lambda: self.told(watched), 30, "a watched report ends")
        self.assertEqual([event.body["error"]["status"] for event in watched.seen if event.type == "error"], ["PERMISSION_DENIED"])
        admin.patch(f"/v1/roles/{who.role_id}", {"grants": world.everything()})
        eventually(lambda: all(result.ok for result in who.ask().values()), TOLERATED, "a right that is given counts everywhere")

    def told(self, watched) -> bool:
        """Whether a watched report has ended, by an error or without."""
        try:
            event = watched.next(0.2)
        except TimeoutError:
            return False
        return event is None or event.type == "error"

    def test_all_becomes_own(self):
        """In what was read, and kept, and is being listened to."""
        who = Holder("narrowed").listen()
        self.addCleanup(who.close)
        colleagues = self.deal("colleague's best")
        admin.post(f"/v1/deals/{colleagues}:move", {"stage_id": self.won()})
        key = admin.post("/v1/apiKeys", {"name": "narrowed robot", "role_ids": [who.role_id]})["secret"]
        callers = {"a token": stack.api(who.token), "a cookie": stack.api(), "a key": stack.api(key)}
        callers["a cookie"].headers |= who.cookie
        etags = {name: api.call("GET", f"/v1/deals/{colleagues}").headers["etag"] for name, api in callers.items()}
        for name, api in callers.items():
            self.assertEqual(api.call("GET", f"/v1/deals/{colleagues}", headers={"If-None-Match": etags[name]}).status, 304)
        reports = {"group_by": "GROUP_BY_EMPLOYEE"}
        eventually(lambda: float(callers["a token"].get("/v1/reports/revenue", **reports)["total"]["revenue"][0]["amount"]) >= 5000, 20)
        admin.patch(f"/v1/roles/{who.role_id}", {"grants": world.everything(scope="SCOPE_OWN")})
        start = time.monotonic()

        def shows() -> list[str]:
            found = []
            for name, api in callers.items():
                one = api.call("GET", f"/v1/deals/{colleagues}", headers={"If-None-Match": etags[name]}).status
                found += [f"{name}: a kept etag answers {one}"] if one != 404 else []
                for path, query in (("/v1/deals", {"count": "COUNT_EXACT"}), (f"/v1/pipelines/{zebra.id('pipeline')}/board", {}), ("/v1/reports/revenue", reports),
                                    ("/v1/contacts", {"expand": "owner"}), (f"/v1/deals/{colleagues}/revisions", {})):
                    answer = api.call("GET", path, query=query)
                    if answer.ok and (colleagues in answer.data.decode() or "5000.00" in answer.data.decode() or answer.body.get("total_size")):
                        found.append(f"{name}: {path} shows it")
            return found
        gone(shows, "a colleague's deal is shown")
        bit("all that becomes own", start)
        self.assertEqual(shows(), [])
        # Whoever listens hears nothing of others five seconds later, and goes on hearing of their own.
        events, watched = who.streams
        late = []
        while time.monotonic() < start + TOLERATED + 1:
            id_ = self.deal("of a colleague")
            late += [id_] if time.monotonic() > start + TOLERATED else []
            time.sleep(PROBE_SECONDS)
        while watched.queue.qsize():
            watched.next()
        known = len(watched.seen)
        admin.post(f"/v1/deals/{self.deal('another best')}:move", {"stage_id": self.won()})
        sign = self.deal("of their own", owner_id=who.user)
        admin.post(f"/v1/deals/{sign}:move", {"stage_id": self.won()})
        events.until(lambda event: event.body.get("id") == sign, 30)
        self.assertTrue(late)
        self.assertEqual([id_ for id_ in late if any(id_ in event.data for event in events.seen)], [], "still hears of colleagues' deals")
        watched.until(lambda event: who.user in event.data, 30)
        self.assertEqual([event.data for event in watched.seen[known:] if admin.user_id in event.data], [], "the watched report shows a colleague's revenue")

    def test_the_tree_of_teams(self):
        """A head sees the teams below; one that is put elsewhere is no longer below. A user who joins another team leaves the first behind."""
        above, below, elsewhere = (admin.post("/v1/teams", {"name": f"{name} {time.monotonic_ns()}"})["id"] for name in ("above", "below", "elsewhere"))
        admin.patch(f"/v1/teams/{below}", {"parent_id": above})
        head, mover = Holder("head", "SCOPE_TEAM", team_id=above), Holder("mover", "SCOPE_TEAM", team_id=below)
        owner = world.user(zebra, "owner", [], team_id=below)
        deal = self.deal("below", owner_id=owner, team_id=below)

        def statuses(who: Holder) -> list[int]:
            return [stack.api(who.token).call("GET", f"/v1/deals/{deal}").status, Http(stack.instance.url, who.cookie).raw("GET", f"/v1/deals/{deal}").status]
        eventually(lambda: statuses(head) == [200, 200] and statuses(mover) == [200, 200], 30, "a team below is seen")
        admin.patch(f"/v1/teams/{below}", {"parent_id": elsewhere})
        admin.patch(f"/v1/users/{mover.user}", {"team_id": above})
        start = time.monotonic()
        for who in (head, mover):
            eventually(lambda: statuses(who)[0] in (401, 404) and statuses(who)[1] == 404, TOLERATED, f"{who.name} no longer sees the team")
        bit("a change in the tree of teams", start)


if __name__ == "__main__":
    unittest.main(verbosity=2, warnings="ignore")
