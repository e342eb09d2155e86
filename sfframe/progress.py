"""What a person sees while jobs run: a bar in a terminal, in Jupyter or in marimo, nothing elsewhere.

One small protocol: jobs tell ``JobEvent``s, a ``Tally`` adds them up, and a ``Display`` shows where that stands.
"""

from __future__ import annotations

import html
import logging
import os
import queue
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

from sfframe.errors import UsageError

if TYPE_CHECKING:
    from sfframe.jobs.events import JobEvent, JobEventKind

Listener = Callable[["JobEvent"], None]
Choice = Literal["auto"] | bool | Listener

OFF: Final = ("SFFRAME_PROGRESS", "0")  # the environment's way to turn it off
PAUSE: Final = 0.1  # seconds between two pictures: enough for eyes, and a load of many small jobs costs no time

_log = logging.getLogger("sfframe.progress")

_STAGES: Final[dict[str, str]] = {
    "open": "uploading",
    "uploaded": "uploaded",
    "closed": "queued",
    "queued": "queued",
    "in_progress": "in progress",
    "ended": "fetching results",
    "response": "joining results",
    "aborted": "aborted",
    "error": "trying again",
}
_OVER: Final = ("response", "aborted")
_SENT: Final = ("uploaded", "closed")


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a load or read stands at one moment, over all its jobs.

    ``rows`` is how many there are in all, 0 where that is not known; ``sent`` have arrived in the org, ``processed``
    (``failed`` ones included) were worked on there, or fetched by a read. ``jobs`` are those that began (batches and
    collections calls count as such), of which ``in_flight`` go on. ``calls`` are the API calls of this load, None where
    nobody counts them. ``seconds`` have passed since the first event.
    """

    rows: int = 0
    sent: int = 0
    processed: int = 0
    failed: int = 0
    jobs: int = 0
    in_flight: int = 0
    calls: int | None = None
    seconds: float = 0.0
    stage: str = "preparing"

    @property
    def rate(self) -> float:
        """Rows a second, from the first event on; 0 before anything was processed."""
        return self.processed / self.seconds if self.seconds > 0 else 0.0

    @property
    def details(self) -> str:
        """All but the rows, in words; what says nothing is left out."""
        parts = [
            f"{self.sent:,} sent" if self.sent > self.processed else "",
            f"{self.failed:,} failed" if self.failed else "",
            f"{self.rate:,.0f} rows/s" if self.rate >= 1 else "",
            f"{self.in_flight:,} of {self.jobs:,} jobs in flight" if self.jobs > 1 and self.in_flight else "",
            f"{self.calls:,} API calls" if self.calls else "",
            self.stage,
        ]
        return ", ".join(part for part in parts if part)

    def __str__(self) -> str:
        of = f" of {self.rows:,}" if self.rows else ""
        return f"{self.processed:,}{of} rows, {self.details}"


@dataclass(slots=True)
class Tally:
    """Adds up what the jobs of one load tell. ``calls`` gives the API calls so far; ``clock`` is the only time."""

    rows: int = 0
    calls: Callable[[], int] | None = None
    clock: Callable[[], float] = time.monotonic
    stage: str = "preparing"
    _last: dict[int, JobEventKind] = field(default_factory=dict)
    _sent: dict[int, int] = field(default_factory=dict)
    _processed: dict[int, int] = field(default_factory=dict)
    _failed: dict[int, int] = field(default_factory=dict)
    _began: float | None = None

    def take(self, event: JobEvent) -> None:
        """Count what the event says of its part."""
        if self._began is None:
            self._began = self.clock()
        self._last[event.part] = event.kind
        self._processed[event.part] = event.processed
        self._failed[event.part] = event.failed
        if event.bytes_sent or event.kind in _SENT:
            self._sent[event.part] = event.rows
        self.stage = _STAGES.get(event.kind, self.stage)

    def standing(self) -> Standing:
        """Where it all stands now."""
        return Standing(
            rows=self.rows,
            sent=sum(self._sent.values()),
            processed=sum(self._processed.values()),
            failed=sum(self._failed.values()),
            jobs=len(self._last),
            in_flight=sum(kind not in _OVER for kind in self._last.values()),
            calls=None if self.calls is None else self.calls(),
            seconds=0.0 if self._began is None else self.clock() - self._began,
            stage=self.stage,
        )


Display = Callable[[Standing], None]


def check_choice(choice: object) -> None:
    """Raises UsageError for what ``shown`` does not take."""
    if not (choice == "auto" or isinstance(choice, bool) or callable(choice)):
        raise UsageError(
            f"progress cannot be {choice!r}",
            remedy='Use True, False, "auto", or a function that takes events.',
        )


@contextmanager
def shown(choice: Choice, *, title: str, rows: int, calls: Callable[[], int] | None = None) -> Iterator[Listener]:
    """A listener for job events that shows them in the way that ``choice`` and the surroundings ask for.

    ``"auto"`` shows a bar in a notebook of Jupyter or marimo, and where standard error is a terminal; True shows one in
    any case; False, or SFFRAME_PROGRESS=0, shows nothing; a function gets the events themselves. ``rows`` is 0 where
    nobody knows how many will come. ``calls`` counts API calls, from wherever it stands now. Events may come from
    several threads.
    """
    if callable(choice):
        yield choice
        return
    display = _display(choice, title, rows)
    if display is None:
        yield _silent
        return
    before = calls() if calls is not None else 0
    tally = Tally(rows, None if calls is None else lambda: calls() - before)
    with display as show:
        watch = _Watch(tally, show)
        try:
            yield watch.listen
        except BaseException as problem:  # Ctrl-C too: a bar must not look as if it went on
            watch.end(f"stopped: {type(problem).__name__}")
            raise
        watch.end("done")


class _Watch:
    """Takes events from all lanes, and lets the display draw now and then."""

    def __init__(self, tally: Tally, show: Display) -> None:
        self._tally = tally
        self._show = show
        self._lock = threading.Lock()
        self._drawn = float("-inf")

    def listen(self, event: JobEvent) -> None:
        with self._lock:
            self._tally.take(event)
            now = self._tally.clock()
            if now - self._drawn >= PAUSE:
                self._drawn = now
                self._show(self._tally.standing())

    def end(self, stage: str) -> None:
        with self._lock:
            self._tally.stage = stage
            try:
                self._show(self._tally.standing())
            except Exception as problem:  # noqa: BLE001 - what a display cannot do must not lose the load
                _log.warning("progress could not be shown: %s", type(problem).__name__)


def _silent(event: JobEvent) -> None:
    del event


def _display(choice: Literal["auto"] | bool, title: str, rows: int) -> AbstractContextManager[Display] | None:
    name, off = OFF
    if choice is False or os.environ.get(name) == off:
        return None
    if _in_marimo():
        return _marimo_bar(title, rows)
    if _in_jupyter():
        return _jupyter_bar(title, rows)
    return _terminal_bar(title, rows) if choice is True or sys.stderr.isatty() else None


# -- where it is shown ----------------------------------------------------------------------------------------------


def _in_marimo() -> bool:
    """True in a cell of a running marimo notebook; a notebook that runs as a script is a script."""
    marimo = sys.modules.get("marimo")
    return marimo is not None and bool(marimo.running_in_notebook())


def _in_jupyter() -> bool:
    """True in a Jupyter kernel; IPython in a terminal is a terminal."""
    shell = sys.modules.get("IPython")
    active = shell.get_ipython() if shell is not None else None
    return active is not None and type(active).__name__ == "ZMQInteractiveShell"


@contextmanager
def _terminal_bar(title: str, rows: int) -> Iterator[Display]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[details]}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(title, total=rows or None, details="preparing")

        def show(now: Standing) -> None:
            bar.update(task, completed=now.processed, details=now.details)

        yield show


@contextmanager
def _jupyter_bar(title: str, rows: int) -> Iterator[Display]:
    """The browser's own progress element, replaced in place; it needs no widgets. Other front ends show its text."""
    from IPython.display import DisplayHandle

    handle = DisplayHandle()
    handle.display(picture(title, Standing(rows)), raw=True)
    yield lambda now: handle.update(picture(title, now), raw=True)


