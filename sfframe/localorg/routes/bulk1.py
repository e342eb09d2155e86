"""Bulk API 1.0 over HTTP: /services/async/NN.0/job and below (bulk1.md 1.3)."""

from __future__ import annotations

from collections.abc import Iterator
from email.message import Message
from pathlib import Path

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from sfframe.localorg.routes.answers import services_of
from sfframe.localorg.routes.bulk1_documents import (
    Bulk1Json,
    info_answer,
    list_answer,
    names_json,
    read_job,
    result_list_answer,
)
from sfframe.localorg.services.bulk1 import CONTENT_TYPES, MOST_BYTES, Bulk1Service, Content, Info
from sfframe.localorg.services.bulk1_errors import Bulk1Error
from sfframe.localorg.services.bulk1_jobs import Job

_BASE = "/services/async/{version}/job"
_WHOLE = 1 << 20  # bytes; a result up to this size is answered in one piece (clients.md 2.12)
_KNOWN_TYPES = frozenset({*CONTENT_TYPES.values(), "text/xml", "text/plain", ""})
# What tools send that were told nothing; the body says what it is.
_UNSAID_TYPES = frozenset({"application/octet-stream", "application/x-www-form-urlencoded"})


async def create(request: Request) -> Response:
    """Make a job; the answer has the format of the request (bulk1.md 1.5)."""
    document, as_json = read_job(await _body(request), _content_type(request))
    version, headers = request.path_params["version"], dict(request.headers)
    info = await run_in_threadpool(_service(request).create, version, document, headers)
    return info_answer("jobInfo", info.document, as_json=as_json, status=201)


async def job(request: Request) -> Response:
    """Look at a job, close or abort it."""
    service, job_id = _service(request), request.path_params["job_id"]
    if request.method == "POST":
        document, _ = read_job(await _body(request), _content_type(request))
        info = await run_in_threadpool(service.change_state, job_id, document)
    else:
        info = await run_in_threadpool(service.job, job_id)
    # A JSON job that is asked for with a type of XML is told in XML (clients.md 2.7).
    as_json = info.job.row_format == "JSON" and "xml" not in _content_type(request)
    return info_answer("jobInfo", info.document, as_json=as_json)


async def batches(request: Request) -> Response:
    """Add a batch, or list the batches."""
    service, job_id = _service(request), request.path_params["job_id"]
    if request.method == "GET":
        of_job, documents = await run_in_threadpool(service.batches, job_id)
        return list_answer(documents, as_json=of_job.row_format == "JSON")
    content_type = _content_type(request)
    content = await _body(request)
    found = await run_in_threadpool(service.job, job_id)
    charset = _charset(found.job, content_type)
    info = await run_in_threadpool(service.add_batch, request.path_params["version"], job_id, charset, content)
    place = f"/services/async/{info.job.api_version}/job/{info.job.id}/batch/{info.document['id']}"
    return _batch_answer(info, status=201, headers={"Location": place})


async def spec(request: Request) -> Response:
    """Take a transformation spec."""
    content = await _body(request)
    await run_in_threadpool(_service(request).set_spec, request.path_params["job_id"], content)
    return Response(status_code=201)


def batch(request: Request) -> Response:
    """Look at a batch."""
    return _batch_answer(_service(request).batch(*_ids(request)))


def submitted(request: Request) -> Response:
    """What was submitted as a batch."""
    return _content_answer(_service(request).request(*_ids(request)))


def result(request: Request) -> Response:
    """The results of a batch's rows, or the list of a query's result files."""
    content = _service(request).result(*_ids(request))
    if content.ids:
        return result_list_answer(content.ids, as_json=names_json(content.content_type))
    return _content_answer(content)


def result_file(request: Request) -> Response:
    """A result file of a query."""
    return _content_answer(_service(request).result_file(*_ids(request), request.path_params["result_id"]))


def _service(request: Request) -> Bulk1Service:
    return services_of(request).bulk1


def _ids(request: Request) -> tuple[str, str]:
    return request.path_params["job_id"], request.path_params["batch_id"]


def _batch_answer(info: Info, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    as_json = info.job.row_format == "JSON"
    return info_answer("batchInfo", info.document, as_json=as_json, status=status, headers=headers)


def _content_answer(content: Content) -> Response:
    headers = {"Content-Type": content.content_type}
    if content.path is None and names_json(content.content_type):
        return Bulk1Json(content.text)
    if content.path is None:
        return Response(content.text, headers=headers)
    if content.path.stat().st_size <= _WHOLE:
        return Response(content.path.read_bytes(), headers=headers)
    return StreamingResponse(_pieces(content.path), headers=headers)


def _pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(_WHOLE):
            yield piece


def _content_type(request: Request) -> str:
    """The request's Content-Type; raises where it is none that this API knows (recorded)."""
    given = request.headers.get("content-type", "")
    if given.partition(";")[0].strip().lower() not in _KNOWN_TYPES | _UNSAID_TYPES:
        raise Bulk1Error("UnsupportedContentType", f"Unsupported content type: {given}")
    return given.lower()


def _charset(of_job: Job, content_type: str) -> str:
    """How the content of a batch is encoded; raises where its type is not that of the job."""
    parsed = Message()
    parsed["Content-Type"] = content_type
    kind = parsed.get_content_type() if content_type else ""
    wanted = CONTENT_TYPES[of_job.content_type]
    # The body of a query is the same whatever it is called.
    if (
        not of_job.queries
        and kind not in ("", *_UNSAID_TYPES, wanted)
        and (kind, wanted) != ("text/xml", "application/xml")
    ):
        # The words are a guess.
        words = f"The content type of the batch ({kind}) is not that of the job ({of_job.content_type})"
        raise Bulk1Error("InvalidBatch", words)
    return str(parsed.get_param("charset", "utf-8")) if content_type else "utf-8"


async def _body(request: Request) -> bytes:
    """The whole body, refused beyond the limit of a batch; the rest is read, so that the client hears why."""
    pieces, size = [], 0
    async for piece in request.stream():
        size += len(piece)
        if size <= MOST_BYTES:
            pieces.append(piece)
    if size > MOST_BYTES:
        raise Bulk1Error("ClientInputError", f"Failed to read request. Exceeded max size limit of {MOST_BYTES}")
    return b"".join(pieces)


routes: list[Route] = [
    Route(_BASE, create, methods=["POST"]),
    Route(_BASE + "/{job_id}", job, methods=["GET", "POST"]),
    Route(_BASE + "/{job_id}/batch", batches, methods=["GET", "POST"]),
    Route(_BASE + "/{job_id}/spec", spec, methods=["POST"]),
    Route(_BASE + "/{job_id}/batch/{batch_id}", batch, methods=["GET"]),
    Route(_BASE + "/{job_id}/batch/{batch_id}/request", submitted, methods=["GET"]),
    Route(_BASE + "/{job_id}/batch/{batch_id}/result", result, methods=["GET"]),
    Route(_BASE + "/{job_id}/batch/{batch_id}/result/{result_id}", result_file, methods=["GET"]),
]
