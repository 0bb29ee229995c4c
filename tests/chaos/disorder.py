"""Redis as a bad courier: a proxy in front of it that hands on what is read as it is, but mixes the producers' events of each tenant, a few of
one and then of another, brings each 2 to 5 times, shuffled, some not at all, and keeps one back for long."""

import asyncio
import random
import threading

COPIES = (2, 5)
GATHER_SECONDS = 0.4  # until all producers have published
CHUNK = (1, 12)       # events of one producer, then it is another's turn
PAUSE_SECONDS = 0.05  # in between, at most
SHUFFLE_SECONDS = 0.012  # within what consumers wait for a skipped number
WILD_SHARE, WILD_SECONDS, LOST_SHARE = 0.15, 0.2, 0.2  # of chunks; beyond it, and what of these is lost
PONG = b"*1\r\n$4\r\nPING\r\n"


class BadCourier:
    def __init__(self, port: int, password: str, seed: int, held_seconds: float):
        self.target, self.password, self.dice, self.held_seconds = port, password, random.Random(seed), held_seconds
        self.disorderly = False
        self.events = self.copies = self.lost = self.late = 0
        self.hold_next = True
        self.queues: dict[bytes, dict[bytes, list[bytes]]] = {}  # by tenant and stream; the numbers are in order
        self.port = 0
        self.loop = asyncio.new_event_loop()
        self.ready = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()
        self.ready.wait(10)

    def run(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_until_complete(self.begin())
        self.loop.run_forever()

    async def begin(self) -> None:
        server = await asyncio.start_server(self.serve, "127.0.0.1", 0, limit=1 << 26)
        self.port = server.sockets[0].getsockname()[1]
        self.server = server
        self.out: asyncio.StreamWriter | None = None
        self.ready.set()

    def close(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(10)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            back, forth = await asyncio.open_connection("127.0.0.1", self.target, limit=1 << 26)
        except OSError:
            writer.close()
            return
        pump = asyncio.ensure_future(self.pump(back, writer))
        try:
            while True:
                command, raw = await self.command(reader)
                if command[0].upper() == b"XADD" and self.disorderly:
                    self.take(command[1], command[-1], raw)
                    raw = PONG  # what publishes asks only whether it went wrong
                forth.write(raw)
                await forth.drain()
        except (asyncio.IncompleteReadError, OSError, ValueError):
            pass
        finally:
            pump.cancel()
            for one in (forth, writer):
                one.close()

    @staticmethod
    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(1 << 16):
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        writer.close()

    @staticmethod
    async def command(reader: asyncio.StreamReader) -> tuple[list[bytes], bytes]:
        raw = await reader.readuntil(b"\r\n")
        words = []
        for _ in range(int(raw[1:])):
            size = await reader.readuntil(b"\r\n")
            word = await reader.readexactly(int(size[1:]) + 2)
            raw += size + word
            words.append(word[:-2])
        return words, raw

    def take(self, stream: bytes, event: bytes, raw: bytes) -> None:
        self.events += 1
        if self.hold_next:  # one that comes when everybody has long gone on
            self.hold_next = False
            self.loop.call_later(self.held_seconds, self.bring_late, raw)
            return
        tenant = event[11:11 + event[10]]  # number, then tenant (common/events/wire.h)
        if tenant not in self.queues:
            self.queues[tenant] = {}
            asyncio.ensure_future(self.mix(tenant))
        self.queues[tenant].setdefault(stream, []).append(raw)

    async def mix(self, tenant: bytes) -> None:
        await asyncio.sleep(GATHER_SECONDS)
        queues = self.queues[tenant]
        while queues:
            stream = self.dice.choice(sorted(queues))
            count = self.dice.randint(*CHUNK)
            chunk, queues[stream] = queues[stream][:count], queues[stream][count:]
            if not queues[stream]:
                del queues[stream]
            wild = self.dice.random() < WILD_SHARE
            for raw in chunk:
                if wild and self.dice.random() < LOST_SHARE:
                    self.lost += 1
                    continue
                for _ in range(self.dice.randint(*COPIES)):
                    self.copies += 1
                    self.loop.call_later(self.dice.random() * (WILD_SECONDS if wild else SHUFFLE_SECONDS), self.bring, raw)
            await asyncio.sleep(self.dice.random() * PAUSE_SECONDS)
        del self.queues[tenant]

    def bring_late(self, raw: bytes) -> None:
        self.late += 1
        self.bring(raw)

    def bring(self, raw: bytes) -> None:
        asyncio.ensure_future(self.send(raw))

    async def send(self, raw: bytes) -> None:
        if self.out is None or self.out.is_closing():
            reader, self.out = await asyncio.open_connection("127.0.0.1", self.target)
            word = self.password.encode()
            self.out.write(b"*2\r\n$4\r\nAUTH\r\n$%d\r\n%s\r\n" % (len(word), word))
            asyncio.ensure_future(self.drop(reader))
        self.out.write(raw)

    @staticmethod
    async def drop(reader: asyncio.StreamReader) -> None:
        while await reader.read(1 << 16):
            pass
