"""Decoding: compressed request bodies are unpacked as they stream in (bulk2.md 1.2), up to a limit."""

from __future__ import annotations

import zlib

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sfframe.localorg.services.errors import ServiceError

_WINDOW = {"gzip": 31, "x-gzip": 31, "deflate": 15}  # zlib's wbits
_PIECE = 1 << 20  # bytes that are unpacked at a time, however well they were packed


class Decoding:
    """Replaces a compressed body by its content; everything behind sees a plain chunked body."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Take one request, as ASGI has it."""
        encoding = Headers(scope=scope).get("content-encoding", "identity").strip().lower()
        if encoding == "identity":
            await self._app(scope, receive, send)
            return
        if encoding not in _WINDOW:
            raise ServiceError(415, "UNSUPPORTED_MEDIA_TYPE", f"Content-Encoding {encoding} is not supported")
        limit = scope["app"].state.services.settings.upload_bytes
        plain = [pair for pair in scope["headers"] if pair[0] not in (b"content-encoding", b"content-length")]
        await self._app({**scope, "headers": plain}, _Unpacked(receive, _WINDOW[encoding], limit).receive, send)


class _Unpacked:
    def __init__(self, receive: Receive, window: int, limit: int) -> None:
        self._receive = receive
        self._unpack = zlib.decompressobj(window)
        self._limit = limit
        self._packed = b""
        self._more = True

    async def receive(self) -> Message:
        while not self._packed and self._more:
            message = await self._receive()
            if message["type"] != "http.request":
                return message
            self._packed, self._more = message.get("body", b""), message.get("more_body", False)
        if not self._packed and self._unpack.eof:
            return {"type": "http.request", "body": b"", "more_body": False}
        try:
            body = self._unpack.decompress(self._packed, _PIECE)
        except zlib.error as error:
            raise ServiceError(400, "API_ERROR", f"The request body cannot be decompressed: {error}") from error
        self._packed = self._unpack.unconsumed_tail
        self._limit -= len(body)
        if self._limit < 0:
            raise ServiceError(413, "API_ERROR", "The decompressed request body is too large")
        more = self._more or bool(self._packed)
        if not more and not self._unpack.eof:
            raise ServiceError(400, "API_ERROR", "The compressed request body ends too early")
        return {"type": "http.request", "body": body, "more_body": more}
