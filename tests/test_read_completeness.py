"""A read gives all rows or raises: the fault plan of an embedded org strikes each of its calls in turn."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import count

import polars as pl
import pytest

import sfframe as sf
from sfframe.backoff import Backoff
from sfframe.connection.login import ClientCredentials
from sfframe.connection.org import Org
from sfframe.connection.transport import Transport
from sfframe.errors import SfframeError
from sfframe.ids import to18
from sfframe.jobs.pacing import Pacing
from sfframe.localorg import Fault
from sfframe.localorg.store.settings import Settings
from sfframe.read_options import Api

ROWS = 1_100
QUERY = "SELECT Id, Name, NumberOfEmployees FROM Account ORDER BY Id"
HASTE = Pacing(first=0.01, longest=0.05)
WANTED = pl.DataFrame(
    {
        "Id": [to18(f"001AB{number:010d}") for number in range(ROWS)],
        "Name": [f'Zoë "{number}"\nand, others' for number in range(ROWS)],
        "NumberOfEmployees": range(ROWS),
    }
)


@pytest.fixture(scope="module")
def local() -> Iterator[sf.LocalOrg]:
    with sf.LocalOrg(settings=Settings(bulk_page_rows=250, query_page_rows=300, result_file_rows=250)) as org:
        org.mirror("Account", WANTED)
        yield org


@pytest.fixture
def org(local: sf.LocalOrg) -> Iterator[Org]:
    """A connection that logs in by itself and repeats without waiting."""
    local.faults.clear()
    given = local.credentials
    transport = Transport(backoff=Backoff(first=0.0), direct=True)
    with Org(local.url, ClientCredentials(given.client_id, given.client_secret), transport=transport) as made:
        assert made.describe("Account").name == "Account"
        yield made
    local.faults.clear()


def read(org: Org, api: Api) -> pl.DataFrame:
    options = sf.ReadOptions(api=api, pacing=HASTE, progress=False)
    if api == "bulk1":  # in chunks, which a query with ORDER BY never is
        options = replace(options, pk_chunking=400)
        return sf.read_soql(QUERY.removesuffix(" ORDER BY Id"), org=org, options=options)
    return sf.read_soql(QUERY, org=org, options=options)


def after_fault(local: sf.LocalOrg, org: Org, api: Api, fault: Fault) -> list[pl.DataFrame | SfframeError]:
    """What becomes of the read when the fault strikes its first call, its second, and so on to its last."""
    found: list[pl.DataFrame | SfframeError] = []
    for number in count(1):
        local.faults.clear()
        local.faults.add(replace(fault, nth=number))
        try:
            found.append(read(org, api))
        except SfframeError as problem:
            found.append(problem)
        if not local.faults.struck[0][1]:
            return found[:-1]
    raise AssertionError


# What a read gets over by itself, wherever it strikes.
PASSING = [
    Fault("truncate", bytes=0),
    Fault("truncate", bytes=40),
    Fault("truncate", bytes=6_000),
    Fault("reset_before"),
    Fault("reset_after"),
    Fault("answer", status=503),
    Fault("answer", status=500, html=True),
    Fault("answer", status=401),
    Fault("expire_session"),
    Fault("locator_lost"),
]


# Bulk API 1.0 has no locators, and tells an expired session by 400 (bulk1.md 1).
NOT_OF_BULK1 = [Fault("answer", status=401), Fault("locator_lost")]


@pytest.mark.parametrize(
    ("api", "fault"),
    [(api, one) for api in ("rest", "bulk2", "bulk1") for one in PASSING if api != "bulk1" or one not in NOT_OF_BULK1],
    ids=lambda one: f"{one.kind}-{one.bytes or one.status}" if isinstance(one, Fault) else one,
)
def test_a_fault_at_any_call_of_a_read_costs_no_row(local, org, api, fault):
    found = after_fault(local, org, api, fault)
    assert len(found) >= 3
    assert [one for one in found if isinstance(one, SfframeError)] == []
    assert all(WANTED.equals(one) for one in found if isinstance(one, pl.DataFrame))


# An answer that is no error but not the org's either, as gateways give it, and one that no repeating brings back.
LASTING = [Fault("answer", status=200), Fault("answer", status=200, html=True), Fault("results_expired")]


@pytest.mark.parametrize("api", ["rest", "bulk2", "bulk1"])
@pytest.mark.parametrize("fault", LASTING, ids=lambda fault: f"{fault.kind}-{fault.html}")
def test_a_read_that_cannot_be_whole_raises(local, org, api, fault):
    found = after_fault(local, org, api, fault)
    for one in found:
        assert isinstance(one, SfframeError) or WANTED.equals(one)
    struck = [one for one in found if isinstance(one, SfframeError)]
    assert struck or not found


@pytest.mark.parametrize("api", ["rest", "bulk2", "bulk1"])
@pytest.mark.parametrize("share", [0.05, 0.1, 0.2])
def test_many_faults_at_once_never_shorten_a_read(local, org, api, share):
    kinds = (Fault("truncate", bytes=300), Fault("reset_after"), Fault("locator_lost"), Fault("expire_session"))
    path = "*/job/*" if api == "bulk1" else "*/query*"
    local.faults.add(*(replace(one, probability=share, path=one.path or path) for one in kinds))
    for _ in range(3):
        try:
            found = read(org, api)
        except SfframeError:
            continue
        assert WANTED.equals(found)
