"""A file with frames that were written one after the other; importing this costs nothing."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sfframe.errors import FrameError

if TYPE_CHECKING:
    import polars as pl

ENDINGS = (".parquet", ".csv", ".jsonl", ".ndjson", ".arrow")


@dataclass(frozen=True, slots=True, weakref_slot=True)
class Saved:
    """A file (or a folder of Parquet files) with the frames that were written to it, and their columns."""

    path: Path
    schema: pl.Schema
    height: int

    def scan(self) -> pl.LazyFrame:
        """All rows, lazily. A CSV file has lists as text, joined with a semicolon, and structs as JSON."""
        import polars as pl

        match self.path.suffix.lower():
            case "":
                return pl.scan_parquet(self.path / "*.parquet")
            case ".parquet":
                return pl.scan_parquet(self.path)
            case ".arrow":
                return pl.scan_ipc(self.path)
            case ".csv":
                schema = {name: pl.String() if dtype.is_nested() else dtype for name, dtype in self.schema.items()}
                return pl.scan_csv(self.path, schema=schema, null_values=[""])
            case _:
                return pl.scan_ndjson(self.path, schema=self.schema)


def writeable(path: Path) -> None:
    """Raise a FrameError when ``sink`` could not write to ``path``; to be asked before a long work begins."""
    if path.suffix and path.suffix.lower() not in ENDINGS:
        raise FrameError(
            f"{path.name!r} does not say in which format to write",
            remedy=f"Use one of the endings {', '.join(ENDINGS)}, or name a folder.",
        )
    if not path.parent.is_dir():
        raise FrameError(f"There is no folder {path.parent}", remedy="Make it first, or name another file.")
    if not path.suffix and path.is_dir() and any(path.glob("*.parquet")):
        raise FrameError(
            f"The folder {path.name!r} holds Parquet files already", remedy="Name another one, or clear it first."
        )
