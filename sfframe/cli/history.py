"""``sfframe history``: the loads that this user's ledger knows."""

from __future__ import annotations

import sys

from sfframe.runs import history as known_runs


def history(*, last: int = 20) -> int:
    """List the loads of this user, the newest first; those without an outcome can be resumed.

    Parameters
    ----------
    last
        How many to list.
    """
    for run in known_runs().head(last).iter_rows(named=True):
        outcome = run["outcome"] or "not complete: sfframe resume goes on with it"
        sys.stdout.write(
            f"{run['run']}  {run['operation']} {run['sobject']}, {run['rows']:,} rows, {run['org']}: {outcome}\n"
        )
    return 0
