"""The parser: the grammar of rest.md 13 and exact positions."""

from __future__ import annotations

import dataclasses
import re

import pytest
from hypothesis import given

from sfframe.errors import SoqlSyntaxError
from sfframe.soql import (
    Call,
    Comparison,
    FieldsOf,
    Grouping,
    Logic,
    Membership,
    Negation,
    Ordering,
    Path,
    Query,
    Selected,
    Source,
    SubQuery,
    TypeOf,
    Value,
    excerpt,
    parse,
    to_text,
)
from tests.soql.trees import queries


def without_positions(node: object) -> object:
    if isinstance(node, tuple):
        return tuple(without_positions(one) for one in node)
    if dataclasses.is_dataclass(node) and not isinstance(node, type):
        changes = {one.name: without_positions(getattr(node, one.name)) for one in dataclasses.fields(node)}
        return dataclasses.replace(node, **(changes | ({"at": 0} if "at" in changes else {})))
    return node


def problem(query: str) -> tuple[int, int, str]:
    with pytest.raises(SoqlSyntaxError) as caught:
        parse(query)
    return caught.value.row, caught.value.column, caught.value.problem


def where(text: str) -> object:
    return without_positions(parse(f"SELECT Id FROM Account WHERE {text}").where)


@given(queries)
def test_what_is_printed_parses_to_the_same_tree(query: Query):
    assert without_positions(parse(to_text(query))) == query


def test_a_query_with_every_clause_becomes_its_tree():
    query = parse(
        "select Id, toLabel(Status) lab, (select Name from Contacts), fields(standard),"
        " TYPEOF What WHEN Account THEN Name, Phone ELSE Id END\n"
        "from Event e, e.Account a using scope mine where e.Name = 'x' with SECURITY_ENFORCED"
        " group by rollup(Name) having count(Id) > 1 order by Name desc nulls last, Id"
        " limit 5 offset 10 for view for reference update tracking, viewstat all rows"
    )
    assert without_positions(query) == Query(
        select=(
            Selected(Path(("Id",))),
            Selected(Call("toLabel", (Path(("Status",)),)), "lab"),
            SubQuery(Query((Selected(Path(("Name",))),), Source("Contacts"))),
            FieldsOf("STANDARD"),
            TypeOf(Path(("What",)), (("Account", (Path(("Name",)), Path(("Phone",)))),), (Path(("Id",)),)),
        ),
        source=Source("Event", "e"),
        related=(Source("e.Account", "a"),),
        scope="mine",
        where=Comparison(Path(("e", "Name")), "=", Value("string", "x")),
        with_clause="SECURITY_ENFORCED",
        group_by=Grouping((Path(("Name",)),), "ROLLUP"),
        having=Comparison(Call("count", (Path(("Id",)),)), ">", Value("number", "1")),
        order_by=(Ordering(Path(("Name",)), descending=True, nulls="LAST"), Ordering(Path(("Id",)))),
        limit=5,
        offset=10,
        for_clauses=("VIEW", "REFERENCE"),
        update=("TRACKING", "VIEWSTAT"),
        all_rows=True,
    )


def test_count_without_a_field_has_no_select_list():
    query = parse("SELECT COUNT() FROM Account")
    assert (query.count_only, query.select, query.source.name) == (True, (), "Account")


def test_count_without_a_field_beside_other_items_is_an_ordinary_call():
    assert without_positions(parse("SELECT Name, COUNT() FROM Account").select[1]) == Selected(Call("COUNT", ()))


def test_positions_are_offsets_of_the_first_character():
    query = parse("SELECT Id,\n  Owner.Name FROM Account WHERE (Rating = 'Hot')")
    second = query.select[1]
    assert isinstance(second, Selected)
    assert isinstance(query.where, Comparison)
    assert (second.expr.at, query.source.at, query.where.at, query.where.right.at) == (13, 29, 44, 53)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("'a\\'b\\\\c\\n\\u00e9\\\"'", Value("string", "a'b\\c\né\"")),
        ("-3.5", Value("number", "-3.5")),
        (".5", Value("number", ".5")),
        ("TRUE", Value("boolean", "TRUE")),
        ("null", Value("null", "null")),
        ("1999-01-01", Value("date", "1999-01-01")),
        ("1999-01-01T23:01:01Z", Value("datetime", "1999-01-01T23:01:01Z")),
        ("1999-01-01T23:01:01.123-08:00", Value("datetime", "1999-01-01T23:01:01.123-08:00")),
        ("10:15:30.000Z", Value("time", "10:15:30.000Z")),
        ("today", Value("date_literal", "today")),
        ("N_FISCAL_QUARTERS_AGO:3", Value("date_literal", "N_FISCAL_QUARTERS_AGO", 3)),
        ("USD5000", Value("currency", "USD5000")),
        ("USD5000.50", Value("currency", "USD5000.50")),
        ("USD-500", Value("currency", "USD-500")),
        (":ids", Value("bind", "ids")),
    ],
)
def test_every_kind_of_literal_is_known(text: str, value: Value):
    assert where(f"X__c = {text}") == Comparison(Path(("X__c",)), "=", value)


