"""The gate: which version, whose session, how many calls; and the small liberties that clients take with requests."""

from __future__ import annotations

from urllib.parse import parse_qs

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sfframe.localorg.services.services import Services
from sfframe.localorg.services.versions import check_version

_DATA = "/services/data"
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
        scope = _as_meant(scope)
        path: str = scope["path"]
        if not path.startswith(_WITH_SESSION):
            await self._app(scope, receive, send)
            return
        if path.startswith(f"{_DATA}/"):
            check_version(path.split("/")[3])
        services.sessions.check(session_of(scope))
        if not path.startswith(f"{_DATA}/"):
            await self._app(scope, receive, send)
            return
        used, allowed = services.limits.count_call()

        async def with_usage(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(raw=message["headers"])["Sforce-Limit-Info"] = f"api-usage={used}/{allowed}"
            await send(message)

        await self._app(scope, receive, with_usage)


def _as_meant(scope: Scope) -> Scope:
    path, method = scope["path"], scope["method"]
    if len(path) > 1 and path.endswith("/"):
        path = path[:-1]
    if method == "POST" and b"_HttpMethod" in scope["query_string"]:
        meant = _parameter(scope, "_HttpMethod").upper()
        method = meant if meant in {"PATCH", "DELETE", "PUT", "GET"} else method
    return {**scope, "path": path, "method": method}


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
