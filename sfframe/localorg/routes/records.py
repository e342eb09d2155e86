"""Records over HTTP: /services/data/vNN.0/sobjects/X and below (rest.md 7).

The headers that change automation (Sforce-Auto-Assign, Sforce-Mru) are taken and have nothing to change here.
"""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
from email.utils import format_datetime, parsedate_to_datetime

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sfframe.localorg.catalogue.model import ObjectDef
from sfframe.localorg.routes.answers import JsonAnswer, base_of, json_text, services_of
from sfframe.localorg.routes.multipart import parts
from sfframe.localorg.services.errors import ServiceError
from sfframe.localorg.services.json_body import JsonBody, parse
from sfframe.localorg.services.record_saving import Outcome
from sfframe.localorg.services.records import Found, RecordService, Several, no_such_key, not_found

_UPSERTS_ANSWER_SINCE = 46  # before that an update was a 204 without a body (rest.md 14)
_METHODS = ["GET", "PATCH", "DELETE"]


async def create(request: Request) -> Response:
    """POST /sobjects/X."""
    body = await _body(request)
    return await run_in_threadpool(_create, request, body)


def _create(request: Request, body: JsonBody) -> Response:
    obj = _object(request)
    return _saved(request, obj, _service(request).create(obj, body))


def updated(request: Request) -> Response:
    """GET /sobjects/X/updated?start=...&end=..."""
    asked = request.query_params
    return JsonAnswer(services_of(request).replication.updated(_object(request), asked.get("start"), asked.get("end")))


def deleted(request: Request) -> Response:
    """GET /sobjects/X/deleted?start=...&end=..."""
    asked = request.query_params
    return JsonAnswer(services_of(request).replication.deleted(_object(request), asked.get("start"), asked.get("end")))


async def by_id(request: Request) -> Response:
    """/sobjects/X/{id}."""
    body = await _body(request) if request.method == "PATCH" else None
    return await run_in_threadpool(_by_id, request, body)


def _by_id(request: Request, body: JsonBody | None) -> Response:
    obj, word = _object(request), request.path_params["first"]
    if _reads(request) and not _is_own_id(request, obj, word):
        if len(word) not in (15, 18):
            raise no_such_key(word)
        raise not_found()
    service = _service(request)
    if body is not None and service.looks_like_id(word):
        service.check_fields(obj, body)  # recorded: an unknown field is told before an id that is of no record
    return _one(request, obj, service.record_id(obj, word), body)


async def below(request: Request) -> Response:
    """/sobjects/X/{field}/{value}, /sobjects/X/{id}/{relationship} and /sobjects/X/{id}/{blob field}."""
    body = await _body(request) if request.method == "PATCH" else None
    return await run_in_threadpool(_below, request, body)


def _below(request: Request, body: JsonBody | None) -> Response:
    obj, service = _object(request), _service(request)
    first, second = request.path_params["first"], request.path_params["second"]
    if obj.field(first) is None and _is_own_id(request, obj, first):
        return _related(request, obj, service.record_id(obj, first), second, body)
    key = service.key(obj, first)
    if request.method == "PATCH" and body is not None:
        return _upsert(request, obj, second, body)
    found = service.find(obj, key, second)
    if len(found) > 1:
        return _several(request, obj, found)
    if not found:
        raise not_found()
    return _one(request, obj, found[0], body)


def _upsert(request: Request, obj: ObjectDef, value: str, body: JsonBody) -> Response:
    service = _service(request)
    key = service.key(obj, request.path_params["first"])
    update_only = request.query_params.get("updateOnly", "").lower() == "true"
    try:
        outcome = service.upsert(obj, key, value, body, update_only=update_only)
    except Several as several:
        return _several(request, obj, several.ids)
    if outcome.created:
        return _saved(request, obj, outcome, upsert=True)
    if _version(request) < _UPSERTS_ANSWER_SINCE:
        return Response(status_code=204)
    return JsonAnswer(outcome.result(request.path_params["version"], created=True))


def _related(request: Request, obj: ObjectDef, record_id: str, name: str, body: JsonBody | None) -> Response:
    service = _service(request)
    field = obj.field(name)
    if field is not None and field.type == "base64" and _reads(request):
        content, kind = service.blob(obj, record_id, field)
        return Response(content, headers={"Content-Type": kind or "application/octetstream"})  # the type is recorded
    reference = obj.relationship(name)
    if reference is not None:
        parent, parent_id = service.parent(obj, record_id, reference)
        return _one(request, parent, parent_id, body)
    text = service.children_query(obj, record_id, name, request.query_params.get("fields"))
    if text is None or not _reads(request):
        raise not_found()
    service.read(obj, record_id, "Id", request.path_params["version"])  # a parent that is gone has no children
    return JsonAnswer(services_of(request).query.query(text, request.path_params["version"]))


