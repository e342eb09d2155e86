"""jsforce 3 (npm) is content with the embedded org: one script of node/ for each area of its API."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from tests.foreign.conftest import NODE_SCRIPTS, NodeClients, one_at_a_time
from tests.foreign.verdicts import Verdict, not_judged, not_offered

pytestmark = pytest.mark.slow

AREAS = ("login", "describe", "query", "records", "bulk1", "bulk2")


def _run(clients: NodeClients, script: str, org: dict[str, str]) -> list[str]:
    done = subprocess.run(
        [clients.node, NODE_SCRIPTS / script],
        env=os.environ | {"ORG": json.dumps(org), "CLIENTS": str(clients.folder)},
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    lines = done.stdout.splitlines()
    assert done.returncode == 0, f"{script} broke off behind {lines[-1:]}: {done.stderr[-2000:]}"
    return lines


@pytest.fixture(scope="session")
def verdicts(served: dict[str, str], node_clients: NodeClients, shared_folder: Path) -> Callable[[str], list[Verdict]]:
    """How the checks of an area went; its script runs once in a test run, whoever asks first."""

    def ask(area: str) -> list[Verdict]:
        file = shared_folder / f"jsforce-{area}.json"
        with one_at_a_time(shared_folder / f"jsforce-{area}.lock"):
            if not file.exists():
                file.write_text(json.dumps([json.loads(line) for line in _run(node_clients, f"{area}.mjs", served)]))
        return [Verdict(**one) for one in json.loads(file.read_text())]

    return ask


@pytest.mark.parametrize("area", AREAS)
def test_every_check_of_the_area_passes(
    area: str, verdicts: Callable[[str], list[Verdict]], record_property: Callable[[str, Any], None]
) -> None:
    found = verdicts(area)
    record_property("jsforce", [asdict(one) for one in found])
    assert len({one.check for one in found}) == len(found) > 10
    failed = [f"{one.check}: {one.detail}" for one in found if not one.ok]
    assert not failed, "\n".join(failed)


def test_every_call_of_jsforce_is_judged_or_named_as_not_offered(
    node_clients: NodeClients,
    verdicts: Callable[[str], list[Verdict]],
    record_property: Callable[[str, Any], None],
) -> None:
    calls = _run(node_clients, "methods.mjs", {})
    checks = [one.check for area in AREAS for one in verdicts(area)]
    record_property("not offered", ("jsforce", not_offered("jsforce", calls)))
    assert not_judged("jsforce", calls, checks) == set()
