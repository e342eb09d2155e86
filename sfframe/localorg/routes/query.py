"""Query, queryAll and their further pages (rest.md 5)."""

from __future__ import annotations

import re

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sfframe.localorg.routes.answers import JsonAnswer, services_of

_BATCH_SIZE = re.compile(r"batchSize\s*=\s*(\d{1,9})", re.IGNORECASE)


def query(request: Request) -> Response:
    """The first page of a query without deleted rows; also its plan, for ``explain``."""
    service = services_of(request).query
    if "explain" in request.query_params:
        return JsonAnswer(service.explain(request.query_params["explain"], request.path_params["version"]))
    return _first_page(request, all_rows=False)


def query_all(request: Request) -> Response:
    """The first page of a query with deleted rows."""
    return _first_page(request, all_rows=True)


def further_page(request: Request) -> Response:
    """The page that ``nextRecordsUrl`` names; it works below both resources."""
    service = services_of(request).query
    return JsonAnswer(service.more(request.path_params["locator"], request.path_params["version"]))


def _first_page(request: Request, *, all_rows: bool) -> Response:
    service = services_of(request).query
    version = request.path_params["version"]
    text = request.query_params.get("q", "")
    if asks_columns(request):
        return JsonAnswer(service.columns(text, version, all_rows=all_rows))
    return JsonAnswer(service.query(text, version, all_rows=all_rows, page_rows=page_rows(request)))


def asks_columns(request: Request) -> bool:
    """Whether the client wants to know a query's columns and no rows (rest.md 5)."""
    return request.query_params.get("columns", "").lower() == "true"


def page_rows(request: Request) -> int | None:
    """How many rows the client would like on a page (rest.md 1.3)."""
    found = _BATCH_SIZE.search(request.headers.get("Sforce-Query-Options", ""))
    return int(found[1]) if found else None


_BASE = "/services/data/{version}"

routes: list[Route] = [
    Route(_BASE + "/query", query, methods=["GET"]),
    Route(_BASE + "/query/{locator}", further_page, methods=["GET"]),
    Route(_BASE + "/queryAll", query_all, methods=["GET"]),
    Route(_BASE + "/queryAll/{locator}", further_page, methods=["GET"]),
]
