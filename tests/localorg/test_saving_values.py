"""Values on their way into a row: what each type takes, what it answers, what lies in the table afterwards."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Any

import pytest

from tests.localorg.ingest_org import IngestOrg

RESTRICTED = "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST"
SECURITY = (
    "Please check the security settings of this field and verify that it is read/write for your profile or "
    "permission set."
)


@pytest.fixture(scope="module")
def org() -> Iterator[IngestOrg]:
    with IngestOrg() as org:
        yield org


def inserted(org: IngestOrg, field: str, cell: str) -> tuple[Any, str]:
    """The stored value and the echo of one cell."""
    quoted = '"' + cell.replace('"', '""') + '"'
    job = org.load("insert", f"Name,{field}\nw,{quoted}\n")
    header, row = org.file(job, "successfulResults").removesuffix("\n").split("\n", 1)
    assert header == f'"sf__Id","sf__Created",Name,{field}'
    record, echo = row[1:19], row.split(",", 3)[3]
    return org.rows(f'"{field}"', where=f"\"Id\" = '{record}'")[0][0], echo


def refused(org: IngestOrg, field: str, cell: str) -> tuple[str, str]:
    """The error and the echo of one cell."""
    job = org.load("insert", f'Name,{field}\nw,"{cell}"\n')
    row = org.file(job, "failedResults").split("\n")[1]
    return org.errors(job)[0], row[row.index('"w",') + 4 :]


@pytest.mark.parametrize(
    ("field", "cell", "stored", "echo"),
    [
        ("Amount__c", "30", 30.0, '"30.0"'),
        ("Amount__c", "912260031", 912260031.0, '"9.12260031E8"'),
        ("Amount__c", "1.25E3", 1250.0, '"1250.0"'),
        ("Amount__c", ".5", 0.5, '"0.5"'),
        ("Amount__c", "-1.", -1.0, '"-1.0"'),
        ("Amount__c", "1.23456", 1.23, '"1.23"'),
        ("Amount__c", "1.005", 1.01, '"1.01"'),
        ("Amount__c", "-1.005", -1.01, '"-1.01"'),
        ("Amount__c", "1e-7", 0.0, '"0.0"'),
        ("Amount__c", " 12 ", 12.0, '"12.0"'),
        ("Count__c", "2676", 2676, '"2676"'),
        ("Count__c", "+7", 7, '"7"'),
        ("Flag__c", "TRUE", True, '"true"'),
        ("Flag__c", "1", True, '"true"'),
        ("Flag__c", "0", False, '"false"'),
        ("Flag__c", "False", False, '"false"'),
        ("Flag__c", "", False, '""'),
        ("Flag__c", "#N/A", False, '""'),
        ("Day__c", "2024-02-29", dt.date(2024, 2, 29), '"2024-02-29"'),
        ("Day__c", "1940-06-07Z", dt.date(1940, 6, 7), '"1940-06-07"'),
        ("Day__c", "2024-02-29T23:59:59.000Z", dt.date(2024, 2, 29), '"2024-02-29"'),
        (
            "Moment__c",
            "2025-11-25T03:45:21.14287Z",
            dt.datetime(2025, 11, 25, 3, 45, 21, 142000),
            '"2025-11-25T03:45:21.142Z"',
        ),
        (
            "Moment__c",
            "2025-11-25T03:45:21.1428799999999Z",
            dt.datetime(2025, 11, 25, 3, 45, 21, 142000),
            '"2025-11-25T03:45:21.142Z"',
        ),
        ("Moment__c", "2025-01-01T12:00:00+05:00", dt.datetime(2025, 1, 1, 7), '"2025-01-01T07:00:00.000Z"'),
        ("Moment__c", "2025-01-01T12:00:00-0530", dt.datetime(2025, 1, 1, 17, 30), '"2025-01-01T17:30:00.000Z"'),
        (
            "Moment__c",
            "1969-12-31T23:59:59.9996Z",
            dt.datetime(1969, 12, 31, 23, 59, 59, 999000),
            '"1969-12-31T23:59:59.999Z"',
        ),
        ("Moment__c", "2025-01-01", dt.datetime(2025, 1, 1), '"2025-01-01T00:00:00.000Z"'),
        ("Clock__c", "10:20:30.456Z", dt.time(10, 20, 30, 456000), '"10:20:30.456Z"'),
        ("Clock__c", "10:20:30", dt.time(10, 20, 30), '"10:20:30.000Z"'),
        ("Data__c", "aGVsbG8=", b"hello", '"aGVsbG8="'),
        ("Text__c", "  a b\n", "a b", '"  a b\n"'),
        ("Text__c", " \t ", None, '" \t "'),
        ("Text__c", "", None, '""'),
        ("Text__c", "#N/A", None, '""'),
        ("Text__c", "#n/a", "#n/a", '"#n/a"'),
        ("Text__c", 'say "x"', 'say "x"', '"say ""x"""'),
        ("Text__c", "007", "007", '"007"'),
        ("Text__c", "ääääääääää", "ääääääääää", '"ääääääääää"'),
        ("Mail__c", "Jane.Doe@Example.COM", "jane.doe@example.com", '"Jane.Doe@Example.COM"'),
        ("Colour__c", "green", "green", '"green"'),
        ("Colours__c", "red;blue", "red;blue", '"red;blue"'),
    ],
)
def test_a_value_is_stored_typed_and_echoed_as_java_would(
    org: IngestOrg, field: str, cell: str, stored: Any, echo: str
) -> None:
    assert inserted(org, field, cell) == (stored, echo)


