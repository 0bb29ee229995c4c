"""The timeline over all processes: a customer's story told by every service, what each colleague sees of it, live and in lists, and
that nothing is lost or doubled when processes die and Redis is emptied."""

import sys
import unittest
from datetime import datetime, timedelta, timezone

from stack import PASSWORD, Stack, eventually

PATIENCE = 60.0


class TimelineTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.stack = Stack()
        cls.stack.__enter__()
        cls.addClassCleanup(lambda: cls.stack.__exit__(None, None, None))
        cls.admin = cls.stack.sign_up()
        roles = {role["code"]: role["id"] for role in cls.admin.get("/v1/roles")["roles"]}
        # Colleagues who may read what is theirs, and write notes, deals and tasks.
        reads = [{"object": kind, "action": "ACTION_READ", "scope": "SCOPE_OWN"} for kind in ("contact", "deal", "lead", "task", "message", "reminder")]
        writes = [{"object": kind, "action": action, "scope": "SCOPE_OWN"} for kind in ("contact", "deal", "task", "note")
                  for action in ("ACTION_CREATE", "ACTION_UPDATE", "ACTION_DELETE")]
        notes = [{"object": "note", "action": "ACTION_READ", "scope": "SCOPE_ALL"}]
        cls.seller = cls.admin.post("/v1/roles", {"name": "Seller", "grants": reads + writes + notes, "personal_data": True})["id"]
        cls.anna, cls.boris = cls.colleague("anna", [cls.seller]), cls.colleague("boris", [cls.seller])
        cls.manager = cls.colleague("mila", [roles["manager"]])
        cls.pipeline = cls.first_pipeline()

    @classmethod
    def colleague(cls, name, role_ids):
        login = f"{name}@tenant1.example.com"
        user = cls.admin.post("/v1/users", {"email": login, "given_name": name.title(), "role_ids": role_ids, "password": PASSWORD})
        api = cls.stack.api(cls.stack.api().post("/v1/sessions", {"login": login, "password": PASSWORD})["access_token"])
        api.user_id = user["id"]
        return api

    @classmethod
    def first_pipeline(cls):
        found = eventually(lambda: cls.admin.get("/v1/pipelines")["pipelines"], PATIENCE)[0]
        return cls.admin.get(f"/v1/pipelines/{found['id']}")

    def tearDown(self):
        if any(error for _, error in self._outcome.result.failures + self._outcome.result.errors):
            self.stack.print_logs()

    def timeline(self, api, **query):
        return list(api.pages("/v1/activities", "activities", page_size=3, **query))

    def lines(self, api, **query):
        return [f"{entry['object']} {entry['kind'].removeprefix('ACTIVITY_KIND_')}" for entry in self.timeline(api, **query)]

    def expect(self, expected, api, **query):
        """Waits until the timeline is this, newest first."""
        try:
            eventually(lambda: self.lines(api, **query) == expected, PATIENCE)
        except AssertionError:
            self.assertEqual(self.lines(api, **query), expected)

    def story(self, api):
        """A contact with a deal, moved and won, with a note and a task done in between."""
        contact = api.post("/v1/contacts", {"given_name": "Carl", "phones": [{"number": "030 7654321"}]})
        deal = api.post("/v1/deals", {"title": "Boxes", "contact_id": contact["id"], "amount": {"amount": "10.00", "currency_code": "EUR"}})
        return contact, deal

    def test_a_story_is_told_by_all_services_and_heard_live(self):
        with self.anna.events("/v1/events", topics="activity") as stream, self.boris.events("/v1/events", topics="activity") as elsewhere:
            stream.until(lambda event: event.type == "ready", PATIENCE)
            elsewhere.until(lambda event: event.type == "ready", PATIENCE)
            contact, deal = self.story(self.anna)
            live = stream.until(lambda event: event.type == "message" and event.body["payload"]["activity"]["record_id"] == deal["id"], PATIENCE)
            self.assertEqual(live.body["type"], "activity.created")
            self.assertEqual(live.body["payload"]["activity"]["contact_id"], contact["id"])
            self.assertEqual(live.body["payload"]["activity"]["author_id"], self.anna.user_id)

            due = (datetime.now(timezone.utc) + timedelta(days=1)).isoformat()
            task = self.anna.post("/v1/tasks", {"title": "Call Carl", "kind": "TASK_KIND_CALL", "due_time": due, "deal_id": deal["id"]})
            note = self.anna.post("/v1/notes", {"record_id": deal["id"], "text": "Pays late", "pinned": True})
            self.expect(["note NOTE", "task TASK", "deal CREATED", "contact CREATED"], self.anna, contact_id=contact["id"])

            # The card and the lists show what is to be done; the deal's board card too.
            card = eventually(lambda: (c := self.anna.get(f"/v1/contacts/{contact['id']}/card"))["contact"]["next_task_id"] == task["id"] and c, PATIENCE)
            self.assertEqual(card["contact"]["next_task_title"], "Call Carl")
            self.assertEqual([d["id"] for d in card["open_deals"]], [deal["id"]])
            self.assertEqual((card["open_deal_count"], card["open_deal_sums"]), (1, [{"amount": "10.00", "currency_code": "EUR"}]))
            self.assertEqual(len(card["activities"]), 4)
            on_top = self.anna.post("/v1/notes", {"record_id": contact["id"], "text": "Never before ten", "pinned": True})
            self.anna.post("/v1/notes", {"record_id": contact["id"], "text": "Likes tea"})
            card = self.anna.get(f"/v1/contacts/{contact['id']}/card")
            self.assertEqual([n["id"] for n in card["pinned_notes"]], [on_top["id"]])
            self.assertTrue(note["pinned"])
            eventually(lambda: self.anna.get(f"/v1/deals/{deal['id']}/card")["open_tasks"], PATIENCE)
            board = self.anna.get(f"/v1/pipelines/{self.pipeline['id']}/board")
            cards = {d["id"]: d for column in board["columns"] for d in column["deals"]}
            self.assertEqual(cards[deal["id"]]["next_task_title"], "Call Carl")
            idle = self.anna.post("/v1/deals", {"title": "Forgotten", "contact_id": contact["id"]})
            without = self.anna.get("/v1/deals", filter="next_task_id = null", order_by="next_task_due_time")
            self.assertIn(idle["id"], [d["id"] for d in without["deals"]])
            self.assertNotIn(deal["id"], [d["id"] for d in without["deals"]])

            self.anna.post(f"/v1/tasks/{task['id']}:complete", {"result": "Wants more"})
            won = next(stage["id"] for stage in self.pipeline["stages"] if stage["kind"] == "STAGE_KIND_WON")
            self.anna.post(f"/v1/deals/{deal['id']}:move", {"stage_id": won})
            self.expect(["deal WON", "note NOTE", "task TASK", "deal CREATED"], self.anna, deal_id=deal["id"])
            done = stream.until(lambda event: event.type == "message" and event.body["type"] == "activity.updated", PATIENCE)
            self.assertEqual(done.body["payload"]["activity"]["record_id"], task["id"])
            entry = next(e for e in self.timeline(self.anna, deal_id=deal["id"]) if e["object"] == "task")
            self.assertEqual((entry["state"], entry["snippet"]), ("ACTIVITY_STATE_DONE", "Wants more"))
            touched = eventually(lambda: (c := self.anna.get(f"/v1/contacts/{contact['id']}"))["last_touch_kind"] == "TOUCH_KIND_CALL" and c, PATIENCE)
            self.assertNotIn("next_task_due_time", {k for k, v in touched.items() if v})

            # The ringing phone.
            rings = self.anna.get("/v1/contacts:card", phone="+49 30 7654321")
            self.assertEqual(rings["card"]["contact"]["id"], contact["id"])
            self.assertEqual(rings["route_to_id"], self.anna.user_id)

            # A colleague who may see only what is his has heard nothing and sees nothing.
            self.boris.post("/v1/deals", {"title": "Mine"})
            elsewhere.until(lambda event: event.type == "message" and event.body["payload"]["activity"]["title"] == "Mine", PATIENCE)
            heard = " ".join(event.data for event in elsewhere.seen)
            for secret in (contact["id"], deal["id"], task["id"], note["id"]):
                self.assertNotIn(secret, heard)

    def test_a_salesperson_never_sees_anothers_deal(self):
        contact, deal = self.story(self.anna)
        self.anna.post("/v1/notes", {"record_id": deal["id"], "text": "Secret"})
        self.expect(["note NOTE", "deal CREATED", "contact CREATED"], self.anna, contact_id=contact["id"])
        for who in (self.boris, self.manager):
            self.assertEqual(self.lines(who, contact_id=contact["id"]), [], "neither contact nor deal are open to them")
            self.assertEqual(self.lines(who, deal_id=deal["id"]), [])
            self.assertEqual(who.get("/v1/notes", record_id=deal["id"])["notes"], [])
            self.assertEqual(who.call("GET", f"/v1/contacts/{contact['id']}/card").status, 404)
            self.assertEqual(who.call("POST", "/v1/notes", {"record_id": deal["id"], "text": "Me too"}).status, 404)
            self.assertFalse(any(deal["id"] in str(entry) for entry in self.timeline(who)))
        # The contact changes hands, the deal stays: the new owner sees what hangs on the contact, not what hangs on the deal.
        self.admin.patch(f"/v1/contacts/{contact['id']}", {"owner_id": self.boris.user_id})
        self.expect(["contact HANDED_OVER", "contact CREATED"], self.boris, contact_id=contact["id"])
        handed = self.timeline(self.boris, contact_id=contact["id"])[0]
        self.assertEqual((handed["from_owner_id"], handed["to_owner_id"]), (self.anna.user_id, self.boris.user_id))
        self.assertEqual(self.boris.get(f"/v1/contacts/{contact['id']}/card")["open_deal_count"], 0)
        # The deal follows: all of it is the new owner's, with its authors.
        self.admin.patch(f"/v1/deals/{deal['id']}", {"owner_id": self.boris.user_id})
        self.expect(["deal HANDED_OVER", "note NOTE", "deal CREATED"], self.boris, deal_id=deal["id"])
        self.assertEqual(self.timeline(self.boris, deal_id=deal["id"])[1]["author_id"], self.anna.user_id)
        self.expect([], self.anna, deal_id=deal["id"])

    def test_a_repeated_write_of_a_note_is_answered_as_it_was(self):
        """Also where the handler no longer finds what it has done already: what may be done with a note goes by its author."""
        contact = self.anna.post("/v1/contacts", {"given_name": "Ada"})
        note = self.anna.post("/v1/notes", {"record_id": contact["id"], "text": "Likes tea"})
        path = f"/v1/notes/{note['id']}"
        writes = (("PATCH", path, {"text": "Likes coffee"}), ("DELETE", path, None), ("POST", f"{path}:undelete", {}))
        for number, write in enumerate(writes):
            headers = {"Idempotency-Key": f"note-{number}"} | ({"If-Match": f'"{note["etag"]}"'} if write[0] == "PATCH" else {})
            first = self.anna.must(*write, headers=headers)
            self.assertEqual(set(first["access"]["can"]), {"update", "delete"})
            self.assertEqual(self.anna.must(*write, headers=headers), first)

    def test_a_web_request_is_told_from_its_beginning(self):
        form = self.admin.post("/v1/forms", {"name": "Ask", "enabled": True, "owner_id": self.admin.user_id})
        lead_id = self.stack.api().post(form["submit_path"], {"name": "Wilma", "email": "wilma@example.org", "message": "How much is it?"})["lead_id"]
        taken = self.admin.post(f"/v1/leads/{lead_id}:accept", {})
        # Both were made in one moment: which is first is not said.
        eventually(lambda: len(self.lines(self.admin, contact_id=taken["contact"]["id"])) == 4, PATIENCE)
        found = self.lines(self.admin, contact_id=taken["contact"]["id"])
        self.assertEqual(sorted(found), ["contact CREATED", "deal CREATED", "lead CREATED", "lead LEAD_ACCEPTED"])
        self.assertEqual(found[-1], "lead CREATED")
        self.assertEqual(sorted(self.lines(self.admin, lead_id=lead_id)), ["deal CREATED", "lead CREATED", "lead LEAD_ACCEPTED"])
        only = self.timeline(self.admin, lead_id=lead_id, kinds="ACTIVITY_KIND_CREATED", filter='object = "lead"')
        self.assertEqual([entry["snippet"] for entry in only], ["How much is it?"])

    def test_nothing_is_lost_or_doubled_when_processes_die(self):
        contact = self.admin.post("/v1/contacts", {"given_name": "Zora"})
        deals = []
        for i in range(12):
            deals.append(self.admin.post("/v1/deals", {"title": f"Deal {i}", "contact_id": contact["id"]})["id"])
            if i == 3:
                self.stack.empty_redis()
            if i == 6:
                self.stack.kill("contact")
            if i == 9:
                self.stack.start("contact")
        eventually(lambda: len(self.timeline(self.admin, contact_id=contact["id"])) == 13, PATIENCE)
        told = [entry["record_id"] for entry in self.timeline(self.admin, contact_id=contact["id"])]
        self.assertEqual(sorted(told), sorted([contact["id"], *deals]))
        # Made anew from the producers, the projections are the same.
        def rows():
            return self.stack.sql("SELECT id, kind, record_id, time, contact_id, deal_id, title, state, source, source_seq FROM contact.activity ORDER BY 1")
        before = rows()
        self.stack.stop("contact")
        for table in ("activity", "linked_record", "task_mark", "unread_message", "conversation_mark"):
            self.stack.sql(f"DELETE FROM contact.{table}")
        self.stack.sql("DELETE FROM contact.position WHERE producer <> 'identity'")
        self.stack.start("contact")
        eventually(lambda: len(rows()) >= len(before), PATIENCE)
        eventually(lambda: rows() == before, PATIENCE, "the same rows as before")


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + ["-v"] + sys.argv[1:])
