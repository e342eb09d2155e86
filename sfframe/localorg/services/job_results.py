"""Results of ingest jobs: one table per job with a row per processed record, and the three files made of it."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb

from sfframe.localorg.services import coercion, problems, upload_csv
from sfframe.localorg.services.columns import Column
from sfframe.localorg.services.jobs import IngestJob
from sfframe.localorg.services.problems import literal
from sfframe.localorg.services.saving import Saved
from sfframe.localorg.services.task import Staged
from sfframe.localorg.store.store import Store, quoted

_CHUNK = 1 << 20
_RUN_ROWS = 5_000
_MOST_RUNS = 25  # each is a query of its own, whose planning takes as long as some 2,000 rows
_UPLOAD_ORDER_SINCE = 50.0  # before, columns came in alphabetical order (bulk2.md 2.9)


@dataclass(frozen=True, slots=True)
class ResultFile:
    """A CSV body: its header record, then the rows in pieces."""

    header: bytes
    rows: Iterator[bytes]

    def __iter__(self) -> Iterator[bytes]:
        yield self.header
        yield from self.rows


def table(job_id: str) -> str:
    """The job's result table in SQL. 18-character ids differ by more than case, as names of tables must."""
    return f"jobs.{quoted(f'rows_{job_id}')}"


def create_table(cursor: duckdb.DuckDBPyConnection, job_id: str) -> None:
    """Make the result table; ``line`` is the whole record of the file with the successful or the failed rows."""
    cursor.execute(
        f"CREATE TABLE IF NOT EXISTS {table(job_id)} (record BIGINT, id VARCHAR, error VARCHAR, line VARCHAR)"
    )


def drop(cursor: duckdb.DuckDBPyConnection, job_id: str) -> None:
    """Forget all results of the job."""
    cursor.execute(f"DROP TABLE IF EXISTS {table(job_id)}")
    cursor.execute("DELETE FROM jobs.unprocessed WHERE job_id = ?", [job_id])


def processed(cursor: duckdb.DuckDBPyConnection, job_id: str) -> int:
    """How many records have their result."""
    return int(cursor.execute(f"SELECT count(*) FROM {table(job_id)}").fetchall()[0][0])


def keep(
    cursor: duckdb.DuckDBPyConnection,
    job: IngestJob,
    header: upload_csv.Header,
    staged: Staged,
    saved: Saved,
    *,
    quotes: bool,
) -> None:
    """Store the results of one save of the staged rows; ``quotes`` tells whether there may be one in any cell."""
    ordered = [staged.columns[at] for at in _order(job, header)]
    answer = ["id", f"coalesce({_quotes_doubled('error')}, CAST(created AS VARCHAR))"]
    cells = [_echo(one, staged) for one in ordered]
    line = _line([*answer, *cells], job)
    if quotes:
        # To double quotes where there are none takes as long as all the rest; only texts and bad cells can have some.
        texts = [one.cell for one in ordered if one.key or coercion.is_text(one.field)]
        has_quotes = "error IS NOT NULL" + (f" OR contains(concat({', '.join(texts)}), '\"')" if texts else "")
        doubled = [_quotes_doubled(cell) for cell in cells]
        line = f"CASE WHEN {has_quotes} THEN {_line([*answer, *doubled], job)} ELSE {line} END"
    cursor.execute(
        f"INSERT INTO {table(job.id)} SELECT record, id, error, {line} "
        f"FROM (SELECT *, {problems.bulk_text('problem')} AS error FROM ({saved.outcomes}))"
    )


def _line(cells: Sequence[str], job: IngestJob) -> str:
    """SQL: the cells as a line, null as an empty cell.

    All are quoted, as clients that split at any delimiter need it (bulk2.md 2.12).
    """
    between = literal(f'"{upload_csv.DELIMITERS[job.delimiter]}"')
    return f"concat('\"', {f', {between}, '.join(cells)}, '\"')"


def _echo(column: Column, staged: Staged) -> str:
    # What names a parent comes back verbatim (bulk2.md 7), and so does a clean text.
    if column.key or column.cell in staged.clean:
        return column.cell
    return coercion.echo(column.field, column.cell, f"v{column.position}", staged.null_mark)


def _quotes_doubled(text: str) -> str:
    return f"replace({text}, '\"', '\"\"')"


