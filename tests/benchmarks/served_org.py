"""The embedded org with the objects of write_rows.py, in a process of its own: prints its URL and a token."""

from __future__ import annotations

import sys

from sfframe.localorg import LocalOrg
from tests.benchmarks.write_rows import FIELDS


def main() -> None:
    """Serve until the process is ended."""
    fields = [one for one in FIELDS if one["name"] not in ("Name", "Account__c")]
    with LocalOrg() as org:
        org.deploy([{"name": "Plain__c", "fields": fields}])
        print(org.url, org.credentials.access_token, flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
