#!/usr/bin/env python3
"""The database is lost and comes back as it was at a moment: what was acknowledged before it is there, what came after is not, and no
event is lost or doubled."""

import datetime
import shutil
import threading
import unittest

from stack import Stack, eventually

from crmlib import backup, console, postgres, restore

SERVICES = ["gateway", "identity", "contact", "analytics"]


class Writer:
    """Makes contacts until it is told to stop; knows which were acknowledged, in order."""

    def __init__(self, api):
        self.api, self.done, self.ids = api, threading.Event(), []
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self) -> None:
        while not self.done.is_set():
            self.ids.append(self.api.post("/v1/contacts", {"given_name": f"Number {len(self.ids)}"})["id"])

    def stop(self) -> None:
        self.done.set()
        self.thread.join()


class BackupTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.stack = Stack(SERVICES, durable=True)
        cls.addClassCleanup(cls.stack.close)
        cls.stack.start_all()
        cls.instance = cls.stack.instance
        cls.folder = cls.stack.folder / "backups"
        cls.addClassCleanup(lambda: [shutil.rmtree(path) for path in cls.instance.postgres_data.parent.glob(f"{cls.instance.postgres_data.name}.*")])

    def restore(self, moment=None) -> None:
        """As the command does, with this stack's processes."""
        for name in [*SERVICES, "redis", "postgres"]:
            if self.stack.alive(name):
                self.stack.stop(name)
        restore.database(self.instance, self.folder, moment)
        self.start()

    def start(self) -> None:
        postgres.prepare(self.instance, durable=True)
        for name in ("postgres", "redis"):
            self.stack.start(name)
        for name in SERVICES:
            self.stack.start(name, wait=False)
        self.stack.wait_ready()

    def moment(self) -> datetime.datetime:
        return datetime.datetime.fromisoformat(backup.ask(self.instance, "select clock_timestamp()"))

    def ids(self, tenant: str) -> set[str]:
        """Contacts by their uuids, as the database has them."""
        return {row[0] for row in self.stack.sql(f"select id from contact.contact where tenant_id = {tenant}")}

    def assert_events_add_up(self, tenant: str) -> None:
        """Every contact is projected exactly once, and the projection stands where its producers do."""
        def settled() -> bool:
            return self.stack.value(
                f"select not exists (select from contact.outbox where tenant_id = {tenant} and seq is null) and (select seq from contact.lane where tenant_id = {tenant}) = "
                f"(select seq from analytics.position where tenant_id = {tenant} and producer = 'contact')") == "t"
        eventually(settled, 60, "analytics has not heard everything")
        contacts, facts = (self.stack.sql(f"select {key} from {table} where tenant_id = {tenant} order by 1")
                           for key, table in (("id", "contact.contact"), ("id", "analytics.contact_fact")))
        self.assertEqual(contacts, facts)
        self.assertEqual(self.stack.value(f"select count(*) - count(distinct seq) from contact.outbox where tenant_id = {tenant}"), "0")
        self.assertEqual(self.stack.value("select count(*) from analytics.dead_letter"), "0")

    def test_the_database_is_lost_and_comes_back_to_the_moment(self):
        api = self.stack.sign_up()
        tenant = f"(select tenant_id from identity.account where email = '{api.login}')"
        self.assertEqual(backup.ask(self.instance, "show fsync"), "on")
        writer = Writer(api)
        eventually(lambda: len(writer.ids) >= 20, 60)
        taken = backup.take(self.instance, self.folder)
        with_backup = len(writer.ids)
        eventually(lambda: len(writer.ids) >= with_backup + 20, 60)
        before = list(writer.ids)
        moment = self.moment()
        by_now = len(writer.ids)
        eventually(lambda: len(writer.ids) >= by_now + 20, 60)
        writer.stop()
        after = set(writer.ids[by_now + 1:])  # one may have been under way at the moment
        key = api.post("/v1/apiKeys", {"name": "late", "role_ids": [api.get("/v1/roles")["roles"][0]["id"]]})
        backup.wait_archived(self.instance)

        # Gone: the process dies and its folder with it, keys too.
        self.stack.kill("postgres")
        shutil.rmtree(self.instance.postgres_data)
        shutil.rmtree(self.instance.folder / "secrets")
        self.restore(moment)

        known = {contact["id"] for contact in self.everything(api)}
        self.assertEqual(set(before) - known, set(), "acknowledged before the moment, and lost")
        self.assertEqual(after & known, set(), "made after the moment, and still there")
        self.assertEqual(self.stack.api(key["secret"]).call("GET", "/v1/session").status, 401)
        self.assert_events_add_up(tenant)

        # It goes on, with numbers of events that were used before.
        more = [api.post("/v1/contacts", {"given_name": "Afterwards"})["id"] for _ in range(10)]
        self.assertLessEqual(set(more), {contact["id"] for contact in self.everything(api)})
        self.assert_events_add_up(tenant)

        # The log goes on in the same folder, on a line of its own: the end of it is now.
        self.assertEqual(backup.archive(self.instance), self.folder)
        self.stack.kill("postgres")
        self.restore()
        self.assertLessEqual(set(more), {contact["id"] for contact in self.everything(api)}, "the log that the dead server had not archived is used too")
        self.assert_events_add_up(tenant)

        # A trial beside the running system, which does not notice.
        backup.wait_archived(self.instance)
        restore.check(self.folder, None)
        self.assertFalse((self.folder / "check").exists())
        self.assertLessEqual(set(more), {contact["id"] for contact in self.everything(api)})

        # What cannot be done leaves the database as it is.
        for name in [*SERVICES, "redis", "postgres"]:
            self.stack.stop(name)
        for wrong, text in ((moment - datetime.timedelta(days=1), "after the moment"), (tomorrow(), "could not be brought")):
            with self.assertRaises(console.Failure) as failure:
                restore.database(self.instance, self.folder, wrong)
            self.assertIn(text, failure.exception.what)
        with (taken / "base.tar.gz").open("r+b") as file:
            file.seek(file.seek(0, 2) // 2)
            file.write(b"\0" * 64)
        with self.assertRaises(console.Failure):
            restore.database(self.instance, self.folder, moment)
        with self.assertRaises(console.Failure):
            restore.check(self.folder, moment)
        self.start()
        self.assertLessEqual(set(more), {contact["id"] for contact in self.everything(api)})

        # Old backups go, and the log that only they needed; the newest still restores.
        newest = backup.take(self.instance, self.folder, keep=1)
        self.assertEqual([path for path, _ in backup.backups(self.folder)], [newest])
        self.restore()
        self.assertLessEqual(set(more), {contact["id"] for contact in self.everything(api)})

    def everything(self, api) -> list[dict]:
        found, token = [], ""
        while True:
            page = api.get(f"/v1/contacts?page_size=500&page_token={token}")
            found += page["contacts"]
            token = page.get("next_page_token", "")
            if not token:
                return found


def tomorrow() -> datetime.datetime:
    return backup.now() + datetime.timedelta(days=1)


if __name__ == "__main__":
    unittest.main(verbosity=2)
