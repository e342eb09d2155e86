"""Limits and record counts (rest.md 4)."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sfframe.localorg.routes.answers import JsonAnswer, services_of


def limits(request: Request) -> Response:
    """GET /limits."""
    return JsonAnswer(services_of(request).limits.overview())


def record_count(request: Request) -> Response:
    """GET /limits/recordCount?sObjects=A,B; without the parameter all objects that have rows."""
    given = request.query_params.get("sObjects")
    names = None if given is None else [name.strip() for name in given.split(",")]
    counts = services_of(request).limits.record_counts(names)
    return JsonAnswer({"sObjects": [{"count": count, "name": name} for name, count in counts.items()]})


routes = [
    Route("/services/data/{version}/limits", limits, methods=["GET"]),
    Route("/services/data/{version}/limits/recordCount", record_count, methods=["GET"]),
]
