"""LoadResult: one answer per row of the caller's frame, and what to do about the rows that did not succeed."""

from __future__ import annotations

import html
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, Generic, Self, TypeVar, cast

from sfframe import facts
from sfframe.errors import JOB_ADVICE, RowsFailed, advice_for
from sfframe.frames.saved import Saved, writeable

__all__ = ["Cost", "LoadResult", "Saved", "Target", "save_frame", "writeable"]

if TYPE_CHECKING:
    import polars as pl

Frame = TypeVar("Frame")  # the kind of frame that the caller gave: polars, pandas, pyarrow, a list of dicts

SUCCEEDED: Final = ("created", "updated", "deleted", "undeleted")
# In the order of a summary; together they make up every row that came in (architecture.md 4.1).
STATUSES: Final = (*SUCCEEDED, "unchanged", "rejected", "failed", "unprocessed", "unknown")
TROUBLE: Final = ("rejected", "failed", "unprocessed", "unknown")

_WHAT_NOW: Final = {
    "rejected": "Not sent; mend the cells.",
    "unprocessed": "The job ended before it came to these rows. Load result.unprocessed again.",
    "unknown": "The org gave no answer for these rows. Look them up in the org before you send them again.",
}


@dataclass(frozen=True, slots=True)
class Target:
    """Whom and what a load was meant for, in words; kept so that a summary can be written without asking the org."""

    org: str
    user: str
    kind: str
    sobject: str
    operation: str
    external_id_field: str | None = None

    def __str__(self) -> str:
        by = f" by {self.external_id_field}" if self.external_id_field else ""
        if not self.org:
            return f"no call made: {self.operation} {self.sobject}{by}"
        return f"{self.org} ({self.kind}) as {self.user}: {self.operation} {self.sobject}{by}"


@dataclass(frozen=True, slots=True)
class Cost:
    """What a load took, or (of a dry run) will take.

    ``seconds`` of the clock, ``calls`` (requests to the org), ``bytes_sent``, ``rows`` that were sent, ``jobs``, and
    ``batches`` as the org counts them. ``calls_used`` of ``calls_allowed`` is where the org's day stands, None where
    the org did not say.
    """

    seconds: float = 0.0
    calls: int = 0
    bytes_sent: int = 0
    rows: int = 0
    jobs: int = 0
    batches: int = 0
    calls_used: int | None = None
    calls_allowed: int | None = None

    def __add__(self, other: Cost) -> Cost:
        """What both took together; the org's day stands where the later one says."""
        names = ("seconds", "calls", "bytes_sent", "rows", "jobs", "batches")
        added = {name: getattr(self, name) + getattr(other, name) for name in names}
        return replace(other, **added)

    @property
    def shares(self) -> dict[str, float]:
        """What this is of a day's limits, 1.0 being all of it: ``batches`` of 15,000, ``rows`` of 150 million,
        ``calls`` of those that the org may get (not there where the org did not say).
        """
        bulk = 1 if self.jobs else 0
        told = {"batches": self.batches / facts.DAILY_BATCHES, "rows": bulk * self.rows / facts.DAILY_ROWS}
        return told | ({"calls": self.calls / self.calls_allowed} if self.calls_allowed else {})


# A polars frame, and which of the caller's rows it has (None: all of them) -> the caller's kind.
GiveBack = Callable[["pl.DataFrame", "pl.Series | None"], object]


