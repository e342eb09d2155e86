"""How a connection gets its token, and a new one when the session has ended."""

from __future__ import annotations

from threading import Lock
from typing import Protocol, TypeVar

from sfframe.errors import UsageError
from sfframe.protocol.call import Call
from sfframe.protocol.oauth import Token, client_credentials

T = TypeVar("T")


class Send(Protocol):
    """Sends a call without a token."""

    def __call__(self, call: Call[T], base_url: str) -> T:
        """Sends it to ``base_url``, or to the org itself where that is empty."""
        ...


class Credentials(Protocol):
    """What can give a token. Used from several threads at once."""

    def token(self, send: Send) -> Token:
        """The token in use; logs in when there is none yet."""
        ...

    def renew(self, stale: Token, send: Send) -> Token | None:
        """A token that is not ``stale``; None where there is no way to get one."""
        ...


class AccessToken:
    """A token that somebody else got, such as ``sf org display`` shows. It cannot be renewed."""

    def __init__(self, token: str, *, identity_url: str = "") -> None:
        self._token = Token(_printable(token, "access token"), identity_url=identity_url)

    def token(self, send: Send) -> Token:
        """The token as it was given."""
        del send
        return self._token

    def renew(self, stale: Token, send: Send) -> Token | None:
        """Never possible."""
        del stale, send
        return None

    def __repr__(self) -> str:
        return "AccessToken(…)"


class ClientCredentials:
    """The OAuth client credentials flow: the app logs in as its run-as user (rest.md 2.1).

    ``login_url`` is the My Domain or site host that gives the token; empty means the org's instance URL. ``in_body``
    sends the secret in the form, for hosts that do not take the Basic header.
    """

    def __init__(self, client_id: str, client_secret: str, *, login_url: str = "", in_body: bool = False) -> None:
        self.client_id = _printable(client_id, "client id")
        self._client_secret = _printable(client_secret, "client secret")
        self._login_url = login_url
        self._in_body = in_body
        self._lock = Lock()
        self._token: Token | None = None

    def token(self, send: Send) -> Token:
        """The token in use; the first caller logs in while the others wait for it."""
        with self._lock:
            if self._token is None:
                self._token = self._log_in(send)
            return self._token

    def renew(self, stale: Token, send: Send) -> Token | None:
        """A newer token: of several threads that found the session ended, only the first logs in."""
        with self._lock:
            if self._token is None or self._token.access_token == stale.access_token:
                self._token = self._log_in(send)
            return self._token

    def _log_in(self, send: Send) -> Token:
        return send(client_credentials(self.client_id, self._client_secret, in_body=self._in_body), self._login_url)

    def __repr__(self) -> str:
        return f"ClientCredentials({self.client_id[:8]}…)"


def _printable(value: str, what: str) -> str:
    """A text that may stand in a header; blanks and line ends around it are an accident of copying."""
    bare = value.strip()
    if not bare or not bare.isascii() or not bare.isprintable() or " " in bare:
        raise UsageError(
            f"The {what} is empty or has letters that it cannot have.",
            remedy="Copy it again, without line breaks; it is not shown here.",
        )
    return bare
