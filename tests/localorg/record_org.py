"""An org over HTTP for the tests of records and composites: custom fields of every kind, and short ways to call it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sfframe.localorg.catalogue.catalogue import Catalogue
from sfframe.localorg.server import make_app
from sfframe.localorg.services.services import Services
from sfframe.localorg.store.settings import Settings
from sfframe.localorg.store.store import Store
from tests.localorg.app_client import AppClient

BASE = "/services/data/v60.0"

DEPLOYED: list[dict[str, Any]] = [
    {"name": "Account", "fields": [{"name": "Ext__c", "type": "string", "length": 20, "externalId": True}]},
    {
        "name": "Movie__c",
        "label": "Movie",
        "labelPlural": "Movies",
        "fields": [
            {
                "name": "Rating__c",
                "label": "Rating",
                "type": "picklist",
                "restrictedPicklist": True,
                "picklistValues": [{"value": "Excellent", "label": "Excellent", "active": True}],
            },
            {"name": "ReleaseDate__c", "label": "Release Date", "type": "date"},
            {"name": "Shown__c", "label": "Shown", "type": "datetime"},
            {"name": "Takings__c", "label": "Takings", "type": "currency", "precision": 18, "scale": 2},
            {"name": "Seats__c", "label": "Seats", "type": "int", "digits": 9},
            {"name": "Sold__c", "label": "Sold", "type": "boolean"},
            {"name": "Poster__c", "label": "Poster", "type": "base64"},
            {"name": "Code__c", "label": "Code", "type": "string", "length": 20, "externalId": True, "unique": True},
            {"name": "Number__c", "label": "Number", "type": "double", "precision": 9, "scale": 0, "externalId": True},
            {"name": "Studio__c", "label": "Studio", "type": "reference", "referenceTo": ["Account"]},
            {"name": "Who__c", "label": "Who", "type": "reference", "referenceTo": ["Contact", "User"]},
        ],
    },
]


class RecordOrg(AppClient):
    """Calls an org in memory; paths begin behind the version."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.services = Services(store, Settings())
        super().__init__(make_app(self.services), self.services.sessions.open_session())

    def call(self, method: str, path: str, body: object = None, **options: Any) -> tuple[int, Any]:
        """Status and JSON of the answer, None where it has no body."""
        if body is not None:
            options["json"] = body
        answer = self.request(method, path if path.startswith("/services") else BASE + path, **options)
        return answer.status_code, json.loads(answer.content) if answer.content else None

    def made(self, sobject: str, **values: object) -> str:
        """The id of a new record."""
        status, answer = self.call("POST", f"/sobjects/{sobject}", values)
        assert status == 201, answer
        return str(answer["id"])

    def rows(self, sql: str) -> list[Any]:
        """The rows of a query over the tables."""
        with self.store.cursor() as cursor:
            return cursor.execute(sql).fetchall()


@pytest.fixture
def org() -> Iterator[RecordOrg]:
    """An empty org with the custom fields."""
    store = Store(None, Catalogue.standard(), Settings())
    store.deploy(DEPLOYED)
    found = RecordOrg(store)
    yield found
    found.services.close()
    store.close()


def recorded(reference: Callable[[str], Path], file: str, *words: str) -> list[dict[str, Any]]:
    """The recorded interactions of a file whose request line has all the words."""
    path = reference(f"recordings/traffic/{file}.jsonl")
    found = []
    for line in path.read_text(encoding="utf-8").splitlines():
        one = json.loads(line)
        asked = one["request"]
        if all(word in f"{asked['method']} {asked['path']} {one['response']['status']}" for word in words):
            found.append(one)
    assert found, f"{file} has no {words}"
    return found


def body_of(part: dict[str, Any]) -> Any:
    """The JSON of a recorded request or answer; null where there was no body."""
    body = part["body"]
    return json.loads(body) if isinstance(body, str) and body else body
