"""QueryJob: one query job of the Bulk API 2.0 (bulk2.md 4)."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from sfframe.errors import UsageError
from sfframe.facts import INGEST_ENDED
from sfframe.handles.handle import JobHandle, Target, opened
from sfframe.handles.uploads import delimiter
from sfframe.jobs.events import JobEventKind
from sfframe.jobs.extract import Page, fetch_pages
from sfframe.protocol import bulk2_query
from sfframe.protocol.bulk2_job import JobInfo

if TYPE_CHECKING:
    from threading import Event

    import polars as pl


class QueryJob(JobHandle[JobInfo]):
    """A handle on one query job of the Bulk API 2.0. It runs from its creation on; its results stay for seven days.

    >>> import sfframe as sf
    >>> soql = "SELECT Name, IsSandbox FROM Organization"
    >>> job = sf.create_job("Organization", operation="query", soql=soql, org="local")
    >>> job.poll().state
    'JobComplete'
    >>> job.retrieve().row(0)
    ('sfframe embedded org', True)
    """

    @property
    def state(self) -> str:
        """The last known state: UploadComplete (queued), InProgress, JobComplete, Failed or Aborted."""
        return self.info.state

    def check(self) -> JobInfo:
        """Ask the org for the job's state and counters. Raises NotFound seven days after its end."""
        self.info = self._org.send(bulk2_query.info(self.id))
        return self.info

    def poll(
        self, *, interval: float | None = None, timeout: float | None = None, cancel: Event | None = None
    ) -> JobInfo:
        """Wait until the job is JobComplete, Failed or Aborted, and say which; the options are ``IngestJob.poll``'s."""
        self._follow(
            lambda: self._org.send(bulk2_query.info(self.id), cancel=cancel),
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

    def abort(self) -> JobInfo:
        """Stop the job; it has no results then. Refused with ApiError when it has ended."""
        changed = self._org.send(bulk2_query.abort(self.id))
        self.info = replace(self.info, state=changed.state, system_modstamp=changed.system_modstamp)
        self._told("aborted")
        return self.info

    def delete(self) -> None:
        """Delete the ended job with its results."""
        self._org.send(bulk2_query.delete(self.id))

    # -- results ----------------------------------------------------------------------------------------------------

    def retrieve(self) -> pl.DataFrame:
        """All rows as one frame, typed by the describe where that is possible, else text.

        Raises UsageError for a job that is not complete, IncompleteAnswer for other rows than the job counted.
        """
        import polars as pl

        texts = [self._text(page.path) for page in self._pages(None)]
        frame = self._typed(pl.concat(texts), self.sobject)  # at once, so that all pages agree on the types
        self._told("response", rows=frame.height)
        return frame

    def pages(self, *, max_rows: int | None = None) -> Iterator[pl.DataFrame]:
        """The rows in frames of up to ``max_rows``, one after the other, so that one of them is in memory at a time.

        Without ``max_rows`` the org chooses. Until the last one was given nothing may be taken for complete.
        """
        for page in self._pages(max_rows):
            yield self._typed(self._text(page.path), self.sobject)
            page.path.unlink()
        self._told("response", rows=self.info.records_processed or 0)

    def raw(self, target: Target) -> Path | None:
        """The org's own CSV, all pages under one header, streamed to a path (given back) or an open binary file.

        A path has its name only when the file is whole.
        """
        with opened(target) as file:
            for number, page in enumerate(self._pages(None)):
                with page.path.open("rb") as source:
                    if number:
                        source.readline()  # every page repeats the header, which has no line break (bulk2.md 4.4)
                    shutil.copyfileobj(source, file)
                page.path.unlink()
        self._told("response", rows=self.info.records_processed or 0)
        return Path(target) if isinstance(target, str | Path) else None

    # -- inside -----------------------------------------------------------------------------------------------------

    def _on_info(self, info: JobInfo) -> None:
        self.info = info
        if info.state not in INGEST_ENDED:
            self._told("in_progress" if info.state == "InProgress" else "queued")

    def _pages(self, max_rows: int | None) -> Iterator[Page]:
        if self.state != "JobComplete" and self.check().state != "JobComplete":
            raise UsageError(
                f"The job is {self.state}: it has no results",
                where=f"job {self.id}",
                remedy="poll() waits for its end." if self.state not in INGEST_ENDED else "Run the query again.",
            )
        with tempfile.TemporaryDirectory(prefix="sfframe-") as folder:
            yield from fetch_pages(
                self._org, self.info, folder=Path(folder), max_records=max_rows, on_event=self._on_event
            )

    def _text(self, path: Path) -> pl.DataFrame:
        from sfframe.codec.outcomes import read_result_file

        return read_result_file(path, delimiter=delimiter(self.info.column_delimiter), where=f"job {self.id}")

    def _told(self, kind: JobEventKind, *, rows: int = 0, message: str = "") -> None:
        info = self.info
        self._tell(kind, info.id, info.state, processed=info.records_processed, rows=rows, message=message)

    def _shown(self) -> list[tuple[str, object]]:
        info = self.info
        shown: list[tuple[str, object]] = [("id", info.id), ("job", f"{info.operation} {info.object}")]
        shown += [("state", info.state)]
        if info.records_processed is not None:
            shown += [("rows", f"{info.records_processed:,}")]
        return shown + ([("error", info.error_message)] if info.error_message else [])
