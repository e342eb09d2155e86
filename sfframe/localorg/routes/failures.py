"""Failures: whatever goes wrong below is answered as Salesforce answers it, in JSON and never in HTML (rest.md 1.6)."""

from __future__ import annotations

import json
import logging
import uuid

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Match, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sfframe.localorg.routes import bulk1_documents
from sfframe.localorg.routes.answers import error_answer
from sfframe.localorg.services.errors import ServiceError
from sfframe.localorg.services.json_body import malformed

_METHODS = ("HEAD", "GET", "POST", "PUT", "PATCH", "DELETE")
_log = logging.getLogger("sfframe.localorg")


class Failures:
    """Outermost ring around the routes. A failure after the first byte breaks the connection off, as it should."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Take one request, as ASGI has it."""
        started = False

        async def watched(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except ClientDisconnect:
            return  # nobody is left to answer
        except Exception as error:
            if started:
                raise
            await _error_answer_to(scope, _told(error, scope))(scope, receive, send)


def _error_answer_to(scope: Scope, error: ServiceError) -> Response:
    """The error as the interface that the request is about tells it."""
    if bulk1_documents.PATH in scope["path"]:
        return bulk1_documents.error_answer(error, scope)
    return error_answer(error, base="/".join(scope["path"].split("/")[:4]))


def no_route(request: Request, error: Exception) -> Response:
    """The answer where no route takes the path, or none takes it with this method."""
    if bulk1_documents.PATH in request.url.path:
        return bulk1_documents.error_answer(
            bulk1_documents.no_resource(request.method, request.url.path), request.scope
        )
    if isinstance(error, HTTPException) and error.status_code == 405:
        allowed = _allowed(request)
        words = f"HTTP Method '{request.method}' not allowed. Allowed are {','.join(allowed)}"
        return error_answer(ServiceError(405, "METHOD_NOT_ALLOWED", words), {"Allow": ", ".join(allowed)})
    return error_answer(ServiceError(404, "NOT_FOUND", "The requested resource does not exist"))


def _allowed(request: Request) -> list[str]:
    methods: set[str] = set()
    for route in request.app.routes:
        if isinstance(route, Route) and route.matches(request.scope)[0] != Match.NONE:
            methods |= route.methods or set()
    return [method for method in _METHODS if method in methods]


def _told(error: Exception, scope: Scope) -> ServiceError:
    if isinstance(error, ServiceError):
        return error
    if isinstance(error, json.JSONDecodeError):
        return malformed(error)
    error_id = uuid.uuid4().hex[:12]
    _log.error("%s %s failed, error id %s", scope["method"], scope["path"], error_id, exc_info=error)
    words = f"An unexpected error occurred; the log of the embedded org tells more under error id {error_id}"
    return ServiceError(500, "UNKNOWN_EXCEPTION", words)
