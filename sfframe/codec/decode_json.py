"""The JSON pages of a REST query -> typed frames.

polars reads numbers and booleans straight to their types, and everything else as text. Only pages in which such a value
has another form are read once more, all of it as text by the rules of ``types``: they name the value that is none.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import polars as pl
import pyarrow as pa

from sfframe.codec.decode import NUL, Readers, readers_of, schema_of, typed_page
from sfframe.codec.layout import Shape, ShapeColumn
from sfframe.codec.types import EXACT_FLOAT, ID, Transform, as_is, rule_for
from sfframe.errors import DecodeError, IncompleteAnswer

# The bodies of the pages that ``nextRecordsUrl`` of a child list names, to the last.
More = Callable[[str], Iterable[bytes]]

_AS_TEXT: Mapping[str, pl.DataType] = {}
_ATTRIBUTES = pl.Struct({"type": pl.String, "url": pl.String})


def _whole(number: pl.Expr) -> pl.Expr:
    # EXACT_FLOAT itself is what its next neighbour is rounded to.
    return pl.when((number == number.floor()) & (number.abs() < EXACT_FLOAT)).then(number).cast(pl.Int64)


# The type of a column, the one that polars parses it to, and the way from this to that. polars refuses text and objects
# for both; for Int64 it would cut fractions off.
_PLAIN: Mapping[pl.DataType, tuple[pl.DataType, Transform]] = {
    pl.Float64(): (pl.Float64(), as_is),
    pl.Int64(): (pl.Float64(), _whole),
    pl.Boolean(): (pl.Boolean(), as_is),
}


def no_more(next_path: str) -> Iterable[bytes]:
    """For queries without sub-queries: nothing has further pages."""
    raise IncompleteAnswer(
        "a list of children has further pages, and none of them can be had here", where=next_path.partition("?")[0]
    )


def read_rest(
    bodies: Iterable[bytes],
    shape: Shape,
    *,
    decimals: bool = False,
    split_multipicklists: bool = False,
    more: More = no_more,
) -> pl.DataFrame:
    """The JSON pages of a REST query, in order, as one frame with the columns of ``shape``.

    Parents' fields become dotted columns, null where there is no parent; addresses and locations are structs. Children
    are a list of structs, empty where there are none; ``more`` gives the further pages of a long one. For
    ``SELECT COUNT()`` the frame has the one number. The options and errors are those of ``read_bulk``, and
    ``IncompleteAnswer`` where a child list has not as many records as the org says.
    """
    reader = PageReader(shape, decimals=decimals, split_multipicklists=split_multipicklists, more=more)
    frames = [reader.empty]
    row = 0
    for body in bodies:
        frames.append(reader.read(body, first_row=row))
        row += frames[-1].height
        if shape.count_only:
            return frames[-1]
    return pl.concat(frames)


@dataclass(frozen=True, slots=True)
class PageReader:
    """Reads one page after the other to typed frames; safe to share by threads."""

    shape: Shape
    decimals: bool = False
    split_multipicklists: bool = False
    more: More = no_more

    @property
    def empty(self) -> pl.DataFrame:
        """No rows, but the columns and types that every page has."""
        return pl.DataFrame(schema=schema_of(self.shape, self._readers(self.shape)))

    def read(self, *bodies: bytes, first_row: int = 0) -> pl.DataFrame:
        """The rows of some pages. ``first_row`` is the number of their first row in the whole answer, for messages."""
        plain = {name: dtype for name, (dtype, _) in self._readers(self.shape).items() if dtype in _PLAIN}
        if plain:
            with suppress(DecodeError):
                return self._read(bodies, plain, first_row)
        return self._read(bodies, {}, first_row)

    def _read(self, bodies: Sequence[bytes], plain: Mapping[str, pl.DataType], first_row: int) -> pl.DataFrame:
        """The rows of some pages; the columns in ``plain`` are not parsed as text.

        Each page is parsed by itself, which takes half as long as parsing them as one array: its text and what the
        parser makes of it stay in the processor's cache. The columns are then typed together.
        """
        shape = self.shape
        if shape.count_only:
            pages = pl.concat([_parsed(body, {"totalSize": pl.Int64()}, first_row) for body in bodies])
            return pages.rename({"totalSize": shape.names[0]})
        record = _record_type(shape.columns, {name: _PLAIN[dtype][0] for name, dtype in plain.items()})
        pages = pl.concat([_parsed(body, {"records": pl.List(record)}, first_row) for body in bodies])
        readers = self._readers(shape) | {name: (dtype, _PLAIN[dtype][1]) for name, dtype in plain.items()}
        records = pages["records"].explode(keep_nulls=False, empty_as_null=False)
        frame = self._typed(records, bodies, shape, readers, first_row)
        for column in shape.columns:
            if column.name in plain:
                _check_no_boolean(column, frame[column.name], bodies)
        return frame

    def _readers(self, shape: Shape) -> Readers:
        return readers_of(shape, decimals=self.decimals, split=self.split_multipicklists)

    def _typed(
        self, records: pl.Series, bodies: Sequence[bytes], shape: Shape, readers: Readers, first_row: int
    ) -> pl.DataFrame:
        """Records as they were parsed -> a frame with the shape's columns."""
        found = records.rename("record").to_frame()
        text = found.select(_value(column).alias(column.name) for column in shape.columns)
        alike = all(column.type != "object_type" for column in shape.columns)  # else each branch has keys of its own
        for column in shape.columns:
            if alike and text.height and text[column.name].null_count() == text.height:
                _check_key(column, bodies)
        if _with_nul(text, shape):
            text = text.with_columns(pl.col(pl.String).str.replace_all(NUL, "", literal=True))
        nested = [
            self._nested(column, text[column.name], bodies, first_row) for column in shape.columns if column.parts
        ]
        return typed_page(text.with_columns(nested), shape, readers, first_row=first_row)

    def _nested(self, column: ShapeColumn, values: pl.Series, bodies: Sequence[bytes], first_row: int) -> pl.Series:
        if column.type == "children":
            return self._children(column, values, bodies, first_row)
        typed = self._members(column, values, bodies, pl.int_range(len(values), eager=True) + first_row)
        return typed.select(pl.when(values.is_not_null()).then(pl.struct(pl.all())).alias(column.name)).to_series()

    def _children(self, column: ShapeColumn, values: pl.Series, bodies: Sequence[bytes], first_row: int) -> pl.Series:
        """Child lists -> lists of typed structs. A list with further pages is completed before it is counted."""
        lists = values.struct.unnest().with_row_index("row")
        children = lists.select("row", "records").explode("records", keep_nulls=False, empty_as_null=False)
        longer = lists.filter(pl.col("done").not_())
        if longer.height:
            further = [
                self._further(column, row, path, first_row)
                for row, path in longer.select("row", "nextRecordsUrl").iter_rows()
            ]  # one turn for each list with further pages, each of which is a call of its own
            # All of them carry keys of their own, so that a missing one is looked for on every page.
            bodies = [*bodies, *(one for _, pages in further for one in pages)]
            children = pl.concat([children, *(frame for frame, _ in further)]).sort("row", maintain_order=True)
        self._check_counts(column, lists, children, first_row)
        typed = self._members(column, children["records"], bodies, children["row"] + first_row)
        lengths = lists.select("row").join(children.group_by("row").len(), on="row", how="left", maintain_order="left")
        ends = lengths["len"].fill_null(0).cast(pl.Int64).cum_sum()
        offsets = pl.concat([pl.Series([0], dtype=pl.Int64), ends]).to_arrow()
        nested = pa.LargeListArray.from_arrays(offsets, typed.to_struct().to_arrow())
        return pl.Series(column.name, nested, dtype=pl.List(pl.Struct(typed.schema)))

    def _further(
        self, column: ShapeColumn, row: int, path: str | None, first_row: int
    ) -> tuple[pl.DataFrame, list[bytes]]:
        """The children of one row that did not fit into its page."""
        bodies = list(self.more(path or ""))
        record = _record_type(column.parts)
        pages = [_parsed(one, {"records": pl.List(record)}, first_row + row).explode("records") for one in bodies]
        records = pl.concat([pl.DataFrame(schema={"records": record}), *pages])
        return records.select(pl.lit(row, pl.get_index_type()).alias("row"), "records"), bodies

    def _check_counts(self, column: ShapeColumn, lists: pl.DataFrame, children: pl.DataFrame, first_row: int) -> None:
        counted = lists.join(children.group_by("row").len(), on="row", how="left", maintain_order="left")
        wrong = counted.filter(pl.col("len").fill_null(0) != pl.col("totalSize").fill_null(0))
        if wrong.height:
            row, said, found = wrong.select("row", "totalSize", pl.col("len").fill_null(0)).row(0)
            raise IncompleteAnswer(
                f"the list has {found:,} records, and the org says that there are {said or 0:,}",
                where=f"column {column.name}, row {first_row + row}",
                remedy="The records changed while they were read: run it again.",
            )

    def _members(
        self, column: ShapeColumn, records: pl.Series, bodies: Sequence[bytes], rows: pl.Series
    ) -> pl.DataFrame:
        """The records of a nested column as a typed frame; ``rows`` says which row of the answer each belongs to."""
        try:
            members = Shape(column.parts)
            return self._typed(records, bodies, members, self._readers(members), 0)
        except DecodeError as problem:
            if problem.row < 0:
                raise
            row = int(rows[problem.row])
            name = f"{column.name}.{problem.column}"
            raise DecodeError(
                problem.what,
                where=f"column {name}, row {row}",
                remedy=problem.remedy,
                row=row,
                column=name,
                text=problem.text,
            ) from None


