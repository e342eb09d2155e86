"""Loads that come in pieces, are counted before they go, or are named: streams, guards, dry runs, run keys."""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import polars as pl
import pyarrow as pa
import pytest

import sfframe as sf
from sfframe import load
from sfframe.frames.checking import Checker
from sfframe.frames.feed import Feed, settle
from sfframe.frames.intake import STREAM_ROWS, Stream, take_rows
from sfframe.jobs.ledger import Ledger
from sfframe.state import home

KEY = {"name": "Ext_Id__c", "type": "string", "length": 20, "externalId": True, "unique": True}
MANY = STREAM_ROWS + 5_000


@pytest.fixture(autouse=True)
def _own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SFFRAME_HOME", str(tmp_path / "home"))


@pytest.fixture
def keyed(local_org: sf.LocalOrg, org: sf.Org) -> sf.Org:
    local_org.deploy([{"name": "Account", "fields": [KEY]}])
    return org


def rows(count: int) -> pl.DataFrame:
    number = pl.int_range(count, dtype=pl.Int64, eager=True)
    return pl.DataFrame({"Ext_Id__c": "k" + number.cast(pl.String), "Name": "n" + number.cast(pl.String), "n": number})


def in_pieces(frame: pl.DataFrame, size: int) -> Iterator[pl.DataFrame]:
    return (frame[start : start + size] for start in range(0, frame.height, size))


def upserted(data: object, org: sf.Org, **more: Any) -> sf.LoadResult[Any]:
    return sf.write_sobject(
        data, "Account", operation="upsert", external_id_field="Ext_Id__c", columns={"n": None}, org=org, **more
    )


def test_a_stream_is_answered_row_by_row_in_its_own_order(keyed: sf.Org, tmp_path: Path) -> None:
    frame = rows(MANY).with_columns(Name=pl.when(pl.col("n") % 1_000 == 7).then(pl.lit("x" * 300)).otherwise("Name"))
    options = sf.LoadOptions(limits=sf.LoadLimits(rows_per_job=30_000), on_failed="ignore")
    result = upserted(
        in_pieces(frame, 17_001), keyed, on_invalid="reject", results=tmp_path / "answers.parquet", options=options
    )
    bad = frame.filter(pl.col("n") % 1_000 == 7).height
    assert result.counts == {"created": MANY - bad, "rejected": bad}
    saved = pl.read_parquet(tmp_path / "answers.parquet")
    assert saved.select(frame.columns).equals(frame)
    assert saved.filter(sf__Status="rejected")["n"].to_list() == frame.filter(pl.col("n") % 1_000 == 7)["n"].to_list()
    stored = sf.read_soql("SELECT Id, Ext_Id__c FROM Account", org=keyed)
    told = saved.filter(sf__Status="created").select("sf__Id", "Ext_Id__c")
    assert dict(told.rows()) == dict(stored.rows())
    assert result.failed.height == 0
    assert result.rejected.height == bad
    assert result.triage()["rows"].to_list() == [bad]
    assert not list((tmp_path / "home" / "runs").iterdir())


def test_the_same_key_in_far_off_batches_is_refused_before_anything_is_sent(keyed: sf.Org) -> None:
    frame = rows(MANY).with_columns(
        Ext_Id__c=pl.when(pl.col("n") == MANY - 1).then(pl.lit("K3")).otherwise("Ext_Id__c")
    )
    with pytest.raises(sf.ContractError) as refused:
        upserted(in_pieces(frame, 40_000), keyed)
    failures = refused.value.failures
    assert failures is not None
    assert failures.select("row", "value", "rule").rows() == [
        (3, "k3", "duplicate_key"),
        (MANY - 1, "K3", "duplicate_key"),
    ]
    assert sf.read_soql("SELECT COUNT() FROM Account", org=keyed).item() == 0


