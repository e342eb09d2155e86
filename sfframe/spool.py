"""What the data wing hands to the wire wing: files on disk, never a dataframe."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Part:
    """One CSV file that becomes one bulk job.

    ``first_row`` counts the rows that are sent, from 0 over all parts of a run (rejected and unchanged rows are not
    counted); ``rows`` is the number of data rows, ``bytes`` the size of the file, header included.
    """

    number: int
    path: Path
    first_row: int
    rows: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Answers:
    """The three result files of one bulk job, as the org sent them. A file that could not be had is None."""

    part: Part
    job_id: str
    state: str
    succeeded: Path | None
    failed: Path | None
    unprocessed: Path | None
    error: str = ""
