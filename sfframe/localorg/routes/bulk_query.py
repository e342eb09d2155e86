"""Bulk 2.0 query jobs (bulk2.md 1.1, Q1 to Q7)."""

from __future__ import annotations

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from sfframe.localorg.routes import content_types
from sfframe.localorg.routes.answers import JsonAnswer, json_body, services_of
from sfframe.localorg.services.errors import ServiceError

_WHOLE = 1 << 20  # bytes; a page up to this size is answered in one piece (clients.md, trap 12)


async def jobs(request: Request) -> Response:
    """Create a job, or list the jobs. Whatever Accept says, the answer is JSON (bulk2.md 1.2)."""
    service, version = services_of(request).bulk_query, request.path_params["version"]
    if request.method == "POST":
        content_types.check(request, content_types.JSON)
        return JsonAnswer(await run_in_threadpool(service.create, await json_body(request), version))
    return JsonAnswer(await run_in_threadpool(service.list_jobs, version, request.query_params))


async def job(request: Request) -> Response:
    """Look at a job, abort it or delete it."""
    service, job_id = services_of(request).bulk_query, request.path_params["job_id"]
    if request.method == "PATCH":
        content_types.check(request, content_types.JSON)
        return JsonAnswer(await run_in_threadpool(service.abort, job_id, await json_body(request)))
    if request.method == "DELETE":
        await run_in_threadpool(service.delete, job_id)
        return Response(status_code=204)
    return JsonAnswer(await run_in_threadpool(service.info, job_id))


def part(request: Request) -> Response:
    """A page of results, or the links to several; the last word of the path is read without case."""
    service, job_id = services_of(request).bulk_query, request.path_params["job_id"]
    version, locator = request.path_params["version"], request.query_params.get("locator")
    match request.path_params["part"].casefold():
        case "results":
            return _results(request, locator)
        case "resultpages":
            return JsonAnswer(service.result_pages(job_id, version, locator=locator))
        case _:
            raise ServiceError(404, "NOT_FOUND", "The requested resource does not exist", code_first=True)


def _results(request: Request, locator: str | None) -> Response:
    page = services_of(request).bulk_query.results(
        request.path_params["job_id"],
        request.path_params["version"],
        locator=locator,
        max_records=request.query_params.get("maxRecords"),
    )
    headers = {
        "Content-Type": "text/csv; charset=UTF-8",
        "Sforce-NumberOfRecords": str(page.rows),
        "Sforce-Locator": page.locator or "null",  # the text, never missing (bulk2.md 4.4)
    }
    if page.size <= _WHOLE:
        return Response(b"".join(page.chunks), headers=headers)
    return StreamingResponse(page.chunks, headers=headers)


_BASE = "/services/data/{version}/jobs/query"

routes: list[Route] = [
    Route(_BASE, jobs, methods=["GET", "POST"]),
    Route(_BASE + "/{job_id}", job, methods=["GET", "PATCH", "DELETE"]),
    Route(_BASE + "/{job_id}/{part}", part, methods=["GET"]),
]