@pytest.mark.parametrize("kind", ["lazy", "reader", "frames", "parquet", "csv", "ipc", "jsonl"])
def test_everything_that_streams_gives_the_rows_of_the_whole(kind: str, tmp_path: Path) -> None:
    frame = rows(2_500).with_columns(text=pl.lit('a, "b"\n\u00e9'), none=pl.lit(None, pl.String), sf__Id=pl.lit("x"))
    path = tmp_path / f"rows.{'arrow' if kind == 'ipc' else kind}"
    match kind:
        case "lazy":
            given: object = frame.lazy()
        case "reader":
            given = pa.RecordBatchReader.from_batches(frame.to_arrow().schema, frame.to_arrow().to_batches())
        case "frames":
            given = in_pieces(frame, 999)
        case "parquet":
            frame.write_parquet(path, row_group_size=600)
            given = path
        case "csv":
            path.write_bytes(b"\xef\xbb\xbf" + frame.write_csv().encode())
            given = path
        case "ipc":
            frame.write_ipc(path)
            given = path
        case _:
            frame.write_ndjson(path)
            given = path
    taken = take_rows(given, whole_below=1)
    assert isinstance(taken, Stream)
    got = pl.concat(list(taken.batches))
    expected = frame.drop("sf__Id")
    if kind == "csv":
        expected = expected.with_columns(pl.col("n").cast(pl.String))
    if kind == "jsonl":
        got = got.with_columns(pl.col("none").cast(pl.String))
    assert got.equals(expected)


def test_batches_of_other_columns_are_refused() -> None:
    taken = take_rows(iter([rows(2), rows(2).with_columns(n=pl.lit("text"))]))
    assert isinstance(taken, Stream)
    with pytest.raises(sf.FrameError, match="batch 1 differs from the first one: String instead of Int64"):
        list(taken.batches)


def test_results_go_to_a_folder_and_the_orgs_own_files_beside_them(keyed: sf.Org, tmp_path: Path) -> None:
    options = sf.LoadOptions(api="bulk2", keep_raw=True, cleanup=True)
    result = upserted(rows(10), keyed, results=tmp_path / "answers", options=options)
    assert result.counts == {"created": 10}
    assert pl.read_parquet(tmp_path / "answers" / "*.parquet").equals(result.frame)
    kinds = sorted(file.name.split(".")[2] for file in (tmp_path / "answers.raw").iterdir())
    assert kinds == ["failed", "succeeded", "unprocessed"]
    assert sf.list_jobs(org=keyed).height == 0


def test_guards_stop_a_load_that_would_do_more_than_meant(keyed: sf.Org) -> None:
    upserted(rows(5), keyed)
    ids = sf.read_soql("SELECT Id FROM Account", org=keyed)

    def with_guards(**guards: int) -> sf.LoadOptions:
        return sf.LoadOptions(guards=sf.Guards(**guards))

    with pytest.raises(sf.UsageError, match="would create 3 records, and max_creates allows 2"):
        upserted(rows(8), keyed, options=with_guards(max_creates=2))
    with pytest.raises(sf.UsageError, match="would delete 5 records, and max_deletes allows 4"):
        sf.write_sobject(ids, "Account", operation="delete", org=keyed, options=with_guards(max_deletes=4))
    cleared = ids.with_columns(Phone=pl.lit(None, pl.String))
    with pytest.raises(sf.UsageError, match="would clear 5 fields, and max_clears allows 0"):
        sf.write_sobject(cleared, "Account", operation="update", org=keyed, options=with_guards(max_clears=0))
    with pytest.raises(sf.UsageError, match="would create 2 records, and max_creates allows 1"):
        sf.write_sobject(
            rows(2).select("Name"), "Account", operation="insert", org=keyed, options=with_guards(max_creates=1)
        )
    assert sf.history()["run"].len() == 1
    assert upserted(rows(7), keyed, options=with_guards(max_creates=2)).counts == {"created": 2, "updated": 5}


