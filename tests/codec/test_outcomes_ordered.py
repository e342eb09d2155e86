"""Answers that come in the order of their rows: the result of a Bulk 1.0 batch, and the choice of its reader."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sfframe.codec.outcomes import ANSWER_SCHEMA, read_ordered, split_errors
from sfframe.codec.outcomes_csv import read_csv
from sfframe.errors import DecodeError, IncompleteAnswer
from sfframe.spool import Answers, Part

HEAD = '"Id","Success","Created","Error"\n'
ID = "003D000000Q89kQIAR"


def result(folder: Path, text: str) -> Path:
    path = folder / "part-00000.751.result.csv"
    path.write_text(text, encoding="utf-8")
    return path


def answers(folder: Path, rows: int, *, ordered: Path | None = None, state: str = "Completed", error: str = ""):
    part = Part(0, folder / "part.csv", 0, rows, 0)
    return Answers(part, "750x", state, None, None, None, error=error, ordered=ordered, batch_id="751x")


def test_each_row_of_a_batch_has_its_answer_in_order(tmp_path):
    text = (
        f'{HEAD}"{ID}","true","true",""\n'
        '"","false","false","REQUIRED_FIELD_MISSING:Required fields are missing: [LastName]:LastName --"\n'
        f'"{ID}","true","false",""\n'
        f'"{ID}","false","true","INVALID_FIELD:Foreign key external ID: x y not found for field E__c in entity A:--"\n'
        '"","false","false","A free text with ""quotes"",\nand a break"\n'
    )
    found = read_ordered(answers(tmp_path, 5, ordered=result(tmp_path, text)))
    assert found.schema == ANSWER_SCHEMA
    assert found.rows() == [
        ("succeeded", ID, True, None, None, None),
        ("failed", None, None, "REQUIRED_FIELD_MISSING", "LastName", "Required fields are missing: [LastName]"),
        ("succeeded", ID, False, None, None, None),
        (
            "failed",
            ID,
            None,
            "INVALID_FIELD",
            None,
            "Foreign key external ID: x y not found for field E__c in entity A",
        ),
        ("failed", None, None, None, None, 'A free text with "quotes",\nand a break'),
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("X_CODE:bad: value:Field1__c Field2 --", ("X_CODE", "Field1__c, Field2", "bad: value")),
        ("X_CODE:bad: value:Field1__c, Field2 --", ("X_CODE", "Field1__c, Field2", "bad: value")),
        ("X_CODE:bad:A.B__c --", ("X_CODE", "A.B__c", "bad")),
        ("X_CODE:said at:10 o clock--", ("X_CODE", None, "said at:10 o clock")),
        ("X_CODE:a message:two words", ("X_CODE", None, "a message:two words")),
        ("A_CODE:one:F1 F2 --B_CODE:two:F2 F3 --", ("A_CODE", "F1, F2, F3", "one\nB_CODE: two")),
    ],
)
def test_the_fields_of_an_error_are_parted_by_blanks_where_its_end_is_marked(text, expected):
    assert split_errors(pl.Series([text])).rows() == [(text, *expected)]


@pytest.mark.parametrize("lines", [0, 1, 3, 10_000])
def test_a_result_with_another_number_of_answers_is_never_shifted_onto_rows(tmp_path, lines):
    path = result(tmp_path, HEAD + f'"{ID}","true","true",""\n' * lines)
    with pytest.raises(IncompleteAnswer, match=f"it has {lines:,} answers, and 2 rows were sent"):
        read_csv(path, 2)
    found = read_ordered(answers(tmp_path, 2, ordered=path))
    assert found["sf__Outcome"].to_list() == [None, None]
    assert found["sf__Error"][0].startswith(f"the answer {path.name}: it has {lines:,} answers")


def test_an_answer_without_a_byte_is_incomplete(tmp_path):
    with pytest.raises(IncompleteAnswer):
        read_csv(result(tmp_path, ""), 1)


def test_columns_are_found_in_any_order_and_case_and_a_word_that_is_no_success_is_unknown(tmp_path):
    path = result(tmp_path, f'"error","SUCCESS","id"\n"","True","{ID}"\n"","","{ID}"\n"","maybe",""\n')
    assert read_csv(path, 3).rows() == [
        ("succeeded", ID, None, None, None, None),
        (None, ID, None, None, None, None),
        (None, None, None, None, None, None),
    ]


def test_what_is_no_csv_says_so(tmp_path):
    with pytest.raises(DecodeError, match="the file is no CSV"):
        read_csv(result(tmp_path, HEAD + '"unfinished'), 1)


@pytest.mark.parametrize(
    ("state", "outcome"),
    [("Failed", "unprocessed"), ("NotProcessed", "unprocessed"), ("Unknown", None), ("NotFound", None)],
)
def test_without_a_file_the_state_says_what_is_known(tmp_path, state, outcome):
    found = read_ordered(answers(tmp_path, 2, state=state, error="InvalidBatch : Field name not found : Foo__c"))
    assert found.schema == ANSWER_SCHEMA
    assert found.rows() == [(outcome, None, None, None, None, "InvalidBatch : Field name not found : Foo__c")] * 2


def test_a_part_without_rows_has_no_answers(tmp_path):
    assert read_ordered(answers(tmp_path, 0, state="NotProcessed")).rows() == []
    assert read_ordered(answers(tmp_path, 0, ordered=result(tmp_path, HEAD))).schema == ANSWER_SCHEMA


def test_the_answer_of_a_collections_call_is_told_by_its_suffix(tmp_path):
    path = tmp_path / "part-00000.answers.json"
    path.write_text(json.dumps([{"id": ID, "success": True, "errors": []}, None]), encoding="utf-8")
    found = read_ordered(answers(tmp_path, 2, ordered=path))
    assert found["sf__Outcome"].to_list() == ["succeeded", None]
    assert read_ordered(answers(tmp_path, 3, ordered=path))["sf__Outcome"].to_list() == [None] * 3


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["", ID]),
            st.booleans(),
            st.booleans(),
            st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1).filter(lambda text: text != "#N/A"),
        ),
        max_size=20,
    )
)
def test_any_result_is_read_line_by_line(tmp_path, lines):
    def cell(value: object) -> str:
        text = str(value).lower() if isinstance(value, bool) else str(value)
        return '"' + text.replace('"', '""') + '"'

    text = HEAD + "".join(
        ",".join(cell(one) for one in (record, success, created, "" if success else error)) + "\n"
        for record, success, created, error in lines
    )
    found = read_csv(result(tmp_path, text), len(lines))
    assert found.select("sf__Outcome", "sf__Id", "sf__Created").rows() == [
        ("succeeded" if success else "failed", record or None, created if success else None)
        for record, success, created, _ in lines
    ]
    for row, (_, success, _, error) in zip(found.rows(), lines, strict=True):
        if success:
            assert row[3:] == (None, None, None)
        elif ":" not in error:
            assert row[3:] == (None, None, error)
