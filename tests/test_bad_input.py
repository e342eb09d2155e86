"""Bad input: what happened, where, the org's own words, what to do; and nothing was sent."""

from __future__ import annotations

import datetime as dt
import pickle
from pathlib import Path

import polars as pl
import pytest

import sfframe as sf
from sfframe.localorg import Settings

KEY = {"name": "Ext_Id__c", "type": "string", "length": 20, "externalId": True, "unique": True}


@pytest.fixture
def keyed(local_org: sf.LocalOrg, org: sf.Org) -> sf.Org:
    local_org.deploy([{"name": "Account", "fields": [KEY]}])
    return org


def refusals(raised: pytest.ExceptionInfo[sf.ContractError]) -> list[tuple[int | None, str, str]]:
    assert raised.value.failures is not None
    return list(raised.value.failures.select("row", "column", "rule").iter_rows())


def nothing_was_sent(org: sf.Org) -> bool:
    return bool(sf.read_soql("SELECT COUNT() FROM Account", org=org).item() == 0)


def test_a_frame_without_rows_is_a_success_without_a_call(org: sf.Org) -> None:
    result = sf.write_sobject(pl.DataFrame({"Name": []}), "Account", operation="insert", org=org)
    assert (result.ok, result.counts, org.calls) == (True, {}, 0)
    assert result.frame.columns == ["Name", *result.answers.columns[1:]]
    assert result.summary() == "no call made: insert Account\n0 rows: nothing to do"


def test_a_frame_without_columns_is_refused(org: sf.Org) -> None:
    with pytest.raises(sf.FrameError, match="no columns"):
        sf.write_sobject(pl.DataFrame(), "Account", operation="insert", org=org)
    assert org.calls == 0


def test_an_unknown_object_is_named_with_those_that_may_have_been_meant(org: sf.Org) -> None:
    with pytest.raises(sf.NotFound) as raised:
        sf.write_sobject([{"Name": "x"}], "Acount", operation="insert", org=org)
    assert "'Acount'" in raised.value.what
    assert raised.value.said == "NOT_FOUND: The requested resource does not exist"
    assert raised.value.remedy.startswith("Did you mean Account")


def test_an_unknown_column_is_named_with_near_matches_and_the_way_out(org: sf.Org) -> None:
    with pytest.raises(sf.ContractError) as raised:
        sf.write_sobject([{"Name": "x", "Indstry": "Energy"}], "Account", operation="insert", org=org)
    assert refusals(raised) == [(None, "Indstry", "unknown_column")]
    assert raised.value.failures is not None
    message = raised.value.failures["message"][0]
    assert "Did you mean Industry?" in message
    assert "columns={'Indstry': None}" in message
    assert nothing_was_sent(org)


@pytest.mark.parametrize("operation", ["Insert", "merge", ""])
def test_a_wrong_operation_is_refused_with_the_right_ones(org: sf.Org, operation: str) -> None:
    with pytest.raises(sf.UsageError, match="insert, update, upsert, delete, hardDelete"):
        sf.write_sobject([{"Name": "x"}], "Account", operation=operation, org=org)  # type: ignore[call-overload]
    assert org.calls == 0


def test_an_upsert_without_its_key_is_refused(keyed: sf.Org) -> None:
    with pytest.raises(sf.UsageError, match="external_id_field is not given"):
        sf.write_sobject([{"Name": "x"}], "Account", operation="upsert", org=keyed)
    with pytest.raises(sf.ContractError, match="Ext_Id__c"):
        sf.write_sobject([{"Name": "x"}], "Account", operation="upsert", external_id_field="Ext_Id__c", org=keyed)
    with pytest.raises(sf.ContractError, match="finds no records"):
        sf.write_sobject(
            [{"Name": "x", "Phone": "1"}], "Account", operation="upsert", external_id_field="Phone", org=keyed
        )
    assert nothing_was_sent(keyed)


def test_null_and_duplicate_keys_are_refused_row_by_row(keyed: sf.Org) -> None:
    frame = pl.DataFrame({"Ext_Id__c": ["a", None, "b", "A", ""], "Name": ["1", "2", "3", "4", "5"]})
    with pytest.raises(sf.ContractError) as raised:
        sf.write_sobject(frame, "Account", operation="upsert", external_id_field="Ext_Id__c", org=keyed)
    assert refusals(raised) == [
        (0, "Ext_Id__c", "duplicate_key"),
        (1, "Ext_Id__c", "missing_key"),
        (3, "Ext_Id__c", "duplicate_key"),
        (4, "Ext_Id__c", "missing_key"),
    ]
    assert nothing_was_sent(keyed)


