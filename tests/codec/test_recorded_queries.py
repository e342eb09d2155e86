"""Answers that real orgs gave to queries, typed by describes of real orgs. The expected values were read by hand."""

from __future__ import annotations

import datetime as dt
import json

import polars as pl
import pytest

from sfframe.codec.decode_json import read_rest
from sfframe.errors import NotFound
from sfframe.frames.shape import shape
from sfframe.protocol.describe import read_sobject
from sfframe.schema import ChildRelationship, Field, SObject
from sfframe.soql import parse


@pytest.fixture
def answered(reference):
    """Reads the recorded answer in that line of a file as the answer of a query."""
    describes = reference("describes/full")
    traffic = reference("recordings/traffic")

    def describe(name):
        file = describes / f"{name}.json"
        if not file.exists():
            raise NotFound(name)
        return read_sobject(json.loads(file.read_text("utf-8")))

    def read(query, file, *lines, sobject=None):
        recorded = (traffic / file).read_text("utf-8").splitlines()
        bodies = [json.loads(recorded[line])["response"]["body"] for line in lines]
        parsed = parse(query)
        columns = shape(parsed, sobject or describe(parsed.source.name), lambda name: sobject or describe(name))
        raw = [(body if isinstance(body, str) else json.dumps(body)).encode() for body in bodies]
        frame = read_rest(raw, columns)
        assert frame.schema == columns.schema
        return frame

    return read


def test_parents_and_contacts_without_one(answered):
    frame = answered("SELECT Contact.FirstName, Contact.Account.Name FROM Contact", "java-spring-social.jsonl", 3)
    assert frame.height == 22
    assert frame.columns == ["FirstName", "Account.Name"]
    assert frame.head(5).rows() == [
        ("Umut", None),
        ("Utkan", None),
        ("Rose", "Edge Communications"),
        ("Sean", "Edge Communications"),
        ("Jack", "Burlington Textiles Corp of America"),
    ]


def test_children_of_every_account(answered):
    frame = answered("SELECT Name, (SELECT LastName FROM Contacts) FROM Account", "java-spring-social.jsonl", 4)
    assert frame.explode("Contacts").unnest("Contacts").rows() == [
        ("GenePoint", "Frank"),
        ("United Oil & Gas, UK", "James"),
        ("United Oil & Gas, Singapore", "Ripley"),
        ("United Oil & Gas, Singapore", "D'Cruz"),
        ("Edge Communications", "Gonzalez"),
        ("Edge Communications", "Forbes"),
        ("Burlington Textiles Corp of America", "Rogers"),
        ("Pyramid Construction Inc.", "Stumuller"),
        ("Dickenson plc", "Young"),
        ("Grand Hotels & Resorts Ltd", "Barr"),
        ("Grand Hotels & Resorts Ltd", "Bond"),
        ("Express Logistics and Transport", "Levy"),
        ("Express Logistics and Transport", "Davis"),
        ("University of Arizona", "Grey"),
        ("United Oil & Gas Corp.", "Pavlova"),
        ("United Oil & Gas Corp.", "Boyle"),
        ("United Oil & Gas Corp.", "Green"),
        ("United Oil & Gas Corp.", "Song"),
        ("sForce", "Nedaerk"),
        ("sForce", "Llorrac"),
    ]


def test_children_whose_fields_carry_the_name_of_their_object(answered):
    query = (
        "SELECT Account.Name, (SELECT Contact.FirstName, Contact.LastName FROM Account.Contacts) FROM Account LIMIT 5"
    )
    frame = answered(query, "sf-fx-java.jsonl", 18)
    contact = pl.Struct({"FirstName": pl.String, "LastName": pl.String})
    assert frame.schema == {"Name": pl.String, "Contacts": pl.List(contact)}
    assert frame.row(2) == (
        "United Oil & Gas, Singapore",
        [{"FirstName": "Tom", "LastName": "Ripley"}, {"FirstName": "Liz", "LastName": "D'Cruz"}],
    )
    assert frame["Contacts"].list.len().to_list() == [1, 1, 2, 2, 1]


