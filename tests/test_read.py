"""read_soql, from the query to the frame, against the embedded org."""

from __future__ import annotations

import datetime as dt
import pickle
from decimal import Decimal

import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

import sfframe as sf

REST = sf.ReadOptions(api="rest")
BULK = sf.ReadOptions(api="bulk2")
BULK1 = sf.ReadOptions(api="bulk1")
WHEN = dt.datetime(2026, 3, 4, 5, 6, 7, 89_000, dt.UTC)

FIELDS: list[dict[str, object]] = [
    {"name": "Code__c", "type": "string", "length": 40},
    {"name": "Big__c", "type": "double", "precision": 18, "scale": 0},
    {"name": "Small__c", "type": "double", "precision": 18, "scale": 8},
    {"name": "Seen__c", "type": "datetime"},
    {"name": "Tags__c", "type": "multipicklist", "length": 255},
]


@pytest.fixture(scope="module")
def local():
    """Two accounts with contacts and tasks, and one without anything."""
    with sf.LocalOrg() as started:
        started.deploy([{"name": "Account", "fields": FIELDS}])
        yield started


@pytest.fixture(scope="module")
def org(local):
    with sf.connect(local) as connection:
        accounts = pl.DataFrame(
            {
                "Name": ["Acme", "O'Neill", "Empty"],
                "AnnualRevenue": [1500.0, 2_000_000.0, None],
                "NumberOfEmployees": [7, 900, None],
                "Type": ["Customer - Direct", "Prospect", None],
                "BillingCity": ["Rome", "Zürich", None],
                "Code__c": ["007", "1E5", None],
                "Big__c": [123456789012345678.0, 9007199254740993.0, None],
                "Small__c": [0.00000001, 0.1, None],
                "Seen__c": [WHEN, None, None],
                "Tags__c": ["A;B", "C", None],
            }
        )
        saved = sf.write_sobject(accounts, "Account", operation="insert", org=connection).frame
        acme, neill = saved["sf__Id"][:2]
        contacts = pl.DataFrame(
            {"LastName": [f"C{at:04d}" for at in range(2_500)], "AccountId": [acme] * 2_400 + [neill] * 100}
        )
        people = sf.write_sobject(contacts, "Contact", operation="insert", org=connection).frame
        tasks = pl.DataFrame(
            {"Subject": ["1", "2", "3"], "WhatId": [acme, None, None], "WhoId": [None, people["sf__Id"][0], None]}
        )
        sf.write_sobject(tasks, "Task", operation="insert", org=connection)
        yield connection


def rows(query, org, **options):
    return sf.read_soql(query, org=org, **options).rows()


# -- columns and types ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [REST, BULK, BULK1], ids=["rest", "bulk2", "bulk1"])
def test_parents_are_columns_in_the_order_of_the_select(org, options):
    """Pain simple-salesforce #203 #283 #811: nested records; seatunnel #10938: column order."""
    frame = sf.read_soql(
        "SELECT Owner.Name, LastName, Account.AnnualRevenue, AccountId, Account.Owner.IsActive, Account.Name "
        "FROM Contact WHERE LastName IN ('C0000', 'C2400') ORDER BY LastName",
        org=org,
        options=options,
    )
    assert frame.columns == [
        "Owner.Name",
        "LastName",
        "Account.AnnualRevenue",
        "AccountId",
        "Account.Owner.IsActive",
        "Account.Name",
    ]
    assert frame.drop("AccountId").rows() == [
        ("Integration User", "C0000", 1500.0, True, "Acme"),
        ("Integration User", "C2400", 2_000_000.0, True, "O'Neill"),
    ]


@pytest.mark.parametrize("options", [REST, BULK, BULK1], ids=["rest", "bulk2", "bulk1"])
def test_parents_can_be_structs_that_know_their_object(org, options):
    frame = sf.read_soql(
        "SELECT Subject, What.Name, Who.Name FROM Task ORDER BY Subject", org=org, parents="structs", options=options
    )
    assert frame.rows() == [
        ("1", {"Name": "Acme", "Type": "Account"}, None),
        ("2", None, {"Name": "C0000", "Type": "Contact"}),
        ("3", None, None),
    ]


