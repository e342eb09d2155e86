"""Error answers: any body that an org, its login or its edge sends, read to one of our errors (bulk2.md 1.5, 6.1)."""

from __future__ import annotations

import html
import json
import re
from dataclasses import dataclass
from typing import Any, TypeVar

from sfframe.errors import (
    ApiError,
    AuthenticationError,
    LimitExceeded,
    NotFound,
    PermissionDenied,
    QueryError,
    ServerUnavailable,
    class_for,
)
from sfframe.protocol.call import Call, Reply
from sfframe.protocol.json_body import UnreadableAnswer

T = TypeVar("T")

SAID_CHARACTERS = 2_000  # a query error quotes the query around the fault; a page of HTML says nothing more after this

# Bulk API 1.0 has status 400 and one code for a job that is not there and for one that cannot be made (bulk1.md 8).
_UNKNOWN_ID = re.compile(r"(?i)invalid (?:job|batch) id\b")

# 401 answers that a new token does not cure: asking for one again and again would lock the user out (bulk2.md 6.1).
_INCURABLE = ("not valid for use with the REST API", "Connected app is not attached to Agent")

# The shapes of an access token, opaque and JWT (rest.md 1.2), and of the header that carries it.
_TOKEN = re.compile(r"00D\w{12,15}![\w.]*|\beyJ[\w-]+\.[\w-]+\.[\w-]+|\b(?:Bearer|OAuth|Basic)\s+[\w.!~+/=-]{8,}")
_NOT_SHOWN = re.compile(r"(?is)<(script|style|title)\b.*?</\1\s*>|<!--.*?-->|<[^>]+>")
_TITLE = re.compile(r"(?is)<title[^>]*>(.*?)</title>")
_XML_CODE = re.compile(r"(?s)<(?:\w+:)?(?:errorCode|exceptionCode)>\s*(.*?)\s*</")
_XML_TEXT = re.compile(r"(?s)<(?:\w+:)?(?:message|exceptionMessage)>\s*(.*?)\s*</")

_WHAT: tuple[tuple[type[ApiError], str], ...] = (
    (AuthenticationError, "the login was not accepted"),
    (PermissionDenied, "the user of this connection may not do that"),
    (NotFound, "there is nothing of that name"),
    (QueryError, "the query was refused"),
    (LimitExceeded, "a limit of the org is used up"),
    (ServerUnavailable, "the org could not answer"),
    (ApiError, "the request was refused"),
)
_REMEDY_BY_CLASS: dict[type[ApiError], str] = {
    AuthenticationError: "Get a new access token, or check the client id and secret of this profile.",
    PermissionDenied: "Ask the org's administrator for the permission, or connect as another user.",
    NotFound: "Check the name or the id, and that this user may see it.",
    QueryError: "Correct the query at the place that the message names.",
    LimitExceeded: "Wait until the org's 24-hour window has moved, or ask its administrator what uses the limit up.",
    ServerUnavailable: "Try again in some minutes; the status page of Salesforce shows known trouble.",
}
_REMEDY_BY_CODE: dict[str, str] = {
    "REQUEST_LIMIT_EXCEEDED": "The day's API calls are used up: wait until the 24-hour window has moved.",
    "INVALID_QUERY_LOCATOR": "The query's cursor has expired: run the query again.",
    "INVALID_OPERATION_WITH_EXPIRED_PASSWORD": "The user's password has expired: set a new one, then log in again.",
    "API_DISABLED_FOR_ORG": "This user or edition has no API access: have 'API Enabled' granted.",
    "FEATURENOTENABLED": "Have the named feature granted to this user (for hardDelete: 'Bulk API Hard Delete').",
    "TXN_SECURITY_METERING_ERROR": "Transaction security took too long: try again, or have this user exempted from it.",
    "UNSUPPORTED_API_VERSION": "Connect with another api_version that this org serves.",
    "INVALIDVERSION": "Connect with another api_version that this org serves.",
    "GONE": "This API version is retired: connect with a newer api_version.",
    # OAuth (rest.md 2.3)
    "invalid_client_id": "Check the client id (consumer key); a new app can take ten minutes to be known.",
    "invalid_client": "Check the client secret.",
    "invalid_grant": "In the app's settings, enable the client credentials flow and name a run-as user.",
    "invalid_app_access": "Have an administrator approve this user for the app.",
    "unsupported_grant_type": "Enable the client credentials flow in the app's settings.",
    "inactive_org": "The org is locked or expired.",
    "inactive_user": "The app's run-as user is inactive.",
    "rate_limit_exceeded": "Too many logins in a short time: wait some minutes.",
}


