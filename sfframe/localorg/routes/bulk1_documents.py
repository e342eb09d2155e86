"""The documents of Bulk API 1.0 in XML and JSON: jobs, batches, errors (bulk1.md 2, 3, 8)."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from typing import Any
from xml.sax.saxutils import escape

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import Scope

from sfframe.localorg.routes.answers import JsonAnswer
from sfframe.localorg.services.bulk1_errors import Bulk1Error
from sfframe.localorg.services.bulk1_results import NAMESPACE
from sfframe.localorg.services.errors import ServiceError
from sfframe.localorg.services.xml_body import RefusedXml, local_name, read_xml

PATH = "/services/async/"
_PROLOG = '<?xml version="1.0" encoding="UTF-8"?>'
# What the rings around the routes refuse, in the words of this API; the pairs are guesses.
_CODES = {
    "INVALID_SESSION_ID": "InvalidSessionId",
    "REQUEST_LIMIT_EXCEEDED": "ExceededQuota",
    "UNKNOWN_EXCEPTION": "InternalServerError",
}


class Bulk1Json(JsonAnswer):
    """JSON without a charset behind the type: clients compare it to the letter (clients.md 2.6)."""

    media_type = "application/json"


def read_job(body: bytes, content_type: str) -> tuple[dict[str, Any], bool]:
    """The members of a job document, and whether it is JSON; a body that says neither is what its type says."""
    text = body.lstrip(b"\xef\xbb\xbf \t\r\n")
    if text.startswith(b"<") or (not text.startswith((b"{", b"[")) and not names_json(content_type)):
        try:
            root = read_xml(text)
        except RefusedXml as error:
            raise Bulk1Error("InvalidXML", str(error)) from error
        if local_name(root) != "jobInfo":
            raise Bulk1Error("InvalidXML", f"jobInfo expected instead of {local_name(root)}")
        return {local_name(one): (one.text or "").strip() or None for one in root}, False
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Bulk1Error("InvalidJob", f"Unable to parse Job: {error}") from error
    if not isinstance(document, dict):
        raise Bulk1Error("InvalidJob", "Unable to parse Job: a JSON object expected")
    return document, True


def names_json(content_type: str) -> bool:
    """Whether a Content-Type is one of JSON."""
    return "json" in content_type.lower()


def info_answer(
    root: str, document: Mapping[str, Any], *, as_json: bool, status: int = 200, headers: dict[str, str] | None = None
) -> Response:
    """A document about one job or one batch."""
    if as_json:
        return Bulk1Json(_json(root, document), status, headers)
    return _xml(f'<{root}\n   xmlns="{NAMESPACE}">\n{_members(document, 1)}</{root}>', status, headers)


def list_answer(documents: Sequence[Mapping[str, Any]], *, as_json: bool) -> Response:
    """The list of a job's batches; without any it is one empty element."""
    if as_json:
        return Bulk1Json({"batchInfo": [_json("batchInfo", one) for one in documents]})
    if not documents:
        return _xml(f'<batchInfoList\n   xmlns="{NAMESPACE}" />')
    inner = "".join(f" <batchInfo>\n{_members(one, 2)} </batchInfo>\n" for one in documents)
    return _xml(f'<batchInfoList\n   xmlns="{NAMESPACE}">\n{inner}</batchInfoList>')


def result_list_answer(ids: Sequence[str], *, as_json: bool) -> Response:
    """The ids of a query's result files."""
    if as_json:
        return Bulk1Json(list(ids))
    return _xml(f'<result-list xmlns="{NAMESPACE}">{"".join(f"<result>{one}</result>" for one in ids)}</result-list>')


def error_answer(error: ServiceError, scope: Scope) -> Response:
    """The error document of a refusal, whose status is 400 whatever it would be elsewhere (bulk1.md 8)."""
    if isinstance(error, Bulk1Error):
        return error_document(error.status, error.code, error.message, scope, as_json=error.as_json)
    message = "Invalid session id" if error.code == "INVALID_SESSION_ID" else error.message
    code = _CODES.get(error.code, "ClientInputError")
    return error_document(error.status if error.status >= 500 else 400, code, message, scope)


def error_document(
    status: int,
    code: str,
    message: str,
    scope: Scope,
    *,
    as_json: bool = False,
    headers: dict[str, str] | None = None,
) -> Response:
    """An error in the format of the request (clients.md 2.8); ``as_json`` decides where that says nothing."""
    content_type = Headers(scope=scope).get("content-type", "")
    members = {"exceptionCode": _CODES.get(code, code), "exceptionMessage": message}
    if names_json(content_type) or (as_json and not content_type):
        return Bulk1Json(members, status, headers)
    return _xml(f'<error\n   xmlns="{NAMESPACE}">\n{_members(members, 1)}</error>', status, headers)


def no_resource(method: str, path: str) -> Bulk1Error:
    """The refusal of a path that is none of this API, or of its method."""
    if method != "POST" and path.rstrip("/").endswith("/job"):
        return Bulk1Error("InvalidUrl", "Create Job must be a POST request")  # bulk1.md 8
    return Bulk1Error("InvalidOperation", f"Invalid operation: {method} {path}")  # the words are a guess


def _xml(text: str, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(_PROLOG + text, status, headers, media_type="application/xml")


def _members(document: Mapping[str, Any], indent: int) -> str:
    space = " " * indent
    given = {name: value for name, value in document.items() if value is not None}
    return "".join(f"{space}<{name}>{escape(_text(value))}</{name}>\n" for name, value in given.items())


def _text(value: object) -> str:
    return f"{value:%Y-%m-%dT%H:%M:%S}.000Z" if isinstance(value, dt.datetime) else str(value)


def _json(root: str, document: Mapping[str, Any]) -> dict[str, Any]:
    """Members in alphabetical order, moments with an offset instead of Z (bulk1.md 2.1, 3.1)."""
    more = {"fastPathEnabled": False} if root == "jobInfo" else {}
    shown = {
        name: f"{value:%Y-%m-%dT%H:%M:%S}.000+0000" if isinstance(value, dt.datetime) else value
        for name, value in document.items()
    }
    return dict(sorted((shown | more).items()))
