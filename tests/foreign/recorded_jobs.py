"""Ingest jobs that a recording asks about and did not make: they are made as the recorded answers show them.

A job that has failed rows gets rows that fail in the same way; one that is running is held there.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from sfframe.localorg.faults import Fault
from sfframe.localorg.services import rules
from sfframe.localorg.services.services import Services
from sfframe.localorg.store.rules import ValidationRule
from tests.localorg.app_client import AppClient

if TYPE_CHECKING:
    from tests.foreign.recordings import Interaction

_JOB = re.compile(r"/jobs/ingest/(\w{18})(?:/(\w+))?$")
_WRONG_COLUMN = re.compile(r"InvalidBatch : Field name not found : (\w+)")
_NO_TYPE = ValidationRule("Account", "Type", "Type = null", "Type must contain a value.", "Type")
_OPEN = ("Open", "UploadComplete")


class RecordedJobs:
    """The jobs of one cassette."""

    def __init__(self, services: Services, client: AppClient, cassette: list[Interaction]) -> None:
        self._services = services
        self._client = client
        self._infos: dict[str, dict[str, Any]] = {}
        for one in cassette:
            self._infos |= {info["id"]: info for info in _infos(one.answered())}

    def make(self, one: Interaction) -> dict[str, str]:
        """Bring about what the interaction asks for; answers the ids of new jobs by the recorded ones."""
        if "/jobs/ingest" not in one.path or one.method == "POST":
            return {}
        found = _JOB.search(one.path)
        if found is None:
            for job in self._client.get(one.path).json()["records"]:
                self._end(job["id"], "Aborted")
                self._client.delete(f"{_base(one)}/{job['id']}")
            return {info["id"]: self._open(one, info) for info in _infos(one.answered())}
        recorded, what = found[1], found[2]
        info = self._infos[recorded] | (one.answered() if isinstance(one.answered(), dict) else {})
        job = self._open(one, info)
        if one.method == "DELETE":
            self._end(job, "Aborted")
        elif one.method == "GET" and (what is not None or info["state"] not in _OPEN):
            self._run(job, info, one)
        return {recorded: job}

    def _open(self, one: Interaction, info: dict[str, Any]) -> str:
        told = ("object", "operation", "externalIdFieldName")
        made = self._client.post(_base(one), json={name: info[name] for name in told if name in info})
        assert made.status_code == 200, made.text
        job: str = made.json()["id"]
        return job

    def _run(self, job: str, info: dict[str, Any], one: Interaction) -> None:
        """Upload rows like the recorded ones and let the job come to the recorded state."""
        store, faults = self._services.store, self._services.faults
        what = one.path.rpartition("/")[2]
        if what == "unprocessedrecords":
            faults.add(Fault("job_fails", message="stopped"))
        elif info["state"] == "InProgress":
            faults.add(Fault("job_stuck", after_batches=1))
        if _NO_TYPE.message in one.answer:
            rules.declare(store, _NO_TYPE)
        # Of unprocessed rows the file is what was uploaded, to the letter (bulk2.md 2.11).
        echoed = [one.answer] if what == "unprocessedrecords" else _uploaded(one.answer)
        content = "\n".join(_rows(info) if one.answered() else echoed)
        sent = self._client.request(
            "PUT", f"{_base(one)}/{job}/batches", content=content, headers={"Content-Type": "text/csv"}
        )
        assert sent.status_code == 201, sent.text
        self._end(job, "UploadComplete")
        self._services.ingest.wait(job, batches=1 if info["state"] == "InProgress" else None)
        faults.clear()
        with store.writing, store.cursor() as cursor:
            store.rules.keep((), cursor)

    def _end(self, job: str, state: str) -> None:
        self._client.patch(f"/services/data/v60.0/jobs/ingest/{job}", json={"state": state})


def _infos(answer: Any) -> Iterator[dict[str, Any]]:
    for one in answer.get("records", [answer]) if isinstance(answer, dict) else ():
        if isinstance(one, dict) and str(one.get("id")).startswith("750") and "operation" in one:
            yield one


def _base(one: Interaction) -> str:
    return one.path[: one.path.index("/jobs/ingest") + len("/jobs/ingest")]


def _uploaded(result: str) -> Iterator[str]:
    """The lines of the upload that a result file echoes."""
    for row in csv.reader(io.StringIO(result)):
        written = io.StringIO()
        csv.writer(written, lineterminator="").writerow(row[2:])  # behind the columns of the org
        yield written.getvalue()


def _rows(info: dict[str, Any]) -> Iterator[str]:
    """As many opportunities as the job processed, of which as many cannot be read as failed."""
    wrong = _WRONG_COLUMN.search(info.get("errorMessage", ""))
    yield f"Name,{wrong[1] if wrong else 'StageName'},{info['externalIdFieldName']},CloseDate"
    processed, failed = info["numberRecordsProcessed"] or 1, info["numberRecordsFailed"]
    for at in range(processed):
        yield f"Deal {at},Prospecting,key-{at},{'never' if at < failed else '2024-09-10'}"


def csv_form(text: str) -> list[str]:
    """What a result file says once ids are left out; rows are in no order (bulk2.md 2.12)."""
    header, *rows = text.removesuffix("\n").split("\n")
    return [header, *sorted(re.sub(r'^"\w{18}"', '"id"', row) for row in rows)]
