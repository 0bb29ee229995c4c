"""Certificates, the signing key and passwords of an instance. Made once; certificates again when they near their end."""

import base64
import hashlib
import json
import secrets
import subprocess

from crmlib import console
from crmlib.instance import Instance, write

CA_DAYS, CERTIFICATE_DAYS, RENEW_DAYS = 3650, 365, 30
ADVICE = "see above; openssl 3 comes with tools/crm deps"


def prepare(instance: Instance) -> None:
    for folder in ("tls", "secrets", "config"):
        path = instance.folder / folder
        path.mkdir(parents=True, exist_ok=True)
        path.chmod(0o700)
    make_ca(instance)
    for service in instance.services:
        make_certificate(instance, service)
        if service != "gateway":  # has no schema
            make_password(instance, f"{service}.password")
            make_password(instance, f"{service}_worker.password")
    for name in ("postgres", "admin", "redis"):
        make_password(instance, f"{name}.password")
    make_signing_key(instance)


def openssl(*arguments, what: str, **options) -> str:
    return console.command(["openssl", *arguments], what, ADVICE, **options)


def is_lasting(instance: Instance, name: str) -> bool:
    """True if the certificate is there and does not end within RENEW_DAYS."""
    path = instance.tls(f"{name}.pem")
    return path.exists() and subprocess.run(["openssl", "x509", "-in", path, "-noout", "-checkend", str(RENEW_DAYS * 86400)],
                                            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0


def new_key(instance: Instance, name: str) -> None:
    text = openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", what=f"no key could be made for {name}")
    write(instance.tls(f"{name}.key"), text)


def make_ca(instance: Instance) -> None:
    if is_lasting(instance, "ca"):
        return
    new_key(instance, "ca")
    pem = openssl("req", "-x509", "-new", "-key", instance.tls("ca.key"), "-days", CA_DAYS, "-subj", f"/CN=CRM development CA ({instance.name})",
                  "-addext", "basicConstraints=critical,CA:TRUE,pathlen:0", "-addext", "keyUsage=critical,keyCertSign,cRLSign",
                  what="the development CA could not be made")
    write(instance.tls("ca.pem"), pem, 0o644)
    for certificate in (instance.folder / "tls").glob("*.pem"):
        if certificate.name != "ca.pem":
            certificate.unlink()  # signed by the old one


def make_certificate(instance: Instance, service: str) -> None:
    """CN = the service's name, which is how the others know it; server and client in one."""
    if is_lasting(instance, service):
        return
    new_key(instance, service)
    request = openssl("req", "-new", "-key", instance.tls(f"{service}.key"), "-subj", f"/CN={service}", what=f"no certificate could be asked for {service}")
    extensions = instance.tls("extensions.cnf")
    write(extensions, "subjectAltName = DNS:localhost, DNS:%s, IP:127.0.0.1\nextendedKeyUsage = serverAuth, clientAuth\n"
                      "basicConstraints = critical, CA:FALSE\nkeyUsage = critical, digitalSignature\n" % service.replace("_", "-"))
    write(instance.tls("request.pem"), request)
    pem = openssl("x509", "-req", "-in", instance.tls("request.pem"), "-CA", instance.tls("ca.pem"), "-CAkey", instance.tls("ca.key"),
                  "-set_serial", str(secrets.randbits(120)), "-days", CERTIFICATE_DAYS, "-extfile", extensions,
                  what=f"the certificate of {service} could not be signed")
    write(instance.tls(f"{service}.pem"), pem[pem.index("-----BEGIN"):], 0o644)
    extensions.unlink()
    instance.tls("request.pem").unlink()


def make_password(instance: Instance, name: str) -> None:
    if not instance.secret(name).exists():
        write(instance.secret(name), secrets.token_urlsafe(24))


def make_signing_key(instance: Instance) -> None:
    """An Ed25519 key, and the public half as a JSON Web Key Set; `kid` is the key's thumbprint (RFC 7638)."""
    private, public = instance.secret("signing.pem"), instance.secret("jwks.json")
    if private.exists() and public.exists():
        return
    write(private, openssl("genpkey", "-algorithm", "ed25519", what="no signing key could be made"))
    der = subprocess.run(["openssl", "pkey", "-in", private, "-pubout", "-outform", "DER"], stdout=subprocess.PIPE, check=True).stdout
    key = {"crv": "Ed25519", "kty": "OKP", "x": base64url(der[-32:])}
    kid = base64url(hashlib.sha256(json.dumps(key, separators=(",", ":"), sort_keys=True).encode()).digest())
    write(public, json.dumps({"keys": [key | {"kid": kid, "alg": "EdDSA", "use": "sig"}]}, indent=1) + "\n", 0o644)


def base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
