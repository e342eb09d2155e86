"""What a person sees while jobs run: in a terminal, in Jupyter and in marimo; and nothing elsewhere."""

from __future__ import annotations

import io
import subprocess
import sys
import threading
from pathlib import Path

import polars as pl
import pytest

import sfframe as sf
from sfframe.jobs.events import JobEvent
from sfframe.progress import Standing, Tally, picture, shown

ROOT = Path(__file__).parent.parent


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def event(kind, part=0, *, rows=10, processed=0, failed=0, sent=0) -> JobEvent:
    return JobEvent(kind, part, 2, f"750{part}", "", rows, processed, failed, sent)


# -- numbers --------------------------------------------------------------------------------------------------------


def test_a_tally_adds_up_rows_jobs_calls_and_time_over_all_parts() -> None:
    clock, calls = Clock(), [0]
    tally = Tally(20, lambda: calls[0], clock)
    assert str(tally.standing()) == "0 of 20 rows, preparing"
    tally.take(event("open"))
    tally.take(event("uploaded", sent=500))
    tally.take(event("open", 1))
    calls[0] = 5
    assert str(tally.standing()) == "0 of 20 rows, 10 sent, 2 of 2 jobs in flight, 5 API calls, uploading"
    tally.take(event("uploaded", 1, sent=500))
    clock.now += 4
    tally.take(event("in_progress", processed=8, failed=1, sent=500))
    tally.take(event("ended", 1, processed=10, failed=2, sent=500))
    tally.take(event("response", 1, processed=10, failed=2, sent=500))
    assert tally.standing() == Standing(20, 20, 18, 3, 2, 1, 5, 4.0, "joining results")
    assert str(tally.standing()) == (
        "18 of 20 rows, 20 sent, 3 failed, 4 rows/s, 1 of 2 jobs in flight, 5 API calls, joining results"
    )


def test_a_load_that_goes_on_after_its_upload_counts_its_rows_as_sent() -> None:
    tally = Tally(10)
    tally.take(event("closed"))
    assert tally.standing().sent == 10


def test_an_aborted_job_is_no_longer_in_flight_and_the_one_in_its_place_is() -> None:
    tally = Tally(10)
    tally.take(event("aborted"))
    assert (tally.standing().jobs, tally.standing().in_flight) == (1, 0)
    tally.take(event("open"))
    assert (tally.standing().jobs, tally.standing().in_flight) == (1, 1)


def test_rows_that_nobody_counted_are_shown_without_a_whole() -> None:
    assert str(Standing(processed=1_234, stage="in progress")) == "1,234 rows, in progress"
    assert "value=" not in picture("query Account", Standing(processed=1_234))["text/html"]


def test_a_picture_has_a_progress_element_and_escapes_its_title() -> None:
    now = Standing(rows=2_000, sent=2_000, processed=1_500, failed=3, seconds=3.0, stage="in progress")
    assert picture("insert <b>", now) == {
        "text/plain": "insert <b>: 1,500 of 2,000 rows, 2,000 sent, 3 failed, 500 rows/s, in progress",
        "text/html": (
            "<div><b>insert &lt;b&gt;</b> "
            '<progress style="width: 20em; vertical-align: middle" value="1500" max="2000"></progress> '
            "1,500 of 2,000 rows, 2,000 sent, 3 failed, 500 rows/s, in progress</div>"
        ),
    }


# -- where it is shown ----------------------------------------------------------------------------------------------


@pytest.fixture
def _allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SFFRAME_PROGRESS")


class Terminal(io.StringIO):
    """Standard error, as a terminal is."""

    def isatty(self) -> bool:
        return True


def seen_on(stream: object) -> str:
    assert isinstance(stream, io.StringIO)
    return stream.getvalue()


def walk(choice, *, rows: int = 20, calls=None) -> None:
    """Two parts in two threads, as lanes tell them."""
    with shown(choice, title="insert Account", rows=rows, calls=calls) as listener:
        lanes = [threading.Thread(target=lambda part=part: [listener(one) for one in told(part)]) for part in (0, 1)]
        for lane in lanes:
            lane.start()
        for lane in lanes:
            lane.join()


def told(part: int) -> list[JobEvent]:
    return [event("open", part), event("uploaded", part, sent=9), event("response", part, processed=10, failed=part)]


@pytest.mark.usefixtures("_allowed")
def test_a_terminal_shows_a_bar_with_what_matters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.setenv("COLUMNS", "120")
    used = iter(range(7, 100, 5))
    walk("auto", calls=lambda: next(used))
    seen = seen_on(sys.stderr)
    assert "insert Account" in seen
    assert "20/20" in seen
    assert "1 failed" in seen
    assert "API calls, done" in seen.replace("\n", "")


@pytest.mark.usefixtures("_allowed")
def test_what_is_no_terminal_sees_nothing_unless_it_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    for choice, expected in (("auto", False), (True, True), (False, False)):
        monkeypatch.setattr(sys, "stderr", io.StringIO())
        walk(choice)
        assert ("insert Account" in seen_on(sys.stderr)) is expected


