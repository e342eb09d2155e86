"""An org made of a few dictionaries: it keeps the rules of the Bulk API 1.0 and fails where a test says so."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from sfframe.protocol.call import Call, Reply
from tests.jobs.scripted_org import Failure, ScriptedOrg

_XMLNS = 'xmlns="http://www.force.com/2009/06/asyncapi/dataload"'
_STEPS = {"": "info", "batch": "batches", "request": "request", "result": "result"}


@dataclass
class ScriptedBatch:
    id: str
    content: bytes
    state: str = "Queued"
    message: str = ""
    polls: int = 0
    processed: int | None = None

    @property
    def rows(self) -> list[str]:
        return self.content.decode().splitlines()[1:]


@dataclass
class ScriptedJob1:
    id: str
    document: dict[str, str]
    state: str = "Open"
    batches: dict[str, ScriptedBatch] = field(default_factory=dict)


class ScriptedBulk1(ScriptedOrg):
    """A Wire. Rows whose text holds ``bad`` fail, the others are saved as soon as their batch arrives.

    ``batch_ends`` says how a batch goes on, list by list. ``hidden`` batches are in no list, ``garbled`` ones cannot be
    read back as they were sent. ``processes`` is False for an org that leaves batches Queued until the job is closed.
    """

    def __init__(self, *failures: Failure) -> None:
        super().__init__(*failures)
        self.jobs1: dict[str, ScriptedJob1] = {}
        self.batch_ends = ["Queued", "InProgress", "Completed"]
        self.batch_message = ""
        self.batch_processed: int | None = None
        self.hidden: set[str] = set()
        self.garbled: set[str] = set()
        self.processes = True

    @property
    def sent(self) -> dict[str, list[str]]:
        """The batch ids of each job."""
        return {job.id: list(job.batches) for job in self.jobs1.values()}

    def _step(self, call: Call[object]) -> tuple[str, None]:
        assert call.service == "async"
        if call.path == "job":
            return "create", None
        if call.method == "POST":
            if call.path.endswith("/batch"):
                return "add", None
            assert isinstance(call.body, bytes)
            return {b"Closed": "close", b"Aborted": "abort"}[call.body.split(b"state>")[1][:-2]], None
        parts = re.fullmatch(r"job/\w+(?:/(batch)(?:/\w+/(request|result))?)?", call.path)
        assert parts is not None, call.path
        return _STEPS[parts[2] or parts[1] or ""], None

    def _do(self, step: str, call: Call[object], _job: object) -> Reply:
        if step == "create":
            assert isinstance(call.body, bytes)
            document = dict(re.findall(r"<(\w+)>([^<]*)</", call.body.decode()))
            job = ScriptedJob1(f"750AB{len(self.jobs1) + 1:010d}AAA", document)
            self.jobs1[job.id] = job
            return _info(job, 201)
        _, job_id, *more = call.path.split("/")
        found = self.jobs1.get(job_id)
        if found is None:
            return error1("InvalidJob", f"Invalid job id: {job_id}")
        if step in {"close", "abort"}:
            return self._end(step, found)
        if step == "add":
            return self._add(call, found)
        if step == "batches":
            return self._listed(found)
        if step == "info":
            return _info(found)
        return self._content(step, found.batches[more[1]])

    def _end(self, step: str, job: ScriptedJob1) -> Reply:
        if job.state != "Open":
            return error1("InvalidJobState", f"Closing already {job.state} Job not allowed")
        job.state = "Closed" if step == "close" else "Aborted"
        for batch in job.batches.values():
            if step == "abort" and batch.state == "Queued" and not self.processes:
                batch.state = "NotProcessed"
            elif not self.processes:
                self._save(batch)
        return _info(job)

    def _add(self, call: Call[object], job: ScriptedJob1) -> Reply:
        if job.state != "Open":
            return error1("InvalidJobState", f"Adding a batch to an already {job.state} Job not allowed")
        assert isinstance(call.body, Path)
        number = sum(len(one.batches) for one in self.jobs1.values()) + 1
        batch = ScriptedBatch(f"751AB{number:010d}AAA", call.body.read_bytes())
        job.batches[batch.id] = batch
        if self.processes:
            self._save(batch)
        return Reply(201, {}, f"<batchInfo {_XMLNS}>{_members(job, batch)}</batchInfo>".encode())

    def _save(self, batch: ScriptedBatch) -> None:
        batch.processed = len(batch.rows) if self.batch_processed is None else self.batch_processed
        self.saved += [row for row in batch.rows[: batch.processed] if "bad" not in row]

    def _listed(self, job: ScriptedJob1) -> Reply:
        for batch in job.batches.values():
            if job.state != "Open" and batch.state in {"Queued", "InProgress"}:
                batch.state = self.batch_ends[min(batch.polls, len(self.batch_ends) - 1)]
                batch.message = self.batch_message
                batch.polls += 1
        shown = [one for one in job.batches.values() if one.id not in self.hidden]
        inner = "".join(f"<batchInfo>{_members(job, one)}</batchInfo>" for one in shown)
        return Reply(200, {}, f"<batchInfoList {_XMLNS}>{inner}</batchInfoList>".encode())

    def _content(self, step: str, batch: ScriptedBatch) -> Reply:
        if step == "request":
            return Reply(
                200, {}, batch.content if batch.id not in self.garbled else batch.content.replace(b"\n", b"\r\n")
            )
        if batch.state not in {"Completed", "Failed"}:
            return error1("InvalidBatch", "Batch not completed")
        rows = "".join(_answer(row) for row in batch.rows[: batch.processed])
        return Reply(200, {"content-type": "text/csv"}, f'"Id","Success","Created","Error"\n{rows}'.encode())


def _answer(row: str) -> str:
    return '"","false","false","X:y:--"\n' if "bad" in row else f'"001{row}","true","true",""\n'


def _members(job: ScriptedJob1, batch: ScriptedBatch) -> str:
    message = f"<stateMessage>{batch.message}</stateMessage>" if batch.message else ""
    ended = batch.state in {"Completed", "Failed"}
    failed = sum("bad" in row for row in batch.rows[: batch.processed])
    return (
        f"<id>{batch.id}</id><jobId>{job.id}</jobId><state>{batch.state}</state>{message}"
        f"<numberRecordsProcessed>{batch.processed if ended else 0}</numberRecordsProcessed>"
        f"<numberRecordsFailed>{failed if ended else 0}</numberRecordsFailed>"
    )


def _info(job: ScriptedJob1, status: int = 200) -> Reply:
    inner = f"<id>{job.id}</id><state>{job.state}</state><numberBatchesTotal>{len(job.batches)}</numberBatchesTotal>"
    return Reply(status, {}, f"<jobInfo {_XMLNS}>{inner}</jobInfo>".encode())


def error1(code: str, message: str) -> Reply:
    inner = f"<exceptionCode>{code}</exceptionCode><exceptionMessage>{message}</exceptionMessage>"
    return Reply(400, {}, f"<error {_XMLNS}>{inner}</error>".encode())
