"""Objects for the tests, made by hand after what describes of such objects say."""

from __future__ import annotations

from sfframe.errors import NotFound
from sfframe.schema.sobject import ChildRelationship, Field, PicklistValue, SObject


def field(name: str, field_type: str = "string", length: int = 0, **facts) -> Field:
    """A field that can be written, unless the facts say otherwise."""
    facts = {"createable": True, "updateable": True, **facts}
    return Field(name, facts.pop("label", name), field_type, length or (255 if field_type == "string" else 0), **facts)


def readonly(name: str, field_type: str = "string", **facts) -> Field:
    return field(name, field_type, createable=False, updateable=False, **facts)


def picklist(*values: str, old: tuple[str, ...] = ()) -> tuple[PicklistValue, ...]:
    return (*(PicklistValue(one, one) for one in values), *(PicklistValue(one, one, active=False) for one in old))


INDUSTRIES = picklist("Farming", "Media", old=("Coal",))
DEFAULTED = {"nillable": False, "defaulted_on_create": True}

ACCOUNT = SObject(
    "Account",
    "Account",
    "001",
    (
        readonly("Id", "id", length=18, nillable=False, id_lookup=True),
        field("Name", nillable=False),
        field("Ext__c", length=20, external_id=True, id_lookup=True, unique=True),
        field("Code__c", length=20, external_id=True, id_lookup=True, unique=True, case_sensitive=True),
        field("Number__c", "double", precision=18, scale=0, external_id=True, id_lookup=True),
        field("Industry", "picklist", 40, restricted_picklist=True, picklist_values=INDUSTRIES),
        field("Tags__c", "multipicklist", 4099, restricted_picklist=True, picklist_values=picklist("A", "B", "C")),
        field("AnnualRevenue", "currency", precision=18, scale=2),
        field("NumberOfEmployees", "int", digits=8),
        field("Email__c", "email", 80),
        field("Active__c", "boolean", **DEFAULTED),
        field("Since__c", "date"),
        field("Seen__c", "datetime"),
        field("Opens__c", "time"),
        field("Logo__c", "base64"),
        field("Description", "textarea", 32000),
        field("Long__c", "textarea", 131072),
        field("Longer__c", "textarea", 131072),
        field("Longest__c", "textarea", 131072),
        field("Huge__c", "textarea", 131072),
        field("ParentId", "reference", 18, reference_to=("Account",), relationship_name="Parent"),
        field("OwnerId", "reference", 18, reference_to=("User",), relationship_name="Owner", **DEFAULTED),
        field("BillingCity", length=40, compound_field_name="BillingAddress"),
        field("BillingStreet", length=255, compound_field_name="BillingAddress"),
        readonly("BillingAddress", "address"),
        readonly("Score__c", "double", precision=18, scale=2, calculated=True),
        readonly("Serial__c", auto_number=True),
        field("Birth__c", "date", updateable=False),
        readonly("CreatedDate", "datetime", nillable=False),
    ),
    child_relationships=(
        ChildRelationship("Contacts", "Contact", "AccountId"),
        ChildRelationship("ChildAccounts", "Account", "ParentId"),
        ChildRelationship(None, "AccountFeed", "ParentId", cascade_delete=True),
    ),
)  # fmt: skip

USER = SObject(
    "User",
    "User",
    "005",
    (readonly("Id", "id", id_lookup=True), field("Username", length=80, id_lookup=True), field("Email", "email", 80)),
)

CONTACT = SObject(
    "Contact",
    "Contact",
    "003",
    (
        readonly("Id", "id", id_lookup=True),
        field("LastName", length=80, nillable=False, compound_field_name="Name"),
        field("FirstName", length=40, compound_field_name="Name"),
        readonly("Name", length=121),
        field("AccountId", "reference", reference_to=("Account",), relationship_name="Account"),
        field("OwnerId", "reference", reference_to=("Group", "User"), relationship_name="Owner", polymorphic=True),
        readonly("MailingAddress", "address"),
        readonly("Place__c", "location"),
    ),
)

GROUP = SObject(
    "Group",
    "Group",
    "00G",
    (readonly("Id", "id", id_lookup=True), field("Name", length=40), field("Type", "picklist", 40)),
)

OBJECTS = {one.name: one for one in (ACCOUNT, USER, CONTACT, GROUP)}


def describe(name: str) -> SObject:
    if name not in OBJECTS:
        raise NotFound(f"no object {name}")
    return OBJECTS[name]