def _parsed(body: bytes, schema: Mapping[str, pl.DataType], row: int) -> pl.DataFrame:
    try:
        return pl.read_json(body, schema=dict(schema))
    except pl.exceptions.PolarsError as error:
        raise DecodeError(
            f"the page cannot be read: {error}",
            where=f"row {row} or after it",
            remedy="Report this: a value has another form than the describe says.",
            row=row,
        ) from error


def _record_type(columns: Iterable[ShapeColumn], types: Mapping[str, pl.DataType] = _AS_TEXT) -> pl.Struct:
    """What to look for in a record: the keys of all columns, as a tree. What is not in ``types`` is text."""
    tree: dict[str, Any] = {}
    for column in columns:
        branch = tree
        for key in column.keys[:-1]:
            branch = branch.setdefault(key, {})
        branch[column.keys[-1]] = types.get(column.name) or _parsed_type(column)
    return _struct(tree)


def _parsed_type(column: ShapeColumn) -> pl.DataType:
    if column.type == "children":
        page = {"totalSize": pl.Int64(), "done": pl.Boolean(), "nextRecordsUrl": pl.String()}
        return pl.Struct({**page, "records": pl.List(_record_type(column.parts))})
    if column.type == "branches":
        return _record_type(column.parts)
    if column.type == "object_type":
        return _ATTRIBUTES
    return column.dtype if isinstance(column.dtype, pl.Struct) else pl.String()


