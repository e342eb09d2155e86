"""Which records changed and which were deleted in a span of time: getUpdated and getDeleted (rest.md 7)."""

from __future__ import annotations

import datetime as dt
from typing import Any

from sfframe.localorg.catalogue.model import ObjectDef
from sfframe.localorg.services.errors import ServiceError
from sfframe.localorg.services.problems import literal
from sfframe.localorg.store.store import DELETE_LOG, Store

_LONGEST = dt.timedelta(days=30)
_KEPT = dt.timedelta(days=15)  # deleted rows leave the recycle bin then
_MINUTE = dt.timedelta(minutes=1)
_MOST_IDS = 600_000


class Replication:
    """Answers both resources; ``start`` and ``end`` are ISO datetimes, whose seconds do not count.

    What happened at either end counts in (from memory: the guide calls the span inclusive).
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def updated(self, obj: ObjectDef, start: str | None, end: str | None) -> dict[str, Any]:
        """The ids of live records that were made or changed."""
        rows, covered = self._touched(obj, start, end, self._store.now(), deleted=False)
        return {"ids": [row[0] for row in rows], "latestDateCovered": _text(covered)}

    def deleted(self, obj: ObjectDef, start: str | None, end: str | None) -> dict[str, Any]:
        """The records in the recycle bin, and those that were deleted for good: the service keeps a log of both."""
        now = self._store.now()
        rows, covered = self._touched(obj, start, end, now, deleted=True)
        return {
            "deletedRecords": [{"id": row[0], "deletedDate": _text(row[1])} for row in rows],
            "earliestDateAvailable": _text(now.replace(second=0) - _KEPT),  # a guess
            "latestDateCovered": _text(covered),
        }

    def _touched(
        self, obj: ObjectDef, start: str | None, end: str | None, now: dt.datetime, *, deleted: bool
    ) -> tuple[list[Any], dt.datetime]:
        since, until = _moment("start", start), _moment("end", end)
        # The code is the platform's, the words are from memory.
        if since < now - _LONGEST:
            raise ServiceError(400, "INVALID_REPLICATION_DATE", "startDate cannot be more than 30 days ago")
        if until - since < _MINUTE:
            words = "endDate must be at least one minute greater than startDate"
            raise ServiceError(400, "INVALID_REPLICATION_DATE", words)
        if obj.field("SystemModstamp") is None:
            raise ServiceError(400, "INVALID_TYPE", f"object type '{obj.name}' is not replicable")
        gone = '"IsDeleted"' if obj.field("IsDeleted") else "false"
        touched = (
            f'SELECT "Id" AS id, "SystemModstamp" AS moment FROM {self._store.table(obj)} '
            f"WHERE {gone} IS NOT DISTINCT FROM {deleted}"
        )
        if deleted:
            touched += f" UNION ALL SELECT id, moment FROM {DELETE_LOG} WHERE object = {literal(obj.name)}"
        with self._store.cursor() as cursor:
            rows = cursor.execute(
                f"SELECT id, moment FROM ({touched}) WHERE moment >= $1 AND moment <= $2 "
                f"ORDER BY moment, id LIMIT {_MOST_IDS + 1}",
                [since, until],
            ).fetchall()
        if len(rows) > _MOST_IDS:
            raise ServiceError(400, "EXCEEDED_ID_LIMIT", f"Too many records: more than {_MOST_IDS} ids")
        return rows, min(until, now.replace(second=0))


def _moment(name: str, text: str | None) -> dt.datetime:
    try:
        # A plus sign that was not encoded has become a blank.
        moment = dt.datetime.fromisoformat((text or "").replace(" ", "+"))
    except ValueError as error:
        words = f"Invalid {name} date: {text}" if text else f"{name} is a required parameter"
        raise ServiceError(400, "MISSING_ARGUMENT" if not text else "INVALID_FIELD", words) from error
    if moment.tzinfo is not None:
        moment = moment.astimezone(dt.UTC).replace(tzinfo=None)
    return moment.replace(second=0, microsecond=0)


def _text(moment: dt.datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03}+0000"
