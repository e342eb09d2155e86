"""REST queries: the shape of records and pages (rest.md 5)."""

from __future__ import annotations

import datetime as dt
import json
import re

import pytest

from sfframe.localorg.services.errors import ServiceError
from sfframe.localorg.services.query import MAX_OPEN, QueryService
from sfframe.localorg.store.record_ids import id18
from tests.localorg.query_rows import NOW, VERSION, StoppedStore, insert, queries, record_id, records, rows, store

__all__ = ["queries", "rows", "store"]


def test_records_have_attributes_first_and_fields_in_select_order(rows: StoppedStore, queries: QueryService):
    fields = "name, RATING, Owner.Name, annualrevenue, owner.PROFILE.name, NumberOfEmployees, IsDeleted"
    owner_url = f"/services/data/v66.0/sobjects/User/{rows.user_id}"
    profile_url = f"/services/data/v66.0/sobjects/Profile/{rows.profile_id}"
    assert queries.query(f"select {fields} from account limit 1", VERSION) == (
        '{"totalSize":1,"done":true,"records":[{"attributes":{"type":"Account",'
        f'"url":"/services/data/v66.0/sobjects/Account/{record_id("001", 1)}"}},'
        '"Name":"Acme","Rating":"Hot",'
        f'"Owner":{{"attributes":{{"type":"User","url":"{owner_url}"}},"Name":"Integration User",'
        f'"Profile":{{"attributes":{{"type":"Profile","url":"{profile_url}"}},"Name":"System Administrator"}}}},'
        '"AnnualRevenue":1000000.0,"NumberOfEmployees":10,"IsDeleted":false}]}'
    )


def test_a_parent_that_is_not_there_is_null(rows: StoppedStore, queries: QueryService):
    text = "SELECT LastName, Account.Name, Account.Owner.Name FROM Contact WHERE LastName = 'Dag'"
    assert records(queries, text) == [{"LastName": "Dag", "Account": None}]


def test_a_polymorphic_parent_is_a_name_whose_url_tells_the_object(rows: StoppedStore, queries: QueryService):
    parents = [rows.user_id, record_id("003", 1), None]
    insert(rows, "Widget__c", [{"Id": record_id("a00", at), "Who__c": one} for at, one in enumerate(parents)])
    user_url = f"/services/data/v66.0/sobjects/User/{rows.user_id}"
    contact_url = f"/services/data/v66.0/sobjects/Contact/{record_id('003', 1)}"
    assert records(queries, "SELECT Who__r.LastName, Who__r.Type FROM Widget__c") == [
        {"Who__r": {"attributes": {"type": "Name", "url": user_url}, "LastName": "User", "Type": "User"}},
        {"Who__r": {"attributes": {"type": "Name", "url": contact_url}, "LastName": "Ada", "Type": "Contact"}},
        {"Who__r": None},
    ]


def test_values_are_spelled_by_type(store: StoppedStore, queries: QueryService):
    insert(
        store,
        "Widget__c",
        [
            {
                "Id": record_id("a00", 1),
                "Name": 'quote " backslash \\ é\n',
                "Amount__c": 300.0,
                "Count__c": 7,
                "Due__c": dt.date(2024, 11, 7),
                "Seen__c": NOW.replace(microsecond=123000),
                "At__c": dt.time(7, 0, 5),
                "Tags__c": "A;B",
                "Size__c": "small",
            }
        ],
    )
    fields = "Name, Amount__c, Count__c, Due__c, Seen__c, At__c, Tags__c, Done__c, Code__c, toLabel(Size__c)"
    text = queries.query(f"SELECT {fields} FROM Widget__c", VERSION)
    assert text[text.index('"Name"') : -3] == (
        '"Name":"quote \\" backslash \\\\ é\\n","Amount__c":300.0,"Count__c":7,"Due__c":"2024-11-07",'
        '"Seen__c":"2024-05-15T10:30:00.123+0000","At__c":"07:00:05.000Z","Tags__c":"A;B","Done__c":false,'
        '"Code__c":null,"Size__c":"SMALL"'
    )


@pytest.mark.parametrize(
    ("number", "text"),
    [(1e7, "10000000.0"), (1.6147805824397e13, "16147805824397.0"), (1e22, "1.0e+22"), (-0.5, "-0.5")],
)
def test_a_double_always_has_a_decimal_point(store: StoppedStore, queries: QueryService, number: float, text: str):
    insert(store, "Widget__c", [{"Id": record_id("a00", 1), "Amount__c": number}])
    assert f'"Amount__c":{text}}}' in queries.query("SELECT Amount__c FROM Widget__c", VERSION)


