"""A real SMTP server (Debian's aiosmtpd) for trying letters where no mail leaves the machine: it keeps what it takes as files and
can be told to misbehave. And the other direction: handing a letter in by LMTP, as a mail server would.

    python3 tools/crmlib/letterbox.py FOLDER PORT [--tls CERT KEY] [--starttls CERT KEY] [--login USER:PASSWORD]

Each letter becomes FOLDER/new/<n>.eml with its envelope in FOLDER/new/<n>.json. Misbehaviour is asked for by the recipient's local
part: `busy2@` is refused with 451 twice, then taken; `dead@` 550 5.1.1; `policy@` 550 5.7.1; `spam@` refuses the letter itself with
554; `cut1@` takes the letter, keeps it and hangs up once without an answer (`cut9@` nine times); `half@` hangs up in the middle;
`silent@` never answers."""

import argparse
import asyncio
import json
import re
import smtplib
import ssl
import sys
from pathlib import Path


class Keeper:
    """What aiosmtpd asks: each recipient, then each letter."""

    def __init__(self, folder: Path, tls: bool):
        self.tls = tls  # from the first byte: aiosmtpd does not know
        self.folder = folder / "new"
        self.folder.mkdir(parents=True, exist_ok=True)
        self.count = 0
        self.seen: dict[str, int] = {}

    def times(self, address: str, word: str) -> bool:
        """True for the first N times of an address such as busy2@."""
        match = re.match(rf"{word}(\d+)[.@]", address)
        if not match:
            return False
        self.seen[address] = self.seen.get(address, 0) + 1
        return self.seen[address] <= int(match[1])

    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith("dead"):
            return "550 5.1.1 no such user here"
        if address.startswith("policy"):
            return "550 5.7.1 not from you"
        if address.startswith("silent"):
            await asyncio.sleep(3600)
        if self.times(address, "busy"):
            return "451 4.3.0 come again"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 ok"

    async def handle_DATA(self, server, session, envelope):
        cut = [self.times(address, "cut") for address in envelope.rcpt_tos]
        if any(address.startswith("spam") for address in envelope.rcpt_tos):
            return "554 5.7.1 we do not take this"
        self.keep(session, envelope)
        if any(cut):
            server.transport.abort()
            await asyncio.sleep(3600)
        return "250 2.0.0 taken"

    def keep(self, session, envelope):
        self.count += 1
        path = self.folder / f"{self.count:06d}"
        path.with_suffix(".eml").write_bytes(envelope.original_content)
        described = {"sender": envelope.mail_from, "recipients": envelope.rcpt_tos, "tls": self.tls or session.ssl is not None,
                     "login": session.auth_data.decode() if session.auth_data else ""}
        new = path.with_suffix(".tmp")
        new.write_text(json.dumps(described))
        new.rename(path.with_suffix(".json"))


def serve(folder: Path, port: int, tls=None, starttls=None, login=""):
    from aiosmtpd.smtp import SMTP, AuthResult

    keeper = Keeper(folder, bool(tls))

    def authenticate(server, session, envelope, mechanism, data):
        given = f"{data.login.decode()}:{data.password.decode()}"
        if given != login:
            return AuthResult(success=False, handled=False)
        return AuthResult(success=True, auth_data=data.login)

    def context(pair):
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        made.load_cert_chain(*pair)
        return made

    def session():
        return SMTP(keeper, hostname="letterbox", enable_SMTPUTF8=True, data_size_limit=64 << 20,
                    tls_context=context(starttls) if starttls else None, require_starttls=bool(starttls),
                    authenticator=authenticate if login else None, auth_required=bool(login), auth_require_tls=bool(login) and not tls)

    async def run():
        server = await asyncio.get_running_loop().create_server(session, "127.0.0.1", port, ssl=context(tls) if tls else None)
        (folder / "ready").write_text(str(server.sockets[0].getsockname()[1]))
        await server.serve_forever()

    asyncio.run(run())


def letters(folder: Path) -> list[dict]:
    """What has arrived so far: the envelope, and the letter as email.message.EmailMessage under "letter"."""
    import email
    import email.policy
    found = []
    for path in sorted((folder / "new").glob("*.json")):
        raw = path.with_suffix(".eml").read_bytes()
        found.append(json.loads(path.read_text()) | {"raw": raw, "letter": email.message_from_bytes(raw, policy=email.policy.default)})
    return found


def hand_in(port: int, sender: str, recipients: list[str], letter: bytes) -> dict:
    """Hands a letter in by LMTP as a mail server does; the recipients that were refused, with the answers."""
    with smtplib.LMTP("127.0.0.1", port, timeout=60) as client:
        try:
            return client.sendmail(sender, recipients, letter)
        except smtplib.SMTPRecipientsRefused as refused:
            return refused.recipients


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("port", type=int)
    parser.add_argument("--tls", nargs=2, metavar=("CERT", "KEY"))
    parser.add_argument("--starttls", nargs=2, metavar=("CERT", "KEY"))
    parser.add_argument("--login", default="")
    given = parser.parse_args(arguments)
    serve(given.folder, given.port, given.tls, given.starttls, given.login)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
