"""The Tooling API as far as data tools use it: queries on definitions, describes (rest.md 9, clients.md row 28)."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sfframe.localorg.routes.answers import JsonAnswer, base_of, host_of, services_of
from sfframe.localorg.routes.catalogue import conditional
from sfframe.localorg.routes.query import asks_columns, page_rows

_BASE = "/services/data/{version}/tooling"


def resources(request: Request) -> Response:
    """GET /tooling."""
    return JsonAnswer({name: f"{base_of(request)}/tooling/{name}" for name in ("query", "sobjects")})


def query(request: Request) -> Response:
    """GET /tooling/query?q=."""
    tooling, version, text = (
        services_of(request).tooling,
        request.path_params["version"],
        request.query_params.get("q", ""),
    )
    if asks_columns(request):
        return JsonAnswer(tooling.columns(text, version))
    return JsonAnswer(tooling.query(text, version, page_rows(request)))


def further_page(request: Request) -> Response:
    """GET /tooling/query/{locator}."""
    return JsonAnswer(services_of(request).tooling.more(request.path_params["locator"], request.path_params["version"]))


def sobjects(request: Request) -> Response:
    """GET /tooling/sobjects."""
    return JsonAnswer(services_of(request).tooling.sobjects(f"{base_of(request)}/tooling"))


def describe(request: Request) -> Response:
    """GET /tooling/sobjects/X/describe."""
    base = f"{base_of(request)}/tooling"
    name = request.path_params["name"]
    return conditional(request, services_of(request).tooling.describe(name, base, host_of(request)))


routes = [
    Route(_BASE, resources, methods=["GET"]),
    Route(f"{_BASE}/query", query, methods=["GET"]),
    Route(f"{_BASE}/query/{{locator}}", further_page, methods=["GET"]),
    Route(f"{_BASE}/sobjects", sobjects, methods=["GET"]),
    Route(f"{_BASE}/sobjects/{{name}}/describe", describe, methods=["GET"]),
]
