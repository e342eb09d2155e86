"""Children and TYPEOF in JSON pages: typed, complete, and told when they are not."""

from __future__ import annotations

import json

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sfframe.codec.decode_json import read_rest
from sfframe.errors import DecodeError, IncompleteAnswer
from sfframe.frames.shape import shape
from sfframe.soql import parse
from tests.frames.sample import ACCOUNT, CONTACT, describe

FAMILIES = shape(
    parse("SELECT Name, (SELECT LastName, Account.AnnualRevenue FROM Contacts) FROM Account"), ACCOUNT, describe
)


def page(*records, **facts):
    return json.dumps({"totalSize": len(records), "done": True, **facts, "records": list(records)}).encode()


def contact(name, revenue=None):
    account = None if revenue is None else {"AnnualRevenue": revenue}
    return {"attributes": {"type": "Contact"}, "LastName": name, "Account": account}


def family(name, *children, total=None, further=None):
    said = len(children) if total is None else total
    link = {"nextRecordsUrl": further} if further else {}
    inner = {"totalSize": said, "done": further is None, **link, "records": list(children)} if children else None
    return {"attributes": {"type": "Account"}, "Name": name, "Contacts": inner}


def child(name, revenue=None):
    return {"LastName": name, "Account.AnnualRevenue": revenue}


def test_children_are_typed_lists_in_the_order_of_their_parents():
    frame = read_rest(
        [page(family("a", contact("x", 1.5), contact("y")), family("b"), family("c", contact("z", 2)))], FAMILIES
    )
    assert frame.rows() == [("a", [child("x", 1.5), child("y")]), ("b", []), ("c", [child("z", 2.0)])]


def test_pages_without_any_children_keep_their_type():
    frame = read_rest([page(family("a")), page(family("b"))], FAMILIES)
    assert frame.schema == FAMILIES.schema
    assert frame["Contacts"].to_list() == [[], []]
    assert read_rest([page()], FAMILIES).schema == FAMILIES.schema


def test_a_child_list_with_further_pages_is_completed():
    """Never a short list: what ``nextRecordsUrl`` inside of a record names is fetched (rest.md 5)."""
    more = {"/b": [page(contact("b3"), contact("b4")), page(contact("b5"))], "/d": [page(contact("d2", 7.0))]}
    first = page(
        family("a", contact("a1")),
        family("b", contact("b1"), contact("b2"), total=5, further="/b"),
        family("c"),
        family("d", contact("d1"), total=2, further="/d"),
    )
    frame = read_rest([first], FAMILIES, more=more.__getitem__)
    assert frame.rows() == [
        ("a", [child("a1")]),
        ("b", [child(f"b{at}") for at in range(1, 6)]),
        ("c", []),
        ("d", [child("d1"), child("d2", 7.0)]),
    ]


@pytest.mark.parametrize("further", [[], [page(contact("b2"), contact("b3"))]])
def test_a_child_list_that_stays_short_or_grew_is_no_answer(further):
    body = page(family("a"), family("b", contact("b1"), total=2, further="/b"))
    with pytest.raises(IncompleteAnswer, match=r"column Contacts, row 1: the list has [13] records, and .* are 2"):
        read_rest([body], FAMILIES, more=lambda _path: further)


def test_further_pages_that_cannot_be_had_are_no_answer():
    with pytest.raises(IncompleteAnswer, match="has further pages"):
        read_rest([page(family("a", contact("x"), total=2, further="/x"))], FAMILIES)


def test_a_value_that_does_not_fit_names_the_row_of_its_parent():
    first, second = (
        page(family("a"), family("b", contact("x"))),
        page(family("c", contact("y", 1), contact("z", "much"))),
    )
    with pytest.raises(DecodeError) as raised:
        read_rest([first, second], FAMILIES)
    assert (raised.value.row, raised.value.column, raised.value.text) == (2, "Contacts.Account.AnnualRevenue", "much")
    assert str(raised.value).startswith("column Contacts.Account.AnnualRevenue, row 2: 'much' is no currency")


def test_a_typeof_has_the_objects_name_and_nulls_for_other_branches():
    query = "SELECT TYPEOF Owner WHEN User THEN Email WHEN Group THEN Type ELSE Name END FROM Contact"
    owner = shape(parse(query), CONTACT, describe)

    def record(kind, url, **values):
        return {"Owner": {"attributes": {"type": kind, "url": f"/services/data/v66.0/sobjects/{url}/x"}, **values}}

    frame = read_rest(
        [
            page(
                record("User", "User", Email="u@x.org"),
                {"Owner": None},
                record("Group", "Group", Type="Queue"),
                record("Name", "Calendar", Name="Rooms"),
            )
        ],
        owner,
    )
    assert frame["Owner"].to_list() == [
        {"Type": "User", "Email": "u@x.org", "Group.Type": None, "Name": None},
        None,
        {"Type": "Group", "Email": None, "Group.Type": "Queue", "Name": None},
        {"Type": "Calendar", "Email": None, "Group.Type": None, "Name": "Rooms"},
    ]


def test_a_branch_that_no_record_takes_is_null_on_the_whole_page():
    query = "SELECT TYPEOF Owner WHEN User THEN Email WHEN Group THEN Type ELSE Name END FROM Contact"
    owner = shape(parse(query), CONTACT, describe)
    record = {"attributes": {"type": "User", "url": "/services/data/v66.0/sobjects/User/x"}, "Email": "u@x.org"}
    assert read_rest([page({"Owner": record})], owner)["Owner"].to_list() == [
        {"Type": "User", "Email": "u@x.org", "Group.Type": None, "Name": None}
    ]


def test_pain_airbyte_8300_nul_characters_of_children_are_dropped():
    assert read_rest([page(family("a\0", contact("x\0y")))], FAMILIES).rows() == [("a", [child("xy")])]


names = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=5)
children = st.lists(st.tuples(names, st.none() | st.floats(allow_nan=False, allow_infinity=False)), max_size=4)


@given(st.lists(st.tuples(names, children, st.integers(0, 4)), max_size=5))
def test_any_families_cut_anywhere_into_pages_come_back_whole(families):
    later: dict[str, list[bytes]] = {}
    records = []
    for at, (name, found, cut) in enumerate(families):
        every = [contact(one, revenue) for one, revenue in found]
        if 0 < cut < len(every):
            later[f"/{at}"] = [page(one) for one in every[cut:]]
            records.append(family(name, *every[:cut], total=len(every), further=f"/{at}"))
        else:
            records.append(family(name, *every))
    frame = read_rest([page(one) for one in records], FAMILIES, more=later.__getitem__)
    assert frame.rows() == [(name, [child(*one) for one in found]) for name, found, _cut in families]
    assert frame.schema == FAMILIES.schema


def test_lists_can_be_multipicklists_and_decimals_too():
    tagged = shape(
        parse("SELECT Name, (SELECT Name, Tags__c, AnnualRevenue FROM ChildAccounts) FROM Account"), ACCOUNT, describe
    )
    record = {
        "Name": "a",
        "ChildAccounts": {
            "totalSize": 1,
            "done": True,
            "records": [{"Name": "b", "Tags__c": "A;B", "AnnualRevenue": 1.5}],
        },
    }
    frame = read_rest([page(record)], tagged, decimals=True, split_multipicklists=True)
    assert frame.schema["ChildAccounts"] == pl.List(
        pl.Struct({"Name": pl.String, "Tags__c": pl.List(pl.String), "AnnualRevenue": pl.Decimal(18, 2)})
    )
    assert frame["ChildAccounts"].explode().struct.field("Tags__c").to_list() == [["A", "B"]]
