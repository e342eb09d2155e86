"""The rows of a load -> parts on disk that are ready to go, and what was refused of them on the way."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

import polars as pl

from sfframe.codec.encode import for_csv
from sfframe.codec.split import PIECE_ROWS, spool
from sfframe.errors import UsageError
from sfframe.facts import Delimiter, LineEnding
from sfframe.frames.checking import Checker
from sfframe.frames.contract import Checked
from sfframe.frames.failures import SCHEMA, contract_error
from sfframe.frames.intake import STREAM_ROWS, Stream, Taken
from sfframe.frames.kept import KeptRows, Rows, WholeRows, read_frame, read_places, write_frame, write_places
from sfframe.frames.keys import KeyLog
from sfframe.spool import Part

HOT = 10_000  # rows of one parent that lock each other out for long, whatever their order


@dataclass(frozen=True, slots=True)
class Cut:
    """How large the parts are, and how they are written."""

    max_rows: int
    max_bytes: int
    delimiter: Delimiter = "COMMA"
    line_ending: LineEnding = "LF"


@dataclass(slots=True)
class Feed:
    """One load on its way to the spool.

    ``good`` rows were written so far, with ``clears`` cells that clear a field and ``size`` bytes; ``failures`` are the
    refused cells so far. ``notes`` say what a person should know of the rows.
    """

    rows: Rows
    checker: Checker
    folder: Path
    twins: pl.DataFrame | None = None
    sort_by_parent: str | None = None
    refuse_all: bool = False
    good: int = 0
    clears: int = 0
    size: int = 0
    notes: list[str] = field(default_factory=list)
    _failures: list[pl.DataFrame] = field(default_factory=list)
    _first: Checked | None = None
    _breaks: list[int] = field(default_factory=list)
    _typed: pl.DataFrame | None = None

    @property
    def failures(self) -> pl.DataFrame:
        """Every refused cell so far: row, column, value, rule, message."""
        return pl.concat([pl.DataFrame(schema=SCHEMA), *self._failures])

    def look(self) -> None:
        """Checks the first slice, which is the whole frame where all rows are in memory, before anything is written."""
        first, frame = next(self.rows.slices())
        self._first = self._refuse(self.checker.check(frame, first=first, twins=self.twins))

    def unique_key(self) -> str | None:
        """A field that the org keeps unique and that every good row fills; None where there is none, or who knows."""
        if self._first is None or not isinstance(self.rows, WholeRows):
            return None
        typed = self._first.typed
        return next(
            (
                one.header
                for one in self.checker.sent
                if one.field.unique and one.relationship is None and not typed[one.header].null_count()
            ),
            None,
        )

    def parts(self, cut: Cut) -> Iterator[Part]:
        """Writes the good rows, and hands each part on when it is complete. Which rows it has is on disk beside it.

        Raises ``ContractError`` where a whole column is refused, and, with ``refuse_all``, when any cell is.
        """
        if self.sort_by_parent is not None:
            self._sort(cut)
        waiting: list[pl.Series] = []
        texts = self._texts(waiting)
        for part in spool(
            texts,
            self.folder,
            max_bytes=cut.max_bytes,
            max_rows=cut.max_rows,
            delimiter=cut.delimiter,
            line_ending=cut.line_ending,
            breaks=self._breaks,
        ):
            places = pl.concat(waiting)
            write_places(places_of(self.folder, part), places[: part.rows])
            waiting[:] = [places[part.rows :]]
            self.size += part.bytes
            yield part

    def typed_of(self, part: Part) -> pl.DataFrame | None:
        """The cells of a part before they became text; None for a stream, whose rows are on disk only."""
        return None if self._typed is None else self._typed[part.first_row : part.first_row + part.rows]

    def _texts(self, waiting: list[pl.Series]) -> Iterator[pl.DataFrame]:
        """The good rows as text, a piece at a time, so that only one piece is in memory twice."""
        for number, (first, frame) in enumerate(self.rows.slices()):
            checked, self._first = self._first, None
            if checked is None:
                checked = self._refuse(self.checker.check(frame, first=first, twins=self.twins))
            if checked.failures.height:
                self._failures.append(checked.failures)
                write_frame(self.folder / f"failures-{number:05}.arrow", checked.failures)
            if isinstance(self.rows, WholeRows):
                self._typed = checked.typed
            self.good += checked.typed.height
            self.clears += _clears(checked)
            for start in range(0, checked.typed.height, PIECE_ROWS):
                rows = slice(start, start + PIECE_ROWS)
                cleared = {
                    header: mark if isinstance(mark, bool) else mark[rows] for header, mark in checked.cleared.items()
                }
                waiting.append(checked.rows[rows])
                yield for_csv(checked.typed[rows], self.checker.sent, cleared)
        if self.refuse_all and self._failures:
            raise contract_error(self.failures, f"{self.checker.operation} {self.checker.sobject}")

    def _refuse(self, checked: Checked) -> Checked:
        """Raises where nothing can be sent; a whole frame is refused before a byte of it is written."""
        whole = isinstance(self.rows, WholeRows)
        if checked.blocked or (self.refuse_all and whole and checked.failures.height):
            raise contract_error(checked.failures, f"{self.checker.operation} {self.checker.sobject}")
        return checked

    def _sort(self, cut: Cut) -> None:
        """Puts the rows by their parent, and says where new parts begin so that no two hold rows of one parent."""
        column = next((one for one in self.checker.sent if self.sort_by_parent in (one.name, one.header)), None)
        if column is None or self._first is None or not isinstance(self.rows, WholeRows):
            what = f"there is no column {self.sort_by_parent!r}" if column is None else "the rows come as a stream"
            raise UsageError(
                f"The rows cannot be sorted by parent: {what}",
                where="sort_by_parent",
                remedy="Name a column that is sent, and give a frame that is in memory.",
            )
        checked = self._first
        order = checked.typed[column.header].arg_sort()
        self._breaks, hot = _breaks(checked.typed[column.header][order], cut.max_rows)
        if hot.height:
            named = ", ".join(f"{parent} ({rows:,} rows)" for parent, rows in hot.head(3).iter_rows())
            self.notes.append(
                f"{hot.height:,} parents in {column.name} have more than {min(HOT, cut.max_rows):,} rows, "
                f"which may lock each other out: {named}"
            )
        cleared = {header: mark if isinstance(mark, bool) else mark[order] for header, mark in checked.cleared.items()}
        self._first = Checked(checked.typed[order], checked.rows[order], checked.failures, cleared, checked.blocked)


def settle(handed_in: Taken | Stream, checker: Checker, folder: Path) -> tuple[Rows, pl.DataFrame | None]:
    """The rows where they can be read twice, with the columns matched; and the keys of a stream that occur twice.

    A stream goes to disk, unless it is short. Raises ``ContractError`` for columns that cannot be sent.
    """
    checker.from_csv = handed_in.from_csv
    if isinstance(handed_in, Taken):
        checker.match(handed_in.frame.columns)
        return WholeRows(handed_in.frame, handed_in.from_csv), None
    log: list[KeyLog] = []

    def look(first: int, batch: pl.DataFrame) -> None:
        if not first and not checker.sent:
            checker.match(batch.columns)
        keys = checker.typed_keys(batch)
        if checker.key is not None and keys is not None:
            log.extend([] if log else [KeyLog(folder, checker.key)])
            log[0].add(first, keys)

    batches = handed_in.batches
    start = next(batches)
    if start.height < STREAM_ROWS:  # what follows, if anything, is empty
        checker.match(start.columns)
        return WholeRows(start, handed_in.from_csv), None
    kept = KeptRows.of(Stream(chain([start], batches), handed_in.kind, handed_in.from_csv), folder, look)
    return kept, log[0].twins() if log else pl.DataFrame(schema=SCHEMA)


def places_of(folder: Path, part: Part) -> Path:
    """The file that says which of the caller's rows a part holds."""
    return folder / f"part-{part.number:05}.rows.arrow"


