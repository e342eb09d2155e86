"""What users of other tools reported of their loads, each as a test with the thread's number: here it works."""

from __future__ import annotations

import datetime as dt
import gc
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pytest

import sfframe as sf
from sfframe.facts import Operation
from sfframe.localorg import Fault, Settings
from sfframe.options import Api
from sfframe.write import OnInvalid

FIELDS = [
    {"name": "Ext_Id__c", "type": "string", "length": 20, "externalId": True, "unique": True},
    {"name": "Amount__c", "type": "double", "precision": 18, "scale": 2},
    {"name": "Note__c", "type": "textarea", "length": 32_000},
    {"name": "Day__c", "type": "date"},
]
CARRIERS: tuple[Api, ...] = ("bulk2", "bulk1", "collections")
BRISK = sf.Pacing(first=0.01, longest=0.1)


@pytest.fixture(autouse=True)
def _own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SFFRAME_HOME", str(tmp_path / "home"))


@pytest.fixture
def keyed(local_org: sf.LocalOrg, org: sf.Org) -> sf.Org:
    local_org.deploy([{"name": "Account", "fields": FIELDS}])
    return org


def by(api: Api = "bulk2", **more: Any) -> sf.LoadOptions:
    return sf.LoadOptions(api=api, on_failed="ignore", pacing=BRISK, **more)


def loaded(
    frame: object,
    org: sf.Org,
    operation: Operation = "insert",
    options: sf.LoadOptions | None = None,
    *,
    on_invalid: OnInvalid = "raise",
    results: Path | None = None,
) -> sf.LoadResult[Any]:
    return sf.write_sobject(
        frame,
        "Account",
        operation=operation,
        external_id_field="Ext_Id__c" if operation == "upsert" else None,
        org=org,
        on_invalid=on_invalid,
        results=results,
        options=options or by(),
    )


# -- which input row is this result? ---------------------------------------------------------------------------------


@pytest.mark.parametrize("api", CARRIERS)
def test_pain_simple_salesforce_313_each_result_stands_beside_its_row(
    keyed: sf.Org, local_org: sf.LocalOrg, api: Api
) -> None:
    frame = pl.DataFrame({"Name": [f"n{row % 50}" for row in range(200)], "Amount__c": [row / 4 for row in range(200)]})
    result = loaded(frame, keyed, options=by(api, limits=sf.LoadLimits(rows_per_job=60)))
    assert result.frame.select("Name", "Amount__c").equals(frame)
    told = result.frame.select("sf__Id", "Name", "Amount__c").sort("sf__Id")
    assert told.rows() == local_org.table("Account").select("Id", "Name", "Amount__c").sort("Id").rows()


@pytest.mark.parametrize("api", CARRIERS)
def test_pain_jsforce_837_failed_rows_do_not_shift_the_answers_of_the_others(keyed: sf.Org, api: Api) -> None:
    loaded([{"Name": "old", "Ext_Id__c": "k3"}, {"Name": "old", "Ext_Id__c": "k7"}], keyed)
    frame = pl.DataFrame({"Name": [f"n{row}" for row in range(10)], "Ext_Id__c": [f"k{row}" for row in range(10)]})
    answers = loaded(frame, keyed, options=by(api)).frame
    assert answers.filter(sf__ErrorCode="DUPLICATE_VALUE")["Ext_Id__c"].to_list() == ["k3", "k7"]
    created = answers.filter(sf__Status="created")
    read = sf.read_soql("SELECT Id, Ext_Id__c FROM Account WHERE Name != 'old'", org=keyed)
    assert dict(created.select("Ext_Id__c", "sf__Id").rows()) == dict(read.select("Ext_Id__c", "Id").rows())


