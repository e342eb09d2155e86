"""The body of a collections call, judged by Python's json; the part it is made of is a real one of the spool."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sfframe.codec.encode import encode
from sfframe.codec.layout import SentColumn
from sfframe.codec.records import body
from sfframe.codec.split import spool
from sfframe.codec.types import rule_for
from sfframe.errors import DecodeError, IncompleteAnswer, UsageError
from sfframe.facts import DELIMITERS, NULL_MARK
from sfframe.schema.sobject import Field
from sfframe.spool import Part
from tests.codec.test_encode import ANY_TEXT, TYPES, VALUES, column, expected_text

ID, OTHER = "001AB00000QrS02YAD", "001AB00000QrS03YAD"


def parent(header: str, field_type: str = "string", reference: str = "AccountId") -> SentColumn:
    key = header.rpartition(".")[2]
    return SentColumn(header, header, Field(key, key, field_type), Field(reference, reference, "reference"))


def spooled(folder: Path, text: str) -> Part:
    path = folder / "part-00000.csv"
    path.write_bytes(text.encode())
    return Part(0, path, 0, text.count("\n") - 1, len(text))


def records(part: Part, sent, **options) -> list[dict[str, object]]:
    whole = json.loads(body(part, sent, **{"sobject": "Contact", "operation": "update", **options}))
    assert list(whole) == ["allOrNone", "records"]
    found: list[dict[str, object]] = whole["records"]
    assert [(next(iter(one)), one.pop("attributes")) for one in found] == [("attributes", {"type": "Contact"})] * len(
        found
    )
    return found


@st.composite
def loads(draw):
    """Typed columns, some of them parents' keys, and marks that say which nulls clear."""
    height = draw(st.integers(1, 6))
    sent, data, cleared = [], {}, {}
    for place, one in enumerate(draw(st.lists(st.sampled_from(TYPES), min_size=1, max_size=5))):
        kinds = [column(f"F{place}__c", one), parent(f"P{place}__r.Key__c", one, f"P{place}__c")]
        kinds.append(parent(f"User:Q{place}__r.Key__c", one, f"Q{place}__c"))
        made = draw(st.sampled_from(kinds))
        values = draw(st.lists(st.none() | VALUES[one], min_size=height, max_size=height))
        marks = draw(st.lists(st.booleans(), min_size=height, max_size=height))
        sent.append(made)
        data[made.header] = pl.Series(values, dtype=rule_for(one).dtype)
        cleared[made.header] = pl.Series(marks)
    return pl.DataFrame(data), sent, cleared


def meant(value: object, one: SentColumn, *, cleared: bool) -> dict[str, object]:
    """What the cell asks of the org; numbers by their text, which is exact."""
    if value is None:
        field = one.relationship.name if one.relationship else one.header
        return {field: None} if cleared else {}
    said = value if isinstance(value, bool) else ("number", value) if isinstance(value, int | float) else None
    found: object = expected_text(value) if said is None else said
    if one.relationship is None:
        return {one.header: found}
    relation, _, key = one.header.rpartition(".")
    kind, colon, name = relation.rpartition(":")
    return {name: {**({"attributes": {"type": kind}} if colon else {}), key: found}}


@settings(max_examples=200)
@given(loads(), st.sampled_from(list(DELIMITERS)), st.sampled_from(["LF", "CRLF"]), st.booleans())
def test_the_body_says_what_the_cells_mean(tmp_path: Path, drawn, delimiter, ending, all_or_none):
    frame, sent, cleared = drawn
    text = encode(frame, sent, cleared)
    (part,) = spool(text, tmp_path / "spool", delimiter=delimiter, line_ending=ending)
    made = body(
        part, sent, sobject="Case", operation="insert", all_or_none=all_or_none, delimiter=delimiter
    )  # fmt: skip
    read = json.loads(
        made, parse_int=lambda digits: ("number", int(digits)), parse_float=lambda d: ("number", float(d))
    )
    assert read == {
        "allOrNone": all_or_none,
        "records": [
            {"attributes": {"type": "Case"}}
            | {
                name: value
                for one in sent
                for name, value in meant(
                    frame[one.header][row], one, cleared=cleared[one.header][row]
                ).items()
            }
            for row in range(frame.height)
        ],
    }  # fmt: skip


@settings(max_examples=200)
@given(st.lists(ANY_TEXT | st.text(min_size=1).filter(lambda text: text != NULL_MARK), min_size=1, max_size=6))
def test_every_text_survives_json(tmp_path: Path, texts):
    frame = pl.DataFrame({"Name": texts})
    (part,) = spool(frame, tmp_path / "spool")
    assert records(part, [column("Name", "string")]) == [{"Name": one} for one in texts]


