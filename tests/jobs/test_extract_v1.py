"""Queries through Bulk API 1.0: chunks, several result files, and every way in which they may fail, without waiting."""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass, field

import pytest

from sfframe.errors import Cancelled, ConnectionFailed, IncompleteAnswer, JobAborted, JobFailed, JobTimeout
from sfframe.jobs.events import JobEvent
from sfframe.jobs.extract_v1 import BatchQuery, ending, start_query, take_files, wait_for_batches
from sfframe.jobs.pacing import Pacing
from sfframe.protocol.bulk1 import BatchInfo, PkChunking
from sfframe.protocol.call import Call, Reply
from tests.jobs.scripted_org import Failure, FastClock, ScriptedOrg, lost

_XMLNS = 'xmlns="http://www.force.com/2009/06/asyncapi/dataload"'
JOB, SECOND_JOB = "750AB0000000001AAA", "750AB0000000002AAA"
BATCHES = [f"751AB000000000{number}AAA" for number in range(1, 5)]
QUERY = BatchQuery("Account", "SELECT Id FROM Account")


@dataclass
class QueryOrg(ScriptedOrg):
    """Bulk API 1.0 as a query meets it. ``looks`` are the states of the batches, poll by poll; ``files`` theirs."""

    looks: list[list[str]]
    files: dict[str, list[bytes]] = field(default_factory=dict)
    message: str = ""
    failures: list[Failure] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(*self.failures)
        self.made: list[tuple[bytes, dict[str, str]]] = []
        self.queries: list[bytes] = []
        self.states: list[str] = []
        self.polls = 0

    def _step(self, call: Call[object]) -> tuple[str, None]:
        assert call.service == "async"
        if call.path == "job":
            return "create", None
        if call.method == "POST":
            return ("add" if call.path.endswith("/batch") else "change"), None
        return "file" if "/result/" in call.path else call.path.rpartition("/")[2], None

    def _do(self, step: str, call: Call[object], _job: object) -> Reply:
        body = call.body if isinstance(call.body, bytes) else b""
        match step:
            case "create":
                self.made.append((body, dict(call.headers)))
                return _xml(
                    f"<jobInfo {_XMLNS}><id>750AB000000000{len(self.made)}AAA</id><state>Open</state></jobInfo>"
                )
            case "add":
                self.queries.append(body)
                return _xml(f"<batchInfo {_XMLNS}><id>{BATCHES[0]}</id><state>Queued</state></batchInfo>")
            case "change":
                self.states += re.findall(r"<state>(\w+)", body.decode())
                return _xml(f"<jobInfo {_XMLNS}><id>{JOB}</id><state>{self.states[-1]}</state></jobInfo>")
            case "batch":
                self.polls += 1
                return _xml(self._listed(self.looks[min(self.polls, len(self.looks)) - 1]))
            case "result":
                count = len(self.files[call.path.split("/")[3]])
                ids = "".join(f"<result>752AB000000000{at}</result>" for at in range(count))
                return _xml(f"<result-list {_XMLNS}>{ids}</result-list>")
            case _:
                _, _, _, batch, _, number = call.path.split("/")
                return Reply(200, {"content-type": "text/csv"}, self.files[batch][int(number[-1])])

    def _listed(self, states: list[str]) -> str:
        inner = "".join(
            f"<batchInfo><id>{batch}</id><jobId>{JOB}</jobId><state>{state}</state>"
            f"<stateMessage>{self.message}</stateMessage>"
            f"<numberRecordsProcessed>{self._rows(batch) if state == 'Completed' else 0}</numberRecordsProcessed>"
            "</batchInfo>"
            for batch, state in zip(BATCHES, states, strict=False)
        )
        return f"<batchInfoList {_XMLNS}>{inner}</batchInfoList>"

    def _rows(self, batch: str) -> int:
        return sum(max(body.count(b"\n") - 1, 0) for body in self.files.get(batch, []))


def _xml(text: str) -> Reply:
    return Reply(200, {}, text.encode())


def waited(org: QueryOrg, *, chunked: bool = False, **options) -> tuple[BatchInfo, ...]:
    return wait_for_batches(org, JOB, chunked=chunked, clock=FastClock(), jitter=lambda: 0.5, **options)


def files(org: QueryOrg, batches, take=lambda page: b"".join(page.chunks), **options):
    return list(take_files(org, batches, take, clock=FastClock(), jitter=lambda: 0.5, **options))


# -- the walk -------------------------------------------------------------------------------------------------------


def test_the_query_is_one_batch_of_a_job_of_its_object_and_chunking_a_header():
    org = QueryOrg([])
    query = BatchQuery("Account", "SELECT Id FROM Account", True, PkChunking(50_000, "Account"))
    assert start_query(org, query) == JOB
    ((body, headers),) = org.made
    assert b"<operation>queryAll</operation><object>Account</object>" in body
    assert headers["Sforce-Enable-PKChunking"] == "chunkSize=50000; parent=Account"
    assert org.queries == [b"SELECT Id FROM Account"]


