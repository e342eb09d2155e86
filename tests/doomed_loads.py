"""A process that loads rows and is killed on the way, as often as it is asked: one fork for each load.

It reads one request per line (JSON) from its standard input, and writes one answer per line. Everything is imported
once, before the first fork, so that a kill costs a fork and not a new interpreter. A load counts its *touches* with a
profile function and kills itself with SIGKILL at the one that was asked for, so nothing of sfframe is patched:

* ``promise``: a call or a return of a function of the ledger that writes a promise or a deed down;
* ``touch``: a system call that others can see: a byte to or from the org, a statement of the ledger's database, a file
  that gets its name, is synced or goes;
* ``sent``: bytes have just left for the org, whose answer nobody will hear.
"""

from __future__ import annotations

import contextlib
import importlib
import itertools
import json
import os
import signal
import socket
import sqlite3
import sys
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType
from typing import Any, Literal

import polars as pl

import sfframe as sf
from sfframe.facts import Operation
from sfframe.jobs.ledger import Ledger
from sfframe.options import Api

Kind = Literal["promise", "touch", "sent"]

PROMISES = {
    getattr(Ledger, name).__code__: name
    for name in (
        "begin", "add_part", "settle", "promise_job", "promise_call", "withdraw_call", "note_batch", "note_uploaded",
        "note_closed", "note_ended", "note_fetched", "finish",
    )
}  # fmt: skip
FILES = {os.fsync, os.replace, os.rename, os.unlink, os.rmdir, os.mkdir, os.open, os.write}
LONG = "x" * 300  # no name of an account may be so long


