"""ZIP batches of Bulk API 1.0: the rows in request.txt, and beside it the files that their cells name (bulk1.md 5)."""

from __future__ import annotations

import base64
import io
import zipfile
import zlib
from dataclasses import dataclass, replace

import duckdb

from sfframe.localorg.services.bulk1_errors import BatchFault
from sfframe.localorg.services.problems import first_of, literal, problem
from sfframe.localorg.services.task import Staged

_REQUEST = "request.txt"
# bulk1.md 7, from memory.
_MOST_FILES = 1_000
_MOST_BYTES = 20_000_000  # unpacked
_LONGEST_NAME = 512  # bytes


@dataclass(frozen=True, slots=True)
class Archive:
    """The content of a ZIP batch: what is asked for, and the files under their paths."""

    request: bytes
    files: dict[str, bytes]


def read(content: bytes) -> Archive:
    """The content of the batch; raises BatchFault for what is no ZIP file or too much. The words are guesses."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as packed:
            members = [one for one in packed.infolist() if not one.is_dir()]
            _check(members)
            files = {one.filename: packed.read(one) for one in members}
    # All that zipfile raises at garbage: NotImplementedError of a packing that it lacks, RuntimeError of a password.
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        raise BatchFault(f"InvalidBatch : Unable to read the zip file: {error}") from error
    if _REQUEST not in files:
        raise BatchFault(f"InvalidBatch : {_REQUEST} not found in the zip file")
    return Archive(files.pop(_REQUEST), files)


def _check(members: list[zipfile.ZipInfo]) -> None:
    if len(members) > _MOST_FILES:
        raise BatchFault(f"InvalidBatch : The zip file has more than {_MOST_FILES} files")
    if sum(one.file_size for one in members) > _MOST_BYTES:
        raise BatchFault(f"InvalidBatch : The files of the zip file have more than {_MOST_BYTES} bytes")
    if any(len(one.filename.encode()) > _LONGEST_NAME for one in members):
        raise BatchFault(f"InvalidBatch : A file name of the zip file has more than {_LONGEST_NAME} bytes")


def with_files(cursor: duckdb.DuckDBPyConnection, staged: Staged, archive: Archive) -> Staged:
    """The rows with the files in place of the cells ``#dir/file.ext`` that name them.

    A cell of bytes that names no file of the batch, or has no ``#``, is a fault of its row (bulk1.md 5).
    """
    import pyarrow as pa

    columns = [one for one in staged.columns if one.field.type == "base64"]
    if not columns:
        return staged
    packed = [base64.b64encode(content).decode() for content in archive.files.values()]
    cursor.register("zip_files", pa.table({"name": pa.array(archive.files, pa.string()), "content": packed}))
    whens, cells, joins = ["WHEN fault IS NOT NULL THEN fault"], [], []
    for one in columns:
        cell, file = f"u.{one.cell}", f"f{one.position}"
        names = f"{cell} <> '' AND {cell} <> {literal(staged.null_mark)}"
        joins.append(f"LEFT JOIN zip_files {file} ON {cell} = '#' || {file}.name")
        cells.append(f"coalesce({file}.content, {cell}) AS {one.cell}")
        # The words are a guess.
        words = f"'Binary file not found in the zip file: ' || {cell}"
        whens.append(
            f"WHEN {names} AND {file}.name IS NULL THEN {problem('INVALID_FIELD', words, literal(one.field.name))}"
        )
    try:
        cursor.execute(f"""
            CREATE OR REPLACE TEMP TABLE zip_upload AS
            SELECT u.* REPLACE ({first_of(whens)} AS fault, {", ".join(cells)})
            FROM {staged.relation} u {" ".join(joins)}
        """)
    finally:
        cursor.unregister("zip_files")
    return replace(staged, relation="zip_upload")
