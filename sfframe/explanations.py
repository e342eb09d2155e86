"""What a scan will do and how a frame was read, in words: for people at a terminal and in a notebook."""

from __future__ import annotations

import html
import weakref
from dataclasses import dataclass
from typing import Final

from sfframe.protocol.query_plan import QueryPlan

_SHOWN: Final = 3  # queries of one scan
_WIDTH: Final = 400  # characters of one query


@dataclass(frozen=True, slots=True)
class QueryExplanation:
    """One query that will be sent: its text, the API that answers, the expected calls, and the org's own plans (the
    cheapest first; empty where they were not asked for).
    """

    soql: str
    transport: str
    calls: str
    plans: tuple[QueryPlan, ...] = ()


@dataclass(frozen=True, slots=True)
class ReadReport:
    """How one query went: who answered and why, how many rows came, what it cost. There are no values in it.

    ``whole`` is False where nobody wanted the rest of the rows. ``calls`` are those of the connection in that time.
    ``job_id`` is empty without a job.
    """

    sobject: str
    transport: str
    reason: str
    rows: int
    calls: int
    seconds: float
    whole: bool = True
    job_id: str = ""

    def __str__(self) -> str:
        rows = f"{self.rows:,} rows{'' if self.whole else ', more were not wanted'}"
        job = f", job {self.job_id}" if self.job_id else ""
        cost = f"{self.calls:,} calls, {self.seconds:.1f} s{job}"
        return f"{self.sobject} by {self.transport} ({self.reason}): {rows}, {cost}"


@dataclass(frozen=True, slots=True)
class ScanExplanation:
    """One scan of a lazy frame.

    ``pushed`` is the condition that the org applies for polars (``true``: none; ``false``: nothing can be found, so
    nothing is sent). ``residuals`` are the parts of the filter that polars applies itself, each with its reason.
    ``queries`` are several where a list was too long for one. ``reads`` is how they went when the scan was used last.
    """

    sobject: str
    pushed: str
    residuals: tuple[tuple[str, str], ...]
    queries: tuple[QueryExplanation, ...]
    reads: tuple[ReadReport, ...] = ()

    def lines(self) -> list[str]:
        """The scan as lines of text."""
        told = [f"scan of {self.sobject}"]
        for query in self.queries[:_SHOWN]:
            told += [f"  soql: {_cut(query.soql)}", f"  by: {query.transport}", f"  calls: {query.calls}"]
            for plan in query.plans:
                told.append(
                    f"  plan: {plan.leading} of {plan.sobject}, {plan.rows:,} of {plan.of_rows:,} rows, relative cost "
                    f"{plan.relative_cost:g}"
                )
                told += [f"    note: {note}" for note in plan.notes]
        if len(self.queries) > _SHOWN:
            told.append(f"  and {len(self.queries) - _SHOWN} more queries like these")
        if not self.queries:
            told.append("  nothing is sent: no row can be found")
        told.append(f"  pushed: {_cut(self.pushed)}")
        told += [f"  last use: {read}" for read in self.reads[:_SHOWN]]
        return told + [f"  polars filters: {_cut(part)} because {why}" for part, why in self.residuals]


@dataclass(frozen=True, slots=True, repr=False)
class Explanation:
    """What a lazy frame asks of Salesforce, scan by scan in the order of polars' plan."""

    scans: tuple[ScanExplanation, ...]

    def __repr__(self) -> str:
        return "\n".join(line for scan in self.scans for line in scan.lines()) or "no scan of Salesforce"

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(repr(self))}</pre>"


@dataclass(frozen=True, slots=True)
class QueryRead:
    """One query that was sent: its text, and how it went."""

    soql: str
    report: ReadReport


@dataclass(frozen=True, slots=True, repr=False)
class ReadExplanation:
    """How a frame was read: its queries in the order in which they were sent.

    ``rows`` are those of the frame: records that several queries found, it has once.
    """

    rows: int
    queries: tuple[QueryRead, ...]

    @property
    def calls(self) -> int:
        """The calls of all queries; those of other threads over the same connection are among them."""
        return sum(query.report.calls for query in self.queries)

    @property
    def job_ids(self) -> tuple[str, ...]:
        """The bulk jobs, empty where REST answered."""
        return tuple(query.report.job_id for query in self.queries if query.report.job_id)

    def __repr__(self) -> str:
        told = [f"frame of {self.rows:,} rows; queries: {len(self.queries):,}, calls: {self.calls:,}"]
        for query in self.queries[:_SHOWN]:
            told += [f"  soql: {_cut(query.soql)}", f"  went: {query.report}"]
        if len(self.queries) > _SHOWN:
            told.append(f"  and {len(self.queries) - _SHOWN} more queries like these")
        return "\n".join(told)

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(repr(self))}</pre>"


class ReadFrames:
    """Remembers how frames were read for as long as they live, without keeping them alive.

    By identity: dataframes have no hash, and a frame that is made of another one was not read.
    """

    def __init__(self) -> None:
        self._known: dict[int, tuple[weakref.ref[object], ReadExplanation]] = {}

    def note(self, frame: object, explanation: ReadExplanation) -> None:
        """Remembers one frame."""
        number, known = id(frame), self._known

        def forget(_gone: weakref.ref[object]) -> None:
            known.pop(number, None)

        known[number] = (weakref.ref(frame, forget), explanation)

    def find(self, frame: object) -> ReadExplanation | None:
        """How that frame was read; None where it was not, or is another one now."""
        noted = self._known.get(id(frame))
        return noted[1] if noted is not None and noted[0]() is frame else None

    def __len__(self) -> int:
        return len(self._known)


READ_FRAMES: Final = ReadFrames()


def _cut(text: str) -> str:
    return text if len(text) <= _WIDTH else f"{text[:_WIDTH]} ... ({len(text):,} characters)"
