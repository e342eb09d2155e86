"""Our describes of the standard objects, held against recorded ones."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from sfframe.localorg.catalogue.catalogue import Catalogue
from sfframe.localorg.catalogue.describe import full_describe

REFERENCE = Path(os.environ.get("SFFRAME_REFERENCE", Path(__file__).parents[2].parent / "shared"))
RECORDED = REFERENCE / "describes" / "full"

pytestmark = pytest.mark.skipif(not RECORDED.is_dir(), reason=f"no recorded describes in {RECORDED}")

# Where the recorded field says something else than ours, with the reason.
EXPECTED = {
    # Data.com links that lead to no object; a relationship without one would only mislead queries.
    ("Account", "JigsawCompanyId", "relationshipName"): ("JigsawCompany", None),
    ("Contact", "JigsawContactId", "relationshipName"): ("JigsawContact", None),
    # The only text whose bytes are not counted threefold.
    ("Opportunity", "Fiscal", "byteLength"): (6, 18),
    ("Case", "Comments", "byteLength"): (4000, 12000),
    ("Product2", "Description", "byteLength"): (4000, 12000),
    # A price with more decimals than a currency has; an org's own setting.
    ("PricebookEntry", "UnitPrice", "highScaleNumber"): (True, False),
    ("Lead", "JigsawContactId", "relationshipName"): ("JigsawContact", None),
}
# Lists that we cut: 400 time zones to the common ones, and what that org made of its own.
CUT = {
    ("Event", "RecurrenceTimeZoneSidKey", "picklistValues"),
    ("Product2", "Family", "picklistValues"),
    ("Product2", "QuantityUnitOfMeasure", "picklistValues"),
}
# Fields of ours that the recording lacks: that org had no record types on the object.
ADDED = {"Account": [], "Contact": ["RecordTypeId"], "Opportunity": ["RecordTypeId"], "Campaign": ["RecordTypeId"]}
NEW = ["Case", "Event", "Idea", "Lead", "Pricebook2", "PricebookEntry", "Product2", "Topic"]
ADDED |= {name: [] for name in NEW}


def recorded(name: str) -> Any:
    return json.loads((RECORDED / f"{name}.json").read_text(encoding="utf-8"))


def ours(name: str) -> Any:
    catalogue = Catalogue.standard()
    obj = catalogue.find(name)
    assert obj is not None
    return full_describe(obj, catalogue, "/services/data/v53.0", "https://example.my.salesforce.com")


@pytest.mark.parametrize("name", ["Account", "Contact", "Opportunity"])
def test_the_keys_of_a_describe_are_the_recorded_ones_in_their_order(name: str) -> None:
    assert list(ours(name)) == list(recorded(name))
    assert list(ours(name)["fields"][0]) == list(recorded(name)["fields"][0])
    assert list(ours(name)["childRelationships"][0]) == list(recorded(name)["childRelationships"][0])


@pytest.mark.parametrize("name", sorted(ADDED))
def test_the_fields_are_the_recorded_standard_fields(name: str) -> None:
    mine = [field["name"] for field in ours(name)["fields"]]
    theirs = [field["name"] for field in recorded(name)["fields"] if not field["custom"]]
    assert [field for field in mine if field in theirs] == [field for field in theirs if field in mine]
    assert [field for field in mine if field not in theirs] == ADDED[name]
    assert [field for field in theirs if field not in mine] == []


def comparable(key: str, value: Any) -> Any:
    """A recorded value as a new org of this catalogue would say it."""
    if key == "picklistValues":
        return [{"validFor": None} | entry for entry in value]  # older versions leave the key out
    if key == "referenceTo" and len(value) > 6:
        catalogue = Catalogue.standard()
        return [name for name in value if catalogue.find(name)]
    return value


@pytest.mark.parametrize("name", [*sorted(ADDED), "OpportunityContactRole"])
def test_every_attribute_of_every_field_is_the_recorded_one(name: str) -> None:
    mine = {field["name"]: field for field in ours(name)["fields"]}
    differences = {}
    for field in recorded(name)["fields"]:
        if field["name"] not in mine:
            continue
        for key, value in field.items():
            shown, said = mine[field["name"]][key], comparable(key, value)
            if shown != said and (name, field["name"], key) not in CUT:
                differences[name, field["name"], key] = (said, shown)
    assert differences == {key: value for key, value in EXPECTED.items() if key[0] == name}


@pytest.mark.parametrize("name", ["Account", "Contact", "Opportunity", "OpportunityContactRole", *NEW])
def test_the_flags_of_the_object_are_the_recorded_ones(name: str) -> None:
    theirs = {key: value for key, value in recorded(name).items() if not isinstance(value, list | dict)}
    if name == "Topic":
        del theirs["searchLayoutable"]  # the one object that is searchable without a layout for its results
    mine = {key: value for key, value in ours(name).items() if key in theirs}
    assert mine == theirs


@pytest.mark.parametrize("name", ["Account", "Contact", "Opportunity", "Campaign", *NEW])
def test_the_children_that_we_carry_are_called_as_recorded(name: str) -> None:
    theirs = {(one["childSObject"], one["field"]): one for one in recorded(name)["childRelationships"]}
    mine = {(one["childSObject"], one["field"]): one for one in ours(name)["childRelationships"]}
    shared = mine.keys() & theirs.keys()
    assert shared
    left_out: dict[str, object] = {
        "relationshipName": None,
        "junctionIdListNames": [],
        "junctionReferenceTo": [],
    }  # by older versions
    assert {key: mine[key] for key in shared} == {key: left_out | theirs[key] for key in shared}


def test_links_and_the_master_record_type_are_the_recorded_ones() -> None:
    assert ours("Account")["urls"] == recorded("Account")["urls"]
    master = recorded("Account")["recordTypeInfos"][-1]
    assert ours("Account")["recordTypeInfos"] == [master]