def test_a_dry_run_checks_and_counts_and_sends_nothing(keyed: sf.Org, local_org: sf.LocalOrg) -> None:
    frame = rows(25_000).with_columns(Name=pl.when(pl.col("n") == 3).then(pl.lit("x" * 300)).otherwise("Name"))
    before = local_org.request_log().height
    options = sf.LoadOptions(dry_run=True, on_failed="ignore")
    result = upserted(frame, keyed, on_invalid="reject", options=options)
    assert result.counts == {"rejected": 1, "unprocessed": 24_999}
    assert (result.cost.rows, result.cost.jobs, result.cost.batches) == (24_999, 1, 3)
    assert result.cost.bytes_sent > 24_999 * 10
    assert set(result.cost.shares) == {"batches", "rows", "calls"}
    assert result.cost.shares["batches"] == 3 / 15_000
    sent = local_org.request_log()[before:]
    assert sent.filter(pl.col("method") != "GET").height == 0
    assert sf.history().height == 0


def test_the_same_insert_is_refused_a_second_time_unless_it_is_meant(org: sf.Org) -> None:
    frame = pl.DataFrame({"Name": ["a", "b"]})
    first = sf.write_sobject(frame, "Account", operation="insert", org=org)
    choices: tuple[Literal["raise", "reject"], ...] = ("raise", "reject")
    for on_invalid in choices:
        with pytest.raises(sf.UsageError, match="The same rows were inserted before, 2 of them with success") as told:
            sf.write_sobject(frame, "Account", operation="insert", org=org, on_invalid=on_invalid)
        assert first.run in str(told.value)
    assert sf.history().height == 1
    assert sf.read_soql("SELECT COUNT() FROM Account", org=org).item() == 2
    again = sf.LoadOptions(again=True)
    assert sf.write_sobject(frame, "Account", operation="insert", org=org, options=again).counts == {"created": 2}
    more = pl.concat([frame, pl.DataFrame({"Name": ["c"]})])
    assert sf.write_sobject(more, "Account", operation="insert", org=org).counts == {"created": 3}


@pytest.mark.parametrize("on_invalid", ["raise", "reject"])
def test_the_same_insert_is_known_however_it_is_cut(org: sf.Org, on_invalid: Literal["raise", "reject"]) -> None:
    frame = pl.DataFrame({"Name": [f"n{row}" for row in range(30)]})
    sf.write_sobject(frame, "Account", operation="insert", org=org, options=sf.LoadOptions(api="bulk2"))
    smaller = sf.LoadOptions(api="bulk2", limits=sf.LoadLimits(rows_per_job=7))
    with pytest.raises(sf.UsageError, match="The same rows were inserted before, 30 of them with success"):
        sf.write_sobject(frame, "Account", operation="insert", org=org, on_invalid=on_invalid, options=smaller)
    assert sf.read_soql("SELECT COUNT() FROM Account", org=org).item() == 30


def test_an_insert_that_may_be_a_second_one_is_promised_whole_before_any_of_it_is_sent(org: sf.Org) -> None:
    frame = pl.DataFrame({"Name": [f"n{row}" for row in range(30)]})
    sf.write_sobject(frame, "Account", operation="insert", org=org)
    others = frame.with_columns(Name="other " + pl.col("Name"))
    options = sf.LoadOptions(api="bulk2", limits=sf.LoadLimits(rows_per_job=7))
    with load.new_folder() as folder, Ledger.open(home()) as ledger:
        checker = Checker("Account", org, "insert")
        kept, twins = settle(take_rows(others), checker, folder)
        feed = Feed(kept, checker, folder, twins)
        prepared = load.prepare(feed, org, options, lazily=True, check=lambda _fed: None)
        first = next(iter(prepared.parts(ledger)))
        assert (first.number, len(ledger.parts(prepared.run.run_id))) == (0, 5)


