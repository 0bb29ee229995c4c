#!/usr/bin/env python3
"""Every write rpc, its service killed at every failpoint on the write's way and on its events' way, and the request repeated under its
key: the same answer, one effect. A calm tenant gets the same requests without a death; in the end both hold the same. By chance, from a
seed that is printed, each rpc gets one of its deaths; CRM_LONG=1 gives it all of them. CRM_METHODS names rpcs ("CreateDeal SendMessage")."""

import os
import random
import threading
import time
import unittest
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

from writes import UNKNOWN, Catalogue, ChaosTest, Method, PatientTenant, Reviver, dumps, first_refusal, key, writes

ARMED_SECONDS = 0.06  # until a running process has read its failpoints (common/base/failpoint.h)
DEATH_SECONDS = 4.0   # within which a failpoint on the way is reached
STEPS_MAX = 12        # round trips of one rpc
POINTS = ("pg.before_send", "pg.after_send", "pg.before_reply")
RELAY_POINTS = ("events.before_number", "events.after_number", "events.after_publish")
CONSUMER_POINTS = ("events.before_effect", "events.after_effect")
# Rpcs that keep no answer under their key, each with its reason; every other one must.
NO_ANSWER_KEPT = {
    "SignUp": "its answer is kept in the tenant that it makes",
    "CreateSession": "an answer with secrets is not kept; a second session harms nobody",
    "SubmitForm": "its answer is kept under what was submitted, whoever sends it again",
    "PutFilePart": "the same part again is the same part",
    "DryRunRule": "it changes nothing",
    "PreviewRule": "it changes nothing",
    "TestChannel": "it changes nothing here",
}
# Rpcs whose repeat answers things as they are by then, because work on them goes on by itself: a run, what is due.
AS_IT_IS = {"RunRule", "AdvanceClock"}
# Rpcs that change as many rows of a table as events have brought by then.
TAKES_WHAT_CAME = {"ReadAllNotifications": "notification"}
REACHED_LEAST = 0.8   # of the rpcs, by requests made from the descriptors alone
# Tables that need not be alike in the end: attempts at events come and go, a sign-in keeps no answer (it would be a secret) and so may
# leave a session that nobody has, posting and hashing go on by themselves.
UNLIKE = {"event_attempt", "identity.session", "messaging.delivery", "messaging.file_digest"}


