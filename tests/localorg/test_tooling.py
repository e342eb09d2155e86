"""Definitions as rows: the Tooling API and SOQL over the catalogue."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from sfframe.localorg import LocalOrg
from sfframe.localorg.catalogue.model import FieldDef
from sfframe.localorg.services.definitions import data_type

DATA = "/services/data/v60.0"


@pytest.fixture(scope="module")
def org() -> Iterator[LocalOrg]:
    with LocalOrg(seed=8) as org:
        yield org


@pytest.fixture
def client(org: LocalOrg) -> Iterator[httpx.Client]:
    headers = {"Authorization": f"Bearer {org.credentials.access_token}"}
    with httpx.Client(base_url=org.url + DATA, headers=headers, timeout=60) as client:
        yield client


def records(client: httpx.Client, soql: str, path: str = "/tooling/query") -> list[Any]:
    answer = client.get(path, params={"q": soql})
    assert answer.status_code == 200, answer.text
    return [{k: v for k, v in one.items() if k != "attributes"} for one in answer.json()["records"]]


def test_a_tooling_query_answers_in_its_own_envelope(client: httpx.Client) -> None:
    soql = "SELECT QualifiedApiName, KeyPrefix, IsQueryable FROM EntityDefinition WHERE QualifiedApiName = 'case'"
    assert client.get("/tooling/query/", params={"q": soql}).json() == {
        "size": 1,
        "totalSize": 1,
        "done": True,
        "queryLocator": None,
        "entityTypeName": "EntityDefinition",
        "records": [
            {
                "attributes": {
                    "type": "EntityDefinition",
                    "url": f"{DATA}/tooling/sobjects/EntityDefinition/Case",
                },
                "QualifiedApiName": "Case",
                "KeyPrefix": "500",
                "IsQueryable": True,
            }
        ],
    }


def test_without_rows_the_envelope_names_no_object(client: httpx.Client) -> None:
    # Recorded: CumulusCI's ApexTestQueueItem.
    assert client.get("/tooling/query", params={"q": "SELECT Id FROM ApexClass"}).json() == {
        "size": 0,
        "totalSize": 0,
        "done": True,
        "queryLocator": None,
        "entityTypeName": None,
        "records": [],
    }


def test_pages_of_a_tooling_query_lie_below_tooling(client: httpx.Client) -> None:
    soql = "SELECT Name FROM EntityParticle WHERE EntityDefinitionId != null"
    first = client.get("/tooling/query", params={"q": soql}, headers={"Sforce-Query-Options": "batchSize=200"}).json()
    assert first["nextRecordsUrl"] == f"{DATA}/tooling/query/{first['queryLocator']}"
    second = client.get(first["nextRecordsUrl"].removeprefix(DATA)).json()
    assert (first["size"], second["size"], second["totalSize"]) == (200, 200, first["totalSize"])


def test_the_columns_of_a_tooling_query_are_told(client: httpx.Client) -> None:
    asked = {"q": "SELECT QualifiedApiName FROM EntityDefinition", "columns": "true"}
    told = client.get("/tooling/query", params=asked).json()
    assert (told["entityName"], [one["columnName"] for one in told["columnMetadata"]]) == (
        "EntityDefinition",
        ["QualifiedApiName"],
    )


def test_fields_are_rows_with_their_object_as_parent(client: httpx.Client) -> None:
    soql = (
        "SELECT QualifiedApiName, DataType, ReferenceTo, EntityDefinition.KeyPrefix FROM FieldDefinition "
        "WHERE EntityDefinition.QualifiedApiName = 'Contact' AND QualifiedApiName IN ('AccountId', 'Email')"
    )
    parent = {
        "attributes": {"type": "EntityDefinition", "url": f"{DATA}/tooling/sobjects/EntityDefinition/Contact"},
        "KeyPrefix": "003",
    }
    assert records(client, soql) == [
        {
            "QualifiedApiName": "AccountId",
            "DataType": "Lookup(Account)",
            "ReferenceTo": {"referenceTo": ["Account"]},
            "EntityDefinition": parent,
        },
        {
            "QualifiedApiName": "Email",
            "DataType": "Email",
            "ReferenceTo": {"referenceTo": None},
            "EntityDefinition": parent,
        },
    ]


def test_parts_of_a_compound_are_particles_of_its_definition(client: httpx.Client) -> None:
    by_object = "WHERE EntityDefinitionId = 'Account' AND QualifiedApiName LIKE 'Billing%'"
    assert records(client, f"SELECT QualifiedApiName FROM FieldDefinition {by_object}") == [
        {"QualifiedApiName": "BillingAddress"}
    ]
    soql = "SELECT Name, IsComponent, FieldDefinitionId FROM EntityParticle " + by_object
    # Also on the data API (rest.md 9).
    found = {one["Name"]: one for one in records(client, soql, "/query")}
    assert found["BillingCity"] == {
        "Name": "BillingCity",
        "IsComponent": True,
        "FieldDefinitionId": "Account.BillingAddress",
    }
    assert found["BillingAddress"]["IsComponent"] is False
    assert len(found) == 9


def test_definitions_follow_deploys_and_survive_a_reset() -> None:
    soql = (
        "SELECT QualifiedApiName, NamespacePrefix, DeveloperName, DataType FROM FieldDefinition "
        "WHERE EntityDefinitionId = 'My_Thing__c' AND QualifiedApiName LIKE '%__c'"
    )
    described: dict[str, Any] = {"name": "My_Thing__c", "fields": [{"name": "ns__A_b__c", "type": "string"}]}
    with LocalOrg() as org:
        session = {"Authorization": f"Bearer {org.credentials.access_token}"}
        with httpx.Client(base_url=org.url + DATA, headers=session, timeout=60) as client:
            assert records(client, soql) == []
            org.deploy(described)
            before = records(client, soql)
            org.reset()
            assert before == records(client, soql)
    assert before == [
        {
            "QualifiedApiName": "ns__A_b__c",
            "NamespacePrefix": "ns",
            "DeveloperName": "A_b",
            "DataType": "Text(255)",
        }
    ]


def test_definitions_count_as_no_records(client: httpx.Client) -> None:
    records(client, "SELECT Id FROM EntityDefinition")
    counted = client.get("/limits/recordCount").json()["sObjects"]
    assert not [one for one in counted if "Definition" in one["name"] or "Particle" in one["name"]]


@pytest.mark.parametrize(
    ("soql", "code"),
    [
        ("SELECT Id FROM Account", "INVALID_TYPE"),
        ("SELECT Id FROM Nothing", "INVALID_TYPE"),
        ("SELECT Id FROM FieldDefinition", "MALFORMED_QUERY"),
        ("SELECT Id FROM EntityParticle WHERE NOT (Length > 3)", "MALFORMED_QUERY"),
        ("SELECT Nothing FROM EntityDefinition", "INVALID_FIELD"),
        ("SELEC", "MALFORMED_QUERY"),
        ("", "MALFORMED_QUERY"),
    ],
)
def test_what_the_tooling_api_refuses(client: httpx.Client, soql: str, code: str) -> None:
    answer = client.get("/tooling/query", params={"q": soql})
    assert (answer.status_code, answer.json()[0]["errorCode"]) == (400, code)


def test_tooling_lists_and_describes_its_own_objects_only(client: httpx.Client) -> None:
    listed = {one["name"]: one for one in client.get("/tooling/sobjects").json()["sobjects"]}
    assert {"ApexClass", "EntityDefinition"} <= listed.keys()
    assert "Account" not in listed
    assert listed["ApexClass"]["urls"]["describe"] == f"{DATA}/tooling/sobjects/ApexClass/describe"
    assert client.get("/tooling/sobjects/ApexClass/describe").json()["name"] == "ApexClass"
    assert client.get("/tooling/sobjects/Account/describe").status_code == 404
    assert client.get("/tooling").json()["query"] == f"{DATA}/tooling/query"


@pytest.mark.parametrize(
    ("field", "shown"),
    [
        (
            FieldDef("A__c", "A", "string", length=20, external_id=True, unique=True),
            "Text(20) (External ID) (Unique Case Insensitive)",
        ),
        (FieldDef("A__c", "A", "double", precision=18, scale=2), "Number(16, 2)"),
        (FieldDef("A__c", "A", "currency", precision=18, scale=0), "Currency(18, 0)"),
        (FieldDef("A__c", "A", "textarea", length=32000), "Long Text Area(32000)"),
        (FieldDef("A__c", "A", "textarea", length=32000, html_formatted=True), "Rich Text Area(32000)"),
        (FieldDef("A__c", "A", "reference", reference_to=("B__c",), cascade_delete=True), "Master-Detail(B__c)"),
        (FieldDef("A__c", "A", "double", precision=18, scale=2, calculated=True), "Formula (Number)"),
        (FieldDef("CaseNumber", "A", "string", auto_number=True), "Auto Number"),
    ],
)
def test_types_are_worded_as_in_setup(field: FieldDef, shown: str) -> None:
    assert data_type(field) == shown
