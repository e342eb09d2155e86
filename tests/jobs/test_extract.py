"""Bulk queries to pages on disk, and REST pages: complete, or an error that says so."""

import threading

import pytest

from sfframe.errors import Cancelled, ConnectionFailed, IncompleteAnswer, JobAborted, JobFailed, JobTimeout, NotFound
from sfframe.jobs.events import JobEvent
from sfframe.jobs.extract import Extract, Page, QueryJob, fetch_pages, run_query, wait_for_query
from sfframe.jobs.pacing import Pacing
from sfframe.protocol.call import Call
from tests.jobs.scripted_org import Failure, FastClock, ScriptedOrg, lost

JOB = "750AB0000000001AAA"
SOQL = "SELECT Id, Name FROM Account"
HEADER = b'"Id","Name"\n'
ONE, TWO, THREE = (HEADER + b'"001%d","x"\n' % number for number in (1, 2, 3))


def head(rows: int | None, locator: str | None) -> dict[str, str]:
    given = {"sforce-numberofrecords": None if rows is None else str(rows), "sforce-locator": locator}
    return {name: value for name, value in given.items() if value is not None}


def org_with(*pages: tuple[bytes, dict[str, str]], counted: int, failures: tuple[Failure, ...] = ()) -> ScriptedOrg:
    org = ScriptedOrg(*failures)
    org.pages, org.counted = list(pages), counted
    return org


def three_pages(*failures: Failure) -> ScriptedOrg:
    pages = [(ONE, head(1, "1")), (TWO, head(1, "2")), (THREE, head(1, "null"))]
    return org_with(*pages, counted=3, failures=failures)


def run(org, folder, job: QueryJob | None = None, **options) -> Extract:
    return run_query(org, job or QueryJob(SOQL), folder=folder, clock=FastClock(), jitter=lambda: 0.5, **options)


def test_all_pages_come_to_disk_in_order_and_the_job_stays(tmp_path):
    org = three_pages()
    found = run(org, tmp_path)
    assert found == Extract(JOB, tuple(Page(tmp_path / f"page-{number:05d}.{JOB}.csv", 1) for number in (1, 2, 3)), 3)
    assert [page.path.read_bytes() for page in found.pages] == [ONE, TWO, THREE]
    assert org.jobs[JOB].body == {
        "operation": "query", "query": SOQL, "contentType": "CSV", "columnDelimiter": "COMMA", "lineEnding": "LF",
    }  # fmt: skip
    assert org.steps == ["create", "info", "info", "info", "results", "results", "results"]


def test_events_tell_the_rows_as_they_come(tmp_path):
    events: list[JobEvent] = []
    run(three_pages(), tmp_path, on_event=events.append)
    assert [(one.kind, one.state, one.rows, one.processed) for one in events] == [
        ("queued", "UploadComplete", 0, 0),
        ("queued", "UploadComplete", 0, 0),
        ("in_progress", "InProgress", 0, 0),
        ("ended", "JobComplete", 3, 0),
        ("in_progress", "JobComplete", 3, 1),
        ("in_progress", "JobComplete", 3, 2),
        ("in_progress", "JobComplete", 3, 3),
        ("response", "JobComplete", 3, 3),
    ]


@pytest.mark.parametrize("end", [head(1, "null"), head(1, ""), head(1, None)])
def test_the_text_null_an_empty_locator_and_a_missing_header_end(tmp_path, end):
    assert run(org_with((ONE, end), counted=1), tmp_path).rows == 1


def test_an_empty_answer_is_one_page_without_rows(tmp_path):
    found = run(org_with((HEADER, head(0, "null")), counted=0), tmp_path)
    assert ([page.path.read_bytes() for page in found.pages], found.rows) == ([HEADER], 0)


def test_a_job_is_deleted_only_when_asked_and_only_after_the_last_page(tmp_path):
    org = three_pages()
    run(org, tmp_path, QueryJob(SOQL, keep=False))
    assert (org.steps[-2:], org.jobs) == (["results", "delete"], {})


def test_pages_with_fewer_rows_than_the_job_counted_are_incomplete_and_the_job_is_kept(tmp_path):
    org = org_with((ONE, head(1, "null")), counted=2)
    with pytest.raises(IncompleteAnswer) as caught:
        run(org, tmp_path, QueryJob(SOQL, keep=False))
    assert (caught.value.what, caught.value.job_id) == ("the pages have 1 rows, the job counted 2", JOB)
    assert JOB in org.jobs


def test_a_locator_that_comes_back_does_not_loop(tmp_path):
    with pytest.raises(IncompleteAnswer, match="same page twice"):
        run(org_with((ONE, head(1, "1")), (TWO, head(1, "1")), counted=2), tmp_path)


def test_counts_that_a_proxy_took_away_are_not_invented(tmp_path):
    found = run(org_with((ONE, head(None, None)), counted=5), tmp_path)
    assert found.pages[0].rows is None


def test_a_page_that_breaks_off_is_fetched_again_from_its_own_locator(tmp_path):
    org = three_pages()
    org.broken["results"] = 2
    assert [page.path.read_bytes() for page in run(org, tmp_path).pages] == [ONE, TWO, THREE]
    assert org.steps.count("results") == 5


def test_pages_are_given_one_by_one_while_later_ones_are_still_in_the_org(tmp_path):
    org = three_pages()
    org.send(_create())
    info = wait_for_query(org, JOB, clock=FastClock(), jitter=lambda: 0.5)
    pages = fetch_pages(org, info, folder=tmp_path, clock=FastClock())
    assert next(pages).path.read_bytes() == ONE
    assert org.steps.count("results") == 1


def test_a_job_of_an_earlier_process_is_read_by_its_id(tmp_path):
    org = three_pages()
    org.ends = ["InProgress"] * 9 + ["JobComplete"]
    with pytest.raises(JobTimeout) as caught:
        run(org, tmp_path, pacing=Pacing(timeout=0.5))
    assert (caught.value.job_id, JOB in caught.value.remedy) == (JOB, True)
    assert run(org, tmp_path, job_id=caught.value.job_id).rows == 3
    assert org.steps.count("create") == 1


def test_a_failed_job_raises_in_the_orgs_words(tmp_path):
    org = three_pages()
    org.ends, org.error_message = ["Failed"], "Unexpected exception encountered in query processing."
    with pytest.raises(JobFailed) as caught:
        run(org, tmp_path)
    assert (caught.value.said, caught.value.job_id) == (org.error_message, JOB)


def test_an_aborted_job_raises(tmp_path):
    org = three_pages()
    org.ends = ["Aborted"]
    with pytest.raises(JobAborted):
        run(org, tmp_path)


def test_a_job_that_the_org_does_not_know_raises(tmp_path):
    with pytest.raises(NotFound):
        run(ScriptedOrg(), tmp_path, job_id=JOB)


def test_polls_that_fail_say_nothing_about_the_job(tmp_path):
    assert run(three_pages(Failure("info", False, lost), Failure("info", True, lost, 2)), tmp_path).rows == 3


def test_a_page_that_never_comes_raises(tmp_path):
    org = three_pages()
    org.broken["results"] = 99
    with pytest.raises(ConnectionFailed):
        run(org, tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("step", ["create", "info", "results"])
def test_a_cancel_stops_at_every_step(tmp_path, step):
    cancel = threading.Event()
    with pytest.raises(Cancelled):
        run(three_pages(Failure(step, True, cancel.set)), tmp_path, cancel=cancel)


def _create() -> Call[object]:
    from sfframe.protocol import bulk2_query

    return bulk2_query.create(SOQL)