def test_the_operators_become_comparisons_and_memberships():
    name = Path(("Name",))
    a, b = Value("string", "a"), Value("string", "b")
    assert where("Name <> 'a'") == Comparison(name, "!=", a)
    assert where("Name like 'a'") == Comparison(name, "LIKE", a)
    assert where("Name not in ('a','b')") == Membership(name, "NOT IN", (a, b))
    assert where("Name includes ('a')") == Membership(name, "INCLUDES", (a,))
    inner = Query((Selected(Path(("AccountId",))),), Source("Contact"))
    assert where("Name IN (SELECT AccountId FROM Contact)") == Membership(name, "IN", inner)


def test_like_keeps_the_escapes_that_tell_a_character_from_a_wildcard():
    assert where(r"Name LIKE '50\%\_\\ \'%'") == Comparison(Path(("Name",)), "LIKE", Value("string", r"50\%\_\\ '%"))


def test_not_takes_one_condition_and_parentheses_group():
    a, b, c = (Comparison(Path((name,)), "=", Value("number", "1")) for name in "abc")
    assert where("NOT a = 1 AND b = 1") == Logic("AND", (Negation(a), b))
    assert where("NOT (a = 1 OR b = 1)") == Negation(Logic("OR", (a, b)))
    assert where("(a = 1 AND b = 1) OR c = 1") == Logic("OR", (Logic("AND", (a, b)), c))


def test_and_and_or_do_not_mix_at_one_level():
    assert problem("SELECT Id FROM A WHERE a = 1 AND b = 2 OR c = 3") == (1, 40, "unexpected token: 'OR'")


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("SELEKT Name FROM Account", (1, 1, "unexpected token: 'SELEKT'")),
        ("SELECT FROM Account", (1, 8, "unexpected token: 'FROM'")),
        ("SELECT Id\nFROM Account\nWHERE", (3, 6, "unexpected token: '<EOF>'")),
        ("SELECT * FROM Account", (1, 8, "line 1:8 no viable alternative at character '*'")),
        ("SELECT Id FROM Account;", (1, 23, "line 1:23 no viable alternative at character ';'")),
        ("SELECT Id FROM Account WHERE Name = 'x", (1, 37, "line 1:37 mismatched character '<EOF>' expecting '''")),
        ("SELECT Id FROM Account WHERE Name = x", (1, 37, "unexpected token: 'x'")),
        ("SELECT Id FROM Account WHERE Name", (1, 34, "unexpected token: '<EOF>'")),
        ("SELECT Id FROM Account LIMIT -1", (1, 30, "unexpected token: '-1'")),
        ("SELECT Id FROM Account LIMIT 1 WHERE Id = null", (1, 32, "unexpected token: 'WHERE'")),
        ("SELECT Id FROM Account WHERE D = LAST_N_DAYS", (1, 45, "unexpected token: '<EOF>'")),
        (
            "SELECT Id FROM A WHERE N = '\\d'",
            (1, 29, "Invalid string literal '\\d'. Illegal character sequence '\\d' in string literal."),
        ),
    ],
)
def test_a_syntax_error_points_at_the_token(query: str, expected: tuple[int, int, str]):
    assert problem(query) == expected


def test_the_longest_query_has_100_000_characters():
    head = "SELECT Id FROM Account WHERE Name = '"
    assert parse(head + "x" * (100_000 - len(head) - 1) + "'").where is not None
    assert problem(head + "x" * (100_000 - len(head)) + "'")[2] == (
        "SOQL statements can not be longer than 100000 characters"
    )


@pytest.mark.parametrize(("opening", "closing"), [("(", ")"), ("NOT ", "")])
def test_endless_nesting_is_a_syntax_error(opening: str, closing: str):
    head = "SELECT Id FROM Account WHERE "
    assert parse(head + opening * 150 + "Id = null" + closing * 150).where is not None
    assert problem(head + opening * 20_000 + "Id = null" + closing * 20_000)[2] == "nested more than 200 levels deep"


# The windows and carets below were recorded from real orgs (rest.md 12).
@pytest.mark.parametrize(
    ("query", "offset", "expected"),
    [
        ("select count() from XYZZY", 20, f"select count() from XYZZY\n{' ' * 20}^\nERROR at Row:1:Column:21"),
        (
            "SELECT Id,Name,BillingCity,IsDeleted FROM Accout",
            42,
            f"Name,BillingCity,IsDeleted FROM Accout\n{' ' * 32}^\nERROR at Row:1:Column:43",
        ),
        (
            "SELECT Id, Assignable_Adoption_Date__c FROM Contact WHERE (Id = 'somethingwonky') LIMIT 1",
            59,
            (
                f"Assignable_Adoption_Date__c FROM Contact WHERE (Id = 'somethingwonky') LIMIT 1\n{' ' * 48}^\n"
                "ERROR at Row:1:Column:60"
            ),
        ),
        ("SELECT Id\nFROM Foo", 15, "FROM Foo\n     ^\nERROR at Row:2:Column:6"),
    ],
)
def test_the_excerpt_shows_a_window_and_a_caret(query: str, offset: int, expected: str):
    assert excerpt(query, offset) == expected


@given(queries)
def test_the_caret_stands_below_the_character(query: Query):
    text = to_text(query)
    for found in re.finditer(r"[A-Za-z]+", text):
        shown, caret, where_it_is = excerpt(text, found.start()).split("\n")
        assert shown[len(caret) - 1] == text[found.start()]
        assert where_it_is == f"ERROR at Row:1:Column:{found.start() + 1}"
