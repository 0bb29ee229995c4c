#!/usr/bin/env python3
"""Whoever has written something and looks at a screen that is composed of what several services have heard sees it there, or is told that the
screen may be behind: never an old screen that looks new. Several people at once, each in a company of their own, write and look, while the
services' relays and consumers are late or stand still, by chance from a seed that is printed (CRM_SEED repeats it). Some hundreds of looks;
CRM_LONG=1 takes 10,000."""

import itertools
import os
import random
import threading
import time
import unittest
from collections import Counter

from callers import UNLIMITED
from rpcs import parallel
from stack import Stack, eventually

PEOPLE = 4
LOOKS, LOOKS_LONG = 600, 10_000
WEATHER_SECONDS = (0.1, 1.3)  # how long one fault stays
DELAYS_MS = (5, 20, 60, 150)
PATIENCE = 60.0
# A screen that shows what each of these has written.
SCREEN_OF = {"contact": "the_timeline_by_note", "deal_pipeline": "the_card", "scheduler": "the_contact_by_task", "identity": "the_report_by_name"}


def setUpModule():
    global stack, seed
    seed = int(os.environ.get("CRM_SEED") or random.randrange(10**6))
    print(f"seed {seed}: CRM_SEED={seed} repeats this run", flush=True)
    stack = Stack(changes=UNLIMITED)
    stack.__enter__()
    unittest.addModuleCleanup(stack.close)


class Weather:
    """Relays and consumers that are late or stand still, another one every moment."""

    def __init__(self, dice: random.Random):
        self.dice, self.ended, self.count = dice, threading.Event(), Counter()
        self.thread = threading.Thread(target=self.blow)
        self.thread.start()

    def blow(self) -> None:
        services = [service for service in stack.services if service != "gateway"]
        while not self.ended.is_set():
            service = self.dice.choice(services)
            fault = self.dice.choice(("events.before_number=error", *(f"{point}=delay:{self.dice.choice(DELAYS_MS)}"
                                                                      for point in ("events.before_number", "events.after_number", "events.before_effect"))))
            self.count[fault.split("=")[0] + "=" + fault.split("=")[1].split(":")[0]] += 1
            stack.failpoints(service, fault)
            self.ended.wait(self.dice.uniform(*WEATHER_SECONDS))
            stack.failpoints(service)

    def end(self) -> None:
        self.ended.set()
        self.thread.join()


class Person:
    """Somebody with a company of their own, who writes and looks."""

    def __init__(self, number: int):
        self.api, self.dice, self.number = stack.sign_up(), random.Random(f"{seed}/{number}"), itertools.count(1)
        self.api.user = self.api.user_id
        pipelines = eventually(lambda: self.api.get("/v1/pipelines")["pipelines"], PATIENCE, "the package's pipeline")
        self.won = next(stage["id"] for stage in self.api.get(f"/v1/pipelines/{pipelines[0]['id']}")["stages"] if stage["kind"] == "STAGE_KIND_WON")
        self.sold = 0
        self.contacts: list[str] = []
        self.seen, self.stale, self.wrong = Counter(), Counter(), []
        self.last: dict[str, tuple] = {}  # by screen: what must be there in the end
        self.screens = {name.removeprefix("on_"): getattr(self, name) for name in dir(self) if name.startswith("on_")}

    # Writes. Each answers the position that its last write has told.
    def write(self, verb: str, path: str, body: dict) -> tuple[dict, str]:
        answer = self.api.call(verb, path, body)
        assert answer.ok, f"{verb} {path} answered {answer.status}: {answer.data[:500]!r}"
        return answer.body, answer.headers["crm-position"]

    def contact(self) -> tuple[str, str, str]:
        word = f"Word{next(self.number)}x"
        made, position = self.write("POST", "/v1/contacts", {"given_name": word})
        self.contacts.append(made["id"])
        return made["id"], word, position

    def deal(self, contact: str) -> tuple[str, str]:
        made, position = self.write("POST", "/v1/deals", {"title": "Deal", "contact_id": contact, "amount": {"amount": "10.00", "currency_code": "EUR"}})
        return made["id"], position

    # Screens: (what was written, the position, the address, its parameters, whether the answer shows it).
    def on_the_timeline_of_a_new_contact(self):
        contact, _, position = self.contact()
        return position, "/v1/activities", {"contact_id": contact}, lambda body: len(body["activities"]) > 0

    def on_the_timeline_by_note(self):
        contact, word, _ = self.contact()
        _, position = self.write("POST", "/v1/notes", {"record_id": contact, "text": f"note {word}"})
        return position, "/v1/activities", {"contact_id": contact}, lambda body: any(entry["object"] == "note" for entry in body["activities"])

    def on_the_timeline_by_deal(self):
        contact, _, _ = self.contact()
        deal, position = self.deal(contact)
        return position, "/v1/activities", {"contact_id": contact}, lambda body: any(entry["deal_id"] == deal for entry in body["activities"])

    def on_the_timeline_by_lead(self):
        made, position = self.write("POST", "/v1/leads", {"title": "Lead", "name": "Somebody"})
        return position, "/v1/activities", {"lead_id": made["id"]}, lambda body: len(body["activities"]) > 0

    def on_the_card(self):
        contact, _, _ = self.contact()
        _, position = self.deal(contact)
        return position, f"/v1/contacts/{contact}/card", {}, lambda body: body["open_deal_count"] == 1

    def on_the_contact_by_task(self):
        contact, word, _ = self.contact()
        _, position = self.write("POST", "/v1/tasks", {"title": word, "contact_id": contact, "owner_id": self.api.user_id, "due_time": "2036-01-01T10:00:00Z"})
        return position, f"/v1/contacts/{contact}", {}, lambda body: body["next_task_title"] == word

    def on_the_list_by_task(self):
        contact, word, _ = self.contact()
        deal, _ = self.deal(contact)
        _, position = self.write("POST", "/v1/tasks", {"title": word, "deal_id": deal, "owner_id": self.api.user_id, "due_time": "2036-01-01T10:00:00Z"})
        return position, "/v1/deals", {"filter": f'contact_id = "{contact}"'}, lambda body: [one["next_task_title"] for one in body["deals"]] == [word]

    def on_the_report(self):
        contact, _, _ = self.contact()
        deal, _ = self.deal(contact)
        _, position = self.write("POST", f"/v1/deals/{deal}:move", {"stage_id": self.won})
        self.sold += 1
        sold = self.sold
        return position, "/v1/reports/revenue", {"group_by": "GROUP_BY_EMPLOYEE"}, lambda body: body["total"]["deal_count"] >= sold

    def on_the_report_by_name(self):
        if not self.sold:
            return self.on_the_report()
        name = f"Name{next(self.number)}"
        _, position = self.write("PATCH", f"/v1/users/{self.api.user_id}", {"given_name": name})
        return f"{position}, deal_pipeline", "/v1/reports/revenue", {"group_by": "GROUP_BY_EMPLOYEE"}, lambda body: any(name in row["label"] for row in body["rows"])

    # Within one service, at once: nobody may be told that these are behind.
    def on_the_search_itself(self):
        contact, word, _ = self.contact()
        return "", "/v1/contacts", {"query": word.lower()}, lambda body: [one["id"] for one in body["contacts"]] == [contact]

    def on_the_board_itself(self):
        contact, _, _ = self.contact()
        deal, _ = self.deal(contact)
        return "", "/v1/deals", {"filter": f'contact_id = "{contact}"', "expand": "contact", "count": "COUNT_EXACT"}, lambda body: (
            [one["id"] for one in body["deals"]] == [deal] and body["total_size"] == 1 and set(body["refs"]) == {contact})

    def look(self, name: str) -> None:
        position, path, query, shows = self.screens[name]()
        answer = self.api.call("GET", path, headers={"Crm-After": position} if position else {}, query=query)
        body = answer.body
        self.last[name] = (path, query, shows)
        if answer.ok and shows(body):
            self.seen[name] += 1
        elif answer.ok and position and (answer.headers.get("crm-stale") == "1" or body.get("stale") is True):
            self.stale[name] += 1
        else:
            self.wrong.append(f"{name}: {path} {query} after {position or 'its own'} answered {answer.status} {answer.data[:600]!r}")

    def work(self, looks: int) -> None:
        names = sorted(self.screens)
        for number in range(looks):
            self.look(names[number] if number < len(names) else self.dice.choice(names))


