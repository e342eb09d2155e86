"""Grants: the OAuth flows that need no browser (rest.md 2)."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

from sfframe.localorg.services.auth import Auth, same
from sfframe.localorg.services.identity import Identity

JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"

# The keys of each flow's answer, in order (rest.md 2.1).
_ANSWERS = {
    "client_credentials": (
        *("access_token", "signature", "scope", "token_format", "instance_url", "id", "token_type", "issued_at"),
        "api_instance_url",
    ),
    "password": ("access_token", "instance_url", "id", "token_type", "issued_at", "signature"),
    "refresh_token": ("access_token", "signature", "scope", "instance_url", "id", "token_type", "issued_at"),
    JWT_BEARER: ("access_token", "scope", "instance_url", "id", "token_type"),
}
_SCOPE = {"client_credentials": "api"}


class OAuthRefusal(Exception):
    """A token request that is refused, with OAuth's error word and Salesforce's description (rest.md 2.3)."""

    def __init__(self, error: str, description: str) -> None:
        super().__init__(description)
        self.error = error
        self.description = description


class Grants:
    """Opens sessions for clients that prove who they are. ``host`` is the URL under which the client sees the org."""

    def __init__(self, auth: Auth, identity: Identity) -> None:
        self._auth = auth
        self._identity = identity
        self._checks: dict[str, Callable[[Mapping[str, str], str], None]] = {
            "client_credentials": lambda form, _: self._check_client(form),
            "password": self._check_password,
            "refresh_token": self._check_refresh,
            JWT_BEARER: self._check_assertion,
        }

    def token(self, form: Mapping[str, str], host: str) -> dict[str, str]:
        """The answer to a token request. Parameters that the flow does not know are ignored, as clients expect."""
        flow = form.get("grant_type", "")
        if flow not in self._checks:
            raise OAuthRefusal("unsupported_grant_type", "grant type not supported")
        self._checks[flow](form, host)
        identity, issued_at = self._identity.url(host), str(int(self._auth.time() * 1000))
        secret = self._auth.secrets.client_secret.encode()
        whole = {
            "access_token": self._auth.open_session(),
            "signature": _base64(hmac.digest(secret, f"{identity}{issued_at}".encode(), hashlib.sha256)),
            "scope": _SCOPE.get(flow, "api refresh_token"),
            "token_format": "opaque",
            "instance_url": host,
            "id": identity,
            "token_type": "Bearer",
            "issued_at": issued_at,
            "api_instance_url": host,
        }
        return {key: whole[key] for key in _ANSWERS[flow]}

    def revoke(self, token: str) -> None:
        """End a session; the refresh token can be named too and stays, as other runs of a test may need it."""
        if not self._auth.close_session(token) and not same(token, self._auth.secrets.refresh_token):
            raise OAuthRefusal("unsupported_token_type", "this token type is not supported")

    def introspect(self, form: Mapping[str, str], host: str) -> dict[str, Any]:
        """What is known of a token, for a client that proves itself (RFC 7662; Salesforce's keys by rest.md 2.1)."""
        self._check_client(form)
        session = self._auth.find(form.get("token"))
        if session is None:
            return {"active": False}
        return {
            "active": True,
            "scope": "api",
            "client_id": self._auth.secrets.client_id,
            "username": self._auth.secrets.username,
            "sub": self._identity.url(host),
            "token_type": "access_token",
            "exp": int(self._auth.ends_at(session)),
            "iat": int(session.opened),
            "nbf": int(session.opened),
        }

    def _check_client(self, form: Mapping[str, str], *, with_secret: bool = True) -> None:
        if not same(form.get("client_id", ""), self._auth.secrets.client_id):
            raise OAuthRefusal("invalid_client_id", "client identifier invalid")
        if with_secret and not same(form.get("client_secret", ""), self._auth.secrets.client_secret):
            raise OAuthRefusal("invalid_client", "invalid client credentials")

    def _check_password(self, form: Mapping[str, str], _host: str) -> None:
        self._check_client(form)
        if not self._auth.knows_user(form.get("username", ""), form.get("password", "")):
            raise OAuthRefusal("invalid_grant", "authentication failure")

    def _check_refresh(self, form: Mapping[str, str], _host: str) -> None:
        self._check_client(form, with_secret="client_secret" in form)  # rest.md 2.1: the secret may be left out
        if not same(form.get("refresh_token", ""), self._auth.secrets.refresh_token):
            raise OAuthRefusal("invalid_grant", "expired access/refresh token")

    def _check_assertion(self, form: Mapping[str, str], host: str) -> None:
        """The claims of a JWT; its signature is not looked at.

        A convenience for tests: a real org verifies it with the certificate of the connected app, and this org has
        no place to register one.
        """
        claims = _claims(form.get("assertion", ""))
        if not same(str(claims.get("iss")), self._auth.secrets.client_id):
            raise OAuthRefusal("invalid_client_id", "client identifier invalid")
        if str(claims.get("sub", claims.get("prn"))).casefold() != self._auth.secrets.username.casefold():
            raise OAuthRefusal("invalid_grant", "user hasn't approved this consumer")
        if not _is_audience(str(claims.get("aud")), host):
            raise OAuthRefusal("invalid_grant", "audience is invalid")
        try:
            # rest.md 2.2: seconds as a number or a text; the sf CLI sends milliseconds, a date far in the future.
            expires = float(claims["exp"])
        except (KeyError, TypeError, ValueError, OverflowError):
            raise OAuthRefusal("invalid_grant", "invalid assertion") from None
        if not expires > time.time():  # who made the assertion has the machine's clock
            raise OAuthRefusal("invalid_grant", "expired authorization code")  # recorded (rest.md 2.3)


def _claims(assertion: str) -> dict[str, Any]:
    try:
        head, claims, _ = (part + "=" * (-len(part) % 4) for part in assertion.split("."))
        read = [json.loads(base64.b64decode(part, altchars=b"-_", validate=True)) for part in (head, claims)]
    except (ValueError, RecursionError):
        read = []
    if len(read) != 2 or not all(isinstance(part, dict) for part in read):
        raise OAuthRefusal("invalid_grant", "invalid assertion")
    return dict(read[1])


def _is_audience(audience: str, host: str) -> bool:
    """Salesforce's login hosts, any My Domain, and the org itself (rest.md 2.2)."""
    try:
        name = urlsplit(audience).hostname or ""
    except ValueError:
        return False
    return name.endswith(".salesforce.com") or name == urlsplit(host).hostname


def basic_client(header: str) -> dict[str, str]:
    """The client that an Authorization header of the kind Basic names, as form parameters."""
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic":
        return {}
    try:
        client_id, _, client_secret = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return {}
    return {"client_id": client_id, "client_secret": client_secret}


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
