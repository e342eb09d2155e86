"""One save has one moment, however long it takes: the clock of this org moves whenever somebody looks at it."""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Iterator

import polars as pl
import pytest

from sfframe.localorg.catalogue.catalogue import Catalogue
from sfframe.localorg.catalogue.model import ObjectDef
from sfframe.localorg.services import undeleting
from sfframe.localorg.services.services import Services
from sfframe.localorg.store.settings import Settings
from sfframe.localorg.store.store import Store

NOON = dt.datetime(2026, 3, 4, 12)
NAME = {"name": "Name", "type": "string", "createable": True, "updateable": True}


def parent(name: str, relationship: str) -> dict[str, object]:
    made = {"name": f"{name}__c", "type": "reference", "referenceTo": [f"{name}__c"], "cascadeDelete": True}
    return made | {"relationshipName": f"{name}__r", "createable": True, "childRelationshipName": relationship}


OBJECTS: list[dict[str, object]] = [
    {
        "name": "Crate__c",
        "fields": [
            NAME,
            {"name": "Key__c", "type": "string", "length": 10, "externalId": True, "createable": True}
            | {"updateable": True},
        ],
    },
    {"name": "Bottle__c", "fields": [NAME, parent("Crate", "Bottles__r")]},
    {"name": "Label__c", "fields": [NAME, parent("Bottle", "Labels__r")]},
]


class HastyStore(Store):
    """Every look at the clock is a second later than the last one."""

    _looks = itertools.count()

    def now(self) -> dt.datetime:
        return NOON + dt.timedelta(seconds=next(self._looks))


class Org:
    def __init__(self) -> None:
        self.store = HastyStore(None, Catalogue.standard(), Settings())
        self.store.deploy(OBJECTS)
        self.services = Services(self.store, Settings())

    def close(self) -> None:
        self.services.close()
        self.store.close()

    def described(self, name: str) -> ObjectDef:
        found = self.store.catalogue.find(name)
        assert found is not None
        return found

    def insert(self, name: str, **cells: list[str]) -> list[str]:
        return self.services.insert(self.described(name), pl.DataFrame(cells))

    def load(self, name: str, operation: str, csv: str, **more: str) -> None:
        ingest = self.services.ingest
        asked = {"object": name, "operation": operation} | more
        job = ingest.wait(ingest.create_with_content("v60.0", asked, csv.encode())["id"])
        assert (job.state, job.failed) == ("JobComplete", 0)

    def column(self, sql: str) -> list[object]:
        with self.store.cursor() as cursor:
            return [value for (value,) in cursor.execute(sql).fetchall()]

    def stamps(self, *names: str, what: str = "SystemModstamp") -> set[object]:
        return {stamp for name in names for stamp in self.column(f'SELECT "{what}" FROM data."{name}"')}

    def present(self, *names: str) -> list[int]:
        return [len(self.column(f'SELECT 1 FROM data."{name}" WHERE NOT "IsDeleted"')) for name in names]


@pytest.fixture
def org() -> Iterator[Org]:
    made = Org()
    yield made
    made.close()


ALL = ("Crate__c", "Bottle__c", "Label__c")


def crates(org: Org) -> list[str]:
    """Two crates with a bottle each, and those with a label each."""
    made = org.insert("Crate__c", Name=["a", "b"])
    bottles = org.insert("Bottle__c", Name=["x", "y"], Crate__c=made)
    org.insert("Label__c", Name=["1", "2"], Bottle__c=bottles)
    return made


def test_what_goes_along_with_a_deleted_row_goes_and_comes_back_at_its_moment(org: Org) -> None:
    made = crates(org)
    org.load("Crate__c", "delete", "Id\n" + "\n".join(made) + "\n")
    assert org.present(*ALL) == [0, 0, 0]
    deleted = org.stamps(*ALL)
    assert len(deleted) == 1
    assert undeleting.undelete(org.store, org.described("Crate__c"), made) == {}
    assert org.present(*ALL) == [2, 2, 2]
    undeleted = org.stamps(*ALL)
    assert (len(undeleted), undeleted & deleted) == (1, set())


def test_what_was_deleted_before_its_parent_stays_in_the_bin(org: Org) -> None:
    made = crates(org)
    [first, _second] = org.column('SELECT "Id" FROM data."Label__c" ORDER BY "Name"')
    org.load("Label__c", "delete", f"Id\n{first}\n")
    org.load("Crate__c", "delete", "Id\n" + "\n".join(made) + "\n")
    assert undeleting.undelete(org.store, org.described("Crate__c"), made) == {}
    assert org.present(*ALL) == [2, 2, 1]


def test_the_log_of_what_is_gone_for_good_tells_one_moment(org: Org) -> None:
    org.load("Crate__c", "hardDelete", "Id\n" + "\n".join(crates(org)) + "\n")
    assert org.column("SELECT count(*) FROM org.delete_log") == [6]
    assert org.column("SELECT count(DISTINCT moment) FROM org.delete_log") == [1]


def test_an_upsert_creates_and_changes_rows_at_one_moment(org: Org) -> None:
    org.insert("Crate__c", Name=["a"], Key__c=["A"])
    org.load("Crate__c", "upsert", "Key__c,Name\nA,b\nB,c\n", externalIdFieldName="Key__c")
    assert len(org.stamps("Crate__c")) == len(org.stamps("Crate__c", what="LastModifiedDate")) == 1
    [created] = org.column('SELECT "CreatedDate" FROM data."Crate__c" WHERE "Key__c" = \'B\'')
    assert {created} == org.stamps("Crate__c")
