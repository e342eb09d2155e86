"""A small org with a clock that stands still, and rows that show the rules of null and case."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sfframe.localorg.catalogue.catalogue import Catalogue
from sfframe.localorg.services.query import QueryService
from sfframe.localorg.store.clock import Clock
from sfframe.localorg.store.settings import Settings
from sfframe.localorg.store.store import Store, quoted

NOW = dt.datetime(2024, 5, 15, 10, 30)  # a Wednesday
VERSION = "v66.0"


class StoppedStore(Store):
    """A store whose clock stands at ``NOW``."""

    def __init__(self, path: Path | None, catalogue: Catalogue, settings: Settings | None = None) -> None:
        super().__init__(path, catalogue, settings, Clock(NOW))


WIDGET = {
    "name": "Widget__c",
    "label": "Widget",
    "labelPlural": "Widgets",
    "fields": [
        {"name": "Amount__c", "type": "double", "precision": 18, "scale": 2},
        {"name": "Count__c", "type": "int"},
        {"name": "Due__c", "type": "date"},
        {"name": "Seen__c", "type": "datetime"},
        {"name": "At__c", "type": "time"},
        {"name": "Done__c", "type": "boolean"},
        {"name": "Tags__c", "type": "multipicklist"},
        {"name": "Code__c", "type": "string", "length": 20, "unique": True, "caseSensitive": True, "externalId": True},
        {"name": "Account__c", "type": "reference", "referenceTo": ["Account"], "relationshipName": "Account__r"},
        {"name": "Who__c", "type": "reference", "referenceTo": ["Contact", "User"], "relationshipName": "Who__r"},
        {"name": "Notes__c", "type": "textarea", "length": 32000},
        {
            "name": "Size__c",
            "type": "picklist",
            "picklistValues": [
                {"value": one, "label": one.upper(), "active": True, "defaultValue": False}
                for one in ("small", "medium", "large")
            ],
        },
    ],
}


def record_id(prefix: str, number: int) -> str:
    return f"{prefix}qk000000{number:04d}AAA"


def insert(store: Store, name: str, rows: list[dict[str, Any]]) -> None:
    with store.cursor() as cursor:
        for row in rows:
            columns = ", ".join(quoted(one) for one in row)
            marks = ", ".join("?" for _ in row)
            cursor.execute(f"INSERT INTO data.{quoted(name)} ({columns}) VALUES ({marks})", list(row.values()))


@pytest.fixture
def store() -> Iterator[StoppedStore]:
    made = StoppedStore(None, Catalogue.standard())
    made.deploy([WIDGET])
    yield made
    made.close()


@pytest.fixture
def rows(store: StoppedStore) -> StoppedStore:
    """Four accounts, of which the last is deleted, and contacts of the first two; one contact has no account."""
    stamp: dict[str, Any] = {"CreatedDate": NOW, "OwnerId": store.user_id, "IsDeleted": False}
    accounts: list[dict[str, Any]] = [
        {"Id": record_id("001", 1), "Name": "Acme", "Rating": "Hot", "AnnualRevenue": 1e6, "NumberOfEmployees": 10},
        {"Id": record_id("001", 2), "Name": "acme", "Rating": None, "AnnualRevenue": None, "NumberOfEmployees": 20},
        {"Id": record_id("001", 3), "Name": "Zebra", "Rating": "Cold", "AnnualRevenue": 1.5e7, "BillingCity": "Ulm"},
        {"Id": record_id("001", 4), "Name": "Gone", "IsDeleted": True},
    ]
    insert(store, "Account", [stamp | one for one in accounts])
    contacts: list[dict[str, Any]] = [
        {"Id": record_id("003", 1), "LastName": "Ada", "AccountId": record_id("001", 1)},
        {"Id": record_id("003", 2), "LastName": "Bob", "AccountId": record_id("001", 1)},
        {"Id": record_id("003", 3), "LastName": "Cem", "AccountId": record_id("001", 2)},
        {"Id": record_id("003", 4), "LastName": "Dag", "AccountId": None},
    ]
    insert(store, "Contact", [stamp | one for one in contacts])
    return store


@pytest.fixture
def queries(store: StoppedStore) -> Iterator[QueryService]:
    service = QueryService(store, Settings())
    yield service
    service.close()


def records(service: QueryService, text: str) -> list[dict[str, Any]]:
    """The records of the first page without their attributes."""
    answer = json.loads(service.query(text, VERSION))
    return [{key: value for key, value in one.items() if key != "attributes"} for one in answer["records"]]


def column(service: QueryService, text: str) -> list[Any]:
    """The values of the only selected field."""
    return [next(iter(one.values())) for one in records(service, text)]
