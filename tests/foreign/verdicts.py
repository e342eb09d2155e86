"""How checks of foreign clients are named and collected, and which of their calls the embedded org does not offer."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from simple_salesforce.exceptions import SalesforceError


@dataclass(frozen=True, slots=True)
class Verdict:
    """How one check went. ``check`` starts with the client's call; behind a colon it says which use of it."""

    check: str
    ok: bool
    detail: str


def judges(client: str, *checks: str) -> pytest.MarkDecorator:
    """Marks a test that judges these calls of a client; report.py makes its table from the marks."""
    return pytest.mark.judges(client, checks)


def call_of(check: str) -> str:
    """The client's call that a check is about.

    >>> call_of("Query.update: Bulk API 1.0")
    'Query.update'
    """
    return check.partition(": ")[0]


def marked_checks(client: str, module: Mapping[str, Any]) -> list[str]:
    """The checks of a client that the tests of a module are marked with."""
    tests = [one for name, one in module.items() if name.startswith("test_") and callable(one)]
    marks = [mark for test in tests for mark in getattr(test, "pytestmark", []) if mark.name == "judges"]
    return [check for mark in marks if mark.args[0] == client for check in mark.args[1]]


def refusal(caught: pytest.ExceptionInfo[SalesforceError]) -> Any:
    """What simple-salesforce was told; it declares bytes and keeps what it read from them."""
    return caught.value.content


def not_offered(client: str, calls: Iterable[str]) -> dict[str, str]:
    """Those of the calls that the org has nothing for, and why."""
    named = {call: [why for pattern, why in NOT_OFFERED[client] if re.fullmatch(pattern, call)] for call in calls}
    return {call: reasons[0] for call, reasons in named.items() if reasons}


def not_judged(client: str, calls: Iterable[str], checks: Iterable[str]) -> set[str]:
    """Those of the calls that no check is about and that are not named as not offered."""
    left = set(calls) - {call_of(check) for check in checks}
    return left - not_offered(client, left).keys()


_INNER = "Sends nothing of its own; other calls use it."
_UI = "What is on a screen is no data, and the org has no screens."
_APEX = "The org runs no Apex."
_METADATA = "Objects and fields come by `deploy`; the metadata API and changes by the tooling API are not offered."
_ORGS = "Scratch orgs, sandboxes and source tracking are no data."

# For each client, patterns of its calls and why the org has nothing for them.
NOT_OFFERED: dict[str, list[tuple[str, str]]] = {
    "simple-salesforce": [
        (r"Salesforce\.apexecute", _APEX),
        (r"Salesforce\.(mdapi|deploy|checkDeployStatus)", _METADATA),
        (r"SFType\.describe_layout", _UI),
        (r"Salesforce\.set_password", "The password of the org's user is fixed, as tests print it beforehand."),
        (r"\w+\.(parse_\w+|worker|filter_null_bytes)", _INNER),
    ],
    "jsforce": [
        (r"(Connection|SObject)\.quickActions?|SObject\.listview", _UI),
        (r"Connection\.apex|Tooling\.(executeAnonymous|runTests\w+|completions)", _APEX),
        (r"Connection\.(metadata|soap)", _METADATA),
        (r"Tooling\.(create|insert|retrieve|update|upsert|destroy|delete|del)", _METADATA),
        (r"Connection\.(analytics|chatter)", "Reports, dashboards and feeds are not offered."),
        (r"Connection\.streaming", "Long-polling by Bayeux is not offered; `updated` and `deleted` tell what changed."),
        (r"OAuth2\.getAuthorizationUrl", "The org has no login page; the grants without a browser are offered."),
        (r"Connection\.(bulk2?|tooling|isLightningInstance)", _INNER),
        (r"Query\.(locatorToUrl|urlToLocator|constructResponse|mapBulkV2ResultsToSaveResults)", _INNER),
        (r"\w+JobV2\.create\w+Request", _INNER),
    ],
    "sf": [
        (r"api request graphql", "GraphQL is not offered."),
        (r"org login sfdx-url", "It always goes to https; the embedded org speaks plain http."),
        (r"org auth show-sfdx-auth-url", "An access token has no such URL; the command asks nothing of the org."),
        (r"org auth show-user-password", "The command asks nothing of the org."),
        (r"org login web|org open agent", "The org has no login page and no screens."),
        (
            r"org (list|create|delete|resume|refresh|get|disable|enable) (scratch|sandbox|shape|snapshot|tracking)",
            _ORGS,
        ),
        (
            r"org (create user|create agent-user|generate password|assign \w+)",
            "The org has one user, who may everything.",
        ),
        (r"org list metadata(-types)?", _METADATA),
    ],
}
