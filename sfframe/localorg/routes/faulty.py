"""Faulty: the outermost ring. It lets declared faults happen on the wire, and keeps the log of requests."""

from __future__ import annotations

import asyncio
import datetime as dt
import time
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import format_datetime
from http import HTTPStatus

from starlette.responses import HTMLResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sfframe.localorg.faults import Fault
from sfframe.localorg.routes import bulk1_documents
from sfframe.localorg.routes.answers import error_answer
from sfframe.localorg.routes.gate import session_of
from sfframe.localorg.services.errors import ServiceError
from sfframe.localorg.services.request_log import LoggedRequest
from sfframe.localorg.services.services import Services

HangUp = Callable[[Scope, bool], None]
"""Closes the connection of a request; with True it is reset, else what was written still arrives."""

# What a status says by itself: codes and words of bulk2.md 6.1 and rest.md 12.
_SAID = {
    401: ("INVALID_SESSION_ID", "Session expired or invalid"),
    403: ("REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded."),
    404: ("NOT_FOUND", "The requested resource does not exist"),
    500: (
        "UNKNOWN_EXCEPTION",
        "An unexpected error occurred. Please include this ErrorId if you contact support: 123-456 (789)",
    ),
    503: ("SERVER_UNAVAILABLE", "Server Unavailable"),  # the words are a guess
}
_PAGES_ONLY = {420}  # bulk2.md 6.1
_EMPTY = {406}  # bulk2.md 6.1
# The status is that of a job that is not there; what seven days do to results nobody has recorded.
_PRESETS = {
    "results_expired": (404, "NOT_FOUND", "The requested resource does not exist"),
    "locator_lost": (400, "INVALID_QUERY_LOCATOR", "invalid query locator"),
}


class Faulty:
    """Asks the fault plan about every request and acts on it; what no fault strikes passes untouched."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Take one request, as ASGI has it."""
        services: Services = scope["app"].state.services
        faults = services.faults.on_request(scope["method"], scope["path"], scope["query_string"].decode("latin-1"))
        exchange = _Exchange(scope, receive, send, faults[-1].kind if faults else None)
        try:
            await self._play(faults, scope, exchange)
        finally:
            exchange.log()

    async def _play(self, faults: list[Fault], scope: Scope, exchange: _Exchange) -> None:
        services: Services = scope["app"].state.services
        receive, send = exchange.receive, exchange.send
        for fault in faults:
            if fault.kind == "latency":
                await asyncio.sleep(fault.seconds)
            elif fault.kind == "expire_session":
                services.sessions.close_session(session_of(scope) or "")
        ends = next((fault for fault in faults if fault.kind not in ("latency", "expire_session")), None)
        if ends is None:
            await self._app(scope, receive, send)
        elif ends.kind == "truncate":
            await self._app(scope, receive, _Cut(send, exchange.hang_up, ends.bytes).send)
            await _gone(receive)
        else:
            if ends.kind == "reset_after" or ends.acted:
                await self._app(scope, receive, _swallow)
            if ends.kind in ("reset_before", "reset_after"):
                exchange.hang_up(reset=True)
                await _gone(receive)
            else:
                await _answer(ends, scope)(scope, receive, send)


def _answer(fault: Fault, scope: Scope) -> Response:
    """The answer that the fault gives instead of the org's."""
    headers = {} if fault.retry_after is None else {"Retry-After": str(fault.retry_after)}
    status = fault.status
    code, message = fault.code, fault.message
    if fault.kind in _PRESETS:
        status, code, message = _PRESETS[fault.kind]
    elif not fault.html and code is None:
        code, message = _SAID.get(status, (None, None))
    if fault.html or status in _PAGES_ONLY:
        return HTMLResponse(_page(status), status, headers)
    if code is None:
        return Response(b"" if status in _EMPTY else None, status, headers)
    if bulk1_documents.PATH in scope["path"]:
        return bulk1_documents.error_document(status, code, message or code, scope, headers=headers)
    return error_answer(ServiceError(status, code, message or code), headers)


def _page(status: int) -> str:
    """A page as proxies send it where a client expects JSON."""
    known = {one.value for one in HTTPStatus}
    title = HTTPStatus(status).phrase if status in known else "We're setting things up"
    return f"<!DOCTYPE html>\n<html><head><title>{title}</title></head>\n<body><h1>{title}</h1></body></html>\n"


async def _gone(receive: Receive) -> None:
    """Wait until the connection is closed: uvicorn would answer for whoever returns before."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def _swallow(_message: Message) -> None:
    return None


@dataclass(slots=True)
class _Cut:
    """Lets so many bytes of a body pass, then closes the connection; the rest of the answer is swallowed."""

    onward: Send
    hang_up: Callable[[], None]
    left: int
    over: bool = False

    async def send(self, message: Message) -> None:
        if self.over:
            return
        if message["type"] == "http.response.start":
            await self.onward(message)
            return
        body = message.get("body", b"")
        if len(body) < self.left:
            self.left -= len(body)
            # The end of the body is kept back, so that a short answer breaks off as well.
            await self.onward({**message, "more_body": True})
            if message.get("more_body", False):
                return
        else:
            await self.onward({**message, "body": body[: self.left], "more_body": True})
        self.over = True
        self.hang_up()


class _Exchange:
    """A request and its answer: counts what passes, dates the answer by the org's clock and logs the request.

    It is in the log before the client can know that the answer has ended, so that whoever has one finds it there.
    """

    def __init__(self, scope: Scope, receive: Receive, send: Send, fault: str | None) -> None:
        self._scope = scope
        self._receive = receive
        self._send = send
        self._fault = fault
        self._came, self._began = dt.datetime.now(dt.UTC), time.perf_counter()
        self._status: int | None = None
        self._length: int | None = None
        self._bytes_in = self._bytes_out = 0
        self._logged = False

    @property
    def _services(self) -> Services:
        services: Services = self._scope["app"].state.services
        return services

    async def receive(self) -> Message:
        message = await self._receive()
        self._bytes_in += len(message.get("body", b""))
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._status = message["status"]
            headers = [*message.get("headers", ())]
            self._length = next((int(value) for name, value in headers if name.lower() == b"content-length"), None)
            date = format_datetime(self._services.store.clock.now(), usegmt=True)
            message = {**message, "headers": [*headers, (b"date", date.encode())]}
        else:
            self._bytes_out += len(message.get("body", b""))
            # A stream whose length was told has ended for the client ahead of its last, empty message.
            if not message.get("more_body", False) or self._bytes_out == self._length:
                self.log()
        await self._send(message)

    def hang_up(self, *, reset: bool = False) -> None:
        """Close the connection, or reset it."""
        self.log()
        close: HangUp = self._scope["app"].state.hang_up
        close(self._scope, reset)

    def log(self) -> None:
        """Put the request into the log, unless it is there."""
        if self._logged:
            return
        self._logged = True
        self._services.request_log.add(
            LoggedRequest(
                at=self._came,
                method=self._scope["method"],
                path=self._scope["path"],
                status=self._status,
                ms=(time.perf_counter() - self._began) * 1000,
                bytes_in=self._bytes_in,
                bytes_out=self._bytes_out,
                fault=self._fault,
            )
        )