def test_a_file_that_is_not_utf8_is_refused_with_the_place(org: sf.Org, tmp_path: Path) -> None:
    (tmp_path / "latin.csv").write_bytes("Name\nMüller\n".encode("latin-1"))
    with pytest.raises(sf.FrameError, match="UTF-8") as raised:
        sf.write_sobject(tmp_path / "latin.csv", "Account", operation="insert", org=org)
    assert "latin.csv" in str(raised.value)
    assert org.calls == 0


def test_a_file_without_a_header_is_refused(org: sf.Org, tmp_path: Path) -> None:
    (tmp_path / "bare.csv").write_text("Acme,100\nInitech,200\n")
    with pytest.raises(sf.FrameError, match="its first record looks like data, not like names: Acme, 100"):
        sf.write_sobject(tmp_path / "bare.csv", "Account", operation="insert", org=org)
    (tmp_path / "void.csv").write_text("")
    with pytest.raises(sf.FrameError, match=r"empty|header"):
        sf.write_sobject(tmp_path / "void.csv", "Account", operation="insert", org=org)
    with pytest.raises(sf.FrameError, match=r"absent\.csv"):
        sf.write_sobject(tmp_path / "absent.csv", "Account", operation="insert", org=org)
    assert org.calls == 0


def test_the_text_that_means_null_in_a_csv_upload_cannot_be_sent(org: sf.Org) -> None:
    with pytest.raises(sf.ContractError) as raised:
        sf.write_sobject([{"Name": "Acme"}, {"Name": "#N/A"}], "Account", operation="insert", org=org)
    assert [(row, column) for row, column, _ in refusals(raised)] == [(1, "Name")]
    assert nothing_was_sent(org)


def test_a_naive_datetime_is_refused_until_somebody_says_its_zone(org: sf.Org, local_org: sf.LocalOrg) -> None:
    local_org.deploy([{"name": "Account", "fields": [{"name": "Seen__c", "type": "datetime"}]}])
    frame = pl.DataFrame({"Name": ["a", "b"], "Seen__c": [None, dt.datetime(2026, 3, 1, 12)]})
    with pytest.raises(sf.ContractError, match=r'timezone="Europe/Berlin"'):
        sf.write_sobject(frame, "Account", operation="insert", org=org)
    assert nothing_was_sent(org)
    options = sf.LoadOptions(timezone="Europe/Berlin")
    assert sf.write_sobject(frame, "Account", operation="insert", org=org, options=options).counts == {"created": 2}
    read = sf.read_soql("SELECT Name, Seen__c FROM Account ORDER BY Name", org=org)
    assert read.rows() == [("a", None), ("b", dt.datetime(2026, 3, 1, 11, tzinfo=dt.UTC))]


def test_nan_in_a_polars_frame_is_refused_and_in_pandas_is_null(org: sf.Org) -> None:
    import pandas as pd

    frame = pl.DataFrame({"Name": ["a", "b"], "AnnualRevenue": [1.5, float("nan")]})
    with pytest.raises(sf.ContractError) as raised:
        sf.write_sobject(frame, "Account", operation="insert", org=org)
    assert [(row, column) for row, column, _ in refusals(raised)] == [(1, "AnnualRevenue")]
    assert nothing_was_sent(org)
    result = sf.write_sobject(
        pd.DataFrame({"Name": ["a", "b"], "AnnualRevenue": [1.5, float("nan")]}), "Account", operation="insert", org=org
    )
    assert result.counts == {"created": 2}


def test_all_failures_come_at_once_and_reject_sends_the_other_rows(org: sf.Org, local_org: sf.LocalOrg) -> None:
    local_org.deploy([{"name": "Account", "fields": [KEY, {"name": "Since__c", "type": "date"}]}])
    frame = pl.DataFrame(
        {
            "Name": ["fine", None, "long" * 80, "fine too"],
            "Since__c": ["2020-02-29", "2021-02-29", "yesterday", None],
            "NumberOfEmployees": [1.0, 2.5, 3.0, 4.0],
            "OwnerId": [None, "not an id", None, None],
        }
    )
    with pytest.raises(sf.ContractError) as raised:
        sf.write_sobject(frame, "Account", operation="insert", org=org)
    assert [(row, column) for row, column, _ in refusals(raised)] == [
        (1, "Name"),
        (1, "Since__c"),
        (1, "NumberOfEmployees"),
        (1, "OwnerId"),
        (2, "Name"),
        (2, "Since__c"),
    ]
    assert nothing_was_sent(org)
    with pytest.warns(sf.RowsFailedWarning, match="2 created, 2 rejected"):
        result = sf.write_sobject(frame, "Account", operation="insert", on_invalid="reject", org=org)
    assert result.frame["sf__Status"].to_list() == ["created", "rejected", "rejected", "created"]
    assert result.rejected["Name"].to_list() == [None, "long" * 80]


