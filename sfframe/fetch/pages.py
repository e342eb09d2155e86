"""The pages of bulk answers, typed while they come; a large one waits on disk."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sfframe.errors import DecodeError, IncompleteAnswer
from sfframe.jobs.kept_pages import KeptPage
from sfframe.jobs.wire import written_whole

if TYPE_CHECKING:
    import polars as pl

    from sfframe.codec.decode_csv import PageReader
    from sfframe.fetch.plan import Plan
    from sfframe.jobs.result_pages import Incoming

# On their way, or waiting to be used. Each is read to its types where it arrives, so a third one on two processors
# takes a sixth more of them, and brings nothing (tests/benchmarks/read.py).
PAGES_AHEAD: Final = min(max(os.cpu_count() or 2, 2), 3)
_MEMORY_BYTES: Final = 32 << 20  # of one page; a longer one waits on disk


@dataclass(frozen=True, slots=True)
class Page:
    """A page of a bulk query: typed, or why it cannot be; a large one is a file."""

    name: str
    rows: int | None
    content: pl.DataFrame | DecodeError | Path

    def frames(self, reader: PageReader, *, first_row: int) -> Iterator[pl.DataFrame]:
        """Its typed rows; a value that does not fit is raised here, where the number of its row is known."""
        if isinstance(self.content, Path):
            rows = 0
            for frame in reader.read_file(self.content, first_row=first_row):
                rows += frame.height
                yield frame
            _check_rows(self.name, rows, self.rows)
        elif isinstance(self.content, DecodeError):
            raise self.content.behind(first_row)
        else:
            yield self.content


def page_reader(plan: Plan) -> PageReader:
    """What reads the pages of a plan to its types."""
    from sfframe.codec.decode_csv import PageReader

    options = plan.options
    return PageReader(plan.shape, decimals=options.decimals, split_multipicklists=options.split_multipicklists)


def frames_of(
    pages: Iterable[Page], reader: PageReader, *, used: Callable[[Path], None], broken: Callable[[Path], None]
) -> Iterator[pl.DataFrame]:
    """The typed rows of all pages. A page on disk is handed to ``used`` behind its rows, or to ``broken``."""
    rows = 0
    for page in pages:
        try:
            for frame in page.frames(reader, first_row=rows):
                rows += frame.height
                yield frame
        except (DecodeError, IncompleteAnswer):
            if isinstance(page.content, Path):
                broken(page.content)
            raise
        if isinstance(page.content, Path):
            used(page.content)


def typed_page(page: Incoming, *, reader: PageReader, folder: Path) -> Page:
    """The page in whole. One that is cut off raises, and is then fetched again."""
    name = f"{page.number + 1}"
    body = _collected(page, folder / f"page-{name}.csv")
    if isinstance(body, Path):
        return Page(name, page.head.rows, body)
    try:
        frame = reader.read(body, name=name)
    except DecodeError as problem:
        if problem.row < 0:
            raise
        return Page(name, page.head.rows, problem)
    _check_rows(name, frame.height, page.head.rows)
    return Page(name, page.head.rows, frame)


def page_on_disk(kept: KeptPage) -> Page:
    """A page that was kept."""
    return Page(kept.path.name, kept.head.rows, kept.path)


def _check_rows(name: str, found: int, counted: int | None) -> None:
    if counted is not None and found != counted:
        raise IncompleteAnswer(
            f"it has {found:,} rows, and the org says {counted:,}",
            where=f"page {name}",
            remedy="Read the job again; the page was cut or changed on its way.",
        )


def _collected(page: Incoming, target: Path) -> bytearray | Path:
    """The body in memory, or in a file where it is large: the org decides how long a page is (bulk2.md 4.4)."""
    body = bytearray()
    for piece in page.chunks:
        body += piece
        if len(body) > _MEMORY_BYTES:
            with written_whole(target) as file:
                file.write(body)
                del body
                file.writelines(page.chunks)
            return target
    return body
