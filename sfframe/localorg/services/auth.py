"""Auth: who may call. Sessions, the OAuth flows that need no browser, and what the org says of its user."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import string
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sfframe.localorg.services.errors import ServiceError
from sfframe.localorg.store.store import Store, quoted

_TOKEN_ALPHABET = string.ascii_letters + string.digits + "._"
SESSION_SECONDS = 7200.0  # rest.md 1.2: two hours, counted from the last use


@dataclass(frozen=True, slots=True)
class Secrets:
    """What a client needs for the OAuth flows; drawn anew for each run, never shown."""

    username: str
    password: str = field(repr=False)
    client_id: str = field(repr=False)
    client_secret: str = field(repr=False)


class OAuthRefusal(Exception):
    """A token request that is refused, with OAuth's error word and Salesforce's description (rest.md 2.3)."""

    def __init__(self, error: str, description: str) -> None:
        super().__init__(description)
        self.error = error
        self.description = description


@dataclass(slots=True)
class _Session:
    """``last_use`` is on the monotonic clock; a lasting session never ends by itself."""

    last_use: float
    lasting: bool


class Auth:
    """The sessions of one org. Every session belongs to the one integration user."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._sessions: dict[str, _Session] = {}
        self._lock = threading.Lock()
        self.secrets = Secrets(
            username=self._user()["Username"],
            password=_drawn(24),
            client_id=f"3MVG9{_drawn(60)}",
            client_secret=_drawn(64),
        )

    def open_session(self, *, lasting: bool = False) -> str:
        """A new access token in the shape that clients check: ``00D...!`` and letters (clients.md 2.1)."""
        token = f"{self._store.org_id[:15]}!{_drawn(96)}"
        with self._lock:
            self._sessions[token] = _Session(time.monotonic(), lasting)
        return token

    def close_session(self, token: str) -> None:
        """Forget a token; the next call with it is refused."""
        with self._lock:
            self._sessions.pop(token, None)

    def check(self, token: str | None) -> None:
        """Let a call pass and count it as use of its session, or raise the 401 that every client knows."""
        now = time.monotonic()
        with self._lock:
            session = self._sessions.get(token or "")
            if session is not None and not session.lasting and now - session.last_use > SESSION_SECONDS:
                del self._sessions[token or ""]
                session = None
            if session is not None:
                session.last_use = now
        if session is None:
            raise ServiceError(401, "INVALID_SESSION_ID", "Session expired or invalid")

    def token(self, form: Mapping[str, str], host: str) -> dict[str, str]:
        """The answer to a token request (rest.md 2.1); ``host`` is the URL under which the client sees the org."""
        flow = form.get("grant_type", "")
        if flow not in {"client_credentials", "password"}:
            raise OAuthRefusal("unsupported_grant_type", "grant type not supported")
        self._check_client(form)
        if flow == "password":
            named = hmac.compare_digest(form.get("username", "").encode(), self.secrets.username.encode())
            known = hmac.compare_digest(form.get("password", "").encode(), self.secrets.password.encode())
            if not (named and known):
                raise OAuthRefusal("invalid_grant", "authentication failure")
        answer = self._granted(host)
        keys = (
            ("access_token", "instance_url", "id", "token_type", "issued_at", "signature")
            if flow == "password"
            else ("access_token", "signature", "scope", "token_format", "instance_url", "id", "token_type", "issued_at")
        )
        whole = {key: answer[key] for key in keys}
        return whole if flow == "password" else whole | {"api_instance_url": host}

    def identity(self, host: str) -> dict[str, Any]:
        """What ``/id/{org}/{user}`` answers (rest.md 2.4)."""
        user = self._user()
        return {
            "id": self._identity_url(host),
            "asserted_user": True,
            "user_id": self._store.user_id,
            "organization_id": self._store.org_id,
            "username": user["Username"],
            "nick_name": user["CommunityNickname"],
            "display_name": user["Name"],
            "email": user["Email"],
            "email_verified": True,
            "first_name": user["FirstName"],
            "last_name": user["LastName"],
            "timezone": user["TimeZoneSidKey"],
            "photos": {"picture": f"{host}/profilephoto/005/F", "thumbnail": f"{host}/profilephoto/005/T"},
            "status": {"created_date": None, "body": None},
            "urls": self._urls(host),
            "active": user["IsActive"],
            "user_type": "STANDARD",
            "language": user["LanguageLocaleKey"],
            "locale": user["LocaleSidKey"],
            "utcOffset": 0,
            "last_modified_date": f"{user['LastModifiedDate']:%Y-%m-%dT%H:%M:%S}Z",
            "is_app_installed": True,
        }

    def userinfo(self, host: str) -> dict[str, Any]:
        """What ``/services/oauth2/userinfo`` answers: the same facts under OpenID's names."""
        known = self.identity(host)
        return {
            "sub": known["id"],
            "user_id": known["user_id"],
            "organization_id": known["organization_id"],
            "preferred_username": known["username"],
            "nickname": known["nick_name"],
            "name": known["display_name"],
            "email": known["email"],
            "email_verified": known["email_verified"],
            "given_name": known["first_name"],
            "family_name": known["last_name"],
            "zoneinfo": known["timezone"],
            "photos": known["photos"],
            "profile": f"{host}/{known['user_id']}",
            "picture": known["photos"]["picture"],
            "address": {},
            "urls": known["urls"],
            "active": known["active"],
            "user_type": known["user_type"],
            "language": known["language"],
            "locale": known["locale"],
            "utcOffset": known["utcOffset"],
            "updated_at": known["last_modified_date"],
        }

    def _check_client(self, form: Mapping[str, str]) -> None:
        if not hmac.compare_digest(form.get("client_id", "").encode(), self.secrets.client_id.encode()):
            raise OAuthRefusal("invalid_client_id", "client identifier invalid")
        if not hmac.compare_digest(form.get("client_secret", "").encode(), self.secrets.client_secret.encode()):
            raise OAuthRefusal("invalid_client", "invalid client credentials")

    def _granted(self, host: str) -> dict[str, str]:
        identity, issued_at = self._identity_url(host), str(int(time.time() * 1000))
        signed = hmac.digest(self.secrets.client_secret.encode(), f"{identity}{issued_at}".encode(), hashlib.sha256)
        return {
            "access_token": self.open_session(),
            "signature": base64.b64encode(signed).decode(),
            "scope": "api",
            "token_format": "opaque",
            "instance_url": host,
            "id": identity,
            "token_type": "Bearer",
            "issued_at": issued_at,
        }

    def _identity_url(self, host: str) -> str:
        return f"{host}/id/{self._store.org_id}/{self._store.user_id}"

    def _urls(self, host: str) -> dict[str, str]:
        data = f"{host}/services/data/v{{version}}/"
        paths = {"sobjects": "sobjects/", "search": "search/", "query": "query/", "recent": "recent/"}
        return {
            "rest": data,
            **{name: data + path for name, path in paths.items()},
            "profile": f"{host}/{self._store.user_id}",
            "custom_domain": host,
        }

    def _user(self) -> dict[str, Any]:
        names = [
            *("Username", "CommunityNickname", "Name", "Email", "FirstName", "LastName", "TimeZoneSidKey"),
            *("IsActive", "LanguageLocaleKey", "LocaleSidKey", "LastModifiedDate"),
        ]
        with self._store.cursor() as cursor:
            columns = ", ".join(quoted(name) for name in names)
            rows = cursor.execute(
                f'SELECT {columns} FROM data."User" WHERE "Id" = $1', [self._store.user_id]
            ).fetchall()
        return dict(zip(names, rows[0], strict=True))


def _drawn(length: int) -> str:
    return "".join(secrets.choice(_TOKEN_ALPHABET) for _ in range(length))
