"""An org made of a few dictionaries: it keeps the rules of the Bulk API 2.0 and fails where a test says so."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from sfframe.errors import Cancelled, ConnectionFailed
from sfframe.protocol.call import Call, Reply, Streamed
from sfframe.protocol.error_body import answer, error_for

T = TypeVar("T")

Fault = Callable[[], None]


class Killed(BaseException):
    """The process ends here; nothing that follows runs, as with kill -9."""


def lost() -> None:
    raise ConnectionFailed("the connection to acme.my.salesforce.com was lost (ReadError)")


def killed() -> None:
    raise Killed


@dataclass
class ScriptedJob:
    id: str
    kind: str
    body: dict[str, str]
    state: str
    uploads: list[bytes] = field(default_factory=list)
    polls: int = 0
    saved: list[str] = field(default_factory=list)

    @property
    def rows(self) -> list[str]:
        return self.uploads[0].decode().splitlines()[1:] if self.uploads else []


@dataclass
class Failure:
    """At the ``nth`` time of a step, before the org does it or after: what happens instead of an answer."""

    step: str
    after: bool
    happens: Fault
    nth: int = 1


class ScriptedOrg:
    """A Wire. Rows whose text holds ``bad`` fail; ``ends`` says how a closed job goes on, poll by poll."""

    def __init__(self, *failures: Failure) -> None:
        self.failures = list(failures)
        self.jobs: dict[str, ScriptedJob] = {}
        self.steps: list[str] = []
        self.saved: list[str] = []
        self.ends = ["UploadComplete", "InProgress", "JobComplete"]
        self.error_message = ""
        self.counted: int | None = None
        self.refused: dict[str, tuple[int, str]] = {}
        self.broken: dict[str, int] = {}
        self.proxied: dict[str, int] = {}  # by step: how often a proxy's page comes instead of the org's answer
        self.pages: list[tuple[bytes, dict[str, str]]] = []
        self.upload_status = 201
        self.lock = threading.Lock()

    # -- Wire -------------------------------------------------------------------------------------------------------

    def send(self, call: Call[T], *, cancel: threading.Event | None = None) -> T:
        with self.lock:
            return answer(call, self._answer(call, cancel))

    @contextmanager
    def stream(self, call: Call[object], *, cancel: threading.Event | None = None) -> Iterator[Streamed]:
        with self.lock:
            reply = self._answer(call, cancel)
        if not call.accepts_status(reply.status):
            raise error_for(call, reply)
        yield Streamed(reply.status, reply.headers, self._pieces(call, reply.body))

    def _pieces(self, call: Call[object], body: bytes) -> Iterator[bytes]:
        name = call.path.rpartition("/")[2]
        half = len(body) // 2
        yield body[:half]
        if self.broken.get(name, 0) > 0:
            self.broken[name] -= 1
            lost()
        yield body[half:]

    # -- the org ----------------------------------------------------------------------------------------------------

    def _answer(self, call: Call[object], cancel: threading.Event | None) -> Reply:
        if cancel is not None and cancel.is_set():
            raise Cancelled("cancelled", where=call.where)
        step, job = self._step(call)
        self.steps.append(step)
        nth = self.steps.count(step)
        due = [one for one in self.failures if one.step == step and one.nth == nth]
        for failure in due:
            if not failure.after:
                failure.happens()
        if step in self.refused:
            status, code = self.refused[step]
            reply = _error(status, code)
        elif self.proxied.get(step, 0) > 0:
            self.proxied[step] -= 1
            reply = Reply(200, {"content-type": "text/html"}, b"<html>Please log in</html>")
        else:
            reply = self._do(step, call, job)
        for failure in due:
            failure.happens()
        return reply

    def _step(self, call: Call[object]) -> tuple[str, ScriptedJob | None]:
        parts = re.fullmatch(r"jobs/(ingest|query)(?:/(\w+))?(?:/(\w+))?", call.path)
        assert parts is not None, call.path
        _kind, job_id, resource = parts.groups()
        if job_id is None:
            return "create", None
        if call.method == "PATCH":
            assert isinstance(call.body, bytes)
            return {"UploadComplete": "close", "Aborted": "abort"}[json.loads(call.body)["state"]], self.jobs.get(
                job_id
            )
        names = {"PUT": "upload", "DELETE": "delete", "GET": resource or "info"}
        return names[call.method], self.jobs.get(job_id)

    def _do(self, step: str, call: Call[object], job: ScriptedJob | None) -> Reply:
        if step == "create":
            assert isinstance(call.body, bytes)
            kind = call.path.rpartition("/")[2]
            number = len(self.jobs) + 1
            state = "Open" if kind == "ingest" else "UploadComplete"
            job = ScriptedJob(f"750AB{number:010d}AAA", kind, json.loads(call.body), state)
            self.jobs[job.id] = job
            return _json(self._shown(job))
        if job is None:
            return _error(404, "NOT_FOUND")
        done: Callable[[Call[object], ScriptedJob], Reply] = getattr(self, f"_{step}", self._result)
        return done(call, job)

    def _upload(self, call: Call[object], job: ScriptedJob) -> Reply:
        if job.state != "Open":
            return _error(400, "INVALIDJOBSTATE")
        assert isinstance(call.body, Path)
        job.uploads.append(call.body.read_bytes())
        return Reply(self.upload_status, {})

    def _close(self, _call: Call[object], job: ScriptedJob) -> Reply:
        if job.state != "Open":
            return _error(400, "INVALIDJOBSTATE")
        if len(job.uploads) > 1:
            return _error(400, "INVALIDJOB")
        job.state = "UploadComplete"
        job.saved = [row for row in job.rows if "bad" not in row]
        self.saved += job.saved
        return _json(self._shown(job))

    def _abort(self, _call: Call[object], job: ScriptedJob) -> Reply:
        if job.state in {"JobComplete", "Failed", "Aborted"}:
            return _error(400, "INVALIDJOBSTATE")
        job.state = "Aborted"
        return _json(self._shown(job))

    def _delete(self, _call: Call[object], job: ScriptedJob) -> Reply:
        del self.jobs[job.id]
        return Reply(204, {})

    def _info(self, _call: Call[object], job: ScriptedJob) -> Reply:
        if job.state not in {"Open", "Aborted"}:
            job.state = self.ends[min(job.polls, len(self.ends) - 1)]
            job.polls += 1
        return _json({**self._shown(job), **self._counters(job)})

    def _counters(self, job: ScriptedJob) -> dict[str, object]:
        if job.kind == "query":
            return {"numberRecordsProcessed": self.counted if job.state == "JobComplete" else 0}
        if job.state == "Open":
            return {"numberRecordsProcessed": 0, "numberRecordsFailed": 0} if job.uploads else {}
        known = job.state == "JobComplete"
        total = len(job.rows) if self.counted is None else self.counted
        return {
            "numberRecordsProcessed": total if known else 0,
            "numberRecordsFailed": len(job.rows) - len(job.saved) if known else 0,
        }

    def _result(self, call: Call[object], job: ScriptedJob) -> Reply:
        if job.kind == "query":
            locator = dict(call.query).get("locator")
            body, headers = self.pages[int(locator or 0)]
            return Reply(200, headers, body)
        rows = {
            "successfulResults": ['"sf__Id","sf__Created",Name', *(f'"001","true","{row}"' for row in job.saved)],
            "failedResults": [
                '"sf__Id","sf__Error",Name',
                *(f'"","X:y:--","{row}"' for row in job.rows if row not in job.saved),
            ],
            "unprocessedrecords": ["Name"],
        }[call.path.rpartition("/")[2]]
        return Reply(200, {"content-type": "text/csv"}, ("\n".join(rows) + "\n").encode())

    def _shown(self, job: ScriptedJob) -> dict[str, object]:
        shown: dict[str, object] = {"id": job.id, "state": job.state, "object": job.body.get("object", "Account")}
        if job.state == "Failed":
            shown["errorMessage"] = self.error_message
        return shown


def _json(value: dict[str, object]) -> Reply:
    return Reply(200, {"content-type": "application/json"}, json.dumps(value).encode())


def _error(status: int, code: str) -> Reply:
    return Reply(status, {}, json.dumps([{"errorCode": code, "message": "as scripted"}]).encode())


class FastClock:
    """Time passes only when somebody waits; nobody sleeps."""

    def __init__(self) -> None:
        self.time = 1_000.0
        self.waits: list[float] = []
        self.meanwhile: Callable[[], None] = lambda: None

    def now(self) -> float:
        return self.time

    def wait(self, seconds: float, cancel: threading.Event | None) -> bool:
        self.waits.append(round(seconds, 3))
        self.time += seconds
        if len(self.waits) > 1:
            self.meanwhile()
        return cancel is not None and cancel.is_set()