def test_an_address_is_an_object_of_its_components(rows: StoppedStore, queries: QueryService):
    names = ["city", "country", "geocodeAccuracy", "latitude", "longitude", "postalCode", "state", "street"]
    text = "SELECT BillingAddress, ShippingAddress FROM Account WHERE Name = 'Zebra'"
    address = dict.fromkeys(names) | {"city": "Ulm"}
    assert records(queries, text) == [{"BillingAddress": address, "ShippingAddress": None}]
    assert list(records(queries, text)[0]["BillingAddress"]) == names


def test_deleted_rows_come_with_query_all_only(rows: StoppedStore, queries: QueryService):
    assert json.loads(queries.query("SELECT COUNT() FROM Account", VERSION)) == {
        "totalSize": 3,
        "done": True,
        "records": [],
    }
    assert json.loads(queries.query("SELECT COUNT() FROM Account", VERSION, all_rows=True))["totalSize"] == 4


def test_count_obeys_limit(rows: StoppedStore, queries: QueryService):
    assert json.loads(queries.query("SELECT COUNT() FROM Account LIMIT 2", VERSION))["totalSize"] == 2


def test_a_limit_may_be_larger_than_any_table(rows: StoppedStore, queries: QueryService):
    assert len(records(queries, f"SELECT Id FROM Account LIMIT {10**30}")) == 3


def test_all_standard_fields_can_be_selected_at_once(rows: StoppedStore, queries: QueryService):
    account = rows.catalogue.find("Account")
    assert account is not None
    found = records(queries, "SELECT FIELDS(STANDARD) FROM Account LIMIT 1")[0]
    assert list(found) == [one.name for one in account]


def test_child_rows_stand_inside_of_their_parent(rows: StoppedStore, queries: QueryService):
    text = "SELECT Name, (SELECT LastName FROM Contacts WHERE LastName != 'x' ORDER BY LastName DESC) FROM Account"

    def child(number: int, name: str) -> dict[str, object]:
        url = f"/services/data/v66.0/sobjects/Contact/{record_id('003', number)}"
        return {"attributes": {"type": "Contact", "url": url}, "LastName": name}

    assert records(queries, text) == [
        {"Name": "Acme", "Contacts": {"totalSize": 2, "done": True, "records": [child(2, "Bob"), child(1, "Ada")]}},
        {"Name": "acme", "Contacts": {"totalSize": 1, "done": True, "records": [child(3, "Cem")]}},
        {"Name": "Zebra", "Contacts": None},
    ]


def test_child_rows_are_limited_by_parent(rows: StoppedStore, queries: QueryService):
    text = "SELECT (SELECT LastName FROM Contacts LIMIT 1) FROM Account WHERE Name = 'acme'"
    sizes = [one["Contacts"]["totalSize"] for one in records(queries, text)]
    assert sizes == [1, 1]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (
            "SELECT COUNT(Rating), COUNT(Id) n, MAX(AnnualRevenue) FROM Account",
            [{"expr0": 2, "n": 3, "expr1": 15000000.0}],
        ),
        (
            "SELECT Rating, COUNT(Id) FROM Account GROUP BY Rating ORDER BY Rating DESC",
            [{"Rating": None, "expr0": 1}, {"Rating": "Cold", "expr0": 1}, {"Rating": "Hot", "expr0": 1}],
        ),
        (
            "SELECT Account.Name, COUNT(Id) n FROM Contact GROUP BY Account.Name HAVING COUNT(Id) > 1",
            [{"Name": "Acme", "n": 2}],
        ),
        (
            "SELECT MIN(Name), SUM(NumberOfEmployees), AVG(NumberOfEmployees) FROM Account",
            [{"expr0": "Acme", "expr1": 30, "expr2": 15.0}],
        ),
        (
            (
                "SELECT Name, GROUPING(Name) g, COUNT(Id) n FROM Account WHERE Name != 'Zebra' GROUP BY ROLLUP(Name)"
                " ORDER BY GROUPING(Name), Name"
            ),
            [{"Name": "Acme", "g": 0, "n": 1}, {"Name": "acme", "g": 0, "n": 1}, {"Name": None, "g": 1, "n": 2}],
        ),
        ("SELECT CALENDAR_MONTH(CreatedDate) m FROM Account GROUP BY CALENDAR_MONTH(CreatedDate)", [{"m": 5}]),
    ],
)
def test_aggregates_give_one_record_per_group(
    rows: StoppedStore, queries: QueryService, text: str, found: list[dict[str, object]]
):
    assert records(queries, text) == found


