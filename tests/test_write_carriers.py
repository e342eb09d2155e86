"""One contract for three APIs: the same rows, the same answers, whichever of them carries them."""

from __future__ import annotations

import polars as pl
import pytest

import sfframe as sf
from sfframe.options import Api

KEY = {"name": "Ext_Id__c", "type": "string", "length": 20, "externalId": True, "unique": True}
CARRIERS: tuple[Api, ...] = ("bulk2", "bulk1", "collections")


@pytest.fixture
def keyed(local_org: sf.LocalOrg, org: sf.Org) -> sf.Org:
    local_org.deploy([{"name": name, "fields": [KEY]} for name in ("Account", "Contact")])
    return org


def by(api: Api, **more: object) -> sf.LoadOptions:
    return sf.LoadOptions(api=api, on_failed="ignore", **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("api", CARRIERS)
def test_every_operation_gives_each_row_its_one_answer(keyed: sf.Org, api: Api) -> None:
    rows = pl.DataFrame(
        {"Ext_Id__c": ["a", "b", "c"], "Name": ["A, 1", "B\n2", 'C "3"'], "AnnualRevenue": [1.0, None, 3.0]}
    )
    made = sf.write_sobject(
        rows, "Account", operation="upsert", external_id_field="Ext_Id__c", org=keyed, options=by(api)
    )
    assert made.frame.select(rows.columns).equals(rows)
    assert made.frame["sf__Status"].to_list() == ["created"] * 3
    ids = made.frame["sf__Id"]
    wrong = pl.DataFrame({"Id": [ids[0], ids[1], "001000000000000AAA"], "Name": ["A", None, "nobody"]})
    changed = sf.write_sobject(
        wrong, "Account", operation="update", org=keyed, nulls="ignore", on_invalid="reject", options=by(api)
    )
    assert changed.frame["sf__Status"].to_list() == ["updated", "updated", "failed"]
    assert changed.frame["sf__Id"].to_list() == [ids[0], ids[1], "001000000000000AAA"]
    assert changed.frame["sf__ErrorCode"].item(2) in ("INVALID_CROSS_REFERENCE_KEY", "ENTITY_IS_DELETED")
    read = sf.read_soql("SELECT Name, AnnualRevenue FROM Account ORDER BY Ext_Id__c", org=keyed)
    assert read.rows() == [("A", 1.0), ("B\n2", None), ('C "3"', 3.0)]
    gone = sf.write_sobject(pl.DataFrame({"Id": ids[:2]}), "Account", operation="delete", org=keyed, options=by(api))
    assert gone.counts == {"deleted": 2}
    twice = sf.write_sobject(
        rows.with_columns(Name=pl.lit("D"), Ext_Id__c=pl.Series(["c", "d", "e"])),
        "Account",
        operation="insert",
        org=keyed,
        options=by(api),
    )
    assert twice.frame["sf__Status"].to_list() == ["failed", "created", "created"]
    assert twice.frame["sf__ErrorCode"].to_list() == ["DUPLICATE_VALUE", None, None]
    assert sf.read_soql("SELECT COUNT() FROM Account", org=keyed).item() == 3


@pytest.mark.parametrize("api", CARRIERS)
def test_nulls_clear_and_parents_are_named_by_key(keyed: sf.Org, api: Api) -> None:
    parents = pl.DataFrame({"Ext_Id__c": ["p"], "Name": ["Parent"]})
    sf.write_sobject(parents, "Account", operation="upsert", external_id_field="Ext_Id__c", org=keyed)
    children = pl.DataFrame(
        {"Ext_Id__c": ["k1", "k2"], "LastName": ["One", "Two"], "Phone": ["1", None], "Account.Ext_Id__c": ["p", "q"]}
    )
    first = sf.write_sobject(
        children, "Contact", operation="upsert", external_id_field="Ext_Id__c", org=keyed, options=by(api)
    )
    assert first.frame["sf__Status"].to_list() == ["created", "failed"]
    again = children[:1].with_columns(Phone=pl.lit(None, pl.String)).drop("Account.Ext_Id__c")
    second = sf.write_sobject(
        again, "Contact", operation="upsert", external_id_field="Ext_Id__c", org=keyed, options=by(api)
    )
    assert second.frame.select("sf__Status", "sf__Created").rows() == [("updated", False)]
    assert sf.read_soql("SELECT LastName, Phone, Account.Name FROM Contact", org=keyed).rows() == [
        ("One", None, "Parent")
    ]


def test_auto_takes_collections_for_few_keyed_rows_and_bulk_else(keyed: sf.Org) -> None:
    def carrier(result: sf.LoadResult[pl.DataFrame]) -> str:
        return str(sf.history().filter(run=result.run)["api"].item())

    few = pl.DataFrame({"Ext_Id__c": ["a"], "Name": ["A"]})
    upserted = sf.write_sobject(few, "Account", operation="upsert", external_id_field="Ext_Id__c", org=keyed)
    assert (carrier(upserted), upserted.jobs, upserted.frame["sf__Match"].item()) == ("collections", (), "position")
    keyless = sf.write_sobject(few.select("Name"), "Account", operation="insert", org=keyed)
    assert (carrier(keyless), len(keyless.jobs)) == ("bulk2", 1)
    serial = sf.LoadOptions(headers=sf.LoadHeaders(serial=True))
    one_by_one = sf.write_sobject(
        few, "Account", operation="upsert", external_id_field="Ext_Id__c", org=keyed, options=serial
    )
    assert (carrier(one_by_one), len(one_by_one.jobs)) == ("bulk1", 1)
    many = pl.DataFrame({"Ext_Id__c": [f"k{n}" for n in range(2_001)], "Name": "x"})
    assert (
        carrier(sf.write_sobject(many, "Account", operation="upsert", external_id_field="Ext_Id__c", org=keyed))
        == "bulk2"
    )


def test_all_or_none_rolls_a_call_back_as_a_whole(keyed: sf.Org) -> None:
    sf.write_sobject(
        pl.DataFrame({"Ext_Id__c": ["a"], "Name": ["A"]}),
        "Account",
        operation="upsert",
        external_id_field="Ext_Id__c",
        org=keyed,
    )
    together = pl.DataFrame({"Ext_Id__c": ["b", "a"], "Name": ["B", "A again"]})
    options = sf.LoadOptions(headers=sf.LoadHeaders(all_or_none=True), on_failed="ignore")
    result = sf.write_sobject(together, "Account", operation="insert", org=keyed, options=options)
    assert result.frame["sf__ErrorCode"].to_list() == ["ALL_OR_NONE_OPERATION_ROLLED_BACK", "DUPLICATE_VALUE"]
    assert sf.read_soql("SELECT COUNT() FROM Account", org=keyed).item() == 1


def test_a_duplicate_rule_with_an_alert_is_overruled_where_the_caller_allows_duplicates(
    keyed: sf.Org, local_org: sf.LocalOrg
) -> None:
    local_org.duplicate_rule("Account", name="Same name", fields=["Name"], block=False)
    frame = pl.DataFrame({"Ext_Id__c": ["a"], "Name": ["Twin"]})
    sf.write_sobject(frame, "Account", operation="upsert", external_id_field="Ext_Id__c", org=keyed)
    twin = frame.with_columns(Ext_Id__c=pl.lit("b"))
    refused = sf.write_sobject(
        twin, "Account", operation="upsert", external_id_field="Ext_Id__c", org=keyed, options=by("collections")
    )
    assert refused.frame["sf__ErrorCode"].to_list() == ["DUPLICATES_DETECTED"]
    allowed = sf.LoadOptions(headers=sf.LoadHeaders(allow_duplicates=True))
    saved = sf.write_sobject(
        twin, "Account", operation="upsert", external_id_field="Ext_Id__c", org=keyed, options=allowed
    )
    assert saved.counts == {"created": 1}


def test_options_that_no_api_has_together_are_refused() -> None:
    for wrong in (
        {"api": "bulk2", "headers": sf.LoadHeaders(serial=True)},
        {"api": "bulk1", "headers": sf.LoadHeaders(all_or_none=True)},
        {"api": "collections", "column_delimiter": "TAB"},
        {"api": "soap"},
        {"column_delimiter": "SPACE"},
    ):
        with pytest.raises(sf.UsageError):
            sf.LoadOptions(**wrong)
    with pytest.raises(sf.UsageError, match="Leave one of the two out"):
        sf.LoadHeaders(all_or_none=True, serial=True)


def test_collections_cannot_delete_for_good(keyed: sf.Org) -> None:
    with pytest.raises(sf.UsageError, match="Collections cannot delete for good"):
        sf.write_sobject(
            pl.DataFrame({"Id": ["001000000000001AAA"]}),
            "Account",
            operation="hardDelete",
            org=keyed,
            options=by("collections"),
        )
