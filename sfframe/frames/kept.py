"""What a load keeps on disk while it runs: the caller's rows, which of them are in which part, and what became of them.

All of it are Arrow files that only their owner can read.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from sfframe.frames.intake import Stream
from sfframe.spool import writing


def write_frame(path: Path, frame: pl.DataFrame) -> None:
    """Writes ``frame`` to ``path``, readable by its owner only; the file has its name only when it is whole.

    A disk that is full raises ``SfframeError``.
    """
    half = path.with_name(f".{path.name}.half")
    with writing(path.parent):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with os.fdopen(os.open(half, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            frame.write_ipc(file)
        half.replace(path)


def read_frame(path: Path) -> pl.DataFrame:
    """A frame of ``write_frame``."""
    return pl.read_ipc(path)


@dataclass(frozen=True, slots=True)
class WholeRows:
    """The caller's rows where all of them are in memory."""

    frame: pl.DataFrame
    from_csv: bool = False

    @property
    def height(self) -> int:
        """How many rows there are."""
        return self.frame.height

    @property
    def schema(self) -> pl.Schema:
        """Names and types of their columns."""
        return self.frame.schema

    def slices(self) -> Iterator[tuple[int, pl.DataFrame]]:
        """The rows in pieces, each with the number of its first row: here in one."""
        yield 0, self.frame

    def column(self, name: str) -> pl.Series:
        """One column of all rows."""
        return self.frame[name]


@dataclass(frozen=True, slots=True)
class KeptRows:
    """The caller's rows on disk, as they came from a stream; each slice is in memory only while it is used."""

    folder: Path
    heights: tuple[int, ...]
    schema: pl.Schema
    from_csv: bool = False

    @classmethod
    def of(cls, stream: Stream, folder: Path, look: Callable[[int, pl.DataFrame], None]) -> KeptRows:
        """Writes the whole stream into ``folder``; ``look`` sees each batch with the number of its first row."""
        heights: list[int] = []
        schema = pl.Schema()
        for number, batch in enumerate(stream.batches):
            look(sum(heights), batch)
            write_frame(folder / f"rows-{number:05}.arrow", batch)
            heights.append(batch.height)
            schema = batch.schema
        return cls(folder, tuple(heights), schema, stream.from_csv)

    @property
    def height(self) -> int:
        """How many rows there are."""
        return sum(self.heights)

    def slices(self) -> Iterator[tuple[int, pl.DataFrame]]:
        """The rows in pieces, each with the number of its first row."""
        first = 0
        for number, height in enumerate(self.heights):
            yield first, read_frame(self.folder / f"rows-{number:05}.arrow")
            first += height

    def column(self, name: str) -> pl.Series:
        """One column of all rows."""
        return pl.concat([frame[name] for _, frame in self.slices()])


Rows = WholeRows | KeptRows


def write_places(path: Path, rows: pl.Series) -> None:
    """Which of the caller's rows a part holds, in its order; kept as runs of consecutive numbers."""
    rows = rows.cast(pl.Int64)
    starts = (rows.diff().fill_null(0) != 1).arg_true()
    ends = pl.concat([starts[1:], pl.Series([len(rows)], dtype=starts.dtype)])
    write_frame(path, pl.DataFrame({"first": rows[starts], "rows": (ends - starts).cast(pl.Int64)}))


def read_places(path: Path) -> pl.Series:
    """The rows of ``write_places``."""
    runs = read_frame(path)
    ranges = runs.select(pl.int_ranges(pl.col("first"), pl.col("first") + pl.col("rows"), dtype=pl.Int64).alias("row"))
    return ranges.explode("row")["row"]