def picture(title: str, now: Standing) -> dict[str, str]:
    """What a notebook shows, by MIME type."""
    of = f' value="{now.processed}" max="{now.rows}"' if now.rows else ""  # without both it shows that work goes on
    if now.stage == "done":
        of = ' value="1" max="1"'
    bar = f'<progress style="width: 20em; vertical-align: middle"{of}></progress>'
    return {
        "text/plain": f"{title}: {now}",
        "text/html": f"<div><b>{html.escape(title)}</b> {bar} {html.escape(str(now))}</div>",
    }


@contextmanager
def _marimo_bar(title: str, rows: int) -> Iterator[Display]:
    """marimo's own bar. Only its own threads reach the page, and events come from ours: one of its draws for them."""
    import marimo as mo

    news: queue.SimpleQueue[Standing | None] = queue.SimpleQueue()
    made = mo.status.progress_bar(total=rows, title=title, show_rate=False) if rows else mo.status.spinner(title)

    def draw() -> None:
        drawn = 0
        while (now := news.get()) is not None:
            if rows:
                bar.update(increment=max(now.processed - drawn, 0), subtitle=str(now))
                drawn = max(now.processed, drawn)
            else:
                bar.update(subtitle=str(now))

    with made as bar:
        drawer = mo.Thread(target=draw, daemon=True)
        drawer.start()
        try:
            yield news.put
        finally:
            news.put(None)
            drawer.join()
