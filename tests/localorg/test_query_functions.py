"""Functions, TYPEOF, clocks and clauses of SOQL in the embedded org: rest.md 13.1, 13.2, 13.4 to 13.6."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

import pytest

from sfframe.localorg.catalogue.catalogue import Catalogue
from sfframe.localorg.services.errors import ServiceError
from sfframe.localorg.services.query import QueryService
from sfframe.localorg.store.settings import Settings
from tests.localorg.query_rows import (
    NOW,
    VERSION,
    WIDGET,
    StoppedStore,
    column,
    insert,
    queries,
    record_id,
    records,
    rows,
    store,
)

__all__ = ["queries", "rows", "store"]

CAFE = {
    "name": "Cafe__c",
    "fields": [
        {"name": "Place__c", "type": "location"},
        {"name": "Place__Latitude__s", "type": "double", "compoundFieldName": "Place__c"},
        {"name": "Place__Longitude__s", "type": "double", "compoundFieldName": "Place__c"},
        {"name": "Price__c", "type": "currency", "precision": 18, "scale": 2},
        {"name": "Share__c", "type": "percent", "precision": 5, "scale": 1},
    ],
}
BERLIN, MUNICH = (52.52, 13.405), (48.137, 11.575)


@pytest.fixture
def cafes(store: StoppedStore) -> StoppedStore:
    store.deploy([CAFE])
    places: list[tuple[float | None, float | None]] = [BERLIN, MUNICH, (None, None)]
    for at, (latitude, longitude) in enumerate(places):
        row = {"Id": record_id("a01", at), "Name": f"Cafe {at}", "Price__c": 1234.5 * (1 - at), "Share__c": 12.25}
        insert(store, "Cafe__c", [row | {"Place__Latitude__s": latitude, "Place__Longitude__s": longitude}])
    return store


def last_line(queries: QueryService, text: str, version: str = VERSION) -> tuple[str, str]:
    with pytest.raises(ServiceError) as caught:
        queries.query(text, version)
    return caught.value.code, caught.value.message.rsplit("\n", maxsplit=1)[-1]


def test_distances_filter_and_sort(cafes: StoppedStore, queries: QueryService):
    far = "DISTANCE(Place__c, GEOLOCATION(52.52, 13.405), 'km')"
    [found] = column(queries, f"SELECT {far} FROM Cafe__c WHERE Name = 'Cafe 1'")
    assert found == pytest.approx(504, abs=2)
    assert column(queries, f"SELECT Name FROM Cafe__c WHERE {far} < 100") == ["Cafe 0"]
    assert column(queries, f"SELECT Name FROM Cafe__c WHERE {far} > 300 ORDER BY {far} DESC") == ["Cafe 1"]
    miles = far.replace("'km'", "'mi'")
    assert column(queries, f"SELECT Name FROM Cafe__c WHERE {miles} < 320 ORDER BY {miles}") == ["Cafe 0", "Cafe 1"]


@pytest.mark.parametrize(
    ("field", "text"),
    [
        ("FORMAT(Price__c)", "$1,234.50"),
        ("FORMAT(Share__c)", "12.2%"),
        ("FORMAT(CreatedDate)", "5/15/2024, 10:30 AM"),
        ("FORMAT(convertCurrency(Price__c))", "$1,234.50"),
        ("convertCurrency(Price__c)", 1234.5),
        ("FORMAT(Name)", "Cafe 0"),
    ],
)
def test_format_writes_as_the_locale_does(cafes: StoppedStore, queries: QueryService, field: str, text: object):
    with cafes.cursor() as cursor:
        cursor.execute('UPDATE data."Cafe__c" SET "CreatedDate" = $1', [NOW])
    assert column(queries, f"SELECT {field} FROM Cafe__c ORDER BY Id LIMIT 1") == [text]


def test_a_function_beside_its_field_needs_an_alias(cafes: StoppedStore, queries: QueryService):
    text = "SELECT Price__c, FORMAT(Price__c) shown FROM Cafe__c WHERE Name = 'Cafe 2'"
    assert records(queries, text) == [{"Price__c": -1234.5, "shown": "-$1,234.50"}]
    assert last_line(queries, "SELECT Price__c, FORMAT(Price__c) FROM Cafe__c") == (
        "INVALID_FIELD",
        "duplicate field selected: Price__c",
    )


def test_aggregates_can_be_formatted(cafes: StoppedStore, queries: QueryService):
    assert records(queries, "SELECT FORMAT(MAX(Price__c)) most, FORMAT(COUNT(Id)) FROM Cafe__c") == [
        {"most": "$1,234.50", "expr0": "3"}
    ]


def test_typeof_gives_each_object_its_own_fields(rows: StoppedStore, queries: QueryService):
    parents = [rows.user_id, record_id("003", 1), None]
    insert(rows, "Widget__c", [{"Id": record_id("a00", at), "Who__c": one} for at, one in enumerate(parents)])
    user_url = f"/services/data/v66.0/sobjects/User/{rows.user_id}"
    contact_url = f"/services/data/v66.0/sobjects/Contact/{record_id('003', 1)}"
    account_url = f"/services/data/v66.0/sobjects/Account/{record_id('001', 1)}"
    account = {"attributes": {"type": "Account", "url": account_url}, "Name": "Acme"}
    contact = {"attributes": {"type": "Contact", "url": contact_url}, "LastName": "Ada", "Account": account}
    assert records(
        queries,
        "SELECT TYPEOF Who__r WHEN Contact THEN LastName, Account.Name ELSE Type END, Who__c FROM Widget__c",
    ) == [
        {"Who__r": {"attributes": {"type": "Name", "url": user_url}, "Type": "User"}, "Who__c": rows.user_id},
        {"Who__r": contact, "Who__c": record_id("003", 1)},
        {"Who__r": None, "Who__c": None},
    ]
    assert column(queries, "SELECT TYPEOF Who__r WHEN User THEN Username END FROM Widget__c")[1] is None


def test_the_owner_of_a_custom_object_is_a_name(rows: StoppedStore, queries: QueryService):
    insert(rows, "Widget__c", [{"Id": record_id("a00", 1), "OwnerId": rows.user_id}])
    [owner] = column(queries, "SELECT Owner.Name FROM Widget__c")
    assert owner["attributes"]["type"] == "Name"
    owner_id = rows.catalogue.find("Widget__c").field("OwnerId")  # type: ignore[union-attr]
    assert owner_id is not None
    assert owner_id.reference_to == ("Group", "User")


@pytest.fixture
def elsewhere() -> Any:
    """An org whose user lives in New York, with a fiscal year from April; its clock stands at 06:30 there."""
    made = StoppedStore(None, Catalogue.standard(), Settings(time_zone="America/New_York", fiscal_year_start_month=4))
    made.deploy([WIDGET])
    moments = [NOW.replace(hour=3, minute=59), NOW.replace(hour=4, minute=0), NOW + dt.timedelta(days=1)]
    widgets = [
        {"Id": record_id("a00", at), "Name": str(at), "Seen__c": one, "Due__c": one.date()}
        for at, one in enumerate(moments)
    ]
    insert(made, "Widget__c", widgets)
    service = QueryService(made, made.settings)
    yield service
    service.close()
    made.close()


@pytest.mark.parametrize(
    ("where", "matched"),
    [
        ("Seen__c = TODAY", ["1"]),  # midnight in New York is 04:00 UTC in May
        ("Seen__c = YESTERDAY", ["0"]),
        ("Due__c = TODAY", ["0", "1"]),
        ("HOUR_IN_DAY(Seen__c) = 4", ["1"]),
        ("HOUR_IN_DAY(convertTimezone(Seen__c)) = 0", ["1"]),
        ("DAY_ONLY(convertTimezone(Seen__c)) = 2024-05-14", ["0"]),
        ("FISCAL_YEAR(Due__c) = 2025 AND FISCAL_QUARTER(Due__c) = 1 AND FISCAL_MONTH(Due__c) = 2", ["0", "1", "2"]),
        ("Due__c = THIS_FISCAL_YEAR AND Due__c = THIS_FISCAL_QUARTER AND Due__c > LAST_FISCAL_YEAR", ["0", "1", "2"]),
    ],
)
def test_days_are_those_of_the_users_clock(elsewhere: QueryService, where: str, matched: list[str]):
    assert column(elsewhere, f"SELECT Name FROM Widget__c WHERE {where} ORDER BY Name") == matched


def test_settings_that_no_clock_has_are_refused():
    with pytest.raises(KeyError, match="Atlantis"):
        Settings(time_zone="Europe/Atlantis")
    with pytest.raises(ValueError, match="fiscal_year_start_month is 13"):
        Settings(fiscal_year_start_month=13)


def test_for_view_and_for_reference_leave_a_mark(rows: StoppedStore, queries: QueryService):
    queries.query("SELECT Id FROM Account WHERE Name = 'Zebra' FOR VIEW", VERSION)
    queries.query("SELECT Id FROM Account WHERE Name = 'Zebra' FOR REFERENCE", VERSION)
    marks = {"LastViewedDate": "2024-05-15T10:30:00.000+0000", "LastReferencedDate": "2024-05-15T10:30:00.000+0000"}
    assert records(queries, "SELECT LastViewedDate, LastReferencedDate FROM Account") == [
        dict.fromkeys(marks),
        dict.fromkeys(marks),
        marks,
    ]


@pytest.mark.parametrize(
    "clause",
    ["WITH SECURITY_ENFORCED", "WITH USER_MODE", "USING SCOPE everything", "UPDATE TRACKING", "UPDATE VIEWSTAT"],
)
def test_clauses_that_change_nothing_here_are_taken(rows: StoppedStore, queries: QueryService, clause: str):
    assert len(records(queries, f"SELECT Id FROM Account {clause}")) == 3


SEMI = "SELECT Id FROM Account WHERE "


@pytest.mark.parametrize(
    ("text", "code", "reason"),
    [
        ("SELECT Id FROM Account ALL ROWS", "MALFORMED_QUERY", "ALL ROWS not allowed in this context"),
        ("SELECT Id FROM Account FOR UPDATE", "MALFORMED_QUERY", "FOR UPDATE not allowed in this context"),
        (
            "SELECT Id FROM Account WITH DATA CATEGORY Geo__c AT usa__c",
            "MALFORMED_QUERY",
            "WITH DATA CATEGORY is not supported for the object Account",
        ),
        ("SELECT COUNT() FROM Account ORDER BY Id", "MALFORMED_QUERY", "Ordering is not allowed with COUNT()"),
        ("SELECT Id FROM Contact c, c.Account C", "MALFORMED_QUERY", "duplicate alias: C"),
        (
            "SELECT CALENDAR_YEAR(CreatedDate) FROM Account",
            "MALFORMED_QUERY",
            "Field must be grouped or aggregated: CALENDAR_YEAR(CreatedDate)",
        ),
        ("SELECT Id, Foo(Name) FROM Account", "MALFORMED_QUERY", "unexpected token: 'Foo'"),
        (
            "SELECT Id FROM Account WHERE AnnualRevenue > USD5000",
            "INVALID_FIELD",
            (
                "value of filter criterion for field 'AnnualRevenue' must be of type double and should not be enclosed "
                "in quotes"
            ),
        ),
        (
            f"SELECT Id FROM Account WHERE Name = '{'x' * 4001}'",
            "MALFORMED_QUERY",
            "Maximum length of criteria in where clause is 4000 characters.",
        ),
        (
            "SELECT Name, (SELECT COUNT() FROM Contacts) FROM Account",
            "MALFORMED_QUERY",
            "aggregates are not allowed in a child sub-query",
        ),
        (
            "SELECT Name, (SELECT Id FROM Contacts OFFSET 1) FROM Account",
            "MALFORMED_QUERY",
            "OFFSET in a sub-query needs LIMIT 1 in the outer query",
        ),
        (
            "SELECT Id FROM Widget__c ORDER BY toLabel(Size__c)",
            "MALFORMED_QUERY",
            "toLabel can not be used in ORDER BY",
        ),
        # Semi-joins (rest.md 13.3).
        (
            SEMI + "Id IN (SELECT AccountId FROM Contact) OR Name = 'x'",
            "MALFORMED_QUERY",
            (
                "Semi join sub-selects are only allowed at the top level WHERE expressions and not in nested WHERE "
                "expressions."
            ),
        ),
        (
            SEMI + "Id IN (SELECT AccountId FROM Contact WHERE Id IN (SELECT ContactId FROM CampaignMember))",
            "MALFORMED_QUERY",
            "Nesting of semi join sub-selects is not supported",
        ),
        (
            SEMI + " AND ".join(["Id IN (SELECT AccountId FROM Contact)"] * 3),
            "MALFORMED_QUERY",
            "Maximum 2 semi join sub-selects are allowed.",
        ),
        (
            SEMI + "Id IN (SELECT Id FROM Contact)",
            "MALFORMED_QUERY",
            (
                "The selected field 'Id' in the subquery and the left operand field in the where expression in the "
                "outer query 'Id' should point to the same object type"
            ),
        ),
        (
            SEMI + "Id IN (SELECT AccountId FROM Contact LIMIT 5)",
            "MALFORMED_QUERY",
            "Semi join sub-selects can not have ORDER BY, LIMIT or OFFSET",
        ),
        (
            SEMI + "Id IN (SELECT ParentId FROM Account)",
            "INVALID_FIELD",
            "The inner and outer selects should not be on the same object type",
        ),
        (
            "SELECT Id FROM Contact WHERE Account.Id IN (SELECT AccountId FROM Opportunity)",
            "INVALID_QUERY_FILTER_OPERATOR",
            (
                "The left operand field in the where expression for outer query should be an id field, cannot use: "
                "'Account.Id'"
            ),
        ),
    ],
)
def test_what_soql_does_not_allow_is_refused(queries: QueryService, text: str, code: str, reason: str):
    assert last_line(queries, text) == (code, reason)


def test_fields_of_all_kinds_need_few_rows(rows: StoppedStore, queries: QueryService):
    assert last_line(queries, "SELECT FIELDS(ALL) FROM Account")[0] == "MALFORMED_QUERY"
    for few in ("LIMIT 200", f"WHERE Id IN ('{record_id('001', 1)}')", f"WHERE Id = '{record_id('001', 1)}'"):
        assert json.loads(queries.query(f"SELECT FIELDS(ALL) FROM Account {few}", VERSION))["totalSize"] >= 1


def test_more_than_2000_groups_are_refused(store: StoppedStore, queries: QueryService):
    with store.cursor() as cursor:
        cursor.execute(
            'INSERT INTO data."Account" ("Id", "Name", "IsDeleted") '
            "SELECT sf_id('001', i), 'A' || i, false FROM range(2001) AS t(i)"
        )
    text = "SELECT Name, COUNT(Id) FROM Account GROUP BY Name"
    assert len(records(queries, f"{text} LIMIT 2000")) == 2000
    assert last_line(queries, text) == (
        "EXCEEDED_ID_LIMIT",
        "Aggregate query does not support queryMore(), use LIMIT to restrict the results to a single batch",
    )
