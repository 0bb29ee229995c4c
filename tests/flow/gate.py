"""A TCP gate between two processes, so that a test can break the line and heal it.

    gate = Gate(stack.instance.postgres_port)          # before the stack starts: hand gate.port to the service's config
    gate.refuse()   # new connections are refused, old ones are reset
    gate.hold()     # connections stay, bytes stand still (a partition that nobody notices)
    gate.open()     # heals
"""

import contextlib
import selectors
import socket
import struct
import threading

CHUNK = 65536
BUFFER_MAX = 1 << 20  # per direction, beyond which the sender has to wait


class Gate:
    def __init__(self, target_port: int, port: int = 0):
        self.target_port = target_port
        self.listener = socket.create_server(("127.0.0.1", port), backlog=128)
        self.port = self.listener.getsockname()[1]
        self.mode = "open"
        self.peers: dict[socket.socket, socket.socket] = {}
        self.pending: dict[socket.socket, bytearray] = {}
        self.accepted = 0
        self.lock = threading.Lock()
        self.wake_in, self.wake_out = socket.socketpair()
        self.selector = selectors.DefaultSelector()
        self.closed = False
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    # What tests call; each holds when it returns.
    def open(self) -> None:
        self.set("open")

    def hold(self) -> None:
        self.set("hold")

    def refuse(self) -> None:
        self.set("refuse")

    def cut(self) -> None:
        """Resets the connections that there are; new ones pass."""
        with self.lock:
            self.reset_all()

    def close(self) -> None:
        with self.lock:
            self.closed = True
        self.wake()
        self.thread.join()

    def set(self, mode: str) -> None:
        with self.lock:
            self.mode = mode
            if mode == "refuse":
                self.reset_all()
        self.wake()

    def wake(self) -> None:
        self.wake_out.send(b"x")

    # One thread moves the bytes.
    def run(self) -> None:
        while True:
            with self.lock:
                if self.closed:
                    self.reset_all()
                    self.listener.close()
                    self.selector.close()
                    return
                self.watch()
            for key, _ in self.selector.select(timeout=1):
                with self.lock:
                    if self.closed:
                        break
                    if key.fileobj is self.wake_in:
                        self.wake_in.recv(CHUNK)
                    elif key.fileobj is self.listener:
                        self.accept()
                    elif key.fileobj in self.peers and self.mode == "open":
                        self.move(key.fileobj)

    def watch(self) -> None:
        wanted = {self.listener: selectors.EVENT_READ, self.wake_in: selectors.EVENT_READ}
        if self.mode == "open":
            for connection, peer in self.peers.items():
                events = (selectors.EVENT_READ if len(self.pending[peer]) < BUFFER_MAX else 0) | (selectors.EVENT_WRITE if self.pending[connection] else 0)
                if events:
                    wanted[connection] = events
        current = {key.fileobj: key.events for key in self.selector.get_map().values()}
        for item in current.keys() - wanted.keys():
            self.selector.unregister(item)
        for item, events in wanted.items():
            if item not in current:
                self.selector.register(item, events)
            elif current[item] != events:
                self.selector.modify(item, events)

    def accept(self) -> None:
        connection, _ = self.listener.accept()
        self.accepted += 1
        if self.mode == "refuse":
            reset(connection)
            return
        try:
            peer = socket.create_connection(("127.0.0.1", self.target_port), timeout=2)
        except OSError:
            reset(connection)
            return
        for one, other in ((connection, peer), (peer, connection)):
            one.setblocking(False)
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.peers[one] = other
            self.pending[one] = bytearray()

    def move(self, connection: socket.socket) -> None:
        peer = self.peers[connection]
        try:
            if self.pending[connection]:
                del self.pending[connection][:connection.send(self.pending[connection])]
            with contextlib.suppress(BlockingIOError):
                if len(self.pending[peer]) < BUFFER_MAX:
                    data = connection.recv(CHUNK)
                    if not data:
                        self.drop(connection)
                        return
                    self.pending[peer] += data
                    del self.pending[peer][:peer.send(self.pending[peer])]
        except BlockingIOError:
            pass
        except OSError:
            self.drop(connection)

    def drop(self, connection: socket.socket) -> None:
        """One side has ended: what it sent is handed on, then the other side ends too."""
        peer = self.peers.pop(connection)
        self.peers.pop(peer, None)
        with contextlib.suppress(OSError):
            peer.setblocking(True)
            peer.settimeout(1)
            peer.sendall(self.pending[peer])
        for one in (connection, peer):
            self.forget(one)
            one.close()

    def forget(self, connection: socket.socket) -> None:
        self.pending.pop(connection, None)
        with contextlib.suppress(KeyError, ValueError):
            self.selector.unregister(connection)

    def reset_all(self) -> None:
        for connection in list(self.peers):
            self.forget(connection)
            reset(connection)
        self.peers.clear()


def reset(connection: socket.socket) -> None:
    """Closes with a TCP reset, as a machine that has gone does."""
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()
