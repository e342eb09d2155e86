"""A real HTTP server on this machine that answers what a test tells it to, byte for byte if need be."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass
class Seen:
    """A request as it arrived; header names in lower case."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Answer:
    """What to send back. ``raw`` replaces everything; ``cut`` closes the connection after that many body bytes."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    raw: bytes | None = None
    cut: int | None = None
    chunked: bool = False

    def wire(self) -> bytes:
        if self.raw is not None:
            return self.raw
        headers = {**self.headers}
        body = self.body
        if self.chunked:
            headers["Transfer-Encoding"] = "chunked"
            pieces = [body[start : start + 7] for start in range(0, len(body), 7)]
            body = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
        elif self.status not in {204, 304}:
            headers["Content-Length"] = str(len(body))
        lines = [f"HTTP/1.1 {self.status} X", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
        return "\r\n".join(lines).encode() + (body if self.cut is None else body[: self.cut])


def answer_json(value: object, status: int = 200, headers: dict[str, str] | None = None) -> Answer:
    kind = {"Content-Type": "application/json;charset=UTF-8"}
    return Answer(status, {**kind, **(headers or {})}, json.dumps(value).encode())


Script = Callable[[Seen], Answer]


class ScriptedServer:
    """Answers each request with what the script gives for it, and remembers what was asked."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.seen: list[Seen] = []
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._open: set[socket.socket] = set()
        self._threads[0].start()

    @property
    def asked(self) -> list[str]:
        return [f"{one.method} {one.target}" for one in self.seen]

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            connections = list(self._open)
        for connection in connections:
            with _quiet():
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5)

    def _accept(self) -> None:
        with _quiet():
            while True:
                connection, _ = self._listener.accept()
                with self._lock:
                    self._open.add(connection)
                thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
                self._threads.append(thread)
                thread.start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rb") as stream, _quiet():
            while line := stream.readline():
                method, target, _ = line.decode().split()
                headers = {}
                while (header := stream.readline().decode().strip()) != "":
                    name, _, value = header.partition(":")
                    headers[name.lower()] = value.strip()
                length = int(headers.get("content-length", 0))
                body = stream.read(length)
                if len(body) < length:
                    break
                seen = Seen(method, target, headers, body)
                with self._lock:
                    self.seen.append(seen)
                answer = self.script(seen)
                connection.sendall(answer.wire())
                if answer.cut is not None or answer.raw is not None:
                    break
        with self._lock:
            self._open.discard(connection)


@contextmanager
def serving(*answers: Answer, script: Script | None = None) -> Iterator[ScriptedServer]:
    """A server that gives ``answers`` in their order (the last for ever), or what ``script`` says."""
    left = list(answers)

    def in_order(_seen: Seen) -> Answer:
        return left.pop(0) if len(left) > 1 else left[0]

    server = ScriptedServer(script or in_order)
    try:
        yield server
    finally:
        server.close()


@contextmanager
def _quiet() -> Iterator[None]:
    try:
        yield
    except OSError:
        return