@dataclass(frozen=True, slots=True)
class Problem:
    """What an error answer says: the org's code and text (empty where it gave none) and the fields that it blames."""

    status: int
    code: str = ""
    message: str = ""
    fields: tuple[str, ...] = ()
    oauth: bool = False

    @property
    def said(self) -> str:
        """The org's own words, cut where they are long."""
        return ": ".join(part for part in (self.code, self.message) if part)[:SAID_CHARACTERS]

    @property
    def curable_by_login(self) -> bool:
        """True where the session has ended and a new token may help (bulk2.md 6.1, 6.4, bulk1.md 1.2)."""
        ended = (self.status, self.code) in {(401, "INVALID_SESSION_ID"), (400, "InvalidSessionId")}
        return ended and not any(text in self.message for text in _INCURABLE)


def read_problem(reply: Reply) -> Problem:
    """Reads a JSON array or object, an OAuth error, XML, HTML or plain text; never fails. Tokens are taken out."""
    body = reply.body.decode("utf-8", errors="replace").strip()
    try:
        value = json.loads(body) if body[:1] in {"[", "{"} else None
    except ValueError:
        value = None
    if isinstance(value, list):
        value = next((one for one in value if isinstance(one, dict)), None)
    if isinstance(value, dict):
        return _from_object(reply.status, value)
    code, text = _XML_CODE.search(body), _XML_TEXT.search(body)
    if code is not None:
        return Problem(reply.status, code[1], _scrub(html.unescape(text[1])) if text else "")
    return Problem(reply.status, "", _scrub(_plain(body)))


def error_for(call: Call[object], reply: Reply) -> ApiError:
    """The error that an answer means, with its four parts."""
    problem = read_problem(reply)
    kind = _class_of(problem)
    what = next(text for base, text in _WHAT if issubclass(kind, base))
    remedy = next(
        (_REMEDY_BY_CODE[code] for code in (problem.code, problem.code.upper()) if code in _REMEDY_BY_CODE), ""
    )
    remedy = remedy or _REMEDY_BY_CLASS.get(kind, "")
    if problem.status == 410:
        remedy = _REMEDY_BY_CODE["GONE"]
    if 300 <= problem.status < 400:
        what = "the host sends the request elsewhere"
        remedy = "Use the org's own address (https://….my.salesforce.com) as instance URL."
    return kind(
        f"{what} (HTTP {problem.status})",
        where=call.where,
        said=problem.said,
        remedy=remedy,
        status=problem.status,
        error_code=problem.code,
        fields=problem.fields,
        job_id=call.job_id,
    )


def answer(call: Call[T], reply: Reply) -> T:
    """What ``call.read`` makes of the answer; raises the error that it means, or that it cannot be understood."""
    if not call.accepts_status(reply.status):
        raise error_for(call, reply)
    try:
        return call.read(reply)
    except UnreadableAnswer as problem:
        raise ApiError(
            f"the answer cannot be understood: {problem}",
            where=call.where,
            said=read_problem(reply).said[:200],
            remedy="Check that the instance URL is that of an org and that no proxy or login page stands between.",
            status=reply.status,
            job_id=call.job_id,
        ) from None


def _class_of(problem: Problem) -> type[ApiError]:
    if _UNKNOWN_ID.match(problem.message):
        return NotFound
    if not problem.oauth:
        return class_for(problem.status, problem.code)
    if problem.status >= 500 or problem.code == "server_error":
        return ServerUnavailable
    return LimitExceeded if problem.code == "rate_limit_exceeded" else AuthenticationError


def _from_object(status: int, value: dict[str, Any]) -> Problem:
    if "error" in value and "errorCode" not in value:
        return Problem(status, _text(value, "error"), _scrub(_text(value, "error_description")), oauth=True)
    code = _text(value, "errorCode") or _text(value, "statusCode") or _text(value, "exceptionCode")
    message = _text(value, "message") or _text(value, "exceptionMessage")
    fields = value.get("fields")
    names = tuple(name for name in fields if isinstance(name, str)) if isinstance(fields, list) else ()
    return Problem(status, code, _scrub(message), names)


def _text(value: dict[str, Any], key: str) -> str:
    found = value.get(key)
    return found.strip() if isinstance(found, str) else ""


def _plain(body: str) -> str:
    """The words of an HTML page, its title first; other text as it is."""
    title = _TITLE.search(body)
    words = _NOT_SHOWN.sub(" ", body)
    shown = (" ".join(html.unescape(part).split()) for part in (title[1] if title else "", words))
    return ": ".join(part for part in shown if part)[:300]


def _scrub(text: str) -> str:
    return _TOKEN.sub("[token]", text)
