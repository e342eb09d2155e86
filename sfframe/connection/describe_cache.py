"""Describes on disk, so that another process need not fetch what has not changed."""

from __future__ import annotations

import gzip
import json
import os
import re
import secrets
from dataclasses import dataclass
from pathlib import Path

from sfframe.protocol.describe import Kept

_FORM = 1  # of the files; another one counts as absent
_SAFE = re.compile(r"[a-z0-9_]+")
_SPEED = 1  # of gzip: 480 KB of JSON become 30 KB in 4 ms


@dataclass(frozen=True, slots=True)
class DescribeCache:
    """Files below ``folder``: one for each org, user, API version and object, as what one user sees is not another's.

    Only their owner may read them. A file that cannot be read or written is as good as none: the org is asked.
    """

    folder: Path

    def get(self, owner: str, version: str, sobject: str) -> Kept | None:
        """What was kept, or None."""
        path = self._path(owner, version, sobject)
        if path is None:
            return None
        try:
            head, _, body = gzip.decompress(path.read_bytes()).partition(b"\n")
            facts = json.loads(head)
            if facts["form"] != _FORM:
                return None
            return Kept(body, str(facts["etag"]), str(facts["last_modified"]))
        except (OSError, ValueError, KeyError, TypeError, EOFError):
            return None

    def put(self, owner: str, version: str, sobject: str, kept: Kept) -> None:
        """Keeps an answer, unless there is nothing by which it could be checked."""
        path = self._path(owner, version, sobject)
        if path is None or not (kept.etag or kept.last_modified):
            return
        head = {"form": _FORM, "etag": kept.etag, "last_modified": kept.last_modified}
        data = gzip.compress(json.dumps(head).encode() + b"\n" + kept.body, _SPEED)
        new = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(data)
            new.replace(path)
        except OSError:
            new.unlink(missing_ok=True)

    def _path(self, owner: str, version: str, sobject: str) -> Path | None:
        name = sobject.casefold()
        if not owner or _SAFE.fullmatch(name) is None:
            return None
        return self.folder / owner / f"v{version}" / f"{name}.json.gz"
