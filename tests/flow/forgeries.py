"""Tokens that nobody gave out, by name: each is one way to get past a careless reader of JWTs (RFC 8725 has most of them). And ways to
present tokens that a careless reader of headers falls for."""

import base64
import hashlib
import hmac
import json
import subprocess
import time
from pathlib import Path

from rpcs import Mint, base64url

ED25519_ORDER = 2**252 + 27742317777372353535851937790883648493
LIFE_MAX = 3600  # seconds; common/rpc/token.h
LEEWAY = 30


def unpadded(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


class Forger:
    """Makes them from the claims of a token that is good, and from what everybody can get: the public key. `folder` is for its own keys."""

    def __init__(self, mint: Mint, claims: dict, others: dict, folder: Path):
        """`others`: the claims of another tenant's token."""
        self.mint, self.others, self.folder = mint, others, folder
        self.now = int(time.time())
        self.claims = claims | {"iat": self.now, "exp": self.now + 600}
        self.good = mint.token(self.claims)
        self.head, self.body, self.signature = self.good.split(".")
        self.raw = unpadded(self.signature)
        self.text = json.dumps(self.claims, separators=(",", ":"))
        der = subprocess.run(["openssl", "pkey", "-in", mint.key, "-pubout", "-outform", "DER"], stdout=subprocess.PIPE, check=True).stdout
        self.public_der, self.public = der, der[-32:]
        self.public_pem = subprocess.run(["openssl", "pkey", "-in", mint.key, "-pubout"], stdout=subprocess.PIPE, check=True).stdout

    def key(self, algorithm: str, *options: str) -> Path:
        path = self.folder / f"{algorithm}.pem"
        subprocess.run(["openssl", "genpkey", "-algorithm", algorithm, *options, "-out", path], check=True, stderr=subprocess.DEVNULL)
        return path

    def with_header(self, key: Path | None = None, without: str = "", **more) -> str:
        header = {name: value for name, value in (self.mint.header | more).items() if name != without}
        return self.mint.token(self.claims, header, key)

    def with_claims(self, **more) -> str:
        return self.mint.token(self.claims | more)

    def lacking(self, claim: str) -> str:
        return self.mint.token({name: value for name, value in self.claims.items() if name != claim})

    def written(self, claim: str, text: str) -> str:
        """The claim's value as this very text, whether it is JSON or not."""
        rest = {name: value for name, value in self.claims.items() if name != claim}
        return self.mint.seal(json.dumps(self.mint.header), json.dumps(rest)[:-1] + f', "{claim}": {text}}}')

    def said(self, body: str) -> str:
        return self.mint.seal(json.dumps(self.mint.header), body)

    def hmac(self, algorithm: str, secret: bytes) -> str:
        text = f"{base64url(json.dumps(self.mint.header | {'alg': algorithm}).encode())}.{self.body}"
        return f"{text}.{base64url(hmac.new(secret, text.encode(), hashlib.sha256 if algorithm == 'HS256' else hashlib.sha512).digest())}"

    def signature_of(self, raw: bytes) -> str:
        return f"{self.head}.{self.body}.{base64url(raw)}"

    def flipped(self, bit: int) -> str:
        raw = bytearray(self.raw)
        raw[bit // 8] ^= 1 << bit % 8
        return self.signature_of(bytes(raw))

    def malleated(self) -> str:
        """S + L verifies wherever S is not checked to be below the group's order."""
        s = int.from_bytes(self.raw[32:], "little") + ED25519_ORDER
        return self.signature_of(self.raw[:32] + s.to_bytes(32, "little"))

    def spare_bits(self) -> str:
        """Other text, same bytes for a lenient decoder."""
        digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
        return self.good[:-1] + digits[digits.index(self.good[-1]) ^ 1]

    def tokens(self) -> dict[str, str]:
        head, body, signature, good, now = self.head, self.body, self.signature, self.good, self.now
        foreign = self.key("ed25519")
        ec, rsa, ed448 = self.key("EC", "-pkeyopt", "ec_paramgen_curve:P-256"), self.key("RSA"), self.key("ed448")
        x = base64url(subprocess.run(["openssl", "pkey", "-in", foreign, "-pubout", "-outform", "DER"], stdout=subprocess.PIPE, check=True).stdout[-32:])
        jwk = {"kty": "OKP", "crv": "Ed25519", "x": x}
        grown = self.claims | {name: self.others[name] for name in ("sub", "tid", "sid", "roles")}
        encoded = base64url(json.dumps(grown).encode())
        unsigned = base64url(json.dumps({"alg": "none", "typ": "at+jwt"}).encode())
        found = {
            # The form.
            "garbage": "not.a.token",
            "one segment": head,
            "two segments": f"{head}.{body}",
            "a fourth segment": f"{good}.x",
            "an empty fourth segment": f"{good}.",
            "a leading dot": f".{good}",
            "five segments as of a JWE": f"{head}.{body}.{signature}.{body}.{signature}",
            "dots alone": "..",
            "the claims alone": f".{body}.",
            "no signature": f"{head}.{body}.",
            "padding": f"{good}==",
            "padding in the claims": f"{head}.{body}=.{signature}",
            "spare bits": self.spare_bits(),
            "base64 of the other alphabet": f"{head}.{body}.{base64.b64encode(self.raw).decode().rstrip('=')}+",
            "percent-encoded": good.replace(".", "%2E"),
            "a space inside": f"{head}. {body}.{signature}",
            "quoted": f'"{good}"',
            "twice": f"{good},{good}",
            "longer than tokens are": self.with_claims(lang="x" * 9000),
            "a megabyte's beginning": "A" * 12_000,
            # The algorithm.
            "alg none": f"{unsigned}.{body}.",
            "alg none with a signature": f"{unsigned}.{body}.{signature}",
            "alg nOnE": f"{base64url(json.dumps(self.mint.header | {'alg': 'nOnE'}).encode())}.{body}.",
            "alg none signed": self.with_header(alg="none"),
            "alg in small letters": self.with_header(alg="eddsa"),
            "alg empty": self.with_header(alg=""),
            "alg missing": self.with_header(without="alg"),
            "alg null": self.with_header(alg=None),
            "alg a list": self.with_header(alg=["EdDSA"]),
            "HS256 with the public key's bytes": self.hmac("HS256", self.public),
            "HS256 with the public key as PEM": self.hmac("HS256", self.public_pem),
            "HS512 with the public key as DER": self.hmac("HS512", self.public_der),
            "HS256 with an empty secret": self.hmac("HS256", b""),
            "ES256 of a key of its own": self.with_header(ec, alg="ES256"),
            "a P-256 signature called EdDSA": self.with_header(ec),
            "RS256 of a key of its own": self.with_header(rsa, alg="RS256"),
            "Ed448": self.with_header(ed448),
            # The key.
            "a key of its own": self.with_header(foreign),
            "its own key in the header": self.with_header(foreign, jwk=jwk),
            "its own key's address": self.with_header(foreign, jku="https://keys.example.com/jwks.json"),
            "a certificate's address": self.with_header(foreign, x5u="https://keys.example.com/x5u.pem"),
            "a certificate": self.with_header(foreign, x5c=["MIIB"]),
            "kid unknown": self.with_header(kid="nobody"),
            "kid missing": self.with_header(without="kid"),
            "kid empty": self.with_header(kid=""),
            "kid as a path": self.with_header(foreign, kid="../../../../dev/null"),
            "kid as SQL": self.with_header(foreign, kid="x' union select 'x"),
            "kid as an address": self.with_header(foreign, kid="https://keys.example.com/1"),
            "kid of another tenant": self.with_header(foreign, kid=self.others["tid"]),
            "kid a number": self.with_header(kid=0),
            "kid a list": self.with_header(kid=[self.mint.kid]),
            "kid null": self.with_header(kid=None),
            # The rest of the header.
            "typ JWT": self.with_header(typ="JWT"),
            "typ missing": self.with_header(without="typ"),
            "critical extension": self.with_header(crit=["exp"]),
            "unencoded claims": self.with_header(b64=False, crit=["b64"]),
            "compressed": self.with_header(zip="DEF"),
            "alg twice": self.mint.seal(json.dumps(self.mint.header).replace("{", '{"alg":"none",'), self.text),
            "header no JSON": self.mint.seal("EdDSA", self.text),
            "header a list": self.mint.seal(json.dumps([self.mint.header]), self.text),
            # The signature.
            "a signature cut": self.signature_of(self.raw[:63]),
            "a signature of half": self.signature_of(self.raw[:32]),
            "a signature longer": self.signature_of(self.raw + b"\0"),
            "a signature of zeros": self.signature_of(bytes(64)),
            "R the identity, S zero": self.signature_of(b"\1" + bytes(63)),
            "R and S exchanged": self.signature_of(self.raw[32:] + self.raw[:32]),
            "first bit flipped": self.flipped(0),
            "a bit in the middle flipped": self.flipped(255),
            "last bit flipped": self.flipped(511),
            "S + L": self.malleated(),
            "another tenant's claims under a good signature": f"{head}.{encoded}.{signature}",
            # Who and for whom.
            "another issuer": self.with_claims(iss="https://accounts.example.com"),
            "issuer a list": self.with_claims(iss=[self.claims["iss"]]),
            "issuer in capitals": self.with_claims(iss=self.claims["iss"].upper() + "X"),
            "another audience": self.with_claims(aud="shop"),
            "audience among others": self.with_claims(aud=["crm", "shop"]),
            "subject empty": self.with_claims(sub=""),
            "subject a number": self.with_claims(sub=1),
            "subject a service": self.with_claims(sub="service_gateway"),
            "subject another kind of id": self.with_claims(sub=self.claims["tid"]),
            "tenant of another kind": self.with_claims(tid=self.claims["sub"]),
            "tenant all": self.with_claims(tid="*"),
            "tenant a list": self.with_claims(tid=[self.claims["tid"], self.others["tid"]]),
            "session of another kind": self.with_claims(sid=self.claims["sub"]),
            "kind service": self.with_claims(kind="service"),
            "a user as an API key": self.with_claims(kind="api_key"),
            "roles a text": self.with_claims(roles="administrator"),
            "roles no ids": self.with_claims(roles=["administrator"]),
            "roles an object": self.with_claims(roles={"administrator": True}),
            "teams of users": self.with_claims(teams=[self.claims["sub"]]),
            # When.
            "expired": self.with_claims(iat=now - 1200, exp=now - 60),
            "expired this second": self.with_claims(iat=now - 600, exp=now),
            "issued in the future": self.with_claims(iat=now + 10 * LEEWAY, exp=now + 10 * LEEWAY + 600),
            "not yet valid": self.with_claims(nbf=now + 10 * LEEWAY),
            "not before in words": self.with_claims(nbf="now"),
            "a life too long": self.with_claims(exp=now + LIFE_MAX + 100),
            "ended before it began": self.with_claims(iat=now + 20, exp=now + 10),
            "exp in words": self.with_claims(exp=str(now + 600)),
            "exp with a fraction": self.with_claims(exp=now + 600.5),
            "exp null": self.with_claims(exp=None),
            "exp true": self.with_claims(exp=True),
            "exp negative": self.with_claims(exp=-1),
            "exp a power": self.written("exp", "1e10"),
            "exp beyond 64 bits": self.written("exp", str(2**64 + now)),
            "exp of a hundred digits": self.written("exp", "9" * 100),
            "iat beyond 64 bits": self.written("iat", str(2**65)),
            "exp not a number": self.written("exp", "NaN"),
            # The claims as JSON.
            "subject twice": self.said(self.text[:-1] + f',"sub":"{self.others["sub"]}"}}'),
            "tenant twice": self.said(f'{{"tid":"{self.others["tid"]}",' + self.text[1:]),
            "exp twice": self.said(self.text[:-1] + f',"exp":{now + 3000}}}'),
            "tenant twice, once escaped": self.said(self.text[:-1] + f',"\\u0074id":"{self.others["tid"]}"}}'),
            "claims a list": self.said(f"[{self.text}]"),
            "claims twice": self.said(self.text * 2),
            "claims cut": self.said(self.text[:-1]),
            "claims with a comment": self.said(self.text[:-1] + "/**/}"),
            "claims nested": self.with_claims(act={"sub": self.others["sub"]}),
            "claims deep": self.written("x", "[" * 2000 + "]" * 2000),
            "claims no UTF-8": self.written("lang", '"\udcff\udcfe"'),
            "claims empty": self.said("{}"),
            "claims a byte order mark": self.said("\ufeff" + self.text),
        }
        found |= {f"no {claim}": self.lacking(claim) for claim in ("iss", "aud", "sub", "tid", "sid", "kind", "iat", "exp")}
        assert len(set(found.values())) == len(found), "two of them are the same"
        assert good not in found.values()
        return found

    def presented(self, cookie: str) -> dict[str, dict]:
        """Headers that must not count as signed in, although a good token or a session's cookie stands in them somewhere. Names that
        differ in case are one header, sent twice."""
        good, garbage = self.good, "not.a.token"
        session = {"Cookie": f"crm_session={cookie}"}
        return {
            "no scheme": {"authorization": good},
            "the scheme alone": {"authorization": "Bearer"},
            "the scheme and a space": {"authorization": "Bearer "},
            "another scheme": {"authorization": f"Token {good}"},
            "basic": {"authorization": "Basic " + base64.b64encode(f"admin:{good}".encode()).decode()},
            "the scheme's beginning": {"authorization": f"Bear {good}"},
            "no space": {"authorization": f"Bearer{good}"},
            "a colon": {"authorization": f"Bearer: {good}"},
            "two spaces": {"authorization": f"Bearer  {good}"},
            "a tab": {"authorization": f"Bearer\t{good}"},
            "the scheme twice": {"authorization": f"Bearer Bearer {good}"},
            "two tokens": {"authorization": f"Bearer {good}, Bearer {good}"},
            "two headers, the first good": {"authorization": f"Bearer {good}", "Authorization": f"Bearer {garbage}"},
            "two headers, the second good": {"authorization": f"Bearer {garbage}", "Authorization": f"Bearer {good}"},
            "two headers alike": {"authorization": f"Bearer {good}", "Authorization": f"Bearer {good}"},
            "another header": {"Proxy-Authorization": f"Bearer {good}"},
            "a proxy's header": {"X-Forwarded-Authorization": f"Bearer {good}", "X-Forwarded-User": self.claims["sub"], "X-Forwarded-For": "127.0.0.1"},
            "our own inner headers": {"crm-tenant": self.claims["tid"], "crm-user": self.claims["sub"], "grpc-metadata-authorization": f"Bearer {good}"},
            "a token as the cookie": {"Cookie": f"crm_session={good}"},
            "a cookie's name in capitals": {"Cookie": f"CRM_SESSION={cookie}"},
            "a cookie of another name": {"Cookie": f"session={cookie}; x_crm_session={cookie}"},
            "a cookie's secret as a token": {"authorization": f"Bearer {cookie}"},
            "a cookie changed": {"Cookie": f"crm_session={cookie[:-1]}{'A' if cookie[-1] != 'A' else 'B'}"},
            "a cookie cut": {"Cookie": f"crm_session={cookie[:-1]}"},
            # The header counts, not the better of both.
            "a bad token beside a good cookie": {"authorization": f"Bearer {garbage}"} | session,
            "another scheme beside a good cookie": {"authorization": "Basic YTpi"} | session,
            "a key of nobody beside a good cookie": {"authorization": "Bearer crm_" + "a" * 60} | session,
            "a good cookie behind a bad one": {"Cookie": f"crm_session=xxxxxxxxxxxxxxxxxxxxxxxx; crm_session={cookie}"},
        }

    def accepted(self) -> dict[str, dict]:
        """Odd, and still right: scheme names have no case (RFC 9110, 11.1)."""
        return {"small letters": {"authorization": f"bearer {self.good}"}, "capitals": {"authorization": f"BEARER {self.good}"},
                "beside a dead cookie": {"authorization": f"Bearer {self.good}", "Cookie": "crm_session=" + "x" * 40}}
