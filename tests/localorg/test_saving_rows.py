"""Which rows are meant, created, changed, refused and deleted."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sfframe.localorg.store.record_ids import BLOCK
from tests.localorg.ingest_org import IngestOrg

GONE = "ENTITY_IS_DELETED:entity is deleted:--"
UNKNOWN = "INVALID_CROSS_REFERENCE_KEY:invalid cross reference id:--"


@pytest.fixture
def org() -> Iterator[IngestOrg]:
    with IngestOrg() as org:
        yield org


def test_an_update_changes_what_is_given_leaves_what_is_empty_and_clears_what_says_so(org: IngestOrg) -> None:
    org.load("insert", "Name,Text__c,Amount__c,Flag__c\na,one,1,true\nb,two,2,true\n")
    first, second = org.id(1), org.id(2)
    job = org.load("update", f"id,TEXT__C,Amount__c,Flag__c\n{first[:15]},,#N/A,\n{second},three,,#N/A\n")
    assert org.rows('"Name", "Text__c", "Amount__c", "Flag__c"') == [
        ("a", "one", None, True),
        ("b", "three", 2.0, False),
    ]
    assert org.successes(job) == [
        '"sf__Id","sf__Created",id,TEXT__C,Amount__c,Flag__c',
        f'"{first}","false","{first[:15]}","","",""',
        f'"{second}","false","{second}","three","",""',
    ]


def test_an_update_moves_the_stamps_of_the_changed_rows_only(org: IngestOrg) -> None:
    org.load("insert", "Name\na\nb\n")
    with org.store.writing, org.store.cursor() as cursor:
        cursor.execute('UPDATE data."Widget__c" SET "LastModifiedDate" = TIMESTAMP \'2001-01-01\'')
    org.load("update", f"Id,Text__c\n{org.id(1)},x\n")
    [(changed,), (untouched,)] = org.rows("\"LastModifiedDate\" > TIMESTAMP '2001-01-01'")
    assert (changed, untouched) == (True, False)


def test_each_way_to_name_no_row_has_its_own_error(org: IngestOrg) -> None:
    org.load("insert", "Name\na\nb\nc\n")
    org.load("insert", "Name\nFirm\n", "Account")
    org.load("delete", f"Id\n{org.id(3)}\n")
    account = org.id(1, "Account")
    job = org.load(
        "update",
        f"Id,Text__c\n,1\nabc,2\n{account},3\n{org.id(99)},4\n{org.id(3)},5\n{org.id(1)},6\n{org.id(1)},7\n#N/A,8\n",
    )
    assert org.errors(job) == [
        "MISSING_ARGUMENT:Id not specified in an update call:--",
        "MALFORMED_ID:malformed id abc:--",
        f"MALFORMED_ID:Record ID: id value of incorrect type: {account}:Id --",
        UNKNOWN,
        GONE,
        f"DUPLICATE_VALUE:Duplicate id specified: {org.id(1)}:Id --",
        "MALFORMED_ID:malformed id #N/A:--",
    ]
    header, *rows = org.file(job, "failedResults").splitlines()
    assert header == '"sf__Id","sf__Error",Id,Text__c'
    ids = {row.rsplit(",", 1)[1]: row.split(",", 1)[0] for row in rows}
    assert ids == {
        '"1"': '""',
        '"2"': '""',
        '"3"': f'"{account}"',
        '"4"': f'"{org.id(99)}"',
        '"5"': f'"{org.id(3)}"',
        '"7"': f'"{org.id(1)}"',
        '"8"': '""',
    }
    assert org.rows('"Text__c"') == [("6",), (None,), (None,)]


def test_an_update_without_an_id_column_fails_every_row(org: IngestOrg) -> None:
    job = org.load("update", "Name\na\n")
    assert org.errors(job) == ["MISSING_ARGUMENT:Id not specified in an update call:--"]


def test_clearing_a_required_field_is_refused(org: IngestOrg) -> None:
    org.load("insert", "LastName\nDoe\n", "Contact")
    job = org.load("update", f"Id,LastName\n{org.id(1, 'Contact')},#N/A\n", "Contact")
    assert org.errors(job) == ["REQUIRED_FIELD_MISSING:Required fields are missing: [LastName]:LastName --"]


def test_an_insert_takes_no_id(org: IngestOrg) -> None:
    job = org.load("insert", f"Id,Name\n{org.id(1)},a\n,b\n")
    assert org.errors(job) == ["INVALID_FIELD_FOR_INSERT_UPDATE:cannot specify Id in an insert call:Id --"]
    assert org.rows('"Name"') == [("b",)]


def test_an_upsert_creates_changes_and_refuses_by_external_id_without_case(org: IngestOrg) -> None:
    org.load("insert", "Name,Ext__c\na,K1\nb,K2\nc,k2\n")
    job = org.load(
        "upsert", "ext__c,Name\nk1,changed\nK2,two\nnew,created\nNEW,again\n,blank\n", externalIdFieldName="Ext__c"
    )
    several = f"[{org.id(2)}, {org.id(3)}]"
    assert org.errors(job) == [
        f"DUPLICATE_EXTERNAL_ID:Ext__c: more than one record found for external id field: {several}:Ext__c --",
        "DUPLICATE_VALUE:Duplicate external id specified: NEW:Ext__c --",
        "MISSING_ARGUMENT:External ID was blank for Widget__c. An External ID must be specified for upsert.:--",
    ]
    created = org.id(6)
    assert org.successes(job) == [
        '"sf__Id","sf__Created",ext__c,Name',
        f'"{org.id(1)}","false","k1","changed"',
        f'"{created}","true","new","created"',
    ]
    assert org.rows('"Id", "Name", "Ext__c"') == [
        (org.id(1), "changed", "k1"),
        (org.id(2), "b", "K2"),
        (org.id(3), "c", "k2"),
        (created, "created", "new"),
    ]


def test_an_upsert_by_a_number_compares_numbers(org: IngestOrg) -> None:
    org.load("insert", "Name,Serial__c\na,5\n")
    job = org.load("upsert", "Serial__c,Name\n5.0,five\n6,six\n", externalIdFieldName="Serial__c")
    assert org.successes(job) == [
        '"sf__Id","sf__Created",Serial__c,Name',
        f'"{org.id(1)}","false","5.0","five"',
        f'"{org.id(3)}","true","6.0","six"',
    ]


def test_an_upsert_by_id_creates_the_rows_without_one(org: IngestOrg) -> None:
    org.load("insert", "Name\na\n")
    job = org.load(
        "upsert", f"Id,Name\n{org.id(1)},changed\n,new\nnonsense,x\n{org.id(77)},y\n", externalIdFieldName="Id"
    )
    assert org.errors(job) == ["MALFORMED_ID:Id in upsert is not valid:Id --", UNKNOWN]
    assert org.rows('"Name"') == [("changed",), ("new",)]


def test_an_upsert_by_id_without_an_id_column_creates_all_rows(org: IngestOrg) -> None:
    job = org.load("upsert", "Name\na\nb\n", externalIdFieldName="Id")
    assert org.info(job)["numberRecordsFailed"] == 0
    assert org.rows('"Name"') == [("a",), ("b",)]


def test_a_unique_field_is_held_against_the_org_and_against_the_batch(org: IngestOrg) -> None:
    org.load("insert", "Name,Code__c\na,One\n")
    job = org.load("insert", "Name,Code__c\nb,ONE\nc,two\nd,Two\ne,\nf,\n")
    said = "DUPLICATE_VALUE:duplicate value found: Code__c duplicates value on record with id"
    assert org.errors(job) == [f"{said}: {org.id(1)[:15]}:--", f"{said}: <unknown>:--"]
    assert org.rows('"Name", "Code__c"') == [("a", "One"), ("c", "two"), ("e", None), ("f", None)]


def test_a_row_may_keep_its_own_unique_value_and_a_deleted_one_frees_it(org: IngestOrg) -> None:
    org.load("insert", "Name,Code__c\na,One\nb,Two\n")
    org.load("delete", f"Id\n{org.id(2)}\n")
    job = org.load("update", f"Id,Code__c,Text__c\n{org.id(1)},one,x\n")
    other = org.load("insert", "Name,Code__c\nc,two\n")
    assert [org.errors(job), org.errors(other)] == [[], []]


def test_of_equal_unique_values_the_first_good_row_is_saved(org: IngestOrg) -> None:
    job = org.load("insert", "Name,Code__c,Amount__c\na,One,x\nb,one,1\n")
    assert len(org.errors(job)) == 1
    assert org.rows('"Name"') == [("b",)]


def test_a_delete_goes_to_the_recycle_bin_and_says_no_second_time(org: IngestOrg) -> None:
    org.load("insert", "Name\na\nb\n")
    job = org.load("delete", f"Id\n{org.id(1)}\n{org.id(1)[:15]}\n{org.id(9)}\n\nx\n")
    assert org.errors(job) == [GONE, UNKNOWN, "MALFORMED_ID:malformed id x:--"]
    assert org.successes(job) == ['"sf__Id","sf__Created",Id', f'"{org.id(1)}","false","{org.id(1)}"']
    assert org.rows('"Name", "IsDeleted"') == [("a", True), ("b", False)]


def test_a_hard_delete_leaves_nothing(org: IngestOrg) -> None:
    org.load("insert", "Name\na\nb\n")
    org.load("hardDelete", f"Id\n{org.id(1)}\n")
    assert org.rows('"Name"') == [("b",)]


def test_children_go_with_their_parent(org: IngestOrg) -> None:
    org.load("insert", "Name\nFirm\nOther\n", "Account")
    first, second = org.id(1, "Account"), org.id(2, "Account")
    org.load("insert", f"LastName,AccountId\nDoe,{first}\nRoe,{second}\nPoe,\n", "Contact")
    org.load("delete", f"Id\n{first}\n", "Account")
    assert org.rows('"LastName", "IsDeleted"', "Contact") == [("Doe", True), ("Roe", False), ("Poe", False)]


def test_two_thousand_rows_in_many_small_batches_get_ids_in_upload_order() -> None:
    with IngestOrg(batch_rows=100, batches_at_once=3) as org:
        org.load("insert", "Name\n" + "".join(f"row {number:04}\n" for number in range(2_000)))
        assert org.rows('"Id", "Name"') == [(org.id(number + 1), f"row {number:04}") for number in range(2_000)]


def test_many_rows_get_ids_in_upload_order_where_a_block_of_numbers_ends() -> None:
    upload = "Name\n" + "".join(f"row {number}\n" for number in range(2_500))
    with IngestOrg() as org:
        with org.store.transaction() as cursor:
            org.store.next_counter(cursor, org.id(1)[:3], BLOCK - 1_001)
        org.load("insert", upload)
        rows = org.rows('"Id", "Name"')
        assert rows == [(org.id(BLOCK - 1_000 + at), f"row {at}") for at in range(2_500)]


def test_a_child_can_protect_its_parent(org: IngestOrg) -> None:
    firm = {"name": "Firm__c", "type": "reference", "referenceTo": ["Account"], "restrictedDelete": True}
    org.store.deploy([{"name": "Guard__c", "label": "Guard", "labelPlural": "Guards", "fields": [firm]}])
    org.load("insert", "Name\nFirm\nOther\n", "Account")
    first, second = org.id(1, "Account"), org.id(2, "Account")
    org.load("insert", f"Name,Firm__c\ng,{first}\n", "Guard__c")
    job = org.load("delete", f"Id\n{first}\n{second}\n", "Account")
    words = "Your attempt to delete Account could not be completed because it is associated with the following Guards"
    assert org.errors(job) == [f"DELETE_FAILED:{words}:--"]
    assert org.rows('"IsDeleted"', "Account") == [(False,), (True,)]


def test_an_object_that_takes_no_rows_refuses_each(org: IngestOrg) -> None:
    job = org.load("insert", "Name\nx\n", "Profile")
    assert org.errors(job) == ["CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY:entity type cannot be inserted: Profile:--"]


def test_two_jobs_that_run_at_the_same_time_do_not_disturb_each_other() -> None:
    with IngestOrg(batch_rows=10, batches_at_once=1) as org:
        uploads = ["Name,Code__c\n" + "".join(f"{name}{at},{name}{at}\n" for at in range(100)) for name in "ab"]
        jobs = [org.start("insert", upload) for upload in uploads]
        assert [org.ingest.wait(job).failed for job in jobs] == [0, 0]
        expected = [(f"{name}{at}",) for name in "ab" for at in range(100)]
        assert sorted(org.rows('"Name"')) == sorted(expected)
