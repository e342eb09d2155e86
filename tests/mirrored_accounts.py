"""Accounts whose ids are known beforehand, for ``LocalOrg.mirror``."""

from __future__ import annotations

import polars as pl

from sfframe.ids import to18


def mirrored_accounts(rows: int) -> pl.DataFrame:
    """So many accounts in the order of their ids; their names hold quotes, line ends and other alphabets."""
    return pl.DataFrame(
        {
            "Id": [to18(f"001AB{number:010d}") for number in range(rows)],
            "Name": [f'Zoë "{number}"\nand, others' for number in range(rows)],
            "NumberOfEmployees": range(rows),
        }
    )
