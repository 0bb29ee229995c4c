"""The mail server of the bench: takes every letter as RFC 5321 says and notes its Message-ID, nothing else, so that it is the
service that is measured and not the mail server (crmlib/letterbox.py keeps and reads what comes).

    python3 tools/crmlib/bench/sink.py FOLDER [CERT KEY]

The port stands in FOLDER/ready; FOLDER/taken gets a line per letter, once its end has come and before it is answered. With CERT
and KEY it is TLS from the first byte, and whoever does not sign in is refused."""

import asyncio
import re
import ssl
import sys
from pathlib import Path

END = b"\r\n.\r\n"
LETTER_BYTES_MAX = 64 << 20
MESSAGE_ID = re.compile(rb"^message-id:\s*<([^>\r\n]+)>", re.IGNORECASE | re.MULTILINE)


class Session(asyncio.Protocol):
    """One connection."""

    def __init__(self, note, signed_in: bool):
        self.note, self.must_sign_in, self.signed_in = note, not signed_in, signed_in
        self.buffer = bytearray()
        self.sender, self.recipients, self.in_letter = None, 0, False

    def connection_made(self, transport) -> None:
        self.transport = transport
        self.say(b"220 sink ready")

    def say(self, *lines: bytes) -> None:
        self.transport.write(b"".join(line + b"\r\n" for line in lines))

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while not self.transport.is_closing() and (self.take_letter() if self.in_letter else self.take_command()):
            pass

    def take_letter(self) -> bool:
        # The line break before the dot may be the one that ended DATA.
        end = 0 if self.buffer.startswith(END[2:]) else self.buffer.find(END)
        if end < 0:
            if len(self.buffer) > LETTER_BYTES_MAX:
                self.transport.abort()
            return False
        length = end + len(END) if end else len(END) - 2
        headers = bytes(self.buffer[:end]).partition(b"\r\n\r\n")[0]
        del self.buffer[:length]
        self.in_letter, self.sender = False, None
        named = MESSAGE_ID.search(headers)
        if named:
            self.note(named[1])
        self.say(b"250 2.0.0 taken" if named else b"554 5.6.0 a letter without a Message-ID")
        return True

    def take_command(self) -> bool:
        line, found, rest = bytes(self.buffer).partition(b"\r\n")
        if not found:
            return False
        self.buffer = bytearray(rest)
        self.answer(line)
        return True

    def answer(self, line: bytes) -> None:
        word = line[:4].upper()
        if word == b"EHLO":
            self.say(b"250-sink", b"250-8BITMIME", b"250-SMTPUTF8", *([b"250-AUTH PLAIN"] if self.must_sign_in else []), b"250 SIZE %d" % LETTER_BYTES_MAX)
        elif word in (b"HELO", b"NOOP"):
            self.say(b"250 sink")
        elif word == b"RSET":
            self.sender = None
            self.say(b"250 2.0.0 forgotten")
        elif word == b"QUIT":
            self.say(b"221 2.0.0 bye")
            self.transport.close()
        elif line[:10].upper() == b"AUTH PLAIN":
            self.sign_in(line[10:].strip())
        elif not self.signed_in:
            self.say(b"530 5.7.0 sign in first")
        elif line[:10].upper() == b"MAIL FROM:":
            self.sender, self.recipients = line[10:], 0
            self.say(b"250 2.1.0 ok")
        elif line[:8].upper() == b"RCPT TO:" and self.sender:
            self.recipients += 1
            self.say(b"250 2.1.5 ok")
        elif word == b"DATA" and self.sender and self.recipients:
            self.in_letter = True
            self.say(b"354 go on")
        else:
            self.say(b"503 5.5.1 not now")

    def sign_in(self, given: bytes) -> None:
        if given:
            self.signed_in = True
            self.say(b"235 2.7.0 welcome")
        else:
            self.say(b"334 ")
            self.answer = self.sign_in_answer

    def sign_in_answer(self, line: bytes) -> None:
        del self.answer  # the class's own again
        self.sign_in(line or b"=")


def main(arguments: list[str]) -> int:
    folder = Path(arguments[0])
    context = None
    if len(arguments) > 1:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(arguments[1], arguments[2])

    async def serve() -> None:
        with (folder / "taken").open("ab", buffering=0) as taken:
            def note(name: bytes) -> None:
                taken.write(name + b"\n")

            server = await asyncio.get_running_loop().create_server(lambda: Session(note, signed_in=context is None), "127.0.0.1", 0, ssl=context, backlog=256)
            new = folder / "ready.new"
            new.write_text(str(server.sockets[0].getsockname()[1]))
            new.rename(folder / "ready")
            await server.serve_forever()

    asyncio.run(serve())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
