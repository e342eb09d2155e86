"""WHERE and ORDER BY in the embedded org: rest.md 13.2 to 13.6."""

from __future__ import annotations

import datetime as dt

import pytest

from sfframe.localorg.services.errors import ServiceError
from sfframe.localorg.services.query import QueryService
from tests.localorg.query_rows import NOW, VERSION, StoppedStore, column, insert, queries, record_id, rows, store

__all__ = ["queries", "rows", "store"]

WIDGETS: list[dict[str, object]] = [
    {
        "Name": "a",
        "Amount__c": 1.5,
        "Count__c": 1,
        "Done__c": True,
        "Tags__c": "A;B",
        "Code__c": "x",
        "Size__c": "large",
    },
    {
        "Name": "b",
        "Amount__c": -2.0,
        "Count__c": 2,
        "Done__c": False,
        "Tags__c": "C",
        "Code__c": "X",
        "Size__c": "small",
    },
    {"Name": "c", "Amount__c": None, "Count__c": None, "Done__c": None, "Tags__c": None, "Code__c": None},
    {
        "Name": "d_%\\",
        "Amount__c": 10.0,
        "Tags__c": "B;A;C",
        "Size__c": "other",
        "Due__c": dt.date(2024, 5, 14),
        "Seen__c": NOW,
        "At__c": dt.time(12, 30),
    },
]


@pytest.fixture
def widgets(store: StoppedStore) -> StoppedStore:
    insert(store, "Widget__c", [one | {"Id": record_id("a00", at)} for at, one in enumerate(WIDGETS)])
    return store


def names(service: QueryService, where: str, of: str = "Widget__c") -> str:
    """The first letters of the names of the rows that match."""
    return "".join(one[0] for one in column(service, f"SELECT Name FROM {of} WHERE {where}"))


@pytest.mark.parametrize(
    ("where", "matched"),
    [
        # Null: = and != only; != and NOT IN and NOT LIKE match rows without a value, < and > never do.
        ("Amount__c = null", "c"),
        ("Amount__c != null", "abd"),
        ("Amount__c != 1.5", "bcd"),
        ("Amount__c < 100", "abd"),
        ("Amount__c NOT IN (1.5, 10)", "bc"),
        ("Amount__c IN (1.5, null)", "ac"),
        ("NOT (Amount__c = 1.5)", "bcd"),
        ("NOT (Code__c LIKE 'x')", "bcd"),
        ("Code__c = ''", "cd"),
        # A checkbox without a value is false.
        ("Done__c = false", "bcd"),
        ("Done__c = null", "bcd"),
        ("Done__c != true", "bcd"),
        ("NOT (Done__c = false)", "a"),
        # Text is compared without case, but for unique case-sensitive fields.
        ("Name = 'A'", "a"),
        ("Name IN ('A', 'B')", "ab"),
        ("Name > 'A'", "bcd"),
        ("Code__c = 'x'", "a"),
        ("Code__c LIKE 'X%'", "b"),
        ("Size__c = 'LARGE'", "a"),
        # LIKE and its escapes.
        ("Name LIKE '_'", "abc"),
        ("Name LIKE 'D%'", "d"),
        (r"Name LIKE '%\_\%%'", "d"),
        (r"Name LIKE '%\\'", "d"),
        (r"Name LIKE '\_%'", ""),
        # Multi-select picklists: sets.
        ("Tags__c INCLUDES ('A;B')", "ad"),
        ("Tags__c INCLUDES ('A;B', 'C')", "abd"),
        ("Tags__c EXCLUDES ('C')", "ac"),
        ("Tags__c = 'B;A'", "a"),
        ("Tags__c != 'B;A'", "bcd"),
        # Dates, against the org's clock.
        ("Due__c = YESTERDAY", "d"),
        ("Due__c < TODAY", "d"),
        ("Due__c <= YESTERDAY", "d"),
        ("Due__c > YESTERDAY", ""),
        ("Due__c != YESTERDAY", "abc"),
        ("Due__c = 2024-05-14", "d"),
        ("Due__c IN (TODAY, LAST_N_DAYS:1)", "d"),
        ("Seen__c = TODAY", "d"),
        ("Seen__c >= 2024-05-15T12:30:00+02:00", "d"),
        ("Seen__c > 2024-05-15T10:30:00Z", ""),
        ("At__c = 12:30:00.000Z", "d"),
        ("CALENDAR_YEAR(Seen__c) = 2024", "d"),
        ("DAY_IN_WEEK(Due__c) = 3", "d"),
        ("DAY_ONLY(Seen__c) = 2024-05-15", "d"),
        # Logic.
        ("Amount__c > 0 AND Name != 'd'", "ad"),
        ("(Amount__c = -2 OR Count__c = 1) AND Done__c = true", "a"),
    ],
)
def test_a_condition_matches_what_salesforce_matches(
    widgets: StoppedStore, queries: QueryService, where: str, matched: str
):
    assert names(queries, where) == matched


