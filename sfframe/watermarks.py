"""Watermark: up to where an object was read, and the small file that keeps it."""

from __future__ import annotations

import base64
import datetime as dt
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from sfframe.errors import UsageError
from sfframe.jobs.wire import written_whole

_FORM: Final = 1  # of the text; another one is refused
_BEGIN_ANEW: Final = "Read without it, from the beginning, and replace what you stored."


@dataclass(frozen=True, slots=True)
class Watermark:
    """Where the next ``read_changes`` of this object begins.

    ``at`` is the org's clock when it was read. ``since`` lies before that: a transaction that runs for long writes
    with the time of its beginning, so that span is read once more. What of it has been given already is in here, by Id
    and time but without values, so that it is not given twice. ``str()`` makes a text of it, ``parse`` the reverse.
    """

    org: str
    sobject: str
    since: dt.datetime
    at: dt.datetime
    columns: tuple[str, ...] = field(repr=False)
    where: str = field(default="", repr=False)  # a digest: the condition may hold values of records
    given: bytes = field(default=b"", repr=False)
    hashes: str = field(default="", repr=False)  # who made those in ``given``

    def __str__(self) -> str:
        told = {
            "form": _FORM,
            "org": self.org,
            "sobject": self.sobject,
            "since": self.since.isoformat(),
            "at": self.at.isoformat(),
            "columns": self.columns,
            "where": self.where,
            "given": base64.b64encode(self.given).decode(),
            "hashes": self.hashes,
        }
        return json.dumps(told, indent=1)

    @staticmethod
    def parse(text: str) -> Watermark:
        """The watermark that ``str()`` made a text of; UsageError for any other text."""
        try:
            told: Any = json.loads(text)
            if told["form"] != _FORM:
                raise UsageError("The watermark is of another version of sfframe", remedy=_BEGIN_ANEW)
            return Watermark(
                org=str(told["org"]),
                sobject=str(told["sobject"]),
                since=_moment(told["since"]),
                at=_moment(told["at"]),
                columns=tuple(map(str, told["columns"])),
                where=str(told["where"]),
                given=base64.b64decode(told["given"], validate=True),
                hashes=str(told["hashes"]),
            )
        except (ValueError, TypeError, KeyError) as problem:
            if isinstance(problem, UsageError):
                raise
            raise UsageError("The text is no watermark of sfframe", remedy=_BEGIN_ANEW) from problem


@dataclass(frozen=True, slots=True)
class StateFile:
    """The file of a watermark as it was found; ``found`` is None where there was none."""

    path: Path
    found: Watermark | None

    @staticmethod
    def read(path: Path) -> StateFile:
        """Looks at ``path``, whose folder must be there; UsageError for a file that is something else."""
        if not path.parent.is_dir():
            raise UsageError(f"There is no folder {path.parent}", remedy="Make it first, or name another file.")
        try:
            return StateFile(path, Watermark.parse(path.read_text("utf-8")))
        except FileNotFoundError:
            return StateFile(path, None)
        except (UsageError, UnicodeDecodeError, IsADirectoryError) as problem:
            what = problem.what if isinstance(problem, UsageError) else "It is no watermark of sfframe"
            raise UsageError(what, where=f"state file {path}", remedy="Name another file.") from problem

    def move(self, to: Watermark) -> None:
        """Keeps ``to`` instead of what was found: at once and on the disk, for its owner only. Twice does nothing.

        Raises UsageError when another process has moved it meanwhile: what it has read and what was read here overlap.
        """
        now = StateFile.read(self.path).found
        if now == to:
            return
        if now != self.found:
            raise UsageError(
                "another process has moved this watermark since it was read",
                where=f"state file {self.path}",
                remedy="Let one process at a time read the changes of an object; read them again.",
            )
        with written_whole(self.path) as file:
            file.write(f"{to}\n".encode())


def _moment(text: object) -> dt.datetime:
    moment = dt.datetime.fromisoformat(str(text))
    if moment.tzinfo is None:
        raise ValueError("a moment without a zone")
    return moment.astimezone(dt.UTC)
