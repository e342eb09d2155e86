"""What handles on all kinds of job have in common: who is asked, how waiting goes, what is told and shown."""

from __future__ import annotations

import html
import os
import shutil
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Generic, Protocol, TypeVar

from sfframe.errors import NotFound, UsageError
from sfframe.jobs.events import JobEvent, JobEventKind, Listener, tell
from sfframe.jobs.pacing import Pacing, Stated, follow
from sfframe.jobs.wire import download

if TYPE_CHECKING:
    from threading import Event

    import polars as pl

    from sfframe.connection.org import Org
    from sfframe.protocol.call import Call

Info = TypeVar("Info", bound=Stated)
Job = TypeVar("Job", bound="OfJob")
Target = str | Path | BinaryIO


class Handle(ABC):
    """A job or batch of an org, known by its id. The properties are what the org said last; ``check`` asks anew."""

    def __init__(self, org: Org, on_event: Listener | None) -> None:
        self._org = org
        self._on_event = on_event

    @abstractmethod
    def _shown(self) -> list[tuple[str, object]]:
        """What a person sees of it, in order; no record values."""

    def __repr__(self) -> str:
        told = ", ".join(f"{name}={value}" for name, value in self._shown())
        return f"<{type(self).__name__} {told}>"

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><th>{html.escape(name.replace('_', ' '))}</th><td>{html.escape(str(value))}</td></tr>"
            for name, value in self._shown()
        )
        return f"<table>{rows}</table>"

    def _tell(
        self,
        kind: JobEventKind,
        job_id: str,
        state: str,
        *,
        batch_id: str = "",
        processed: int | None = None,
        failed: int | None = None,
        rows: int = 0,
        bytes_sent: int = 0,
        message: str = "",
    ) -> None:
        event = JobEvent(
            kind, 0, 1, job_id, state, rows, processed or 0, failed or 0, bytes_sent, message, batch_id=batch_id
        )
        tell(self._on_event, event)

    def _follow(
        self,
        ask: Callable[[], Info],
        *,
        job_id: str,
        ended: Collection[str],
        go_on: str,
        on_info: Callable[[Info], None],
        on_failure: Callable[[str], None],
        interval: float | None,
        timeout: float | None,
        cancel: Event | None,
    ) -> Info:
        """Polls until the state is one of ``ended``; ``on_info`` gets every answer that differs from the last."""
        last: Info | None = None

        def told(info: Info) -> None:
            nonlocal last
            if info != last:
                last = info
                on_info(info)

        return follow(
            ask,
            job_id=job_id,
            ended=ended,
            go_on=go_on,
            pacing=_pacing(self._org.pacing or Pacing(), interval, timeout),
            on_info=told,
            on_failure=on_failure,
            cancel=cancel,
        )

    def _save(self, call: Call[object], target: Target) -> Path | None:
        """An answer's bytes as the org sends them: to a path, whole or not at all, or into an open binary file."""
        if isinstance(target, str | Path):
            path = _in_a_folder(target)
            download(self._org, call, path)
            return path
        with self._file(call) as path, path.open("rb") as source:
            shutil.copyfileobj(source, target)
        return None

    @contextmanager
    def _file(self, call: Call[object]) -> Iterator[Path]:
        """An answer's bytes in a file that is gone afterwards."""
        with tempfile.TemporaryDirectory(prefix="sfframe-") as folder:
            path = Path(folder) / "answer.csv"
            download(self._org, call, path)
            yield path

    def _typed(self, text: pl.DataFrame, sobject: str) -> pl.DataFrame:
        from sfframe.frames.echo import typed_echo

        try:
            described = self._org.describe(sobject)
        except NotFound:  # the object is gone, or hidden from this user: its results are still text
            return text
        return typed_echo(text, described, self._org.describe)


class OfJob(Protocol):
    """What the org tells of a job, whatever its kind."""

    @property
    def id(self) -> str:
        """As the org calls it."""
        ...

    @property
    def object(self) -> str:
        """The name of the object that it is about."""
        ...

    @property
    def operation(self) -> str:
        """The org's word for what is done."""
        ...


class JobHandle(Handle, Generic[Job]):
    """A job; ``info`` is what the org said of it last."""

    def __init__(self, org: Org, info: Job, on_event: Listener | None = None) -> None:
        super().__init__(org, on_event)
        self.info = info

    @property
    def id(self) -> str:
        """The job's id, 18 characters that begin with 750."""
        return self.info.id

    @property
    def sobject(self) -> str:
        """The object of the job; of a query the one behind FROM."""
        return self.info.object

    @property
    def operation(self) -> str:
        """insert, update, upsert, delete, hardDelete, query or queryAll."""
        return self.info.operation


def _pacing(usual: Pacing, interval: float | None, timeout: float | None) -> Pacing:
    """``usual``, with other pauses or another end where they are given."""
    if (interval is not None and interval <= 0) or (timeout is not None and timeout < 0):
        raise UsageError(
            f"interval={interval} and timeout={timeout} are no pauses",
            remedy="Give seconds: an interval above 0, a timeout of 0 or more (0 does not ask at all).",
        )
    if timeout is not None:
        usual = replace(usual, timeout=timeout)
    if interval is not None:
        usual = replace(usual, first=interval, factor=1.0, longest=interval, late=interval)
    return usual


def moments(frame: pl.DataFrame, *names: str) -> pl.DataFrame:
    """``frame`` with the org's texts for moments as UTC datetimes: ``Z`` in XML, ``+0000`` in JSON."""
    import polars as pl

    return frame.with_columns(
        pl.col(names)
        .replace("", None)
        .str.replace("Z$", "+0000")
        .str.to_datetime("%Y-%m-%dT%H:%M:%S%.f%z", time_unit="ms", time_zone="UTC")
    )


@contextmanager
def opened(target: Target) -> Iterator[BinaryIO]:
    """A file to write to. A path has its name only once all was written without an error."""
    if not isinstance(target, str | Path):
        yield target
        return
    path = _in_a_folder(target)
    half = path.with_name(f".{path.name}.part")
    try:
        with os.fdopen(os.open(half, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            yield file
        half.replace(path)
    finally:
        half.unlink(missing_ok=True)


def _in_a_folder(target: str | Path) -> Path:
    path = Path(target)
    if not path.parent.is_dir():
        raise UsageError(f"There is no folder {path.parent}", remedy="Make it first, or name another file.")
    return path