def test_the_chunks_are_the_answer_and_the_first_batch_has_none():
    org = QueryOrg(
        [["Queued"], ["NotProcessed", "Queued", "InProgress"], ["NotProcessed", "Completed", "Completed"]],
        {BATCHES[1]: [b'"Id"\n"1"\n'], BATCHES[2]: [b'"Id"\n"2"\n', b'"Id"\n"3"\n"4"\n']},
    )
    events: list[JobEvent] = []
    batches = waited(org, chunked=True, on_event=events.append)
    assert [(batch.id, batch.records_processed) for batch in batches] == [(BATCHES[1], 1), (BATCHES[2], 3)]
    found = files(org, batches, ahead=2, on_event=events.append)
    assert found == [b'"Id"\n"1"\n', b'"Id"\n"2"\n', b'"Id"\n"3"\n"4"\n']
    assert [(event.kind, event.rows, event.processed) for event in events] == [
        ("queued", 0, 0),
        ("in_progress", 0, 0),
        ("ended", 4, 0),
        ("in_progress", 4, 1),
        ("in_progress", 4, 4),
    ]


def test_a_query_that_the_org_does_not_split_is_its_first_batch():
    org = QueryOrg([["Completed"]], {BATCHES[0]: [b'"Id"\n"1"\n']})
    assert [batch.id for batch in waited(org, chunked=True)] == [BATCHES[0]]


@pytest.mark.parametrize("note", [b"Records not found for this query", b"Records not found for this query\r\n"])
def test_the_words_in_place_of_a_file_without_rows_are_a_page_without_rows(note):
    org = QueryOrg([["Completed"]], {BATCHES[0]: [note]})
    assert files(org, waited(org)) == [b""]


def test_rows_that_begin_with_those_words_are_rows():
    body = b'Records not found for this query is a name\n"1"\n'
    org = QueryOrg([["Completed"]], {BATCHES[0]: [body]})
    assert files(org, waited(org)) == [body]


def test_the_rows_of_a_file_are_known_where_its_batch_has_no_other():
    org = QueryOrg(
        [["NotProcessed", "Completed", "Completed"]],
        {BATCHES[1]: [b'"Id"\n"1"\n'], BATCHES[2]: [b'"Id"\n"2"\n', b'"Id"\n"3"\n']},
    )
    assert files(org, waited(org, chunked=True), lambda page: page.head.rows) == [1, None, None]


# -- what goes wrong ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("after", [False, True])
def test_a_query_whose_answer_was_lost_goes_to_another_job_and_the_first_is_aborted(after):
    org = QueryOrg([], failures=[Failure("add", after, lost)])
    assert start_query(org, QUERY) == SECOND_JOB
    assert (len(org.made), org.states, len(org.queries)) == (2, ["Aborted"], 2 if after else 1)


def test_a_query_whose_answer_is_lost_again_and_again_is_given_up():
    org = QueryOrg([], failures=[Failure("add", True, lost, nth) for nth in (1, 2, 3)])
    with pytest.raises(ConnectionFailed):
        start_query(org, QUERY)
    assert org.states == ["Aborted"] * 3


def test_a_batch_that_failed_raises_in_the_orgs_words_without_waiting_for_the_others():
    org = QueryOrg([["NotProcessed", "InProgress", "Failed"]], message="QUERY_TIMEOUT: too long")
    with pytest.raises(JobFailed) as caught:
        waited(org, chunked=True)
    problem = caught.value
    assert (problem.said, problem.job_id, problem.batch_id) == ("QUERY_TIMEOUT: too long", JOB, BATCHES[2])


@pytest.mark.parametrize(
    ("states", "chunked"),
    [
        (["NotProcessed"], False),
        (["NotProcessed"], True),
        (["NotProcessed", "Completed", "NotProcessed"], True),
        (["NotProcessed", "Completed"], False),
    ],
)
def test_batches_that_nobody_processed_are_an_aborted_job(states, chunked):
    with pytest.raises(JobAborted, match="did not process all of the query"):
        waited(QueryOrg([states]), chunked=chunked)


def test_a_file_that_breaks_off_or_is_not_whole_is_fetched_again():
    org = QueryOrg([["Completed"]], {BATCHES[0]: [b'"Id"\n"1"\n']})
    org.broken["752AB0000000000"] = 2
    tries: list[bytes] = []

    def take(page):
        tries.append(b"".join(page.chunks))
        if len(tries) < 3:
            raise IncompleteAnswer("cut")
        return tries[-1]

    assert files(org, waited(org), take) == [b'"Id"\n"1"\n']
    assert org.steps.count("file") == 5


def test_the_job_is_closed_behind_its_files_and_aborted_when_the_read_is_given_up():
    org = QueryOrg([])
    with ending(org, JOB):
        assert org.states == []
    assert org.states == ["Closed"]
    with pytest.raises(Cancelled), ending(org, JOB):
        raise Cancelled("cancelled")
    assert org.states == ["Closed", "Aborted"]


def test_a_job_that_takes_too_long_goes_on_in_the_org():
    org = QueryOrg([["InProgress"]])
    with pytest.raises(JobTimeout) as caught, ending(org, JOB):
        waited(org, pacing=Pacing(timeout=5.0))
    assert f"get_job('{JOB}')" in caught.value.remedy
    assert org.states == []


def test_a_cancel_while_the_batches_run_aborts_the_job():
    org, cancel = QueryOrg([["InProgress"]]), threading.Event()
    clock = FastClock()
    clock.meanwhile = cancel.set
    with pytest.raises(Cancelled), ending(org, JOB):
        wait_for_batches(org, JOB, cancel=cancel, clock=clock, jitter=lambda: 0.5)
    assert org.states == ["Aborted"]
