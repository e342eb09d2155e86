"""write_sobject from end to end on an embedded org: every row answered, in the caller's order and kind of frame."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Literal

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import sfframe as sf

KEY = {"name": "Ext_Id__c", "type": "string", "length": 20, "externalId": True, "unique": True}


@pytest.fixture
def keyed(local_org: sf.LocalOrg, org: sf.Org) -> sf.Org:
    local_org.deploy([{"name": name, "fields": [KEY]} for name in ("Account", "Contact")])
    return org


def upsert(
    frame: pl.DataFrame,
    org: sf.Org,
    *,
    on_invalid: Literal["raise", "reject"] = "raise",
    options: sf.LoadOptions = sf.LoadOptions(),
) -> sf.LoadResult[pl.DataFrame]:
    return sf.write_sobject(
        frame,
        "Account",
        operation="upsert",
        external_id_field="Ext_Id__c",
        org=org,
        on_invalid=on_invalid,
        options=options,
    )


def test_an_insert_answers_each_row_with_its_id(org: sf.Org) -> None:
    frame = pl.DataFrame({"Name": ["Zeta", "Alpha", "Zeta"], "AnnualRevenue": [1e7, None, 0.5]})
    result = sf.write_sobject(frame, "Account", operation="insert", org=org)
    assert result.frame.select("Name", "AnnualRevenue").equals(frame)
    assert result.counts == {"created": 3}
    read = sf.read_soql("SELECT Id, Name, AnnualRevenue FROM Account", org=org)
    by_id = {row[0]: row[1:] for row in read.rows()}
    assert [by_id[key] for key in result.frame["sf__Id"]] == [
        ("Zeta", 1e7),
        ("Alpha", None),
        ("Zeta", 1.0),
    ]  # currency(18, 0)


def test_update_null_clears_ignore_leaves_and_delete_takes_the_id_alone(keyed: sf.Org) -> None:
    made = upsert(pl.DataFrame({"Ext_Id__c": ["a", "b"], "Name": ["A", "B"], "Phone": ["1", "2"]}), keyed)
    ids = made.frame["sf__Id"]
    cleared = pl.DataFrame({"Id": ids, "Phone": ["9", None]})
    assert sf.write_sobject(cleared, "Account", operation="update", org=keyed).counts == {"updated": 2}
    phones = "SELECT Phone FROM Account ORDER BY Ext_Id__c"
    assert sf.read_soql(phones, org=keyed)["Phone"].to_list() == ["9", None]

    kept = pl.DataFrame({"Id": ids, "Phone": [None, "3"]}, schema_overrides={"Phone": pl.String})
    sf.write_sobject(kept, "Account", operation="update", nulls="ignore", org=keyed)
    assert sf.read_soql(phones, org=keyed)["Phone"].to_list() == ["9", "3"]

    gone = sf.write_sobject(made.frame.head(1).rename({"sf__Id": "Id"}), "Account", operation="delete", org=keyed)
    assert gone.counts == {"deleted": 1}
    assert gone.frame["Name"].to_list() == ["A"]  # what was not sent comes back all the same
    assert sf.read_soql(phones, org=keyed).height == 1
    assert sf.read_soql(phones, org=keyed, include_deleted=True).height == 2


def test_the_same_upsert_twice_creates_nothing_twice(keyed: sf.Org) -> None:
    frame = pl.DataFrame({"Ext_Id__c": ["a", "b"], "Name": ["A", "B"]})
    assert upsert(frame, keyed).counts == {"created": 2}
    more = frame.vstack(pl.DataFrame({"Ext_Id__c": ["c"], "Name": ["C"]}))
    second = upsert(more, keyed)
    assert second.counts == {"created": 1, "updated": 2}
    assert second.frame["sf__Created"].to_list() == [False, False, True]


def test_parents_are_set_by_their_external_id_and_a_missing_one_fails_its_row(keyed: sf.Org) -> None:
    upsert(pl.DataFrame({"Ext_Id__c": ["a"], "Name": ["A"]}), keyed)
    people = pl.DataFrame({"LastName": ["Ng", "Orr", "Poe"], "parent": ["a", "nobody", None]})
    with pytest.warns(sf.RowsFailedWarning):
        result = sf.write_sobject(
            people, "Contact", operation="insert", columns={"parent": "Account.Ext_Id__c"}, org=keyed
        )
    assert result.frame["sf__Status"].to_list() == ["created", "failed", "created"]
    assert result.failed["sf__ErrorCode"].to_list() == ["INVALID_FIELD"]
    triage = result.triage()
    assert triage.select("status", "rows", "sample_rows", "kind").rows() == [("failed", 1, [1], "reference")]
    names = sf.read_soql("SELECT LastName, Account.Name FROM Contact ORDER BY LastName", org=keyed)
    assert names.rows() == [("Ng", "A"), ("Poe", None)]


def test_failed_rows_can_be_mended_and_loaded_again(keyed: sf.Org) -> None:
    frame = pl.DataFrame({"Ext_Id__c": ["a", "b"], "Name": ["A", None]})
    with pytest.warns(sf.RowsFailedWarning):
        result = upsert(frame, keyed, on_invalid="reject")
    with pytest.raises(sf.RowsFailed, match="1 rejected of 2 rows"):
        result.raise_for_failures()
    mended = result.rejected.with_columns(Name=pl.lit("B"))
    assert upsert(mended, keyed).raise_for_failures().counts == {"created": 1}


def test_several_jobs_carry_one_frame_when_parts_are_cut(keyed: sf.Org) -> None:
    frame = pl.DataFrame({"Ext_Id__c": [f"k{n}" for n in range(25)], "Name": ["same"] * 25})
    result = upsert(frame, keyed, options=sf.LoadOptions(api="bulk2", limits=sf.LoadLimits(rows_per_job=10, lanes=2)))
    assert result.counts == {"created": 25}
    assert len(result.jobs) == 3
    assert result.frame["Ext_Id__c"].to_list() == frame["Ext_Id__c"].to_list()
    read = sf.read_soql("SELECT Id, Ext_Id__c FROM Account", org=keyed)
    assert dict(read.rows()) == dict(result.frame.select("sf__Id", "Ext_Id__c").rows())


def test_pandas_keeps_its_index_and_its_kind(org: sf.Org) -> None:
    frame = pd.DataFrame({"Name": ["A", "B"], "AnnualRevenue": [1.5, None]}, index=pd.Index(["x", "y"], name="mine"))
    before = frame.copy(deep=True)
    result = sf.write_sobject(frame, "Account", operation="insert", org=org)
    assert isinstance(result.frame, pd.DataFrame)
    assert result.frame.index.equals(frame.index)
    assert list(result.frame.columns[:2]) == ["Name", "AnnualRevenue"]
    assert list(result.succeeded.index) == ["x", "y"]
    pd.testing.assert_frame_equal(frame, before)


def test_arrow_dicts_and_files_come_back_in_kind(org: sf.Org, tmp_path: Path) -> None:
    table = pa.table({"Name": ["A"]})
    assert isinstance(sf.write_sobject(table, "Account", operation="insert", org=org).frame, pa.Table)
    dicts = sf.write_sobject([{"Name": "B"}], "Account", operation="insert", org=org).frame
    assert dicts[0]["Name"] == "B"
    pl.DataFrame({"Name": ["C"]}).write_parquet(tmp_path / "a.parquet")
    result = sf.write_sobject(
        tmp_path / "a.parquet", "Account", operation="insert", org=org, results=tmp_path / "answers.csv"
    )
    assert result.counts == {"created": 1}
    assert pl.read_csv(tmp_path / "answers.csv")["sf__Status"].to_list() == ["created"]


def test_pain_dataloader_1143_unmapped_columns_survive(org: sf.Org) -> None:
    frame = pl.DataFrame({"who": ["A"], "remark": ["not for Salesforce"]})
    result = sf.write_sobject(frame, "Account", operation="insert", columns={"who": "Name", "remark": None}, org=org)
    assert result.frame.select("who", "remark").equals(frame)
    assert result.counts == {"created": 1}


def test_pain_simple_salesforce_line_breaks_and_odd_text_arrive_whole(org: sf.Org) -> None:
    texts = [
        "a\nb",
        "a\r\nb",
        "a\rb",
        "sep\u2028rator",
        'say "hi", twice',
        "Zoë 🚀",
        "back\\slash",
        "'quoted'",
        "1e5",
        "007",
    ]
    frame = pl.DataFrame({"Name": [f"n{n}" for n in range(len(texts))], "Description": texts})
    result = sf.write_sobject(frame, "Account", operation="insert", org=org)
    assert result.counts == {"created": len(texts)}
    read = sf.read_soql("SELECT Description FROM Account ORDER BY Name", org=org)
    assert read["Description"].to_list() == texts
    bulk = sf.read_soql("SELECT Description FROM Account ORDER BY Name", org=org, options=sf.ReadOptions(api="bulk2"))
    assert bulk["Description"].to_list() == texts


def test_every_type_goes_in_and_comes_back_the_same(local_org: sf.LocalOrg, org: sf.Org) -> None:
    fields = [
        {"name": "Flag__c", "type": "boolean"},
        {"name": "Count__c", "type": "int"},
        {"name": "Ratio__c", "type": "double", "precision": 18, "scale": 4},
        {"name": "Money__c", "type": "currency", "precision": 18, "scale": 2},
        {"name": "Share__c", "type": "percent", "precision": 5, "scale": 1},
        {"name": "Day__c", "type": "date"},
        {"name": "Moment__c", "type": "datetime"},
        {"name": "Clock__c", "type": "time"},
        {"name": "Mail__c", "type": "email"},
        {"name": "Page__c", "type": "url"},
        {"name": "Code__c", "type": "string", "length": 10},
        {
            "name": "Tags__c",
            "type": "multipicklist",
            "picklistValues": [{"value": tag, "label": tag, "active": True} for tag in ("red", "green", "blue")],
        },
    ]
    local_org.deploy([{"name": "Thing__c", "fields": fields}])
    frame = pl.DataFrame(
        {
            "Name": ["one", "two"],
            "Flag__c": [True, None],
            "Count__c": [12_345_678, None],
            "Ratio__c": [12_345_678.1234, None],
            "Money__c": [1e9, None],
            "Share__c": [12.5, None],
            "Day__c": [dt.date(2024, 2, 29), None],
            "Moment__c": [dt.datetime(2026, 1, 2, 3, 4, 5, 678_000, tzinfo=dt.UTC), None],
            "Clock__c": [dt.time(23, 59, 58, 999_000), None],
            "Mail__c": ["who@example.com", None],
            "Page__c": ["https://example.com/?q=1,2", None],
            "Code__c": ["007", None],
            "Tags__c": [["red", "blue"], None],
        }
    )
    result = sf.write_sobject(frame, "Thing__c", operation="insert", org=org)
    assert result.counts == {"created": 2}
    names = ", ".join(frame.columns)
    for api in ("rest", "bulk2"):
        options = sf.ReadOptions(api=api, split_multipicklists=True)
        read = sf.read_soql(f"SELECT {names} FROM Thing__c ORDER BY Name", org=org, options=options)
        wanted = frame.with_columns(pl.col("Flag__c").fill_null(False), pl.col("Moment__c").dt.cast_time_unit("ms"))
        assert read.drop("Tags__c").equals(wanted.drop("Tags__c")), api
        assert [None if tags is None else set(tags) for tags in read["Tags__c"]] == [{"red", "blue"}, None]


def test_a_field_that_was_made_after_the_describe_is_found_without_reconnecting(
    org: sf.Org, local_org: sf.LocalOrg
) -> None:
    assert sf.describe("Account", org=org).field("Late__c") is None
    local_org.deploy([{"name": "Account", "fields": [{"name": "Late__c", "type": "string"}]}])
    result = sf.write_sobject([{"Name": "x", "Late__c": "y"}], "Account", operation="insert", org=org)
    assert result.counts == {"created": 1}


def test_the_spool_is_gone_after_a_complete_load(org: sf.Org, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SFFRAME_HOME", str(tmp_path / "home"))
    sf.write_sobject([{"Name": "hush"}], "Account", operation="insert", org=org)
    left = [path for path in (tmp_path / "home").rglob("*") if path.is_file()]
    assert [path.name for path in left] == ["ledger.sqlite"]
    assert b"hush" not in left[0].read_bytes()
    assert (tmp_path / "home").stat().st_mode & 0o777 == 0o700


def test_a_summary_says_where_as_whom_and_what_became_of_the_rows(org: sf.Org) -> None:
    result = sf.write_sobject([{"Name": "x"}], "Account", operation="insert", org=org)
    first, second, third = result.summary().splitlines()
    assert first.endswith(f"(sandbox) as {org.identity.username}: insert Account")
    assert second == "1 rows: 1 created"
    assert third.startswith(f"1 job ({result.jobs[0]})")
    assert "1 created" in repr(result)
    assert "1 created" in result._repr_html_()