def test_numbers_and_booleans_keep_their_own_text(tmp_path):
    numbers = ["0", "-0.0", "12345678901234567890.1234567890", "1.50", "1e5", "2.5E-7", "-7"]
    part = spooled(tmp_path, "N__c\n" + "".join(f"{one}\n" for one in numbers))
    made = body(part, [column("N__c", "currency")], sobject="Contact", operation="update").decode()
    assert [one.partition('"N__c":')[2].strip("]}") for one in made.split(",{")] == numbers
    flags = spooled(tmp_path, "B__c\ntrue\nfalse\nTRUE\n1\n0\n")
    found = records(flags, [column("B__c", "boolean")])
    assert found == [{"B__c": value} for value in (True, False, True, True, False)]


@pytest.mark.parametrize("odd", ["007", "+5", ".5", "1.", "NaN", "1 000", "0x1", "٣", "-", "1\n"])
def test_what_is_no_json_number_goes_out_as_text(tmp_path, odd):
    part = spooled(tmp_path, f'N__c,Name\n"{odd}",x\n')
    part = Part(0, part.path, 0, 1, part.bytes)
    assert records(part, [column("N__c", "double"), column("Name", "string")]) == [{"N__c": odd, "Name": "x"}]
    assert records(part, [column("N__c", "boolean"), column("Name", "string")]) == [{"N__c": odd, "Name": "x"}]


def test_an_empty_cell_leaves_a_field_and_the_mark_clears_it(tmp_path):
    part = spooled(tmp_path, f'Id,Name,N__c,Account.Ext__c\n{ID},"",{NULL_MARK},\n{OTHER},{NULL_MARK},,{NULL_MARK}\n')
    sent = [column("Id", "id"), column("Name", "string"), column("N__c", "double"), parent("Account.Ext__c")]
    assert records(part, sent) == [{"Id": ID, "N__c": None}, {"Id": OTHER, "Name": None, "AccountId": None}]


def test_parents_are_named_by_their_keys_and_the_kind_comes_first(tmp_path):
    part = spooled(tmp_path, "Account.Ext__c,Shop__r.Number__c,User:Owner.Username\nA-1,5,eve@acme.com\n")
    sent = [
        parent("Account.Ext__c"),
        parent("Shop__r.Number__c", "double", "Shop__c"),
        parent("User:Owner.Username", reference="OwnerId"),
    ]
    (found,) = records(part, sent)
    assert found == {
        "Account": {"Ext__c": "A-1"},
        "Shop__r": {"Number__c": 5},
        "Owner": {"attributes": {"type": "User"}, "Username": "eve@acme.com"},
    }
    assert list(found["Owner"]) == ["attributes", "Username"]  # type: ignore[call-overload]


def test_a_row_of_an_upsert_by_id_without_one_says_so(tmp_path):
    part = spooled(tmp_path, f"Id,Name\n{ID},a\n,b\n")
    sent = [column("Id", "id"), column("Name", "string")]
    assert records(part, sent, operation="upsert", external_id_field="id") == [
        {"Id": ID, "Name": "a"},
        {"Id": None, "Name": "b"},
    ]
    keyed = [column("Id", "id"), column("Name", "string")]
    assert records(part, keyed, operation="upsert", external_id_field="Name")[1] == {"Name": "b"}


def test_dates_times_and_bytes_are_texts(tmp_path):
    sent = [column(f"{one}__c", one) for one in ("date", "datetime", "time", "base64")]
    day = dt.datetime(2026, 3, 4, 5, 6, 7, 8_000, tzinfo=dt.UTC)
    frame = pl.DataFrame(
        {
            "date__c": [day.date()],
            "datetime__c": pl.Series([day], dtype=pl.Datetime("ms", "UTC")),
            "time__c": [dt.time(5, 6, 7)],
            "base64__c": [b"\x00\xff"],
        }
    )
    (part,) = spool(encode(frame, sent), tmp_path / "spool")
    assert records(part, sent) == [
        {
            "date__c": "2026-03-04",
            "datetime__c": "2026-03-04T05:06:07.008Z",
            "time__c": "05:06:07.000Z",
            "base64__c": "AP8=",
        }
    ]


def test_a_delete_is_its_ids(tmp_path):
    part = spooled(tmp_path, f"Id\n{ID}\n{OTHER}\n")
    assert body(part, [column("Id", "id")], sobject="Account", operation="delete") == f"{ID},{OTHER}".encode()
    for nothing in ('""', NULL_MARK):
        holed = spooled(tmp_path, f"Id\n{ID}\n{nothing}\n")
        with pytest.raises(UsageError, match="1 rows to delete have no Id"):
            body(holed, [column("Id", "id")], sobject="Account", operation="delete")


def test_a_spool_that_was_changed_is_refused(tmp_path):
    part = spooled(tmp_path, "Name\na\nb\n")
    with pytest.raises(IncompleteAnswer, match="it has 2 records, and 3 were written"):
        body(Part(4, part.path, 0, 3, part.bytes), [column("Name", "string")], sobject="A", operation="insert")
    part.path.write_bytes(b"Name\na,b\n")
    with pytest.raises(DecodeError, match="the file is no CSV"):
        body(part, [column("Name", "string")], sobject="A", operation="insert")