def test_no_children_are_an_empty_list(answered):
    frame = answered("select FirstName,(select Name from Opportunities) from Contact", "cumulusci.jsonl", 74)
    assert frame["Opportunities"].null_count() == 0
    assert frame.filter(pl.col("Opportunities").list.len() > 0).rows() == [
        ("George Oscar", [{"Name": "Illusional Opportunity"}]),
        ("Annyong", [{"Name": "Espionage Opportunity"}]),
    ]
    assert frame.row(0) == ("Lindsay", [])


def test_numbers_beside_children(answered):
    query = (
        "SELECT Id, Name, Amount, StageName, (SELECT Id, ContactId, Role FROM OpportunityContactRoles) FROM Opportunity"
    )
    frame = answered(query, "amp-labs.jsonl", 25)
    assert frame.rows() == [
        (
            "006ak00000OQ4RxAAL",
            "Test Opportunity",
            50_000.0,
            "Prospecting",
            [
                {"Id": "00kak00000OQ4RxAAL", "ContactId": "003ak000003dQCGAA2", "Role": "Decision Maker"},
                {"Id": "00kak00000OQ4RyAAL", "ContactId": "003ak000003dQCDAA2", "Role": "Influencer"},
            ],
        )
    ]


def test_addresses_and_leading_zeros(answered):
    frame = answered("SELECT Address, City, CleanStatus, FirstName FROM Lead", "amp-labs.jsonl", 23)
    assert frame["FirstName"].to_list()[:2] == ["P-655297", "P-f699ee"]
    assert frame["City"].to_list() == ["Tallahassee", *[None] * 7]
    assert frame["Address"].struct.unnest().row(0) == (
        *("P-81f0e5", "Tallahassee", "FL", None, "32306", "USA", None, None, None, None),
    )
    assert frame["Address"].struct.field("country").to_list()[1:4] == ["USA", "Taiwan", "USA"]


def test_types_of_an_old_org(answered):
    def named(name, field_type, **facts):
        return Field(name, name, field_type, **facts)

    parent = named("Parent__c", "reference", reference_to=("Whizbang",), relationship_name="ParentWhizbang__r")
    whizbang = SObject(
        "Whizbang",
        "Whizbang",
        None,
        (
            named("Name", "string"),
            named("Checkbox_Label", "boolean"),
            named("Text_Label", "string"),
            named("Date_Label", "date"),
            named("DateTime_Label", "datetime"),
            named("Picklist_Multiselect_Label", "multipicklist"),
            parent,
        ),
        child_relationships=(ChildRelationship("Whizbangs__r", "Whizbang", "Parent__c"),),
    )
    query = (
        "SELECT Checkbox_Label, Text_Label, Date_Label, DateTime_Label, Picklist_Multiselect_Label, "
        "ParentWhizbang__r.Name, ParentWhizbang__r.Text_Label, (SELECT Name FROM Whizbangs__r) FROM Whizbang"
    )
    frame = answered(query, "ruby-restforce-fixtures.jsonl", 6, sobject=whizbang)
    assert frame.rows() == [
        (
            False,
            "Hi there!",
            dt.date(2010, 1, 1),
            dt.datetime(2011, 7, 7, 0, 37, tzinfo=dt.UTC),
            "four;six",
            "Parent Whizbang",
            "Hello",
            [{"Name": "Child Whizbang"}],
        )
    ]


def test_groups_with_a_whole_number_among_the_sums(answered):
    frame = answered(
        "SELECT CampaignId, SUM(Amount) FROM Opportunity GROUP BY CampaignId", "ruby-restforce-fixtures.jsonl", 7
    )
    assert frame.columns == ["CampaignId", "expr0"]
    assert frame.rows() == [("701E0000000JuFHIA0", 300.0), ("701E00000005ZqAIAU", 100.0), (None, 400.0)]


def test_three_pages_of_one_query(answered):
    frame = answered("SELECT Id FROM Lead", "salesforcepy.jsonl", 38, 39, 41)
    assert frame.height == 4_021
    assert frame["Id"].n_unique() == 4_021
    assert [frame["Id"][at] for at in (0, 2_000, 4_000)] == [
        "00Q0Y00000205D2UAI",
        "00Q0Y000008wfP3UAI",
        "00Q0Y000008wfvOUAQ",
    ]
