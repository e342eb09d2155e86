"""read_blobs: the bodies of files, attachments and documents as files on disk, with a frame of their paths."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Final

from sfframe import orgs, soql
from sfframe.errors import IncompleteAnswer, UsageError
from sfframe.fetch import fetch, planned, spread
from sfframe.jobs.lanes import run_lanes
from sfframe.jobs.wire import download
from sfframe.protocol.records import blob
from sfframe.read_options import ReadOptions

if TYPE_CHECKING:
    import polars as pl

    from sfframe.connection.org import Org
    from sfframe.orgs import OrgLike
    from sfframe.protocol.call import Call


@dataclass(frozen=True, slots=True)
class _Body:
    """Where an object keeps bytes, how many it says there are, and what the file is called."""

    field: str
    size: str
    name: str
    ending: str | None


_BODIES: Final[Mapping[str, _Body]] = {
    "ContentVersion": _Body("VersionData", "ContentSize", "Title", "FileExtension"),
    "Attachment": _Body("Body", "BodyLength", "Name", None),  # its name has the ending
    "Document": _Body("Body", "BodyLength", "Name", "Type"),
}
_LANES: Final = 4
_NAME_CHARACTERS: Final = 120  # so that an id and an ending fit beside it on every file system


def read_blobs(
    query: str,
    folder: str | Path,
    *,
    params: Mapping[str, object] | None = None,
    org: OrgLike | None = None,
    include_deleted: bool = False,
    options: ReadOptions = ReadOptions(),
) -> pl.DataFrame:
    """Download the bodies of the ContentVersion, Attachment or Document records that a query finds.

    Gives the query's columns and, for each record, ``path`` (of the file, as text) and ``bytes`` (its size). A file is
    called after the record's id and name, with its ending: ``068..._Offer.pdf``. It has its name only when it is whole;
    one that is there with the size that the org names is not fetched again, so a call that broke off is simply made
    anew. Raises IncompleteAnswer for a body of another size. The folder is made where it is missing.

    >>> import sfframe as sf
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     sf.read_blobs("SELECT Id FROM Attachment", folder, org="local").columns
    ['Id', 'path', 'bytes']
    """
    import polars as pl

    from sfframe.frames.shape import is_grouped
    from sfframe.frames.statements import united

    connection = orgs.connect(org)
    plan = planned(connection, query, params, include_deleted=include_deleted, options=options)
    sobject = connection.describe(plan.parsed.source.name)
    body = _BODIES.get(sobject.name)
    if body is None or is_grouped(plan.parsed) or plan.parsed.count_only:
        raise UsageError(
            f"{sobject.name} has no bodies that can be downloaded",
            where=f"FROM {plan.parsed.source.name}",
            remedy=f"Query records of {', '.join(_BODIES)}.",
        )
    wanted = plan.shape.names
    needed = ["Id", body.name, body.size, *([body.ending] if body.ending else [])]
    more = tuple(soql.Selected(soql.Path((name,))) for name in needed if name not in wanted)
    whole = plan.with_query(replace(plan.parsed, select=(*plan.parsed.select, *more)), connection)
    rows = united(
        [fetch(connection, one).frame() for one in spread(connection, whole)], whole.parsed, whole.shape.names
    )
    found = _named(rows, body, Path(folder))
    Path(folder).mkdir(parents=True, exist_ok=True)
    work = [
        _fetching(connection, partial(blob, sobject.name, field=body.field), record, Path(path), size)
        for record, path, size in found.select("Id", "path", "bytes").iter_rows()
    ]  # one turn for each file, which is a call of its own
    sizes = pl.Series("bytes", run_lanes(work, cap=_LANES, cancel=options.cancel), dtype=pl.Int64)
    return found.with_columns(sizes).select(*wanted, "path", "bytes")


def _named(found: pl.DataFrame, body: _Body, folder: Path) -> pl.DataFrame:
    """The records with the paths of their files; letters that some file system cannot have become underscores."""
    import polars as pl

    name = pl.col(body.name).fill_null("").str.replace_all(r'[\x00-\x1f<>:"/\\|?*]+', "_")
    name = name.str.slice(0, _NAME_CHARACTERS).str.strip_chars(" .")
    if body.ending is not None:
        ending = "." + pl.col(body.ending).str.replace_all(r"[^0-9A-Za-z]", "")
        name = pl.when(ending.is_null() | name.str.ends_with(ending)).then(name).otherwise(name + ending)
    file = pl.when(name == "").then(pl.col("Id")).otherwise(pl.col("Id") + "_" + name)
    size = pl.col(body.size).cast(pl.Int64)
    return found.with_columns(path=pl.lit(f"{folder}/") + file, bytes=size)


def _fetching(
    org: Org, body_of: Callable[[str], Call[bytes]], record: str, path: Path, size: int | None
) -> Callable[[Event], int]:
    """Brings one file, where it is not there yet, and gives its size; ``size`` is what the org says, if it does."""

    def go(stop: Event) -> int:
        if size is not None and path.is_file() and path.stat().st_size == size:
            return size
        call = body_of(record)
        download(org, call, path, cancel=stop)
        found = path.stat().st_size
        if size is not None and found != size:
            path.unlink()
            raise IncompleteAnswer(
                f"the file has {found:,} bytes, and the org says that there are {size:,}",
                where=call.where,
                remedy="Run it again.",
            )
        return found

    return go
