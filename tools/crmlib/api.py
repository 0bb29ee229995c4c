"""A small client of the HTTP API: JSON calls over kept connections, and the live stream. For the demo, tests and tools."""

import dataclasses
import http.client
import json
import queue
import select
import socket
import threading
import time
import urllib.parse

TIMEOUT_SECONDS = 30.0


@dataclasses.dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]  # names in lower case
    data: bytes

    @property
    def body(self):
        return json.loads(self.data) if self.data else None

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300

    @property
    def error(self) -> dict:
        """The `error` of a refused call: {code, status, message, details}."""
        return self.body["error"]

    @property
    def reason(self) -> str:
        """ErrorInfo's reason, e.g. RECORD_NOT_FOUND; empty for a success."""
        return "" if self.ok else next((detail["reason"] for detail in self.error.get("details", []) if "reason" in detail), "")


def ended(connection: http.client.HTTPConnection) -> bool:
    """Whether the server has closed a connection that waits for its next request: nothing but its end can come then."""
    if connection.sock is None:
        return True
    events = select.poll()
    events.register(connection.sock, select.POLLIN)
    return bool(events.poll(0))


class ApiError(Exception):
    """An answer that was not expected."""

    def __init__(self, method: str, path: str, answer: Answer):
        super().__init__(f"{method} {path} answered {answer.status}: {answer.data[:1000].decode(errors='replace')}")
        self.answer = answer


class Unreachable(Exception):
    """No answer: the connection was refused or broke. Whether the call was carried out is unknown."""


class Api:
    """One caller. Threads may share it: each has its own connection."""

    def __init__(self, url: str, token: str = "", headers: dict[str, str] | None = None, timeout: float = TIMEOUT_SECONDS):
        self.url, self.token, self.headers, self.timeout = url.rstrip("/"), token, dict(headers or {}), timeout
        parsed = urllib.parse.urlsplit(self.url)
        self.host, self.port = parsed.hostname, parsed.port
        self.local = threading.local()

    def with_token(self, token: str) -> "Api":
        return Api(self.url, token, self.headers, self.timeout)

    def call(self, method: str, path: str, body=None, headers: dict[str, str] | None = None, query: dict | None = None) -> Answer:
        """Whatever the answer is. `body` is JSON unless it is bytes. A kept connection that the server has closed meanwhile is
        replaced, once, before anything was answered on it."""
        if query:
            path += "?" + urllib.parse.urlencode(query, doseq=True)
        sent = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        if data is not None:
            sent["Content-Type"] = "application/json"
        sent |= self.headers | (headers or {})
        kept = getattr(self.local, "connection", None)
        if kept and ended(kept):
            self.close()
            kept = None
        if kept:
            try:
                return self.exchange(kept, method, path, data, sent)
            except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError) as error:
                self.close()
                if method not in ("GET", "HEAD") and "Idempotency-Key" not in sent:
                    raise Unreachable(f"{method} {path}: {error!r}") from error
            except (OSError, http.client.HTTPException) as error:
                self.close()
                raise Unreachable(f"{method} {path}: {error!r}") from error
        self.local.connection = http.client.HTTPConnection(self.host, self.port, timeout=self.timeout)
        try:
            return self.exchange(self.local.connection, method, path, data, sent)
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise Unreachable(f"{method} {path}: {error!r}") from error

    def exchange(self, connection, method, path, data, headers) -> Answer:
        connection.request(method, path, data, headers)
        response = connection.getresponse()
        answer = Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, response.read())
        if response.will_close:
            self.close()
        return answer

    def close(self) -> None:
        connection = getattr(self.local, "connection", None)
        if connection:
            connection.close()
            self.local.connection = None

    def must(self, method: str, path: str, body=None, headers: dict[str, str] | None = None, query: dict | None = None):
        """The answer's JSON; ApiError if it is not a success."""
        answer = self.call(method, path, body, headers, query)
        if not answer.ok:
            raise ApiError(method, path, answer)
        return answer.body

    def get(self, path: str, headers: dict[str, str] | None = None, **query):
        return self.must("GET", path, None, headers, query)

    def post(self, path: str, body=None, headers: dict[str, str] | None = None):
        return self.must("POST", path, {} if body is None else body, headers)

    def patch(self, path: str, body, headers: dict[str, str] | None = None):
        return self.must("PATCH", path, body, headers)

    def put(self, path: str, body, headers: dict[str, str] | None = None):
        return self.must("PUT", path, body, headers)

    def delete(self, path: str, headers: dict[str, str] | None = None):
        return self.must("DELETE", path, None, headers)

    def pages(self, path: str, field: str, **query):
        """Every item of a list, page by page."""
        token = ""
        while True:
            page = self.get(path, **query, **({"page_token": token} if token else {}))
            yield from page.get(field, [])
            token = page.get("next_page_token", "")
            if not token:
                return

    def events(self, path: str, last_event_id: str = "", **query) -> "Events":
        """Opens a live stream (text/event-stream)."""
        return Events(self, path + ("?" + urllib.parse.urlencode(query, doseq=True) if query else ""), last_event_id)