def test_a_typeof_is_a_struct(org):
    query = (
        "SELECT Subject, TYPEOF What WHEN Account THEN NumberOfEmployees, Type ELSE Name END FROM Task ORDER BY Subject"
    )
    assert rows(query, org) == [
        ("1", {"Type": "Account", "NumberOfEmployees": 7, "Account.Type": "Customer - Direct", "Name": None}),
        ("2", None),
        ("3", None),
    ]


def test_every_child_is_there_although_the_org_cuts_their_list_into_pages(org):
    before = org.calls
    frame = sf.read_soql(
        "SELECT Name, (SELECT LastName, CreatedDate, Account.Name FROM Contacts ORDER BY LastName) FROM Account "
        "ORDER BY Name",
        org=org,
    )
    assert org.calls - before >= 2
    assert frame.schema["Contacts"] == pl.List(
        pl.Struct({"LastName": pl.String, "CreatedDate": pl.Datetime("ms", "UTC"), "Account.Name": pl.String})
    )
    assert frame.select("Name", pl.col("Contacts").list.len()).rows() == [
        ("Acme", 2_400),
        ("Empty", 0),
        ("O'Neill", 100),
    ]
    children = frame.explode("Contacts", empty_as_null=False).unnest("Contacts")
    assert children.sort("LastName")["LastName"].to_list() == [f"C{at:04d}" for at in range(2_500)]
    assert (children["Name"] == children["Account.Name"]).all()


def test_children_of_children_are_lists_in_lists(org):
    frame = sf.read_soql(
        "SELECT Name, (SELECT LastName, (SELECT Id FROM CampaignMembers) FROM Contacts LIMIT 1) FROM Account", org=org
    )
    inner = pl.List(pl.Struct({"Id": pl.String}))
    assert frame.schema["Contacts"] == pl.List(pl.Struct({"LastName": pl.String, "CampaignMembers": inner}))
    assert frame["Contacts"].to_list() == [
        [{"LastName": "C0000", "CampaignMembers": []}],
        [{"LastName": "C2400", "CampaignMembers": []}],
        [],
    ]


def test_aggregates_have_names_and_types(org):
    frame = sf.read_soql(
        "SELECT Name, COUNT(Id), SUM(NumberOfEmployees) total, AVG(AnnualRevenue), MAX(Seen__c) latest, "
        "GROUPING(Name) g FROM Account GROUP BY ROLLUP(Name) ORDER BY Name NULLS LAST",
        org=org,
    )
    assert frame.rows() == [
        ("Acme", 1, 7.0, 1500.0, WHEN, 0),
        ("Empty", 1, None, None, None, 0),
        ("O'Neill", 1, 900.0, 2_000_000.0, None, 0),
        (None, 3, 907.0, 1_000_750.0, WHEN, 1),
    ]
    assert frame.columns == ["Name", "expr0", "total", "expr1", "latest", "g"]
    assert sf.read_soql("SELECT COUNT() FROM Contact", org=org).to_dict(as_series=False) == {"count": [2_500]}


def test_functions_of_single_fields(org):
    query = "SELECT toLabel(Type), FORMAT(NumberOfEmployees) shown FROM Account WHERE Name = 'O\\'Neill'"
    assert sf.read_soql(query, org=org).to_dicts() == [{"Type": "Prospect", "shown": "900"}]
    query = (
        "SELECT CALENDAR_YEAR(Seen__c) y, COUNT(Id) FROM Account WHERE DAY_ONLY(Seen__c) = 2026-03-04 "
        "GROUP BY CALENDAR_YEAR(Seen__c)"
    )
    assert rows(query, org) == [(2026, 1)]


