"""Doubles in Java's notation, as the bulk results spell them (bulk2.md 2.13): one at a time and as an SQL macro."""

from __future__ import annotations

import math
from decimal import Decimal

# Between these two bounds Java prints a plain number, outside of them one with an exponent.
PLAIN_FROM, PLAIN_BELOW = 1e-3, 1e7


def java_double(value: float) -> str:
    """``Double.toString`` of the value, with the shortest digits that read back as the same double."""
    if math.isnan(value):
        return "NaN"
    sign = "-" if math.copysign(1.0, value) < 0 else ""
    if math.isinf(value):
        return f"{sign}Infinity"
    if value == 0 or PLAIN_FROM <= abs(value) < PLAIN_BELOW:
        return repr(value)
    digits = Decimal(repr(abs(value))).normalize()
    text = "".join(str(digit) for digit in digits.as_tuple().digits)
    return f"{sign}{text[0]}.{text[1:] or '0'}E{digits.adjusted()}"


# DuckDB finds the same shortest digits. It spells them plainly from 1e-4 up to 1e16 and as 1.5e+300, 1e-05 beyond.
MACROS = r"""
    CREATE OR REPLACE MACRO java_double(x) AS CASE
        WHEN abs(x) >= 1e-3 AND abs(x) < 1e7 OR x = 0 THEN CAST(CAST(x AS DOUBLE) AS VARCHAR)
        WHEN isnan(CAST(x AS DOUBLE)) THEN 'NaN'
        WHEN isinf(CAST(x AS DOUBLE)) THEN CASE WHEN x > 0 THEN 'Infinity' ELSE '-Infinity' END
        WHEN abs(x) >= 1e7 AND abs(x) < 1e16 THEN
            replace(rtrim(regexp_replace(CAST(CAST(x AS DOUBLE) AS VARCHAR), '^(-?\d)(\d+)\.', '\1.\2'), '0') || 'E',
                    '.E', '.0E')
            || (strpos(CAST(CAST(abs(x) AS DOUBLE) AS VARCHAR), '.') - 2)
        WHEN abs(x) >= 1e-4 AND abs(x) < 1e-3 THEN
            replace(regexp_replace(CAST(CAST(x AS DOUBLE) AS VARCHAR), '0\.000(\d)(\d*)', '\1.\2E-4'), '.E', '.0E')
        ELSE regexp_replace(
            regexp_replace(CAST(CAST(x AS DOUBLE) AS VARCHAR), '^(-?\d)e', '\1.0e'), 'e\+?(-?)0*(\d+)$', 'E\1\2')
    END;
"""
