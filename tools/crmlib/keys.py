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
    make_certificate(instance, "edge")
    bundle(instance, "edge")
    make_ca(instance, "partner-ca", f"CRM partners ({instance.name})")
    for name in ("postgres", "admin", "redis"):
        make_password(instance, f"{name}.password")
    make_signing_key(instance)
    make_hex_key(instance, "channels.key")


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


def make_ca(instance: Instance, name: str = "ca", title: str = "") -> None:
    """Two of them: `ca` signs our own processes, `partner-ca` other companies' systems, which so can never pass as ours."""
    if is_lasting(instance, name):
        return
    new_key(instance, name)
    pem = openssl("req", "-x509", "-new", "-key", instance.tls(f"{name}.key"), "-days", CA_DAYS, "-subj",
                  f"/CN={title or f'CRM development CA ({instance.name})'}",
                  "-addext", "basicConstraints=critical,CA:TRUE,pathlen:0", "-addext", "keyUsage=critical,keyCertSign,cRLSign",
                  what=f"the development CA {name} could not be made")
    write(instance.tls(f"{name}.pem"), pem, 0o644)
    for certificate in (instance.folder / "tls").glob("*.pem"):
        if certificate.name not in ("ca.pem", "partner-ca.pem") and certificate.name.startswith("partner-") == (name == "partner-ca"):
            certificate.unlink()  # signed by the old one


def make_certificate(instance: Instance, service: str) -> None:
    """CN = the service's name, which is how the others know it; server and client in one."""
    if not is_lasting(instance, service):
        sign(instance, service, service, "ca", "subjectAltName = DNS:localhost, DNS:%s, IP:127.0.0.1\nextendedKeyUsage = serverAuth, clientAuth\n"
             % service.replace("_", "-"))


def make_partner(instance: Instance, name: str) -> None:
    """A certificate with which another company's system shows itself at the edge; good for nothing else."""
    if not is_lasting(instance, f"partner-{name}"):
        sign(instance, f"partner-{name}", name, "partner-ca", "extendedKeyUsage = clientAuth\n")


def sign(instance: Instance, file: str, common_name: str, ca: str, more: str) -> None:
    new_key(instance, file)
    request = openssl("req", "-new", "-key", instance.tls(f"{file}.key"), "-subj", f"/CN={common_name}", what=f"no certificate could be asked for {common_name}")
    extensions = instance.tls("extensions.cnf")
    write(extensions, more + "basicConstraints = critical, CA:FALSE\nkeyUsage = critical, digitalSignature\n")
    write(instance.tls("request.pem"), request)
    pem = openssl("x509", "-req", "-in", instance.tls("request.pem"), "-CA", instance.tls(f"{ca}.pem"), "-CAkey", instance.tls(f"{ca}.key"),
                  "-set_serial", str(secrets.randbits(120)), "-days", CERTIFICATE_DAYS, "-extfile", extensions,
                  what=f"the certificate of {common_name} could not be signed")
    write(instance.tls(f"{file}.pem"), pem[pem.index("-----BEGIN"):], 0o644)
    extensions.unlink()
    instance.tls("request.pem").unlink()


def bundle(instance: Instance, name: str) -> None:
    """Certificate and key in one file, as haproxy wants them."""
    write(instance.tls(f"{name}-bundle.pem"), instance.tls(f"{name}.pem").read_text() + instance.tls(f"{name}.key").read_text())


def fingerprint(path) -> str:
    """SHA-256 of the certificate, in small hexadecimal digits."""
    return hashlib.sha256(subprocess.run(["openssl", "x509", "-in", path, "-outform", "DER"], stdout=subprocess.PIPE, check=True).stdout).hexdigest()


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


def make_hex_key(instance: Instance, name: str) -> None:
    """256 bits; what it encrypts is lost with it, so it is never made anew."""
    path = instance.secret(name)
    if not path.exists():
        write(path, secrets.token_hex(32) + "\n")