@dataclass(frozen=True, slots=True, repr=False)
class LoadResult(Generic[Frame]):
    """The answer to a write.

    ``frame`` has the caller's rows in the caller's order and kind of frame: all columns that came in, then the ``sf__``
    columns (``sf__Status`` is never null; the others are null where they say nothing). ``failures`` has one line per
    refused cell: row, column, value, rule, message. ``stored`` is where the rows are: in memory, or, when a stream was
    loaded with ``results=``, in that file; then ``scan()`` reads them lazily, and the rest only what it needs.
    """

    stored: pl.DataFrame | Saved
    failures: pl.DataFrame
    target: Target
    jobs: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    run: str = ""
    cost: Cost = field(default_factory=Cost)
    give_back: GiveBack | None = field(default=None, repr=False, compare=False)

    @property
    def answers(self) -> pl.DataFrame:
        """All rows as a polars frame."""
        return self.stored.scan().collect() if isinstance(self.stored, Saved) else self.stored

    def scan(self) -> pl.LazyFrame:
        """All rows, lazily."""
        return self.stored.scan() if isinstance(self.stored, Saved) else self.stored.lazy()

    @property
    def height(self) -> int:
        """How many rows there are."""
        return self.stored.height

    @property
    def frame(self) -> Frame:
        """All rows, in the caller's order and kind of frame."""
        return self._given(self.answers, None)

    @property
    def succeeded(self) -> Frame:
        """The rows that were created, updated, deleted or undeleted."""
        return self._only(*SUCCEEDED)

    @property
    def failed(self) -> Frame:
        """The rows that the org refused. They can be mended and loaded again: the sf__ columns are dropped on input."""
        return self._only("failed")

    @property
    def rejected(self) -> Frame:
        """The rows that were refused before anything was sent."""
        return self._only("rejected")

    @property
    def unprocessed(self) -> Frame:
        """The rows that their job never came to."""
        return self._only("unprocessed")

    @property
    def unknown(self) -> Frame:
        """The rows for which no answer could be had; never counted as success and never sent again by themselves."""
        return self._only("unknown")

    def _only(self, *statuses: str) -> Frame:
        if isinstance(self.stored, Saved):
            import polars as pl

            return self._given(self.scan().filter(pl.col("sf__Status").is_in(statuses)).collect(), None)
        kept = self.stored["sf__Status"].is_in(statuses)
        return self._given(self.stored.filter(kept), kept.arg_true())

    def _given(self, frame: pl.DataFrame, rows: pl.Series | None) -> Frame:
        return cast("Frame", frame if self.give_back is None else self.give_back(frame, rows))

    @property
    def counts(self) -> dict[str, int]:
        """Rows by status, only those that occur, in the order created ... unknown. They add up to the rows given."""
        found = dict(self.scan().group_by("sf__Status").len().collect(engine="streaming").iter_rows())
        return {status: found[status] for status in STATUSES if status in found}

    @property
    def ok(self) -> bool:
        """True where every row was written or needed no writing."""
        return not set(self.counts) & set(TROUBLE)

    def summary(self) -> str:
        """A few lines for people: which org, as whom, what was done to how many rows, and at what cost."""
        told = ", ".join(f"{rows:,} {status}" for status, rows in self.counts.items()) or "nothing to do"
        lines = [str(self.target), f"{self.height:,} rows: {told}"]
        if self.jobs:
            named = ", ".join(self.jobs[:3]) + (f" and {len(self.jobs) - 3} more" if len(self.jobs) > 3 else "")
            some = f"{len(self.jobs)} job" + ("" if len(self.jobs) == 1 else "s")
            took = f"{self.cost.calls} API calls, {self.cost.seconds:.1f} s"
            lines.append(f"{some} ({named}), {_size(self.cost.bytes_sent)} sent, {took}")
        lines += [f"note: {note}" for note in self.notes]
        return "\n".join(lines)

    def triage(self, *, samples: int = 3) -> pl.DataFrame:
        """The rows that did not succeed, grouped by cause, the most frequent first.

        One line per status, code and fields: ``status``, ``code``, ``fields``, ``rows`` (how many), ``message`` (one
        of them), ``sample_rows`` (up to ``samples`` row numbers, counted from 0), ``kind`` (data, reference,
        duplicate, permission, lock, limit, server, automation, other), ``again`` (may the same rows succeed when they
        are simply sent again?) and ``advice``. Empty when every row succeeded.
        """
        import polars as pl

        troubled = (
            self.scan()
            .select(pl.col("^sf__.*$"))
            .with_row_index("row")
            .filter(pl.col("sf__Status").is_in(TROUBLE))
            .group_by("sf__Status", "sf__ErrorCode", "sf__ErrorFields", maintain_order=True)
            .agg(
                pl.len().alias("rows"),
                pl.col("sf__Error").first().alias("message"),
                pl.col("row").head(samples).cast(pl.Int64).alias("sample_rows"),
            )
            .sort("rows", descending=True, maintain_order=True)
            .collect()
        )
        told = [_advise(*cause) for cause in troubled.select("sf__Status", "sf__ErrorCode", "message").iter_rows()]
        return troubled.select(
            pl.col("sf__Status").alias("status"),
            pl.col("sf__ErrorCode").alias("code"),
            pl.col("sf__ErrorFields").alias("fields"),
            "rows",
            "message",
            "sample_rows",
            pl.Series("kind", [kind for kind, _, _ in told], dtype=pl.String),
            pl.Series("again", [again for _, again, _ in told], dtype=pl.Boolean),
            pl.Series("advice", [advice for _, _, advice in told], dtype=pl.String),
        )

    def raise_for_failures(self) -> Self:
        """This result, when every row was written or needed no writing; else raises RowsFailed."""
        if self.ok:
            return self
        lost = {status: rows for status, rows in self.counts.items() if status in TROUBLE}
        told = ", ".join(f"{rows:,} {status}" for status, rows in lost.items())
        table = self.triage()
        first = table.row(0, named=True)
        raise RowsFailed(
            f"{told} of {self.height:,} rows",
            where=str(self.target),
            said=f"{first['message']} ({first['rows']:,} rows)" if first["message"] else "",
            remedy="result.triage() groups the causes; result.failed and result.rejected hold the rows.",
            counts=self.counts,
            triage=table,
        )

    def save(self, path: str | Path) -> Path:
        """Write all rows with their answers to ``path``, as Parquet, CSV, JSON lines or Arrow IPC by its ending."""
        return save_frame(self.answers, Path(path))

    def __repr__(self) -> str:
        return f"<LoadResult {self.summary()}>"

    def _repr_html_(self) -> str:
        head = "<br>".join(html.escape(line) for line in self.summary().splitlines())
        table = self.triage()
        return f"<div><p>{head}</p>{table._repr_html_() if table.height else ''}</div>"


def _advise(status: str, code: str | None, message: str | None) -> tuple[str, bool, str]:
    """Kind, whether the same rows may simply be sent again, and what to do."""
    if status == "failed":
        advice = advice_for(code or "", message or "")
        return advice.kind, advice.again, advice.text
    job = JOB_ADVICE.get((message or "").partition(" : ")[0], "") if status == "unprocessed" else ""
    return (
        {"rejected": "data", "unprocessed": "server"}.get(status, "other"),
        status == "unprocessed",
        f"{_WHAT_NOW[status]} {job}".rstrip(),
    )


def _size(count: int) -> str:
    """``count`` bytes in words, in powers of 1,000."""
    for unit, factor in (("MB", 1_000_000), ("kB", 1_000)):
        if count >= factor:
            return f"{count / factor:,.1f} {unit}"
    return f"{count} bytes"


def save_frame(frame: pl.DataFrame, path: Path) -> Path:
    """Write ``frame`` to ``path`` by its ending: a temporary file beside it, renamed once it is whole."""
    from sfframe.frames.sink import sink

    with sink(path) as saving:
        saving.write(frame)
    return path