def test_an_aggregate_record_has_no_url(rows: StoppedStore, queries: QueryService):
    answer = json.loads(queries.query("SELECT COUNT(Id) FROM Account", VERSION))
    assert answer["records"][0]["attributes"] == {"type": "AggregateResult"}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("SELECT Name, COUNT(Id) FROM Account", "Field must be grouped or aggregated: Name"),
        ("SELECT SUM(Name) FROM Account", "field Name does not support aggregate operator SUM"),
        (
            "SELECT Id, COUNT(Name) FROM Account GROUP BY Description",
            "field 'Description' can not be grouped in a query call",
        ),
    ],
)
def test_what_cannot_be_aggregated_is_refused(queries: QueryService, text: str, reason: str):
    with pytest.raises(ServiceError, match=re.escape(reason)):
        queries.query(text, VERSION)


@pytest.fixture
def many(store: StoppedStore) -> StoppedStore:
    with store.cursor() as cursor:
        cursor.execute(
            'INSERT INTO data."Account" ("Id", "Name", "IsDeleted") '
            "SELECT sf_id('001', i), 'A' || i, false FROM range(450) AS t(i)"
        )
    return store


def following(page: str) -> str:
    path: str = json.loads(page)["nextRecordsUrl"]
    return path.rpartition("/")[2]


def test_pages_follow_one_another_and_can_be_jumped_to(many: StoppedStore, queries: QueryService):
    first = queries.query("SELECT Name FROM Account", VERSION, page_rows=200)
    path = json.loads(first)["nextRecordsUrl"]
    found = re.fullmatch(r"/services/data/v66\.0/query/(0r8\w{15})-200", path)
    assert found is not None
    assert id18(found[1][:15]) == found[1]
    second = queries.more(following(first), VERSION)
    third = queries.more(following(second), VERSION)
    pages = [json.loads(one) for one in (first, second, third)]
    assert [(len(one["records"]), one["totalSize"], one["done"]) for one in pages] == [
        (200, 450, False),
        (200, 450, False),
        (50, 450, True),
    ]
    assert list(pages[0]) == ["totalSize", "done", "nextRecordsUrl", "records"]
    assert [row["Name"] for one in pages for row in one["records"]] == [f"A{number}" for number in range(450)]
    jumped = json.loads(queries.more(f"{found[1][:15]}-449", VERSION))
    assert [row["Name"] for row in jumped["records"]] == ["A449"]


def test_pages_stay_as_they_were_when_rows_change(many: StoppedStore, queries: QueryService):
    first = queries.query("SELECT Name FROM Account ORDER BY Name DESC", VERSION, page_rows=200)
    with many.cursor() as cursor:
        cursor.execute('DELETE FROM data."Account"')
    second = json.loads(queries.more(following(first), VERSION))
    assert (second["totalSize"], len(second["records"])) == (450, 200)


@pytest.mark.parametrize("locator", ["nonsense", "0r8qk0000000001AAA-200", "0r8qk0000000001-x"])
def test_an_unknown_locator_is_refused(queries: QueryService, locator: str):
    with pytest.raises(ServiceError) as caught:
        queries.more(locator, VERSION)
    assert (caught.value.code, caught.value.message) == ("INVALID_QUERY_LOCATOR", "invalid query locator")


def test_the_oldest_locator_is_dropped(many: StoppedStore, queries: QueryService):
    pages = [queries.query("SELECT Name FROM Account", VERSION, page_rows=200) for _ in range(MAX_OPEN + 1)]
    with pytest.raises(ServiceError, match="invalid query locator"):
        queries.more(following(pages[0]), VERSION)
    assert json.loads(queries.more(following(pages[1]), VERSION))["totalSize"] == 450


@pytest.mark.parametrize(("asked", "given"), [(1, 200), (200, 200), (300, 300), (9_999, 450)])
def test_the_page_size_is_cut_to_200_up_to_2000(many: StoppedStore, queries: QueryService, asked: int, given: int):
    assert len(json.loads(queries.query("SELECT Id FROM Account", VERSION, page_rows=asked))["records"]) == given


def test_the_columns_of_a_query_are_described(queries: QueryService):
    answer = queries.columns("SELECT Name, Owner.Name, (SELECT Id FROM Contacts) FROM Account", VERSION)
    assert {key: value for key, value in answer.items() if key != "columnMetadata"} == {
        "entityName": "Account",
        "groupBy": False,
        "idSelected": False,
        "keyPrefix": "001",
    }
    name, owner, contacts = answer["columnMetadata"]
    assert name == {
        "aggregate": False,
        "apexType": "String",
        "booleanType": False,
        "columnName": "Name",
        "custom": False,
        "displayName": "Name",
        "foreignKeyName": None,
        "insertable": True,
        "joinColumns": [],
        "numberType": False,
        "textType": True,
        "updatable": True,
    }
    assert (owner["columnName"], owner["foreignKeyName"], owner["joinColumns"][0]["columnName"]) == (
        "Owner",
        "OwnerId",
        "Name",
    )
    assert (contacts["aggregate"], contacts["joinColumns"][0]["columnName"]) == (True, "Id")