@pytest.mark.parametrize("options", [REST, BULK, BULK1], ids=["rest", "bulk2", "bulk1"])
def test_the_star_is_every_field_that_both_apis_have(org, options):
    frame = sf.read_soql("SELECT Name, *, Owner.Name FROM Account ORDER BY Name", org=org, options=options)
    described = sf.describe("Account", org=org).fields
    plain = described.filter(~pl.col("type").is_in(["address", "location", "base64"]))["name"].to_list()
    assert frame.columns == ["Name", *(name for name in plain if name != "Name"), "Owner.Name"]
    assert frame["BillingCity"].to_list() == ["Rome", None, "Zürich"]


def test_fields_all_has_the_compound_fields_and_no_limit_of_200_rows(org):
    frame = sf.read_soql("SELECT FIELDS(ALL) FROM Contact", org=org)
    assert frame.height == 2_500
    assert frame.columns == [one.name for one in org.describe("Contact")]
    custom = sf.read_soql("SELECT FIELDS(CUSTOM) FROM Account WHERE Name = 'Acme'", org=org)
    assert custom.columns == [str(one["name"]) for one in FIELDS]


@pytest.mark.parametrize(
    "query",
    [
        "SELECT Id, AnnualRevenue, Seen__c, Owner.IsActive FROM Account WHERE Name = 'none'",
        "SELECT Name, (SELECT LastName FROM Contacts) FROM Account WHERE Name = 'none'",
        "SELECT Name, COUNT(Id) FROM Account WHERE Name = 'none' GROUP BY Name",
        "SELECT TYPEOF What WHEN Account THEN Phone END FROM Task WHERE Subject = 'none'",
    ],
)
@pytest.mark.parametrize("parents", ["columns", "structs"])
def test_an_empty_answer_has_the_columns_and_types_of_a_full_one(org, query, parents):
    empty = sf.read_soql(query, org=org, parents=parents)
    full = sf.read_soql(query.replace("= 'none'", "!= 'none'"), org=org, parents=parents)
    assert (empty.height, empty.schema) == (0, full.schema)
    assert full.height > 0


def test_an_empty_bulk_answer_has_its_types_too(org):
    frame = sf.read_soql("SELECT Id, AnnualRevenue, Seen__c FROM Account WHERE Name = 'none'", org=org, options=BULK)
    assert frame.schema == {"Id": pl.String, "AnnualRevenue": pl.Float64, "Seen__c": pl.Datetime("ms", "UTC")}


def test_the_frame_can_be_of_pandas_or_arrow(org):
    query = "SELECT Name, NumberOfEmployees, Seen__c FROM Account WHERE Name != 'O\\'Neill' ORDER BY Name"
    table = sf.read_soql(query, org=org, backend="pyarrow")
    assert isinstance(table, pa.Table)
    assert table.to_pylist() == [
        {"Name": "Acme", "NumberOfEmployees": 7, "Seen__c": WHEN},
        {"Name": "Empty", "NumberOfEmployees": None, "Seen__c": None},
    ]
    frame = sf.read_soql(query, org=org, backend="pandas")
    assert str(frame["NumberOfEmployees"].dtype) == "int64[pyarrow]"
    assert frame["NumberOfEmployees"].isna().tolist() == [False, True]


# -- values that other tools lose -------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [REST, BULK, BULK1], ids=["rest", "bulk2", "bulk1"])
def test_pain_sf_cli_3367_numbers_with_exponents_are_numbers(org, options):
    query = "SELECT Big__c, Small__c FROM Account WHERE Name = 'Acme'"
    assert rows(query, org, options=options) == [(123456789012345678.0, 0.00000001)]


@pytest.mark.parametrize("options", [REST, BULK, BULK1], ids=["rest", "bulk2", "bulk1"])
def test_pain_salesforcer_12_text_that_looks_like_a_number_stays_text(org, options):
    query = "SELECT Code__c FROM Account WHERE Code__c != null ORDER BY Code__c"
    assert rows(query, org, options=options) == [("007",), ("1E5",)]


