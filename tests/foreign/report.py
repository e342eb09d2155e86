"""Asks the foreign clients and writes what passes to docs/foreign-clients.md: ``python -m tests.foreign.report``."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from tests.foreign.conftest import NODE_SCRIPTS
from tests.foreign.verdicts import call_of

HERE = Path(__file__).parent
DOCUMENT = HERE.parent.parent / "docs" / "foreign-clients.md"
TITLES = {"simple-salesforce": "simple-salesforce", "jsforce": "jsforce", "sf": "the sf CLI"}

_HEAD = """\
# What foreign clients say of the embedded org

Clients that nobody here wrote are run against `sfframe org serve`; each check compares what the client hands to its
caller with what was asked for. This file is written by `python -m tests.foreign.report`; the checks are in
`tests/foreign`. Every public call of each client is in one of the tables: a test fails for one that is in none.
"""


@dataclass(slots=True)
class Answers:
    """What the tests say, collected while pytest runs them."""

    marks: dict[str, tuple[str, tuple[str, ...]]] = field(default_factory=dict)
    checks: dict[str, dict[str, bool]] = field(default_factory=lambda: {client: {} for client in TITLES})
    not_offered: dict[str, dict[str, str]] = field(default_factory=lambda: {client: {} for client in TITLES})
    missing: list[str] = field(default_factory=list)

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Which calls each test judges."""
        for item in items:
            mark = item.get_closest_marker("judges")
            if mark is not None:
                self.marks[item.nodeid] = (mark.args[0], mark.args[1])

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """How a test went."""
        if report.skipped or (report.failed and report.when != "call"):
            self.missing.append(report.nodeid)
        if report.when != "call":
            return
        client, checks = self.marks.get(report.nodeid, ("", ()))
        for check in checks:
            self.checks[client][check] = report.passed
        told: list[tuple[str, Any]] = report.user_properties
        for name, value in told:
            if name == "not offered":
                client, reasons = value
                self.not_offered[client] = reasons
            elif name == "jsforce":
                self.checks["jsforce"] |= {one["check"]: one["ok"] for one in value}


def versions() -> dict[str, str]:
    """The version of each client."""
    pinned = json.loads((NODE_SCRIPTS / "package.json").read_text())["dependencies"]
    return {
        "simple-salesforce": f"{metadata.version('simple-salesforce')} (PyPI)",
        "jsforce": f"{pinned['jsforce']} (npm)",
        "sf": f"@salesforce/cli {pinned['@salesforce/cli']} (npm)",
    }


def table(header: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """A table in Markdown."""
    lines = [header, ("---",) * len(header), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', '&#124;') for cell in line)} |" for line in lines) + "\n"


def section(client: str, version: str, answers: Answers) -> str:
    """Everything about one client."""
    checks = answers.checks[client]
    uses: dict[str, list[str]] = {}
    for check in checks:
        uses.setdefault(call_of(check), []).append(check)
    judged = [
        (
            f"`{call}`",
            "; ".join(use.partition(": ")[2] for use in found if ": " in use),
            "yes" if all(checks[use] for use in found) else "**no**",
        )
        for call, found in uses.items()
    ]
    by_reason: dict[str, list[str]] = {}
    for call, reason in sorted(answers.not_offered[client].items()):
        by_reason.setdefault(reason, []).append(f"`{call}`")
    left = [(", ".join(calls), reason) for reason, calls in by_reason.items()]
    counted = f"{sum(checks.values())} of {len(checks)} checks pass."
    return (
        f"## {TITLES[client]}\n\nVersion {version}. {counted}\n\n"
        f"{table(('call', 'uses checked', 'passes'), judged)}\n"
        f"Not offered or not a call of its own:\n\n{table(('call', 'why'), left)}"
    )


def main() -> int:
    """Run the tests and write the document; 1 where some did not pass, 2 where some could not be asked."""
    answers = Answers()
    modules = sorted(
        map(str, [*HERE.glob("test_simple_salesforce*.py"), HERE / "test_jsforce.py", HERE / "test_sf_cli.py"])
    )
    code = pytest.main(["-n0", "-m", "slow", "-p", "no:randomly", *modules], plugins=[answers])
    if answers.missing:
        print("Not written, as these could not be asked:", *answers.missing, sep="\n  ", file=sys.stderr)
        return 2
    parts = [section(client, version, answers) for client, version in versions().items()]
    DOCUMENT.write_text("\n".join([_HEAD, *parts]), encoding="utf-8")
    return int(code != 0)


if __name__ == "__main__":
    sys.exit(main())