@pytest.mark.parametrize(
    ("where", "matched"),
    [
        ("Account.Name = 'ACME'", ["Ada", "Bob", "Cem"]),
        ("Account.Rating = null", ["Cem", "Dag"]),
        ("Account.Rating != 'Hot'", ["Cem", "Dag"]),
        ("Account.IsDeleted = false AND Account.Name = null", ["Dag"]),
        ("Account.Owner.Profile.Name LIKE 'system%'", ["Ada", "Bob", "Cem"]),
        ("AccountId IN (SELECT Id FROM Account WHERE Rating = 'hot')", ["Ada", "Bob"]),
        ("AccountId NOT IN (SELECT Id FROM Account WHERE Rating = 'hot')", ["Cem", "Dag"]),
        ("Id = '003qk0000000001'", ["Ada"]),
        ("Contact.LastName = 'ada'", ["Ada"]),
    ],
)
def test_parents_are_outer_joins(rows: StoppedStore, queries: QueryService, where: str, matched: list[str]):
    assert column(queries, f"SELECT LastName FROM Contact WHERE {where}") == matched


def test_aliases_name_the_object_and_its_parents(rows: StoppedStore, queries: QueryService):
    text = "SELECT c.LastName FROM Contact c, c.Account a WHERE a.Name = 'acme' AND c.LastName > 'B' ORDER BY a.Id DESC"
    assert column(queries, text) == ["Cem", "Bob"]


def test_ids_are_case_sensitive(rows: StoppedStore, queries: QueryService):
    assert column(queries, "SELECT LastName FROM Contact WHERE Id IN ('003QK0000000001', '003qk0000000002AAA')") == [
        "Bob"
    ]


def test_an_id_with_a_wrong_suffix_finds_nothing(rows: StoppedStore, queries: QueryService):
    assert column(queries, "SELECT LastName FROM Contact WHERE Id = '003qk0000000001XXX'") == []


@pytest.mark.parametrize(
    ("order", "names_in_order"),
    [
        ("", ["Acme", "acme", "Zebra"]),
        ("ORDER BY Id DESC", ["Zebra", "acme", "Acme"]),
        ("ORDER BY Name, Id DESC", ["acme", "Acme", "Zebra"]),
        ("ORDER BY AnnualRevenue", ["acme", "Acme", "Zebra"]),
        ("ORDER BY AnnualRevenue DESC", ["acme", "Zebra", "Acme"]),
        ("ORDER BY AnnualRevenue DESC NULLS LAST", ["Zebra", "Acme", "acme"]),
        ("ORDER BY Owner.Name, Id LIMIT 1 OFFSET 1", ["acme"]),
    ],
)
def test_rows_come_in_salesforces_order(
    rows: StoppedStore, queries: QueryService, order: str, names_in_order: list[str]
):
    assert column(queries, f"SELECT Name FROM Account {order}") == names_in_order


def test_picklists_sort_in_their_defined_order(widgets: StoppedStore, queries: QueryService):
    text = "SELECT Size__c FROM Widget__c WHERE Size__c != null ORDER BY Size__c"
    assert column(queries, text) == ["small", "large", "other"]


WSDL = "Please reference your WSDL or the describe call for the appropriate names."


