"""Auth: who may call. The org's secrets, and the sessions that they open."""

from __future__ import annotations

import hmac
import secrets
import string
import threading
from dataclasses import dataclass, field

from sfframe.localorg.services.errors import ServiceError
from sfframe.localorg.services.identity import integration_user
from sfframe.localorg.store.store import Store

_TOKEN_ALPHABET = string.ascii_letters + string.digits + "._"


@dataclass(frozen=True, slots=True)
class Secrets:
    """What a client needs for the logins; drawn anew for each run, never shown."""

    username: str
    password: str = field(repr=False)
    security_token: str = field(repr=False)
    client_id: str = field(repr=False)
    client_secret: str = field(repr=False)
    refresh_token: str = field(repr=False)


@dataclass(slots=True)
class Session:
    """Times are seconds since 1970; a lasting session never ends by itself."""

    opened: float
    last_use: float
    lasting: bool


class Auth:
    """The sessions of one org. Every session belongs to the one integration user.

    A session ends ``Settings.session_seconds`` after its last use (rest.md 1.2).
    """

    def __init__(self, store: Store) -> None:
        self._clock = store.clock
        self._org_id = store.org_id
        self._seconds = store.settings.session_seconds
        self._sessions: dict[str, Session] = {}
        self._lock = threading.Lock()
        self.secrets = Secrets(
            username=integration_user(store)["Username"],
            password=_drawn(24),
            security_token=_drawn(24),
            client_id=f"3MVG9{_drawn(60)}",
            client_secret=_drawn(64),
            refresh_token=f"5Aep{_drawn(80)}",
        )

    def time(self) -> float:
        """The org's time in seconds since 1970."""
        return self._clock.now().timestamp()

    def open_session(self, *, lasting: bool = False) -> str:
        """A new access token in the shape that clients check: ``00D...!`` and letters (clients.md 2.1)."""
        token = f"{self._org_id[:15]}!{_drawn(96)}"
        now = self.time()
        with self._lock:
            self._sessions[token] = Session(now, now, lasting)
        return token

    def close_session(self, token: str) -> bool:
        """Forget a token; the next call with it is refused. Answers whether there was such a session."""
        with self._lock:
            return self._sessions.pop(token, None) is not None

    def find(self, token: str | None) -> Session | None:
        """The session of a token, if it has not ended; looking at it is no use of it."""
        with self._lock:
            session = self._sessions.get(token or "")
            if session is not None and self._has_ended(session):
                del self._sessions[token or ""]
                return None
            return session

    def check(self, token: str | None) -> None:
        """Let a call pass and count it as use of its session, or raise the 401 that every client knows."""
        session = self.find(token)
        if session is None:
            raise ServiceError(401, "INVALID_SESSION_ID", "Session expired or invalid")
        session.last_use = self.time()

    def knows_user(self, username: str, password: str) -> bool:
        """Whether the password is the user's, with or without the security token glued to it (rest.md 3).

        A real org wants the token from unknown networks only; to this org every network is known.
        """
        known = self.secrets
        right = same(password, known.password) | same(password, known.password + known.security_token)
        return username.casefold() == known.username.casefold() and right

    def ends_at(self, session: Session) -> float:
        """When the session ends if it is not used any more; seconds since 1970."""
        return session.last_use + self._seconds

    def _has_ended(self, session: Session) -> bool:
        return not session.lasting and self.time() > self.ends_at(session)


def same(given: str, known: str) -> bool:
    """Whether a secret was given; how long it takes tells nothing about it."""
    return hmac.compare_digest(given.encode("utf-8", "surrogatepass"), known.encode())


def _drawn(length: int) -> str:
    return "".join(secrets.choice(_TOKEN_ALPHABET) for _ in range(length))
