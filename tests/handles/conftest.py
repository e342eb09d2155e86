"""What the tests of handles share: an org with widgets, and one whose jobs wait."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import sfframe as sf
from sfframe.localorg import Settings
from tests.localorg.ingest_org import DEPLOYED


@pytest.fixture
def local_org() -> Iterator[sf.LocalOrg]:
    """An org with widgets."""
    with sf.LocalOrg() as local:
        local.deploy(DEPLOYED)
        yield local


@pytest.fixture
def holding() -> Iterator[tuple[sf.LocalOrg, sf.Org]]:
    """An org whose jobs wait until they are released."""
    with sf.LocalOrg(settings=Settings(hold_jobs=True)) as local, sf.connect(local) as org:
        local.deploy(DEPLOYED)
        yield local, org
