"""Every cell that the org would refuse, before anything is sent."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pandera.errors
import polars as pl
import pytest

from sfframe.errors import UsageError
from sfframe.frames.columns import match_columns
from sfframe.frames.contract import check, frame_schema
from tests.frames.sample import ACCOUNT, CONTACT, describe

ID1, ID2 = "001000000000001AAA", "001000000000002AAA"


def run(data, operation="insert", sobject=ACCOUNT, key=None, columns=None, **options):
    frame = data if isinstance(data, pl.DataFrame) else pl.DataFrame(data)
    if operation == "insert" and sobject is ACCOUNT and not {"Name", "name", "label"} & set(frame.columns):
        frame = frame.with_columns(Name=pl.lit("n"))
    sent = match_columns(
        frame.columns, sobject, operation=operation, external_id_field=key, columns=columns, describe=describe
    )
    return check(frame, sent, sobject, operation=operation, external_id_field=key, **options)


def broken(data, *args, **options):
    return run(data, *args, **options).failures.select("row", "column", "value", "rule").rows()


def typed(data, *args, **options):
    checked = run(data, *args, **options)
    assert checked.failures.rows() == []
    return checked.typed.drop("Name", strict=False).to_dict(as_series=False)


def test_good_rows_come_back_in_the_types_of_the_fields():
    checked = run(
        {
            "name": ["a", "b"],
            "AnnualRevenue": [1.005, None],
            "NumberOfEmployees": [500.0, 7.0],
            "Since__c": [dt.date(2026, 1, 31), None],
            "Seen__c": [dt.datetime(2026, 1, 31, 9, 30, 0, 123999, dt.UTC), None],
            "Active__c": [True, None],
            "Tags__c": [["A", "B"], []],
        }
    )
    assert checked.failures.height == 0
    assert checked.typed.to_dict(as_series=False) == {
        "Name": ["a", "b"],
        "AnnualRevenue": [1.01, None],
        "NumberOfEmployees": [500, 7],
        "Since__c": [dt.date(2026, 1, 31), None],
        "Seen__c": [dt.datetime(2026, 1, 31, 9, 30, 0, 123000, dt.UTC), None],
        "Active__c": [True, None],
        "Tags__c": ["A;B", None],
    }
    assert checked.typed.schema["Seen__c"] == pl.Datetime("ms", "UTC")
    assert checked.rows.to_list() == [0, 1]
    assert not checked.blocked
    assert not any(checked.cleared.values())


def test_all_failures_are_reported_at_once_and_good_rows_stay():
    checked = run(
        {
            "label": ["fine", "x" * 256, None, "fine", "fine"],
            "Industry": ["Media", "Coal", "Mining", None, "Farming"],
            "NumberOfEmployees": [1.0, 500.5, 123456789.0, None, 12.0],
            "Email__c": ["a@b.co", "nobody", None, None, None],
        },
        columns={"label": "Name"},
    )
    assert checked.failures.rows() == [
        (1, "label", "x" * 255, "max_length", "Name takes 255 characters; shorten the text."),
        (1, "Industry", "Coal", "picklist", "Industry is a restricted picklist. Its values: Farming, Media."),
        (1, "NumberOfEmployees", "500.5", "type", "NumberOfEmployees takes whole numbers; round the value first."),
        (1, "Email__c", "nobody", "email", "This is not an e-mail address."),
        (2, "label", None, "required", "Name is required on insert."),
        (2, "Industry", "Mining", "picklist", "Industry is a restricted picklist. Its values: Farming, Media."),
        (
            2,
            "NumberOfEmployees",
            "123456789.0",
            "precision",
            "NumberOfEmployees takes 8 digits before the decimal point.",
        ),
    ]
    assert checked.rows.to_list() == [0, 3, 4]
    assert checked.typed["NumberOfEmployees"].to_list() == [1, None, 12]


@pytest.mark.parametrize(
    ("field", "texts", "values"),
    [
        ("NumberOfEmployees", ["12", "500.0", "-3", ""], [12, 500, -3, None]),
        ("AnnualRevenue", ["12", "1.25E3", "-0.005", ".5"], [12.0, 1250.0, -0.01, 0.5]),
        ("Active__c", ["true", "FALSE", "1", "0"], [True, False, True, False]),
        ("Since__c", ["2026-01-31", "2026-01-31Z", None], [dt.date(2026, 1, 31), dt.date(2026, 1, 31), None]),
        (
            "Seen__c",
            ["2026-01-31T10:00:00+01:00", "2026-01-31T09:00:00.1239Z"],
            [
                dt.datetime(2026, 1, 31, 9, tzinfo=dt.UTC),
                dt.datetime(2026, 1, 31, 9, microsecond=123000, tzinfo=dt.UTC),
            ],
        ),
        ("Opens__c", ["09:30:00", "09:30:00.500Z"], [dt.time(9, 30), dt.time(9, 30, 0, 500000)]),
        ("Logo__c", ["aGVsbG8="], [b"hello"]),
    ],
)
def test_text_is_taken_where_it_is_a_spelling_that_salesforce_knows(field, texts, values):
    assert typed({field: texts})[field] == values


@pytest.mark.parametrize(
    ("field", "text", "rule"),
    [
        ("NumberOfEmployees", "500.5", "type"),
        ("NumberOfEmployees", "1,200", "type"),
        ("AnnualRevenue", "1.234,50", "type"),
        ("AnnualRevenue", "NaN", "type"),
        ("AnnualRevenue", "inf", "type"),
        ("Active__c", "yes", "type"),
        ("Since__c", "31.01.2026", "type"),
        ("Since__c", "2026-02-30", "type"),
        ("Since__c", "2026-01-31T10:00:00Z", "clock_time"),
        ("Seen__c", "yesterday", "type"),
        ("Seen__c", "2026-01-31T10:00:00", "timezone"),
        ("Seen__c", "2026-01-31", "timezone"),
        ("Opens__c", "25:00", "type"),
        ("Logo__c", "not base64!", "type"),
        ("ParentId", "12345", "id"),
        ("ParentId", "003000000000001AAA", "key_prefix"),
        ("Tags__c", "A;X", "picklist"),
        ("Name", "#N/A", "null_mark"),
    ],
)
def test_text_that_is_none_is_refused(field, text, rule):
    assert broken({field: [text, None]} if field != "Name" else {field: [text]}) == [(0, field, text, rule)]


def test_naive_datetimes_are_refused_as_a_column_until_somebody_says_what_they_mean():
    frame = pl.DataFrame({"Seen__c": [None, dt.datetime(2026, 7, 1, 12), dt.datetime(2026, 1, 1, 12)]})
    checked = run(frame)
    assert checked.failures.rows() == [
        (
            None,
            "Seen__c",
            None,
            "timezone",
            '2 datetimes have no zone (first: row 1). Add timezone="Europe/Berlin", or set it in the profile.',
        )
    ]
    assert checked.blocked
    assert (checked.typed.height, checked.rows.to_list()) == (0, [])
    assert typed(frame, timezone="Europe/Berlin")["Seen__c"] == [
        None,
        dt.datetime(2026, 7, 1, 10, tzinfo=dt.UTC),
        dt.datetime(2026, 1, 1, 11, tzinfo=dt.UTC),
    ]


def test_texts_without_a_zone_are_taken_in_the_given_one():
    texts = [
        "2026-07-01T12:00:00",
        "2026-07-01 12:00",
        "2026-07-01",
        "2026-07-01T12:00:00Z",
        "2026-07-01T12:00:00.1239",
    ]
    values = typed({"Seen__c": texts}, timezone="Europe/Berlin")["Seen__c"]
    assert [value.isoformat() for value in values] == [
        "2026-07-01T10:00:00+00:00",
        "2026-07-01T10:00:00+00:00",
        "2026-06-30T22:00:00+00:00",
        "2026-07-01T12:00:00+00:00",
        "2026-07-01T10:00:00.123000+00:00",
    ]


def test_clock_times_that_do_not_exist_or_exist_twice_are_refused():
    times = [dt.datetime(2026, 3, 29, 2, 30), dt.datetime(2026, 10, 25, 2, 30), dt.datetime(2026, 5, 1)]
    assert [row[::3] for row in broken({"Seen__c": times}, timezone="Europe/Berlin")] == [
        (0, "timezone"),
        (1, "timezone"),
    ]
    with pytest.raises(UsageError, match="there is no time zone 'Berlin'"):
        run({"Seen__c": times}, timezone="Berlin")


def test_pain_dataloader_280_a_day_is_never_moved_by_a_zone():
    midnight = pl.Series([dt.datetime(2026, 7, 1)]).dt.replace_time_zone("Pacific/Auckland")
    assert typed({"Since__c": midnight})["Since__c"] == [dt.date(2026, 7, 1)]
    assert typed({"Since__c": [dt.datetime(2026, 7, 1)]})["Since__c"] == [dt.date(2026, 7, 1)]
    assert broken({"Since__c": [dt.datetime(2026, 7, 1, 0, 0, 1)]})[0][3] == "clock_time"


def test_numbers_that_are_none_or_too_large_are_refused():
    rows = broken({"AnnualRevenue": [float("nan"), float("inf"), 1e16, 9.99e15, None]})
    assert rows == [
        (0, "AnnualRevenue", "NaN", "not_a_number"),
        (1, "AnnualRevenue", "inf", "not_a_number"),
        (2, "AnnualRevenue", "1e+16", "precision"),
    ]
    assert broken({"AnnualRevenue": [2**53 + 1]})[0][3] == "precision"


def test_decimals_stay_exact():
    values = [Decimal("1234567890123456.785"), None]
    assert typed({"AnnualRevenue": values})["AnnualRevenue"] == [Decimal("1234567890123456.79"), None]


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("Name", [1.5]),
        ("Name", [True]),
        ("Name", [dt.date(2026, 1, 1)]),
        ("ParentId", [1]),
        ("NumberOfEmployees", [True]),
        ("AnnualRevenue", [dt.date(2026, 1, 1)]),
        ("Since__c", [20260131]),
        ("Name", [{"x": 1}]),
    ],
)
def test_a_column_of_another_kind_is_refused_as_a_whole(field, values):
    checked = run({field: values})
    assert checked.failures.select("row", "column", "rule").rows() == [(None, field, "type")]
    assert checked.blocked


def test_whole_numbers_are_text_where_the_field_is_text():
    assert typed({"Ext__c": [1350, None]})["Ext__c"] == ["1350", None]


def test_duplicate_keys_are_refused_in_every_row_and_name_each_other():
    checked = run(
        {"Ext__c": ["A1", "a1", "b", None, "A1 ", "B"], "Name": list("uvwxyz")}, operation="upsert", key="Ext__c"
    )
    assert checked.failures.rows() == [
        (0, "Ext__c", "A1", "duplicate_key", "2 rows have this key: also row 1. Keep one of them."),
        (1, "Ext__c", "a1", "duplicate_key", "2 rows have this key: also row 0. Keep one of them."),
        (2, "Ext__c", "b", "duplicate_key", "2 rows have this key: also row 5. Keep one of them."),
        (3, "Ext__c", None, "missing_key", "upsert needs Ext__c in every row."),
        (5, "Ext__c", "B", "duplicate_key", "2 rows have this key: also row 2. Keep one of them."),
    ]
    assert checked.rows.to_list() == [4]


def test_a_case_sensitive_key_is_compared_with_case():
    assert broken({"Code__c": ["A1", "a1"]}, operation="upsert", key="Code__c") == []


def test_many_rows_of_one_key_name_the_first_few():
    failures = run({"Id": [ID1] * 30}, operation="delete").failures
    assert failures["message"].to_list()[12] == (
        "30 rows have this key: also row 0, 1, 2, 3, 4 and more. Keep one of them."
    )


def test_ids_of_15_and_18_characters_are_one_key():
    assert [row[3] for row in broken({"Id": [ID1, ID1[:15], ID2]}, operation="update")] == ["duplicate_key"] * 2


def test_an_upsert_by_id_inserts_rows_without_one():
    assert broken({"Id": [ID1, None, None], "Name": ["a", "b", "c"]}, operation="upsert", key="Id") == []


def test_null_clears_on_update_and_is_left_to_the_default_on_insert():
    data = {"Industry": ["Media", None], "Since__c": [None, None]}
    assert run(data).cleared == {"Industry": False, "Since__c": False, "Name": False}
    update = {"Id": [ID1, ID2], **data}
    assert run(update, operation="update").cleared == {"Id": True, "Industry": True, "Since__c": True}
    assert run(update, operation="update", nulls="ignore").cleared["Industry"] is False
    by_column = run(update, operation="update", nulls={"Industry": "ignore"}).cleared
    assert by_column == {"Id": True, "Industry": False, "Since__c": True}
    with pytest.raises(UsageError, match="nulls: it names the column 'Phone', which is not sent"):
        run(update, operation="update", nulls={"Phone": "ignore"})
    with pytest.raises(UsageError, match="nulls: it says 'keep'"):
        run(update, operation="update", nulls="keep")


def test_what_has_no_null_cannot_be_cleared():
    data = {"Id": [ID1, ID2], "Active__c": [None, True], "Name": ["x", ""], "Parent.Ext__c": [None, "e"]}
    failures = run(data, operation="update").failures
    assert failures.rows() == [
        (
            0,
            "Active__c",
            None,
            "cannot_clear",
            (
                "Active__c is a checkbox, which is true or false, so it cannot be cleared. To leave the field alone "
                "where the cell is empty, use nulls={'Active__c': 'ignore'}."
            ),
        ),
        (
            0,
            "Parent.Ext__c",
            None,
            "cannot_clear",
            (
                "A parent named by its key cannot be cleared. To leave the field alone where the cell is empty, use "
                "nulls={'Parent.Ext__c': 'ignore'}; to clear it, send ParentId itself."
            ),
        ),
        (
            1,
            "Name",
            "",
            "cannot_clear",
            (
                "Name is required, so it cannot be cleared. To leave the field alone where the cell is empty, use "
                "nulls={'Name': 'ignore'}."
            ),
        ),
    ]
    assert run(data, operation="update", nulls="ignore").failures.height == 0


def test_a_file_keeps_the_meaning_of_salesforce():
    data = {"Id": [ID1, ID2], "Industry": ["#N/A", None], "Active__c": [None, "true"], "Name": ["x", None]}
    checked = run(data, operation="update", from_csv=True)
    assert checked.failures.height == 0
    assert checked.typed["Industry"].to_list() == [None, None]
    marks = checked.cleared["Industry"]
    assert isinstance(marks, pl.Series)
    assert marks.to_list() == [True, False]
    assert checked.cleared["Name"] is False
    bad = {"Id": [ID1, ID2], "Name": ["#N/A", "x"], "Active__c": ["#N/A", "1"]}
    assert broken(bad, operation="update", from_csv=True) == [
        (0, "Name", "#N/A", "cannot_clear"),
        (0, "Active__c", "#N/A", "cannot_clear"),
    ]
    assert broken({"Name": ["#N/A", None]}, from_csv=True) == [
        (0, "Name", "#N/A", "required"),
        (1, "Name", None, "required"),
    ]


def test_records_and_cells_have_a_size():
    long = "x" * 131_072
    assert broken({"Long__c": [long + "x"]})[0][3] == "max_length"
    fields = ["Long__c", "Longer__c", "Longest__c", "Huge__c"]
    assert broken({name: [long, "y"] for name in fields}) == [(0, "", "524289", "record_size")]


def test_lengths_count_characters_not_bytes():
    assert broken({"Ext__c": ["ä" * 20, "ä" * 21]}) == [(1, "Ext__c", "ä" * 21, "max_length")]


def test_prefixes_of_other_objects_are_checked_where_they_are_known():
    data = {"LastName": ["x"], "AccountId": ["003000000000001AAA"], "OwnerId": ["001000000000001AAA"]}
    assert broken(data, sobject=CONTACT) == []
    assert broken(data, sobject=CONTACT, prefixes={"Account": "001", "User": "005"}) == [
        (0, "AccountId", "003000000000001AAA", "key_prefix")
    ]


def test_a_frame_without_rows_is_good():
    assert run(pl.DataFrame({"Name": []}, schema={"Name": pl.String})).failures.height == 0


def test_a_categorical_column_is_text():
    assert typed({"Industry": pl.Series(["Media", None], dtype=pl.Categorical)})["Industry"] == ["Media", None]


def test_the_schema_is_a_pandera_schema_that_finds_the_same():
    schema = frame_schema(ACCOUNT, operation="insert")
    assert schema.name == "Account"
    assert {"Id", "Score__c", "BillingAddress"}.isdisjoint(schema.columns)
    assert [name for name, column in schema.columns.items() if column.required] == ["Name"]
    assert [one.name for one in schema.columns["Industry"].checks] == ["max_length", "picklist"]
    good = pl.DataFrame({"Name": ["x"], "NumberOfEmployees": [12]})
    assert schema.validate(good).equals(good)
    with pytest.raises(pandera.errors.SchemaErrors) as raised:
        schema.validate(pl.DataFrame({"Name": ["x", None], "Industry": ["Media", "Coal"]}), lazy=True)
    cases = raised.value.failure_cases.select("column", "check", "index").rows()
    assert sorted(cases) == [("Industry", "picklist", 1), ("Name", "not_nullable", 1)]


def test_the_schema_of_an_update_needs_the_id_and_refuses_nulls_that_cannot_be_cleared():
    columns = frame_schema(ACCOUNT, operation="update").columns
    assert columns["Id"].required
    assert "Birth__c" not in columns
    assert [name for name, column in columns.items() if not column.nullable] == ["Id", "Name", "Active__c", "OwnerId"]
    assert list(frame_schema(ACCOUNT, operation="delete").columns) == ["Id"]
