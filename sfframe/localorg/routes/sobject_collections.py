"""Collections of records over HTTP: /services/data/vNN.0/composite/sobjects (rest.md 8.5). The status is 200 always."""

from __future__ import annotations

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sfframe.localorg.routes.answers import JsonAnswer, json_text, services_of
from sfframe.localorg.services.errors import ServiceError
from sfframe.localorg.services.json_body import JsonBody, unexpected
from sfframe.localorg.services.task import Operation


async def write(request: Request) -> Response:
    """Create (POST), update (PATCH) or delete (DELETE ?ids=) records of any objects."""
    service, version = services_of(request).collections, request.path_params["version"]
    if request.method == "DELETE":
        asked = request.query_params
        all_or_none = asked.get("allOrNone", "").lower() == "true"
        return JsonAnswer(await run_in_threadpool(service.delete, asked.get("ids"), version, all_or_none=all_or_none))
    operation: Operation = "insert" if request.method == "POST" else "update"
    return JsonAnswer(await run_in_threadpool(service.write, operation, await json_text(request), version))


async def retrieve(request: Request) -> Response:
    """Read records of one object: ids and fields in the URL (GET) or in the body (POST)."""
    service, path = services_of(request).collections, request.path_params
    asked = request.query_params
    ids, fields = _split(asked.get("ids", "")), _split(asked.get("fields", ""))
    if request.method == "POST":
        body = await json_text(request)
        ids, fields = _texts(body, "ids"), _texts(body, "fields")
    if not fields:
        raise ServiceError(400, "REQUIRED_FIELD_MISSING", "At least 1 field is required")  # a guess
    found = await run_in_threadpool(service.retrieve, path["name"], ids, ",".join(fields), path["version"])
    return JsonAnswer(found)


async def upsert(request: Request) -> Response:
    """Create or update records of one object by one of its keys."""
    path = request.path_params
    body = await json_text(request)
    service = services_of(request).collections
    return JsonAnswer(await run_in_threadpool(service.upsert, path["name"], path["key"], body, path["version"]))


def _split(text: str) -> list[str]:
    return [one.strip() for one in text.split(",") if one.strip()]


def _texts(body: JsonBody, name: str) -> list[str]:
    """The list of texts under a name of the body; an empty one where there is none."""
    value = body.expect_object().get(name, [])
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise unexpected(body, (name,), value)
    return value


_BASE = "/services/data/{version}/composite/sobjects"
routes = [
    Route(_BASE, write, methods=["POST", "PATCH", "DELETE"]),
    Route(f"{_BASE}/{{name}}", retrieve, methods=["GET", "POST"]),
    Route(f"{_BASE}/{{name}}/{{key}}", upsert, methods=["PATCH"]),
]
