"""UserClock: the user's today, time zone and fiscal year, against which date literals are read (rest.md 13.2)."""

from __future__ import annotations

import datetime as dt
import zoneinfo
from dataclasses import dataclass

from sfframe.localorg.services.date_literals import days_of
from sfframe.localorg.store.store import Store


@dataclass(frozen=True, slots=True)
class UserClock:
    """``fiscal_start`` is the first month of the fiscal year, ``zone_name`` an IANA name or GMT."""

    today: dt.date
    zone_name: str = "GMT"
    fiscal_start: int = 1

    @classmethod
    def of(cls, store: Store) -> UserClock:
        """The clock of the org's user at this moment."""
        settings = store.settings
        now = store.now().replace(tzinfo=dt.UTC).astimezone(_zone(settings.time_zone))
        return cls(now.date(), settings.time_zone, settings.fiscal_year_start_month)

    @property
    def is_utc(self) -> bool:
        """Whether the user's clock shows UTC."""
        return self.zone_name in {"GMT", "UTC"}

    def days_sql(self, name: str, n: int | None, field_type: str) -> tuple[str, str]:
        """The SQL of a literal's first moment and of the one after its last; OverflowError as ``days_of`` has it."""
        first, end = days_of(name, n, self.today, self.fiscal_start)
        return self._start_sql(first, field_type), self._start_sql(end, field_type)

    def _start_sql(self, day: dt.date, field_type: str) -> str:
        if field_type == "date" or self.is_utc:
            return f"DATE '{day.isoformat()}'"
        midnight = dt.datetime.combine(day, dt.time(), _zone(self.zone_name)).astimezone(dt.UTC)
        return f"TIMESTAMP '{midnight.replace(tzinfo=None).isoformat(sep=' ')}'"

    def local_sql(self, sql: str) -> str:
        """A datetime column as the user's clock shows it."""
        return sql if self.is_utc else f"timezone('{self.zone_name}', timezone('UTC', {sql}))"


def _zone(name: str) -> dt.tzinfo:
    return dt.UTC if name in {"GMT", "UTC"} else zoneinfo.ZoneInfo(name)
