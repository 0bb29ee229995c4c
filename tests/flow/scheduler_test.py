"""Tasks, reminders and notifications over all processes, under the test clock."""

import sys
import unittest

from rpcs import tenant_uuid
from stack import PASSWORD, Stack, eventually

HOUR = 3600


class SchedulerTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.stack = Stack()
        cls.stack.__enter__()
        cls.addClassCleanup(lambda: cls.stack.__exit__(None, None, None))

    def setUp(self):
        self.admin = self.stack.sign_up()
        roles = {role["code"]: role["id"] for role in self.admin.get("/v1/roles")["roles"]}
        self.head_id = self.bring("Hedda", roles["head"])
        self.team = self.admin.post("/v1/teams", {"name": "Sales", "head_id": self.head_id})
        self.ann_id = self.bring("Ann", roles["manager"], team_id=self.team["id"])
        self.bob_id = self.bring("Bob", roles["manager"], team_id=self.team["id"])
        # Somebody always works, so that the test does not depend on the hour at which it runs.
        self.admin.post("/v1/calendars", {"name": "Always", "shifts": [{"weekday": day, "start": "00:00", "end": "24:00"} for day in range(1, 8)]})
        heard = ("select count(*) from scheduler.person p join scheduler.team t using (tenant_id, team_id) "
                 f"where t.head_id is not null and p.tenant_id = '{tenant_uuid(self.admin.tenant_id)}'")
        eventually(lambda: self.stack.value(heard) == "2", 30, "the scheduler has heard of the people")
        # Signed in last: a session does not outlive a change of what its user may do.
        self.head, self.ann, self.bob = (self.sign_in(name) for name in ("Hedda", "Ann", "Bob"))

    def tearDown(self):
        if any(error for _, error in self._outcome.result.failures + self._outcome.result.errors):
            self.stack.print_logs()

    def login(self, name: str) -> str:
        return f"{name.lower()}@{self.admin.login.split('@')[1]}"

    def bring(self, name: str, role_id: str, **more) -> str:
        user = {"email": self.login(name), "given_name": name, "role_ids": [role_id], "password": PASSWORD}
        return self.admin.post("/v1/users", user | more)["id"]

    def sign_in(self, name: str):
        session = self.stack.api().post("/v1/sessions", {"login": self.login(name), "password": PASSWORD})
        return self.stack.api(session["access_token"])

    def now(self) -> str:
        return self.admin.get("/v1/clock")["now"]

    def after(self, hours: float) -> str:
        import datetime
        now = datetime.datetime.fromisoformat(self.now().replace("Z", "+00:00"))
        return (now + datetime.timedelta(hours=hours)).astimezone(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")

    def advance(self, hours: float) -> None:
        self.admin.post("/v1/clock:advance", {"seconds": int(hours * HOUR)})

    def titles(self, who) -> list[str]:
        return [one["title"] for one in who.get("/v1/notifications")["notifications"]]

    def test_an_overdue_task_reaches_the_head_live(self):
        contact = self.ann.post("/v1/contacts", {"given_name": "Carl"})
        deal = self.ann.post("/v1/deals", {"title": "Boxes", "contact_id": contact["id"]})
        task = self.ann.post("/v1/tasks", {"title": "Send the offer", "kind": "TASK_KIND_LETTER", "deal_id": deal["id"], "contact_id": contact["id"],
                                           "due_time": self.after(1)})
        self.assertEqual((task["owner_id"], task["team_id"], task["status"]), (self.ann_id, self.team["id"], "TASK_STATUS_OPEN"))
        stream = self.head.events("/v1/events", topics="notification,task")
        try:
            self.assertEqual(stream.next().type, "ready")
            others = self.admin.events("/v1/events", topics="notification")
            self.assertEqual(others.next().type, "ready")
            self.advance(1.1)
            self.wait_for(stream, "task.overdue")
            self.assertEqual(self.titles(self.ann), ["Overdue: Send the offer"])
            day = self.ann.get("/v1/tasks:today")
            self.assertEqual((day["overdue_count"], day["overdue"][0]["id"], day["time_zone"]), (1, task["id"], "Europe/Berlin"))
            self.assertIn("overdue", day["overdue"][0]["overdue"]["text"])
            self.assertEqual([one["id"] for one in self.head.get("/v1/tasks", filter="overdue_since:*")["tasks"]], [task["id"]])
            self.advance(1.1)
            told = self.wait_for(stream, "notification.created")
            self.assertEqual(told["payload"]["notification"]["title"], "Ann is late: Send the offer")
            self.assertEqual(self.head.get("/v1/notifications:unread")["count"], 1)
            # What an administrator hears on this topic is their own: nothing, until they are told something.
            self.admin.post("/v1/notifications", {"title": "for myself"})
            self.assertEqual(self.wait_for(others, "notification.created")["payload"]["notification"]["title"], "for myself")
            others.close()
        finally:
            stream.close()
        self.ann.post(f"/v1/tasks/{task['id']}:complete", {"result": "Sent"})
        self.assertEqual(self.ann.get("/v1/tasks:today")["overdue_count"], 0)
        self.assertFalse(self.ann.get(f"/v1/tasks/{task['id']}").get("overdue_since"))

    def wait_for(self, stream, kind: str) -> dict:
        return stream.until(lambda event: event.type == "message" and event.body.get("type") == kind, 30).body

    def test_a_deal_that_moves_calls_its_reminders_off(self):
        pipeline = self.admin.get("/v1/pipelines")["pipelines"][0]
        stages = [stage["id"] for stage in self.admin.get(f"/v1/pipelines/{pipeline['id']}")["stages"]]
        deal = self.ann.post("/v1/deals", {"title": "Boxes"})
        stops = self.ann.post("/v1/reminders", {"text": "No answer yet", "due_time": self.after(1), "deal_id": deal["id"], "stop_on": ["REMINDER_STOP_DEAL_MOVED"]})
        stays = self.ann.post("/v1/reminders", {"text": "Ask again", "due_time": self.after(1), "deal_id": deal["id"]})
        self.ann.post(f"/v1/deals/{deal['id']}:move", {"stage_id": stages[1]})
        eventually(lambda: self.ann.get(f"/v1/reminders/{stops['id']}")["status"] == "REMINDER_STATUS_CANCELLED", 30, "called off")
        self.advance(2)
        eventually(lambda: self.ann.get(f"/v1/reminders/{stays['id']}")["status"] == "REMINDER_STATUS_FIRED", 30, "fired")
        self.assertEqual(self.titles(self.ann), ["Ask again"])

    def test_each_once_though_the_scheduler_dies_and_redis_is_emptied(self):
        count = 12  # a round: what a process had claimed when it was killed fires as soon as it is back
        titles = []
        self.addCleanup(self.stack.failpoints, "scheduler")
        for line in ("timers.before_effect=kill*4", "timers.after_effect=kill*3", "timers.after_claim=kill*5"):
            for number in range(count):
                titles.append(f"Call {number}, {line.split('=')[0]}")
                self.ann.post("/v1/reminders", {"text": titles[-1], "due_time": self.after(1)})
            self.stack.failpoints("scheduler", line)
            self.stack.await_armed()
            # The answer may be lost.
            self.admin.call("POST", "/v1/clock:advance", {"seconds": 2 * HOUR})
            self.assertEqual(self.stack.wait_dead("scheduler", 60), -9, line)
            self.stack.failpoints("scheduler")
            self.stack.empty_redis()
            self.stack.start("scheduler")
        self.advance(1)
        eventually(lambda: self.admin.get("/v1/clock")["due_count"] == 0, 60, "all have fired")
        self.assertEqual(sorted(self.titles(self.ann)), sorted(titles))
        self.assertEqual(self.ann.get("/v1/notifications:unread")["count"], len(titles))

    def test_nothing_reaches_who_was_shut_out(self):
        reminder = self.bob.post("/v1/reminders", {"text": "Call", "due_time": self.after(1)})
        self.admin.post(f"/v1/users/{self.bob_id}:suspend", {})
        eventually(lambda: self.stack.value("select count(*) from scheduler.person where not active and name = 'Bob'") == "1", 30, "heard of")
        self.advance(2)
        eventually(lambda: self.admin.get(f"/v1/reminders/{reminder['id']}")["status"] == "REMINDER_STATUS_FIRED", 30, "fired")
        told = self.head.get("/v1/notifications")["notifications"]
        self.assertEqual([(one["title"], one["for_user_id"]) for one in told], [("Call", self.bob_id)])


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + ["-v"] + sys.argv[1:])
