"""The proof of the pushdown: whatever the filter, the rows are those of polars on the whole frame."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

import sfframe as sf
from tests.predicates import LEAF, PARENTS, POOLS, ROOT, ROOTS, leaves, plain_predicates, predicates

Engine = Literal["in-memory", "streaming"]
ENGINES: tuple[Engine, ...] = ("in-memory", "streaming")


@dataclass(frozen=True)
class Filled:
    """An org with the rows of the proof, a scan of them, and the whole frame that it gives."""

    local: sf.LocalOrg
    scan: pl.LazyFrame
    whole: pl.DataFrame

    def check(self, predicate: pl.Expr, seen: Counter[str]) -> None:
        """The filtered scan gives what polars finds in the whole frame, in both engines."""
        expected = self.whole.filter(predicate)
        filtered = self.scan.filter(predicate)
        for engine in ENGINES:
            assert_frame_equal(filtered.collect(engine=engine).sort("Id"), expected)
        narrow = filtered.select("Whole__c", "Root__r.Label__c").collect()
        assert_frame_equal(narrow, expected.select(narrow.columns), check_row_order=False)
        seen[share(filtered)] += 1


def share(filtered: pl.LazyFrame) -> str:
    """How much of the filter the org applies."""
    scans = sf.explain(filtered).scans
    if not scans:  # polars found out by itself that nothing is left
        return "decided without a scan"
    if not scans[0].residuals:
        return "fully"
    return "not" if scans[0].pushed == "true" else "partly"


@pytest.fixture(scope="module")
def filled() -> Iterator[Filled]:
    with sf.LocalOrg() as local, sf.connect(local) as org:
        local.deploy([ROOT, LEAF])
        local.insert("Leaf__c", leaves(7, 300, local.insert("Root__c", ROOTS)))
        scan = sf.scan_sobject("Leaf__c", columns=PARENTS, org=org)
        yield Filled(local, scan, scan.collect().sort("Id"))


def ids_of(filled: Filled) -> list[str]:
    roots = filled.whole["Root__c"].drop_nulls().unique(maintain_order=True).to_list()
    return [*filled.whole["Id"].head(4).to_list(), *roots]


def prove(filled: Filled, examples: int) -> Counter[str]:
    seen: Counter[str] = Counter()

    @settings(max_examples=examples, suppress_health_check=list(HealthCheck))
    @given(predicate=predicates(ids_of(filled)))
    def every_predicate(predicate: pl.Expr) -> None:
        filled.check(predicate, seen)

    every_predicate()
    return seen


def test_the_whole_frame_has_every_value_that_the_proof_needs(filled):
    for name, (_, pool) in POOLS.items():
        missing = set(pool) - set(filled.whole[name].to_list())
        assert not missing, f"{name} never is {missing}"
        assert (filled.whole[name].null_count() > 0) == (name != "Flag__c")


@pytest.mark.parametrize("name", ["Id", "Root__c", "Key__c", *POOLS, *PARENTS])
def test_every_comparison_of_a_column_gives_the_rows_of_polars(filled, name):
    """The plain questions, so that none of them is left to chance."""
    names = list(dict.fromkeys(["Id", name]))
    for predicate in plain_predicates(name, filled.whole[name]):
        expected = filled.whole.filter(predicate).select(names)
        assert_frame_equal(filled.scan.filter(predicate).select(names).collect().sort("Id"), expected)


def test_a_filtered_scan_gives_the_rows_of_polars(filled):
    seen = prove(filled, 40)
    assert set(seen) >= {"fully", "partly", "not"}


@pytest.mark.slow
def test_a_filtered_scan_gives_the_rows_of_polars_for_a_thousand_predicates(
    filled: Filled, record_property: Callable[[str, object], None]
) -> None:
    seen = prove(filled, 1000)
    asked = sum(seen.values())
    told = ", ".join(f"{100 * count / asked:.0f} % {how}" for how, count in seen.most_common())
    record_property("told", f"{asked:,} predicates, pushed to the org: {told}")


@pytest.mark.slow
def test_a_filtered_scan_gives_the_rows_of_polars_whatever_the_data(filled):
    with sf.LocalOrg() as local, sf.connect(local) as org:
        local.deploy([ROOT, LEAF])
        roots = local.insert("Root__c", ROOTS)
        scan = sf.scan_sobject("Leaf__c", columns=PARENTS, org=org)
        start = local.snapshot()

        @settings(max_examples=40, suppress_health_check=list(HealthCheck))
        @given(seed=st.integers(0, 2**32), text=st.lists(st.text(max_size=8), min_size=5, max_size=5), data=st.data())
        def every_frame(seed: int, text: list[str], data: st.DataObject) -> None:
            local.restore(start)
            rows = leaves(seed, 5, roots).with_columns(pl.Series("Text__c", text), Key__c=pl.lit(None, pl.String))
            local.insert("Leaf__c", rows)
            made = Filled(local, scan, scan.collect().sort("Id"))
            for _ in range(5):
                made.check(data.draw(predicates(ids_of(made))), Counter())

        every_frame()
