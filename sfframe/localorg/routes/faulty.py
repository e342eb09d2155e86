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
from sfframe.localorg.store.clock import Clock

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
        counted = _Counted(receive, send, services.store.clock)
        came, began = dt.datetime.now(dt.UTC), time.perf_counter()
        try:
            await self._play(faults, scope, counted.receive, counted.send)
        finally:
            services.request_log.add(
                LoggedRequest(
                    at=came,
                    method=scope["method"],
                    path=scope["path"],
                    status=counted.status,
                    ms=(time.perf_counter() - began) * 1000,
                    bytes_in=counted.bytes_in,
                    bytes_out=counted.bytes_out,
                    fault=faults[-1].kind if faults else None,
                )
            )

    async def _play(self, faults: list[Fault], scope: Scope, receive: Receive, send: Send) -> None:
        services: Services = scope["app"].state.services
        hang_up: HangUp = scope["app"].state.hang_up
        for fault in faults:
            if fault.kind == "latency":
                await asyncio.sleep(fault.seconds)
            elif fault.kind == "expire_session":
                services.sessions.close_session(session_of(scope) or "")
        ends = next((fault for fault in faults if fault.kind not in ("latency", "expire_session")), None)
        if ends is None:
            await self._app(scope, receive, send)
        elif ends.kind == "truncate":
            await self._app(scope, receive, _Cut(scope, send, hang_up, ends.bytes).send)
            await _gone(receive)
        else:
            if ends.kind == "reset_after" or ends.acted:
                await self._app(scope, receive, _swallow)
            if ends.kind in ("reset_before", "reset_after"):
                hang_up(scope, True)
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

    scope: Scope
    onward: Send
    hang_up: HangUp
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
        self.hang_up(self.scope, False)


class _Counted:
    """Counts what passes in both directions, and dates the answer by the org's clock."""

    def __init__(self, receive: Receive, send: Send, clock: Clock) -> None:
        self._receive = receive
        self._send = send
        self._clock = clock
        self.status: int | None = None
        self.bytes_in = self.bytes_out = 0

    async def receive(self) -> Message:
        message = await self._receive()
        self.bytes_in += len(message.get("body", b""))
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            date = format_datetime(self._clock.now(), usegmt=True)
            message = {**message, "headers": [*message.get("headers", ()), (b"date", date.encode())]}
        self.bytes_out += len(message.get("body", b""))
        await self._send(message)
