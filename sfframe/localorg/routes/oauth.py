"""OAuth: tokens, and who a token belongs to (rest.md 2)."""

from __future__ import annotations

import secrets
from urllib.parse import parse_qsl, urlencode

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sfframe.localorg.routes.answers import JsonAnswer, host_of, services_of
from sfframe.localorg.services.errors import ServiceError
from sfframe.localorg.services.grants import OAuthRefusal, basic_client


async def token(request: Request) -> Response:
    """POST /services/oauth2/token: parameters in the body or the query string, the client also by HTTP Basic."""
    form = await _form(request)
    try:
        return JsonAnswer(services_of(request).grants.token(form, host_of(request)))
    except OAuthRefusal as refusal:
        return JsonAnswer({"error": refusal.error, "error_description": refusal.description}, 400)


async def revoke(request: Request) -> Response:
    """POST or GET /services/oauth2/revoke: ends the session. Its errors are form-encoded (rest.md 2.1)."""
    try:
        services_of(request).grants.revoke((await _form(request)).get("token", ""))
    except OAuthRefusal as refusal:
        words = urlencode({"error": refusal.error, "error_description": refusal.description})
        return Response(words, 400, media_type="application/x-www-form-urlencoded")
    return Response()


async def introspect(request: Request) -> Response:
    """POST /services/oauth2/introspect."""
    try:
        return JsonAnswer(services_of(request).grants.introspect(await _form(request), host_of(request)))
    except OAuthRefusal as refusal:
        return JsonAnswer({"error": refusal.error, "error_description": refusal.description}, 400)


def userinfo(request: Request) -> Response:
    """GET or POST /services/oauth2/userinfo."""
    return JsonAnswer(services_of(request).identity.userinfo(host_of(request)))


async def single_access(request: Request) -> Response:
    """GET or POST /services/oauth2/singleaccess: an address that opens the org in a browser.

    This org has no pages; the address is what a client hands on (clients.md, row 6).
    """
    opened = {"otp": secrets.token_urlsafe(32)}
    target = (await _form(request)).get("redirect_uri")
    words = urlencode(opened | ({"startURL": target} if target else {}))
    return JsonAnswer({"frontdoor_uri": f"{host_of(request)}/secur/frontdoor.jsp?{words}"})


def identity(request: Request) -> Response:
    """GET /id/{org}/{user}, with ids of 15 or 18 characters."""
    store = services_of(request).store
    wanted = (request.path_params["org"], request.path_params["user"])
    if not all(
        given and len(given) >= 15 and whole.startswith(given)
        for given, whole in zip(wanted, (store.org_id, store.user_id), strict=True)
    ):
        raise ServiceError(404, "NOT_FOUND", "The requested resource does not exist")
    return JsonAnswer(services_of(request).identity.shown(host_of(request), request.query_params.get("version")))


async def _form(request: Request) -> dict[str, str]:
    body = (await request.body()).decode("utf-8", "replace")
    form = dict(request.query_params) | dict(parse_qsl(body, keep_blank_values=True))
    return form | basic_client(request.headers.get("authorization", ""))


_BASE = "/services/oauth2"
routes = [
    Route(f"{_BASE}/token", token, methods=["POST"]),
    Route(f"{_BASE}/revoke", revoke, methods=["GET", "POST"]),
    Route(f"{_BASE}/introspect", introspect, methods=["POST"]),
    Route(f"{_BASE}/userinfo", userinfo, methods=["GET", "POST"]),
    Route(f"{_BASE}/singleaccess", single_access, methods=["GET", "POST"]),
    Route("/id/{org}/{user}", identity, methods=["GET"]),
]
