"""``sfframe org serve``: the embedded org as a server of its own, for any Salesforce client."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from sfframe import orgs


def serve(
    *,
    port: int = 8080,
    path: Path | None = None,
    deploy: Path | None = None,
    records: Path | None = None,
    faults: Path | None = None,
) -> int:
    """Serve an embedded org on this machine until interrupted.

    Prints one line of JSON with its url, username, access_token, password, security_token, client_id, client_secret
    and refresh_token.

    Parameters
    ----------
    port
        The port on 127.0.0.1; 0 takes a free one.
    path
        The DuckDB file that keeps the org; without it the org lives in memory and ends with the command.
    deploy
        A JSON file with a list of objects as describe gives them, added to the standard ones.
    records
        The folder with rows that sfframe org snapshot wrote; they are taken over with their ids.
    faults
        A JSON file with things that shall go wrong: a list of objects with the arguments of sfframe.localorg.Fault.
    """
    with orgs.open_local(path, port=port, deploy=deploy, records=records, faults=faults) as local:
        print(json.dumps(asdict(local.credentials)), flush=True)
        local.wait()
    return 0