def _order(job: IngestJob, header: upload_csv.Header) -> list[int]:
    positions = list(range(len(header.names)))
    if job.api_version < _UPLOAD_ORDER_SINCE:
        positions.sort(key=lambda at: header.names[at].casefold())
    return positions


def keep_unprocessed(cursor: duckdb.DuckDBPyConnection, job: IngestJob, upload: Path) -> None:
    """Store the raw records behind the processed ones (bulk2.md 2.11)."""
    pieces = upload_csv.remaining(upload, upload_csv.DELIMITERS[job.delimiter], job.processed)
    for part, content in enumerate(pieces):
        cursor.execute("INSERT INTO jobs.unprocessed VALUES (?, ?, ?)", [job.id, part, content])


def processed_file(store: Store, job: IngestJob, *, failed: bool) -> ResultFile:
    """The successful or the failed rows, in an order that the seed decides (bulk2.md 2.12 promises none)."""
    mark, newline = upload_csv.DELIMITERS[job.delimiter], upload_csv.NEWLINES[job.line_ending]
    names = _header_cells(job)
    first = mark.join(['"sf__Id"', '"sf__Error"' if failed else '"sf__Created"', *names]) + newline
    if not job.ended:
        return ResultFile(first.encode(), iter(()))
    condition = "error IS NOT NULL" if failed else "error IS NULL"
    with tempfile.NamedTemporaryFile(dir=store.scratch, suffix=".csv", delete=False) as file:
        path = Path(file.name)
    with store.cursor() as cursor:
        # Without quote, escape and delimiter DuckDB writes the lines as they are. Told to quote them with nothing, it
        # does not look at each character for one that must be quoted, which took a third of the time.
        rows = _shuffled(f"SELECT line FROM {table(job.id)} WHERE {condition}", job, store.settings.seed)
        cursor.execute(
            f"COPY ({rows}) TO {literal(str(path))} (FORMAT csv, HEADER false, FORCE_QUOTE *, QUOTE '', ESCAPE '', "
            f"DELIMITER '', NEW_LINE {literal(newline)})"
        )
    return ResultFile(first.encode(), _pieces(path))


def file_of_query(columns: Sequence[str], *, failed: bool) -> ResultFile:
    """What a query job has in the place of a result file: a header, and never a row (recorded: bulk2.md 2.6)."""
    first = ",".join(['"sf__Id"', '"sf__Error"' if failed else '"sf__Created"', *columns])
    return ResultFile(f"{first}\n".encode(), iter(()))


def _shuffled(rows: str, job: IngestJob, seed: int) -> str:
    """SQL: the rows in another order: single ones of a small job, whole runs of a large one, which is much quicker."""
    if job.processed <= _RUN_ROWS:
        return f"{rows} ORDER BY hash(record, {seed}), record"
    run = max(_RUN_ROWS, -(-job.processed // _MOST_RUNS))
    starts = list(range(0, job.processed, run))
    random.Random(seed).shuffle(starts)  # noqa: S311 - an order is no secret
    return " UNION ALL ".join(f"{rows} AND record > {start} AND record <= {start + run}" for start in starts)


def unprocessed_file(store: Store, job: IngestJob) -> ResultFile:
    """The raw records that were never run; a header without line end where there are none (bulk2.md 2.12)."""
    header = (job.header or "").encode()
    with store.cursor() as cursor:
        query = "SELECT count(*) FROM jobs.unprocessed WHERE job_id = ?"
        parts = cursor.execute(query, [job.id]).fetchall()[0][0] if job.ended else 0
    newline = upload_csv.NEWLINES[job.line_ending].encode() if parts else b""
    return ResultFile(header + newline, (_unprocessed_part(store, job, part) for part in range(parts)))


def _unprocessed_part(store: Store, job: IngestJob, part: int) -> bytes:
    with store.cursor() as cursor:
        query = "SELECT content FROM jobs.unprocessed WHERE job_id = ? AND part = ?"
        return bytes(cursor.execute(query, [job.id, part]).fetchall()[0][0])


def _header_cells(job: IngestJob) -> list[str]:
    """The header cells as typed, in the order of the echo."""
    if not job.header:
        return []
    header = upload_csv.parse_header(job.header, upload_csv.DELIMITERS[job.delimiter])
    return [header.cells[at] for at in _order(job, header)]


def _pieces(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            while piece := file.read(_CHUNK):
                yield piece
    finally:
        path.unlink(missing_ok=True)