def test_a_job_that_fails_as_a_whole_says_so_and_its_rows_are_accounted_for() -> None:
    settings = Settings(job_fails_after_batches=1, batch_rows=10)
    with sf.LocalOrg(settings=settings) as local, sf.connect(local) as org:
        frame = pl.DataFrame({"Name": [f"n{row}" for row in range(25)]})
        with pytest.warns(sf.RowsFailedWarning, match="10 created, 15 unprocessed"):
            result = sf.write_sobject(frame, "Account", operation="insert", org=org)
        assert result.notes == (f"job {result.jobs[0]}: InternalServerError : Retried more than 20 times",)
        assert result.frame["sf__Status"].to_list() == ["created"] * 10 + ["unprocessed"] * 15
        assert result.triage()["advice"].to_list() == [
            (
                "The job ended before it came to these rows. Load result.unprocessed again. "
                "Smaller parts help, and fewer triggers: work that takes too long is the usual cause."
            )
        ]
        with pytest.raises(sf.RowsFailed) as raised:
            result.raise_for_failures()
        assert raised.value.said == "InternalServerError : Retried more than 20 times (15 rows)"


def test_an_org_that_is_not_there_says_so() -> None:
    org = sf.connect(instance_url="http://127.0.0.1:1", access_token="00D!nothing")
    with org, pytest.raises(sf.ConnectionFailed, match=r"127\.0\.0\.1") as raised:
        sf.write_sobject([{"Name": "x"}], "Account", operation="insert", org=org)
    assert raised.value.remedy


def test_a_wrong_token_says_so_and_is_not_shown(local_org: sf.LocalOrg) -> None:
    org = sf.connect(instance_url=local_org.url, access_token="00D000000000000!hush-hush")
    with org, pytest.raises(sf.AuthenticationError) as raised:
        sf.write_sobject([{"Name": "x"}], "Account", operation="insert", org=org)
    assert "INVALID_SESSION_ID" in raised.value.said
    assert raised.value.remedy
    assert "hush-hush" not in f"{raised.value} {raised.value!r} {vars(raised.value)} {org!r}"


def test_wrong_client_credentials_say_so(local_org: sf.LocalOrg) -> None:
    org = sf.connect(instance_url=local_org.url, client_id="somebody", client_secret="hidden-away")
    with org, pytest.raises(sf.AuthenticationError) as raised:
        sf.describe("Account", org=org)
    assert "invalid_client" in raised.value.said
    assert "hidden-away" not in f"{raised.value} {raised.value!r} {vars(raised.value)} {org!r}"


def test_a_target_that_is_no_org_says_what_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(sf.UsageError, match='"local"'):
        sf.connect("prod")
    with pytest.raises(sf.UsageError, match="SF_INSTANCE_URL"):
        sf.connect()
    with pytest.raises(sf.UsageError, match="instance_url"):
        sf.connect(client_id="a", client_secret="b")


def test_a_query_that_is_wrong_shows_the_place(org: sf.Org) -> None:
    with pytest.raises(sf.SoqlSyntaxError) as syntax:
        sf.read_soql("SELECT Id FROM Account WHERE Name LIKE", org=org)
    assert (syntax.value.row, syntax.value.column) == (1, 39)
    with pytest.raises((sf.QueryError, sf.UsageError), match="Indstry"):
        sf.read_soql("SELECT Id, Indstry FROM Account", org=org)


def test_errors_survive_a_process_border(org: sf.Org) -> None:
    with pytest.raises(sf.ContractError) as raised:
        sf.write_sobject([{"Name": None, "Site": "x"}], "Account", operation="insert", org=org)
    again = pickle.loads(pickle.dumps(raised.value))  # noqa: S301 - our own
    assert str(again) == str(raised.value)
    assert again.failures.equals(raised.value.failures)
