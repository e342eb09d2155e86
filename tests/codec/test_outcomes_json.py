"""The kept answers of collections calls, as the org may send them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sfframe.codec.outcomes import ANSWER_SCHEMA
from sfframe.codec.outcomes_json import read_json
from sfframe.errors import DecodeError, IncompleteAnswer

ID = "001AB00000QrS02YAD"


def kept(folder: Path, rows: object) -> Path:
    path = folder / "part-00000.answers.json"
    path.write_text(json.dumps(rows), encoding="utf-8")
    return path


def test_each_row_has_its_answer_in_order(tmp_path):
    rows: list[object] = [
        {"id": ID, "success": True, "errors": [], "created": True},
        {"success": False, "errors": [{"statusCode": "A_CODE", "message": "no €", "fields": []}], "created": False},
        None,
        {"id": ID, "success": True, "errors": []},
        {"id": ID, "success": False, "errors": [{"statusCode": "B_CODE", "message": "x", "fields": ["Name", "N__c"]}]},
        {"id": ID, "success": True, "errors": [], "created": False},
        {"success": False, "errors": []},
    ]  # fmt: skip
    found = read_json(kept(tmp_path, rows), 7)
    assert found.schema == ANSWER_SCHEMA
    assert found.rows() == [
        ("succeeded", ID, True, None, None, None),
        ("failed", None, None, "A_CODE", None, "no €"),
        (None, None, None, None, None, None),
        ("succeeded", ID, None, None, None, None),
        ("failed", ID, None, "B_CODE", "Name, N__c", "x"),
        ("succeeded", ID, False, None, None, None),
        ("failed", None, None, None, None, None),
    ]


def test_several_errors_of_a_row_are_put_together_as_those_of_a_bulk_result(tmp_path):
    errors = [
        {"statusCode": "A_CODE", "message": "first", "fields": ["Name"]},
        {"statusCode": "B_CODE", "message": "second", "fields": ["N__c", "Name"]},
        {"message": "third"},
    ]
    found = read_json(kept(tmp_path, [{"success": False, "errors": errors}]), 1)
    assert found.rows() == [("failed", None, None, "A_CODE", "Name, N__c", "first\nB_CODE: second\nthird")]


def test_members_that_nobody_asked_for_are_passed_over(tmp_path):
    error = {"duplicateResult": {"matchResults": [{"size": 1}]}, "statusCode": "DUPLICATES_DETECTED", "message": "Use?"}
    found = read_json(kept(tmp_path, [{"errors": [error], "success": False, "new": {"a": [1]}}]), 1)
    assert found.rows() == [("failed", None, None, "DUPLICATES_DETECTED", None, "Use?")]


@settings(max_examples=100)
@given(st.lists(st.none() | st.tuples(st.booleans(), st.text()), max_size=8))
def test_any_answers_keep_their_rows(tmp_path: Path, drawn):
    rows = [
        one and {"success": one[0], "errors": [] if one[0] else [{"statusCode": "C", "message": one[1]}]}
        for one in drawn
    ]
    found = read_json(kept(tmp_path, rows), len(rows))
    words = {True: "succeeded", False: "failed"}
    assert found["sf__Outcome"].to_list() == [one and words[one[0]] for one in drawn]
    assert found["sf__Error"].to_list() == [one[1] if one and not one[0] else None for one in drawn]


@pytest.mark.parametrize("rows", [0, 1, 3])
def test_another_number_of_answers_is_refused(tmp_path, rows):
    path = kept(tmp_path, [{"success": True, "errors": []}] * 2)
    with pytest.raises(IncompleteAnswer, match=f"it has 2 answers, and {rows} rows were sent"):
        read_json(path, rows)


@pytest.mark.parametrize("body", ["", "{}", '[{"success":"yes"}]', '[{"success":true}', "[1]", "<html>"])
def test_what_is_no_answer_is_refused(tmp_path, body):
    path = tmp_path / "part-00000.answers.json"
    path.write_text(body)
    with pytest.raises(DecodeError, match=r"the answer part-00000\.answers\.json: it cannot be read"):
        read_json(path, 1)
