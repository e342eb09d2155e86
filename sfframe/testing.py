"""pytest fixtures with an embedded org for the tests of those who use sfframe, or any other Salesforce client.

Load them in a ``conftest.py`` of the test suite's root folder::

    pytest_plugins = ["sfframe.testing"]

and ask for them by name::

    def test_new_accounts_are_loaded(local_org):
        seed(local_org, {"Account": [{"Name": "Acme"}]})
        run_my_pipeline(local_org.url, local_org.credentials.access_token)
        assert local_org.table("Account").height == 2

``local_org`` is one org per test run whose rows are brought back to where they were after each test, so that tests may
come in any order. To prepare it for a whole suite (deploy objects, seed rows), define a fixture ``local_org_setup``
with scope "session": it answers a function that is called with the new org.

PYTEST_DONT_REWRITE (a ``conftest.py`` may import from here too, before pytest loads this as a plugin)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sfframe.frames import intake
from sfframe.localorg import Fault, LocalOrg, Settings, Snapshot

if TYPE_CHECKING:
    import polars as pl

__all__ = ["Fault", "LocalOrg", "Settings", "local_org", "local_org_setup", "org_with_faults", "request_log", "seed"]

Setup = Callable[[LocalOrg], None]
OrgFactory = Callable[..., LocalOrg]


def seed(org: LocalOrg, frames: Mapping[str, object]) -> dict[str, pl.DataFrame]:
    """Insert frames by object, in the order of the mapping: parents first. Answers them as polars frames with ``Id``.

    Frames are whatever the verbs take: polars, pandas, pyarrow, lists of dicts, paths. Columns are fields or, for
    parents, relationships with an external id (``Parent__r.Ext__c``). No request is made and no declared fault strikes.
    A frame goes in whole or not at all: raises KeyError for an unknown object and ValueError, with the org's words, for
    an unknown column and for refused rows; the frames before it are in the org then.

    >>> from sfframe.testing import LocalOrg, seed
    >>> with LocalOrg() as org:
    ...     accounts = seed(org, {"Account": [{"Name": "Acme"}]})["Account"]
    ...     contacts = seed(org, {"Contact": [{"LastName": "Roe", "AccountId": accounts["Id"][0]}]})["Contact"]
    ...     contacts.columns
    ['LastName', 'AccountId', 'Id']
    """
    import polars as pl

    seeded: dict[str, pl.DataFrame] = {}
    for name, given in frames.items():
        rows = intake.take(given).frame
        seeded[name] = rows.with_columns(pl.Series("Id", org.insert(name, rows), dtype=pl.String))
    return seeded


@pytest.fixture(scope="session")
def local_org_setup() -> Setup | None:
    """What is done to ``local_org`` before the first test; to be overridden."""
    return None


@pytest.fixture(scope="session")
def _shared_org(local_org_setup: Setup | None) -> Iterator[tuple[LocalOrg, Snapshot]]:
    with LocalOrg() as org:
        if local_org_setup is not None:
            local_org_setup(org)
        yield org, org.snapshot()


@pytest.fixture
def local_org(_shared_org: tuple[LocalOrg, Snapshot]) -> Iterator[LocalOrg]:
    """An embedded org, served on 127.0.0.1. Rows, jobs, rules, faults, the clock and the log of requests are the test's
    own.

    Objects and fields that a test deploys stay until the end of the run, empty.
    """
    org, start = _shared_org
    org.clear_request_log()
    yield org
    org.faults.clear()
    org.clock.reset()
    org.restore(start)


@pytest.fixture
def org_with_faults() -> Iterator[OrgFactory]:
    """Makes orgs of the test's own in which the given things go wrong; they are closed when the test ends.

    Called with faults, the path of a plan in JSON, or nothing, and with ``seed`` and ``settings`` as LocalOrg takes
    them::

        def test_a_lost_answer_loads_no_row_twice(org_with_faults):
            org = org_with_faults(Fault("reset_after", method="PATCH", path="*/jobs/ingest/*", nth=1))
    """
    with ExitStack() as opened:

        def make(*faults: Fault | Path | str, seed: int = 0, settings: Settings | None = None) -> LocalOrg:
            org = opened.enter_context(LocalOrg(seed=seed, settings=settings))
            for fault in faults:
                if isinstance(fault, Fault):
                    org.faults.add(fault)
                else:
                    org.faults.load(fault)
            return org

        yield make


@pytest.fixture
def request_log(local_org: LocalOrg) -> Callable[[], pl.DataFrame]:
    """What was asked of ``local_org`` since the test began; see LocalOrg.request_log for the columns."""
    return local_org.request_log