@dataclass(frozen=True, slots=True)
class Load:
    """What is loaded: ``height`` rows that are called by ``prefix``, a part of ``rows_per_job`` at a time."""

    api: Api
    operation: Operation = "insert"
    keyed: bool = False
    on_invalid: Literal["raise", "reject"] = "raise"
    stream: bool = False
    height: int = 120
    rows_per_job: int = 30
    lanes: int = 2
    prefix: str = ""
    patience: float = 60.0

    @property
    def frame(self) -> pl.DataFrame:
        """Of the rows to be rejected, every seventh is too long."""
        number = pl.int_range(self.height, dtype=pl.Int64, eager=True).cast(pl.String).str.zfill(6)
        frame = pl.DataFrame({"Name": f"{self.prefix}n" + number, "Ext__c": f"{self.prefix}k" + number})
        if self.on_invalid == "reject":
            frame = frame.with_columns(
                Name=pl.when(pl.int_range(pl.len()) % 7 == 3).then(pl.lit(LONG)).otherwise("Name")
            )
        return frame if self.keyed else frame.drop("Ext__c")

    @property
    def options(self) -> sf.LoadOptions:
        return sf.LoadOptions(
            api=self.api,
            on_failed="ignore",
            limits=sf.LoadLimits(rows_per_job=self.rows_per_job, lanes=self.lanes),
            pacing=sf.Pacing(first=0.005, longest=0.05, timeout=self.patience),
        )

    def write(self, org: sf.Org) -> sf.LoadResult[Any]:
        frame = self.frame
        size = max(self.height // 3, 1)
        given: object = frame
        if self.stream:
            given = (frame[start : start + size] for start in range(0, frame.height, size))
        return sf.write_sobject(
            given,
            "Account",
            operation=self.operation,
            external_id_field="Ext__c" if self.operation == "upsert" else None,
            on_invalid=self.on_invalid,
            org=org,
            options=self.options,
        )


@dataclass(frozen=True, slots=True)
class Death:
    """When a process dies: at touch number ``at`` of one kind (of a promise: of that ``name``), or after ``seconds``.
    Without both it lives.
    """

    kind: Kind = "touch"
    at: int = -1
    name: str = ""
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Task:
    """A load, or with ``run`` a resume of one, of a process that has the ledger in ``home``."""

    load: Load
    home: str
    run: str = ""
    death: Death = Death()

    def spelled(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def read(cls, line: str) -> Task:
        told = json.loads(line)
        return cls(Load(**told["load"]), told["home"], told["run"], Death(**told["death"]))


@dataclass(frozen=True, slots=True)
class End:
    """How a process ended: its exit code, -9 where it was killed, and how many touches of each kind it counted."""

    code: int
    seconds: float
    promises: tuple[str, ...] = ()
    touches: int = 0
    sent: int = 0


class Touches:
    """Counts what the process does, and ends it at its time."""

    def __init__(self, death: Death) -> None:
        self.promises: list[str] = []
        self.counts = {"touch": itertools.count(), "sent": itertools.count()}
        self._death = death

    def watch(self, frame: FrameType, event: str, arg: Any) -> None:
        """For ``threading.setprofile``."""
        if event in ("call", "return"):
            name = PROMISES.get(frame.f_code)
            if name is not None:
                told = f"{name} {event}"
                self._die("promise", self.promises.count(told), told)
                self.promises.append(told)
        elif event != "c_exception" and (kind := _kind(arg)):
            self._die("touch", next(self.counts["touch"]))
            if kind == "send" and event == "c_return":
                self._die("sent", next(self.counts["sent"]))

    def _die(self, kind: Kind, number: int, name: str = "") -> None:
        if (kind, number, name) == (self._death.kind, self._death.at, self._death.name):
            os.kill(os.getpid(), signal.SIGKILL)


def _kind(function: Any) -> str:
    owner, name = getattr(function, "__self__", None), function.__name__
    if isinstance(owner, socket.socket) and name in ("send", "sendall", "recv"):
        return "send" if name != "recv" else "receive"
    if isinstance(owner, sqlite3.Connection) and name == "execute":
        return "ledger"
    return "file" if function in FILES else ""


def carry_out(task: Task, connect: Callable[[], sf.Org]) -> None:
    """The load, in a fork. Its answers are saved beside its ledger."""
    os.environ["SFFRAME_HOME"] = task.home
    touches = Touches(task.death)
    threading.setprofile(touches.watch)
    sys.setprofile(touches.watch)
    with connect() as org:
        result = sf.resume(task.run, org=org, options=task.load.options) if task.run else task.load.write(org)
    sys.setprofile(None)
    result.save(Path(task.home) / "answers.parquet")  # whole or not at all: death may come here too
    told = {kind: next(count) for kind, count in touches.counts.items()}
    print(json.dumps([touches.promises, told["touch"], told["sent"]]), flush=True)


def import_all(connect: Callable[[], sf.Org], home: str) -> None:
    """Imports what loads import on their way, as some of them in a fork tell. None may run here: polars' threads would
    not outlive the forks.
    """
    reading, writing = os.pipe()
    if not os.fork():
        os.environ["SFFRAME_HOME"] = home
        with connect() as org:
            for api in ("bulk2", "bulk1", "collections"):
                Load(api, on_invalid="reject", prefix=f"first {api} ").write(org)
            sf.history()
        os.write(writing, "\n".join(sys.modules).encode())
        os._exit(0)
    os.close(writing)
    os.wait()
    with os.fdopen(reading) as told:
        for name in told.read().splitlines():
            with contextlib.suppress(ImportError):
                importlib.import_module(name)


def main(url: str, token: str, home: str) -> None:
    """Forks for each line."""

    def connect() -> sf.Org:
        return sf.connect(instance_url=url, access_token=token, fresh=True)

    import_all(connect, home)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
    for line in sys.stdin:
        task = Task.read(line)
        began = time.perf_counter()
        child = os.fork()
        if not child:
            try:
                signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
                carry_out(task, connect)
                os._exit(0)
            except BaseException:  # noqa: BLE001 - nothing of a fork may go on in here
                traceback.print_exc()
                os._exit(1)
        if task.death.seconds is not None and signal.sigtimedwait({signal.SIGCHLD}, task.death.seconds) is None:
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        while signal.sigtimedwait({signal.SIGCHLD}, 0) is not None:
            pass
        print(json.dumps([os.waitstatus_to_exitcode(status), time.perf_counter() - began]), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
