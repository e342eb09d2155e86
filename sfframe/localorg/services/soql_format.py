"""FORMAT(): numbers, dates and times as text in the locale en_US (rest.md 13.5)."""

from __future__ import annotations

from sfframe.localorg.services.soql_names import Column
from sfframe.localorg.services.user_clock import UserClock


def formatted_sql(column: Column, clock: UserClock) -> str | None:
    """The SQL of the column's value as en_US writes it; None for types that are shown as they are.

    The forms are those of the platform's ICU locale; no recording has them, so they are guesses.
    """
    sql, field = column.sql, column.field
    match field.type:
        case "int" | "long":
            return f"format('{{:,}}', {sql})"
        case "double":
            return _grouped(f"{sql}", field.scale)
        case "percent":
            return f"{_grouped(sql, field.scale)} || '%'"
        case "currency":
            return f"CASE WHEN {sql} < 0 THEN '-' ELSE '' END || '$' || {_grouped(f'abs({sql})', 2)}"
        case "date":
            return f"strftime({sql}, '%-m/%-d/%Y')"
        case "datetime":
            return f"strftime({clock.local_sql(sql)}, '%-m/%-d/%Y, %-I:%M %p')"
        case "time":
            return f"strftime(DATE '2000-01-01' + {sql}, '%-I:%M %p')"
        case _:
            return None


def _grouped(sql: str, scale: int) -> str:
    return f"format('{{:,.{scale}f}}', CAST({sql} AS DOUBLE))"
