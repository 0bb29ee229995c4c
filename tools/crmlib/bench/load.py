"""Load, by crm-loadgen: a file of requests in a closed loop."""

import json
import subprocess
from pathlib import Path

from crmlib import console
from crmlib.bench.system import System


def load(system: System, service: str, file: Path, login: str, in_flight: int, seconds: int, *more: str) -> dict:
    """Sends the requests of `file` as this user to a service by gRPC, or to the gateway by HTTP. What the generator measured;
    a refused request is a failure."""
    instance = system.instance
    token = file.parent / "token"
    token.write_text(system.token(login))
    token.chmod(0o600)
    target = ([f"--http=127.0.0.1:{instance.port('gateway')}"] if service == "gateway" else
              [f"--grpc=127.0.0.1:{instance.port(service)}", f"--peer={service}", f"--ca={instance.tls('ca.pem')}", f"--cert={instance.tls('gateway.pem')}",
               f"--key={instance.tls('gateway.key')}"])
    arguments = [instance.build / "bin/crm-loadgen", f"--requests={file}", f"--token-file={token}", f"--in-flight={in_flight}", f"--seconds={seconds}",
                 *target, *more]
    done = subprocess.run([str(argument) for argument in arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if done.returncode != 0:
        raise console.Failure("the load generator failed", "see above", output=done.stdout + done.stderr)
    report = json.loads(done.stdout)
    if report["failed"] or not report["requests"]:
        raise console.Failure(f"{report['failed']} of {report['requests']} requests were refused", f"see the log of {service}",
                              log=instance.log(service), output=json.dumps(report["errors"], indent=1))
    return report
