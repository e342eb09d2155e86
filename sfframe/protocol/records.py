"""Single records: the bodies of files (rest.md 6)."""

from __future__ import annotations

from urllib.parse import quote

from sfframe.errors import UsageError
from sfframe.ids import is_id
from sfframe.protocol.call import Call, read_bytes


def blob(sobject: str, record_id: str, *, field: str) -> Call[bytes]:
    """The bytes of a base64 field, such as VersionData of a ContentVersion."""
    if not is_id(record_id):
        raise UsageError(f"{record_id!r} is not the id of a record.", remedy="Ids have 15 or 18 letters and digits.")
    path = f"sobjects/{quote(sobject, safe='')}/{record_id}/{quote(field, safe='')}"
    return Call("GET", path, read_bytes, repeatable=True)