def rows_of(folder: Path, part: Part) -> pl.Series:
    """Which of the caller's rows a part holds, in its order."""
    return read_places(places_of(folder, part))


def failures_of(folder: Path) -> pl.DataFrame:
    """Every refused cell that a load noted on disk."""
    files = sorted(folder.glob("failures-*.arrow"))
    return pl.concat([pl.DataFrame(schema=SCHEMA), *(read_frame(file) for file in files)])


def _clears(checked: Checked) -> int:
    """How many cells clear a field."""
    count = 0
    for header, mark in checked.cleared.items():
        if isinstance(mark, pl.Series):
            count += int(mark.sum())
        elif mark:
            count += checked.typed[header].null_count()
    return count


def _breaks(parents: pl.Series, max_rows: int) -> tuple[list[int], pl.DataFrame]:
    """Where parts begin, in sorted rows, so that groups stay whole while they fit; and the parents that are hot."""
    groups = parents.to_frame("parent").select(pl.col("parent").rle()).unnest("parent")
    ends = groups["len"].cum_sum()
    breaks: list[int] = []
    begin = 0
    while True:
        # The last group's end that still fits; a group that is larger than a part is cut where the part is full.
        fitting = int(ends.search_sorted(begin + max_rows, side="right"))
        end = int(ends[fitting - 1]) if fitting else 0
        end = end if end > begin else begin + max_rows
        if end >= len(parents):
            break
        breaks.append(end)
        begin = end
    named = groups.filter(pl.col("value").is_not_null() & (pl.col("len") > min(HOT, max_rows)))
    return breaks, named.select("value", "len").sort("len", descending=True, maintain_order=True)
