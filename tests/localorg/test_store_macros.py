"""The SQL macros agree with the scalar functions, and both with values that were recorded."""

from __future__ import annotations

from collections.abc import Iterator

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sfframe.localorg.store import java_numbers, record_ids
from sfframe.localorg.store.java_numbers import java_double
from sfframe.localorg.store.record_ids import id18, record_id, suffix

POD = "5g"


@pytest.fixture(scope="module")
def cursor() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        connection.execute(record_ids.macros(POD) + java_numbers.MACROS)
        yield connection


def by_sql(cursor: duckdb.DuckDBPyConnection, expression: str, values: list[object], sql_type: str) -> list[object]:
    rows = cursor.execute(
        f"SELECT {expression} FROM (SELECT unnest($1::{sql_type}[]) AS x, unnest(range(len($1))) AS n) ORDER BY n",
        [values],
    ).fetchall()
    return [row[0] for row in rows]


@pytest.mark.parametrize("known", ["01254000001upcKAAQ", "01gRO0000016PIAYA2", "0035400000hDwBhAAK"])
def test_recorded_ids_have_the_suffix_that_is_computed(known: str, cursor: duckdb.DuckDBPyConnection) -> None:
    assert suffix(known[:15]) == known[15:]
    assert by_sql(cursor, "id18(x)", [known, known[:15], known.lower()], "VARCHAR") == [known, known, None]
    assert [id18(text) for text in (known, known[:15], known.lower())] == [known, known, None]


def test_ids_are_made_alike_one_at_a_time_and_by_the_million(cursor: duckdb.DuckDBPyConnection) -> None:
    numbers = [0, 1, 61, 62, 3843, 3844, 916_132_831, 916_132_832, 62**9 - 1]
    made = by_sql(cursor, "sf_id('001', x)", list[object](numbers), "BIGINT")
    assert made == [record_id("001", POD, number) for number in numbers]
    assert made[:3] == ["0015g0000000000AAA", "0015g0000000001AAA", "0015g000000000zAAA"]
    assert made == sorted(made, key=str)


@settings(max_examples=60)
@given(st.lists(st.tuples(st.sampled_from(["001", "00D", "a0Z", "750"]), st.integers(0, 62**9 - 1)), min_size=1))
def test_the_id_macro_agrees_with_the_scalar_for_any_counter(
    cursor: duckdb.DuckDBPyConnection, rows: list[tuple[str, int]]
) -> None:
    prefixes, numbers = [row[0] for row in rows], [row[1] for row in rows]
    made = cursor.execute("SELECT sf_id(unnest($1), unnest($2))", [prefixes, numbers]).fetchall()
    assert made == [(record_id(prefix, POD, number),) for prefix, number in rows]


ALMOST_IDS = st.one_of(
    st.text("0123456789abcXYZ", min_size=15, max_size=15),
    st.from_regex(r"[0-9A-Za-z]{15}([A-Za-z0-5]{3})?", fullmatch=True),
    st.text("0123456789abcXYZ", min_size=15, max_size=15).map(lambda text: text + suffix(text)),
    st.text("0123456789abcXYZ", min_size=15, max_size=15).map(lambda text: (text + suffix(text)).swapcase()),
    st.text(max_size=20),
)


@settings(max_examples=200)
@given(st.lists(st.one_of(st.none(), ALMOST_IDS), max_size=20))
def test_whatever_the_text_both_agree_on_its_id(cursor: duckdb.DuckDBPyConnection, texts: list[str | None]) -> None:
    # DuckDB ends a text parameter at NUL; no CSV or JSON value of the org holds one.
    clean = [text.replace("\0", "") if text is not None else None for text in texts]
    expected = [None if text is None else id18(text) for text in clean]
    assert by_sql(cursor, "id18(x)", list[object](clean), "VARCHAR") == expected


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (912260031.0, "9.12260031E8"),
        (71664061.0, "7.1664061E7"),
        (30.0, "30.0"),
        (1e7, "1.0E7"),
        (9999999.5, "9999999.5"),
        (1e-3, "0.001"),
        (1e-4, "1.0E-4"),
        (0.00012, "1.2E-4"),
        (1234567.89, "1234567.89"),
        (-1.5e300, "-1.5E300"),
        (1e16, "1.0E16"),
        (1e15, "1.0E15"),
        (5e-324, "5.0E-324"),
        (-0.0, "-0.0"),
        (float("inf"), "Infinity"),
        (float("-inf"), "-Infinity"),
        (float("nan"), "NaN"),
    ],
)
def test_doubles_are_spelt_as_java_spells_them(value: float, text: str, cursor: duckdb.DuckDBPyConnection) -> None:
    assert java_double(value) == text
    assert by_sql(cursor, "java_double(x)", [value], "DOUBLE") == [text]


@settings(max_examples=300)
@given(st.lists(st.one_of(st.none(), st.floats(), st.floats(1e-5, 1e-2), st.floats(1e6, 1e17)), max_size=30))
def test_the_double_macro_agrees_with_the_scalar_for_any_double(
    cursor: duckdb.DuckDBPyConnection, values: list[float | None]
) -> None:
    expected = [None if value is None else java_double(value) for value in values]
    assert by_sql(cursor, "java_double(x)", list[object](values), "DOUBLE") == expected