@pytest.mark.parametrize("api", ["rest", "bulk2", "bulk1"])
def test_pain_salesforcer_40_decimals_by_precision_and_scale(org, api):
    options = sf.ReadOptions(api=api, decimals=True, split_multipicklists=True)
    frame = sf.read_soql("SELECT Small__c, Tags__c FROM Account WHERE Name = 'Acme'", org=org, options=options)
    assert frame.schema == {"Small__c": pl.Decimal(18, 8), "Tags__c": pl.List(pl.String)}
    assert frame.rows() == [(Decimal("0.00000001"), ["A", "B"])]


# -- params -----------------------------------------------------------------------------------------------------------


def test_values_of_every_kind_find_their_rows(org):
    query = (
        "SELECT Name FROM Account WHERE Name = :name AND AnnualRevenue >= :least AND Seen__c = :seen "
        "AND CreatedDate > :since AND IsDeleted = :deleted AND BillingCountry = :none AND Name LIKE :pattern"
    )
    params = {
        "name": "acme",
        "least": 1500,
        "seen": WHEN,
        "since": dt.datetime(2020, 1, 1, tzinfo=dt.UTC),
        "deleted": False,
        "none": None,
        "pattern": "_c%",
    }
    assert rows(query, org, params=params) == [("Acme",)]
    naive = {**params, "seen": WHEN.astimezone(None).replace(tzinfo=None)}
    with pytest.raises(sf.UsageError, match=":seen: the datetime has no zone"):
        rows(query, org, params=naive)
    berlin = {**params, "seen": WHEN.replace(tzinfo=None, hour=6)}
    assert rows(query, org, params=berlin, options=sf.ReadOptions(timezone="Europe/Berlin")) == [("Acme",)]


hostile = st.text("'\\%_:\"\n;() ORNameId=!", min_size=1, max_size=12)


@settings(max_examples=60)
@given(text=hostile)
def test_no_text_finds_more_than_the_record_that_has_it(org, text):
    """Injection attempts fail: what is not the name of an account finds none, and never all of them."""
    assert rows("SELECT Id FROM Account WHERE Name = :x", org, params={"x": text}) == []
    assert rows("SELECT Id FROM Account WHERE Name IN :x", org, params={"x": [text, text + "'"]}) == []


@pytest.mark.parametrize("attack", ["x' OR Name != '", "\\' OR Id != null OR Name = \\'", "x') OR (Id != null", "x\\"])
def test_known_attacks_find_nothing(org, attack):
    assert rows("SELECT Id FROM Account WHERE Name = :x", org, params={"x": attack}) == []
    assert rows("SELECT Id FROM Account WHERE (Name LIKE :x)", org, params={"x": attack}) == []


def test_a_long_list_becomes_several_queries_and_finds_each_record_once(org):
    names = [f"c{at:04d}" for at in range(2_500)] + [f"C{at:04d}" for at in range(0, 2_500, 5)]
    before = org.calls
    found = sf.read_soql("SELECT LastName FROM Contact WHERE LastName IN :names", params={"names": names}, org=org)
    assert found.columns == ["LastName"]
    assert found["LastName"].sort().to_list() == [f"C{at:04d}" for at in range(2_500)]
    assert 2 <= org.calls - before <= 10


def test_a_long_list_of_a_sorted_query_is_one_bulk_query(org):
    names = pl.Series([f"C{at:04d}" for at in range(2_400)])
    found = sf.read_soql(
        "SELECT LastName FROM Contact WHERE LastName IN :names ORDER BY LastName DESC", params={"names": names}, org=org
    )
    assert found["LastName"].to_list() == sorted(names, reverse=True)


def test_a_list_that_no_single_query_holds_is_spread_over_bulk_queries(org):
    names = [f"C{at:04d}{'' if at < 2_500 else 'x' * 20}" for at in range(6_000)]
    found = sf.read_soql("SELECT Id, LastName FROM Contact WHERE LastName IN :n", params={"n": names}, org=org)
    assert (found.height, found["Id"].n_unique()) == (2_500, 2_500)
    with pytest.raises(
        sf.UsageError, match=r"the list of 6,000 values is too long for one query, and several cannot sort"
    ):
        rows("SELECT Id FROM Contact WHERE LastName IN :n ORDER BY Id", org, params={"n": names})


