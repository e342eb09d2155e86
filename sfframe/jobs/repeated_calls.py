"""What a collections call did that was sent more than once, told as one answer.

The last answer alone can be wrong: rows that the first sending saved come back as duplicates, as "not created" or as
deleted already. The records themselves say who is right: they carry the key that was sent, who created and changed
them, and when. These are pure decisions over at most 200 rows; ``jobs.collections`` asks and waits.

What this cannot tell apart: a record that the same user created or changed with the same key from elsewhere, between
the promise of the first sending and the last answer. Such a row counts as created by this load.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from sfframe.errors import advice_for
from sfframe.facts import Operation
from sfframe.protocol.composite import Key, Stamp, Stamps

Row = Mapping[str, Any] | None  # the answer for one row; None where it cannot be known

# Records keep whole seconds (rest.md 5), the Date header too; and an org has more than one clock.
TOLERANCE = timedelta(seconds=2)

_ID_CHARACTERS = 15  # the others only repeat their case (rest.md 10)
# With the permission to set them, a load can write what would be the evidence.
_AUDIT_FIELDS = frozenset({"createddate", "createdbyid", "lastmodifieddate", "lastmodifiedbyid"})
_DELETED = "ENTITY_IS_DELETED"


@dataclass(frozen=True, slots=True)
class SentRows:
    """What the body says of its rows: their keys, None where a row has none, and whether they set audit fields."""

    keys: tuple[Key | None, ...]
    audited: bool

    @property
    def all_keyed(self) -> bool:
        """True where every row has a key."""
        return None not in self.keys

    @property
    def told_apart(self) -> bool:
        """True where every row has a key that no other row of the call has, not even in another case."""
        return self.all_keyed and len({_loose(key) for key in self.keys if key is not None}) == len(self.keys)


@dataclass(frozen=True, slots=True)
class Evidence:
    """Records of the org by the keys that were sent. From ``since`` on, by the org's clock, ``username`` (empty:
    anybody) creates and changes in this call.
    """

    records: Mapping[Key, Stamp]
    since: datetime
    username: str

    def created(self, key: Key | None) -> Stamp | None:
        """The record of that key, where this call created it."""
        found = self.records.get(key) if key is not None else None
        return found if found and self._ours(found.created, found.created_by) else None

    def touched(self, key: Key | None) -> bool:
        """True where this call, or a trigger in it, has changed the record of that key."""
        found = self.records.get(key) if key is not None else None
        return found is not None and self._ours(found.modified, found.modified_by)

    def _ours(self, when: datetime, who: str) -> bool:
        return when >= self.since and (not self.username or who.casefold() == self.username.casefold())


@dataclass(frozen=True, slots=True)
class Settled:
    """One answer for each row; ``again`` is True where asking once more may tell what is not known yet."""

    rows: tuple[Row, ...]
    again: bool

    @property
    def unknown(self) -> int:
        """How many rows have no answer."""
        return sum(row is None for row in self.rows)

    @property
    def unsure(self) -> int:
        """How many rows are saved, and nobody can tell whether they were created or updated."""
        return sum(row is not None and row.get("created", False) is None for row in self.rows)


def sent_rows(operation: Operation, body: bytes, key: str | None) -> SentRows:
    """Reads the keys back from the body of a call. ``key`` is the field that tells the rows apart."""
    if operation in ("delete", "hardDelete"):
        return SentRows(tuple(body.decode().split(",")), audited=False)
    records = json.loads(body, parse_int=Decimal, parse_float=Decimal)["records"]
    plain = [{name.casefold(): value for name, value in record.items()} for record in records]
    found = [record.get(key.casefold()) if key else None for record in plain]
    return SentRows(
        tuple(value if isinstance(value, str | Decimal) else None for value in found),
        any(not _AUDIT_FIELDS.isdisjoint(record) for record in plain),
    )


def doubted(operation: Operation, rows: Sequence[Row], keys: Sequence[Key | None]) -> list[Key]:
    """The keys of the rows whose last answer may hide what an earlier sending did; a delete tells by itself."""
    if operation in ("delete", "hardDelete"):
        return []
    return [
        key
        for row, key in zip(rows, keys, strict=True)
        if key is not None and row is not None and (not row.get("success") or row.get("created") is False)
    ]


def evidence_from(
    answers: Sequence[Stamps],
    keys: Sequence[Key | None],
    *,
    by_id: bool,
    promised: datetime,
    now: datetime,
    username: str,
) -> Evidence:
    """Finds each key's record. ``promised`` and ``now``, at the answers, are of this machine's clock; the org's own
    time in the answers says by how much the two clocks differ.

    Keys are compared as they are; a record that is nobody's so is found without case and blanks, as the org may have
    changed them on the way (rest.md 11).
    """
    stamps = [stamp for answer in answers for stamp in answer.records]
    clocks = [answer.now for answer in answers if answer.now is not None]
    ahead = clocks[-1] - now if clocks else timedelta()
    exact = {_plain(stamp.id if by_id else stamp.key, by_id=by_id): stamp for stamp in stamps}
    asked = {_plain(key, by_id=by_id): key for key in keys if key is not None}
    claims = Counter(map(_loose, asked))
    loose = {_loose(plain): stamp for plain, stamp in exact.items() if plain not in asked}
    loose = {plain: stamp for plain, stamp in loose.items() if claims[plain] == 1}
    found = {key: exact.get(plain) or loose.get(_loose(plain)) for plain, key in asked.items()}
    records = {key: stamp for key, stamp in found.items() if stamp is not None}
    return Evidence(records, promised + ahead - TOLERANCE, username)


def settle(
    operation: Operation,
    rows: Sequence[Row],
    keys: Sequence[Key | None],
    evidence: Evidence | None,
    *,
    all_or_none: bool = False,
) -> Settled:
    """What all sendings of a call did, from its last answer and the records.

    * An insert: a failed row whose record this call created is created.
    * An upsert: a row that was "not created" or failed, but whose record this call created, is created.
    * Update and upsert: a failed row whose record was changed since may have been changed by an earlier sending, or by
      a trigger of another row: unknown.
    * A delete: what is deleted already was deleted by an earlier sending. A call that takes all or none has deleted
      all in it or nothing.
    * Without evidence a failed row is unknown, and ``created`` of an upsert that says false is null.
    * All: a row that failed because another transaction held something may have been held by an earlier sending that
      still runs: unknown, and worth asking again.
    """
    if operation in ("delete", "hardDelete"):
        return _deleted(rows, keys, all_or_none=all_or_none)
    told = [_told(operation, row, key, evidence) for row, key in zip(rows, keys, strict=True)]
    again = any(_held(row) and answer is None for row, answer in zip(rows, told, strict=True))
    return Settled(tuple(told), again)


def _told(operation: Operation, row: Row, key: Key | None, evidence: Evidence | None) -> Row:
    if row is None:
        return None
    failed = not row.get("success")
    if evidence is None:
        return None if failed else {**row, "created": None} if row.get("created") is False else row
    created = evidence.created(key) if operation in ("insert", "upsert") else None
    if created is not None and (failed or row.get("created") is False):
        saved: dict[str, Any] = {"id": created.id, "success": True, "errors": []}
        return saved | {"created": True} if operation == "upsert" else saved
    if failed and (_held(row) or (operation in ("update", "upsert") and evidence.touched(key))):
        return None
    return row


def _deleted(rows: Sequence[Row], keys: Sequence[Key | None], *, all_or_none: bool) -> Settled:
    gone = [_code(row) == _DELETED for row in rows]
    if all_or_none and not all(gone):
        gone = [False] * len(rows)
    told: list[Row] = [
        {"id": str(key), "success": True, "errors": []} if was else None if _held(row) else row
        for row, key, was in zip(rows, keys, gone, strict=True)
    ]
    return Settled(tuple(told), any(_held(row) for row in rows))


def _held(row: Row) -> bool:
    """True for a failure that another transaction causes while it runs."""
    code = _code(row)
    if code == "DUPLICATE_VALUE":  # the other record has no id yet (rest.md 12)
        return "<unknown>" in str(row["errors"][0].get("message")) if row else False
    return bool(code) and advice_for(code).again


def _code(row: Row) -> str:
    errors = row.get("errors") if row is not None and not row.get("success") else None
    first = errors[0] if isinstance(errors, list) and errors and isinstance(errors[0], dict) else {}
    return str(first.get("statusCode") or "")


def _plain(key: Key, *, by_id: bool) -> Key:
    return key[:_ID_CHARACTERS] if by_id and isinstance(key, str) else key


def _loose(key: Key) -> Key:
    return key.strip().casefold() if isinstance(key, str) else key
