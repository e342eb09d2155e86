"""Requests that are made inside of the org, through the same routes as those that come from outside."""

from __future__ import annotations

import json
from urllib.parse import quote, unquote

from starlette.exceptions import HTTPException
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.requests import Request
from starlette.types import Message, Scope

from sfframe.localorg.routes.answers import error_answer
from sfframe.localorg.routes.failures import Failures, no_route
from sfframe.localorg.services.composite import SubAnswer, SubRequest
from sfframe.localorg.services.errors import ServiceError
from sfframe.localorg.services.versions import check_version

_ASCII = "".join(map(chr, range(0x20, 0x7F)))
_SHOWN = {"location": "Location", "etag": "ETag", "last-modified": "Last-Modified"}
_NOT_INHERITED = (b"if-", b"content-", b"x-prettyprint", b"accept-encoding", b"transfer-encoding")
# Requests that hold requests hold none of their own kind, and neither jobs nor the tooling (rest.md 8.1).
_REFUSED = ("composite", "composite/batch", "composite/graph", "composite/tree", "jobs", "tooling")


class SubRequests:
    """Runs requests with the session and the headers of an outer one, behind its gate."""

    def __init__(self, outer: Request) -> None:
        self._outer = outer
        self._app = Failures(ExceptionMiddleware(outer.app.router, handlers={HTTPException: no_route}))

    async def send(self, request: SubRequest) -> SubAnswer:
        """Run one request; whatever is wrong with it is its answer."""
        body = b"" if request.body is None else json.dumps(request.body, ensure_ascii=False).encode()
        answer = _Collected()
        try:
            scope = self._scope(request)
        except ServiceError as error:
            await error_answer(error)({"type": "http", "headers": []}, answer.nothing, answer.take)
            return answer.whole()

        async def receive() -> Message:
            return {"type": "http.request", "body": body, "more_body": False}

        await self._app(scope, receive, answer.take)
        return answer.whole()

    def _scope(self, request: SubRequest) -> Scope:
        path, _, query = request.url.partition("?")
        path = unquote(path).removesuffix("/")
        parts = path.split("/", 4)
        if not path.startswith("/services/data/v") or len(parts) < 5:
            raise ServiceError(404, "NOT_FOUND", "The requested resource does not exist", code_first=True)
        check_version(parts[3])
        resource = parts[4]
        if resource in _REFUSED or resource.split("/")[0] in ("jobs", "tooling"):
            words = f"The resource {path} cannot be requested inside of another request"  # a guess
            raise ServiceError(400, "INVALID_INPUT", words)
        kept = [pair for pair in self._outer.scope["headers"] if not pair[0].startswith(_NOT_INHERITED)]
        given = [(name.lower().encode(), value.encode("latin-1", "replace")) for name, value in request.headers.items()]
        return {
            **{name: value for name, value in self._outer.scope.items() if name not in ("path_params", "endpoint")},
            "method": request.method,
            "path": path,
            "raw_path": quote(path).encode(),
            "query_string": quote(query, safe=_ASCII).encode(),
            "headers": [*kept, *given, (b"content-type", b"application/json")],
        }


class _Collected:
    """An answer that is sent into memory."""

    def __init__(self) -> None:
        self._status = 500
        self._headers: dict[str, str] = {}
        self._body = b""

    async def take(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._status = message["status"]
            self._headers = {name.decode(): value.decode("latin-1") for name, value in message["headers"]}
        else:
            self._body += message.get("body", b"")

    async def nothing(self) -> Message:
        return {"type": "http.disconnect"}

    def whole(self) -> SubAnswer:
        shown = {word: self._headers[name] for name, word in _SHOWN.items() if name in self._headers}
        text = self._body.decode("utf-8", "replace")
        if text and not self._headers.get("content-type", "").startswith("application/json"):
            text = json.dumps(text)
        return SubAnswer(self._status, shown, text)
