"""Result files as the org may send them, and the grammar of its row errors."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from sfframe.codec.outcomes import read_outcomes, split_errors
from sfframe.errors import DecodeError
from sfframe.facts import DELIMITERS
from sfframe.spool import Answers, Part


def answers(tmp_path: Path, succeeded=None, failed=None, unprocessed=None) -> Answers:
    paths: list[Path | None] = []
    for name, body in (("succeeded", succeeded), ("failed", failed), ("unprocessed", unprocessed)):
        path = tmp_path / name
        if body is not None:
            path.write_bytes(body.encode() if isinstance(body, str) else body)
        paths.append(path if body is not None else None)
    return Answers(Part(0, tmp_path / "part", 0, 0, 0), "750x", "JobComplete", paths[0], paths[1], paths[2])


def read(tmp_path, headers=("Name", "City"), delimiter="COMMA", **files):
    return read_outcomes(answers(tmp_path, **files), headers, delimiter=delimiter)


def test_the_three_files_become_one_frame(tmp_path):
    outcomes = read(
        tmp_path,
        succeeded='"sf__Id","sf__Created",NAME,City\n"a01","true","x",""\n"a02","false","y","Rome"\n',
        failed='"sf__Id","sf__Error",City,name\n"","REQUIRED_FIELD_MISSING:Required: [Name]:Name --","Bonn",""',
        unprocessed="name,City\nz,#N/A\n",
    )
    assert outcomes.columns == ("Name", "City")
    assert outcomes.frame.rows() == [
        ("succeeded", "a01", True, None, None, None, "x", None),
        ("succeeded", "a02", False, None, None, None, "y", "Rome"),
        ("failed", None, None, "REQUIRED_FIELD_MISSING", "Name", "Required: [Name]", None, "Bonn"),
        ("unprocessed", None, None, None, None, None, "z", None),
    ]


@pytest.mark.parametrize(
    "body", [None, "", "\n", '"sf__Id","sf__Created",Name,City\n', '"sf__Id","sf__Created",Name,City']
)
def test_missing_and_empty_files_have_no_rows(tmp_path, body):
    outcomes = read(tmp_path, succeeded=body, failed=body, unprocessed=body)
    assert outcomes.frame.height == 0
    assert outcomes.columns == ("Name", "City")


@pytest.mark.parametrize("delimiter", list(DELIMITERS))
@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_texts_survive_every_delimiter_and_line_ending(tmp_path, delimiter, ending):
    sign = DELIMITERS[delimiter]
    nasty = ["cr\rhere", "two\r\nlines", "next\u2028line", "nel\x85", 'a ""quote""', f"sign {sign}", " blanks ", "Ünï"]
    lines = [sign.join(['"sf__Id"', '"sf__Created"', "Name"])]
    lines += [sign.join([f'"{place}"', '"true"', f'"{text}"']) for place, text in enumerate(nasty)]
    outcomes = read(tmp_path, ["Name"], delimiter, succeeded=ending.join(lines) + ending)
    assert outcomes.frame["Name"].to_list() == [text.replace('""', '"') for text in nasty]


def test_pain_simple_salesforce_687_results_are_utf8(tmp_path):
    outcomes = read(tmp_path, ["Name"], succeeded='\ufeff"sf__Id",sf__Created,Name\na,true,Köln\n')
    assert outcomes.frame["Name"].to_list() == ["Köln"]


def test_a_column_that_one_file_does_not_repeat_is_not_compared(tmp_path):
    outcomes = read(
        tmp_path, succeeded="sf__Id,sf__Created,Name\na,true,x\n", failed="sf__Id,sf__Error,Name,City\n,E,y,z\n"
    )
    assert outcomes.columns == ("Name",)


def test_a_file_that_is_cut_off_is_named(tmp_path):
    with pytest.raises(DecodeError, match="job 750x, succeeded rows: the file is no CSV"):
        read(tmp_path, ["Name"], succeeded='"sf__Id","sf__Created",Name\n"a","true","cut')


@pytest.mark.parametrize(
    ("text", "code", "fields", "message"),
    [
        (
            "REQUIRED_FIELD_MISSING:Required fields are missing: [Name]:Name --",
            "REQUIRED_FIELD_MISSING",
            "Name",
            "Required fields are missing: [Name]",
        ),
        (
            "UNABLE_TO_LOCK_ROW:unable to obtain exclusive access to this record:--",
            "UNABLE_TO_LOCK_ROW",
            None,
            "unable to obtain exclusive access to this record",
        ),
        (
            (
                "INVALID_FIELD:Failed to deserialize field at col 3. Due to, 'x:y' is not a valid value for the type "
                "xsd:date:CloseDate --"
            ),
            "INVALID_FIELD",
            "CloseDate",
            "Failed to deserialize field at col 3. Due to, 'x:y' is not a valid value for the type xsd:date",
        ),
        (
            "FIELD_CUSTOM_VALIDATION_EXCEPTION:a: b, c:Name, Ext__c --",
            "FIELD_CUSTOM_VALIDATION_EXCEPTION",
            "Name, Ext__c",
            "a: b, c",
        ),
        (
            (
                "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY:T: execution of BeforeInsert\n\ncaused by: System.X\n\n"
                "Trigger.T: line 3, column 1:--"
            ),
            "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY",
            None,
            "T: execution of BeforeInsert\n\ncaused by: System.X\n\nTrigger.T: line 3, column 1",
        ),
        ("something without a code", None, None, "something without a code"),
        ("lower:case --", None, None, "lower:case --"),
        (
            "A_CODE:first -- not the end:--B_CODE:second:Name --",
            "A_CODE",
            "Name",
            "first -- not the end\nB_CODE: second",
        ),
        ("DUPLICATE_VALUE:taken: Ext__c duplicates a01:--", "DUPLICATE_VALUE", None, "taken: Ext__c duplicates a01"),
        ("STRANGE:no end here", "STRANGE", None, "no end here"),
    ],
)
def test_errors_are_taken_apart(text, code, fields, message):
    parsed = split_errors(pl.Series([text]))
    assert parsed.rows() == [(text, code, fields, message)]
