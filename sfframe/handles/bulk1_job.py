"""Bulk1Job: one job of the Bulk API 1.0 and its batches, step by step (bulk1.md 2, 3)."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sfframe import facts
from sfframe.errors import ApiError, ConnectionFailed, UsageError
from sfframe.handles.bulk1_batch import BATCH_ENDED, QUERIES, Bulk1Batch
from sfframe.handles.handle import JobHandle, moments
from sfframe.handles.uploads import Nulls, load_job, spooled
from sfframe.jobs.events import JobEventKind
from sfframe.jobs.pacing import may_pass
from sfframe.protocol import bulk1
from sfframe.protocol.bulk1 import JobInfo

if TYPE_CHECKING:
    from threading import Event

    import polars as pl

    from sfframe.protocol.bulk1 import BatchInfo
    from sfframe.protocol.call import Call


class Bulk1Job(JobHandle[JobInfo]):
    """A handle on one job of the Bulk API 1.0: add batches while it is Open, close it, poll, read each batch's answers.

    Batches are worked on as soon as they are there. ``info`` is what the org said last of the job, with its counters.

    >>> import sfframe as sf
    >>> job = sf.create_job("Account", operation="insert", api="bulk1", org="local")
    >>> batch = job.add_batch([{"Name": "Acme"}, {"Name": "Globex"}])
    >>> job.close().state, batch.poll().state
    ('Closed', 'Completed')
    >>> batch.retrieve()["sf__Status"].to_list()
    ['created', 'created']
    """

    @property
    def state(self) -> str:
        """The last known state: Open, Closed, Aborted or Failed. A Closed job may have batches that still run."""
        return self.info.state

    # -- batches ----------------------------------------------------------------------------------------------------

    def create_batch(self) -> Bulk1Batch:
        """A batch that was not sent yet; its ``execute`` sends it."""
        return Bulk1Batch(self._org, self.info, on_event=self._on_event)

    def add_batch(
        self,
        data: object,
        *,
        columns: Mapping[str, str | None] | None = None,
        nulls: Nulls | Mapping[str, Nulls] | None = None,
        timezone: str | None = None,
    ) -> Bulk1Batch:
        """A new batch with these rows, or of a query job with this SOQL; what it takes says ``Bulk1Batch.execute``."""
        return self.create_batch().execute(data, columns=columns, nulls=nulls, timezone=timezone)

    def add_batches(
        self,
        data: object,
        *,
        rows: int = facts.BATCH_ROWS,
        columns: Mapping[str, str | None] | None = None,
        nulls: Nulls | Mapping[str, Nulls] | None = None,
        timezone: str | None = None,
    ) -> list[Bulk1Batch]:
        """Any number of rows as batches of up to ``rows`` rows and 10,000,000 bytes, in order.

        All rows are checked before the first batch is sent. A batch that cannot be sent raises; those before it are in
        the job, as ``batches`` shows.
        """
        if self.operation in QUERIES or not 1 <= rows <= facts.BATCH_ROWS:
            raise UsageError(
                "A query job has no rows to cut" if self.operation in QUERIES else f"A batch cannot have {rows:,} rows",
                where=f"job {self.id}",
                remedy=f"add_batch() takes a query; batches of rows have 1 to {facts.BATCH_ROWS:,}.",
            )
        with tempfile.TemporaryDirectory(prefix="sfframe-") as folder:
            parts = list(
                spooled(
                    data,
                    load_job(self.info),
                    self._org,
                    Path(folder),
                    columns=columns,
                    nulls=nulls,
                    timezone=timezone,
                    max_rows=rows,
                    max_bytes=facts.BATCH_BYTES,
                )
            )
            batches = [self.create_batch() for _ in parts]
            for batch, part in zip(batches, parts, strict=True):
                batch.send(part.path, rows=part.rows, size=part.bytes)
        return batches

    def batch(self, batch_id: str) -> Bulk1Batch:
        """The batch with this id (751...), also one that somebody else added. Raises ApiError where there is none."""
        info = self._org.send(bulk1.batch(self.id, batch_id))
        return Bulk1Batch(self._org, self.info, info, on_event=self._on_event)

    def batches(self) -> pl.DataFrame:
        """All batches in the order in which they were added, as a frame.

        ``id``, ``state``, ``state_message`` (why it Failed), ``created`` and ``modified`` (UTC), ``processed`` (failed
        ones included) and ``failed`` rows, and three times in milliseconds.
        """
        import polars as pl

        rows = [
            (
                one.id, one.state, one.state_message or None, one.created_date, one.system_modstamp,
                one.records_processed, one.records_failed, one.total_processing_time, one.api_active_processing_time,
                one.apex_processing_time,
            )
            for one in self._org.send(bulk1.batches(self.id))
        ]  # fmt: skip
        texts = ("id", "state", "state_message", "created", "modified")
        numbers = ("processed", "failed", "total_ms", "api_active_ms", "apex_ms")
        schema = dict.fromkeys(texts, pl.String()) | dict.fromkeys(numbers, pl.Int64())
        return moments(pl.DataFrame(rows, schema=schema, orient="row"), "created", "modified")

    # -- the job ----------------------------------------------------------------------------------------------------

    def check(self) -> JobInfo:
        """Ask the org for the job's state and counters."""
        self.info = self._org.send(bulk1.info(self.id))
        return self.info

    def close(self) -> JobInfo:
        """Let no more batches in; those that are there go on."""
        self._change(bulk1.close(self.id), "Closed")
        self._told("closed")
        return self.info

    def abort(self) -> JobInfo:
        """Stop the job: batches that wait become NotProcessed, others go on, what is saved stays saved."""
        self._change(bulk1.abort(self.id), "Aborted")
        self._told("aborted")
        return self.info

    def poll(
        self, *, interval: float | None = None, timeout: float | None = None, cancel: Event | None = None
    ) -> JobInfo:
        """Wait until every batch that the job has now has ended, well or not; the options are ``IngestJob.poll``'s.

        The job itself may still be Open. Chunks of a query that the org splits are waited for as well.
        """
        self._follow(
            lambda: _Batches(self._org.send(bulk1.batches(self.id), cancel=cancel)),
            job_id=self.id,
            ended=("ended",),
            go_on=f"Wait for it again with sfframe.get_job({self.id!r}).poll().",
            on_info=self._on_batches,
            on_failure=lambda message: self._told("error", message=message),
            interval=interval,
            timeout=timeout,
            cancel=cancel,
        )
        self.check()
        self._told("ended")
        return self.info

    def delete(self) -> None:
        """Raises UsageError: the Bulk API 1.0 has no delete. Jobs and results are gone after seven days."""
        raise UsageError(
            "The Bulk API 1.0 cannot delete a job",
            where=f"job {self.id}",
            remedy="It is gone seven days after its end; abort() stops one that is Open.",
        )

    # -- inside -----------------------------------------------------------------------------------------------------

    def _change(self, call: Call[JobInfo], wanted: str) -> None:
        """When the answer is lost, the job itself says whether it was changed (bulk1.md 2.2)."""
        try:
            self.info = self._org.send(call)
        except (ConnectionFailed, ApiError) as problem:
            if not may_pass(problem) or self.check().state != wanted:
                raise

    def _on_batches(self, now: _Batches) -> None:
        if now.state != "ended":
            waiting = all(one.state == "Queued" for one in now.batches)
            processed, failed = now.processed, now.failed
            self._told("queued" if waiting else "in_progress", processed=processed, failed=failed)

    def _told(
        self, kind: JobEventKind, *, processed: int | None = None, failed: int | None = None, message: str = ""
    ) -> None:
        info = self.info
        self._tell(
            kind, info.id, info.state, processed=info.records_processed if processed is None else processed,
            failed=info.records_failed if failed is None else failed, message=message,
        )  # fmt: skip

    def _shown(self) -> list[tuple[str, object]]:
        info = self.info
        return [
            ("id", info.id),
            ("job", f"{info.operation} {info.object}"),
            ("state", info.state),
            ("batches", f"{info.batches_total or 0:,}"),
            ("processed", f"{info.records_processed or 0:,}"),
            ("failed", f"{info.records_failed or 0:,}"),
        ]


@dataclass(frozen=True, slots=True)
class _Batches:
    """All batches of a job at one moment."""

    batches: tuple[BatchInfo, ...]

    @property
    def state(self) -> str:
        """``ended`` when nothing of them will change any more."""
        return "ended" if all(one.state in BATCH_ENDED for one in self.batches) else "running"

    @property
    def processed(self) -> int:
        """Rows of all batches that were worked on."""
        return sum(one.records_processed or 0 for one in self.batches)

    @property
    def failed(self) -> int:
        """Rows among them that were refused."""
        return sum(one.records_failed or 0 for one in self.batches)
