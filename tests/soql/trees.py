"""Hypothesis strategies that draw SOQL trees."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from sfframe.soql import (
    Call,
    Comparison,
    FieldsOf,
    Grouping,
    Logic,
    Membership,
    Negation,
    Ordering,
    Path,
    Query,
    Selected,
    Source,
    SubQuery,
    TypeOf,
    Value,
)

names = st.from_regex(r"(Acct|My|X|f)[A-Za-z0-9_]{0,6}__[cr]", fullmatch=True)
paths = st.lists(names, min_size=1, max_size=4).map(lambda parts: Path(tuple(parts)))
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
strings = texts.map(lambda text: Value("string", text))
numbers = st.decimals(allow_nan=False, allow_infinity=False, places=2).map(lambda one: Value("number", f"{one:f}"))
moments = st.datetimes().map(lambda one: one.isoformat(timespec="milliseconds"))
values = st.one_of(
    strings,
    numbers,
    st.sampled_from(["true", "FALSE"]).map(lambda one: Value("boolean", one)),
    st.just(Value("null", "null")),
    st.dates().map(lambda one: Value("date", one.isoformat())),
    moments.map(lambda one: Value("datetime", f"{one}Z")),
    moments.map(lambda one: Value("datetime", f"{one}+01:00")),
    st.times().map(lambda one: Value("time", f"{one.isoformat(timespec='milliseconds')}Z")),
    st.sampled_from(["TODAY", "this_fiscal_quarter"]).map(lambda one: Value("date_literal", one)),
    st.integers(0, 99).map(lambda one: Value("date_literal", "LAST_N_DAYS", one)),
    st.sampled_from(["USD5000", "eur12.50", "USD-3"]).map(lambda one: Value("currency", one)),
    st.just(Value("bind", "accounts.keySet()")),
)
calls = st.recursive(
    st.builds(Call, st.sampled_from(["COUNT", "toLabel", "CALENDAR_YEAR"]), st.tuples(paths)),
    lambda inner: st.builds(
        Call, st.just("DISTANCE"), st.lists(st.one_of(paths, inner, strings, numbers), max_size=3).map(tuple)
    ),
    max_leaves=3,
)
expressions = st.one_of(paths, calls)
patterns = st.lists(
    st.one_of(
        st.text(st.characters(exclude_characters="\\", exclude_categories=["Cs"]), max_size=4),
        st.sampled_from(["\\_", "\\%", "\\\\"]),
    ),
    max_size=4,
).map(lambda parts: Value("string", "".join(parts)))
comparisons = st.one_of(
    st.builds(Comparison, expressions, st.sampled_from(["=", "!=", "<", "<=", ">", ">="]), values),
    st.builds(Comparison, expressions, st.just("LIKE"), patterns),
)
memberships = st.builds(
    Membership,
    expressions,
    st.sampled_from(["IN", "NOT IN", "INCLUDES", "EXCLUDES"]),
    st.one_of(
        st.lists(values, min_size=1, max_size=3).map(tuple),
        st.builds(Query, st.tuples(st.builds(Selected, paths)), st.builds(Source, names)),
    ),
)


def _grown(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(
        st.builds(Negation, inner),
        st.builds(Logic, st.sampled_from(["AND", "OR"]), st.lists(inner, min_size=2, max_size=3).map(tuple)),
    )


conditions = st.recursive(st.one_of(comparisons, memberships), _grown, max_leaves=6)
maybe = st.none
aliases = st.one_of(maybe(), names)
sources = st.builds(Source, names, aliases)
orderings = st.builds(Ordering, expressions, st.booleans(), st.sampled_from([None, "FIRST", "LAST"]))
simple_queries = st.builds(
    Query,
    st.lists(st.builds(Selected, paths), min_size=1, max_size=3).map(tuple),
    sources,
    where=st.one_of(maybe(), conditions),
)
type_ofs = st.builds(
    TypeOf,
    paths,
    st.lists(st.tuples(names, st.lists(paths, min_size=1, max_size=2).map(tuple)), min_size=1, max_size=2).map(tuple),
    st.lists(paths, max_size=2).map(tuple),
)
select_items = st.one_of(
    st.builds(Selected, expressions, aliases),
    st.builds(FieldsOf, st.sampled_from(["ALL", "STANDARD", "CUSTOM"])),
    type_ofs,
    st.builds(SubQuery, simple_queries),
)
queries = st.builds(
    Query,
    st.lists(select_items, min_size=1, max_size=4).map(tuple),
    sources,
    related=st.lists(sources, max_size=2).map(tuple),
    scope=st.one_of(maybe(), st.just("mine")),
    where=st.one_of(maybe(), conditions),
    with_clause=st.one_of(maybe(), st.sampled_from(["SECURITY_ENFORCED", "DATA CATEGORY Geo__c AT (usa__c, uk__c)"])),
    group_by=st.one_of(
        maybe(),
        st.builds(
            Grouping, st.lists(expressions, min_size=1, max_size=3).map(tuple), st.sampled_from(["", "ROLLUP", "CUBE"])
        ),
    ),
    having=st.one_of(maybe(), conditions),
    order_by=st.lists(orderings, max_size=3).map(tuple),
    limit=st.one_of(maybe(), st.integers(0, 50_000)),
    offset=st.one_of(maybe(), st.integers(0, 2_000)),
    for_clauses=st.sampled_from([(), ("VIEW",), ("VIEW", "REFERENCE"), ("UPDATE",)]),
    update=st.sampled_from([(), ("TRACKING",), ("TRACKING", "VIEWSTAT")]),
    all_rows=st.booleans(),
)
