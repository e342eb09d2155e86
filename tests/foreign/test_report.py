"""docs/foreign-clients.md was written from the checks that stand here."""

from __future__ import annotations

import re
from typing import Any

from tests.foreign import (
    report,
    test_sf_cli,
    test_simple_salesforce,
    test_simple_salesforce_bulk,
    test_simple_salesforce_records,
)
from tests.foreign.conftest import NODE_SCRIPTS
from tests.foreign.verdicts import call_of, marked_checks

PYTHON: list[dict[str, Any]] = [
    vars(module)
    for module in (test_simple_salesforce, test_simple_salesforce_bulk, test_simple_salesforce_records, test_sf_cli)
]


def test_the_document_names_the_pinned_versions_and_every_call_that_is_checked() -> None:
    document = report.DOCUMENT.read_text("utf-8")
    for version in (report.versions()["jsforce"], report.versions()["sf"]):
        assert f"Version {version}." in document
    scripts = "".join(script.read_text("utf-8") for script in NODE_SCRIPTS.glob("*.mjs"))
    named = re.findall(r"await check\(\"([^\"]+)\"", scripts)
    marked = [
        check for module in PYTHON for client in ("simple-salesforce", "sf") for check in marked_checks(client, module)
    ]
    calls = {call_of(check) for check in [*named, *marked]}
    assert len(calls) > 150
    assert {call for call in calls if f"| `{call}` |" not in document} == set()


def test_the_document_tells_of_no_failure() -> None:
    document = report.DOCUMENT.read_text("utf-8")
    assert "**no**" not in document
    assert all(passed == all_of_them for passed, all_of_them in re.findall(r"(\d+) of (\d+) checks pass", document))
