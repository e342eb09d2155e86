"""Frames, one after the other, into a file by its ending; and the file as a lazy frame."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import polars as pl

from sfframe.errors import FrameError
from sfframe.frames.saved import Saved, writeable

_OLDEST = pl.CompatLevel.oldest()  # files that every Arrow reader understands


@dataclass(slots=True)
class Sink:
    """A file that is being written. ``saved`` is there once the ``with`` block of ``sink`` has ended well."""

    _half: Path
    _append: Callable[[pl.DataFrame], None]
    schema: pl.Schema | None = None
    height: int = 0
    whole: Saved | None = None

    def write(self, frame: pl.DataFrame) -> None:
        """Adds the rows of ``frame``, whose columns must be those of the first."""
        self.schema = self.schema or frame.schema
        self.height += frame.height
        self._append(frame)

    @property
    def saved(self) -> Saved:
        """What was written."""
        if self.whole is None:
            raise FrameError("The file is not complete yet", where=str(self._half))
        return self.whole


@contextmanager
def sink(path: Path) -> Iterator[Sink]:
    """Writes frames to ``path``: Parquet, CSV, JSON lines or Arrow IPC by its ending, without one a folder of Parquet
    files. All goes to a temporary place beside it, which is renamed when it is whole; nothing is left of a failure.
    """
    writeable(path)
    half = path.with_name(f".{path.name}.part")
    try:
        with ExitStack() as open_files:
            writing = Sink(half, _appender(path, half, open_files))
            yield writing
            if writing.schema is None:
                raise FrameError("Nothing was written", where=str(path), remedy="Write a frame, which may be empty.")
        if half.is_dir() and path.is_dir():
            for file in half.iterdir():
                file.replace(path / file.name)
        else:
            half.replace(path)
        writing.whole = Saved(path, writing.schema, writing.height)
    finally:
        with contextlib.suppress(OSError):
            shutil.rmtree(half) if half.is_dir() else half.unlink(missing_ok=True)


def _appender(path: Path, half: Path, open_files: ExitStack) -> Callable[[pl.DataFrame], None]:
    match path.suffix.lower():
        case "":
            return _folder(half)
        case ".parquet" | ".arrow":
            return _arrow(half, open_files, parquet=path.suffix.lower() == ".parquet")
        case ".csv":
            text = open_files.enter_context(half.open("w", encoding="utf-8", newline=""))
            return _csv(text)
        case _:
            lines = open_files.enter_context(half.open("wb"))
            return lambda frame: frame.write_ndjson(lines)


def _folder(half: Path) -> Callable[[pl.DataFrame], None]:
    half.mkdir()

    def append(frame: pl.DataFrame) -> None:
        frame.write_parquet(half / f"rows-{len(list(half.iterdir())):05}.parquet")

    return append


def _arrow(half: Path, open_files: ExitStack, *, parquet: bool) -> Callable[[pl.DataFrame], None]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    writers: list[pq.ParquetWriter | pa.RecordBatchFileWriter] = []

    def append(frame: pl.DataFrame) -> None:
        table = frame.to_arrow(compat_level=_OLDEST)
        if not writers:
            made = (
                pq.ParquetWriter(half, table.schema, compression="zstd")
                if parquet
                else pa.ipc.new_file(half, table.schema)
            )
            writers.append(open_files.enter_context(made))
        writers[0].write_table(table.cast(writers[0].schema) if parquet else table)

    return append


def _csv(text: TextIO) -> Callable[[pl.DataFrame], None]:
    begun: list[bool] = []

    def append(frame: pl.DataFrame) -> None:
        text.write(text_of(frame, header=not begun))
        begun[:] = [True]

    return append


def text_of(frame: pl.DataFrame, *, header: bool = True) -> str:
    """``frame`` as CSV: datetimes as Salesforce writes them, lists joined with a semicolon, structs as JSON."""
    return _flat(frame).write_csv(datetime_format="%Y-%m-%dT%H:%M:%S%.3fZ", include_header=header)


def _flat(frame: pl.DataFrame) -> pl.DataFrame:
    """``frame`` with what a CSV cell cannot hold as text: lists joined with a semicolon, others as JSON."""
    return frame.with_columns(_as_cell(name, dtype) for name, dtype in frame.schema.items() if dtype.is_nested())


def _as_cell(name: str, dtype: pl.DataType) -> pl.Expr:
    if isinstance(dtype, pl.List) and not dtype.inner.is_nested():
        return pl.col(name).cast(pl.List(pl.String)).list.join(";")
    if isinstance(dtype, pl.Struct):
        return pl.col(name).struct.json_encode()
    # polars encodes structs only, so the list stands in one
    whole = pl.struct(pl.col(name).alias("_")).struct.json_encode().str.strip_prefix('{"_":').str.strip_suffix("}")
    return pl.when(pl.col(name).is_not_null()).then(whole).alias(name)
