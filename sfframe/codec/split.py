"""Text frames -> CSV files, none larger than one job may be, cut exactly between records."""

from __future__ import annotations

import hashlib
import io
import os
from collections import deque
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path

import polars as pl

from sfframe.codec.encode import DATETIME_FORMAT
from sfframe.errors import FrameError
from sfframe.facts import DELIMITERS, HEADER_CHARACTERS, ROWS_PER_JOB, UPLOAD_BYTES, Delimiter, LineEnding
from sfframe.spool import Part

PIECE_ROWS = 20_000  # rows that become text at a time: what the processor's cache can hold
CLOSED = -1
ENDINGS: dict[LineEnding, str] = {"LF": "\n", "CRLF": "\r\n"}


def spool(
    frames: pl.DataFrame | Iterable[pl.DataFrame],
    folder: Path,
    *,
    max_bytes: int = UPLOAD_BYTES,
    max_rows: int = ROWS_PER_JOB,
    delimiter: Delimiter = "COMMA",
    line_ending: LineEnding = "LF",
    breaks: Collection[int] = (),
) -> Iterator[Part]:
    """Writes ``part-00000.csv`` and so on into ``folder`` and says what is in each as soon as it is complete.

    ``frames`` are those of ``encode`` or ``for_csv``, all with the same columns. Each part starts with the header, ends
    on a record, and has at most ``max_bytes`` bytes and ``max_rows`` rows; a new part begins at each row in ``breaks``
    (counted from 0 over the rows that are sent). Only the owner can read the files. A record that is larger than a part
    raises ``FrameError`` with its row; a disk that is full raises ``FrameError`` too.
    """
    writer = _PartWriter(folder, max_bytes, max_rows, delimiter, line_ending, breaks=sorted(breaks))
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for frame in [frames] if isinstance(frames, pl.DataFrame) else frames:
            for start in range(0, frame.height, PIECE_ROWS):
                writer.append(frame[start : start + PIECE_ROWS])
                yield from writer.complete()
        writer.close()
        yield from writer.complete()
    except OSError as problem:
        raise FrameError(
            f"the rows cannot be written to the spool: {problem.strerror}",
            where=str(folder),
            remedy="Make room, or name a folder on another disk in SFFRAME_HOME. What was sent can be resumed.",
        ) from problem
    finally:
        writer.drop()


class _PartWriter:
    def __init__(
        self,
        folder: Path,
        max_bytes: int,
        max_rows: int,
        delimiter: Delimiter,
        line_ending: LineEnding,
        *,
        breaks: Sequence[int],
    ) -> None:
        self._folder = folder
        self._max_bytes = max_bytes
        self._max_rows = max_rows
        self._delimiter = delimiter
        self._line_ending = line_ending
        self._breaks = deque(breaks)
        self._parts: list[Part] = []  # complete, and not yet handed on
        self._number = 0
        self._file = CLOSED
        self._path = folder
        self._header = b""
        self._buffer = io.BytesIO()
        self._first = 0
        self._rows = 0
        self._bytes = 0
        self._hash = hashlib.sha256()

    def complete(self) -> Iterator[Part]:
        """The parts that were finished since the last time."""
        while self._parts:
            yield self._parts.pop(0)

    def append(self, frame: pl.DataFrame) -> None:
        """Writes all rows of ``frame``, opening a new part where the present one is full."""
        while frame.height:
            if self._file == CLOSED or self._room() == 0:
                self._open(frame)
            room = self._room()
            self._fit(frame[:room])
            frame = frame[room:]

    def _room(self) -> int:
        """How many rows the part may still take."""
        present = self._first + self._rows
        while self._breaks and self._breaks[0] <= self._first:
            self._breaks.popleft()
        room = self._max_rows - self._rows
        return min(room, self._breaks[0] - present) if self._breaks else room

    def _fit(self, frame: pl.DataFrame) -> None:
        """Writes ``frame``, in halves where it is too large for what is left of the part."""
        with self._text(frame, header=False) as body:
            size = len(body)
            fits = self._bytes + size <= self._max_bytes
            if fits:
                self._write(body)
        if fits:
            self._rows += frame.height
        elif frame.height > 1:
            middle = frame.height // 2
            self._fit(frame[:middle])
            self._fit(frame[middle:])
        elif self._rows > 0:
            self._open(frame)
            self._fit(frame)
        else:
            raise FrameError(
                f"the record is {size:,} bytes long; with its header, one upload takes {self._max_bytes:,}",
                where=f"row {self._first} of those to be sent",
                remedy="Shorten its texts, or leave its largest column out with columns={...: None}.",
            )

    def close(self) -> None:
        """Ends the present part."""
        if self._file == CLOSED:
            return
        os.close(self._file)
        self._file = CLOSED
        if self._rows == 0:
            self._path.unlink()
            return
        mark = self._hash.hexdigest()
        self._parts.append(Part(self._number, self._path, self._first, self._rows, self._bytes, mark))
        self._number += 1
        self._first += self._rows
        self._rows = 0

    def drop(self) -> None:
        """Closes the file of a part that was not finished."""
        if self._file != CLOSED:
            os.close(self._file)
            self._file = CLOSED

    def _open(self, frame: pl.DataFrame) -> None:
        self.close()
        if not self._header:
            self._header = bytes(self._text(frame[:0], header=True))
            if len(self._header) > HEADER_CHARACTERS:
                raise FrameError(
                    f"the header line is {len(self._header):,} characters long; the org takes {HEADER_CHARACTERS:,}",
                    remedy="Send fewer columns at a time.",
                )
        self._path = self._folder / f"part-{self._number:05}.csv"
        self._file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        self._rows = 0
        self._bytes = 0
        self._write(self._header)

    def _write(self, body: bytes | memoryview) -> None:
        if self._bytes or not self._number:  # the header counts once, so that the mark is the same however rows are cut
            self._hash.update(body)
        written = 0
        while written < len(body):
            written += os.write(self._file, body[written:])
        self._bytes += len(body)

    def _text(self, frame: pl.DataFrame, *, header: bool) -> memoryview:
        """The frame as CSV, in a buffer that is used again: fresh memory for each piece costs as much as writing it."""
        if frame.width == 1:
            # A record of one empty cell would be a blank line, and blank lines are skipped (bulk2.md 3.6).
            frame = frame.select(pl.all().fill_null(""))
        self._buffer.seek(0)
        frame.write_csv(
            self._buffer,
            include_header=header,
            separator=DELIMITERS[self._delimiter],
            line_terminator=ENDINGS[self._line_ending],
            datetime_format=DATETIME_FORMAT,
        )
        return self._buffer.getbuffer()[: self._buffer.tell()]
