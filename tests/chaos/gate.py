"""TCP gates between processes, so that a test can break a line in every way that lines break, and heal it.

    gates = Gates()
    gate = gates.add(stack.instance.port("contact"))      # before the stack starts: the caller's configuration names gate.port
    gate.fault("delay", seconds=0.5)
    gate.heal()

One thread and one event loop serve all gates. FAULTS lists the faults with their usual arguments."""

import asyncio
import contextlib
import random
import socket
import struct
import threading

CHUNK = 65536
HELD_MAX = 1 << 20  # bytes that one direction of a connection holds back; then its sender has to wait
CALL_SECONDS = 20.0

# Name of a fault -> arguments.
FAULTS: dict[str, tuple[str, dict]] = {
    "refused": ("refuse", {}),
    "silent": ("silence", {}),
    "cut after 300 bytes": ("cut", {"after": 300}),
    "cut after 20,000 bytes": ("cut", {"after": 20_000}),
    "late by 50 ms": ("delay", {"seconds": 0.05}),
    "late by 500 ms": ("delay", {"seconds": 0.5}),
    "late by 5,000 ms": ("delay", {"seconds": 5.0}),
    "trickling": ("trickle", {"bytes_at_once": 16, "seconds": 0.02}),
    "requests only": ("one_way", {"up": True}),
    "answers only": ("one_way", {"up": False}),
    "reset": ("reset", {}),
    "corrupt": ("corrupt", {"every": 700}),
}


class Gates:
    def __init__(self):
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()
        self.gates: list[Gate] = []

    def add(self, target_port: int) -> "Gate":
        gate = Gate(self, target_port)
        self.run(gate.listen())
        self.gates.append(gate)
        return gate

    def run(self, coroutine):
        """On the loop, waited for."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(CALL_SECONDS)

    def close(self) -> None:
        for gate in self.gates:
            self.run(gate.close())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()


class Gate:
    def __init__(self, gates: Gates, target_port: int):
        self.gates, self.target_port = gates, target_port
        self.port = 0
        self.kind, self.with_ = "open", {}
        self.accepted = self.bytes = 0
        self.server: asyncio.Server | None = None
        self.connections: set[Connection] = set()

    # What tests call; each holds when it returns.
    def fault(self, kind: str, **with_) -> None:
        """refuse: nobody listens, old connections are reset. silence: accepted, and no byte moves. cut(after): each connection is reset
        after so many bytes. delay(seconds): each byte comes so much later. trickle(bytes_at_once, seconds). one_way(up): only
        requests arrive (up), or only answers. reset: every connection, also new ones. corrupt(every): one bit in so many bytes is another."""
        self.gates.run(self.set(kind, with_))

    def heal(self) -> None:
        """What stood still moves on; what was changed on the way has reset its connection long ago or does so now."""
        self.fault("open")

    # On the loop.
    async def listen(self) -> None:
        self.server = await asyncio.start_server(self.accept, "127.0.0.1", self.port, backlog=256, limit=CHUNK)
        self.port = self.server.sockets[0].getsockname()[1]

    async def set(self, kind: str, with_: dict) -> None:
        self.kind, self.with_ = kind, with_
        if kind == "refuse" and self.server:
            self.server.close()
            self.server = None
        if kind != "refuse" and self.server is None:
            await self.listen()
        for connection in list(self.connections):
            connection.left = with_.get("after", 0)
            if kind in ("refuse", "reset"):
                connection.reset()
            connection.changed.set()
            connection.changed = asyncio.Event()

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        if self.kind in ("refuse", "reset"):
            return abort(writer)
        connection = Connection(self, writer)
        self.connections.add(connection)
        try:
            while self.kind == "silence":
                await connection.changed.wait()
            there = await asyncio.open_connection("127.0.0.1", self.target_port, limit=CHUNK)
            connection.writers.append(there[1])
            await asyncio.gather(connection.pump(reader, there[1], up=True), connection.pump(there[0], writer, up=False))
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            connection.reset()
            self.connections.discard(connection)

    async def close(self) -> None:
        if self.server:
            self.server.close()
        for connection in list(self.connections):
            connection.reset()


class Connection:
    def __init__(self, gate: Gate, writer: asyncio.StreamWriter):
        self.gate, self.writers = gate, [writer]
        self.left = gate.with_.get("after", 0)
        self.changed = asyncio.Event()
        self.over = False

    def reset(self) -> None:
        self.over = True
        self.changed.set()
        for writer in self.writers:
            abort(writer)

    async def pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, up: bool) -> None:
        """Reads without waiting for what it holds back, up to HELD_MAX, so that being late does not make it slow."""
        held: asyncio.Queue = asyncio.Queue()
        room = asyncio.Semaphore(HELD_MAX // CHUNK)
        hand_on = asyncio.ensure_future(self.hand_on(held, room, writer, up))
        loop = asyncio.get_running_loop()
        try:
            while not self.over:
                await room.acquire()
                data = await reader.read(CHUNK)
                held.put_nowait((loop.time(), data))
                if not data:
                    break
            await hand_on
        finally:
            hand_on.cancel()

    async def hand_on(self, held: asyncio.Queue, room: asyncio.Semaphore, writer: asyncio.StreamWriter, up: bool) -> None:
        loop = asyncio.get_running_loop()
        while True:
            came, data = await held.get()
            while not self.over and (self.gate.kind == "silence" or (self.gate.kind == "one_way" and self.gate.with_["up"] != up)):
                await self.changed.wait()
            while not self.over and self.gate.kind == "delay" and (late := came + self.gate.with_["seconds"] - loop.time()) > 0:
                with contextlib.suppress(asyncio.TimeoutError):
                    await asyncio.wait_for(self.changed.wait(), late)
            if self.over:
                return
            if not data:
                with contextlib.suppress(OSError):
                    writer.write_eof()
                return
            self.gate.bytes += len(data)
            while data and self.gate.kind == "trickle" and not self.over:
                some, data = data[:self.gate.with_["bytes_at_once"]], data[self.gate.with_["bytes_at_once"]:]
                await self.write(writer, some)
                await asyncio.sleep(self.gate.with_["seconds"])
            if self.gate.kind == "cut":
                data, self.left = data[:self.left], self.left - len(data)
                if self.left <= 0:
                    await self.write(writer, data)
                    return self.reset()
            if self.gate.kind == "corrupt":
                data = corrupted(data, self.gate.with_["every"])
            await self.write(writer, data)
            room.release()

    async def write(self, writer: asyncio.StreamWriter, data: bytes) -> None:
        if data:
            writer.write(data)
            await writer.drain()


def corrupted(data: bytes, every: int) -> bytes:
    changed = bytearray(data)
    for start in range(0, len(data), every):
        at = random.randrange(start, min(start + every, len(data)))
        changed[at] ^= 1 << random.randrange(8)
    return bytes(changed)


def abort(writer: asyncio.StreamWriter) -> None:
    """Closes with a TCP reset, as a machine that has gone does."""
    with contextlib.suppress(OSError, AttributeError):
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
