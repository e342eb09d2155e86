"""Loads whose process is killed at every promise point and at any time: every row is in the org once, and told right.

The org's own table is the witness. Between a kill and the count stands a resume, which may be killed as well.
"""

from __future__ import annotations

import datetime as dt
import itertools
import json
import os
import random
import subprocess
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl
import pytest

import sfframe as sf
from sfframe.ids import to18
from sfframe.jobs.ledger import Ledger, Run
from sfframe.load import NEVER_SENT
from sfframe.localorg import Fault
from tests.doomed_loads import LONG, Death, End, Load, Task

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")]

SEED = 20_260
KEY = {"name": "Ext__c", "type": "string", "length": 40, "externalId": True, "unique": True}
SENDING = [Fault("latency", seconds=0.1, method=method) for method in ("POST", "PUT", "PATCH")]
SAVED = ("created", "updated")
HALF = 3  # of an upsert's rows every third is there before

LOADS = [
    Load("bulk2"),
    Load("bulk2", on_invalid="reject"),
    Load("bulk2", "upsert", keyed=True, on_invalid="reject", stream=True),
    Load("bulk1"),
    Load("bulk1", on_invalid="reject", stream=True),
    Load("bulk1", "upsert", keyed=True),
    Load("collections", keyed=True),
    Load("collections", keyed=True, on_invalid="reject", stream=True),
    Load("collections", "upsert", keyed=True, on_invalid="reject"),
    Load("collections", on_invalid="reject"),
]


def named(load: Load) -> str:
    more = ["keyed"] * load.keyed + ["stream"] * load.stream
    return "-".join([load.api, load.operation, load.on_invalid, *more])


class Nursery:
    """Where doomed processes are born, and the org that they load into."""

    def __init__(self, local: sf.LocalOrg, org: sf.Org, born: subprocess.Popen[str]) -> None:
        self.local, self.org = local, org
        self.kills = 0
        self.homes: Iterator[Path] = iter(())
        self._born = born

    def home(self) -> Path:
        """A new ledger's folder, of this process as well."""
        return next(self.homes)

    def run(self, task: Task) -> End:
        assert self._born.stdin is not None
        assert self._born.stdout is not None
        self._born.stdin.write(task.spelled() + "\n")
        self._born.stdin.flush()
        lines = [json.loads(self._born.stdout.readline())]
        if len(lines[0]) == 3:  # what a process says that comes to its end
            lines.append(json.loads(self._born.stdout.readline()))
        code, seconds = lines[-1]
        assert code in (0, -9)
        self.kills += code == -9
        if len(lines) == 1:
            return End(code, seconds)
        promises, touches, sent = lines[0]
        return End(code, seconds, tuple(promises), touches, sent)


