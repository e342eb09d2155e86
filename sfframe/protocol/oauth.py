"""OAuth: a token for client credentials, and who the token stands for (rest.md 2)."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import quote, urlencode, urlsplit

from sfframe.ids import is_id, to18
from sfframe.protocol.call import Call, Reply
from sfframe.protocol.json_body import read_object, required_text, text

_FORM: Mapping[str, str] = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}


@dataclass(frozen=True, slots=True)
class Token:
    """An access token, and what came with it. ``issued_at`` is None where the login does not say it."""

    access_token: str = field(repr=False)
    instance_url: str = ""
    identity_url: str = ""
    issued_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a connection is. A text that could not be had is empty.

    ``kind`` is production, sandbox, scratch, developer, trial, or unknown where the user may not read the Organization.
    """

    username: str = ""
    user_id: str = ""
    organization_id: str = ""
    organization_name: str = ""
    kind: str = "unknown"


def client_credentials(client_id: str, client_secret: str, *, in_body: bool = False) -> Call[Token]:
    """Asks for a token as the app's run-as user. Works only at a My Domain or site host, never at login.salesforce.com.

    The secret goes into the Basic header, or with ``in_body`` into the form. Asking twice gives two good tokens.
    """
    form, headers = {"grant_type": "client_credentials"}, dict(_FORM)
    if in_body:
        form |= {"client_id": client_id, "client_secret": client_secret}
    else:
        # RFC 6749 2.3.1: both parts are form-encoded before they are joined by a colon
        pair = f"{quote(client_id, safe='')}:{quote(client_secret, safe='')}"
        headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
    return Call(
        "POST",
        "/services/oauth2/token",
        _read_token,
        repeatable=True,
        headers=headers,
        body=urlencode(form).encode(),
        authorised=False,
    )


def userinfo() -> Call[Identity]:
    """Who the token stands for: user and organization ids, and the username. The rest of ``Identity`` stays empty."""
    return Call("GET", "/services/oauth2/userinfo", _read_identity, repeatable=True)


def identity_from_url(identity_url: str) -> Identity:
    """The ids in an identity URL (``…/id/{organization}/{user}``); empty texts where it has another shape."""
    parts = urlsplit(identity_url).path.strip("/").split("/")
    if len(parts) == 3 and parts[0] == "id" and is_id(parts[1]) and is_id(parts[2]):
        return Identity(organization_id=to18(parts[1]), user_id=to18(parts[2]))
    return Identity()


def _read_token(reply: Reply) -> Token:
    body = read_object(reply)
    issued = text(body, "issued_at")  # milliseconds, as text (rest.md 2.1)
    return Token(
        access_token=required_text(body, "access_token"),
        instance_url=text(body, "instance_url").rstrip("/"),
        identity_url=text(body, "id"),
        issued_at=datetime.fromtimestamp(int(issued) / 1000, UTC) if issued.isdigit() else None,
    )


def _read_identity(reply: Reply) -> Identity:
    body = read_object(reply)
    return Identity(
        username=text(body, "preferred_username") or text(body, "username"),
        user_id=_id18(text(body, "user_id")),
        organization_id=_id18(text(body, "organization_id")),
    )


def _id18(value: str) -> str:
    return to18(value) if is_id(value) else value
