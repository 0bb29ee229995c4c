"""The demo user of an instance: who it is, and a fresh access token."""

import json

from crmlib import console
from crmlib.api import Api, ApiError, Unreachable
from crmlib.instance import Instance, write


def keep(instance: Instance, login: str, password: str) -> None:
    write(instance.folder / "demo.json", json.dumps({"login": login, "password": password}) + "\n")


def credentials(instance: Instance) -> dict[str, str] | None:
    """login and password; None before there are demo data."""
    try:
        return json.loads((instance.folder / "demo.json").read_text())
    except FileNotFoundError:
        return None


def token(instance: Instance) -> str:
    known = credentials(instance)
    if not known:
        raise console.Failure("there is no demo user yet", "run tools/crm up, which makes demo data")
    try:
        return Api(instance.url).post("/v1/sessions", {"login": known["login"], "password": known["password"]})["access_token"]
    except ApiError as error:
        raise console.Failure(f"signing in as {known['login']} was refused with {error.answer.status}",
                              "tools/crm reset, then tools/crm up, makes the demo user again", output=str(error)) from None
    except Unreachable as error:
        raise console.Failure(f"{instance.url} does not answer: {error}", "run tools/crm up, or tools/crm status to see what stopped") from None
