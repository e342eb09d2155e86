"""What all tests share: a state folder of their own, the reference folder, an embedded org, the command line."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

import sfframe as sf

# No test is timed: the machine may be busy with other work. Fixtures of one function serve all of its examples.
NOT_CHECKED = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
settings.register_profile("untimed", deadline=None, suppress_health_check=NOT_CHECKED)
settings.load_profile("untimed")

if TYPE_CHECKING:
    from tests.clocked_org import ClockedOrg

ROOT = Path(__file__).parent.parent
REFERENCE = Path(os.environ.get("SFFRAME_REFERENCE", ROOT.parent / "shared"))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What tests measured: each ``record_property("told", text)``, from the workers too."""
    for report in terminalreporter.getreports("passed"):
        for name, text in report.user_properties:
            if name == "told" and report.when == "call":
                terminalreporter.write_line(f"{report.nodeid}: {text}")


@pytest.fixture(autouse=True, scope="session")
def _own_state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Ledger and spool in a folder of the test run; no progress; no org named by the environment."""
    kept = dict(os.environ)
    for name in [name for name in os.environ if name.startswith(("SF_", "SALESFORCE_", "SFFRAME_"))]:
        if name != "SFFRAME_REFERENCE":
            del os.environ[name]
    os.environ["SFFRAME_HOME"] = str(tmp_path_factory.mktemp("state"))
    os.environ["SFFRAME_PROGRESS"] = "0"
    yield
    os.environ.clear()
    os.environ.update(kept)


@pytest.fixture
def local_org() -> Iterator[sf.LocalOrg]:
    """An embedded org of the test's own, in memory."""
    with sf.LocalOrg() as local:
        yield local


@pytest.fixture
def org(local_org: sf.LocalOrg) -> Iterator[sf.Org]:
    """A connection to that org."""
    with sf.connect(local_org) as connection:
        yield connection


@pytest.fixture(scope="module")
def shared_org() -> Iterator[ClockedOrg]:
    """An org with a clock that can be set, for all tests of a module."""
    from tests.clocked_org import ClockedOrg

    made = ClockedOrg()
    made.deploy({"name": "Account", "fields": [{"name": "Twice__c", "type": "double", "calculated": True}]})
    yield made
    made.close()


@pytest.fixture
def clocked(shared_org: ClockedOrg) -> ClockedOrg:
    """That org as it was at its beginning."""
    shared_org.reset()
    return shared_org


@pytest.fixture(scope="session")
def reference() -> Callable[[str], Path]:
    """A folder or file of the reference data; the test is skipped where it is absent."""

    def find(name: str) -> Path:
        path = REFERENCE / name
        if not path.exists():
            pytest.skip(f"the reference data are not here: SFFRAME_REFERENCE has no {name}")
        return path

    return find


@pytest.fixture
def command(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs ``sfframe`` as a process of its own, in the test's folder."""

    def run(*words: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "sfframe.cli", *map(str, words)],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    return run
