"""200,000 rows, results shuffled, 1 % bad, 5 % identical: every answer is held against the org's own table."""

from __future__ import annotations

import polars as pl
import pytest
from polars.testing import assert_frame_equal

import sfframe as sf

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::sfframe.RowsFailedWarning")]

ROWS = 200_000
FIELDS = [
    {"name": "Moment__c", "type": "datetime"},
    {"name": "Day__c", "type": "date"},
    {"name": "Flag__c", "type": "boolean"},
    {"name": "Ratio__c", "type": "double", "precision": 18, "scale": 4},
]
NOBODY = "001000000000001AAA"  # the shape of an account's id, and no account


def generated() -> tuple[pl.DataFrame, pl.Series]:
    """The rows, and which of them the org must refuse: those whose parent does not exist."""
    n = pl.int_range(ROWS, eager=True).alias("n")
    draw = n.hash(seed=11)
    frame = pl.DataFrame(
        {
            "Name": ("Company " + (draw % 1000).cast(pl.String) + ', "the ' + (draw % 77).cast(pl.String) + '"\nth'),
            "AnnualRevenue": (draw % 10_000_000_000).cast(pl.Float64),
            "Ratio__c": (draw % 1_000_000_007).cast(pl.Float64) / 10_000,
            "NumberOfEmployees": (draw % 99_999).cast(pl.Int64),
            "Moment__c": (draw % 2_000_000_000_000_000).cast(pl.Int64).cast(pl.Datetime("us", "UTC")),
            "Day__c": (draw % 20_000).cast(pl.Int32).cast(pl.Date),
            "Flag__c": draw % 3 == 0,
            "ParentId": pl.select(pl.when(draw % 100 == 7).then(pl.lit(NOBODY))).to_series(),
            "Site": pl.select(pl.when(draw % 5 != 0).then(pl.lit("Zoë 🚀 ") + (draw % 13).cast(pl.String))).to_series(),
        }
    )
    twin = pl.select(pl.when(draw % 20 == 3).then(n // 2).otherwise(n)).to_series()  # 5 % repeat an earlier row
    frame = frame[twin]
    return frame, frame["ParentId"].is_not_null()


def test_no_row_gets_the_answer_of_another(local_org: sf.LocalOrg, org: sf.Org) -> None:
    local_org.deploy([{"name": "Account", "fields": FIELDS}])
    frame, bad = generated()
    assert 0.009 < bad.mean() < 0.011  # type: ignore[operator]
    assert 0.04 < frame.is_duplicated().mean() / 2 < 0.06  # type: ignore[operator]

    result = sf.write_sobject(frame, "Account", operation="insert", org=org)

    answers = result.frame
    assert_frame_equal(answers.select(frame.columns), frame)
    assert len(result.jobs) == 2
    assert (answers["sf__Status"] == "failed").equals(bad)
    assert set(answers.filter(bad)["sf__ErrorCode"]) == {"INVALID_CROSS_REFERENCE_KEY"}
    done = answers.filter(~bad)
    assert set(done["sf__Status"]) == {"created"}
    assert done["sf__Id"].n_unique() == done.height
    stored = local_org.table("Account").select("Id", *frame.columns)
    assert stored.height == done.height
    owned = done.select("sf__Id").join(stored, left_on="sf__Id", right_on="Id", how="left", maintain_order="left")
    wanted = done.select("sf__Id", *frame.columns).with_columns(pl.col("Moment__c").dt.cast_time_unit("ms"))
    assert_frame_equal(owned, wanted)


def test_a_large_answer_is_read_by_bulk_and_is_the_same_as_by_rest(local_org: sf.LocalOrg, org: sf.Org) -> None:
    local_org.deploy([{"name": "Account", "fields": FIELDS}])
    frame, bad = generated()
    sf.write_sobject(frame.filter(~bad).head(30_000), "Account", operation="insert", org=org)
    query = f"SELECT Id, {', '.join(frame.columns)}, Owner.Username, Parent.Name, CreatedDate FROM Account ORDER BY Id"
    by_size = sf.read_soql(query, org=org)
    assert by_size.height == 30_000
    assert_frame_equal(by_size, sf.read_soql(query, org=org, options=sf.ReadOptions(api="rest")))
    assert_frame_equal(by_size, sf.read_soql(query, org=org, options=sf.ReadOptions(api="bulk2")))
    assert by_size["Owner.Username"].unique().to_list() == [org.identity.username]
    assert by_size["Parent.Name"].null_count() == 30_000