@pytest.mark.parametrize(
    ("field", "kind", "cells"),
    [
        ("Amount__c", "xsd:double", ["x", "1,000", "1_000", "inf", "NaN", "0x1F", "1e", "$5", " "]),
        ("Count__c", "xsd:int", ["1.5", "1e3", "99999999999", "1_0"]),
        ("Flag__c", "xsd:boolean", ["yes", "2", "t"]),
        ("Day__c", "xsd:date", ["2003-04-98765", "2024-02-30", "2024-1-5", "05/01/2024", "2024-01-05 10:00:00"]),
        (
            "Moment__c",
            "xsd:dateTime",
            ["2025-01-01T12:00:00", "2025-01-01 12:00:00Z", "2025-02-30T00:00:00Z", "2025-01-01T12:00Z"],
        ),
        ("Data__c", "xsd:base64Binary", ["no base64!"]),
        ("Clock__c", "xsd:time", ["25:00:00", "10:00", "10:00:00+01:00"]),
    ],
)
def test_a_value_that_cannot_be_read_is_named_with_its_column_and_echoed_raw(
    org: IngestOrg, field: str, kind: str, cells: list[str]
) -> None:
    for cell in cells:
        why = f"Due to, '{cell}' is not a valid value for the type {kind}:{field} --"
        said = f"INVALID_FIELD:Failed to deserialize field at col 1. {why}"
        assert refused(org, field, cell) == (said, f'"{cell}"')


@pytest.mark.parametrize(
    ("field", "cell", "error", "echo"),
    [
        (
            "Text__c",
            "elevenchars",
            "STRING_TOO_LONG:Text: data value too large: elevenchars (max length=10):Text__c --",
            '"elevenchars"',
        ),
        (
            "Colour__c",
            "pink",
            f"{RESTRICTED}:Colour: bad value for restricted picklist field: pink:Colour__c --",
            '"pink"',
        ),
        (
            "Colours__c",
            "red;pink",
            f"{RESTRICTED}:Colours: bad value for restricted picklist field: red;pink:Colours__c --",
            '"red;pink"',
        ),
        ("Mail__c", "foo", "INVALID_EMAIL_ADDRESS:Mail: invalid email address: foo:Mail__c --", '"foo"'),
        (
            "Mail__c",
            "a b@x.com",
            "INVALID_EMAIL_ADDRESS:Mail: invalid email address: a b@x.com:Mail__c --",
            '"a b@x.com"',
        ),
        (
            "Amount__c",
            "1e30",
            "NUMBER_OUTSIDE_VALID_RANGE:Amount: value outside of valid range on numeric field: 1e30:Amount__c --",
            '"1.0E30"',
        ),
        (
            "Amount__c",
            "1E400",
            "NUMBER_OUTSIDE_VALID_RANGE:Amount: value outside of valid range on numeric field: 1E400:Amount__c --",
            '"1E400"',
        ),
        (
            "Count__c",
            "100000000",
            "NUMBER_OUTSIDE_VALID_RANGE:Count: value outside of valid range on numeric field: 100000000:Count__c --",
            '"100000000"',
        ),
        (
            "CreatedDate",
            "2024-01-01",
            f"INVALID_FIELD_FOR_INSERT_UPDATE:Unable to create/update fields: CreatedDate. {SECURITY}:CreatedDate --",
            '"2024-01-01T00:00:00.000Z"',
        ),
    ],
)
def test_a_value_that_breaks_a_rule_is_refused_in_salesforces_words(
    org: IngestOrg, field: str, cell: str, error: str, echo: str
) -> None:
    assert refused(org, field, cell) == (error, echo)


