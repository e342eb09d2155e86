"""explain(frame): how the frame that read_soql gave was read, for as long as it lives."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import sfframe as sf
from sfframe.explanations import READ_FRAMES
from sfframe.jobs.pacing import Pacing

QUERY = "SELECT Id, Name FROM Account"
BULK2 = sf.ReadOptions(api="bulk2", pacing=Pacing(first=0.01))
BULK1 = sf.ReadOptions(api="bulk1", pacing=Pacing(first=0.01))


@pytest.fixture(scope="module")
def org() -> Iterator[sf.Org]:
    with sf.LocalOrg() as local, sf.connect(local) as connection:
        local.insert("Account", pl.DataFrame({"Name": [f"Account {number}" for number in range(700)]}))
        yield connection


@pytest.mark.parametrize("backend", ["polars", "pandas", "pyarrow"])
@pytest.mark.parametrize("parents", ["columns", "structs"])
def test_the_decision_its_reason_and_the_cost_are_told_of_every_kind_of_frame(org, backend, parents):
    frame = sf.read_soql(f"{QUERY} WHERE Name = 'Account 7'", org=org, backend=backend, parents=parents)
    told = sf.explain(frame)
    assert (told.rows, told.calls, told.job_ids) == (1, 1, ())
    (query,) = told.queries
    assert query.soql == "SELECT Id, Name FROM Account WHERE Name = 'Account 7'"
    assert (query.report.transport, query.report.reason) == ("REST", "1 rows, less than 20,000")
    assert repr(told) == (
        "frame of 1 rows; queries: 1, calls: 1\n"
        "  soql: SELECT Id, Name FROM Account WHERE Name = 'Account 7'\n"
        f"  went: {query.report}"
    )
    assert told._repr_html_().startswith("<pre>frame of 1 rows; ")


@pytest.mark.parametrize(
    ("options", "transport"), [(BULK2, "Bulk API 2.0"), (BULK1, "Bulk API 1.0")], ids=["bulk2", "bulk1"]
)
def test_the_job_is_told_where_there_was_one(org, options, transport):
    told = sf.explain(sf.read_soql(QUERY, org=org, options=options))
    (query,) = told.queries
    assert (told.rows, query.report.transport, query.report.reason) == (700, transport, "asked for")
    assert told.job_ids == (query.report.job_id,)
    assert sf.get_job(told.job_ids[0], org=org).operation == "query"


def test_every_query_of_a_long_list_is_told_and_rows_are_those_of_the_frame(org):
    names = [f"Account {number}{case}" for number in range(700) for case in ("", " or none of it at all")]
    frame = sf.read_soql(f"{QUERY} WHERE Name IN :names", params={"names": names}, org=org)
    told = sf.explain(frame)
    assert (frame.height, told.rows) == (700, 700)
    assert len(told.queries) > 3
    assert sum(query.report.rows for query in told.queries) == 700
    assert repr(told).splitlines()[-1] == f"  and {len(told.queries) - 3} more queries like these"


def test_an_export_tells_each_of_its_parts(org, tmp_path):
    saved = sf.export_soql(QUERY, tmp_path / "all.parquet", org=org, partitions=3, by="Id", options=BULK2)
    told = sf.explain(saved)
    assert (told.rows, len(told.queries), len(set(told.job_ids))) == (700, 3, 3)
    assert [query.soql for query in told.queries] == sf.partition_soql(QUERY, 3, by="Id", org=org)
    assert sum(query.report.rows for query in told.queries) == 700


def test_a_frame_that_was_made_of_another_or_not_read_here_is_refused(org):
    frame = sf.read_soql(QUERY, org=org)
    for other in (frame.head(3), frame.clone(), pl.DataFrame(), pd.DataFrame(), pa.table({}), "frame", None):
        with pytest.raises(sf.UsageError, match=f"^How this {type(other).__name__} was read is not known\nHand over"):
            sf.explain(other)
    with pytest.raises(sf.UsageError, match="no plan to ask for\nLeave plan out"):
        sf.explain(frame, plan=True)


@pytest.mark.parametrize("backend", ["polars", "pandas", "pyarrow"])
def test_no_frame_is_kept_alive_and_nothing_stays_of_those_that_are_gone(org, backend):
    gc.collect()
    before = len(READ_FRAMES)
    frames = [sf.read_soql(f"{QUERY} LIMIT 1", org=org, backend=backend) for _ in range(3)]
    assert len(READ_FRAMES) == before + 3
    del frames
    gc.collect()
    assert len(READ_FRAMES) == before


def test_frames_of_several_threads_do_not_get_in_each_others_way(org):
    told: dict[int, int] = {}

    def read(number: int) -> None:
        frame = sf.read_soql(f"{QUERY} LIMIT {number}", org=org)
        told[number] = sf.explain(frame).rows

    threads = [threading.Thread(target=read, args=(number,)) for number in range(1, 9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert told == {number: number for number in range(1, 9)}