def test_pain_salesforcer_37_ids_of_updates_and_deletes_are_in_the_answer(keyed: sf.Org) -> None:
    ids = loaded([{"Name": "a"}, {"Name": "b"}], keyed).frame
    made = [row["sf__Id"] for row in ids]
    changed = loaded(pl.DataFrame({"Id": made, "Name": ["A", "B"]}), keyed, "update")
    gone = loaded(pl.DataFrame({"Id": made[::-1]}), keyed, "delete")
    assert changed.frame["sf__Id"].to_list() == made
    assert gone.frame["sf__Id"].to_list() == made[::-1]


def test_pain_cli_1888_all_answers_can_be_had_as_one_file_with_the_rows(keyed: sf.Org, tmp_path: Path) -> None:
    frame = pl.DataFrame({"Name": ["a", "x" * 300, "c"]})
    result = loaded(frame, keyed, on_invalid="reject", results=tmp_path / "answers.csv")
    saved = pl.read_csv(tmp_path / "answers.csv")
    assert saved.select("Name", "sf__Status").rows() == [("a", "created"), ("x" * 300, "rejected"), ("c", "created")]
    assert saved["sf__Id"].to_list() == result.frame["sf__Id"].to_list()


# -- null, empty, #N/A -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("api", CARRIERS)
def test_pain_jsforce_80_a_null_clears_the_field_on_update(keyed: sf.Org, local_org: sf.LocalOrg, api: Api) -> None:
    row = {"Ext_Id__c": "k", "Name": "a", "Phone": "1", "Amount__c": 2.5, "Day__c": dt.date(2026, 1, 2)}
    loaded([row], keyed)
    loaded([{**row, "Phone": None, "Amount__c": None, "Day__c": None}], keyed, "upsert", by(api))
    stored = local_org.table("Account").select("Name", "Phone", "Amount__c", "Day__c")
    assert stored.rows() == [("a", None, None, None)]


def test_pain_simple_salesforce_442_none_nan_and_nat_of_pandas_are_null_and_no_text(
    keyed: sf.Org, local_org: sf.LocalOrg
) -> None:
    frame = pd.DataFrame(
        {"Name": ["a", "b"], "Phone": [None, float("nan")], "Amount__c": [1.0, float("nan")], "Day__c": [pd.NaT] * 2}
    )
    loaded(frame, keyed)
    stored = local_org.table("Account").sort("Name").select("Phone", "Amount__c", "Day__c")
    assert stored.rows() == [(None, 1.0, None), (None, None, None)]


@pytest.mark.parametrize("api", CARRIERS)
@pytest.mark.parametrize("text", ["null", "NULL", "None", "nan", "N/A", "undefined", "0", "false"])
def test_pain_cli_1447_text_that_looks_like_null_stays_text(
    keyed: sf.Org, local_org: sf.LocalOrg, api: Api, text: str
) -> None:
    loaded([{"Name": text, "Phone": text}], keyed, options=by(api))
    assert local_org.table("Account").select("Name", "Phone").rows() == [(text, text)]


def test_pain_dataloader_23_in_a_file_an_empty_cell_leaves_and_the_mark_clears(
    keyed: sf.Org, local_org: sf.LocalOrg, tmp_path: Path
) -> None:
    loaded([{"Ext_Id__c": key, "Name": key, "Phone": "1", "Fax": "2"} for key in ("k1", "k2")], keyed)
    path = tmp_path / "rows.csv"
    path.write_text('Ext_Id__c,Phone,Fax\nk1,,#N/A\nk2,#N/A,""\n')
    loaded(path, keyed, "upsert")
    stored = local_org.table("Account").sort("Name").select("Phone", "Fax")
    assert stored.rows() == [("1", None), (None, "2")]


def test_pain_jsforce_258_a_column_that_the_first_record_lacks_is_sent(keyed: sf.Org, local_org: sf.LocalOrg) -> None:
    loaded([{"Name": "a"}, {"Name": "b", "Phone": "2"}, {"Phone": "3", "Name": "c"}], keyed)
    assert local_org.table("Account").sort("Name").select("Name", "Phone").rows() == [
        ("a", None),
        ("b", "2"),
        ("c", "3"),
    ]


