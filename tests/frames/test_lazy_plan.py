"""What is read from polars' plan is what polars then asks of the scan."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl
import pytest
from hypothesis import example, given, settings
from polars.io.plugins import register_io_source

from sfframe.codec.layout import ShapeColumn
from sfframe.codec.types import rule_for
from sfframe.errors import UsageError
from sfframe.frames.lazy_plan import asked_of_scans
from sfframe.frames.pushdown import push
from sfframe.schema import Field
from tests.predicates import LEAF, PARENTS, ROOT, predicates

C = pl.col


def described(name: str, kind: str) -> ShapeColumn:
    return ShapeColumn(
        name, tuple(name.split(".")), kind, rule_for(kind).dtype, Field(name, name, kind, precision=9, scale=2)
    )


COLUMNS = [
    described("Id", "id"),
    *[described(field["name"], field["type"]) for field in LEAF["fields"]],
    *[described(name, field["type"]) for name, field in zip(PARENTS, ROOT["fields"], strict=True)],
]
EMPTY = pl.DataFrame(schema={column.name: column.dtype for column in COLUMNS})


class Recorder:
    """A source that keeps what it is asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[list[str] | None, pl.Expr | None, int | None]] = []

    def __call__(
        self, columns: list[str] | None, predicate: pl.Expr | None, rows: int | None, _size: int | None
    ) -> Iterator[pl.DataFrame]:
        self.asked.append((columns, predicate, rows))
        yield EMPTY if columns is None else EMPTY.select(columns)

    def scan(self) -> pl.LazyFrame:
        return register_io_source(self, schema=EMPTY.schema)


@settings(max_examples=60)
@given(predicate=predicates(["001000000000001AAA", "001000000000002AAA"]))
@example(predicate=(pl.lit(True) & pl.col("Root__r.Open__c")).fill_null(False))
def test_the_filter_that_is_explained_is_the_filter_that_is_asked(predicate):
    source = Recorder()
    lazy = source.scan().filter(predicate).select("Id", "Text__c")
    seen = asked_of_scans(lazy)
    lazy.collect()
    assert [one.source for one in seen] == [source] * len(source.asked)
    for one, (columns, given_filter, rows) in zip(seen, source.asked, strict=True):
        assert (one.columns, one.rows) == (columns, rows)
        assert (one.predicate is None) == (given_filter is None)
        if one.predicate is not None and given_filter is not None:
            explained, asked = push(one.predicate, COLUMNS), push(given_filter, COLUMNS)
            assert (explained.condition, explained.exact) == (asked.condition, asked.exact)


def test_a_slice_and_a_projection_are_seen():
    source = Recorder()
    (asked,) = asked_of_scans(source.scan().select("Day__c", "Id").head(7))
    assert (asked.source, asked.columns, asked.predicate, asked.rows) == (source, ["Id", "Day__c"], None, 7)


def test_what_is_no_lazy_frame_is_told():
    with pytest.raises(UsageError, match="does not show the plan"):
        asked_of_scans(EMPTY)  # type: ignore[arg-type]