def _struct(tree: dict[str, Any]) -> pl.Struct:
    return pl.Struct({key: _struct(value) if isinstance(value, dict) else value for key, value in tree.items()})


def _value(column: ShapeColumn) -> pl.Expr:
    """Where a column's value stands in a record."""
    value = pl.col("record")
    for key in column.keys:
        value = value.struct.field(key)
    if column.type == "object_type":
        return _object_type(value)
    if column.only_for:
        kind = _object_type(pl.col("record").struct.field("attributes"))
        return pl.when(kind == column.only_for).then(value)
    return value


def _object_type(attributes: pl.Expr) -> pl.Expr:
    """The record's own object: a parent of several objects calls itself Name, its address tells (rest.md 5)."""
    return pl.coalesce(
        attributes.struct.field("url").str.extract(r"/sobjects/([^/]+)/"), attributes.struct.field("type")
    )


def _with_nul(text: pl.DataFrame, shape: Shape) -> bool:
    """True where a text has a NUL. Ids, dates and numbers are the org's own spelling, and never have one."""
    written = [column.name for column in shape.columns if column.dtype == pl.String and rule_for(column.type) is not ID]
    found = text.select(pl.col(written).str.contains(NUL, literal=True).any())
    return any(found.row(0)) if written else False


def _check_no_boolean(column: ShapeColumn, values: pl.Series, bodies: Sequence[bytes]) -> None:
    """polars reads true as the number 1. A field is either a number or a boolean, in all records of an org."""
    if values.dtype == pl.Boolean or values.null_count() == len(values) or not ((values == 0) | (values == 1)).all():
        return
    boolean = re.compile(rf'"{column.keys[-1]}"\s*:\s*[tf]'.encode())
    if any(map(boolean.search, bodies)):
        raise DecodeError("it is no number", where=f"column {column.name}")


def _check_key(column: ShapeColumn, bodies: Sequence[bytes]) -> None:
    """A key that no record has reads as null; the org sends every key that was asked for (rest.md 5)."""
    keys = [f'"{key}"'.encode() for key in (column.keys[-1], column.keys[0])]
    last, first = (any(key in body for body in bodies) for key in keys)
    if not last and not (first and len(column.keys) > 1):
        raise DecodeError(
            f"no record of the page has {column.keys[-1]!r}",
            where=f"column {column.name}",
            remedy="Report this: the org names the value otherwise than this version expects.",
            column=column.name,
        )
