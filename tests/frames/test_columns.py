"""The caller's columns become fields, or every one that cannot is named at once."""

from __future__ import annotations

import pytest

from sfframe.errors import ContractError, UsageError
from sfframe.frames.columns import match_columns
from tests.frames.sample import ACCOUNT, CONTACT, describe


def match(names, sobject=ACCOUNT, operation="insert", **options):
    return match_columns(names, sobject, operation=operation, describe=describe, **options)


def headers(*args, **options):
    return [(one.name, one.header) for one in match(*args, **options)]


def failures(*args, **options):
    with pytest.raises(ContractError) as raised:
        match(*args, **options)
    assert raised.value.failures is not None
    return raised.value.failures.select("column", "rule", "message").rows()


def test_names_match_without_case_and_the_fields_own_name_is_sent():
    assert headers(["NAME", "ext__C"]) == [("NAME", "Name"), ("ext__C", "Ext__c")]


def test_a_mapping_renames_and_leaves_out():
    columns = {"firm": "Name", "note": None}
    assert headers(["firm", "note", "Industry"], columns=columns) == [("firm", "Name"), ("Industry", "Industry")]


def test_pain_dataloader_1143_unmapped_columns_survive():
    """They stay at home on purpose, by name; an unknown one is never dropped in silence."""
    assert failures(["Name", "legacy_key"]) == [
        (
            "legacy_key",
            "unknown_column",
            (
                "'legacy_key' is no field of Account that this user can see. Map it with "
                "columns={'legacy_key': 'Field__c'}, or leave it out with columns={'legacy_key': None}."
            ),
        )
    ]


def test_near_names_are_offered():
    ((_, _, message),) = failures(["Name", "AnualRevenue"])
    assert message == (
        "'AnualRevenue' is no field of Account that this user can see. Did you mean AnnualRevenue? Map it with "
        "columns={'AnualRevenue': 'AnnualRevenue'}, or leave it out with columns={'AnualRevenue': None}."
    )


def test_all_bad_columns_are_reported_at_once():
    found = failures(["Nmae", "Score__c", "Serial__c", "BillingAddress", "Id", "CreatedDate", "Ext__c", "EXT__C"])
    assert [(column, rule) for column, rule, _ in found] == [
        ("Nmae", "unknown_column"),
        ("Score__c", "calculated"),
        ("Serial__c", "auto_number"),
        ("BillingAddress", "compound"),
        ("Id", "id_on_insert"),
        ("CreatedDate", "not_createable"),
        ("EXT__C", "two_columns"),
        ("Name", "missing_column"),
    ]


def test_the_exception_shows_the_first_three_and_has_all():
    with pytest.raises(ContractError) as raised:
        match(["a", "b", "c", "d", "Name"])
    lines = str(raised.value).splitlines()
    assert lines[0] == "Account: 4 column failures. Nothing was sent."
    assert len(lines) == 5
    assert lines[-1] == "... and 1 more: see .failures of this error"
    assert raised.value.failures is not None
    assert raised.value.failures["row"].to_list() == [None] * 4


def test_compound_fields_name_their_parts():
    assert failures(["Name", "BillingAddress"])[0][2] == (
        "BillingAddress is put together by the org. Fill its parts: BillingCity, BillingStreet. "
        "Leave the column out with columns={'BillingAddress': None}."
    )
    assert failures(["LastName", "Name"], CONTACT)[0][2] == (
        "Name is put together by the org. Fill its parts: LastName, FirstName. "
        "Leave the column out with columns={'Name': None}."
    )


def test_a_parent_can_be_named_by_its_key():
    (name, column) = match(["LastName", "account.EXT__c"], CONTACT)
    assert (column.name, column.header, column.field.name) == ("account.EXT__c", "Account.Ext__c", "Ext__c")
    assert column.relationship is CONTACT.field("AccountId")
    assert name.relationship is None