def test_an_insert_of_which_no_row_succeeded_can_be_repeated(org: sf.Org) -> None:
    frame = pl.DataFrame({"Name": ["a"], "ParentId": ["001000000000000AAA"]})
    silent = sf.LoadOptions(on_failed="ignore")
    for _ in range(2):
        result = sf.write_sobject(frame, "Account", operation="insert", org=org, options=silent)
        assert result.counts == {"failed": 1}


def test_a_run_key_gives_the_stored_answers_and_refuses_other_rows(
    keyed: sf.Org, local_org: sf.LocalOrg, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame = pl.DataFrame({"Name": ["a", "b"]})
    named = sf.LoadOptions(run_key="nightly")
    first = sf.write_sobject(frame, "Account", operation="insert", org=keyed, options=named)
    before = local_org.request_log().height
    second = sf.write_sobject(frame, "Account", operation="insert", org=keyed, options=named)
    assert second.run == first.run
    assert second.frame.equals(first.frame)
    assert not [path for path in local_org.request_log()[before:]["path"] if "/jobs/" in path]
    with pytest.raises(sf.UsageError, match="'nightly' names a load of other rows"):
        sf.write_sobject(frame.reverse(), "Account", operation="insert", org=keyed, options=named)
    assert sf.read_soql("SELECT COUNT() FROM Account", org=keyed).item() == 2


def test_a_run_key_goes_on_with_a_load_that_broke_off(keyed: sf.Org) -> None:
    frame = pl.DataFrame({"Name": ["a", "b"]})
    hasty = sf.LoadOptions(run_key="nightly", pacing=sf.Pacing(timeout=0))
    with pytest.raises(sf.JobTimeout):
        sf.write_sobject(frame, "Account", operation="insert", org=keyed, options=hasty)
    patient = sf.LoadOptions(run_key="nightly")
    assert sf.write_sobject(frame, "Account", operation="insert", org=keyed, options=patient).counts == {"created": 2}
    assert sf.history().height == 1


def test_files_are_kept_for_as_long_as_asked(org: sf.Org, tmp_path: Path) -> None:
    runs = tmp_path / "home" / "runs"
    over = sf.LoadOptions(keep=dt.timedelta(seconds=-1))
    for_ever = sf.LoadOptions(keep=True)
    two = sf.write_sobject([{"Name": "b"}], "Account", operation="insert", org=org, options=for_ever)
    one = sf.write_sobject([{"Name": "a"}], "Account", operation="insert", org=org, options=over)
    assert {one.run, two.run} == {folder.name for folder in runs.iterdir()}
    sf.write_sobject([{"Name": "c"}], "Account", operation="insert", org=org)
    assert {folder.name for folder in runs.iterdir()} == {two.run}
    assert {file.stat().st_mode & 0o777 for file in (runs / two.run).iterdir()} == {0o600}


def test_rows_of_one_parent_stay_in_one_part_and_hot_parents_are_named(org: sf.Org, local_org: sf.LocalOrg) -> None:
    parents = local_org.insert("Account", pl.DataFrame({"Name": ["p0", "p1", "p2", "p3"]}))
    counts = [6, 3, 25, 4]
    frame = pl.DataFrame(
        {
            "LastName": [f"c{n}" for n in range(sum(counts))],
            "AccountId": [parents[p] for p, count in enumerate(counts) for _ in range(count)],
        }
    ).sample(fraction=1, shuffle=True, seed=4)
    limits = sf.LoadLimits(rows_per_job=10)
    options = sf.LoadOptions(limits=limits, sort_by_parent="AccountId", api="bulk2")
    result = sf.write_sobject(frame, "Contact", operation="insert", org=org, options=options)
    assert result.frame.select(frame.columns).equals(frame)
    jobs_of = result.frame.group_by("AccountId").agg(pl.col("sf__Job").n_unique().alias("jobs"))
    assert dict(jobs_of.rows()) == {parents[0]: 1, parents[1]: 1, parents[2]: 3, parents[3]: 1}
    assert [note for note in result.notes if "lock" in note] == [
        f"1 parents in AccountId have more than 10 rows, which may lock each other out: {parents[2]} (25 rows)"
    ]


def test_a_delimiter_and_line_ending_of_the_callers_go_out(org: sf.Org, local_org: sf.LocalOrg) -> None:
    options = sf.LoadOptions(column_delimiter="PIPE", line_ending="CRLF", keep=True)
    frame = pl.DataFrame({"Name": ["a|b", "c,d"], "Phone": ["1", None]})
    result = sf.write_sobject(frame, "Account", operation="insert", org=org, options=options)
    assert result.frame.select("Name", "Phone").equals(frame)
    (spooled,) = (home() / "runs" / result.run).glob("part-?????.csv")
    assert spooled.read_bytes() == b'Name|Phone\r\n"a|b"|1\r\nc,d|\r\n'
    (job,) = sf.list_jobs(org=org)["id"].to_list()
    told = sf.get_job(job, org=org).check()
    assert told.state == "JobComplete"


def test_a_cancelled_lazy_load_ends_soon_and_says_how_to_go_on(keyed: sf.Org) -> None:
    cancel = threading.Event()

    def pieces() -> Iterator[pl.DataFrame]:
        yield rows(STREAM_ROWS)
        cancel.set()
        yield rows(STREAM_ROWS + 10)[STREAM_ROWS:]

    with pytest.raises(sf.Cancelled, match="resume"):
        sf.write_sobject(
            pieces(),
            "Account",
            operation="insert",
            columns={"n": None},
            on_invalid="reject",
            org=keyed,
            options=sf.LoadOptions(cancel=cancel),
        )
    run = sf.history()["run"].item(0)
    resumed = sf.resume(run, org=keyed, options=sf.LoadOptions(on_failed="ignore"))
    assert resumed.frame.height == STREAM_ROWS + 10
    assert resumed.counts["created"] == sf.read_soql("SELECT COUNT() FROM Account", org=keyed).item()
    assert set(resumed.counts) <= {"created", "unprocessed"}


def test_a_lazy_load_that_fails_before_its_first_part_leaves_no_trace(keyed: sf.Org, tmp_path: Path) -> None:
    frame = rows(3).with_columns(Name=pl.lit("x" * 200))
    tiny = sf.LoadOptions(limits=sf.LoadLimits(bytes_per_job=60), api="bulk2")
    with pytest.raises(sf.FrameError, match="one upload takes 60"):
        upserted(frame, keyed, on_invalid="reject", options=tiny)
    assert sf.history().height == 0
    assert not list((tmp_path / "home" / "runs").iterdir())


def test_a_load_of_a_stream_is_resumed_with_the_stream(keyed: sf.Org) -> None:
    frame = rows(5).drop("n")
    hasty = sf.LoadOptions(pacing=sf.Pacing(timeout=0), api="bulk2")
    with pytest.raises(sf.JobTimeout) as told:
        sf.write_sobject(in_pieces(frame, 2), "Account", operation="insert", org=keyed, options=hasty)
    result = sf.resume(told.value.run, rows=in_pieces(frame, 3), org=keyed)
    assert result.frame.select(frame.columns).equals(frame)
    assert result.counts == {"created": 5}


def test_an_events_listener_hears_beside_the_bar(org: sf.Org) -> None:
    heard: list[str] = []
    options = sf.LoadOptions(on_event=lambda event: heard.append(event.kind))
    sf.write_sobject([{"Name": "a"}], "Account", operation="insert", org=org, options=options)
    assert heard[:3] == ["open", "uploaded", "closed"]
    assert heard[-2:] == ["ended", "response"]


def test_settings_of_a_run_hold_no_values(org: sf.Org, tmp_path: Path) -> None:
    sf.write_sobject([{"Name": "secret name"}], "Account", operation="insert", org=org)
    ledger = (tmp_path / "home" / "ledger.sqlite").read_bytes()
    assert b"secret name" not in ledger