@dataclasses.dataclass(frozen=True)
class Event:
    id: str
    type: str
    data: str

    @property
    def body(self):
        return json.loads(self.data)


class Events:
    """A live stream, read by a thread of its own. It ends when the server or close() ends it; it does not reconnect."""

    def __init__(self, api: Api, path: str, last_event_id: str = ""):
        self.connection = http.client.HTTPConnection(api.host, api.port, timeout=api.timeout)
        headers = {"Accept": "text/event-stream"} | ({"Authorization": f"Bearer {api.token}"} if api.token else {}) | api.headers
        if last_event_id:
            headers["Last-Event-ID"] = last_event_id
        self.connection.request("GET", path, headers=headers)
        self.socket = self.connection.sock
        self.response = self.connection.getresponse()
        if self.response.status != 200:
            answer = Answer(self.response.status, {name.lower(): value for name, value in self.response.getheaders()}, self.response.read())
            self.connection.close()
            raise ApiError("GET", path, answer)
        self.socket.settimeout(None)
        self.queue: queue.Queue[Event | None] = queue.Queue()
        self.last_id = last_event_id
        self.seen: list[Event] = []
        self.thread = threading.Thread(target=self.read, daemon=True)
        self.thread.start()

    def read(self) -> None:
        identity, kind, data = "", "", []
        try:
            while line := self.response.readline():
                text = line.decode().rstrip("\r\n")
                if not text:
                    if data:
                        self.queue.put(Event(identity, kind or "message", "\n".join(data)))
                    kind, data = "", []
                    continue
                name, _, value = text.partition(":")
                value = value.removeprefix(" ")
                if name == "id":
                    identity = value
                elif name == "event":
                    kind = value
                elif name == "data":
                    data.append(value)
        except (OSError, ValueError, AttributeError, http.client.HTTPException):
            pass  # closed, by either side
        self.queue.put(None)

    def next(self, timeout: float = 10) -> Event | None:
        """The next event; None when the stream has ended; TimeoutError when none came."""
        try:
            event = self.queue.get(timeout=timeout)
        except queue.Empty:
            raise TimeoutError(f"no event within {timeout} s; seen: {[seen.type for seen in self.seen]}") from None
        if event:
            self.last_id = event.id or self.last_id
            self.seen.append(event)
        else:
            self.queue.put(None)
        return event

    def until(self, wanted, timeout: float = 10) -> Event:
        """The next event for which wanted(event) holds."""
        deadline = time.monotonic() + timeout
        while True:
            event = self.next(max(0.0, deadline - time.monotonic()))
            if event is None:
                raise EOFError(f"the stream ended; seen: {[seen.type for seen in self.seen]}")
            if wanted(event):
                return event

    def close(self) -> None:
        try:
            self.socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.connection.close()

    def __enter__(self) -> "Events":
        return self

    def __exit__(self, *_) -> None:
        self.close()