def test_a_parent_of_several_kinds_needs_its_kind():
    (_, column) = match(["LastName", "user:owner.username"], CONTACT)
    assert column.header == "User:Owner.Username"
    assert failures(["LastName", "Owner.Username"], CONTACT) == [
        (
            "Owner.Username",
            "polymorphic",
            (
                "The parent Owner is of the kinds Group, User. "
                "Map it with columns={'Owner.Username': 'Group:Owner.Username'}."
            ),
        )
    ]
    assert failures(["LastName", "Account:Account.Ext__c"], CONTACT)[0][1:] == (
        "polymorphic",
        (
            "The parent Account is of one kind only, Account. "
            "Map it with columns={'Account:Account.Ext__c': 'Account.Ext__c'}."
        ),
    )


def test_parents_that_cannot_be_found_are_named():
    assert failures(["LastName", "Acount.Ext__c", "Account.Industry", "Case:Owner.Name"], CONTACT) == [
        (
            "Acount.Ext__c",
            "unknown_parent",
            (
                "Contact has no parent called 'Acount' (near: Account). "
                "Leave the column out with columns={'Acount.Ext__c': None}."
            ),
        ),
        (
            "Account.Industry",
            "not_a_key",
            (
                "Industry does not find records of Account; its keys are Id, Ext__c, Code__c, Number__c. "
                "Leave the column out with columns={'Account.Industry': None}."
            ),
        ),
        (
            "Case:Owner.Name",
            "unknown_parent",
            "OwnerId does not refer to 'Case'. Leave the column out with columns={'Case:Owner.Name': None}.",
        ),
    ]


def test_a_reference_and_its_parents_key_fill_the_same_field():
    assert failures(["LastName", "AccountId", "Account.Ext__c"], CONTACT)[0][:2] == ("Account.Ext__c", "two_columns")


def test_the_key_of_an_operation_must_be_there():
    assert failures(["Name"], operation="update") == [
        (
            "Id",
            "missing_key",
            (
                "update finds its records by Id, which no column fills. Add the column, or map one with "
                "columns={'...': 'Id'}."
            ),
        )
    ]
    assert failures(["Name"], operation="upsert", external_id_field="ext__c")[0][:2] == ("Ext__c", "missing_key")
    assert failures(["x"], operation="delete")[0][:2] == ("Id", "missing_key")


def test_keys_are_sent_although_they_cannot_be_written():
    assert headers(["Id", "Name"], operation="update") == [("Id", "Id"), ("Name", "Name")]
    assert headers(["id", "Name"], operation="upsert", external_id_field="Id") == [("id", "Id"), ("Name", "Name")]


def test_an_upsert_takes_fields_that_can_be_created_or_updated_and_needs_no_required_ones():
    assert headers(["Ext__c"], operation="upsert", external_id_field="Ext__c") == [("Ext__c", "Ext__c")]
    # a field that is fixed on create, such as the parent of a junction: the org answers for rows that exist
    assert headers(["Ext__c", "Birth__c"], operation="upsert", external_id_field="Ext__c")[1] == (
        "Birth__c",
        "Birth__c",
    )
    found = failures(["Ext__c", "Id"], operation="upsert", external_id_field="Ext__c")
    assert [(column, rule) for column, rule, _ in found] == [("Id", "not_createable")]


def test_an_upsert_key_must_find_records():
    assert failures(["Industry"], operation="upsert", external_id_field="Industry")[0] == (
        "industry",
        "not_a_key",
        "It finds no records. Keys of Account: Id, Ext__c, Code__c, Number__c.",
    )


def test_a_delete_sends_its_ids_and_nothing_else():
    assert headers(["Name", "acc", "whatever"], operation="delete", columns={"acc": "ID"}) == [("acc", "Id")]
    assert headers(["id", "Name"], operation="hardDelete") == [("id", "Id")]


def test_a_mapping_must_name_columns_of_the_frame():
    assert failures(["Name"], columns={"Naem": "Name"}) == [
        ("Naem", "mapping", "columns= names 'Naem', which the frame does not have (near: Name).")
    ]


def test_an_upsert_alone_takes_a_key():
    with pytest.raises(UsageError, match="An upsert needs external_id_field"):
        match(["Name"], operation="upsert")
    with pytest.raises(UsageError, match="nothing else takes it"):
        match(["Name"], external_id_field="Ext__c")
