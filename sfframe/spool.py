"""What the data wing hands to the wire wing: files on disk, never a dataframe."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sfframe.errors import SfframeError


@dataclass(frozen=True, slots=True)
class Part:
    """One CSV file that goes out as a whole: a Bulk 2.0 job, a Bulk 1.0 batch, or one collections call.

    ``first_row`` counts the rows that are sent, from 0 over all parts of a run (rejected and unchanged rows are not
    counted); ``rows`` is the number of data rows, ``bytes`` the size of the file, header included, and ``sha256`` says
    in hexadecimal digits what was written from the first part to the end of this one, the header once (empty where
    nobody asked).
    """

    number: int
    path: Path
    first_row: int
    rows: int
    bytes: int
    sha256: str = ""


@dataclass(frozen=True, slots=True)
class Answers:
    """What the org answered for one part, in files as it sent them. A file that could not be had is None.

    Bulk 2.0 gives three files, in no order. Bulk 1.0 and collections give one, ``ordered``: its k-th answer is for the
    k-th row of the part. It is a batch's result as CSV, or the JSON array of a collections call, told apart by ``.csv``
    and ``.json``. ``batch_id`` is set for Bulk 1.0 only; a collections call has neither job nor batch.
    """

    part: Part
    job_id: str
    state: str
    succeeded: Path | None
    failed: Path | None
    unprocessed: Path | None
    error: str = ""
    ordered: Path | None = None
    batch_id: str = ""


@contextmanager
def writing(place: Path) -> Iterator[None]:
    """Says it in full where the disk does not take a file: it is full, read-only, or gone."""
    try:
        yield
    except OSError as problem:
        raise SfframeError(
            f"a file cannot be written: {problem.strerror or problem}",
            where=str(place),
            remedy="Make room, or use another disk (SFFRAME_HOME names the spool's). What was sent can be resumed.",
        ) from problem