def test_a_text_of_the_longest_kind_is_stored_whole(org: IngestOrg) -> None:
    cell = "ä\n" * 65_535 + "xy"
    assert inserted(org, "Long__c", cell) == (cell, f'"{cell}"')


def test_what_cannot_be_read_comes_before_what_is_missing_and_only_the_first_is_named(org: IngestOrg) -> None:
    job = org.load("insert", "Name,Day__c,Amount__c\n,x,y\n", "Widget__c")
    assert org.errors(job) == [
        (
            "INVALID_FIELD:Failed to deserialize field at col 1. "
            "Due to, 'x' is not a valid value for the type xsd:date:Day__c --"
        )
    ]


def test_all_missing_required_fields_are_listed_together(org: IngestOrg) -> None:
    job = org.load("insert", "Description,StageName\nx,\ny,Prospecting\n", "Opportunity")
    missing = "REQUIRED_FIELD_MISSING:Required fields are missing"
    assert org.errors(job) == [
        f"{missing}: [Name, StageName, CloseDate]:Name, StageName, CloseDate --",
        f"{missing}: [Name, CloseDate]:Name, CloseDate --",
    ]


def test_a_new_row_gets_its_owner_stamps_and_defaults(org: IngestOrg) -> None:
    before = org.store.now()
    org.load("insert", "Name\nstamped\n")
    names = '"OwnerId", "CreatedById", "LastModifiedById", "IsDeleted", "Flag__c"'
    user = org.store.user_id
    assert org.rows(names, where="\"Name\" = 'stamped'") == [(user, user, user, False, False)]
    [(created, modified, stamped)] = org.rows(
        '"CreatedDate", "LastModifiedDate", "SystemModstamp"', where="\"Name\" = 'stamped'"
    )
    assert before <= created == modified == stamped <= org.store.now()


def test_the_name_of_a_person_is_composed_without_the_salutation(org: IngestOrg) -> None:
    org.load("insert", "Salutation,FirstName,LastName\nMs.,Jane,Doe\n,,Roe\n", "Contact")
    assert org.rows('"Name"', "Contact") == [("Jane Doe",), ("Roe",)]
    first = org.id(1, "Contact")
    org.load("update", f"Id,FirstName\n{first},Ann\n{org.id(2, 'Contact')},\n", "Contact")
    assert org.rows('"Name"', "Contact") == [("Ann Doe",), ("Roe",)]


def test_a_stage_implies_closed_won_probability_and_forecast(org: IngestOrg) -> None:
    names = '"Name", "IsClosed", "IsWon", "Probability", "ForecastCategory", "ForecastCategoryName"'
    org.load(
        "insert",
        "Name,StageName,CloseDate\na,Closed Won,2024-01-01\nb,Closed Lost,2024-01-01\nc,Qualification,2024-01-01\n",
        "Opportunity",
    )
    assert org.rows(names, "Opportunity") == [
        ("a", True, True, 100.0, "Closed", "Closed"),
        ("b", True, False, 0.0, "Omitted", "Omitted"),
        ("c", False, False, 10.0, "Pipeline", "Pipeline"),
    ]
    [(third,)] = org.rows('"Id"', "Opportunity", "\"Name\" = 'c'")
    org.load("update", f"Id,StageName,Probability\n{third},Closed Won,95\n", "Opportunity")
    assert org.rows(names, "Opportunity", "\"Name\" = 'c'") == [("c", True, True, 95.0, "Closed", "Closed")]


def test_auto_numbers_count_the_rows() -> None:
    with IngestOrg() as fresh:
        fresh.load("insert", "Name\na\nb\n")
        fresh.load("insert", "Name\nc\n")
        assert fresh.rows('"Number__c"') == [("00000001",), ("00000002",), ("00000003",)]


def test_the_lowest_int_is_out_of_range_like_any_other(org: IngestOrg) -> None:
    error, echo = refused(org, "Count__c", "-2147483648")
    assert error.startswith("NUMBER_OUTSIDE_VALID_RANGE:Count: value outside of valid range on numeric field")
    assert echo == '"-2147483648"'
