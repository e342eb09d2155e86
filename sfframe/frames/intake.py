"""Any frame that people have -> one polars frame; and back into the caller's kind. The input is never changed."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, cast

import polars as pl
import pyarrow as pa

from sfframe.errors import FrameError
from sfframe.facts import RESULT_COLUMNS, Delimiter
from sfframe.frames.files import WHOLE_BYTES, of_batch, read_file, stream_file

if TYPE_CHECKING:
    import pandas as pd

Kind = Literal["polars", "lazy", "pandas", "pyarrow", "stream", "dicts", "columns", "file", "frames"]
GiveBack = Callable[[pl.DataFrame, pl.Series | None], object]

TAKES = (
    "Give a polars, pandas or pyarrow frame, a duckdb relation, anything with __arrow_c_stream__, a list of dicts, "
    "a dict of columns, an iterator of such frames, or a path or binary file with Parquet, CSV, Arrow IPC or JSON "
    "lines."
)
STREAM_ROWS = 100_000  # rows of a stream that are in memory at a time, and twice that for a moment


@dataclass(frozen=True, slots=True)
class Taken:
    """What was handed in, as polars.

    ``frame`` has the caller's rows in the caller's order, without the ``sf__`` columns of an earlier result. Where
    ``from_csv`` is True every column is text: null is an empty cell, ``#N/A`` is still the text.
    """

    frame: pl.DataFrame
    kind: Kind
    from_csv: bool
    _back: GiveBack

    def give_back(self, frame: pl.DataFrame, rows: pl.Series | None = None) -> object:
        """``frame`` in the caller's kind: pandas (its index and its own columns kept), pyarrow, dicts, else polars.

        ``rows`` names the caller's rows, counted from 0, that the rows of ``frame`` are; None means all of them.
        Lazy frames, streams, duckdb relations and files give polars.
        """
        return self._back(frame, rows)


@dataclass(frozen=True, slots=True)
class Stream:
    """What was handed in without an end that is known: ``batches`` come once, each with the same columns.

    Otherwise as ``Taken``; such rows are given back as polars.
    """

    batches: Iterator[pl.DataFrame]
    kind: Kind
    from_csv: bool = False


def take_rows(data: object, *, delimiter: Delimiter | None = None, whole_below: int = WHOLE_BYTES) -> Taken | Stream:
    """``data`` whole, or as a stream where it need not be in memory at once: lazy frames, duckdb relations, batch
    readers, iterators of frames, and files from ``whole_below`` bytes on.

    Columns and errors are those of ``take``; what is wrong with later batches is raised when they come.
    """
    if isinstance(data, pl.LazyFrame):
        return _streamed(data.collect_batches(chunk_size=STREAM_ROWS, maintain_order=True), "lazy")
    if isinstance(data, (str, os.PathLike)) and (path := Path(data)).is_file() and path.stat().st_size >= whole_below:
        batches, from_csv = stream_file(path, delimiter, rows=STREAM_ROWS)
        return _streamed(batches, "file", from_csv=from_csv)
    if _is_arrow_stream(data):
        reader = _converted(lambda: pa.RecordBatchReader.from_stream(data))
        return _streamed(map(of_batch, reader), "stream")
    if isinstance(data, Iterator) and not hasattr(data, "read"):
        return _streamed((take(one, delimiter=delimiter).frame for one in data), "frames")
    return take(data, delimiter=delimiter)


def _is_arrow_stream(data: object) -> bool:
    own = isinstance(data, (pl.DataFrame, pl.Series, pa.Table)) or type(data).__module__.startswith("pandas")
    return hasattr(data, "__arrow_c_stream__") and not own


def _streamed(batches: Iterable[pl.DataFrame], kind: Kind, *, from_csv: bool = False) -> Stream:
    return Stream(_even(batches), kind, from_csv)


def _even(batches: Iterable[pl.DataFrame]) -> Iterator[pl.DataFrame]:
    """Batches of a useful size, all of the first one's columns; there is at least one, which may be empty."""
    schema: pl.Schema | None = None
    gathered: list[pl.DataFrame] = []
    for place, batch in enumerate(batches):
        kept = batch.drop([name for name in RESULT_COLUMNS if name in batch.columns])
        if schema is None:
            _unique(kept.columns)
            if not kept.width:
                raise FrameError("it has no columns", where="the frame", remedy=TAKES)
            schema = kept.schema
        elif kept.schema != schema:
            odd = next(name for name in {**schema, **kept.schema} if schema.get(name) != kept.schema.get(name))
            raise FrameError(
                f"batch {place} differs from the first one: {kept.schema.get(odd)} instead of {schema.get(odd)}",
                where=f"column {odd}",
                remedy="Give all batches the same columns in the same types.",
            )
        gathered.append(kept)
        if sum(one.height for one in gathered) >= STREAM_ROWS:
            yield pl.concat(gathered)
            gathered = []
    if schema is None:
        raise FrameError("it has no batches, so it has no columns", where="the frame", remedy=TAKES)
    yield pl.concat([pl.DataFrame(schema=schema), *gathered])


def take(data: object, *, delimiter: Delimiter | None = None) -> Taken:
    """Reads ``data`` whole. Columns named exactly like those that a result adds (``sf__Id`` ...) are dropped.

    ``delimiter`` is for CSV files; None finds it out. NaN and NaT of pandas become null. A stream is used up. Raises
    ``FrameError`` for what cannot be read, for no columns, and for two columns of one name.
    """
    taken = _take(data, delimiter)
    if not taken.frame.width:
        raise FrameError("it has no columns", where="the frame", remedy=TAKES)
    return taken


