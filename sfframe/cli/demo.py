"""``sfframe demo``: the main job once, on an embedded org, with rows that are spoilt the way real data is spoilt."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import polars as pl
from cyclopts import Parameter

from sfframe import orgs
from sfframe.cli import demo_data, tables
from sfframe.errors import FrameError
from sfframe.options import LoadOptions
from sfframe.read import read_soql
from sfframe.results import LoadResult
from sfframe.write import write_sobject

if TYPE_CHECKING:
    from sfframe.connection.org import Org

KEY = "Demo_Key__c"


@dataclass(frozen=True, slots=True)
class Step:
    """One file that the demo loads: where to, by which key, and which column is which field."""

    file: Path
    sobject: str
    key: str
    columns: Mapping[str, str | None]
    results: Path


def demo(
    file: Path | None = None,
    *,
    rows: Annotated[int, Parameter(validator=lambda _type, value: _positive(value))] = 2000,
    seed: int = 7,
    folder: Path = Path("sfframe-demo"),
) -> int:
    """Load sample data (or a file of yours) into an embedded org, show what became of each row, and read it back.

    Parameters
    ----------
    file
        A file of yours (CSV, Parquet, Arrow, JSON lines), loaded as accounts: columns that are called like fields of
        Account go there, for all others the embedded org gets a text field. Without it accounts and contacts are made.
    rows
        How many accounts to make; there are half as many contacts again.
    seed
        Draws the sample data; the same seed gives the same data.
    folder
        Where the data, the embedded org's file and the results go. An org file that an earlier demo left there is
        replaced.
    """
    folder.mkdir(parents=True, exist_ok=True)
    place = folder / "org.duckdb"
    for left in (place, place.with_name(place.name + ".wal")):
        left.unlink(missing_ok=True)
    steps, objects = _sample(folder, rows, seed) if file is None else _own(folder, file)
    local = orgs.open_local(place)
    local.deploy(objects)
    with local, orgs.connect(local) as org:
        loads = [_load(org, step) for step in steps]
        _read_back(org, steps)
        _again(org, steps)
    _farewell(place, steps)
    return 0 if all(load.answers.height == sum(load.counts.values()) for load in loads) else 1


def _sample(folder: Path, rows: int, seed: int) -> tuple[list[Step], list[dict[str, object]]]:
    """Accounts and their contacts as CSV files, about one row in fifty spoilt."""
    accounts = demo_data.accounts(rows, seed)
    contacts = demo_data.contacts(max(rows * 3 // 2, 2), seed, accounts["account_no"])
    accounts.write_csv(folder / "accounts.csv")
    contacts.write_csv(folder / "contacts.csv")
    tables.heading(f"{accounts.height:,} accounts and {contacts.height:,} contacts, about 2 % of them spoilt")
    steps = [
        Step(
            folder / "accounts.csv",
            "Account",
            "Account_No__c",
            demo_data.ACCOUNT_COLUMNS,
            folder / "accounts-results.parquet",
        ),
        Step(
            folder / "contacts.csv",
            "Contact",
            "Contact_No__c",
            demo_data.CONTACT_COLUMNS,
            folder / "contacts-results.parquet",
        ),
    ]
    return steps, list(demo_data.OBJECTS)


def _own(folder: Path, file: Path) -> tuple[list[Step], list[dict[str, object]]]:
    """The user's file with a key of its own, and the fields that Account lacks for it."""
    from sfframe.frames.intake import take

    frame = take(file).frame
    if frame.height == 0:
        raise FrameError("The file has no rows", where=str(file), remedy="Name a file with at least one row.")
    keyed = frame.with_columns(pl.int_range(1, pl.len() + 1, dtype=pl.Int64).cast(pl.String).alias(KEY))
    copy = folder / f"{file.stem}.parquet"
    keyed.write_parquet(copy)
    columns, fields = demo_data.fields_for(frame)
    tables.heading(
        f"{frame.height:,} rows of {file.name} as accounts; {len(fields)} of {frame.width} columns get a field"
    )
    key = {"name": KEY, "label": "Demo Key", "type": "string", "length": 18, "externalId": True, "unique": True}
    step = Step(copy, "Account", KEY, columns | {KEY: KEY}, folder / f"{file.stem}-results.parquet")
    return [step], [{"name": "Account", "fields": [key, *fields]}]


def _load(org: Org, step: Step) -> LoadResult[pl.DataFrame]:
    """Upsert one file: the bad rows that can be known are held back, the others sent."""
    result = _upsert(org, step)
    result.save(step.results)
    tables.heading(f"{step.file.name} -> {step.sobject}")
    tables.tell(result)
    return result


def _upsert(org: Org, step: Step) -> LoadResult[pl.DataFrame]:
    return write_sobject(
        step.file,
        step.sobject,
        operation="upsert",
        external_id_field=step.key,
        org=org,
        columns=step.columns,
        on_invalid="reject",
        options=LoadOptions(on_failed="ignore"),
    )


def _read_back(org: Org, steps: list[Step]) -> None:
    """Every object once, with the types of the describe."""
    for step in steps:
        fields = list(dict.fromkeys(["Id", *(field for field in step.columns.values() if field)]))[:6]
        frame = read_soql(f"SELECT {', '.join(fields)} FROM {step.sobject} ORDER BY {step.key}", org=org)
        tables.heading(f"{step.sobject} read back: {frame.height:,} rows, typed")
        tables.show(frame.head(4), types=True)


def _again(org: Org, steps: list[Step]) -> None:
    """The same files once more: everything is found by its key, nothing is made twice."""
    tables.heading("The same files again")
    for step in steps:
        counts = _upsert(org, step).counts
        told = ", ".join(f"{rows:,} {status}" for status, rows in counts.items())
        tables.say(f"{step.sobject}: {counts.get('created', 0)} created; {told}")


def _farewell(place: Path, steps: list[Step]) -> None:
    tables.heading("What is left")
    tables.say(f"the org:      {place}")
    for step in steps:
        tables.say(f"the answers:  {step.results}")
    question = f"SELECT Name, CreatedDate FROM {steps[-1].sobject} LIMIT 5"
    tables.say(f"\nTry next:\n  sfframe query {shlex.quote(question)} --org local:{place}")


def _positive(value: int) -> None:
    if value < 20:
        raise ValueError("at least 20 rows, so that each kind of damage is seen")
