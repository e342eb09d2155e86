"""The standard objects and the notation they are written in."""

from __future__ import annotations

import pytest

from sfframe.localorg.catalogue import compact
from sfframe.localorg.catalogue.catalogue import Catalogue
from sfframe.localorg.catalogue.model import FieldDef, PicklistEntry

# rest.md 10; those that are not there are from the recorded global describes.
PREFIXES = """
Account:001 ApexClass:01p ApexTrigger:01q Asset:02i AsyncApexJob:707 Attachment:00P
BusinessHours:01m Campaign:701 CampaignMember:00v Case:500 CaseComment:00a Contact:003
ContentDocument:069 ContentDocumentLink:06A ContentVersion:068 Contract:800 Dashboard:01Z Document:015
EmailMessage:02s EmailTemplate:00X EntityDefinition:4ie EntityParticle:0Nv Event:00U FeedComment:0D7
FeedItem:0D5 FieldDefinition:4fe Folder:00l Group:00G GroupMember:011 Idea:087
Individual:0PK Lead:00Q Note:002 Opportunity:006 OpportunityContactRole:00K OpportunityLineItem:00k
Order:801 OrderItem:802 Organization:00D Partner:00I PermissionSet:0PS PermissionSetAssignment:0Pa
Pricebook2:01s PricebookEntry:01u Product2:01t Profile:00e RecordType:012 Report:00O
Solution:501 Task:00T Topic:0TO TopicAssignment:0FT User:005 UserLicense:100
UserRole:00E
"""


def test_a_new_org_has_these_objects_under_these_prefixes() -> None:
    found = [f"{obj.name}:{obj.key_prefix}" for obj in Catalogue.standard().objects.values()]
    assert found == sorted(PREFIXES.split(), key=str.casefold)


def test_objects_and_fields_are_found_whatever_their_case_and_prefixes_only_in_theirs() -> None:
    catalogue = Catalogue.standard()
    account = catalogue.find("aCCount")
    assert account is not None
    assert account.name == "Account"
    assert catalogue.by_prefix("00v") is catalogue.find("CampaignMember")
    assert catalogue.by_prefix("00V") is None
    assert catalogue.find("Nothing__c") is None
    owner = account.relationship("OWNER")
    assert owner is account.field("ownerid")
    assert owner is not None
    assert owner.reference_to == ("User",)


def test_children_are_every_field_that_points_at_the_object() -> None:
    catalogue = Catalogue.standard()
    campaign = catalogue.find("Campaign")
    assert campaign is not None
    children = [
        (child.name, field.name, field.child_relationship_name)
        for child, field in catalogue.children_of(campaign)
        if field.reference_to == ("Campaign",)
    ]
    assert children == [
        ("Campaign", "ParentId", "ChildCampaigns"),
        ("CampaignMember", "CampaignId", "CampaignMembers"),
        ("Opportunity", "CampaignId", "Opportunities"),
    ]


def test_two_catalogues_do_not_share_what_is_deployed() -> None:
    one, other = Catalogue.standard(), Catalogue.standard()
    one.deploy([{"name": "Account", "fields": [{"name": "Mine__c", "type": "string"}]}])
    account = other.find("Account")
    assert account is not None
    assert account.field("Mine__c") is None


EXAMPLE = """
# A comment.
object Thing 0xx "Thing" "Things"
can create update recordtypes
@id
Name      string(80)     CU   "Thing's Name"  name lookup
KindOfIt  picklist(40)   CUND restricted
  | One | *Two = The second
  | 3 - Three
OwnerId   >Group|User~Owner CUD children=Things cascade nofls polymorphic
Rate      percent(5,2)   N    fls default=0.5
Number    string(30)     D    auto
Kinds     multipicklist(4099,7) CUN
@where Home
"""
BLOCKS = """
block id
Id  id  D
block where
$City  string(40)  CUN  "$ Town" compound=$Address can=F
"""


def test_the_compact_notation_says_everything_in_a_line() -> None:
    thing = compact.read_object(EXAMPLE, compact.read_blocks(BLOCKS))
    assert (thing.name, thing.label, thing.label_plural, thing.key_prefix) == ("Thing", "Thing", "Things", "0xx")
    assert (thing.createable, thing.updateable, thing.deletable, thing.record_types) == (True, True, False, True)
    assert thing.fields == (
        FieldDef(
            "Id",
            "Thing ID",
            "id",
            length=18,
            nillable=False,
            createable=False,
            updateable=False,
            defaulted_on_create=True,
            id_lookup=True,
            permissionable=False,
        ),
        FieldDef(
            "Name",
            "Thing's Name",
            "string",
            length=80,
            nillable=False,
            name_field=True,
            id_lookup=True,
            permissionable=False,
        ),
        FieldDef(
            "KindOfIt",
            "Kind Of It",
            "picklist",
            length=40,
            defaulted_on_create=True,
            default_value="Two",
            restricted_picklist=True,
            picklist=(
                PicklistEntry("One", "One"),
                PicklistEntry("Two", "The second", default=True),
                PicklistEntry("3 - Three", "3 - Three"),
            ),
        ),
        FieldDef(
            "OwnerId",
            "Owner ID",
            "reference",
            length=18,
            nillable=False,
            defaulted_on_create=True,
            reference_to=("Group", "User"),
            relationship_name="Owner",
            child_relationship_name="Things",
            deleted_with_parent=True,
            polymorphic=True,
            permissionable=False,
        ),
        FieldDef(
            "Rate",
            "Rate",
            "percent",
            precision=5,
            scale=2,
            createable=False,
            updateable=False,
            groupable=False,
            default_value="0.5",
        ),
        FieldDef(
            "Number",
            "Number",
            "string",
            length=30,
            nillable=False,
            createable=False,
            updateable=False,
            defaulted_on_create=True,
            auto_number=True,
            groupable=False,
            permissionable=False,
        ),
        FieldDef(
            "Kinds",
            "Kinds",
            "multipicklist",
            length=4099,
            precision=7,
            aggregatable=False,
            groupable=False,
            sortable=False,
        ),
        FieldDef(
            "HomeCity",
            "Home Town",
            "string",
            length=40,
            compound_field_name="HomeAddress",
            aggregatable=False,
            groupable=False,
            sortable=False,
        ),
    )


@pytest.mark.parametrize("line", ["Name", "Name strng(80) CU", "@nowhere", "  | a value of no field", "can fly"])
def test_a_line_that_cannot_be_read_is_named(line: str) -> None:
    with pytest.raises((ValueError, KeyError), match=line.strip("@ ").split("(")[0].replace("|", r"\|")):
        compact.read_object(f'object Thing 0xx "Thing" "Things"\n{line}', {})


def test_a_field_that_is_described_twice_is_named() -> None:
    with pytest.raises(ValueError, match=r"described twice.: Name string"):
        compact.read_object('object Thing 0xx "Thing" "Things"\nName string(80) CU\nName string(9) CU', {})
