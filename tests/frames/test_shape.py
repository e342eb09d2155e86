"""The columns of an answer, before it is there."""

from __future__ import annotations

import polars as pl
import pytest

from sfframe.codec.types import ADDRESS
from sfframe.errors import UsageError
from sfframe.frames.shape import shape
from sfframe.soql import parse
from tests.frames.sample import ACCOUNT, CONTACT, describe


def columns(query, sobject=ACCOUNT):
    return [(one.name, one.keys, one.type) for one in shape(parse(query), sobject, describe).columns]


def schema(query, sobject=ACCOUNT):
    return shape(parse(query), sobject, describe).schema


def test_fields_have_their_own_names_and_types_in_the_order_of_the_query():
    query = (
        "SELECT NAME, annualrevenue, NumberOfEmployees, Active__c, Since__c, Seen__c, Opens__c, Tags__c, Id, Logo__c "
        "FROM Account"
    )
    assert dict(schema(query)) == (
        {
            "Name": pl.String,
            "AnnualRevenue": pl.Float64,
            "NumberOfEmployees": pl.Int64,
            "Active__c": pl.Boolean,
            "Since__c": pl.Date,
            "Seen__c": pl.Datetime("ms", "UTC"),
            "Opens__c": pl.Time,
            "Tags__c": pl.String,
            "Id": pl.String,
            "Logo__c": pl.String,
        }
    )


def test_parents_are_dotted_columns():
    assert columns("SELECT account.parent.name, Owner.USERNAME FROM Contact", CONTACT) == [
        ("Account.Parent.Name", ("Account", "Parent", "Name"), "string"),
        ("Owner.Username", ("Owner", "Username"), "string"),
    ]


def test_aliases_of_the_object_are_no_parents():
    assert columns("SELECT c.LastName, Contact.FirstName FROM Contact c", CONTACT) == [
        ("LastName", ("LastName",), "string"),
        ("FirstName", ("FirstName",), "string"),
    ]
    assert columns("SELECT a.Name, c.LastName FROM Contact c, c.Account a", CONTACT)[0] == (
        "Account.Name",
        ("Account", "Name"),
        "string",
    )


def test_compound_fields_are_structs():
    assert isinstance(schema("SELECT MailingAddress, Place__c FROM Contact", CONTACT)["MailingAddress"], pl.Struct)


def test_a_bare_count_is_one_number():
    answer = shape(parse("SELECT COUNT() FROM Account"), ACCOUNT, describe)
    assert (answer.count_only, answer.schema) == (True, pl.Schema({"count": pl.Int64}))


def test_aggregates_have_the_type_of_what_they_count():
    query = (
        "SELECT Industry, Parent.Name, COUNT(Id), SUM(NumberOfEmployees) total, AVG(AnnualRevenue), MIN(Since__c), "
        "MAX(Seen__c) latest, CALENDAR_YEAR(Seen__c) FROM Account "
        "GROUP BY Industry, Parent.Name, CALENDAR_YEAR(Seen__c)"
    )
    assert columns(query) == [
        ("Industry", ("Industry",), "picklist"),
        ("Parent.Name", ("Name",), "string"),
        ("expr0", ("expr0",), "int"),
        ("total", ("total",), "double"),
        ("expr1", ("expr1",), "double"),
        ("expr2", ("expr2",), "date"),
        ("latest", ("latest",), "datetime"),
        ("expr3", ("expr3",), "int"),
    ]
    assert not any(one.stored for one in shape(parse(query), ACCOUNT, describe).columns[2:])


def test_functions_on_single_fields():
    assert columns(
        "SELECT toLabel(Industry), FORMAT(AnnualRevenue) shown, convertCurrency(AnnualRevenue) FROM Account"
    ) == [
        ("Industry", ("Industry",), "string"),
        ("shown", ("shown",), "string"),
        ("AnnualRevenue", ("AnnualRevenue",), "currency"),
    ]


def test_children_are_lists_of_structs_with_types_of_their_own():
    inner = "SELECT Contact.LastName, Account.AnnualRevenue, MailingAddress FROM Account.contacts"
    assert schema(f"SELECT Name, ({inner}) FROM Account")["Contacts"] == pl.List(
        pl.Struct({"LastName": pl.String, "Account.AnnualRevenue": pl.Float64, "MailingAddress": ADDRESS})
    )


def test_a_typeof_is_a_struct_with_the_objects_name_and_the_fields_of_all_branches():
    query = "SELECT TYPEOF Owner WHEN User THEN Id, Username WHEN Group THEN Id, Type ELSE Name, Type END FROM Contact"
    [owner] = shape(parse(query), CONTACT, describe).columns
    assert [(one.name, one.type, one.only_for) for one in owner.parts] == [
        ("Type", "object_type", ""),
        ("Id", "id", ""),
        ("Username", "string", "User"),
        ("Group.Type", "picklist", "Group"),
        ("Name", "string", ""),
    ]
    assert owner.dtype == pl.Struct(dict.fromkeys(["Type", "Id", "Username", "Group.Type", "Name"], pl.String))


def test_parents_of_several_objects_have_the_fields_of_name():
    assert columns("SELECT Owner.Type, Owner.Name, Owner.Email FROM Contact", CONTACT) == [
        ("Owner.Type", ("Owner", "Type"), "string"),
        ("Owner.Name", ("Owner", "Name"), "string"),
        ("Owner.Email", ("Owner", "Email"), "email"),
    ]


def test_groups_of_fields_come_from_the_describe():
    assert [one[0] for one in columns("SELECT FIELDS(ALL) FROM Account LIMIT 200")] == [one.name for one in ACCOUNT]
    every = [one.name for one in ACCOUNT if one.name not in {"BillingAddress", "Logo__c"}]
    assert [one.name for one in shape(parse("SELECT * FROM Account", star=True), ACCOUNT, describe).columns] == every


@pytest.mark.parametrize(
    ("query", "message"),
    [
        (
            "SELECT Nmae FROM Account",
            "Nmae: Account has no field 'Nmae' that this user can see\nNear: Name.",
        ),
        (
            "SELECT Ownr.Name FROM Account",
            "Ownr.Name: Account has no parent called 'Ownr'\nNear: OwnerId.",
        ),
        (
            "SELECT Owner.Shoe FROM Account",
            "Owner.Shoe: User has no field 'Shoe' that this user can see\nCheck the name and the user's permissions.",
        ),
        (
            "SELECT Parent.Name, Owner.Username, Name FROM Account GROUP BY Parent.Name, Owner.Username, Name",
            (
                "SELECT Parent.Name: the org answers two columns under the name 'Name'\n"
                "Give it an alias: Parent.Name ParentName."
            ),
        ),
        (
            "SELECT Owner.Username, TYPEOF Owner WHEN User THEN Id END FROM Contact",
            "SELECT: fields of Owner are selected beside its TYPEOF\nName them in its branches.",
        ),
        ("SELECT Name, NAME FROM Account", "SELECT: Name is selected twice\nLeave one of them out."),
        (
            "SELECT Name, (SELECT Id FROM Contakts) FROM Account",
            (
                "FROM Contakts: Account has no children called 'Contakts'\n"
                "describe('Account').child_relationships lists their names."
            ),
        ),
    ],
)
def test_what_has_no_column_is_refused(query, message):
    with pytest.raises(UsageError) as raised:
        shape(parse(query), CONTACT if query.endswith("Contact") else ACCOUNT, describe)
    assert str(raised.value) == message
