"""tools/crm partner NAME: a certificate with which another company's system signs in at the edge instead of a key in every call.
The API key that it stands for comes by standard input, so that no argument shows it."""

import sys

from crmlib import config, console, edge, keys, supervisor
from crmlib.instance import Instance


def run(args: list[str]) -> int:
    if len(args) != 1 or not args[0].replace("-", "").replace("_", "").isalnum():
        raise console.Failure("partner takes one name of letters, digits, - and _", "make an API key at /v1/apiKeys, then: tools/crm partner shop < key.txt")
    instance = Instance.current()
    lock = instance.lock()
    if sys.stdin.isatty():
        console.say("The API key (crm_...), then Enter:")
    secret = sys.stdin.readline().strip()
    if not secret.startswith("crm_") or not secret.isascii() or any(c.isspace() for c in secret):
        raise console.Failure("standard input has no API key", "it begins with crm_; POST /v1/apiKeys answers it once")
    keys.prepare(instance)
    config.prepare(instance)
    edge.prepare(instance)
    edge.register(instance, args[0], secret)
    running = supervisor.client(instance)
    if running and supervisor.processes(instance)[edge.NAME]["statename"] in supervisor.RUNNING:
        running.signalProcess(edge.NAME, "SIGUSR2")  # a new worker reads the files; the old one ends with its calls
    console.say(f"Hand over {instance.tls(f'partner-{args[0]}.pem')} with its .key and {instance.tls('ca.pem')}; the address is 127.0.0.1:{instance.edge_port}.")
    lock.close()
    return 0
