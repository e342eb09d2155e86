"""The store: tables that follow the definitions, counters, files."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

from sfframe.localorg.catalogue.catalogue import Catalogue
from sfframe.localorg.store.settings import Settings
from sfframe.localorg.store.store import OrgFileUnusable, Store

FLAG = {"name": "Flag__c", "type": "boolean"}
YES = {"name": "Yes__c", "type": "boolean", "defaultValue": True}


def opened(path: Path | None = None, **settings: Any) -> Store:
    return Store(path, Catalogue.standard(), Settings(**settings))


@pytest.fixture
def store() -> Iterator[Store]:
    store = opened()
    yield store
    store.close()


def rows(store: Store, query: str) -> list[Any]:
    with store.cursor() as cursor:
        return cursor.execute(query).fetchall()


def test_every_object_has_a_table_with_a_column_for_each_field_that_holds_a_value(store: Store) -> None:
    columns = rows(
        store,
        "SELECT column_name, data_type FROM duckdb_columns() WHERE schema_name = 'data' AND table_name = 'Opportunity'",
    )
    types = dict(columns)
    assert [types[name] for name in ("Id", "IsWon", "Amount", "FiscalYear", "CloseDate", "CreatedDate")] == [
        *("VARCHAR", "BOOLEAN", "DOUBLE", "BIGINT", "DATE", "TIMESTAMP"),
    ]
    account = [row[0] for row in rows(store, 'DESCRIBE data."Account"')]
    assert "BillingStreet" in account
    assert "BillingAddress" not in account


def test_a_new_org_has_its_organization_a_profile_and_its_user(store: Store) -> None:
    assert rows(store, 'SELECT "Id", "IsSandbox", "OrganizationType" FROM data."Organization"') == [
        (store.org_id, True, "Developer Edition")
    ]
    assert rows(store, 'SELECT "Id", "Name" FROM data."Profile"') == [(store.profile_id, "System Administrator")]
    assert rows(store, 'SELECT "Id", "Username", "ProfileId", "IsActive" FROM data."User"') == [
        (store.user_id, "integration@sfframe.example", store.profile_id, True)
    ]
    assert [one[:3] for one in (store.org_id, store.user_id, store.profile_id)] == ["00D", "005", "00e"]


def test_a_seed_decides_the_ids() -> None:
    stores = [opened(seed=seed) for seed in (7, 7, 8)]
    ids = [(store.org_id, store.user_id, store.profile_id, store.pod) for store in stores]
    for store in stores:
        store.close()
    assert ids[0] == ids[1]
    assert ids[0] != ids[2]


def test_orgs_without_a_seed_have_the_same_row_ids_but_organization_ids_of_their_own() -> None:
    stores = [opened() for _ in range(2)]
    ids = [(store.user_id, store.profile_id, store.pod) for store in stores]
    organizations = {store.org_id for store in stores}
    for store in stores:
        store.close()
    assert ids[0] == ids[1]
    assert len(organizations) == 2
    assert {one[:5] for one in organizations} == {f"00D{ids[0][2]}"}


def test_a_deploy_adds_columns_and_old_rows_get_the_default_of_new_checkboxes(store: Store) -> None:
    with store.cursor() as cursor:
        cursor.execute('INSERT INTO data."Account" ("Id") VALUES (\'001\')')
    fields = [FLAG, YES, {"name": "Size__c", "type": "double"}]
    assert [obj.name for obj in store.deploy([{"name": "Account", "fields": fields}])] == ["Account"]
    assert rows(store, 'SELECT "Id", "Flag__c", "Yes__c", "Size__c" FROM data."Account"') == [
        ("001", False, True, None)
    ]
    store.deploy([{"name": "Account", "fields": [FLAG | {"label": "Now with a label"}]}])
    assert rows(store, 'SELECT count("Flag__c") FROM data."Account"') == [(1,)]


def test_a_refused_deploy_leaves_tables_and_catalogue_as_they_were(store: Store) -> None:
    store.deploy([{"name": "Account", "fields": [FLAG]}])
    before = store.catalogue.objects
    with pytest.raises(ValueError, match=r"Account\.Flag__c: the stored values are of type BOOLEAN"):
        store.deploy([{"name": "New__c"}, {"name": "Account", "fields": [FLAG | {"type": "string"}]}])
    assert store.catalogue.objects == before
    assert rows(store, "SELECT count(*) FROM duckdb_tables() WHERE table_name = 'New__c'") == [(0,)]


def test_counters_hand_out_every_number_once_and_take_back_what_is_rolled_back(store: Store) -> None:
    with store.writing, store.cursor() as cursor:
        first = [store.next_counter(cursor, "001", 10), store.next_counter(cursor, "001", 1)]
        cursor.execute("BEGIN")
        lost = store.next_counter(cursor, "001", 5)
        cursor.execute("ROLLBACK")
        again, other = store.next_counter(cursor, "001", 5), store.next_counter(cursor, "003", 1)
    assert (first, lost, again, other) == ([1, 11], 12, 12, 1)
    assert store.new_id("750") == rows(store, "SELECT sf_id('750', 1)")[0][0]


def test_a_reset_keeps_definitions_and_the_rows_that_every_org_has(store: Store) -> None:
    store.deploy([{"name": "Thing__c"}])
    with store.cursor() as cursor:
        cursor.execute('INSERT INTO data."Thing__c" ("Id") VALUES (\'a00\')')
        store.next_counter(cursor, "a00", 5)
    store.reset()
    with store.cursor() as cursor:
        assert store.next_counter(cursor, "a00", 1) == 1
    counts = [rows(store, f'SELECT count(*) FROM data."{name}"')[0][0] for name in ("Thing__c", "User", "Organization")]
    assert counts == [0, 1, 1]


def test_a_file_keeps_rows_definitions_counters_and_ids(tmp_path: Path) -> None:
    path = tmp_path / "org.duckdb"
    first = opened(path, seed=3)
    first.deploy([{"name": "Zebra__c"}])
    first.deploy([{"name": "Ant__c", "fields": [FLAG]}])
    with first.cursor() as cursor:
        cursor.execute('INSERT INTO data."Ant__c" ("Id") VALUES (\'a01\')')
        first.next_counter(cursor, "a01", 7)
    known, changed, scratch = (first.org_id, first.user_id), first.metadata_changed(), first.scratch
    objects = first.catalogue.objects
    first.close()
    first.close()
    assert not scratch.exists()

    second = opened(path, seed=99)
    assert (second.org_id, second.user_id) == known
    assert second.catalogue.objects == objects
    assert second.metadata_changed() == changed
    assert rows(second, 'SELECT "Id", "Flag__c" FROM data."Ant__c"') == [("a01", False)]
    with second.cursor() as cursor:
        assert second.next_counter(cursor, "a01", 1) == 8
    second.close()


def test_a_file_that_is_open_here_is_refused_until_it_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "org.duckdb"
    first = opened(path)
    with pytest.raises(OrgFileUnusable, match="is open in this process already"):
        opened(path)
    first.close()
    opened(path).close()


def test_a_file_that_is_open_in_another_process_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "org.duckdb"
    program = "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print('open', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", program, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"open\n"
        with pytest.raises(OrgFileUnusable, match="in use by another process"):
            opened(path)
        other.communicate()


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "org.duckdb"
    path.write_bytes(b"this is no database" * 1000)
    with pytest.raises(OrgFileUnusable, match="damaged, or not the file of an org"):
        opened(path)
    assert path.read_bytes() == b"this is no database" * 1000


def test_a_database_that_is_no_org_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "other.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.execute("CREATE TABLE mine (x INT)")
    with pytest.raises(OrgFileUnusable, match="not the file of an org"):
        opened(path)
    with duckdb.connect(str(path)) as connection:
        assert connection.execute("SHOW ALL TABLES").fetchall()[0][2] == "mine"


def test_a_file_in_a_folder_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OrgFileUnusable, match="there is no folder"):
        opened(tmp_path / "nowhere" / "org.duckdb")