def _one(request: Request, obj: ObjectDef, record_id: str, body: JsonBody | None) -> Response:
    """The record itself: read it, change it, delete it."""
    service = _service(request)
    if _reads(request):
        fields = request.query_params.get("fields")
        return _conditional(request, obj, service.read(obj, record_id, fields, request.path_params["version"]))
    _check_unchanged(request, obj, record_id)
    if request.method == "DELETE":
        service.delete(obj, record_id)
    elif body is not None:
        service.update(obj, record_id, body)
    return Response(status_code=204)


def _saved(request: Request, obj: ObjectDef, outcome: Outcome, *, upsert: bool = False) -> Response:
    told = upsert and _version(request) >= _UPSERTS_ANSWER_SINCE
    return JsonAnswer(
        outcome.result(request.path_params["version"], created=told),
        201,
        {"Location": _url(request, obj, outcome.id or "")},
    )


def _several(request: Request, obj: ObjectDef, ids: list[str]) -> Response:
    return JsonAnswer([_url(request, obj, one) for one in ids], 300)  # recorded: URLs in an array


def _url(request: Request, obj: ObjectDef, record_id: str) -> str:
    return f"{base_of(request)}/sobjects/{obj.name}/{record_id}"


def _conditional(request: Request, obj: ObjectDef, found: Found) -> Response:
    """The record, or 304 where the client has it and 412 where it has another (rest.md 1.3)."""
    headers = _marks(obj, found)
    etag = headers.get("ETag")
    known = request.headers.get("if-none-match")
    if known is not None and etag is not None:
        unchanged = etag in known or known.strip() == "*"
    else:
        unchanged = _not_after(found.modified, request.headers.get("if-modified-since"))
    if unchanged:
        return Response(status_code=304, headers=headers)
    _check_marks(request, obj, found)
    return JsonAnswer(found.text, headers=headers)


def _check_unchanged(request: Request, obj: ObjectDef, record_id: str) -> None:
    if {"if-match", "if-unmodified-since"} & set(request.headers):
        _check_marks(request, obj, _service(request).read(obj, record_id, None, request.path_params["version"]))


def _check_marks(request: Request, obj: ObjectDef, found: Found) -> None:
    wanted, since = request.headers.get("if-match"), request.headers.get("if-unmodified-since")
    etag = _marks(obj, found).get("ETag")
    changed = since is not None and not _not_after(found.modified, since)
    if wanted is not None and etag is not None:
        changed = etag not in wanted and wanted.strip() != "*"
    if changed:
        # The status is documented, code and words are guesses.
        raise ServiceError(412, "PRECONDITION_FAILED", "The record was changed since it was read")


def _marks(obj: ObjectDef, found: Found) -> dict[str, str]:
    if found.modified is None:
        return {}
    marks = {"Last-Modified": format_datetime(found.modified.replace(tzinfo=dt.UTC), usegmt=True)}
    if obj.name == "Account":  # the only rows that have one (rest.md 1.3)
        digest = hashlib.blake2s(f"{found.id}{found.modified}".encode(), digest_size=4).hexdigest()
        marks["ETag"] = f'"{digest}"'
    return marks


def _not_after(modified: dt.datetime | None, header: str | None) -> bool:
    if modified is None or header is None:
        return False
    try:
        moment = parsedate_to_datetime(header)
    except ValueError:
        return False
    return modified <= moment.astimezone(dt.UTC).replace(tzinfo=None)


async def _body(request: Request) -> JsonBody:
    """The record of a request; of a body in parts, the JSON with the files in their base64 fields."""
    content_type = request.headers.get("content-type", "")
    if not content_type.startswith("multipart/form-data"):
        return await json_text(request)
    found = parts(content_type, await request.body())
    record: dict[str, object] = {}
    for name, (kind, content) in found.items():
        if kind == "application/json":
            record |= parse(content).expect_object()
        else:
            record[name] = base64.b64encode(content).decode()
    return JsonBody.of(record)


def _reads(request: Request) -> bool:
    return request.method in {"GET", "HEAD"}


def _service(request: Request) -> RecordService:
    return services_of(request).records


def _object(request: Request) -> ObjectDef:
    return _service(request).object(request.path_params["name"])


def _is_own_id(request: Request, obj: ObjectDef, word: str) -> bool:
    try:
        _service(request).record_id(obj, word)
    except ServiceError:
        return False
    return True


def _version(request: Request) -> int:
    return int(request.path_params["version"][1:].partition(".")[0])


_OBJECT = "/services/data/{version}/sobjects/{name}"
routes = [
    Route(_OBJECT, create, methods=["POST"]),
    Route(f"{_OBJECT}/Id", create, methods=["POST"]),
    Route(f"{_OBJECT}/updated", updated, methods=["GET"]),
    Route(f"{_OBJECT}/deleted", deleted, methods=["GET"]),
    Route(f"{_OBJECT}/{{first}}", by_id, methods=_METHODS),
    Route(f"{_OBJECT}/{{first}}/{{second:path}}", below, methods=_METHODS),
]
