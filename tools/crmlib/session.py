"""The demo user of an instance: who it is, and a fresh access token."""

import json
import urllib.error
import urllib.request

from crmlib import console
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
    request = urllib.request.Request(f"{instance.url}/v1/sessions", json.dumps({"login": known["login"], "password": known["password"]}).encode(),
                                     {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return json.load(answer)["access_token"]
    except urllib.error.HTTPError as error:
        raise console.Failure(f"signing in as {known['login']} was refused with {error.code}", "tools/crm reset, then tools/crm up, makes the demo user again",
                              output=error.read().decode(errors="replace")) from None
    except OSError as error:
        raise console.Failure(f"{instance.url} does not answer: {error}", "run tools/crm up, or tools/crm status to see what stopped") from None