@pytest.mark.parametrize(
    ("text", "code", "message"),
    [
        (
            "SELECT Bacon__c FROM Account LIMIT 2",
            "INVALID_FIELD",
            (
                "\nSELECT Bacon__c FROM Account LIMIT 2\n       ^\nERROR at Row:1:Column:8\nNo such column "
                "'Bacon__c' on entity 'Account'. If you are attempting to use a custom field, be sure to "
                f"append the '__c' after the custom field name. {WSDL}"
            ),
        ),
        (
            "select count() from XYZZY",
            "INVALID_TYPE",
            (
                "\nselect count() from XYZZY\n                    ^\nERROR at Row:1:Column:21\nsObject type "
                "'XYZZY' is not supported. If you are attempting to use a custom object, be sure to append the "
                f"'__c' after the entity name. {WSDL}"
            ),
        ),
        (
            "SELECT Boss.Name FROM Account",
            "INVALID_FIELD",
            (
                "\nSELECT Boss.Name FROM Account\n       ^\nERROR at Row:1:Column:8\nDidn't understand "
                "relationship 'Boss' in field path. If you are attempting to use a custom relationship, be sure to "
                f"append the '__r' after the custom relationship name. {WSDL}"
            ),
        ),
        (
            "SELECT Id FROM Account WHERE (Id = 'somethingwonky')",
            "INVALID_QUERY_FILTER_OPERATOR",
            (
                "\nSELECT Id FROM Account WHERE (Id = 'somethingwonky')\n                              ^\n"
                "ERROR at Row:1:Column:31\ninvalid ID field: somethingwonky"
            ),
        ),
        ("SELEKT Name FROM Account", "MALFORMED_QUERY", "unexpected token: SELEKT"),
        (
            "SELECT Id FROM",
            "MALFORMED_QUERY",
            "\nSELECT Id FROM\n              ^\nERROR at Row:1:Column:15\nunexpected token: '<EOF>'",
        ),
        ("SELECT Id FROM Account OFFSET 2001", "NUMBER_OUTSIDE_VALID_RANGE", "Maximum SOQL offset allowed is 2000"),
        ("", "MALFORMED_QUERY", "A query string has to be specified"),
    ],
)
def test_a_wrong_query_is_refused_in_the_services_words(queries: QueryService, text: str, code: str, message: str):
    with pytest.raises(ServiceError) as caught:
        queries.query(text, VERSION)
    assert (caught.value.status, caught.value.code, caught.value.message) == (400, code, message)


@pytest.mark.parametrize(
    ("text", "code", "reason"),
    [
        ("SELECT Id, ID FROM Account", "INVALID_FIELD", "duplicate field selected: Id"),
        (
            "SELECT Id FROM Account WHERE Name = 5",
            "INVALID_FIELD",
            "value of filter criterion for field 'Name' must be of type string and should be enclosed in quotes",
        ),
        (
            "SELECT Id FROM Opportunity WHERE CloseDate = '2024-01-01'",
            "INVALID_FIELD",
            "value of filter criterion for field 'CloseDate' must be of type date and should not be enclosed in quotes",
        ),
        (
            "SELECT Id FROM Account WHERE CreatedDate = 2024-01-01",
            "INVALID_FIELD",
            (
                "value of filter criterion for field 'CreatedDate' must be of type dateTime and should not be "
                "enclosed in quotes"
            ),
        ),
        (
            "SELECT Id FROM Widget__c WHERE Notes__c = 'x'",
            "INVALID_FIELD",
            "field 'Notes__c' can not be filtered in a query call",
        ),
        (
            "SELECT Id FROM Account WHERE BillingAddress = 'x'",
            "INVALID_FIELD",
            "field 'BillingAddress' can not be filtered in a query call",
        ),
        (
            "SELECT Id FROM Account ORDER BY BillingAddress",
            "INVALID_FIELD",
            "field 'BillingAddress' can not be sorted in a query call",
        ),
        (
            "SELECT Id FROM Account WHERE Id LIKE '001%'",
            "INVALID_QUERY_FILTER_OPERATOR",
            "invalid operator on id field",
        ),
        (
            "SELECT Id FROM Account WHERE Name INCLUDES ('x')",
            "INVALID_QUERY_FILTER_OPERATOR",
            "invalid operator on string field",
        ),
        ("SELECT Id FROM Account WHERE Name = :x", "MALFORMED_QUERY", "Bind variables only allowed in Apex code"),
        (
            "SELECT TYPEOF Owner WHEN User THEN Id END FROM Account",
            "INVALID_FIELD",
            "TYPEOF can only be used with polymorphic relationships, and 'Owner' is none",
        ),
        ("SELECT Name n FROM Account", "MALFORMED_QUERY", "only aggregate expressions use field aliasing"),
    ],
)
def test_the_reason_of_a_refusal_stands_in_the_last_line(
    queries: QueryService, store: StoppedStore, text: str, code: str, reason: str
):
    with pytest.raises(ServiceError) as caught:
        queries.query(text, VERSION)
    assert (caught.value.code, caught.value.message.split("\n")[-1]) == (code, reason)
