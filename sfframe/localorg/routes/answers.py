"""Answers: JSON as Salesforce writes it, errors as an array of one, and the JSON of a request."""

from __future__ import annotations

import json
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from sfframe.localorg.routes.pretty_json import pretty
from sfframe.localorg.services.errors import ServiceError
from sfframe.localorg.services.json_body import JsonBody, parse
from sfframe.localorg.services.services import Services

_JSON = "application/json"


class JsonAnswer(Response):
    """An answer in JSON: of a Python object, or of text that is JSON already.

    Compact, unless the request asks for ``X-PrettyPrint: 1`` (bulk2.md 1.2).
    """

    media_type = "application/json;charset=UTF-8"

    def render(self, content: object) -> bytes:
        """The compact body."""
        if isinstance(content, bytes):
            return content
        if isinstance(content, str):
            return content.encode()
        return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the answer, as ASGI has it."""
        if dict(scope["headers"]).get(b"x-prettyprint") == b"1" and self.body:
            self.body = pretty(bytes(self.body).decode()).encode()
            self.headers["content-length"] = str(len(self.body))
        await super().__call__(scope, receive, send)


def error_answer(error: ServiceError, headers: dict[str, str] | None = None, *, base: str = "") -> JsonAnswer:
    """The JSON array of one that every error is (rest.md 1.6); ``base`` is ``/services/data/vNN.0`` of the request."""
    words: dict[str, Any] = {"message": error.message, "errorCode": error.code}
    if error.code_first:
        words = {"errorCode": error.code, "message": error.message}
    if error.fields is not None:
        words["fields"] = error.fields
    ahead = error.ahead(base) if error.ahead else {}
    return JsonAnswer([ahead | words], error.status, headers)


async def json_text(request: Request) -> JsonBody:
    """The request's body with the text that it was; a ServiceError where it is not JSON in UTF-8."""
    kind = request.headers.get("content-type", _JSON).partition(";")[0].strip().lower()
    if kind != _JSON:
        # rest.md 1.5 has the status, the words are from memory: curl's own form type meets them.
        words = f"Content-Type header specified in HTTP request is not supported: {kind}"
        raise ServiceError(415, "UNSUPPORTED_MEDIA_TYPE", words)
    return parse(await request.body())


async def json_body(request: Request) -> object:
    """The request's body, parsed; a ServiceError where it is not JSON in UTF-8."""
    return (await json_text(request)).value


def services_of(request: Request) -> Services:
    """The services of the org that the request reached."""
    services: Services = request.app.state.services
    return services


def host_of(request: Request) -> str:
    """The URL under which the client sees the org, without a slash at its end."""
    return str(request.base_url).rstrip("/")


def base_of(request: Request) -> str:
    """``/services/data/vNN.0`` of the request."""
    return f"/services/data/{request.path_params['version']}"
