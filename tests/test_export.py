"""Answers of any size as files: whole or not there, gone on with after a break, and cut into parts."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace

import polars as pl
import pytest

import sfframe as sf
from sfframe.errors import Cancelled, NotFound, UsageError
from sfframe.jobs.events import JobEvent
from sfframe.jobs.pacing import Pacing
from sfframe.localorg import Fault
from sfframe.localorg.store.settings import Settings
from tests.mirrored_accounts import mirrored_accounts

ROWS = 1_000
QUERY = "SELECT Id, Name, NumberOfEmployees FROM Account ORDER BY Id"
BULK = sf.ReadOptions(api="bulk2", pacing=Pacing(first=0.01), progress=False)
REST = sf.ReadOptions(api="rest", progress=False)
BULK1 = sf.ReadOptions(api="bulk1", pacing=Pacing(first=0.01), progress=False)
PLAIN = "SELECT Id, Name, NumberOfEmployees FROM Account"
WANTED = mirrored_accounts(ROWS)


@pytest.fixture(scope="module")
def served() -> Iterator[sf.LocalOrg]:
    with sf.LocalOrg(settings=Settings(bulk_page_rows=100, query_page_rows=300)) as local:
        local.mirror("Account", WANTED)
        yield local


@pytest.fixture
def org(served: sf.LocalOrg) -> Iterator[sf.Org]:
    served.faults.clear()
    with sf.connect(served) as connection:
        yield connection
    served.faults.clear()


def fetched_pages(served: sf.LocalOrg) -> int:
    log = served.request_log()
    return log.filter(pl.col("path").str.ends_with("/results")).height


@pytest.mark.parametrize("options", [BULK, REST, BULK1], ids=["bulk2", "rest", "bulk1"])
@pytest.mark.parametrize("ending", [".parquet", ".csv", ".jsonl", ".arrow"])
def test_every_form_of_file_has_all_rows_and_nothing_stays_beside_it(org, tmp_path, options, ending):
    saved = sf.export_soql(QUERY, tmp_path / f"all{ending}", org=org, options=options)
    assert (saved.height, saved.path) == (ROWS, tmp_path / f"all{ending}")
    assert saved.scan().collect().equals(WANTED)
    assert [file.name for file in tmp_path.iterdir()] == [f"all{ending}"]


@pytest.mark.parametrize("options", [BULK, REST, BULK1], ids=["bulk2", "rest", "bulk1"])
def test_an_empty_answer_is_a_file_with_the_types(org, tmp_path, options):
    saved = sf.export_soql(f"{QUERY[:-12]} WHERE Name = 'none'", tmp_path / "no.parquet", org=org, options=options)
    assert pl.read_parquet(saved.path).equals(WANTED.clear())


def test_an_export_that_breaks_off_shows_no_file_and_resume_fetches_only_what_is_missing(served, org, tmp_path):
    path = tmp_path / "all.parquet"
    served.faults.add(Fault("results_expired", nth=6))
    with pytest.raises(NotFound) as caught:
        sf.export_soql(QUERY, path, org=org, options=BULK)
    assert "resume=True" in caught.value.__notes__[0]
    assert not path.exists()
    kept = len(list((tmp_path / ".all.parquet.pages").rglob("page-*.csv")))
    assert 4 <= kept <= 9
    served.faults.clear()
    served.clear_request_log()
    assert sf.export_soql(QUERY, path, org=org, resume=True, options=BULK).height == ROWS
    assert pl.read_parquet(path).equals(WANTED)
    assert fetched_pages(served) <= ROWS // 100 - kept
    assert [file.name for file in tmp_path.iterdir()] == ["all.parquet"]


def test_without_resume_an_export_begins_anew(served, org, tmp_path):
    path = tmp_path / "all.parquet"
    served.faults.add(Fault("results_expired", nth=6))
    with pytest.raises(NotFound):
        sf.export_soql(QUERY, path, org=org, options=BULK)
    served.faults.clear()
    served.clear_request_log()
    assert sf.export_soql(QUERY, path, org=org, options=BULK).scan().collect().equals(WANTED)
    assert fetched_pages(served) >= ROWS // 100


def test_resume_of_a_job_that_the_org_has_forgotten_runs_the_query_again(served, org, tmp_path):
    path = tmp_path / "all.parquet"
    served.faults.add(Fault("results_expired", nth=6))
    with pytest.raises(NotFound):
        sf.export_soql(QUERY, path, org=org, options=BULK)
    served.faults.clear()
    served.faults.add(Fault("answer", status=404, path="*/jobs/query/750*", nth=1))
    assert sf.export_soql(QUERY, path, org=org, resume=True, options=BULK).scan().collect().equals(WANTED)


def test_resume_with_another_query_is_refused(served, org, tmp_path):
    served.faults.add(Fault("results_expired", nth=6))
    with pytest.raises(NotFound):
        sf.export_soql(QUERY, tmp_path / "all.csv", org=org, options=BULK)
    with pytest.raises(UsageError, match="belongs to another query"):
        sf.export_soql("SELECT Id FROM Account", tmp_path / "all.csv", org=org, resume=True, options=BULK)


def test_resume_with_nothing_kept_is_a_first_export(org, tmp_path):
    assert sf.export_soql(QUERY, tmp_path / "a.csv", org=org, resume=True, options=BULK).height == ROWS


def test_a_page_on_disk_that_is_not_whole_is_fetched_anew_by_the_next_try(served, org, tmp_path):
    path = tmp_path / "all.parquet"
    served.faults.add(Fault("results_expired", nth=6))
    with pytest.raises(NotFound):
        sf.export_soql(QUERY, path, org=org, options=BULK)
    served.faults.clear()
    page = sorted((tmp_path / ".all.parquet.pages").rglob("page-*.csv"))[1]
    page.write_bytes(page.read_bytes()[:-1_000])
    with pytest.raises(sf.SfframeError):
        sf.export_soql(QUERY, path, org=org, resume=True, options=BULK)
    assert sf.export_soql(QUERY, path, org=org, resume=True, options=BULK).scan().collect().equals(WANTED)


# -- parts ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [BULK, REST, BULK1], ids=["bulk2", "rest", "bulk1"])
@pytest.mark.parametrize("name", ["all.parquet", "all.csv", "folder"])
def test_parts_that_are_read_at_once_make_one_file_with_every_row_once(served, org, tmp_path, options, name):
    served.clear_request_log()
    saved = sf.export_soql(PLAIN, tmp_path / name, org=org, partitions=4, by="Id", options=options)
    assert saved.height == ROWS
    assert saved.scan().collect().sort("Id").equals(WANTED)
    assert [file.name for file in tmp_path.iterdir()] == [name]
    made = served.request_log().filter(pl.col("method") == "POST", pl.col("path").str.ends_with("/job")).height
    made += served.request_log().filter(pl.col("method") == "POST", pl.col("path").str.ends_with("/query")).height
    assert made == (0 if options is REST else 4)


def test_parts_of_an_empty_answer_are_a_file_with_the_types(org, tmp_path):
    query = f"{PLAIN} WHERE Name = 'none'"
    saved = sf.export_soql(query, tmp_path / "no.parquet", org=org, partitions=4, by="Id", options=BULK)
    assert pl.read_parquet(saved.path).equals(WANTED.clear())


def test_parts_that_break_off_go_on_with_their_own_jobs_and_pages(served, org, tmp_path):
    path = tmp_path / "all.parquet"
    served.faults.add(Fault("results_expired", nth=7))
    with pytest.raises(NotFound) as caught:
        sf.export_soql(PLAIN, path, org=org, partitions=4, by="Id", options=BULK)
    assert "resume=True" in caught.value.__notes__[0]
    assert not path.exists()
    kept = len(list((tmp_path / ".all.parquet.pages").rglob("page-*.csv")))
    assert kept >= 1
    served.faults.clear()
    served.clear_request_log()
    saved = sf.export_soql(PLAIN, path, org=org, resume=True, options=BULK)  # in the parts that were begun
    assert saved.scan().collect().sort("Id").equals(WANTED)
    assert fetched_pages(served) <= 12 - kept
    assert [file.name for file in tmp_path.iterdir()] == ["all.parquet"]


# -- lists that no query holds ----------------------------------------------------------------------------------------

LONG = [f"{name}{end}" for end in (" or nobody of that name at all" * 3, "") for name in WANTED["Name"]]
SMALL = "SELECT NumberOfEmployees, Name FROM Account"


@pytest.mark.parametrize("options", [BULK, REST, BULK1], ids=["bulk2", "rest", "bulk1"])
def test_a_list_that_no_query_holds_is_spread_and_each_record_is_written_once(org, tmp_path, options):
    # In another case each name stands far away from itself, so that two queries find the same record.
    names = [*LONG, *(name.upper() for name in LONG)]
    query = f"{SMALL} WHERE Name IN :names OR NumberOfEmployees = 3"
    saved = sf.export_soql(query, tmp_path / "all.parquet", params={"names": names}, org=org, options=options)
    assert (saved.height, saved.schema) == (ROWS, pl.Schema({"NumberOfEmployees": pl.Int64, "Name": pl.String}))
    assert pl.read_parquet(saved.path).sort("NumberOfEmployees").equals(WANTED.select(saved.schema.names()))
    assert [file.name for file in tmp_path.iterdir()] == ["all.parquet"]


def test_a_limit_counts_the_rows_of_all_parts_of_a_list(org, tmp_path):
    query = f"{SMALL} WHERE Name IN :names LIMIT 7"
    saved = sf.export_soql(query, tmp_path / "few.csv", params={"names": LONG}, org=org, options=REST)
    found = saved.scan().collect()
    assert (saved.height, found.height, found["Name"].n_unique()) == (7, 7, 7)


def test_a_spread_list_that_finds_nothing_is_a_file_with_the_types(org, tmp_path):
    query = f"{SMALL} WHERE Name IN :names"
    none = {"names": LONG[:ROWS]}
    saved = sf.export_soql(query, tmp_path / "no.parquet", params=none, org=org, options=REST)
    assert pl.read_parquet(saved.path).equals(WANTED.select("NumberOfEmployees", "Name").clear())


def test_a_spread_list_goes_on_with_its_jobs_and_pages(served, org, tmp_path):
    path, query, params = tmp_path / "all.parquet", f"{SMALL} WHERE Name IN :names", {"names": LONG}
    served.faults.add(Fault("results_expired", nth=7))
    with pytest.raises(NotFound) as caught:
        sf.export_soql(query, path, params=params, org=org, options=BULK)
    assert "resume=True" in caught.value.__notes__[0]
    kept = len(list((tmp_path / ".all.parquet.pages").rglob("page-*.csv")))
    assert kept >= 1
    served.faults.clear()
    served.clear_request_log()
    saved = sf.export_soql(query, path, params=params, org=org, resume=True, options=BULK)
    assert saved.scan().collect().sort("NumberOfEmployees").equals(WANTED.select("NumberOfEmployees", "Name"))
    assert [file.name for file in tmp_path.iterdir()] == ["all.parquet"]


@pytest.mark.parametrize(
    ("query", "partitions", "message"),
    [
        (f"{SMALL} WHERE Name IN :names ORDER BY Name", 1, "too long for one query, and several cannot sort"),
        ("SELECT COUNT(Id) FROM Account WHERE Name IN :names", 1, "several cannot put groups and counts together"),
        (f"{SMALL} WHERE Name NOT IN :names", 1, "FROM Account: The query has [0-9,]+ bytes, and the org takes 16,000"),
        (f"{SMALL} WHERE Name IN :names", 2, "FROM Account: The query of [0-9,]+ characters is too long to be cut by"),
    ],
)
def test_a_long_query_that_cannot_be_spread_is_refused_before_any_call(org, tmp_path, query, partitions, message):
    org.describe("Account")
    before, target = org.calls, tmp_path / "a.csv"
    with pytest.raises(UsageError, match=message) as caught:
        sf.export_soql(query, target, params={"names": LONG}, partitions=partitions, org=org, options=REST)
    assert caught.value.remedy
    assert org.calls == before
    assert list(tmp_path.iterdir()) == []


# -- how it goes ------------------------------------------------------------------------------------------------------


def test_progress_tells_each_part_by_its_number(org, tmp_path):
    events: list[JobEvent] = []
    options = replace(BULK, progress=events.append)
    sf.export_soql(PLAIN, tmp_path / "all.csv", org=org, partitions=4, by="Id", options=options)
    assert {(event.part, event.parts) for event in events} == {(0, 4), (1, 4), (2, 4), (3, 4)}
    assert sum({event.part: event.processed for event in events}.values()) == ROWS


def test_a_cancel_ends_all_parts(served, org, tmp_path):
    served.faults.add(Fault("latency", seconds=60.0, path="*/results*"))
    cancel = threading.Event()

    def cancelled_when_ended(event: JobEvent) -> None:
        if event.kind == "ended":  # the pages of this part are fetched now
            threading.Timer(0.1, cancel.set).start()

    began = time.monotonic()
    options = replace(BULK, cancel=cancel, progress=cancelled_when_ended)
    with pytest.raises(Cancelled):
        sf.export_soql(PLAIN, tmp_path / "all.csv", org=org, partitions=4, by="Id", options=options)
    assert time.monotonic() - began < 30
    assert not (tmp_path / "all.csv").exists()


def test_what_cannot_be_cut_is_refused_before_a_file_is_begun(org, tmp_path):
    with pytest.raises(UsageError, match="cannot be cut into parts"):
        sf.export_soql(QUERY, tmp_path / "all.csv", org=org, partitions=2)
    with pytest.raises(UsageError, match="partitions is 0"):
        sf.export_soql(PLAIN, tmp_path / "all.csv", org=org, partitions=0)
    assert list(tmp_path.iterdir()) == []


def test_the_command_line_takes_parts_for_a_file(command, tmp_path):
    path = tmp_path / "users.csv"
    run = command("query", "SELECT Id FROM User", "--org", "local", "--partitions", "3", "--output", str(path))
    assert (run.returncode, run.stderr.splitlines()[-1].endswith(f"rows in {path}")) == (0, True)
    run = command("query", "SELECT Id FROM User", "--org", "local", "--partitions", "3")
    assert (run.returncode, run.stderr) == (2, "sfframe: Only a file can come in parts\nName it with --output.\n")


def test_the_command_line_says_how_a_broken_export_is_gone_on_with(served, org, tmp_path):
    served.faults.add(Fault("results_expired", nth=6))
    given = served.credentials
    environment = {**os.environ, "SF_INSTANCE_URL": given.url, "SF_ACCESS_TOKEN": given.access_token}
    words = [sys.executable, "-m", "sfframe.cli", "query", QUERY, "--api", "bulk2", "-o", str(tmp_path / "all.csv")]
    run = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 2
    assert run.stderr.splitlines()[-1] == (
        "What has come so far is kept: the same export with resume=True (--resume) goes on."
    )


@pytest.mark.slow
def test_an_export_whose_process_is_killed_goes_on(served, org, tmp_path):
    path = tmp_path / "all.parquet"
    served.faults.add(Fault("latency", seconds=600.0, path="*/results*", nth=6))
    given = served.credentials
    environment = {**os.environ, "SF_INSTANCE_URL": given.url, "SF_ACCESS_TOKEN": given.access_token}
    words = [sys.executable, "-m", "sfframe.cli", "query", QUERY, "--api", "bulk2", "--output", str(path)]
    process = subprocess.Popen(words, env=environment)
    pages, until = tmp_path / ".all.parquet.pages", time.monotonic() + 60
    while len(list(pages.rglob("page-*.csv"))) < 5 and time.monotonic() < until:
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait(60)
    served.faults.clear()
    served.clear_request_log()
    kept = len((pages / "part-001" / "pages.jsonl").read_text().splitlines())
    done = subprocess.run([*words, "--resume"], env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.splitlines()[-1]) == (0, f"1,000 rows in {path}")
    assert pl.read_parquet(path).equals(WANTED)
    assert fetched_pages(served) == ROWS // 100 - kept


def test_the_command_line_goes_on_only_with_a_file(command):
    run = command("query", "SELECT Id FROM User", "--org", "local", "--resume")
    assert (run.returncode, run.stderr) == (
        2,
        "sfframe: Only a file can be gone on with\nName it with --output.\n",
    )


@pytest.mark.parametrize("by", ["Id", "CreatedDate", "LastActivityDate"])
def test_parts_of_a_query_find_every_row_once(org, by):
    parts = sf.partition_soql(f"{QUERY[:-12]} WHERE NumberOfEmployees < 700", 5, by=by, org=org)
    frames = [sf.read_soql(part, org=org, options=REST) for part in parts]
    assert pl.concat(frames).sort("Id").equals(WANTED.head(700))
    assert len(parts) == (5 if by == "Id" else 1)  # all were made in one second, and nobody was active
    assert sum(frame.height > 0 for frame in frames) == (5 if by == "Id" else 1)


def test_a_date_is_cut_into_equal_spans_and_rows_without_one_are_in_the_first(local_org):
    days = [None, *(pl.date_range(pl.date(2020, 1, 1), pl.date(2020, 1, 30), eager=True).to_list())]
    rows = pl.DataFrame({"Id": [f"006AB{n:010d}AAA" for n in range(31)], "CloseDate": days}).with_columns(
        Name=pl.lit("x"), StageName=pl.lit("Prospecting")
    )
    local_org.mirror("Opportunity", rows)
    with sf.connect(local_org) as org:
        parts = sf.partition_soql("SELECT Id FROM Opportunity", 3, by="CloseDate", org=org)
    assert parts == [
        "SELECT Id FROM Opportunity WHERE CloseDate < 2020-01-10",
        "SELECT Id FROM Opportunity WHERE CloseDate >= 2020-01-10 AND CloseDate < 2020-01-20",
        "SELECT Id FROM Opportunity WHERE CloseDate >= 2020-01-20",
    ]


@pytest.mark.parametrize(
    "query", ["SELECT COUNT() FROM Account", "SELECT MAX(Name) FROM Account", "SELECT Id FROM Account LIMIT 3", QUERY]
)
def test_a_query_that_cannot_be_cut_is_refused(org, query):
    with pytest.raises(UsageError, match="cannot be cut into parts"):
        sf.partition_soql(query, 2, org=org)
    with pytest.raises(UsageError, match="Name is of type string"):
        sf.partition_soql("SELECT Id FROM Account", 2, by="Name", org=org)