# -- splitting -------------------------------------------------------------------------------------------------------


def test_pain_jsforce_31_more_rows_than_a_batch_takes_become_several(keyed: sf.Org, local_org: sf.LocalOrg) -> None:
    frame = pl.DataFrame({"Name": "n" + pl.int_range(10_001, eager=True).cast(pl.String)})
    result = loaded(frame, keyed, options=by("bulk1"))
    assert result.counts == {"created": 10_001}
    assert (len(result.jobs), result.cost.batches) == (1, 2)
    assert local_org.table("Account")["Name"].n_unique() == 10_001


@pytest.mark.parametrize("api", ["bulk2", "bulk1"])
def test_pain_cli_1460_no_upload_is_larger_than_allowed_and_none_is_cut_within_a_record(
    keyed: sf.Org, local_org: sf.LocalOrg, api: Api
) -> None:
    notes = ['line one\nline "two", and more ' * (row % 40) for row in range(200)]
    frame = pl.DataFrame({"Name": [f"n{row}" for row in range(200)], "Note__c": notes})
    loaded(frame, keyed, options=by(api, limits=sf.LoadLimits(bytes_per_job=5_000)))
    log = local_org.request_log().filter(pl.col("path").str.contains(r"/batch(es)?$"), pl.col("bytes_in") > 0)
    assert log.filter(pl.col("bytes_in") > 5_000).height == 0
    assert log.height > 10
    stored = local_org.table("Account").select("Name", pl.col("Note__c").fill_null("").str.strip_chars())
    assert dict(stored.rows()) == {f"n{row}": note.strip() for row, note in enumerate(notes)}


# -- partial results -------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("_own_home")
def test_pain_simple_salesforce_646_a_job_that_was_retried_too_often_still_tells_what_it_saved() -> None:
    with sf.LocalOrg(settings=Settings(batch_rows=10)) as local, sf.connect(local) as org:
        local.faults.add(Fault("job_fails", after_batches=2))
        result = loaded(pl.DataFrame({"Name": [f"n{row}" for row in range(35)]}), org)
        assert result.counts == {"created": 20, "unprocessed": 15}
        stored = local.table("Account").select("Name", "Id")
        assert dict(stored.rows()) == dict(result.succeeded.select("Name", "sf__Id").rows())
        assert result.notes == (f"job {result.jobs[0]}: InternalServerError : Retried more than 20 times",)
        again = sf.retry(result, org=org, options=by())
        assert again.counts == {"created": 35}
        assert local.table("Account")["Name"].n_unique() == local.table("Account").height == 35


def test_pain_cumulusci_367_rows_that_failed_are_not_passed_over(keyed: sf.Org) -> None:
    frame = pl.DataFrame({"Name": ["a", "b"], "ParentId": [None, "001000000000000AAA"]})
    with pytest.warns(sf.RowsFailedWarning, match="1 failed"):
        result = loaded(frame, keyed, options=sf.LoadOptions())
    with pytest.raises(sf.RowsFailed):
        result.raise_for_failures()
    with pytest.raises(sf.RowsFailed):
        loaded(frame, keyed, options=sf.LoadOptions(on_failed="raise", again=True))


# -- newlines, quotes, encodings -------------------------------------------------------------------------------------

ODD = [
    '"',
    '""',
    'say "hi", twice',
    "a\nb",
    "a\r\nb",
    ",,",
    "tab\there",
    "'; --",
    "\\n",
    "=1+1",
    "日本語 çé ß",
    "🎈👩‍👩‍👧",
    "\u2028",
]


@pytest.mark.parametrize("api", CARRIERS)
def test_pain_jsforce_596_quotes_commas_newlines_and_all_scripts_arrive_and_come_back(
    keyed: sf.Org, local_org: sf.LocalOrg, api: Api
) -> None:
    frame = pl.DataFrame({"Name": [f"n{row:02}" for row in range(len(ODD))], "Note__c": [f"<{text}>" for text in ODD]})
    result = loaded(frame, keyed, options=by(api))
    assert result.frame.select("Name", "Note__c").equals(frame)
    stored = local_org.table("Account").sort("Name")
    assert [text.replace("\r\n", "\n") for text in stored["Note__c"]] == [
        text.replace("\r\n", "\n") for text in frame["Note__c"]
    ]
    assert stored["Id"].to_list() == result.frame["sf__Id"].to_list()


