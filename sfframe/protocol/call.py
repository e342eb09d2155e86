"""Call: one request to the org as frozen data. Reply: what came back, without a type of the HTTP library."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Generic, Literal, TypeVar

T_co = TypeVar("T_co", covariant=True)

Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
_NO_HEADERS: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer: status, headers under lower-case names (bulk2.md 1.3: the case varies), and the body's bytes."""

    status: int
    headers: Mapping[str, str]
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Call(Generic[T_co]):
    """One request, and how to read its answer.

    ``path`` without a leading slash lies under ``/services/data/vNN.N/``; with one it is taken from the host's root.
    ``body`` is bytes, or a file that is streamed. ``read`` gets only answers with a status below 300 (and those in
    ``accepts``); every other answer is raised as the error that ``sfframe.protocol.error_body`` reads from it.
    ``repeatable`` says that sending it twice does no more than sending it once.
    """

    method: Method
    path: str
    read: Callable[[Reply], T_co]
    repeatable: bool
    query: tuple[tuple[str, str], ...] = ()
    headers: Mapping[str, str] = field(default_factory=lambda: _NO_HEADERS)
    body: bytes | Path | None = field(default=None, repr=False)  # may hold a secret or a record: never in a repr
    accepts: frozenset[int] = frozenset()
    job_id: str = ""
    authorised: bool = True

    @property
    def where(self) -> str:
        """Method and path, for messages; the query string is left out because it may hold record values."""
        return f"{self.method} {self.path}"
