"""Content types of requests: who names the wrong one is told so (bulk2.md 1.2, 6.1)."""

from __future__ import annotations

from starlette.requests import Request

from sfframe.localorg.services.errors import ServiceError

CSV, JSON, MULTIPART = "text/csv", "application/json", "multipart/form-data"


def check(request: Request, *allowed: str) -> str:
    """The request's content type, without parameters; ``allowed`` ones and none at all are taken.

    That none is taken is a guess, and so are the words.
    """
    given = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if given and given not in allowed:
        words = f"Content type {given} is not supported. Supported are {', '.join(allowed)}"
        raise ServiceError(415, "UNSUPPORTED_MEDIA_TYPE", words)
    return given
