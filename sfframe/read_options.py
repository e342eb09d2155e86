"""ReadOptions: what most reads leave as it is."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Literal, get_args

from sfframe.errors import UsageError
from sfframe.jobs.pacing import Pacing
from sfframe.progress import Choice, check_choice
from sfframe.protocol.bulk1 import PkChunking

Api = Literal["auto", "rest", "bulk2", "bulk1"]


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """How a read goes, and what becomes of special types.

    ``api`` is ``"rest"``, ``"bulk2"``, ``"bulk1"``, or ``"auto"``: REST where only REST can answer and for small
    answers, a Bulk API 2.0 job else. ``pk_chunking`` is for objects so large that a query takes too long: a Bulk API
    1.0 job whose query the org cuts by ranges of so many ids (True: 100,000, its default; up to 250,000), each a batch
    of its own. The org does so for custom objects and most standard ones, and for queries without ORDER BY, LIMIT and
    conditions on ids. ``decimals`` reads stored numbers as Decimal by their precision and scale;
    ``split_multipicklists`` reads them as lists. ``timezone`` (such as "Europe/Berlin") is what a datetime without zone
    means in ``params``.

    ``pacing`` says when the state of a bulk job is asked for and when waiting ends (None: as the connection says);
    ``progress`` is True, False, "auto" or a function that gets the job's events; ``cancel`` ends the read within half a
    second when it is set. ``reserve`` leaves API calls of the org's day to others: while fewer are left than that, by
    what the org said last, a query is refused with LimitExceeded before it is sent.

    >>> import sfframe as sf
    >>> options = sf.ReadOptions(api="rest", decimals=True)
    >>> sf.read_soql("SELECT COUNT() FROM Organization", org="local", options=options).item()
    1
    """

    api: Api = "auto"
    pk_chunking: bool | int = False
    decimals: bool = False
    split_multipicklists: bool = False
    timezone: str | None = None
    pacing: Pacing | None = None
    progress: Choice = "auto"
    cancel: threading.Event | None = None
    reserve: int = 0

    def __post_init__(self) -> None:
        if self.api not in get_args(Api):
            raise UsageError(
                f"There is no api {self.api!r}", remedy=f"Use one of {', '.join(map(repr, get_args(Api)))}."
            )
        if self.pk_chunking is not False and self.api not in ("auto", "bulk1"):
            raise UsageError("Only Bulk API 1.0 has PK chunking", remedy='Leave api out, or use api="bulk1".')
        check_choice(self.progress)
        if self.reserve < 0:
            raise UsageError(f"reserve is {self.reserve}", remedy="Give a number of API calls, or 0 for none.")
        if not isinstance(self.pk_chunking, bool):
            PkChunking(self.pk_chunking)  # refuses what the org would
