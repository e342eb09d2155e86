"""OAuth: tokens, and who a token belongs to (rest.md 2)."""

from __future__ import annotations

import base64
import binascii
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sfframe.localorg.routes.answers import JsonAnswer, host_of, services_of
from sfframe.localorg.services.auth import OAuthRefusal
from sfframe.localorg.services.errors import ServiceError


async def token(request: Request) -> Response:
    """POST /services/oauth2/token: parameters in the body or the query string, the client also by HTTP Basic."""
    form = await _form(request)
    form |= _basic(request.headers.get("authorization", ""))
    try:
        return JsonAnswer(services_of(request).sessions.token(form, host_of(request)))
    except OAuthRefusal as refusal:
        return JsonAnswer({"error": refusal.error, "error_description": refusal.description}, 400)


async def revoke(request: Request) -> Response:
    """POST /services/oauth2/revoke: ends the session."""
    services_of(request).sessions.close_session((await _form(request)).get("token", ""))
    return Response()


def userinfo(request: Request) -> Response:
    """GET or POST /services/oauth2/userinfo."""
    return JsonAnswer(services_of(request).sessions.userinfo(host_of(request)))


def identity(request: Request) -> Response:
    """GET /id/{org}/{user}, with ids of 15 or 18 characters."""
    store = services_of(request).store
    wanted = (request.path_params["org"], request.path_params["user"])
    if not all(
        given and len(given) >= 15 and whole.startswith(given)
        for given, whole in zip(wanted, (store.org_id, store.user_id), strict=True)
    ):
        raise ServiceError(404, "NOT_FOUND", "The requested resource does not exist")
    return JsonAnswer(services_of(request).sessions.identity(host_of(request)))


async def _form(request: Request) -> dict[str, str]:
    body = (await request.body()).decode("utf-8", "replace")
    return dict(request.query_params) | dict(parse_qsl(body, keep_blank_values=True))


def _basic(header: str) -> dict[str, str]:
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic":
        return {}
    try:
        client_id, _, client_secret = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return {}
    return {"client_id": client_id, "client_secret": client_secret}


routes = [
    Route("/services/oauth2/token", token, methods=["POST"]),
    Route("/services/oauth2/revoke", revoke, methods=["GET", "POST"]),
    Route("/services/oauth2/userinfo", userinfo, methods=["GET", "POST"]),
    Route("/id/{org}/{user}", identity, methods=["GET"]),
]