def test_an_empty_list_finds_nothing_or_everything(org):
    assert rows("SELECT COUNT() FROM Account WHERE Name IN :x", org, params={"x": []}) == [(0,)]
    assert rows("SELECT COUNT() FROM Account WHERE Name NOT IN :x", org, params={"x": []}) == [(3,)]
    assert sf.read_soql("SELECT Id FROM Account WHERE Name IN :x", org=org, params={"x": ()}).schema == {
        "Id": pl.String
    }


# -- long queries -----------------------------------------------------------------------------------------------------


def test_more_fields_than_one_statement_holds_are_read_in_parts_and_joined_by_id(local_org):
    names = [f"A_field_with_a_rather_long_name_{at:03d}__c" for at in range(420)]
    local_org.deploy(
        [{"name": "Wide__c", "fields": [{"name": name, "type": "string", "length": 20} for name in names]}]
    )
    with sf.connect(local_org) as org:
        frame = pl.DataFrame({"Name": ["a", "b", "c"], names[0]: ["a0", "b0", None], names[-1]: [None, "b9", "c9"]})
        sf.write_sobject(frame, "Wide__c", operation="insert", org=org)
        before = org.calls
        by_parts = sf.read_soql("SELECT * FROM Wide__c ORDER BY Name DESC", org=org, options=REST)
        assert org.calls - before == 2
        assert by_parts.columns[-420:] == names
        assert by_parts.select("Name", names[0], names[-1]).rows() == [
            ("c", None, "c9"),
            ("b", "b0", "b9"),
            ("a", "a0", None),
        ]
        assert_frame_equal(by_parts, sf.read_soql("SELECT * FROM Wide__c ORDER BY Name DESC", org=org))


# -- deleted records --------------------------------------------------------------------------------------------------


def test_deleted_records_are_found_where_they_are_asked_for(local_org):
    with sf.connect(local_org) as org:
        saved = sf.write_sobject(pl.DataFrame({"Name": ["a", "b"]}), "Account", operation="insert", org=org).frame
        sf.write_sobject([{"Id": saved["sf__Id"][0]}], "Account", operation="delete", org=org)
        query = "SELECT Name, IsDeleted FROM Account ORDER BY Name"
        for options in (REST, BULK):
            assert rows(query, org, options=options) == [("b", False)]
            assert rows(query, org, options=options, include_deleted=True) == [("a", True), ("b", False)]
        assert rows(f"{query} ALL ROWS", org) == [("a", True), ("b", False)]


# -- what is wrong ----------------------------------------------------------------------------------------------------


def refused(query, org, kind=sf.UsageError, **options):
    before = org.calls
    with pytest.raises(kind) as raised:
        sf.read_soql(query, org=org, **options)
    return str(raised.value), org.calls - before


def test_malformed_queries_point_at_the_place_before_anything_is_sent(org):
    assert refused("SELECT Id, FROM Account", org, sf.SoqlSyntaxError) == (
        (
            "SOQL row 1, column 12: The query cannot be parsed: unexpected token: 'FROM'\n"
            "SELECT Id, FROM Account\n"
            "           ^"
        ),
        0,
    )
    with pytest.raises(sf.SoqlSyntaxError) as raised:
        sf.read_soql("SELECT Id FROM Account WHERE Name = 'x", org=org)
    copy = pickle.loads(pickle.dumps(raised.value))  # noqa: S301  # our own
    assert (str(copy), copy.row, copy.column) == (str(raised.value), 1, 37)


def test_unknown_fields_are_answered_with_near_ones(org):
    message, _ = refused("SELECT Id, Nmae FROM Account", org)
    assert message == "Nmae: Account has no field 'Nmae' that this user can see\nNear: Name."
    message, _ = refused("SELECT Id FROM Account WHERE Nmae = 'x'", org, sf.QueryError)
    assert message.endswith("\nNear: Name.")
    assert "                             ^\nERROR at Row:1:Column:30" in message