@pytest.mark.parametrize("ends", ["\n", "\r\n"])
def test_pain_cli_3113_a_file_may_have_either_line_end(
    keyed: sf.Org, local_org: sf.LocalOrg, tmp_path: Path, ends: str
) -> None:
    path = tmp_path / "rows.csv"
    path.write_bytes(ends.join(["Name,Note__c", 'a,"x, y"', "b,ü", ""]).encode())
    result = loaded(path, keyed)
    assert result.frame["sf__Status"].to_list() == ["created", "created"]
    assert local_org.table("Account").sort("Name").select("Name", "Note__c").rows() == [("a", "x, y"), ("b", "ü")]


def test_pain_simple_salesforce_710_a_surrogate_that_is_no_letter_is_refused_and_nothing_is_sent(
    keyed: sf.Org, local_org: sf.LocalOrg
) -> None:
    with pytest.raises(sf.FrameError, match="cannot be read"):
        loaded([{"Name": "half \ud83d letter"}], keyed)
    assert local_org.table("Account").height == 0


# -- numbers and days ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("api", CARRIERS)
def test_pain_cli_3367_large_and_small_numbers_arrive_as_they_are(
    keyed: sf.Org, local_org: sf.LocalOrg, api: Api
) -> None:
    numbers = [1e15, 123456789012345.5, 0.01, -0.01, 1e-7, 100.0, 0.1 + 0.2]
    result = loaded(pl.DataFrame({"Name": list("abcdefg"), "Amount__c": numbers}), keyed, options=by(api))
    assert set(result.frame["sf__Status"]) == {"created"}
    assert result.frame["Amount__c"].to_list() == numbers
    stored = local_org.table("Account").sort("Name")["Amount__c"].to_list()
    assert [float(one) for one in stored] == [round(one, 2) for one in numbers]


@pytest.mark.parametrize("api", CARRIERS)
def test_pain_dataloader_456_a_day_is_the_same_day_in_any_zone(keyed: sf.Org, local_org: sf.LocalOrg, api: Api) -> None:
    days = [dt.date(2026, 3, 29), dt.date(2026, 12, 31), dt.date(1970, 1, 1)]
    frame = pl.DataFrame({"Name": list("abc"), "Day__c": days})
    loaded(frame, keyed, options=by(api, timezone="Pacific/Kiritimati"))
    assert local_org.table("Account").sort("Name")["Day__c"].to_list() == days


# -- heap ------------------------------------------------------------------------------------------------------------


def test_pain_jsforce_543_a_long_stream_is_never_whole_in_memory(keyed: sf.Org) -> None:
    alive: set[int] = set()
    most = 0

    def pieces() -> Iterator[pl.DataFrame]:
        nonlocal most
        for number in range(15):
            piece = pl.DataFrame({"Name": pl.int_range(20_000, eager=True).cast(pl.String) + f" {number}"})
            alive.add(number)
            weakref.finalize(piece, alive.discard, number)
            gc.collect()
            most = max(most, len(alive))
            yield piece

    result = loaded(pieces(), keyed, options=by(dry_run=True))
    assert result.counts == {"unprocessed": 300_000}
    assert most <= 8


# -- timeouts and sessions -------------------------------------------------------------------------------------------


