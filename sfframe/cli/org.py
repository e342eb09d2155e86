"""``sfframe org serve``: the embedded org as a server of its own, for any Salesforce client."""

from __future__ import annotations

import json
from pathlib import Path

from sfframe import orgs


def serve(*, port: int = 8080, path: Path | None = None, deploy: Path | None = None) -> int:
    """Serve an embedded org on this machine until interrupted.

    Prints one line of JSON with its url, access_token, username, password, client_id and client_secret.

    Parameters
    ----------
    port
        The port on 127.0.0.1; 0 takes a free one.
    path
        The DuckDB file that keeps the org; without it the org lives in memory and ends with the command.
    deploy
        A JSON file with a list of objects as describe gives them, added to the standard ones.
    """
    with orgs.open_local(path, port=port, deploy=deploy) as local:
        secrets = local.credentials
        line = {
            "url": local.url,
            "access_token": secrets.access_token,
            "username": secrets.username,
            "password": secrets.password,
            "client_id": secrets.client_id,
            "client_secret": secrets.client_secret,
        }
        print(json.dumps(line), flush=True)
        local.wait()
    return 0
