"""Search, parameterized search and recently viewed records (rest.md 4)."""

from __future__ import annotations

from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sfframe.localorg.routes.answers import JsonAnswer, json_body, services_of
from sfframe.localorg.services.errors import ServiceError
from sfframe.localorg.services.searching import MAX_FOUND, Wanted

_BASE = "/services/data/{version}"


def search(request: Request) -> Response:
    """GET /search?q=SOSL."""
    text = request.query_params.get("q", "")
    return JsonAnswer(services_of(request).search.sosl(text, request.path_params["version"]))


def recent(request: Request) -> Response:
    """GET /recent[?limit=]."""
    limit = request.query_params.get("limit", "")
    found = services_of(request).search
    version = request.path_params["version"]
    return JsonAnswer(found.recent(version, int(limit)) if limit.isdecimal() else found.recent(version))


async def parameterized(request: Request) -> Response:
    """GET or POST /parameterizedSearch: the same search, its parts as parameters or as JSON."""
    asked = await json_body(request) if request.method == "POST" else _parameters(request)
    if not isinstance(asked, dict) or not isinstance(asked.get("q"), str):
        raise ServiceError(400, "MALFORMED_SEARCH", "q is missing")
    fields = ",".join(_texts(asked, "fields")) or "Id"
    given = asked.get("sobjects", [])
    if not isinstance(given, list) or not all(
        isinstance(one, dict) and isinstance(one.get("name"), str) for one in given
    ):
        raise ServiceError(400, "MALFORMED_SEARCH", "sobjects is no list of objects with names")
    wanted = [_wanted(one, fields) for one in given]
    if not wanted:
        raise ServiceError(400, "MALFORMED_SEARCH", "The embedded org wants sobjects to be named")
    found = await run_in_threadpool(
        services_of(request).search.find,
        asked["q"],
        wanted,
        request.path_params["version"],
        group=str(asked.get("in", "ALL")),
        limit=_number(asked, "overallLimit") or MAX_FOUND,
    )
    return JsonAnswer(found)


def _parameters(request: Request) -> dict[str, Any]:
    """``q=Acme&sobject=Account&Account.fields=Id,Name&Account.limit=5`` in the form of the JSON body."""
    query = request.query_params
    sobjects = [
        {
            "name": name,
            "fields": _split(query.get(f"{name}.fields", "")),
            "where": query.get(f"{name}.where"),
            "limit": query.get(f"{name}.limit"),
        }
        for names in query.getlist("sobject")
        for name in _split(names)
    ]
    return dict(query) | {"fields": _split(query.get("fields", "")), "sobjects": sobjects}


def _split(text: str) -> list[str]:
    return [one.strip() for one in text.split(",") if one.strip()]


def _wanted(given: dict[str, Any], fields: str) -> Wanted:
    where, limit = given.get("where"), _number(given, "limit")
    clauses = (f"WHERE {where}" if where else "") + (f" LIMIT {limit}" if limit is not None else "")
    return Wanted(given["name"], ",".join(_texts(given, "fields")) or fields, clauses)


def _texts(given: dict[str, Any], key: str) -> list[str]:
    values = given.get(key) or []
    if not isinstance(values, list) or not all(isinstance(one, str) for one in values):
        raise ServiceError(400, "MALFORMED_SEARCH", f"{key} is no list of names")
    return values


def _number(given: dict[str, Any], key: str) -> int | None:
    value = given.get(key)
    if value is None:
        return None
    if not str(value).isdecimal() or len(str(value)) > 9:
        raise ServiceError(400, "MALFORMED_SEARCH", f"{key} is no number")
    return int(value)


routes = [
    Route(f"{_BASE}/search", search, methods=["GET"]),
    Route(f"{_BASE}/parameterizedSearch", parameterized, methods=["GET", "POST"]),
    Route(f"{_BASE}/recent", recent, methods=["GET"]),
]
