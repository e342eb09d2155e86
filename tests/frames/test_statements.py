"""A query that is too long is several that fit, and finds the same."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sfframe.errors import UsageError
from sfframe.frames.selection import parents_as_structs, with_object_names, written_out
from sfframe.frames.shape import shape
from sfframe.frames.statements import Room, by_columns, by_values, joined, united
from sfframe.soql import Logic, Membership, bind, parse, to_text
from tests.frames.sample import ACCOUNT, CONTACT, describe


def listed(condition, names, rest=""):
    return bind(parse(f"SELECT Name FROM Account WHERE {condition}{rest}"), {"names": names})


def values_of(query):
    terms = query.where.terms if isinstance(query.where, Logic) else [query.where]
    [found] = [one for one in terms if isinstance(one, Membership)]
    assert isinstance(found.values, tuple)
    return [value.text for value in found.values]


@given(st.lists(st.text(max_size=12), min_size=2, max_size=60, unique=True), st.integers(70, 400))
def test_the_values_of_a_long_list_are_spread_over_queries_that_fit(names, most):
    query = listed("Name IN :names AND Industry = 'Media'", names)
    room = Room(len, most + max(len(to_text(listed("Name IN :names", [one]))) for one in names))
    parts = by_values(query, room)
    assert all(map(room.has, parts))
    assert [value for part in parts for value in values_of(part)] == names
    if len(parts) > 1:
        assert {to_text(part).partition(" WHERE ")[0] for part in parts} == {"SELECT Name, Id FROM Account"}
        assert all(to_text(part).endswith(" AND Industry = 'Media'") for part in parts)
    else:
        assert parts == (query,)


def test_a_list_below_or_widens_the_answer_too():
    query = listed("Name IN :names OR Industry = 'Media'", [f"name {at}" for at in range(20)])
    parts = by_values(query, Room(len, 120))
    assert len(parts) > 2
    assert [value for part in parts for value in values_of(part)] == [f"name {at}" for at in range(20)]


@pytest.mark.parametrize("condition", ["Name NOT IN :names", "NOT Name IN :names", "Name = 'a'"])
def test_what_cannot_be_spread_is_left_as_it_is(condition):
    names = [f"name {at}" for at in range(20)]
    query = listed(condition, names) if ":names" in condition else parse(f"SELECT Name FROM Account WHERE {condition}")
    assert by_values(query, Room(len, 60)) == (query,)


@pytest.mark.parametrize(
    ("rest", "what"),
    [(" ORDER BY Name", "sort"), (" OFFSET 5", "skip rows"), (" GROUP BY Name", "put groups and counts together")],
)
def test_answers_that_cannot_be_put_together_are_refused(rest, what):
    query = listed("Name IN :names", [f"name {at}" for at in range(20)], rest)
    with pytest.raises(UsageError, match=f"the list of 20 values is too long for one query, and several cannot {what}"):
        by_values(query, Room(len, 120))


def test_a_record_that_two_queries_find_is_there_once():
    """Texts are equal without case: A and a may be in two parts of the list and find the same record."""
    query = listed("Name IN :names", ["A", "a"])
    frames = [
        pl.DataFrame({"Name": ["A", "B"], "Id": ["1", "2"]}),
        pl.DataFrame({"Name": ["A", "C"], "Id": ["1", "3"]}),
    ]
    assert united(frames, query, ["Name"]).rows() == [("A",), ("B",), ("C",)]
    assert united(frames, listed("Name IN :names", ["A"], " LIMIT 2"), ["Name"]).rows() == [("A",), ("B",)]


@given(st.integers(60, 300))
def test_the_fields_of_a_long_select_are_spread_over_queries_that_fit(most):
    query = written_out(parse("SELECT *, Owner.Username FROM Account WHERE Name = 'x'", star=True), ACCOUNT, describe)
    room = Room(len, most + 40)
    parts = by_columns(query, ACCOUNT, room)
    assert all(map(room.has, parts))
    names = [[column.name for column in shape(part, ACCOUNT, describe).columns] for part in parts]
    assert all(one[0] == "Id" for one in names)
    wanted = [column.name for column in shape(query, ACCOUNT, describe).columns]
    assert [name for one in names for name in one[1:]] == [name for name in wanted if name != "Id"]


PARTS = (
    pl.DataFrame({"Id": ["1", "2"], "SystemModstamp": [10, 20], "Name": ["a", "b"]}),
    pl.DataFrame({"Id": ["2", "1"], "SystemModstamp": [20, 10], "City": ["B", "A"]}),
)


def test_rows_are_joined_by_id_in_the_order_of_the_first_query():
    joint = joined(PARTS, ["City", "Name"])
    assert joint is not None
    assert joint.rows() == [("A", "a"), ("B", "b")]


@pytest.mark.parametrize(
    "other",
    [
        pl.DataFrame({"Id": ["1"], "SystemModstamp": [10], "City": ["A"]}),
        pl.DataFrame({"Id": ["1", "3"], "SystemModstamp": [10, 20], "City": ["A", "C"]}),
        pl.DataFrame({"Id": ["1", "2"], "SystemModstamp": [10, 21], "City": ["A", "B"]}),
    ],
    ids=["gone", "another", "changed"],
)
def test_rows_that_changed_in_between_are_never_joined(other):
    assert joined([PARTS[0], other], ["Name", "City"]) is None


def test_a_field_that_is_named_stands_where_it_is_named_and_once():
    query = parse("SELECT Name, (SELECT FIELDS(STANDARD), Id FROM Contacts) FROM Account")
    assert to_text(written_out(query, ACCOUNT, describe)) == (
        "SELECT Name, (SELECT LastName, FirstName, Name, AccountId, OwnerId, MailingAddress, Place__c, Id "
        "FROM Contacts) FROM Account"
    )
    written = to_text(written_out(parse("SELECT Name, *, Id FROM Account", star=True), ACCOUNT, describe))
    assert written.startswith("SELECT Name, Ext__c, Code__c, ")
    assert written.endswith(", CreatedDate, Id FROM Account")


def test_a_group_without_fields_is_refused():
    with pytest.raises(UsageError, match=r"Account has no field for FIELDS\(CUSTOM\)"):
        written_out(parse("SELECT FIELDS(CUSTOM) FROM Account"), ACCOUNT, describe)


def test_parents_of_several_objects_are_asked_for_their_name():
    assert to_text(with_object_names(parse("SELECT Owner.Name, Account.Name FROM Contact"), CONTACT, describe)) == (
        "SELECT Owner.Name, Account.Name, Owner.Type FROM Contact"
    )
    nested = parse("SELECT Name, (SELECT Owner.Email FROM Contacts) FROM Account")
    assert to_text(with_object_names(nested, ACCOUNT, describe)) == (
        "SELECT Name, (SELECT Owner.Email, Owner.Type FROM Contacts) FROM Account"
    )


def test_parents_become_structs_and_a_parent_without_values_is_null():
    query = parse("SELECT Account.Name, LastName, Account.Parent.Name, Account.AnnualRevenue FROM Contact")
    found = shape(query, CONTACT, describe)
    flat = pl.DataFrame([("a", "x", "p", 1.5), (None, "y", None, None)], schema=found.schema, orient="row")
    nested = parents_as_structs(flat, found)
    assert nested.columns == ["Account", "LastName"]
    assert nested.rows() == [
        ({"Name": "a", "Parent": {"Name": "p"}, "AnnualRevenue": 1.5}, "x"),
        (None, "y"),
    ]
    empty = parents_as_structs(flat.clear(), found)
    assert empty.schema == nested.schema


def test_parents_of_children_become_structs_too():
    found = shape(parse("SELECT Name, (SELECT Account.Name, LastName FROM Contacts) FROM Account"), ACCOUNT, describe)
    rows = [("a", [{"Account.Name": "a", "LastName": "x"}, {"Account.Name": None, "LastName": "y"}]), ("b", [])]
    nested = parents_as_structs(pl.DataFrame(rows, schema=found.schema, orient="row"), found)
    assert nested.rows() == [
        ("a", [{"Account": {"Name": "a"}, "LastName": "x"}, {"Account": None, "LastName": "y"}]),
        ("b", []),
    ]
    assert parents_as_structs(pl.DataFrame(schema=found.schema), found).schema == nested.schema
