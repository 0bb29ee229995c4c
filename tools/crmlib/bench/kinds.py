"""The kinds of record that are measured. All that differs between them is said here; their rpcs, tables and statements follow
from their names."""

import dataclasses
import random

from crmlib.bench import names


@dataclasses.dataclass(frozen=True)
class Kind:
    object: str  # "deal": table, type of id, field of requests
    service: str  # "deal_pipeline": process, database role, schema, package

    def rpc(self, verb: str, plural: bool = False) -> str:
        title = self.object.capitalize()
        return f"crm.{self.service}.v1.{title}Service.{verb}{title}{'s' if plural else ''}"

    @property
    def collection(self) -> str:
        return f"/v1/{self.object}s"

    @property
    def read_mark(self) -> str:
        """Within the statement that reads it."""
        return f"FROM {self.object}_view"

    @property
    def insert_mark(self) -> str:
        return f"INSERT INTO {self.object} "

    def made_up(self, source: random.Random, number: int) -> dict:
        """One as people enter it."""
        return contact(source, number) if self.object == "contact" else deal(source, number)


CONTACT, DEAL = Kind("contact", "contact"), Kind("deal", "deal_pipeline")


def contact(source: random.Random, number: int) -> dict:
    given, family = ((names.LATIN_GIVEN, names.LATIN_FAMILY) if source.random() < 0.5 else (names.CYRILLIC_GIVEN, names.CYRILLIC_FAMILY))
    return {"given_name": source.choice(given), "family_name": source.choice(family), "phones": [{"number": f"+7 916 {number // 10000 % 1000:03d}-{number // 100 % 100:02d}-{number % 100:02d}"}],
            "emails": [{"address": f"person{number}@example.org"}], "city": source.choice(names.CITY), "job_title": source.choice(names.JOB_TITLE),
            "tags": ["newsletter"], "source": "bench"}


def deal(source: random.Random, number: int) -> dict:
    family = source.choice(names.LATIN_FAMILY if source.random() < 0.5 else names.CYRILLIC_FAMILY)
    return {"title": f"{source.choice(names.CITY)}, {family} {number}", "amount": {"amount": f"{source.randint(100, 99999)}.50", "currency_code": "EUR"},
            "tags": ["newsletter"], "source": "bench"}
