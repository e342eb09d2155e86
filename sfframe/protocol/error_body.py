"""Error answers: any body that an org, its login or its edge sends, read to one of our errors (bulk2.md 1.5, 6.1)."""

from __future__ import annotations

import html
import json
import re
from dataclasses import dataclass
from typing import Any, TypeVar

from sfframe.errors import (
    NO_ADVICE,
    ApiError,
    AuthenticationError,
    LimitExceeded,
    NotFound,
    PermissionDenied,
    QueryError,
    ServerUnavailable,
    advice_for,
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
    # REST and both bulk APIs (rest.md 12, bulk2.md 6.1)
    "UNKNOWN_EXCEPTION": (
        "The org failed inside: try again. If it stays so, Salesforce's support finds the cause by the error id above."
    ),
    "REQUEST_LIMIT_EXCEEDED": "The day's API calls are used up: wait until the 24-hour window has moved.",
    "INVALID_QUERY_LOCATOR": "The query's cursor has expired: run the query again.",
    "QUERY_TIMEOUT": "Narrow the WHERE to fields with an index, name fewer fields, or use a bulk query.",
    "QUERY_TOO_COMPLICATED": "Name fewer fields, formulas above all, or shorten the WHERE.",
    "INVALID_TYPE": "Check the object's name (custom ones end with __c), and that this user may see it.",
    "EXCEEDED_MAX_SEMIJOIN_SUBSELECTS": "Use fewer sub-queries in the WHERE: read the Ids first, and name them in IN.",
    "MALFORMED_SEARCH": "Write the search as FIND {words} IN ALL FIELDS RETURNING Account(Id).",
    "INVALID_OPERATION_WITH_EXPIRED_PASSWORD": "The user's password has expired: set a new one, then log in again.",
    "API_DISABLED_FOR_ORG": "This user or edition has no API access: have 'API Enabled' granted.",
    "API_CURRENTLY_DISABLED": "The org's API is switched off for now: ask its administrator, or try again later.",
    "TXN_SECURITY_METERING_ERROR": "Transaction security took too long: try again, or have this user exempted from it.",
    "TXN_SECURITY_NO_ACCESS": "A transaction security policy of the org forbids it: ask its administrator.",
    "UNSUPPORTED_API_VERSION": "Connect with another api_version that this org serves.",
    "GONE": "This API version is retired: connect with a newer api_version.",
    "METHOD_NOT_ALLOWED": "This org's API version has no such call: connect with a newer api_version.",
    "UNSUPPORTED_MEDIA_TYPE": "The org does not take this content type: check that no proxy changes the headers.",
    "JSON_PARSER_ERROR": "Give the value that the message names in the field's type.",
    "EXCEEDED_ID_LIMIT": "Name fewer records in one call.",
    # Bulk API 2.0, and the like of Bulk API 1.0 in mixed case (bulk2.md 6.1, bulk1.md 8)
    "API_ERROR": "Mend what the message names. A job is deleted only after its end; compound fields are read by REST.",
    "FEATURENOTENABLED": "Have the named feature granted to this user (for hardDelete: 'Bulk API Hard Delete').",
    "INVALIDENTITY": 'No bulk API takes this object: write with api="collections", read with api="rest".',
    "INVALIDJOB": "Check the job's id, object and key field. A job that got two uploads is aborted and made anew.",
    "INVALIDJOBSTATE": "Ask for the job's state again: it has moved on, and does not allow this any more.",
    "INVALIDBATCH": "Check the batch's id, and that its columns are fields of the object (a delete takes Id alone).",
    "INVALIDUSER": "Use the job as the user who made it, or have 'Manage Data Integrations' granted.",
    "INVALIDVERSION": "Connect with another api_version that this org serves.",
    "INVALIDOPERATION": "Check the address of the org: a proxy may change the path.",
    "INVALIDURL": "Check the address of the org: it must be the one that the login names.",
    "INVALIDXML": "Check that no proxy changes the body; else tell it to the makers of sfframe.",
    "HTTPSREQUIRED": "Use the https address of the org.",
    "UNSUPPORTEDCONTENTTYPE": "The job's content type is another one: make a job of CSV.",
    "CLIENTINPUTERROR": "Send smaller parts (LoadLimits), in the job's own delimiter and line ending.",
    "TIMEOUT": "Send smaller parts (LoadLimits), or narrow the query.",
    "TOOMANYLOCKFAILURE": "Send the rows sorted by parent (sort_by_parent), or one batch after the other (serial).",
    "INTERNALSERVERERROR": "The org failed inside: try again in some minutes.",
    "UNKNOWN": "The org gives no reason: try again, and show its support the job's id if it stays so.",
    # OAuth (rest.md 2.3)
    "invalid_client_id": "Check the client id (consumer key); a new app can take ten minutes to be known.",
    "invalid_client": "Check the client secret.",
    "invalid_grant": "In the app's settings, enable the client credentials flow and name a run-as user.",
    "invalid_app_access": "Have an administrator approve this user for the app.",
    "unsupported_grant_type": "Enable the client credentials flow in the app's settings.",
    "inactive_org": "The org is locked or expired: its administrator, or Salesforce, can open it again.",
    "inactive_user": "The app's run-as user is inactive: have it activated, or name another one in the app's settings.",
    "rate_limit_exceeded": "Too many logins in a short time: wait some minutes.",
    "invalid_scope": "Give the app the scope 'Manage user data via APIs (api)'.",
    "unauthorized_client": "Enable the client credentials flow in the app's settings.",
}
# Where the code says less, or there is none (rest.md 1.5; 413 is that of the edge and of proxies).
_REMEDY_BY_STATUS: dict[int, str] = {
    300: "Several records have this external id: make it unique in the org, or name the record by its Id.",
    400: "Mend what the org names in the request; where it names nothing, a proxy may have answered in its place.",
    405: _REMEDY_BY_CODE["METHOD_NOT_ALLOWED"],
    409: "Ask for the state again: it has changed. Results of a job come by the API version that made it.",
    410: _REMEDY_BY_CODE["GONE"],
    412: "The record was changed meanwhile: read it again.",
    413: "Send less at once (LoadLimits(bytes_per_job=...)); a proxy may allow less than Salesforce.",
    414: "Shorten the query, or send it by a bulk API, which takes 100,000 characters.",
    415: _REMEDY_BY_CODE["UNSUPPORTED_MEDIA_TYPE"],
    428: "The record was changed meanwhile: read it again.",
    431: "Shorten the query, or send it by a bulk API, which takes 100,000 characters.",
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
    remedy = _remedy(problem, kind)
    if 300 < problem.status < 400:
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


def _remedy(problem: Problem, kind: type[ApiError]) -> str:
    """What to do: by the code, be it of a request or of a record, then by the class, then by the status."""
    for code in (problem.code, problem.code.upper()):
        if code in _REMEDY_BY_CODE:
            return _REMEDY_BY_CODE[code]
    if problem.status in _REMEDY_BY_STATUS and not problem.code:
        return _REMEDY_BY_STATUS[problem.status]
    if kind in _REMEDY_BY_CLASS:
        return _REMEDY_BY_CLASS[kind]
    advice = advice_for(problem.code, problem.message)
    return _REMEDY_BY_STATUS.get(problem.status, "") if advice is NO_ADVICE else advice.text


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