@pytest.fixture(scope="module")
def one_nursery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nursery]:
    with sf.LocalOrg() as local, sf.connect(local) as org:
        local.deploy([{"name": "Account", "fields": [KEY]}])
        words = [local.url, local.credentials.access_token, str(tmp_path_factory.mktemp("first"))]
        with subprocess.Popen(
            [sys.executable, "-m", "tests.doomed_loads", *words],
            cwd=Path(__file__).parent.parent,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as born:
            yield Nursery(local, org, born)
            assert born.stdin is not None
            born.stdin.close()


@pytest.fixture
def nursery(one_nursery: Nursery, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Nursery:
    """With an empty org, and folders of this test's own."""

    def homes() -> Iterator[Path]:
        for number in itertools.count():
            home = tmp_path / f"home-{number}"
            monkeypatch.setenv("SFFRAME_HOME", str(home))
            yield home

    one_nursery.kills, one_nursery.homes = 0, homes()
    one_nursery.local.reset()
    return one_nursery


@dataclass(frozen=True, slots=True)
class Fate:
    """How one load goes: when its process dies, whether its last words are late, and when its resume dies."""

    death: Death
    late: bool = False
    again: Death | None = None


def fates(life: End, drawn: random.Random) -> list[Fate]:
    """Deaths at any promise, at touches, at any time, and with bytes on their way; half of the resumes die as well."""
    named = [drawn.choice(sorted(set(life.promises))) for _ in range(5)]
    told = [Death("promise", drawn.randrange(life.promises.count(name)), name) for name in named]
    told += [Death("touch", drawn.randrange(life.touches)) for _ in range(4)]
    told += [Death(seconds=drawn.uniform(0.02, life.seconds)) for _ in range(2)]
    late = [Fate(Death("sent", drawn.randrange(life.sent)), late=True) for _ in range(2)]
    return [
        replace(fate, again=Death("touch", drawn.randrange(life.touches // 2)) if drawn.random() < 0.5 else None)
        for fate in [*map(Fate, told), *late]
    ]


def old_rows(load: Load) -> pl.DataFrame:
    """The records of an upsert that were there an hour ago."""
    keys = load.frame["Ext__c"].gather_every(HALF)
    ids = [to18(f"001{zlib.crc32(key.encode()):012}") for key in keys]
    hour_ago = dt.datetime.now(dt.UTC) - dt.timedelta(hours=1)
    stamps = [pl.lit(hour_ago).alias(name) for name in ("CreatedDate", "LastModifiedDate", "SystemModstamp")]
    return pl.DataFrame({"Id": ids, "Name": "old", "Ext__c": keys}).with_columns(*stamps, IsDeleted=pl.lit(False))


def lives(nursery: Nursery, load: Load, fate: Fate) -> None:
    """One load with its deaths, its resumes and its count."""
    local, home = nursery.local, nursery.home()
    prepare(local, load)
    local.clear_request_log()
    if fate.late:
        local.faults.add(*SENDING)
    nursery.run(Task(load, str(home), death=fate.death))
    delayed = sum(times for _, times in local.faults.struck)
    local.faults.clear()
    if fate.again is not None and open_run(home):
        nursery.run(Task(load, str(home), open_run(home), fate.again))
    settled(nursery, load, home, delayed)


def dies_at_every_promise(nursery: Nursery, load: Load, promises: list[str]) -> None:
    """One load whose process dies at every promise in turn; where it comes to its end, another one begins."""
    loads = (replace(load, prefix=f"{load.prefix}{number} ") for number in itertools.count())
    present, home = next(loads), nursery.home()
    prepare(nursery.local, present)
    for name in promises:
        death = Death("promise", 0, name)
        if nursery.run(Task(present, str(home), open_run(home), death)).code == 0:
            settled(nursery, present, home)
            present, home = next(loads), nursery.home()
            prepare(nursery.local, present)
            assert nursery.run(Task(present, str(home), death=death)).code == -9
    settled(nursery, present, home)


def prepare(local: sf.LocalOrg, load: Load) -> None:
    """The org before the load."""
    if load.operation == "upsert":
        local.mirror("Account", old_rows(load))


def settled(nursery: Nursery, load: Load, home: Path, delayed: int = 0) -> None:
    """Brings a load to its end, if it is not there, and counts. So many requests were ``delayed`` on their way."""
    local, answers = nursery.local, home / "answers.parquet"
    run = open_run(home)
    if run:
        result = sf.resume(run, rows=load.frame, org=nursery.org, options=load.options)
        frame = result.frame
    elif answers.exists():
        frame = load.frame.hstack(pl.read_parquet(answers).select("^sf__.*$"))
    else:  # it died before its first note, or behind its last one
        saved, whole = stored(local, load).height, load.frame.filter(good).height
        assert saved <= whole if runs(home) and growing(home) else saved == (whole if runs(home) else 0)
        return
    wait_for(lambda: local.request_log()["fault"].is_not_null().sum() >= delayed)
    check(local, load, frame, growing=growing(home))


good = pl.col("Name") != LONG


def runs(home: Path) -> list[Run]:
    with Ledger.open(home) as ledger:
        return ledger.runs()


def open_run(home: Path) -> str:
    """The run in the ledger that is not finished; empty where there is none."""
    return next((run.run_id for run in runs(home) if not run.finished), "")


def growing(home: Path) -> bool:
    """True where a process died while it cut its rows into parts."""
    return "growing" in json.loads(runs(home)[0].settings)


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def stored(local: sf.LocalOrg, load: Load) -> pl.DataFrame:
    """What the org has of the load, no row twice: ``Id`` and ``Name``."""
    saved = local.sql(f"""SELECT "Id", "Name" FROM data."Account" WHERE starts_with("Name", '{load.prefix}n')""")
    assert saved["Name"].is_unique().all()
    return saved


def check(local: sf.LocalOrg, load: Load, answers: pl.DataFrame, *, growing: bool) -> None:
    """Every row has one answer, and it is that of the org's table."""
    saved = stored(local, load)
    assert answers.drop("^sf__.*$").equals(load.frame)
    row = pl.int_range(pl.len())
    mended = load.operation == "upsert"
    right = pl.when(~good).then(pl.lit("rejected")).when(mended & (row % HALF == 0)).then(pl.lit("updated"))
    answers = answers.with_columns(right=right.otherwise(pl.lit("created")))
    assert answers["sf__Status"].null_count() == 0
    told = answers.filter(pl.col("sf__Status").is_in(SAVED))
    there = saved.join(told, on="Name", how="semi").select("Name", "Id")
    assert dict(told.select("Name", "sf__Id").rows()) == dict(there.rows())
    not_told = answers.filter(~pl.col("sf__Status").is_in([*SAVED, "unknown"]))
    assert not set(not_told["Name"]) & set(saved["Name"])
    other = answers.filter(pl.col("sf__Status") != pl.col("right"))
    allowed = {"unknown"} if load.api == "collections" and not load.keyed else set()
    if growing:
        allowed.add("unprocessed")
        assert set(other.filter(sf__Status="unprocessed")["sf__Error"]) <= {NEVER_SENT}
    assert set(other["sf__Status"]) <= allowed


@pytest.mark.parametrize("load", LOADS, ids=named)
def test_a_load_that_is_killed_anywhere_goes_on_and_every_row_has_its_one_answer(
    nursery: Nursery, load: Load, record_property: Callable[[str, object], None]
) -> None:
    seed = f"{SEED} {named(load)}"
    drawn = random.Random(seed)  # noqa: S311 - no secret
    whole = replace(load, prefix="whole ")
    prepare(nursery.local, whole)
    life = nursery.run(Task(whole, str(nursery.home())))
    assert life.code == 0
    print(f"seed {seed!r}: {len(life.promises)} promises, {life.touches} touches, {life.seconds:.1f} s")
    dies_at_every_promise(nursery, replace(load, prefix="promises "), list(dict.fromkeys(life.promises)))
    for number, fate in enumerate(fates(life, drawn)):
        print(f"load {number}: {fate}")
        lives(nursery, replace(load, prefix=f"{number} "), fate)
    record_property("told", f"{nursery.kills} kills, seed {seed!r}")
    assert nursery.kills >= 20


def test_what_killed_processes_left_on_disk_is_cleared_away(nursery: Nursery) -> None:
    load, home = Load("bulk2", prefix="a "), nursery.home()
    assert nursery.run(Task(load, str(home), death=Death("promise", 0, "finish return"))).code == -9
    (done,) = (home / "runs").iterdir()
    assert nursery.run(Task(replace(load, prefix="b "), str(home), death=Death("promise", 0, "begin call"))).code == -9
    assert not done.exists()
    (never_begun,) = (home / "runs").iterdir()
    two = sf.write_sobject(replace(load, prefix="c ").frame, "Account", operation="insert", org=nursery.org)
    assert two.counts == {"created": load.height}
    assert never_begun.exists()  # another process may be cutting its rows
    days_ago = time.time() - 3 * 86_400
    os.utime(never_begun, (days_ago, days_ago))
    sf.write_sobject([{"Name": "d"}], "Account", operation="insert", org=nursery.org)
    assert not list((home / "runs").iterdir())


def test_a_stream_that_is_killed_while_it_is_cut_and_sent_at_once_loses_no_row(nursery: Nursery) -> None:
    """More rows than are in memory at a time: they go through the disk, and parts leave while others are cut."""
    load = Load("bulk2", on_invalid="reject", stream=True, height=100_200, rows_per_job=20_000)
    drawn = random.Random(SEED)  # noqa: S311 - no secret
    for number, name in enumerate(["add_part return", "promise_job return", "note_closed call"]):
        death = Death("promise", drawn.randrange(1, 4), name)
        print(f"seed {SEED}: {death}")
        lives(nursery, replace(load, prefix=f"{number} "), Fate(death, again=Death("touch", drawn.randrange(200))))
    assert nursery.kills >= 3
