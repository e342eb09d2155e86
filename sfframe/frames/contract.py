"""What the org's describe says of a frame: a pandera schema, and every failing cell at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import polars as pl

from sfframe.codec.encode import Cleared
from sfframe.codec.layout import SentColumn
from sfframe.codec.types import rule_for
from sfframe.errors import SfframeError, UsageError
from sfframe.facts import NULL_MARK, RECORD_CHARACTERS, Operation
from sfframe.frames.casting import Cast, Problem, cast_column, check_zone
from sfframe.frames.columns import DELETES
from sfframe.frames.failures import SCHEMA, as_text, cell_failures, column_failures
from sfframe.frames.keys import duplicate_keys
from sfframe.frames.rules import Rule, null_mark_rule, rules_for
from sfframe.schema.sobject import Field, SObject

if TYPE_CHECKING:
    import pandera.polars as pa
    from pandera.api.polars.types import PolarsData

Nulls = Literal["ignore", "clear"]


@dataclass(frozen=True, slots=True)
class Checked:
    """The rows that may be sent, and every cell that may not.

    ``typed`` holds the good rows: the sent columns in the types of their fields, under their headers. ``rows`` says
    which of the caller's rows they are, from 0. ``cleared`` says by header which nulls clear the field (``encode``).
    ``failures`` has one line per refused cell (row, column, value, rule, message; the column is the caller's); a row of
    null means the whole column, and then ``blocked`` is True and no row is good.
    """

    typed: pl.DataFrame
    rows: pl.Series
    failures: pl.DataFrame
    cleared: Cleared
    blocked: bool


def frame_schema(sobject: SObject, *, operation: Operation) -> pa.DataFrameSchema:
    """The describe as a pandera schema for polars: the fields that ``operation`` writes, in the types of the describe.

    Collected frames only: on a lazy frame pandera checks types and no values. Columns that are no such fields are not
    looked at. On update and upsert a null clears the field, so fields without a null refuse it.
    """
    import pandera.polars as pa

    columns = {}
    for field in sobject:
        key = field.type == "id" and operation not in ("insert", "upsert")
        if key or _written(field, operation):
            required = key or (operation == "insert" and field.required_on_create)
            nullable = not key and (field.nillable or operation == "insert") and not required
            rules = rules_for(field, field.name, prefixes=_own_prefix(sobject))
            columns[field.name] = _pandera_column(field, rules, nullable=nullable, required=required)
    return pa.DataFrameSchema(columns, name=sobject.name, description=f"{operation} of {sobject.label}")


def _written(field: Field, operation: Operation) -> bool:
    creates, updates = operation in ("insert", "upsert"), operation in ("update", "upsert")
    return (creates and field.createable) or (updates and field.updateable)


def _own_prefix(sobject: SObject) -> dict[str, str]:
    return {sobject.name: sobject.key_prefix} if sobject.key_prefix else {}


def _pandera_column(
    field: Field,
    rules: Sequence[Rule],
    *,
    nullable: bool = True,
    required: bool = True,
    dtype: pl.DataType | None = None,
) -> pa.Column:
    import pandera.polars as pa

    return pa.Column(
        dtype or rule_for(field.type).dtype,
        [_pandera_check(rule) for rule in rules],
        nullable=nullable,
        required=required,
        title=field.label,
        description=f"{field.label}, a {field.type} field",
    )


def _pandera_check(rule: Rule) -> pa.Check:
    import pandera.polars as pa

    def holds(data: PolarsData) -> pl.LazyFrame:
        return data.lazyframe.select(rule.holds)

    return pa.Check(holds, name=rule.name, error=rule.name, description=rule.message)


def check(
    frame: pl.DataFrame,
    sent: Sequence[SentColumn],
    sobject: SObject,
    *,
    operation: Operation,
    external_id_field: str | None = None,
    nulls: Nulls | Mapping[str, Nulls] | None = None,
    timezone: str | None = None,
    from_csv: bool = False,
    prefixes: Mapping[str, str] | None = None,
    twins: pl.DataFrame | None = None,
) -> Checked:
    """Takes ``frame`` to the fields' types and finds every cell that the org would refuse, in one pass.

    ``sent`` comes from ``match_columns``. A null clears its field on update and upsert and is left to the default on
    insert; ``nulls`` changes that for all columns, or by the caller's column names. Cells of a CSV file (``from_csv``)
    keep Salesforce's meaning instead: empty leaves the field, ``#N/A`` clears it. ``timezone`` is what a datetime
    without a zone means; without it such columns are refused. ``prefixes`` are the key prefixes of further objects that
    are known. ``twins`` are the failures of keys that occur twice, where they were looked for elsewhere because
    ``frame`` is not all that is sent. Bad cells are data, not exceptions; only wrong arguments raise (``UsageError``).
    """
    check_zone(timezone)
    policy = _policies(sent, operation, nulls, from_csv=from_csv)
    casts = [cast_column(one, frame[one.name], timezone=timezone, from_csv=from_csv) for one in sent]
    refused = [(one.name, *cast.refused) for one, cast in zip(sent, casts, strict=True) if cast.refused]
    pairs = list(zip(sent, casts, strict=True))
    typed = frame.select(cast.typed.alias(one.header) for one, cast in pairs)
    key = _key(operation, external_id_field)
    problems = [(one, problem) for one, cast in pairs for problem in cast.problems]
    problems += _null_problems(pairs, frame, typed, policy, operation=operation, key=key)
    found = [column_failures(refused)] if refused else []
    found += _broken(frame, problems)
    found += _value_failures(frame, sent, typed, {**_own_prefix(sobject), **(prefixes or {})}, from_csv=from_csv)
    keys = [one for one in sent if one.header.casefold() == key]
    found += [duplicate_keys(typed[one.header], one) for one in keys] if twins is None else [twins]
    found += _large_records(frame, typed)
    failures = _ordered(found, sent)
    good = pl.int_range(frame.height, dtype=pl.Int64, eager=True).alias("row")
    if refused:
        good = good.clear()
    elif failures.height:
        good = good.filter(~good.is_in(failures["row"].implode()))
    cleared = _cleared(frame, sent, policy, good)
    return Checked(typed if len(good) == typed.height else typed[good], good, failures, cleared, bool(refused))


def _key(operation: Operation, external_id_field: str | None) -> str:
    """The header, in lower case, of the column that finds the records; empty on insert."""
    if operation == "upsert":
        return (external_id_field or "").casefold()
    return "" if operation == "insert" else "id"


Policy = Literal["leave", "clear", "marks"]


def _policies(
    sent: Sequence[SentColumn], operation: Operation, nulls: Nulls | Mapping[str, Nulls] | None, *, from_csv: bool
) -> dict[str, Policy]:
    """What a null means, by header: ``marks`` are the cells of a file that say ``#N/A``."""
    given = nulls if isinstance(nulls, Mapping) else dict.fromkeys((one.name for one in sent), nulls)
    names = {one.name for one in sent}
    wrong = [name for name in given if name not in names]
    values = {value for value in given.values() if value not in ("ignore", "clear", None)}
    if wrong or values:
        what = f"it names the column {wrong[0]!r}, which is not sent" if wrong else f"it says {values.pop()!r}"
        raise UsageError(what, where="nulls", remedy='Use "ignore", "clear", or a mapping of sent columns to these.')
    usual: Policy = "marks" if from_csv else "clear" if operation in ("update", "upsert") else "leave"
    words: dict[str, Policy] = {"ignore": "marks" if from_csv else "leave", "clear": "clear"}
    return {one.header: words.get(str(given.get(one.name)), usual) for one in sent}


def _null_problems(
    pairs: Sequence[tuple[SentColumn, Cast]],
    frame: pl.DataFrame,
    typed: pl.DataFrame,
    policy: Mapping[str, Policy],
    *,
    operation: Operation,
    key: str,
) -> list[tuple[SentColumn, Problem]]:
    """Nulls where the org has none (architecture: a checkbox, a required field, a parent named by its key)."""
    problems = []
    for one, cast in pairs:
        field = one.relationship or one.field
        if cast.refused or not typed[one.header].null_count():
            continue
        empty = _is_empty(frame, one, policy)
        if one.header.casefold() == key:
            # An upsert by Id inserts the rows that have none (bulk2.md 7).
            if not (operation == "upsert" and key == "id"):
                problems.append((one, Problem("missing_key", empty, f"{operation} needs {one.header} in every row.")))
        elif operation == "insert" and field.required_on_create:
            problems.append((one, Problem("required", empty, f"{field.name} is required on insert.")))
        elif not field.nillable or one.relationship is not None:
            wiped = _is_mark(frame, one) if policy[one.header] == "marks" else empty
            if policy[one.header] != "leave" and operation not in DELETES:
                problems.append((one, Problem("cannot_clear", wiped, _no_null(one, field))))
    return problems


def _no_null(one: SentColumn, field: Field) -> str:
    keep = f"To leave the field alone where the cell is empty, use nulls={{{one.name!r}: 'ignore'}}"
    if one.relationship is not None:
        return f"A parent named by its key cannot be cleared. {keep}; to clear it, send {field.name} itself."
    kind = "a checkbox, which is true or false" if field.type == "boolean" else "required"
    return f"{field.name} is {kind}, so it cannot be cleared. {keep}."


def _is_empty(frame: pl.DataFrame, one: SentColumn, policy: Mapping[str, Policy]) -> pl.Expr:
    values = pl.col(one.name)
    dtype = frame.schema[one.name]
    if dtype != pl.String and not isinstance(dtype, (pl.Categorical, pl.Enum)):
        return values.is_null()
    empty = ["", NULL_MARK] if policy[one.header] == "marks" else [""]
    return values.is_null() | values.cast(pl.String).is_in(empty).fill_null(True)


def _is_mark(frame: pl.DataFrame, one: SentColumn) -> pl.Expr:
    marked = pl.col(one.name) == NULL_MARK if frame.schema[one.name] == pl.String else pl.lit(False)
    return marked.fill_null(False)


def _cleared(
    frame: pl.DataFrame, sent: Sequence[SentColumn], policy: Mapping[str, Policy], good: pl.Series
) -> dict[str, bool | pl.Series]:
    cleared: dict[str, bool | pl.Series] = {}
    for one in sent:
        if policy[one.header] != "marks" or frame.schema[one.name] != pl.String:
            cleared[one.header] = policy[one.header] == "clear"
            continue
        marks = frame.select(_is_mark(frame, one)).to_series()
        cleared[one.header] = marks[good] if marks.any() else False
    return cleared


def _broken(frame: pl.DataFrame, problems: Sequence[tuple[SentColumn, Problem]]) -> list[pl.DataFrame]:
    """The cells of each problem that occurs; the usual frame costs one pass that finds none."""
    if not problems or not frame.height:
        return []
    occurs = frame.select(problem.where.any().alias(str(place)) for place, (_, problem) in enumerate(problems)).row(0)
    broken = []
    for (one, problem), some in zip(problems, occurs, strict=True):
        if some:
            rows = frame.select(problem.where.arg_true()).to_series()
            broken.append(cell_failures(rows, one.name, frame[one.name][rows], problem.rule, problem.message))
    return broken


def _value_failures(
    frame: pl.DataFrame,
    sent: Sequence[SentColumn],
    typed: pl.DataFrame,
    prefixes: Mapping[str, str],
    *,
    from_csv: bool,
) -> list[pl.DataFrame]:
    """What pandera finds in the columns that break a rule. ``typed`` is collected: a lazy one would pass unchecked."""
    if not frame.height:
        return []
    rules = {}
    for one in sent:
        own = rules_for(one.field, one.header, prefixes=prefixes)
        marked = rule_for(one.field.type).dtype == pl.String and not from_csv
        rules[one.header] = (*own, null_mark_rule(one)) if marked else own
    suspects = _with_broken(typed, rules)
    if not suspects:
        return []
    import pandera.polars as pa
    from pandera.errors import SchemaErrors

    columns, messages, names = {}, {}, {}
    for one in (one for one in sent if one.header in suspects):
        columns[one.header] = _pandera_column(one.field, rules[one.header], dtype=typed.schema[one.header])
        messages.update({(one.header, rule.name): rule.message for rule in rules[one.header]})
        names[one.header] = one.name
    try:
        pa.DataFrameSchema(columns).validate(typed, lazy=True)
    except SchemaErrors as error:
        cases = error.failure_cases
    else:
        return []
    if cases["index"].null_count():
        column, rule, case = cases.filter(pl.col("index").is_null()).select("column", "check", "failure_case").row(0)
        raise SfframeError(f"the rule {rule} cannot be asked: {case}", where=f"column {column}", remedy="Report this.")
    found = []
    for (header, rule), group in cases.group_by("column", "check", maintain_order=True):
        rows = group["index"]
        values = as_text(frame[names[str(header)]][rows])
        found.append(cell_failures(rows, names[str(header)], values, str(rule), messages[str(header), str(rule)]))
    return found


def _with_broken(typed: pl.DataFrame, rules: Mapping[str, Sequence[Rule]]) -> set[str]:
    """The columns with a value that breaks a rule: all rules in one pass, a third of what pandera takes one by one."""
    asked = [(header, rule) for header, own in rules.items() for rule in own]
    if not asked:
        return set()
    try:
        holds = typed.select(rule.holds.all().alias(str(place)) for place, (_, rule) in enumerate(asked)).row(0)
    except pl.exceptions.PolarsError:
        return set(rules)  # pandera says which rule it is
    return {header for (header, _), every in zip(asked, holds, strict=True) if not every}


def _large_records(frame: pl.DataFrame, typed: pl.DataFrame) -> list[pl.DataFrame]:
    """Records over the platform's size (bulk2.md 3.6), counted in the characters of their texts."""
    texts = [name for name, dtype in typed.schema.items() if dtype == pl.String]
    if not texts or not frame.height:
        return []
    longest = typed.select(pl.col(texts).str.len_bytes().max()).row(0)
    if sum(length or 0 for length in longest) <= RECORD_CHARACTERS:
        return []
    size = typed.select(pl.sum_horizontal(pl.col(texts).str.len_chars())).to_series()
    rows = (size > RECORD_CHARACTERS).arg_true()
    message = f"A record takes {RECORD_CHARACTERS:,} characters in all; shorten its texts."
    return [cell_failures(rows, "", size[rows].cast(pl.String), "record_size", message)]


def _ordered(found: Sequence[pl.DataFrame], sent: Sequence[SentColumn]) -> pl.DataFrame:
    """All failures by row, in each row by column as the caller has them; whole columns come first."""
    if not found:
        return pl.DataFrame(schema=SCHEMA)
    places = {one.name: place for place, one in enumerate(sent)}
    together = pl.concat(found)
    place = pl.col("column").replace_strict(places, default=len(places), return_dtype=pl.Int32)
    return together.sort("row", place, nulls_last=False, maintain_order=True)