class KillEveryWriteTest(ChaosTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.start()
        cls.calm, cls.killed = PatientTenant(cls.stack, cls.catalogue, "calm"), PatientTenant(cls.stack, cls.catalogue, "kill")
        cls.tenants = [cls.calm.uuid, cls.killed.uuid]
        wanted = set(os.environ.get("CRM_METHODS", "").split())
        every = [method for method in writes(cls.catalogue) if len(cls.catalogue.services_of(method)) == 1]
        cls.methods = [method for method in every if not wanted or method.short in wanted]
        # What each needs is learned in a third tenant, so that the two begin alike.
        scholar = PatientTenant(cls.stack, cls.catalogue, "learn")
        cls.methods = [method for method in cls.methods if cls.requester.learn(scholar, method, cls.census)]
        for name, recipe in scholar.recipes.items():
            for tenant in (cls.calm, cls.killed):
                tenant.recipes[name] = type(recipe)(set(recipe.forced), {field: tenant.copier(prefix_of(cls.catalogue, cls.catalogue_method(name), field))
                                                                         for field in recipe.copies})
        cls.reached = (len(cls.methods), len(every))
        cls.hopeless = cls.requester.hopeless
        cls.census.settle(cls.tenants)
        cls.heard = {(consumer, producer) for consumer in cls.catalogue.services
                     for producer, in cls.stack.sql(f"select distinct producer from {consumer}.position")}

    @classmethod
    def catalogue_method(cls, name: str) -> Method:
        return next(method for method in cls.catalogue.methods if method.name == name)

    def test_every_write_at_every_failpoint(self):
        for method, why in self.hopeless.items():
            print(f"  not had by made-up requests: {method}: {why[:120]}")
        if not os.environ.get("CRM_METHODS"):
            self.assertGreater(self.reached[0] / self.reached[1], REACHED_LEAST, f"writes that made-up requests reach: {self.reached}")
        self.wrong: list[str] = []
        self.count = Counter()
        self.lock = threading.Lock()
        self.arms = {service: threading.Lock() for service in self.catalogue.services}
        self.reviver = Reviver(self.stack, self.catalogue.services)
        start = time.monotonic()
        lanes = {service: [method for method in self.methods if self.catalogue.services_of(method) == [service]] for service in self.catalogue.services}
        with ThreadPoolExecutor(len(lanes)) as pool:
            done = [pool.submit(self.kill_all, service, methods) for service, methods in lanes.items()]
            for one in done:
                one.result()
        slowest, who = self.reviver.end()
        took = self.census.settle(self.tenants)
        print(f"{sum(self.reviver.deaths.values())} deaths at {dict(self.count)} in {time.monotonic() - start:.0f} s; "
              f"ready again after {slowest:.2f} s at most ({who}); events settled after {took:.1f} s", flush=True)
        self.assertFalse(self.wrong, "\n".join([f"{len(self.wrong)} of {sum(self.count.values())} deaths left something wrong:", *self.wrong[:60]]))
        self.assertGreater(sum(self.count.values()), 0.9 * len(self.methods), "the failpoints were not reached")
        after = {uuid: self.census.of(uuid, UNLIKE) for uuid in self.tenants}
        for found in after.values():  # which of them had come when all were read differs, not how many there are
            found["scheduler.notification"] = str(found.get("scheduler.notification")).split()[0]
        calm, killed = after.values()
        differ = [f"{name}: {calm.get(name)} in calm, {killed.get(name)} after deaths" for name in sorted(calm.keys() | killed.keys())
                  if calm.get(name) != killed.get(name)]
        self.assertFalse(differ, "\n".join(["effects that happened twice or not at all:", *differ]))
        for schema in self.catalogue.services:
            self.assertEqual(self.stack.sql(f"select tenant_id, seq, error from {schema}.dead_letter"), [])

    # One service's rpcs, one death after another: a service dies for one reason at a time.
    def kill_all(self, service: str, methods: list[Method]) -> None:
        dice = random.Random(f"{self.seed}/{service}")
        for method in methods:
            try:
                effect = self.rest(service, method)
                if not effect and method.short not in NO_ANSWER_KEPT:
                    self.note(method, "rest", "it keeps no answer for a repeat (pg::Db::Once)")
                on_events_way = self.event_points(service) if any(name.startswith("outbox ") for name in effect) else []
                if self.long:
                    for point in POINTS:
                        for step in range(1, STEPS_MAX + 1):
                            if not self.kill_in(service, method, f"{point}=kill*{step}@{method.name}"):
                                break
                    for victim, point in on_events_way:
                        self.kill_in(victim, method, f"{point}=kill")
                else:
                    points = on_events_way if on_events_way and dice.random() < 0.4 else [(service, point) for point in POINTS]
                    victim, point = points[dice.randrange(len(points))]
                    if point in POINTS:
                        steps = 1 if point == "pg.before_reply" else dice.randint(1, 3)
                        while steps > 0 and not self.kill_in(service, method, f"{point}=kill*{steps}@{method.name}"):
                            steps -= 1
                    else:
                        self.kill_in(victim, method, f"{point}=kill")
            except Exception as error:  # noqa: BLE001: the other rpcs have their turn
                self.note(method, "", f"{type(error).__name__}: {error}")

    def event_points(self, service: str) -> list[tuple[str, str]]:
        """(victim, failpoint) on the way of the service's events, to others and to itself."""
        consumers = sorted(consumer for consumer, producer in self.heard if producer == service and consumer != service)
        return [(service, point) for point in RELAY_POINTS] + [(consumer, point) for consumer in consumers for point in CONSUMER_POINTS]

    def rest(self, service: str, method: Method) -> dict:
        """The rpc in both tenants without a death: its effect."""
        key_ = key()
        self.calm.http.keyed(method, self.requester.request(self.calm, method), key_)
        effect = self.census.effect(self.calm.uuid, service, key_)
        self.killed.http.keyed(method, self.requester.request(self.killed, method), key())
        return effect

    def lasting(self, method: Method, body):
        """An answer without what is said once: secrets, which are stored nowhere in the clear; and what one may do with a record that has no
        owner of its own, which only the handlers of its card know."""
        if not isinstance(body, dict):
            return body
        if method.short in AS_IT_IS:
            return body.get("id")
        message = method.output
        owned = self.catalogue.messages[message].get("record", {}).get("owned")
        once = {field["name"] for field in self.catalogue.fields(message) if field.get("info", {}).get("computed") and not (owned and field["name"] == "access")}
        return {name: value for name, value in body.items() if name not in once}

    def note(self, method: Method, line: str, text: str) -> None:
        with self.lock:
            self.wrong.append(f"{method} at {line}: {text}"[:900])

    def kill_in(self, victim: str, method: Method, line: str) -> bool:
        """The same request in both tenants, the victim dying in one of them; whether it did."""
        service, = self.catalogue.services_of(method)
        calm_key, key_ = key(), key()
        wanted = first_refusal(self.calm.http.keyed(method, self.requester.request(self.calm, method), calm_key))
        effect = self.census.effect(self.calm.uuid, service, calm_key)
        request = self.requester.request(self.killed, method)
        with self.arms[victim]:
            life = self.reviver.life(victim)
            self.stack.failpoints(victim, line)
            time.sleep(ARMED_SECONDS)
            first = self.killed.http.attempt(method, request, key_)
            # Answered and alive: a step of the write was not reached. Without an answer it is dying.
            died = self.reviver.dies(life, DEATH_SECONDS if first.code in UNKNOWN or not line.startswith("pg.") else 0)
            if not died:
                self.stack.failpoints(victim)
                time.sleep(ARMED_SECONDS)
        answers = [self.killed.http.keyed(method, request, key_) for _ in range(2)]
        if first.code not in UNKNOWN:
            answers.insert(0, first)
        if died:
            with self.lock:
                self.count[line.split("=")[0]] += 1
        refusal = first_refusal(answers[0])
        if refusal.code != wanted.code or refusal.reason != wanted.reason:
            self.note(method, line, f"answered {refusal}, in calm {wanted}")
        elif effect:  # with a kept answer; what is only computed (a preview, a session) may be another each time
            told = [(answer.code, dumps(self.lasting(method, answer.body))) for answer in answers]
            if len(set(told)) > 1:
                self.note(method, line, f"answered differently when it was repeated: {told}")
        # Jobs that go on with a row at once write it anew, so there may be less to see of the transaction, never more; whether anything is
        # missing the counts in the end tell.
        got = self.census.effect(self.killed.uuid, service, key_)
        more = [name for name, count in got.items() if count > effect.get(name, 0) and name != TAKES_WHAT_CAME.get(method.short)]
        if bool(got) != bool(effect) or more:
            self.note(method, line, f"its effect was {got}, in calm {effect}")
        return died


def prefix_of(catalogue: Catalogue, method: Method, field: str) -> str:
    name = next(one["message"] for one in catalogue.fields(method.input) if one["name"] == field)
    return catalogue.messages[name]["record"]["prefix"]


if __name__ == "__main__":
    unittest.main(verbosity=2, warnings="ignore")