def test_pain_jsforce_901_a_timeout_says_how_to_go_on_and_the_answers_are_not_lost(
    keyed: sf.Org, local_org: sf.LocalOrg
) -> None:
    local_org.faults.add(Fault("job_stuck"))
    with pytest.raises(sf.JobTimeout) as told:
        loaded([{"Name": "a"}], keyed, options=sf.LoadOptions(api="bulk2", pacing=sf.Pacing(first=0.01, timeout=0.05)))
    job = told.value.job_id
    assert job in str(told.value)
    assert f"sfframe.resume({told.value.run!r})" in told.value.remedy
    assert sf.get_job(job, org=keyed).check().state in ("UploadComplete", "InProgress")  # salesforcer #13: not aborted
    local_org.faults.clear()
    local_org.release(job)
    assert sf.resume(told.value.run, org=keyed, options=by()).counts == {"created": 1}


@pytest.mark.parametrize("api", CARRIERS)
def test_pain_simple_salesforce_272_a_session_that_ends_on_the_way_is_renewed(local_org: sf.LocalOrg, api: Api) -> None:
    login = local_org.credentials
    with sf.connect(
        instance_url=local_org.url, client_id=login.client_id, client_secret=login.client_secret, fresh=True
    ) as org:
        local_org.faults.add(Fault("expire_session", path="*/job*", nth=(2, 4)))
        local_org.faults.add(Fault("expire_session", path="*/composite*", nth=2))
        frame = pl.DataFrame({"Name": [f"n{row}" for row in range(90)]})
        result = loaded(frame, org, options=by(api, limits=sf.LoadLimits(rows_per_job=30, lanes=1)))
        assert sum(times for _, times in local_org.faults.struck) >= 1
    assert result.counts == {"created": 90}
    assert local_org.table("Account")["Name"].n_unique() == local_org.table("Account").height == 90


# -- locks -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("api", CARRIERS)
def test_pain_jsforce_158_rows_that_were_locked_are_told_apart_and_tried_again(
    keyed: sf.Org, local_org: sf.LocalOrg, api: Api
) -> None:
    local_org.faults.add(Fault("lock_rows", share=0.5, nth=1))
    result = loaded(pl.DataFrame({"Name": [f"n{row}" for row in range(20)]}), keyed, options=by(api))
    assert result.counts == {"created": 10, "failed": 10}
    assert result.triage().select("code", "rows", "again").rows() == [("UNABLE_TO_LOCK_ROW", 10, True)]
    again = sf.retry(result, org=keyed, options=by(api))
    assert again.counts == {"created": 20}
    assert local_org.table("Account")["Name"].n_unique() == local_org.table("Account").height == 20


def test_pain_cli_882_serial_mode_keeps_batches_from_locking_each_others_parent() -> None:
    with sf.LocalOrg(settings=Settings(parallel_batches_lock_parents=True)) as local, sf.connect(local) as org:
        (parent,) = local.insert("Account", pl.DataFrame({"Name": ["p"]}))
        children = pl.DataFrame({"LastName": [f"c{row}" for row in range(40)], "AccountId": parent})
        options = by("auto", headers=sf.LoadHeaders(serial=True), limits=sf.LoadLimits(rows_per_job=10))
        result = sf.write_sobject(children, "Contact", operation="insert", org=org, options=options)
        assert result.counts == {"created": 40}
        job = sf.get_job(result.jobs[0], org=org)
        assert isinstance(job, sf.Bulk1Job)
        assert job.check().concurrency_mode == "Serial"


def test_pain_sfdmu_814_rows_of_one_parent_can_be_kept_in_one_job(keyed: sf.Org, local_org: sf.LocalOrg) -> None:
    parents = local_org.insert("Account", pl.DataFrame({"Name": [f"p{row}" for row in range(4)]}))
    children = pl.DataFrame({"LastName": [f"c{row}" for row in range(40)], "AccountId": parents * 10})
    options = by("bulk2", sort_by_parent="AccountId", limits=sf.LoadLimits(rows_per_job=20))
    result = sf.write_sobject(children, "Contact", operation="insert", org=keyed, options=options)
    jobs = result.frame.group_by("AccountId").agg(pl.col("sf__Job").n_unique())
    assert jobs["sf__Job"].to_list() == [1, 1, 1, 1]
