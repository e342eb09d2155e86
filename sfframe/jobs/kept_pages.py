"""The pages of bulk queries on disk, and a note of those that are whole, so that another process can go on."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sfframe.jobs.result_pages import Incoming
from sfframe.jobs.wire import written_whole
from sfframe.protocol.bulk2_query import PageHead

_NOTES: Final = "pages.jsonl"
_ABOUT: Final = "about.json"
_QUERIES: Final = "queries.json"


@dataclass(frozen=True, slots=True)
class KeptPage:
    """One whole page on disk: CSV with its own header line, and what its headers said."""

    path: Path
    head: PageHead


class KeptPages:
    """A folder that only its owner may look into. Safe to share by threads.

    ``about`` is what the pages belong to, as the caller notes it: the query, the org, and as ``job`` the job's id.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock = threading.Lock()
        self._job = self.about.get("job", "")
        self._pages = {locator: page for locator, page in self._noted() if page.path.is_file()}

    @property
    def about(self) -> dict[str, str]:
        """Empty where nothing was noted."""
        try:
            return dict(json.loads((self.folder / _ABOUT).read_text("utf-8")))
        except (OSError, ValueError):
            return {}

    def begin(self, about: dict[str, str]) -> None:
        """Forgets all pages, and notes what the coming ones belong to."""
        with self._lock:
            self._pages.clear()
            self._job = about.get("job", "")
            for file in self.folder.iterdir():
                file.unlink(missing_ok=True)
            with written_whole(self.folder / _ABOUT) as note:
                note.write(json.dumps(about).encode())

    def find(self, locator: str | None) -> KeptPage | None:
        """The page at that place; None for the first."""
        with self._lock:
            return self._pages.get(locator)

    def keep(self, page: Incoming) -> KeptPage:
        """Writes a page; it is noted when it is whole."""
        target = self.folder / f"page-{page.number + 1:05d}.{self._job}.csv"
        with written_whole(target) as file:
            file.writelines(page.chunks)
        kept = KeptPage(target, page.head)
        # A thread of an export that was given up may end late: its page is of another job.
        note = {
            "job": self._job,
            "locator": page.locator,
            "file": target.name,
            "rows": page.head.rows,
            "next": page.head.locator,
        }
        with self._lock:
            self._pages[page.locator] = kept
            with (self.folder / _NOTES).open("a", encoding="utf-8") as notes:
                notes.write(json.dumps(note) + "\n")
                notes.flush()
                os.fsync(notes.fileno())
        return kept

    def discard(self, path: object) -> None:
        """Forgets the page in that file, which turned out not to be whole."""
        with self._lock:
            for locator, page in list(self._pages.items()):
                if page.path == path:
                    page.path.unlink(missing_ok=True)
                    del self._pages[locator]

    def _noted(self) -> list[tuple[str | None, KeptPage]]:
        with contextlib.suppress(OSError):
            lines = (self.folder / _NOTES).read_text("utf-8").splitlines()
            return [found for line in lines if (found := self._read(line)) is not None]
        return []

    def _read(self, line: str) -> tuple[str | None, KeptPage] | None:
        try:  # the last line of a killed process may be half a line
            note = json.loads(line)
            if note["job"] != self._job:
                return None
            return note["locator"], KeptPage(self.folder / note["file"], PageHead(note["rows"], note["next"]))
        except (ValueError, KeyError):
            return None


class KeptParts:
    """The pages of an answer that comes by several queries: a folder for each, which only its owner may look into.

    ``about`` is what the answer belongs to, as the caller notes it; empty where nothing was noted. ``queries`` are the
    texts of the parts: whoever goes on must ask for the same parts again.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.about: dict[str, str] = {}
        self.queries: list[str] = []
        with contextlib.suppress(OSError, ValueError, KeyError):
            noted = json.loads((folder / _QUERIES).read_text("utf-8"))
            self.about, self.queries = dict(noted["about"]), list(noted["queries"])

    @property
    def pages(self) -> list[KeptPages]:
        """Those of each part, in the order of ``queries``."""
        return [KeptPages(self.folder / f"part-{number + 1:03}") for number in range(len(self.queries))]

    def begin(self, about: dict[str, str], queries: list[str]) -> None:
        """Forgets all pages, and notes what the coming ones belong to."""
        self.clear()
        self.folder.mkdir(mode=0o700, parents=True)
        self.about, self.queries = about, queries
        with written_whole(self.folder / _QUERIES) as note:
            note.write(json.dumps({"about": about, "queries": queries}).encode())

    def clear(self) -> None:
        """Removes the folder."""
        shutil.rmtree(self.folder, ignore_errors=True)