def test_a_field_that_is_made_later_is_found_without_a_new_connection(local_org):
    with sf.connect(local_org) as org:
        assert refused("SELECT Later__c FROM Account", org)[0].startswith("Later__c: Account has no field 'Later__c'")
        local_org.deploy([{"name": "Account", "fields": [{"name": "Later__c", "type": "double", "precision": 18}]}])
        assert sf.read_soql("SELECT Later__c FROM Account", org=org).schema == {"Later__c": pl.Float64}


def test_unknown_objects_and_children_are_told(org):
    message, _ = refused("SELECT Id FROM Acount", org, sf.NotFound)
    assert message.endswith("Did you mean Account or Contact?")
    message, _ = refused("SELECT Id, (SELECT Id FROM Kontacts) FROM Account", org)
    assert message == (
        "FROM Kontacts: Account has no children called 'Kontacts'\n"
        "describe('Account').child_relationships lists their names."
    )


def test_an_object_without_access_is_told_as_such(local_org):
    local_org.deploy(
        [{"name": "Secret__c", "queryable": False, "fields": [{"name": "A__c", "type": "string", "length": 5}]}]
    )
    with sf.connect(local_org) as org:
        message, _ = refused("SELECT A__c FROM Secret__c", org)
        assert message == (
            "FROM Secret__c: Secret__c cannot be queried\n"
            "Ask for another object, or for access: this user may not read it."
        )


def test_queries_over_limits_are_refused_with_the_orgs_words(org):
    message, _ = refused("SELECT Id FROM Account OFFSET 2001", org, sf.ApiError)
    assert "Maximum SOQL offset allowed is 2000" in message
    many = ", ".join(["(SELECT Id FROM Contacts)"] * 2)
    assert (
        refused(f"SELECT {many} FROM Account", org)[0] == "SELECT: Contacts is selected twice\nLeave one of them out."
    )
    long = "SELECT Id FROM Account WHERE Name = '" + "x" * 100_000 + "'"
    assert "can not be longer than 100000 characters" in refused(long, org, sf.SoqlSyntaxError)[0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"parents": "lists"}, 'parents cannot be \'lists\'\nUse "columns" or "structs".'),
        ({"backend": "dask"}, "There is no backend 'dask'\nUse one of polars, pandas, pyarrow."),
    ],
)
def test_wrong_options_are_refused_before_anything_is_sent(org, options, message):
    assert refused("SELECT Id FROM Account", org, **options) == (message, 0)


@pytest.mark.parametrize("fresh", [True, False], ids=["asked for", "as the last answer said"])
def test_calls_that_are_reserved_for_others_are_not_used(local, fresh):
    with sf.connect(local, fresh=True) as connection:
        connection.describe("Account")
        if fresh:
            connection.api_usage = None  # as before the first answer that tells it
        few = sf.ReadOptions(reserve=10)
        assert sf.read_soql("SELECT COUNT() FROM Organization", org=connection, options=few).item() == 1
        most = sf.ReadOptions(reserve=connection.limits()["DailyApiRequests"].max)
        before = connection.calls
        for read in (
            lambda: sf.read_soql("SELECT Id FROM Account", org=connection, options=most),
            lambda: sf.scan_sobject("Account", org=connection, options=most).collect(),
        ):
            with pytest.raises(sf.LimitExceeded, match=r"^FROM Account: [0-9,]+ API calls are left of the org's day"):
                read()
        assert connection.calls == before
    with pytest.raises(sf.UsageError, match="reserve is -1\nGive a number of API calls, or 0"):
        sf.ReadOptions(reserve=-1)


def test_what_bulk_cannot_read_is_refused_by_name(org):
    with pytest.raises(sf.UsageError, match="A bulk query cannot have aggregates"):
        sf.read_soql("SELECT COUNT(Id) FROM Account", org=org, options=BULK)
    with pytest.raises(sf.UsageError, match="There is no api 'soap'"):
        sf.ReadOptions(api="soap")  # type: ignore[arg-type]  # what mypy would have said
