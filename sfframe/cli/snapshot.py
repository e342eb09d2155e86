"""``sfframe org snapshot``: what an org is like, as files from which an embedded org starts."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from sfframe import orgs
from sfframe.cli import tables
from sfframe.errors import ApiError, QueryError, UsageError
from sfframe.read import read_soql
from sfframe.results import save_frame

if TYPE_CHECKING:
    import polars as pl

    from sfframe.connection.org import Org
    from sfframe.schema import Field, SObject

_NOT_SAMPLED = frozenset({"address", "location", "base64", "complexvalue", "anyType", "json"})
_IDS_PER_QUERY = 200  # 4 KB of ids: a query stays well below the 16 KB of a URL


def snapshot(*, out: Path, org: str | None = None, objects: str | None = None, records: int = 0) -> int:
    """Save the describes of an org, and with --records a sample of its rows, for ``sfframe org serve``.

    Start a copy with: sfframe org serve --deploy OUT --records FOLDER.

    Parameters
    ----------
    out
        The JSON file for the describes.
    org
        local, local:PATH.duckdb, a profile, or nothing: then the environment says which org (SF_INSTANCE_URL ...).
    objects
        Names with commas between them; by default all objects that can be queried and created.
    records
        How many rows of each object to take along. Their parents come too, where their objects do; a reference that
        leads outside is emptied. They lie as Parquet files in a folder beside OUT, called like it without .json.
    """
    folder = out.with_suffix("")
    _check(out, folder, records)
    with orgs.connect(org) as connection:
        asked = [connection.describe_json(name) for name in _chosen(connection, objects)]
        described = {str(one["name"]): one for one in asked}
        out.write_text(json.dumps(list(described.values()), indent=1), "utf-8")
        tables.say(f"{len(described):,} objects in {out}")
        if records:
            frames = closed_sample(connection, {name: connection.describe(name) for name in described}, records)
            _save(frames, folder)
            total = sum(frame.height for frame in frames.values())
            tables.say(f"{total:,} rows of {len(frames):,} objects in {folder}")
    return 0


def _check(out: Path, folder: Path, records: int) -> None:
    if out.suffix != ".json":
        raise UsageError(f"--out {out.name} is no JSON file", remedy="Write it as --out mirror.json.")
    if not out.parent.is_dir():
        raise UsageError(f"There is no folder {out.parent}", remedy="Make it first, or name another file.")
    if records < 0:
        raise UsageError(f"--records {records} is no number of rows", remedy="Give 0 or more.")
    if records and folder.exists():
        raise UsageError("The folder for the rows is there already", where=str(folder), remedy="Remove it first.")


def _chosen(org: Org, objects: str | None) -> list[str]:
    if objects is not None:
        names = [name.strip() for name in objects.split(",") if name.strip()]
        if not names:
            raise UsageError("--objects names no object", remedy="Write them as --objects Account,Contact.")
        return list(dict.fromkeys(names))
    # Shares, histories and the like have no prefix of their own; they come and go with their objects.
    return [one.name for one in org.objects() if one.queryable and one.createable and one.key_prefix]


def closed_sample(org: Org, described: Mapping[str, SObject], rows: int) -> dict[str, pl.DataFrame]:
    """Up to ``rows`` rows of each object and all parents that they need, by object; objects without rows are left out.

    References that lead to no row of the sample are null. An object that the org does not let one query freely is
    left out with a word about it.
    """
    by_prefix = {one.key_prefix: name for name, one in described.items() if one.key_prefix}
    found: dict[str, pl.DataFrame] = {}
    for name, one in described.items():
        frame = _rows(org, one, f"LIMIT {rows}")
        if frame is not None:
            found[name] = frame
    asked: set[str] = set()
    while missing := _missing(found, described, by_prefix, asked):
        for name, ids in missing.items():
            asked |= set(ids)
            for start in range(0, len(ids), _IDS_PER_QUERY):
                listed = ", ".join(f"'{one}'" for one in ids[start : start + _IDS_PER_QUERY])
                parents = _rows(org, described[name], f"WHERE Id IN ({listed})")
                if parents is not None:
                    found[name] = found[name].vstack(parents)
    known = {one for frame in found.values() for one in frame["Id"]}
    return {name: _within(frame, _references(described[name]), known) for name, frame in found.items() if frame.height}


def _sampled(described: SObject) -> list[Field]:
    return [field for field in described.fields if field.type not in _NOT_SAMPLED]


def _references(described: SObject) -> list[str]:
    return [field.name for field in _sampled(described) if field.type == "reference"]


def _rows(org: Org, described: SObject, tail: str) -> pl.DataFrame | None:
    names = ", ".join(field.name for field in _sampled(described))
    try:
        return read_soql(f"SELECT {names} FROM {described.name} {tail}", org=org)
    except (QueryError, ApiError) as problem:
        tables.say(f"{described.name}: no rows taken. {problem.said}")
        return None


def _missing(
    found: Mapping[str, pl.DataFrame], described: Mapping[str, SObject], by_prefix: Mapping[str, str], asked: set[str]
) -> dict[str, list[str]]:
    """The ids of parents that no frame holds yet, by object."""
    known = {one for frame in found.values() for one in frame["Id"]}
    missing: dict[str, set[str]] = {}
    for name, frame in found.items():
        for column in _references(described[name]):
            for one in frame[column].drop_nulls().unique():
                target = by_prefix.get(one[:3])
                if target in found and one not in known and one not in asked:
                    missing.setdefault(str(target), set()).add(one)
    return {name: sorted(ids) for name, ids in sorted(missing.items())}


def _within(frame: pl.DataFrame, references: list[str], known: set[str]) -> pl.DataFrame:
    import polars as pl

    inside = pl.Series(sorted(known), dtype=pl.String).implode()
    return frame.with_columns(pl.when(pl.col(name).is_in(inside)).then(pl.col(name)) for name in references)


def _save(frames: Mapping[str, pl.DataFrame], folder: Path) -> None:
    folder.mkdir()
    try:
        for name, frame in frames.items():
            save_frame(frame, folder / f"{name}.parquet")
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)  # half a sample would not be closed
        raise
