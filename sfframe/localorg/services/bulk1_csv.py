"""CSV batches of Bulk API 1.0: what they may be and how they differ from Bulk 2.0 uploads (bulk1.md 5)."""

from __future__ import annotations

from pathlib import Path

import duckdb

from sfframe.localorg.services import upload_csv
from sfframe.localorg.services.bulk1_errors import BatchFault
from sfframe.localorg.services.upload_csv import Header, UploadFault


def normal(content: str) -> str:
    """The text with line feeds alone: both endings are taken, and breaks inside of quotes become line feeds too."""
    return content.replace("\r\n", "\n").replace("\r", "\n")


def header_of(path: Path) -> Header:
    """The header; raises BatchFault for a file that cannot be read as CSV at all."""
    header = upload_csv.read_header(path, ",")
    if header is None:
        raise BatchFault("InvalidBatch : Failed to parse CSV header")
    try:
        upload_csv.check_header(header)
    except UploadFault as fault:
        raise BatchFault(str(fault)) from fault
    if path.read_bytes().count(b'"') % 2:
        raise _refused("EOF reached before closing an opened quote")
    # One such quote ends the whole batch, unlike in Bulk 2.0 (segmentio/action-destinations#930).
    if next(upload_csv.stray_quotes(path, ","), None) is not None:
        raise _refused("Found unescaped quote. A value with quote should be within a quote")
    return header


def stage(cursor: duckdb.DuckDBPyConnection, path: Path, width: int, *, line_ending: str = "LF") -> str:
    """Load the records into a temporary table of the cursor and answer what stands behind FROM.

    ``line_ending`` is how breaks inside of values are stored.
    """
    try:
        relation = upload_csv.stage(cursor, path, ",", width)
        upload_csv.counted(cursor, relation, width)
    except UploadFault as fault:
        raise BatchFault(str(fault)) from fault
    if line_ending == "LF":
        return relation
    cells = [f"c{at}" for at in range(width)]
    broken = ", ".join(f"replace({cell}, chr(10), chr(13) || chr(10)) AS {cell}" for cell in cells)
    return f"(SELECT record, fault, {broken} FROM {relation})"


def _refused(words: str) -> BatchFault:
    return BatchFault(f"InvalidBatch : {words}")
