"""Call: one request to the org as frozen data. Reply and Streamed: what came back, without a type of httpx."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from types import MappingProxyType
from typing import Generic, Literal, TypeVar

T_co = TypeVar("T_co", covariant=True)

Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
Service = Literal["data", "async"]
NO_HEADERS: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer: status, headers under lower-case names (bulk2.md 1.3: the case varies), and the body's bytes."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(default=b"", repr=False)  # may hold a token or a record: never in a repr

    @property
    def clock(self) -> datetime | None:
        """The org's clock when it answered, in whole seconds; None where it hid it."""
        try:
            return parsedate_to_datetime(self.headers.get("date", "")).astimezone(UTC)
        except (TypeError, ValueError):
            return None


@dataclass(frozen=True, slots=True)
class Streamed:
    """An answer whose body is still on the wire: status, headers under lower-case names, and the body in pieces.

    The pieces are decompressed and can be taken once. A body that ends early raises ``ConnectionFailed`` while it is
    read; what was taken until then is not the whole answer.
    """

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: Iterator[bytes] = field(repr=False)

    def chunks(self) -> Iterator[bytes]:
        """The body's pieces, in order; their sizes mean nothing."""
        return self.body


@dataclass(frozen=True, slots=True)
class Call(Generic[T_co]):
    """One request, and how to read its answer.

    ``path`` without a leading slash lies under the ``service``: ``data`` is ``/services/data/vNN.N/``, ``async`` is the
    Bulk API 1.0 at ``/services/async/NN.N/``, which wants the token in a header of its own (bulk1.md 1.1, 1.2). With a
    leading slash it is taken from the host's root.
    ``body`` is bytes, or a file that is streamed. ``read`` gets only answers with a status below 300 (and those in
    ``accepts``); every other answer is raised as the error that ``sfframe.protocol.error_body`` reads from it.
    ``repeatable`` says that sending it twice does no more than sending it once.
    """

    method: Method
    path: str
    read: Callable[[Reply], T_co]
    repeatable: bool
    query: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    headers: Mapping[str, str] = field(default_factory=lambda: NO_HEADERS, repr=False)
    body: bytes | Path | None = field(default=None, repr=False)  # may hold a secret or a record: never in a repr
    accepts: frozenset[int] = frozenset()
    job_id: str = ""
    authorised: bool = True
    service: Service = "data"

    @property
    def where(self) -> str:
        """Method, path and job for messages; the query string is left out because it may hold record values."""
        at = f"{self.method} {self.path.partition('?')[0]}"
        return f"{at} (job {self.job_id})" if self.job_id and self.job_id not in self.path else at

    def accepts_status(self, status: int) -> bool:
        """True where ``read`` understands an answer with this status."""
        return 200 <= status < 300 or status in self.accepts


def read_nothing(reply: Reply) -> None:
    """For answers that carry nothing but their status."""
    del reply


def read_bytes(reply: Reply) -> bytes:
    """For answers that are handed on as they came."""
    return reply.body
