"""What a person sees while jobs run: a bar in a terminal, a line in a notebook, nothing elsewhere."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from sfframe.jobs.events import JobEvent

Listener = Callable[["JobEvent"], None]
Choice = Literal["auto"] | bool | Listener


@dataclass(slots=True)
class Tally:
    """Where a load stands, added up over its jobs."""

    rows: int
    _processed: dict[int, int] = field(default_factory=dict)
    _failed: dict[int, int] = field(default_factory=dict)
    jobs: int = 0
    stage: str = "preparing"

    def take(self, event: JobEvent) -> None:
        """Count what the event says of its job."""
        self._processed[event.part] = event.processed
        self._failed[event.part] = event.failed
        self.jobs = max(self.jobs, event.parts)
        self.stage = _STAGES.get(event.kind, self.stage)

    @property
    def processed(self) -> int:
        """Rows that the org has worked on, failed ones included."""
        return sum(self._processed.values())

    @property
    def failed(self) -> int:
        """Rows that the org has refused so far."""
        return sum(self._failed.values())

    def __str__(self) -> str:
        some = "" if self.jobs < 2 else f" in {self.jobs} jobs"
        refused = f", {self.failed:,} failed" if self.failed else ""
        return f"{self.processed:,} of {self.rows:,} rows{some}{refused}: {self.stage}"


_STAGES = {
    "open": "uploading",
    "uploaded": "uploaded",
    "closed": "queued",
    "queued": "queued",
    "in_progress": "in progress",
    "ended": "fetching results",
    "response": "joining results",
}


@contextmanager
def shown(choice: Choice, *, title: str, rows: int) -> Iterator[Listener]:
    """A listener for job events that shows them in the way that ``choice`` and the surroundings ask for.

    ``"auto"`` shows a bar where standard error is a terminal and a line in a notebook; True shows one in any case;
    False, or SFFRAME_PROGRESS=0, shows nothing; a function gets the events itself.
    """
    if callable(choice):
        yield choice
        return
    silent = choice is False or os.environ.get("SFFRAME_PROGRESS") == "0"
    if silent:
        yield lambda _event: None
    elif _in_notebook():
        with _notebook_line(title, rows) as listener:
            yield listener
    elif choice is True or sys.stderr.isatty():
        with _terminal_bar(title, rows) as listener:
            yield listener
    else:
        yield lambda _event: None


def _in_notebook() -> bool:
    """True in a Jupyter kernel; IPython in a terminal is a terminal."""
    shell = sys.modules.get("IPython")
    active = shell.get_ipython() if shell is not None else None
    return active is not None and type(active).__name__ == "ZMQInteractiveShell"


@contextmanager
def _terminal_bar(title: str, rows: int) -> Iterator[Listener]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[stage]}"),
        TimeElapsedColumn(),
    )
    tally = Tally(rows)
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(title, total=rows, stage=tally.stage)

        def listen(event: JobEvent) -> None:
            tally.take(event)
            refused = f", {tally.failed:,} failed" if tally.failed else ""
            bar.update(task, completed=tally.processed, stage=tally.stage + refused)

        yield listen


@contextmanager
def _notebook_line(title: str, rows: int) -> Iterator[Listener]:
    from IPython.display import DisplayHandle

    tally = Tally(rows)
    line = DisplayHandle()
    line.display({"text/plain": f"{title}: {tally}"}, raw=True)

    def listen(event: JobEvent) -> None:
        tally.take(event)
        line.update({"text/plain": f"{title}: {tally}"}, raw=True)

    yield listen