@pytest.mark.parametrize("choice", ["auto", True])
def test_the_environment_turns_it_off(monkeypatch: pytest.MonkeyPatch, choice) -> None:
    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.setenv("SFFRAME_PROGRESS", "0")
    walk(choice)
    assert seen_on(sys.stderr) == ""


@pytest.mark.parametrize("options", [sf.LoadOptions, sf.ReadOptions])
@pytest.mark.parametrize("choice", ["loud", None, 1])
def test_what_is_no_way_to_show_progress_is_refused_at_once(options, choice) -> None:
    with pytest.raises(sf.UsageError, match=f"^progress cannot be {choice!r}\nUse True, False"):
        options(progress=choice)


def test_a_function_gets_the_events_themselves_even_when_pictures_are_off() -> None:
    seen: list[JobEvent] = []
    walk(seen.append)
    assert sorted((one.kind, one.part) for one in seen) == sorted(
        (one.kind, one.part) for n in (0, 1) for one in told(n)
    )


@pytest.mark.usefixtures("_allowed")
def test_a_load_that_stops_says_why_it_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.setenv("COLUMNS", "120")

    def late() -> None:
        with shown("auto", title="insert Account", rows=10) as listener:
            listener(event("open"))
            raise sf.JobTimeout("late")

    with pytest.raises(sf.JobTimeout):
        late()
    assert "stopped: JobTimeout" in seen_on(sys.stderr)


def test_an_orchestrator_hears_of_a_whole_load_and_its_numbers_add_up(org: sf.Org) -> None:
    tally = Tally(300)
    options = sf.LoadOptions(progress=tally.take, limits=sf.LoadLimits(rows_per_job=100))
    frame = pl.DataFrame({"Name": [f"n{row}" for row in range(300)]})
    sf.write_sobject(frame, "Account", operation="insert", org=org, options=options)
    now = tally.standing()
    assert (now.sent, now.processed, now.failed, now.jobs, now.in_flight) == (300, 300, 0, 3, 0)


# -- notebooks ------------------------------------------------------------------------------------------------------

CELL = """
import os, polars as pl, sfframe as sf
os.environ.pop("SFFRAME_PROGRESS", None)
frame = pl.DataFrame({"Name": [f"n{row}" for row in range(300)]})
options = sf.LoadOptions(limits=sf.LoadLimits(rows_per_job=100))
result = sf.write_sobject(frame, "Account", operation="insert", org="local", options=options)
"""


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
def test_jupyter_has_one_bar_per_load_that_is_replaced_in_place(tmp_path: Path) -> None:
    nbformat = pytest.importorskip("nbformat", reason="notebooks need the extra dev")
    nbclient = pytest.importorskip("nbclient", reason="notebooks need the extra dev")
    cells = [nbformat.v4.new_code_cell(CELL), nbformat.v4.new_code_cell("result.counts")]
    notebook = nbformat.v4.new_notebook(cells=cells)
    nbclient.NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(tmp_path)}}).execute()
    (bar,) = notebook.cells[0].outputs
    assert bar.output_type == "display_data"
    assert bar.data["text/html"].startswith("<div><b>insert Account</b> <progress ")
    assert 'value="1" max="1"' in bar.data["text/html"]
    assert bar.data["text/plain"].startswith("insert Account: 300 of 300 rows, ")
    assert bar.data["text/plain"].endswith(", done")
    assert notebook.cells[1].outputs[0].data["text/plain"] == "{'created': 300}"


MARIMO = """
import marimo

app = marimo.App()


@app.cell
def _():
    import os, polars as pl, sfframe as sf
    os.environ.pop("SFFRAME_PROGRESS", None)
    frame = pl.DataFrame({"Name": [f"n{row}" for row in range(300)]})
    options = sf.LoadOptions(limits=sf.LoadLimits(rows_per_job=100))
    result = sf.write_sobject(frame, "Account", operation="insert", org="local", options=options)
    print("counts", result.counts)
    return
"""


@pytest.mark.slow
def test_marimo_has_its_own_bar_though_the_events_come_from_other_threads(tmp_path: Path) -> None:
    pytest.importorskip("marimo", reason="marimo is in no extra: install it to see its bar")
    (tmp_path / "notebook.py").write_text(MARIMO)
    words = [sys.executable, "-m", "marimo", "export", "html", "notebook.py", "-o", "notebook.html"]
    subprocess.run(words, cwd=tmp_path, check=True, capture_output=True, timeout=300)
    page = (tmp_path / "notebook.html").read_text()
    assert "counts {'created': 300}" in page.replace("\\u0027", "'")
    bar = page.partition("<marimo-progress")[2] or page.partition("marimo-progress")[2]
    assert "insert Account" in bar[:400]
    assert "data-progress='300'" in bar[:400].replace('"', "'")