class OwnWriteTest(unittest.TestCase):
    def test_it_is_there_or_the_screen_says_that_it_may_not_be(self):
        people = [Person(number) for number in range(PEOPLE)]
        streams = [person.api.events("/v1/events", topics="contact") for person in people]
        self.addCleanup(lambda: [stream.close() for stream in streams])
        for stream in streams:
            stream.next(PATIENCE)
        weather = Weather(random.Random(seed))
        start = time.monotonic()
        try:
            parallel(lambda person: person.work((LOOKS_LONG if os.environ.get("CRM_LONG") else LOOKS) // PEOPLE), people)
        finally:
            weather.end()
        seen, stale = sum((person.seen for person in people), Counter()), sum((person.stale for person in people), Counter())
        print(f"  {seen.total() + stale.total()} looks by {PEOPLE} people in {time.monotonic() - start:.0f} s under {dict(weather.count)}: {seen.total()} showed it, "
              f"{stale.total()} said that they may be behind: {dict(stale)}", flush=True)
        wrong = [text for person in people for text in person.wrong]
        self.assertFalse(wrong, "\n".join([f"{len(wrong)} screens were old and looked new:", *wrong[:20]]))
        self.assertEqual(set(seen), set(people[0].screens), "screens that never showed what was written")
        # In the end everything is there, and every live stream has heard of every record.
        for person, stream in zip(people, streams):
            for name, (path, query, shows) in person.last.items():
                eventually(lambda: shows(person.api.get(path, **query)), PATIENCE, f"{name} in the end")
            waiting = set(person.contacts) - {event.body.get("id") for event in stream.seen}
            deadline = time.monotonic() + PATIENCE
            while waiting:
                waiting.discard(stream.next(max(0.1, deadline - time.monotonic())).body.get("id"))

    def test_a_relay_that_stands_still_is_told_of(self):
        """No luck is needed to be told: while a writer's events do not leave it, every look after its writes says so."""
        person = Person(PEOPLE)
        person.on_the_report()
        self.addCleanup(lambda: [stack.failpoints(service) for service in SCREEN_OF])
        for service in SCREEN_OF:
            stack.failpoints(service, "events.before_number=error")
        # A failpoint's file is read a moment later: a first look may still be shown what was written.
        for name in SCREEN_OF.values():
            eventually(lambda: (person.look(name), person.stale[name])[1], PATIENCE, f"{name} says that it may be behind")
        self.assertEqual(person.wrong, [])
        for service in SCREEN_OF:
            stack.failpoints(service)
        for name, (path, query, shows) in person.last.items():
            eventually(lambda: shows(person.api.get(path, **query)), PATIENCE, f"{name} in the end")


if __name__ == "__main__":
    unittest.main(verbosity=2, warnings="ignore")
