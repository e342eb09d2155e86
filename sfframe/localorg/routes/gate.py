"""The gate: which version, whose session, how many calls; and the small liberties that clients take with requests."""

from __future__ import annotations

import re
from urllib.parse import parse_qs

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sfframe.localorg.services import rules
from sfframe.localorg.services.bulk1_errors import Bulk1Error
from sfframe.localorg.services.errors import ServiceError
from sfframe.localorg.services.services import Services
from sfframe.localorg.services.versions import check_version

_DATA = "/services/data"
_LONGEST = 16_384  # bytes
_ASYNC = "/services/async/"
_WITH_SUFFIX = re.compile(r"(/services/data/v(\d{1,3})\.0/.+)\.(json|xml)", re.ASCII)
_XML = {"application/xml", "text/xml"}
_LAST_WITH_SUFFIX = 57  # the version up to which a path may say the format that it wants (rest.md 1.1)
_SLASHES = re.compile("/+")
_WITH_SESSION = ("/services/data/", "/services/oauth2/userinfo", "/services/oauth2/singleaccess", "/id/")


class Gate:
    """Innermost ring: everything behind it comes with a valid session wherever one is needed.

    A slash at the end of the path is ignored (bulk2.md 1.1), ``POST ?_HttpMethod=PATCH`` is a PATCH (rest.md 1.1), and
    each counted call tells the day's usage in ``Sforce-Limit-Info`` (rest.md 1.4).
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Take one request, as ASGI has it."""
        services: Services = scope["app"].state.services
        _check_length(scope)
        scope = _as_meant(scope)
        path: str = scope["path"]
        if path.startswith(_ASYNC):
            _admit_to_bulk1(services, scope)
        if not path.startswith(_WITH_SESSION):
            await self._app(scope, receive, send)
            return
        if path.startswith(f"{_DATA}/"):
            check_version(path.split("/")[3])
        services.sessions.check(session_of(scope))
        if not path.startswith(f"{_DATA}/"):
            await self._app(scope, receive, send)
            return
        _check_format(scope)
        used, allowed = services.limits.count_call()
        said = Headers(scope=scope).get("sforce-duplicate-rule-header", "")
        rules.allow_save.set("allowsave=true" in said.replace(" ", "").lower())

        async def with_usage(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(raw=message["headers"])["Sforce-Limit-Info"] = f"api-usage={used}/{allowed}"
            await send(message)

        await self._app(scope, receive, with_usage)


def _check_length(scope: Scope) -> None:
    """Refuse what is too long (rest.md 1.5); codes and words are guesses."""
    length = len(scope["raw_path"]) + len(scope["query_string"])
    if length > _LONGEST:
        raise ServiceError(414, "URI_TOO_LONG", f"The URI is longer than {_LONGEST} bytes")
    if length + sum(len(name) + len(value) for name, value in scope["headers"]) > _LONGEST:
        raise ServiceError(431, "REQUEST_HEADER_FIELDS_TOO_LARGE", f"URI and headers are longer than {_LONGEST} bytes")


def _check_format(scope: Scope) -> None:
    """Refuse who wants XML and nothing else: how an org writes its answers in XML is in no recording (rest.md 1.1).

    JSON instead would be taken for a broken answer. Status and words are the embedded org's own.
    """
    kinds = {one.partition(";")[0].strip().lower() for one in Headers(scope=scope).get("accept", "").split(",")}
    suffixed = _WITH_SUFFIX.fullmatch(scope["path"])
    named = suffixed is not None and suffixed[3] == "xml" and int(suffixed[2]) <= _LAST_WITH_SUFFIX
    if named or (kinds & _XML and not any(one.endswith(("json", "/*")) for one in kinds)):
        raise ServiceError(
            406, "NOT_ACCEPTABLE", "The embedded org answers in JSON, not in XML. Accept application/json"
        )


def _as_meant(scope: Scope) -> Scope:
    # The sf CLI keeps an instance URL with its last slash; Salesforce takes the two (jsforce pull request 1525).
    path, method = f"/{scope['path'].lstrip('/')}", scope["method"]
    if _ASYNC in path:
        path = _SLASHES.sub("/", path)  # clients double them (bulk1.md 1.1)
    if len(path) > 1 and path.endswith("/"):
        path = path[:-1]
    suffixed = _WITH_SUFFIX.fullmatch(path)
    if suffixed is not None and suffixed[3] == "json" and int(suffixed[2]) <= _LAST_WITH_SUFFIX:
        path = suffixed[1]
    if method == "POST" and b"_HttpMethod" in scope["query_string"]:
        meant = _parameter(scope, "_HttpMethod").upper()
        method = meant if meant in {"PATCH", "DELETE", "PUT", "GET"} else method
    return {**scope, "path": path, "method": method}


def _admit_to_bulk1(services: Services, scope: Scope) -> None:
    """Check version and session of a call of Bulk API 1.0, whose refusals all have status 400 (bulk1.md 1.1, 1.2)."""
    version = scope["path"].split("/")[3]
    try:
        check_version(f"v{version}")
    except ServiceError as error:
        raise Bulk1Error("InvalidVersion", f"Invalid version: {version}") from error  # the words are a guess
    session = Headers(scope=scope).get("x-sfdc-session") or session_of(scope)
    if not session:
        raise Bulk1Error("InvalidSessionId", "Unable to find session id")
    services.sessions.check(session)
    services.limits.count_call()


def session_of(scope: Scope) -> str | None:
    """The access token, wherever the client put it (clients.md 2.4)."""
    headers = Headers(scope=scope)
    scheme, _, token = headers.get("authorization", "").partition(" ")
    if scheme.lower() in {"bearer", "oauth"}:
        return token.strip()
    if "x-sfdc-session" in headers:
        return headers["x-sfdc-session"]
    return _parameter(scope, "oauth_token") if scope["path"].startswith("/id/") else None


def _parameter(scope: Scope, name: str) -> str:
    query: bytes = scope["query_string"]
    return parse_qs(query.decode("latin-1")).get(name, [""])[0]