def _take(data: object, delimiter: Delimiter | None) -> Taken:
    if isinstance(data, pl.DataFrame):
        return _taken(data, "polars")
    if isinstance(data, pl.LazyFrame):
        return _taken(data.collect(), "lazy")
    if isinstance(data, (str, os.PathLike)) or hasattr(data, "read"):
        frame, from_csv = read_file(cast("str | Path | BinaryIO", data), delimiter)
        return _taken(frame, "file", from_csv=from_csv)
    if type(data).__module__.partition(".")[0] == "pandas" and hasattr(data, "iloc") and hasattr(data, "columns"):
        return _pandas(cast("pd.DataFrame", data))
    if isinstance(data, pa.Table):
        return _arrow(data)
    if hasattr(data, "__arrow_c_stream__") and not isinstance(data, pl.Series):
        return _taken(_converted(lambda: pl.DataFrame(data)), "stream")
    if isinstance(data, Mapping):
        return _columns(data)
    if isinstance(data, Sequence) and all(isinstance(row, Mapping) for row in data):
        return _dicts(data)
    if isinstance(data, Iterator):
        return _taken(pl.concat(list(_even(take(one, delimiter=delimiter).frame for one in data))), "frames")
    raise FrameError(f"{type(data).__module__}.{type(data).__qualname__} is no frame", where="the frame", remedy=TAKES)


def _taken(frame: pl.DataFrame, kind: Kind, back: GiveBack | None = None, *, from_csv: bool = False) -> Taken:
    kept = frame.drop([name for name in RESULT_COLUMNS if name in frame.columns])
    return Taken(kept, kind, from_csv, back or _same)


def _same(frame: pl.DataFrame, rows: pl.Series | None) -> object:  # noqa: ARG001  the kinds share one signature
    return frame


def _converted(convert: Callable[[], pl.DataFrame]) -> pl.DataFrame:
    try:
        return convert()
    except (pl.exceptions.PolarsError, pa.ArrowException, TypeError, ValueError) as error:
        raise FrameError(f"it cannot be read: {error}", where="the frame", remedy=TAKES) from error


def _unique(names: Sequence[object]) -> None:
    seen: set[str] = set()
    for name in names:
        if str(name) in seen:
            raise FrameError(f"two columns are named {name!r}", where="the frame", remedy="Rename or drop one of them.")
        seen.add(str(name))


def _arrow(table: pa.Table) -> Taken:
    _unique(table.column_names)

    def back(frame: pl.DataFrame, rows: pl.Series | None) -> object:
        own = table if rows is None else table.take(rows.to_arrow())
        columns = {name: own[name] if name in table.column_names else frame[name].to_arrow() for name in frame.columns}
        columns.update({name: frame[name].to_arrow() for name in RESULT_COLUMNS if name in frame.columns})
        return pa.table(columns)

    return _taken(_converted(lambda: cast("pl.DataFrame", pl.from_arrow(table))), "pyarrow", back)


def _pandas(data: pd.DataFrame) -> Taken:
    names = [str(name) for name in data.columns]
    if data.columns.nlevels > 1:
        raise FrameError(
            f"its columns have {data.columns.nlevels} levels",
            where="the frame",
            remedy="Give each column one name: df.columns = ['.'.join(name) for name in df.columns].",
        )
    _unique(names)
    series = [_pandas_column(name, data.iloc[:, place]) for place, name in enumerate(names)]

    def back(frame: pl.DataFrame, rows: pl.Series | None) -> object:
        own = data.copy(deep=False) if rows is None else data.iloc[rows.to_list()].copy(deep=False)
        own.columns = cast("pd.Index[Any]", names)
        added = [name for name in frame.columns if name in RESULT_COLUMNS or name not in names]
        converted = frame.select(added).to_pandas()
        for name in added:
            own[name] = converted[name].array
        return own[frame.columns]

    return _taken(pl.DataFrame(series), "pandas", back)


def _pandas_column(name: str, column: pd.Series[Any]) -> pl.Series:
    if column.dtype in ("float64", "object") and column.isna().all():  # pandas has no other type for nothing
        return pl.repeat(None, len(column), dtype=pl.Null, eager=True).alias(name)
    try:
        return pl.from_pandas(column.reset_index(drop=True)).alias(name)
    except (pl.exceptions.PolarsError, pa.ArrowException, TypeError, ValueError) as error:
        raise FrameError(
            f"its values are of several kinds or of none that can be read: {error}",
            where=f"column {name}",
            remedy=f"Make them one kind, for example df[{name!r}] = df[{name!r}].astype('string').",
        ) from error


def _dicts(rows: Sequence[Mapping[str, object]]) -> Taken:
    if not rows:
        raise FrameError("the list is empty, so it has no columns", where="the frame", remedy=TAKES)
    frame = _converted(lambda: pl.from_dicts(list(rows), infer_schema_length=None))
    return _taken(frame, "dicts", lambda answer, _: answer.to_dicts())


def _columns(columns: Mapping[Any, object]) -> Taken:
    _unique(list(columns))
    for name, values in columns.items():
        if isinstance(values, str) or not hasattr(values, "__len__"):
            raise FrameError(
                f"{values!r} is one value, not a column",
                where=f"column {name}",
                remedy="Give a dict of lists, or a list of dicts for rows.",
            )
    frame = _converted(lambda: pl.DataFrame({str(name): values for name, values in columns.items()}))
    return _taken(frame, "columns", lambda answer, _: answer.to_dict(as_series=False))
