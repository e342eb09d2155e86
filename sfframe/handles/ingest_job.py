"""IngestJob: one ingest job of the Bulk API 2.0, step by step (bulk2.md 2)."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from sfframe import facts
from sfframe.errors import ApiError, ConnectionFailed, UsageError
from sfframe.facts import INGEST_ENDED
from sfframe.handles.handle import JobHandle, Target
from sfframe.handles.uploads import Nulls, load_job, spooled
from sfframe.jobs.events import JobEventKind, Listener
from sfframe.jobs.load_job import LoadJob
from sfframe.jobs.pacing import may_pass
from sfframe.protocol import bulk2_ingest
from sfframe.protocol.bulk2_ingest import ResultFile
from sfframe.protocol.bulk2_job import JobInfo

if TYPE_CHECKING:
    from threading import Event

    import polars as pl

    from sfframe.connection.org import Org

Results = Literal["successful", "failed", "unprocessed"]
_FILES: Final[dict[Results, ResultFile]] = {
    "successful": "successfulResults",
    "failed": "failedResults",
    "unprocessed": "unprocessedrecords",
}
_NO_LIMIT: Final = 1 << 62  # a job has no limit of rows, only of bytes (bulk2.md 3.6)


class IngestJob(JobHandle[JobInfo]):
    """A handle on one ingest job of the Bulk API 2.0: upload once, close, poll, read the three result files.

    ``info`` is what the org said last of the job, with its counters. Nothing is retried behind your back, nothing is
    noted in the ledger: ``write_sobject`` does all of that for whole loads.

    >>> import sfframe as sf
    >>> job = sf.create_job("Account", operation="insert", org="local")
    >>> job.upload([{"Name": "Acme"}, {"Name": "Globex"}])
    2
    >>> job.close().state, job.poll().state
    ('UploadComplete', 'JobComplete')
    >>> sorted(job.successful()["Name"])
    ['Acme', 'Globex']
    """

    def __init__(self, org: Org, info: JobInfo, on_event: Listener | None = None) -> None:
        super().__init__(org, info, on_event)
        self._uploaded = info.state != "Open" or info.upload_arrived

    @property
    def state(self) -> str:
        """The last known state: Open, UploadComplete, InProgress, JobComplete, Failed or Aborted."""
        return self.info.state

    # -- before the org begins --------------------------------------------------------------------------------------

    def upload(
        self,
        data: object,
        *,
        columns: Mapping[str, str | None] | None = None,
        nulls: Nulls | Mapping[str, Nulls] | None = None,
        timezone: str | None = None,
    ) -> int:
        """Send the job's rows, and say how many they are. A job takes one upload of up to 100,000,000 bytes.

        ``data`` is all that ``write_sobject`` takes (frames, paths, binary files), CSV as text or bytes, or an iterator
        of frames with the same columns, of which one is in memory at a time. A text without a line break is a path.
        ``columns`` and ``nulls`` mean what they mean there. All values are checked against the describe before anything
        is sent: ContractError lists those that the org would refuse.

        Raises UsageError for a second upload (it would spoil the job: bulk2.md 2.4) and for more than one job may have.
        """
        if self._uploaded:
            raise UsageError(
                f"The job is {self.state} and has its upload; it takes no other one",
                where=f"job {self.id}",
                remedy="Create another job for these rows.",
            )
        with tempfile.TemporaryDirectory(prefix="sfframe-") as folder:
            parts = spooled(
                data,
                load_job(self.info),
                self._org,
                Path(folder),
                columns=columns,
                nulls=nulls,
                timezone=timezone,
                max_rows=_NO_LIMIT,
                max_bytes=facts.UPLOAD_BYTES,
            )
            part = next(parts, None)
            if next(parts, None) is not None:
                raise UsageError(
                    f"The rows are more than the {facts.UPLOAD_BYTES:,} bytes that one upload may have",
                    where=f"job {self.id}",
                    remedy="Give each part a job of its own, or use write_sobject, which cuts and joins them.",
                )
            path = Path(folder) / "empty.csv"
            if part is None:
                path.touch()  # an upload without bytes is a job without rows (bulk2.md 2.5)
            self._send(path if part is None else part.path)
        rows, size = (0, 0) if part is None else (part.rows, part.bytes)
        self._told("uploaded", rows=rows, bytes_sent=size)
        return rows

    def close(self) -> JobInfo:
        """Let the org begin with the uploaded rows. A job that was never closed is gone after a day."""
        try:
            self._keep(self._org.send(bulk2_ingest.close(self.id)))
        except (ConnectionFailed, ApiError) as problem:
            # When the answer is lost, the job itself says whether it was closed (bulk2.md 6.4).
            if not may_pass(problem) or self.check().state == "Open":
                raise
        self._told("closed")
        if self.state == "UploadComplete":
            self._told("queued")
        return self.info

    def abort(self) -> JobInfo:
        """Stop the job; rows that are saved stay saved. Refused with ApiError when it has ended."""
        self._keep(self._org.send(bulk2_ingest.abort(self.id)))
        self._told("aborted")
        return self.info

    # -- while the org works ----------------------------------------------------------------------------------------

    def check(self) -> JobInfo:
        """Ask the org for the job's state and counters. Raises NotFound seven days after its end."""
        self.info = self._org.send(bulk2_ingest.info(self.id))
        return self.info

    def poll(
        self, *, interval: float | None = None, timeout: float | None = None, cancel: Event | None = None
    ) -> JobInfo:
        """Wait until the job is JobComplete, Failed or Aborted, and say which.

        ``interval`` is the seconds between two polls, ``timeout`` those in all; without them ``Org.pacing`` decides,
        else the first poll comes soon, the pauses grow to half a minute, and the end is a day. Then JobTimeout is
        raised, with ``job_id``; a timeout of 0 raises it at once, without asking. When ``cancel`` is set, Cancelled is
        raised within the pause. The job goes on in the org after both: poll again.
        """
        self._follow(
            lambda: self._org.send(bulk2_ingest.info(self.id), cancel=cancel),
            job_id=self.id,
            ended=INGEST_ENDED,
            go_on=f"Wait for it again with sfframe.get_job({self.id!r}).poll().",
            on_info=self._on_info,
            on_failure=lambda message: self._told("error", message=message),
            interval=interval,
            timeout=timeout,
            cancel=cancel,
        )
        self._told("ended", message=self.info.error_message)
        return self.info

    # -- afterwards -------------------------------------------------------------------------------------------------

    def successful(self) -> pl.DataFrame:
        """The rows that were saved: ``sf__Id``, ``sf__Created`` (false for an update), then the columns of the upload.

        In no order (bulk2.md 2.9). Columns are typed by the describe where all their values fit, else text; numbers and
        datetimes are as the org understood them. A job that Failed or was Aborted has its saved rows here, too.
        """
        return self._results("successful")

    def failed(self) -> pl.DataFrame:
        """The refused rows: ``sf__Id``, ``sf__ErrorCode``, ``sf__ErrorFields``, ``sf__Error``, then the upload."""
        return self._results("failed")

    def unprocessed(self) -> pl.DataFrame:
        """The rows that a Failed or Aborted job never came to, as they were uploaded; they can be uploaded again."""
        return self._results("unprocessed")

    def raw(self, results: Results, target: Target) -> Path | None:
        """The org's own CSV of these ``results``, streamed to a path (given back) or into an open binary file."""
        return self._save(bulk2_ingest.results(self.id, _file_of(results)), target)

    def delete(self) -> None:
        """Delete the ended job with its results, which the org else keeps for seven days. Its records stay."""
        self._org.send(bulk2_ingest.delete(self.id))

    # -- inside -----------------------------------------------------------------------------------------------------

    def _results(self, results: Results) -> pl.DataFrame:
        from sfframe.codec.outcomes import read_result_file

        known = self._known()
        with self._file(bulk2_ingest.results(self.id, _file_of(results))) as path:
            text = read_result_file(path, delimiter=known.column_delimiter, where=f"job {self.id}, {results} rows")
        frame = self._typed(text, known.sobject)
        self._told("response", rows=frame.height)
        return frame

    def _on_info(self, info: JobInfo) -> None:
        self.info = info
        if info.state == "Open":
            raise UsageError("The job is Open: the org waits", where=f"job {self.id}", remedy="close() it first.")
        if info.state not in INGEST_ENDED:
            self._told("in_progress" if info.state == "InProgress" else "queued")

    def _send(self, path: Path) -> None:
        """Uploads once. When the answer is lost, the job itself says whether the bytes arrived (bulk2.md 6.4)."""
        self._uploaded = True
        try:
            self._org.send(bulk2_ingest.upload(self.id, path))
        except (ConnectionFailed, ApiError) as problem:
            if not may_pass(problem) or not self.check().upload_arrived:
                problem.remedy = f"The rows are not in the job. Abort it, and create another one. {problem.remedy}"
                raise

    def _keep(self, changed: JobInfo) -> None:
        """The answer of a change is short: it has neither counters nor format (bulk2.md 2.5)."""
        self.info = replace(self.info, state=changed.state, system_modstamp=changed.system_modstamp)

    def _known(self) -> LoadJob:
        """The job with its format, which the list of jobs or an old server may have left out."""
        if not self.info.column_delimiter:
            self.check()
        return load_job(self.info)

    def _told(self, kind: JobEventKind, *, rows: int = 0, bytes_sent: int = 0, message: str = "") -> None:
        info = self.info
        self._tell(
            kind, info.id, info.state, processed=info.records_processed, failed=info.records_failed, rows=rows,
            bytes_sent=bytes_sent, message=message,
        )  # fmt: skip

    def _shown(self) -> list[tuple[str, object]]:
        info = self.info
        shown: list[tuple[str, object]] = [("id", info.id), ("job", f"{info.operation} {info.object}")]
        shown += [("state", info.state)]
        if info.records_processed is not None:
            shown += [("processed", f"{info.records_processed:,}"), ("failed", f"{info.records_failed or 0:,}")]
        return shown + ([("error", info.error_message)] if info.error_message else [])


def _file_of(results: Results) -> ResultFile:
    if results not in _FILES:
        raise UsageError(f"There are no results {results!r}", remedy=f"Use one of {', '.join(_FILES)}.")
    return _FILES[results]
