"""tools/crm env: what a shell needs to speak to the instance; `eval "$(tools/crm env)"`."""

import shlex

from crmlib import session
from crmlib.instance import Instance


def run(args: list[str]) -> int:
    instance = Instance.current()
    variables = {"CRM_URL": instance.url, "CRM_INSTANCE": instance.name, "CRM_PORT_BASE": str(instance.port_base)}
    known = session.credentials(instance)
    if known:
        variables |= {"CRM_TOKEN": session.token(instance), "CRM_LOGIN": known["login"], "CRM_PASSWORD": known["password"]}
    for name, value in variables.items():
        print(f"export {name}={shlex.quote(value)}")
    return 0
