"""Bulk1Batch: one batch of a Bulk API 1.0 job, step by step (bulk1.md 3, 4)."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sfframe import facts
from sfframe.errors import JobAborted, JobFailed, JobTimeout, UsageError
from sfframe.handles.handle import Handle, Target
from sfframe.handles.uploads import Nulls, load_job, spooled
from sfframe.jobs.events import JobEventKind, Listener
from sfframe.protocol import bulk1

if TYPE_CHECKING:
    from threading import Event
    from typing import Self

    import polars as pl

    from sfframe.connection.org import Org
    from sfframe.protocol.bulk1 import BatchInfo, JobInfo

BATCH_ENDED: Final = frozenset({"Completed", "Failed", "NotProcessed"})  # bulk1.md 3.3
QUERIES: Final = ("query", "queryAll")


class Bulk1Batch(Handle):
    """A handle on one batch of a Bulk API 1.0 job: up to 10,000 rows that are answered in their order, or one query.

    ``info`` is what the org said last of it, None before ``execute``; ``job_info`` what it said of the job.
    """

    def __init__(
        self, org: Org, job_info: JobInfo, info: BatchInfo | None = None, on_event: Listener | None = None
    ) -> None:
        super().__init__(org, on_event)
        self.job_info = job_info
        self.info = info

    @property
    def id(self) -> str:
        """The batch's id, 18 characters that begin with 751; empty before ``execute``."""
        return "" if self.info is None else self.info.id

    @property
    def job_id(self) -> str:
        """The id of its job."""
        return self.job_info.id

    @property
    def state(self) -> str:
        """The last known state: Queued, InProgress, Completed, Failed or NotProcessed; empty before ``execute``."""
        return "" if self.info is None else self.info.state

    # -- send -------------------------------------------------------------------------------------------------------

    def execute(
        self,
        data: object,
        *,
        columns: Mapping[str, str | None] | None = None,
        nulls: Nulls | Mapping[str, Nulls] | None = None,
        timezone: str | None = None,
    ) -> Self:
        """Send the rows of the batch, or of a query job the SOQL text; the org begins at once. Gives the batch itself.

        ``data`` and the options are those of ``IngestJob.upload``. Raises ContractError for values that the org would
        refuse, and UsageError for more than 10,000 rows or 10,000,000 bytes: ``Bulk1Job.add_batches`` cuts them. When
        the answer is lost (ConnectionFailed), ``Bulk1Job.batches`` tells whether the batch is there.
        """
        if self.info is not None:
            raise UsageError("The batch was sent already", where=self._where, remedy="Create another one.")
        if self.job_info.operation in QUERIES:
            if not isinstance(data, str):
                raise UsageError(
                    "A batch of a query job is a query", where=f"job {self.job_id}", remedy="Give SOQL as text."
                )
            self._sent(self._org.send(bulk1.add_query(self.job_id, data)))
            return self
        with tempfile.TemporaryDirectory(prefix="sfframe-") as folder:
            parts = spooled(
                data,
                load_job(self.job_info),
                self._org,
                Path(folder),
                columns=columns,
                nulls=nulls,
                timezone=timezone,
                max_rows=facts.BATCH_ROWS,
                max_bytes=facts.BATCH_BYTES,
            )
            part = next(parts, None)
            if part is None or next(parts, None) is not None:
                raise UsageError(
                    "There are no rows" if part is None else "The rows are more than one batch may have",
                    where=f"job {self.job_id}",
                    remedy="Bulk1Job.add_batches cuts rows into batches of up to 10,000 rows and 10,000,000 bytes.",
                )
            self.send(part.path, rows=part.rows, size=part.bytes)
        return self

    def send(self, path: Path, *, rows: int, size: int) -> None:
        """Send a CSV file as it is; ``rows`` and ``size`` are for those who listen."""
        self._sent(self._org.send(bulk1.add_batch(self.job_id, path)), rows=rows, size=size)

    # -- wait -------------------------------------------------------------------------------------------------------

    def check(self) -> BatchInfo:
        """Ask the org for the batch's state and counters."""
        self.info = self._org.send(bulk1.batch(self.job_id, self._known.id))
        return self.info

    def poll(
        self, *, interval: float | None = None, timeout: float | None = None, cancel: Event | None = None
    ) -> BatchInfo:
        """Wait until the batch is Completed, Failed or NotProcessed, and say which; options as ``IngestJob.poll``.

        JobTimeout carries ``job_id`` and ``batch_id``.
        """
        known = self._known
        try:
            self._follow(
                lambda: self._org.send(bulk1.batch(self.job_id, known.id), cancel=cancel),
                job_id=self.job_id,
                ended=BATCH_ENDED,
                go_on=f"Wait for it again with sfframe.get_job({self.job_id!r}).batch({known.id!r}).poll().",
                on_info=self._on_info,
                on_failure=lambda message: self._told("error", message=message),
                interval=interval,
                timeout=timeout,
                cancel=cancel,
            )
        except JobTimeout as late:
            raise late.of_batch(known.id) from None
        self._told("ended", message=self._known.state_message)
        return self._known

    # -- results ----------------------------------------------------------------------------------------------------

    def retrieve(self) -> pl.DataFrame:
        """The answers of an ingest batch, in the order of its rows; or all rows of a query.

        Of an ingest batch: ``sf__Id`` (null for a failed insert), ``sf__Status`` (created, updated, deleted or failed),
        ``sf__Created``, ``sf__ErrorCode``, ``sf__ErrorFields``, ``sf__Error``; so that they can stand beside the rows:
        ``frame.hstack(batch.retrieve())``. A Failed batch gives what there is of it. Query results are typed by the
        describe where that is possible, else text; a query without rows gives a frame without columns.

        Raises JobFailed and JobAborted for a batch without results, IncompleteAnswer when rows are missing.
        """
        import polars as pl

        self._check_ended()
        if self.job_info.operation in QUERIES:
            texts = [self._text(one) for one in self.results()]
            found = [text for text in texts if text.width]
            return self._rows(pl.concat(found) if found else pl.DataFrame())
        self._check_csv()
        from sfframe.codec.outcomes_csv import read_csv

        with self._file(bulk1.batch_result(self.job_id, self._known.id)) as path:
            answers = _with_status(read_csv(path, self._known.records_processed or 0), self.job_info.operation)
        self._told("response", rows=answers.height)
        return answers

    def results(self) -> tuple[str, ...]:
        """The ids of a query's result files, of which there may be several; together they are the answer."""
        self._check_ended()
        return self._org.send(bulk1.query_result_ids(self.job_id, self._known.id))

    def result(self, result_id: str) -> pl.DataFrame:
        """One result file of a query as a frame; without columns where it has no rows (the org sends no header)."""
        return self._rows(self._text(result_id))

    def raw(self, target: Target, *, result_id: str | None = None) -> Path | None:
        """The org's own result, streamed to a path (given back) or into an open binary file; of a query one file."""
        if self.job_info.operation not in QUERIES:
            return self._save(bulk1.batch_result(self.job_id, self._known.id), target)
        ids = self.results() if result_id is None else (result_id,)
        if len(ids) != 1:
            raise UsageError(
                f"The query has {len(ids)} result files", where=self._where, remedy="Name one of results() each time."
            )
        return self._save(bulk1.query_result(self.job_id, self._known.id, ids[0]), target)

    def request(self) -> pl.DataFrame:
        """What was sent as this batch, read back from the org and typed by the describe, in its order."""
        from sfframe.codec.outcomes import read_result_file

        if self.job_info.operation in QUERIES:
            raise UsageError("A batch of a query job has no rows", where=self._where, remedy="soql() gives its query.")
        self._check_csv()
        with self._file(bulk1.batch_request(self.job_id, self._known.id)) as path:
            text = read_result_file(path, where=self._where)
        return self._typed(text, self.job_info.object)

    def soql(self) -> str:
        """The query of this batch, read back from the org; of a chunked query with the range of this chunk."""
        return self._org.send(bulk1.batch_request(self.job_id, self._known.id)).decode()

    # -- inside -----------------------------------------------------------------------------------------------------

    @property
    def _known(self) -> BatchInfo:
        if self.info is None:
            raise UsageError("The batch was not sent yet", where=f"job {self.job_id}", remedy="execute() it first.")
        return self.info

    @property
    def _where(self) -> str:
        return f"job {self.job_id}, batch {self.id}"

    def _text(self, result_id: str) -> pl.DataFrame:
        import polars as pl

        from sfframe.codec.outcomes import read_result_file

        self._check_csv()
        with self._file(bulk1.query_result(self.job_id, self._known.id, result_id)) as path:
            with path.open("rb") as file:
                if file.read(len(bulk1.NO_RECORDS) + 2).strip() == bulk1.NO_RECORDS:
                    return pl.DataFrame()
            return read_result_file(path, where=f"{self._where}, result {result_id}")

    def _rows(self, text: pl.DataFrame) -> pl.DataFrame:
        frame = self._typed(text, self.job_info.object)
        self._told("response", rows=frame.height)
        return frame

    def _sent(self, info: BatchInfo, *, rows: int = 0, size: int = 0) -> None:
        self.info = info
        self._told("uploaded", rows=rows, size=size)
        if info.state == "Queued":
            self._told("queued")

    def _on_info(self, info: BatchInfo) -> None:
        self.info = info
        if info.state not in BATCH_ENDED:
            self._told("in_progress" if info.state == "InProgress" else "queued")

    def _check_ended(self) -> None:
        info = self._known if self.state in BATCH_ENDED else self.check()
        if info.state not in BATCH_ENDED:
            raise UsageError(f"The batch is {info.state}", where=self._where, remedy="poll() waits for its end.")
        if info.state == "NotProcessed":
            raise JobAborted(
                "the org did not process the batch",
                where=self._where,
                said=info.state_message,
                remedy="The job was aborted, or the batch is a query that was split: job.batches() lists the others.",
                job_id=self.job_id,
            ).of_batch(self.id)
        if info.state == "Failed" and not info.records_processed:
            raise JobFailed(
                "the org gave the batch up", where=self._where, said=info.state_message,
                remedy="Mend what it names, and send the rows again as another batch.", job_id=self.job_id,
            ).of_batch(self.id)  # fmt: skip

    def _check_csv(self) -> None:
        if self.job_info.content_type not in {"CSV", "ZIP_CSV", ""}:
            raise UsageError(
                f"The job is made of {self.job_info.content_type}, which has no frame here",
                where=self._where,
                remedy="raw() gives its results as they are.",
            )

    def _told(self, kind: JobEventKind, *, rows: int = 0, size: int = 0, message: str = "") -> None:
        info = self._known
        self._tell(
            kind, self.job_id, info.state, batch_id=info.id, processed=info.records_processed,
            failed=info.records_failed, rows=rows, bytes_sent=size, message=message,
        )  # fmt: skip

    def _shown(self) -> list[tuple[str, object]]:
        if self.info is None:
            return [("job", self.job_id), ("state", "not sent")]
        info = self.info
        shown: list[tuple[str, object]] = [("id", info.id), ("job", info.job_id), ("state", info.state)]
        shown += [("processed", f"{info.records_processed or 0:,}"), ("failed", f"{info.records_failed or 0:,}")]
        return shown + ([("message", info.state_message)] if info.state_message else [])


def _with_status(answers: pl.DataFrame, operation: str) -> pl.DataFrame:
    """What became of each row in the words of a result."""
    import polars as pl

    changed = "deleted" if operation in ("delete", "hardDelete") else "updated"
    saved = pl.when(pl.col("sf__Created")).then(pl.lit("created")).otherwise(pl.lit(changed))
    status = pl.when(pl.col("sf__Outcome") == "succeeded").then(saved).otherwise("sf__Outcome").fill_null("unknown")
    return answers.select(
        "sf__Id", status.alias("sf__Status"), "sf__Created", "sf__ErrorCode", "sf__ErrorFields", "sf__Error"
    )
