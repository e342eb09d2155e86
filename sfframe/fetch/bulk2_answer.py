"""The answer of a Bulk API 2.0 job: typed while its pages come, kept on disk where that is wanted."""

from __future__ import annotations

import tempfile
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from sfframe.fetch.pages import PAGES_AHEAD, Page, frames_of, page_on_disk, page_reader, typed_page
from sfframe.jobs.extract import take_pages, wait_for_query
from sfframe.jobs.result_pages import incomplete
from sfframe.progress import shown

if TYPE_CHECKING:
    import polars as pl

    from sfframe.connection.org import Org
    from sfframe.fetch.plan import Plan
    from sfframe.jobs.events import Listener
    from sfframe.jobs.kept_pages import KeptPages
    from sfframe.jobs.result_pages import Incoming
    from sfframe.protocol.bulk2_job import JobInfo
    from sfframe.protocol.bulk2_query import PageHead


@dataclass(frozen=True, slots=True)
class Bulk2Answer:
    """A bulk query whose job is made. ``rows`` is about how many will come, 0 where nobody knows."""

    org: Org
    plan: Plan
    job_id: str
    rows: int
    keep: KeptPages | None

    def batches(self, _whole: bool) -> Generator[pl.DataFrame]:
        """The typed rows, in the order of the pages."""
        options, rows = self.plan.options, 0
        title = f"query {self.plan.parsed.source.name}"
        with (
            tempfile.TemporaryDirectory(prefix="sfframe-") as folder,
            shown(options.progress, title=title, rows=self.rows) as listener,
        ):
            pacing = options.pacing or self.org.pacing
            info = wait_for_query(self.org, self.job_id, pacing=pacing, cancel=options.cancel, on_event=listener)
            for batch in self._typed(info, Path(folder), listener):
                rows += batch.height
                yield batch
        # The headers were added up; a proxy may have taken them away, or put a page of its own in their place.
        if info.records_processed is not None and rows != info.records_processed:
            raise incomplete(info.id, f"the pages have {rows:,} rows, the job counted {info.records_processed:,}")

    def _typed(self, info: JobInfo, folder: Path, listener: Listener) -> Iterator[pl.DataFrame]:
        keep, reader = self.keep, page_reader(self.plan)
        pages = take_pages(
            self.org,
            info,
            partial(typed_page, reader=reader, folder=folder) if keep is None else partial(_kept_page, keep=keep),
            ahead=PAGES_AHEAD,
            cancel=self.plan.options.cancel,
            on_event=listener,
            kept=None if keep is None else partial(_known_page, keep=keep),
        )
        if keep is None:
            return frames_of(pages, reader, used=Path.unlink, broken=Path.unlink)
        # What is kept stays until all of it is used; a broken page is fetched anew when the read goes on.
        return frames_of(pages, reader, used=lambda _path: None, broken=keep.discard)


def _kept_page(page: Incoming, *, keep: KeptPages) -> Page:
    return page_on_disk(keep.keep(page))


def _known_page(locator: str | None, *, keep: KeptPages) -> tuple[PageHead, Page] | None:
    kept = keep.find(locator)
    return None if kept is None else (kept.head, page_on_disk(kept))
