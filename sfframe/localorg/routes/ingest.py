"""Bulk API 2.0 ingest over HTTP: /services/data/vNN.0/jobs/ingest and below (bulk2.md 1.1)."""

from __future__ import annotations

import json

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from sfframe.localorg.routes import content_types
from sfframe.localorg.routes.answers import JsonAnswer, json_body
from sfframe.localorg.routes.multipart import parts
from sfframe.localorg.services.errors import ServiceError
from sfframe.localorg.services.ingest import IngestService
from sfframe.localorg.services.json_body import malformed

_BASE = "/services/data/{version}/jobs/ingest"


def _service(request: Request) -> IngestService:
    service: IngestService = request.app.state.services.ingest
    return service


async def jobs(request: Request) -> Response:
    """Create a job, from JSON or from JSON and data in a multipart body, or list the jobs."""
    service, version = _service(request), request.path_params["version"]
    if request.method == "GET":
        return JsonAnswer(await run_in_threadpool(service.list_jobs, version, request.query_params))
    if content_types.check(request, content_types.JSON, content_types.MULTIPART) == content_types.MULTIPART:
        body, content = _parts(request.headers["content-type"], await request.body())
        return JsonAnswer(await run_in_threadpool(service.create_with_content, version, body, content))
    return JsonAnswer(await run_in_threadpool(service.create, version, await json_body(request)))


async def job(request: Request) -> Response:
    """Look at a job, close or abort it, delete it."""
    service, job_id = _service(request), request.path_params["job_id"]
    if request.method == "PATCH":
        content_types.check(request, content_types.JSON)
        return JsonAnswer(await run_in_threadpool(service.change_state, job_id, await json_body(request)))
    if request.method == "DELETE":
        await run_in_threadpool(service.delete, job_id)
        return Response(status_code=204)
    return JsonAnswer(await run_in_threadpool(service.info, job_id))


async def part(request: Request) -> Response:
    """Take the content (PUT batches) or give a result file; the last word of the path is read without case."""
    service, job_id = _service(request), request.path_params["job_id"]
    kind = request.path_params["part"].casefold()
    if request.method == "PUT":
        if kind != "batches":
            raise ServiceError(404, "NOT_FOUND", "The requested resource does not exist", code_first=True)
        content_types.check(request, content_types.CSV)
        with await run_in_threadpool(service.begin_upload, job_id) as upload:
            async for chunk in request.stream():
                upload.write(chunk)
            await run_in_threadpool(upload.commit)
        return Response(status_code=201)
    rows = await run_in_threadpool(service.results, request.path_params["version"], job_id, kind)
    return StreamingResponse(rows, media_type="text/csv; charset=UTF-8")


def _parts(content_type: str, body: bytes) -> tuple[object, bytes]:
    """The job and the content of a multipart create (bulk2.md 2.3)."""
    found = {name: part for name, (_, part) in parts(content_type, body).items()}
    if "job" not in found or "content" not in found:
        raise ServiceError(400, "API_ERROR", "Multipart body needs the parts job and content", code_first=True)
    try:
        return json.loads(found["job"]), found["content"]
    except json.JSONDecodeError as error:
        raise malformed(error) from error


routes: list[Route] = [
    Route(_BASE + path + end, endpoint, methods=methods)
    for path, endpoint, methods in (
        ("", jobs, ["GET", "POST"]),
        ("/{job_id}", job, ["GET", "PATCH", "DELETE"]),
        ("/{job_id}/{part}", part, ["GET", "PUT"]),
    )
    for end in ("", "/")
]
