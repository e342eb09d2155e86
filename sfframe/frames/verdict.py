"""Answers joined back to the caller's rows, one to one: by key, by content, never by position."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import polars as pl

from sfframe.codec.encode import encode
from sfframe.codec.layout import SentColumn
from sfframe.codec.outcomes import ANSWER_SCHEMA, read_cells, read_ordered, read_outcomes, result_files
from sfframe.codec.outcomes_typed import read_answers, read_values, sent_values
from sfframe.codec.types import ID, NUMBER, as_is, canonical, rule_for
from sfframe.errors import IncompleteAnswer
from sfframe.facts import RESULT_COLUMNS, Delimiter, Operation
from sfframe.frames.keys import comparable
from sfframe.frames.pairing import pair_rows
from sfframe.spool import Answers, Part

RESULT_SCHEMA = pl.Schema(
    {name: pl.Boolean() if name == "sf__Created" else pl.String() for name in RESULT_COLUMNS}  # architecture 1
)
VERDICT_SCHEMA = pl.Schema({"row": pl.Int64(), **RESULT_SCHEMA})
_DONE = {"insert": "created", "update": "updated", "delete": "deleted", "hardDelete": "deleted"}
GLANCE = 1_000  # rows that show of most columns that they do not tell rows apart
_MATCHES = pl.Schema({"left": pl.Int64(), "right": pl.Int64(), "sf__Match": pl.String()})


@dataclass(frozen=True, slots=True)
class PartVerdict:
    """What became of the rows of one part.

    ``frame`` has one line per row of the part, in its order: ``row`` (the caller's, from 0) and exactly the result
    columns. ``surplus`` has the answers that belong to no row that was sent: sf__Job, the columns of an answer, and the
    echoed cells. It is empty unless the org answered for rows that it was not given, or changed cells beyond
    recognition; in the second case as many rows are "unknown".
    """

    frame: pl.DataFrame
    surplus: pl.DataFrame


def part_verdict(
    answers: Answers,
    rows: pl.Series,
    sent: Sequence[SentColumn],
    *,
    operation: Operation,
    external_id_field: str | None = None,
    delimiter: Delimiter = "COMMA",
    typed: pl.DataFrame | None = None,
) -> PartVerdict:
    """Joins the answers for one part to its rows; ``rows`` says which of the caller's they are.

    ``typed`` has the cells of the part as they were before ``encode``; without it the part is read back from its file.

    A row that has no answer is "unknown", never a success. ``sf__Match`` says how an answer found its row: "position"
    (Bulk 1.0 and collections answer in order), "id" (update, delete), "external_id" (upsert), "key" (an insert with a
    unique field), "content" (the cells alike, by the types of their fields: all of them, or those of one column of text
    that tells all different rows apart), "raw" (all cells, but some of them the org could not read and gave back as
    they were). Rows of one part that are alike in every sent cell are interchangeable:
    which of them gets which id cannot be known. ``sf__Id`` of a failed update or delete is the id that was sent.
    """
    cells = _Sent(answers.part, tuple(sent), delimiter, typed)
    if answers.ordered is not None or answers.batch_id or not answers.job_id:
        told, surplus = _in_order(answers), pl.DataFrame(schema=ANSWER_SCHEMA)
    else:
        told, surplus = _in_any_order(cells, answers, operation, external_id_field)
    if operation != "insert":
        told = told.with_columns(_with_ids_of_failed(told, cells))
    return PartVerdict(
        _worded(told, answers, operation).select(rows.cast(pl.Int64).alias("row"), *RESULT_COLUMNS),
        surplus.with_columns(sf__Job=pl.lit(answers.job_id)),
    )


def rejected(failures: pl.DataFrame) -> pl.DataFrame:
    """The verdicts of the rows that ``failures`` (``Checked.failures``) refuse: a line each, with all that is wrong."""
    grouped = (
        failures.filter(pl.col("row").is_not_null())
        .group_by("row", maintain_order=True)
        .agg(
            sf__ErrorCode=pl.col("rule").first(),
            sf__ErrorFields=pl.col("column").filter(pl.col("column") != "").unique(maintain_order=True).str.join(", "),
            sf__Error=pl.col("message").str.join("\n"),
        )
    )
    known = grouped.with_columns(sf__Status=pl.lit("rejected"))
    missing = [name for name in RESULT_COLUMNS if name not in known.columns]
    return known.with_columns(pl.lit(None, RESULT_SCHEMA[name]).alias(name) for name in missing).select(*VERDICT_SCHEMA)


@dataclass(frozen=True, slots=True)
class _Sent:
    """The rows of one part: from memory, where ``typed`` still has them, or from its file."""

    part: Part
    columns: tuple[SentColumn, ...]
    delimiter: Delimiter
    typed: pl.DataFrame | None

    def values(self, columns: Sequence[SentColumn], *, first: int | None = None) -> pl.DataFrame | None:
        """Canonical values of some columns, of the ``first`` rows only; None where one of them cannot be read."""
        if self.typed is not None:
            return sent_values(self.typed[:first], columns)
        values = read_values(self.part.path, columns, delimiter=self.delimiter, first=first)
        return values if values is None or first is not None else self._whole(values)

    def texts(self, rows: pl.Series) -> pl.DataFrame:
        """The cells of some rows as they were written."""
        if self.typed is not None:
            return encode(_rows(self.typed, rows), self.columns)
        return _rows(self._whole(read_cells(self.part.path, delimiter=self.delimiter)), rows)

    def _whole(self, frame: pl.DataFrame) -> pl.DataFrame:
        if frame.height == self.part.rows:
            return frame
        raise IncompleteAnswer(
            f"it has {frame.height:,} records, and {self.part.rows:,} were written",
            where=f"part {self.part.number} ({self.part.path.name})",
            remedy="The spool was changed or another delimiter is meant; the result files themselves are intact.",
        )


def _in_any_order(
    sent: _Sent, answers: Answers, operation: Operation, external_id_field: str | None
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The verdicts of one part in the order of its rows, and the answers that fit none of them.

    There are two looks. At first the values of a few columns are compared, read straight to types: of those that tell
    the rows apart. What is left on both sides, and a file that cannot be read so, is compared as text, in all columns.
    """
    height = sent.part.rows
    key = _key_column(sent, operation, external_id_field)
    first, unread, pairs = _first_look(sent, answers, key)
    rows = _left_over(height, [pairs["left"]])
    echo, headers = _unmatched(sent, answers, unread, _left_over(first.height, [pairs["right"]]))
    more = pl.DataFrame(schema=_MATCHES)
    if len(rows):
        compared = [one for one in sent.columns if one.header in headers]
        more = _match(sent.texts(rows), echo, compared, key if key and key[0] in compared else None)
    surplus = _rows(echo, _left_over(echo.height, [more["right"]]))
    told = pl.concat([first, echo.select(*ANSWER_SCHEMA)], rechunk=True)
    moved = more.with_columns(rows.gather(more["left"]).alias("left"), pl.col("right") + first.height)
    pairs = pl.concat([pairs, moved])
    found = told.select(pl.all().gather(_placed(height, pairs["left"], pairs["right"])))
    found = found.with_columns(_placed(height, pairs["left"], pairs["sf__Match"]).alias("sf__Match"))
    return found, surplus


def _first_look(
    sent: _Sent, answers: Answers, key: tuple[SentColumn, str] | None
) -> tuple[pl.DataFrame, Answers, pl.DataFrame]:
    """The answers that could be read by their types, the files that could not, and which of those answers is whose."""
    telling = key[0] if key else _telling_column(sent)
    compared = sent.columns if telling is None else (telling,)
    told, unread = read_answers(answers, compared, delimiter=sent.delimiter)
    mine = sent.values(compared) if told.height else None
    if mine is None:
        return pl.DataFrame(schema=ANSWER_SCHEMA), answers, pl.DataFrame(schema=_MATCHES)
    if telling is None:
        pairs = pair_rows(mine, told.select(mine.columns)).with_columns(sf__Match=pl.lit("content"))
    else:
        ours, theirs = mine[telling.header], told[telling.header]
        pairs = _by_key(ours, theirs, *key) if key else _by_one(ours, theirs)
    return told.select(*ANSWER_SCHEMA), unread, pairs


def _unmatched(sent: _Sent, answers: Answers, unread: Answers, free: pl.Series) -> tuple[pl.DataFrame, tuple[str, ...]]:
    """The answers that have no row after the first look, as text, and the columns that all of them repeat.

    Those are the files that are ``unread``, and of the others the answers at the places that are ``free``.
    """
    headers = [one.header for one in sent.columns]
    others = read_outcomes(unread, headers, delimiter=sent.delimiter)
    if not len(free):
        return others.frame, others.columns
    read: dict[str, Any] = {outcome: None for outcome, path in result_files(unread) if path is not None}
    strange = read_outcomes(replace(answers, **read), headers, delimiter=sent.delimiter)
    common = tuple(name for name in strange.columns if name in others.columns)
    names = [*ANSWER_SCHEMA, *common]
    return pl.concat([strange.frame[free].select(names), others.frame.select(names)]), common


def _placed(height: int, places: pl.Series, values: pl.Series) -> pl.Series:
    """``values`` in their places, null in all others."""
    return pl.repeat(None, height, dtype=values.dtype, eager=True).scatter(places, values)


def _in_order(answers: Answers) -> pl.DataFrame:
    """The answers to a part that came in its order."""
    return read_ordered(answers).with_columns(
        sf__Match=pl.when(pl.col("sf__Outcome").is_not_null()).then(pl.lit("position"))
    )


def _with_ids_of_failed(told: pl.DataFrame, sent: _Sent) -> pl.Series:
    """``sf__Id`` of ``told``, filled for rows that failed with the id that was sent, where one was."""
    nameless = told.select((pl.col("sf__Id").is_null() & (pl.col("sf__Outcome") == "failed")).arg_true()).to_series()
    if not len(nameless) or not any(one.header == "Id" for one in sent.columns):
        return told["sf__Id"]
    return told["sf__Id"].scatter(nameless, sent.texts(nameless)["Id"])


def _worded(told: pl.DataFrame, answers: Answers, operation: Operation) -> pl.DataFrame:
    """Outcomes as statuses, under the result's columns."""
    succeeded = pl.lit(_DONE.get(operation))
    if operation == "upsert":
        succeeded = pl.when(pl.col("sf__Created")).then(pl.lit("created")).otherwise(pl.lit("updated"))
    status = pl.when(pl.col("sf__Outcome") == "succeeded").then(succeeded).otherwise("sf__Outcome").fill_null("unknown")
    told = told.with_columns(sf__Status=status, sf__Job=pl.lit(answers.job_id or None, pl.String))
    # Collections say it of upserts only; the status says it of all.
    created = pl.when(pl.col("sf__Outcome") == "succeeded").then(pl.col("sf__Status") == "created")
    told = told.with_columns(pl.col("sf__Created").fill_null(created))
    # What the org says of the job is all that there is to say of rows that it did not come to.
    if answers.error:
        silent = pl.col("sf__Status").is_in(["unknown", "unprocessed"]) & pl.col("sf__Error").is_null()
        told = told.with_columns(sf__Error=pl.when(silent).then(pl.lit(answers.error)).otherwise("sf__Error"))
    return told.select(RESULT_COLUMNS)


def _match(
    cells: pl.DataFrame, echo: pl.DataFrame, sent: Sequence[SentColumn], key: tuple[SentColumn, str] | None
) -> pl.DataFrame:
    """Which answer (``right``) is whose (``left``), and how that was found."""
    found = [pl.DataFrame(schema=_MATCHES)]
    if key is not None:
        column = key[0]
        read = canonical(column.field)(pl.col(column.header))
        found.append(_by_key(cells.select(read).to_series(), echo.select(read).to_series(), *key))
    for loose in (False, True):
        left = _left_over(cells.height, [one["left"] for one in found])
        right = _left_over(echo.height, [one["right"] for one in found])
        if not sent or not len(left) or not len(right):
            break
        pairs = _by_content(_rows(cells, left), _rows(echo, right), sent, loose=loose)
        found.append(pairs.with_columns(left[pairs["left"]].alias("left"), right[pairs["right"]].alias("right")))
    return pl.concat(found)


def _left_over(height: int, taken: Sequence[pl.Series]) -> pl.Series:
    """The row numbers below ``height`` that are not among those taken."""
    free = pl.repeat(True, height, dtype=pl.Boolean, eager=True)
    for rows in taken:
        free = free.scatter(rows, False)
    return free.arg_true().cast(pl.Int64)


def _rows(frame: pl.DataFrame, rows: pl.Series) -> pl.DataFrame:
    return frame if len(rows) == frame.height else frame[rows]


def _key_column(sent: _Sent, operation: Operation, external_id_field: str | None) -> tuple[SentColumn, str] | None:
    """The column by which rows of this part can be told apart, and the word for it."""
    if operation != "insert":
        name = external_id_field if operation == "upsert" and external_id_field else "Id"
        column = next((one for one in sent.columns if one.header.casefold() == name.casefold()), None)
        label = "external_id" if operation == "upsert" and name.casefold() != "id" else "id"
        return (column, label) if column is not None else None
    for one in sent.columns:
        if one.relationship is None and (one.field.unique or one.field.external_id):
            values = sent.values([one])
            # Two values of one hash would only mean that the content decides.
            if values is not None and not values[one.header].null_count() and not _has_twins(values[one.header]):
                return one, "key"
    return None


def _telling_column(sent: _Sent) -> SentColumn | None:
    """A column of text or ids that tells all different rows apart: to compare its cells is to compare the rows."""
    texts = [one for one in sent.columns if rule_for(one.field.type).kind in ("text", "id")]
    glance = sent.values(sent.columns, first=GLANCE) if texts else None
    if glance is None:
        return None
    for one in sorted(texts, key=lambda one: glance[one.header].estimated_size()):
        if _tells(glance, one, lambda: glance):
            values = sent.values([one])
            if values is not None and _tells(values, one, lambda: sent.values(sent.columns)):
                return one
    return None


def _tells(values: pl.DataFrame, one: SentColumn, whole: Callable[[], pl.DataFrame | None]) -> bool:
    """Whether a column has a value in each row, and the same one only in rows that are alike in all their cells.

    It must be so whatever an org may change of a text on the way, else a row could be taken for another. ``whole``
    gives all cells, which are asked for only where values come again.
    """
    told = values.select(_loosened(one)).to_series()
    if told.null_count():
        return False
    if not _has_twins(told):
        return True
    again = told.is_duplicated()
    rows = whole() if 2 * again.sum() < len(told) else None
    return rows is not None and rows.filter(again).n_unique() == told.filter(again).n_unique()


def _by_one(left: pl.Series, right: pl.Series) -> pl.DataFrame:
    """Equal values that are there as many times on each side; all others are left to the whole content."""
    pairs = pair_rows(left.to_frame("value"), right.to_frame("value"))
    if not pairs.height == len(left) == len(right):
        one, other = (side.to_frame("value").select(pl.len().over("value")).to_series() for side in (left, right))
        pairs = pairs.filter(one[pairs["left"]] == other[pairs["right"]])
    return pairs.with_columns(sf__Match=pl.lit("content"))


def _has_twins(values: pl.Series) -> bool:
    return values.hash().n_unique() < len(values)


def _by_key(left: pl.Series, right: pl.Series, column: SentColumn, label: str) -> pl.DataFrame:
    """Equal canonical keys, where one occurs once on each side; all others are left to the content."""
    sides = []
    for values, name in ((left, "left"), (right, "right")):
        key = comparable(pl.col("key"), column.field)
        sides.append(pl.DataFrame({"key": values}).select(key.alias("key")).with_row_index(name))
    pairs = sides[0].join(sides[1], on="key")
    if any(pairs[name].n_unique() < pairs.height for name in ("left", "right")):
        pairs = pairs.filter(pl.col("left").is_unique() & pl.col("right").is_unique())
    return pairs.select(pl.col("left", "right").cast(pl.Int64), pl.lit(label).alias("sf__Match"))


def _by_content(left: pl.DataFrame, right: pl.DataFrame, sent: Sequence[SentColumn], *, loose: bool) -> pl.DataFrame:
    """Rows that are alike in all sent cells, the k-th with the k-th.

    At first only numbers and ids are read and all else is compared as text, because uploads are normalised; the loose
    look reads everything. A cell that cannot be read keeps its text, in a column beside, so that it is equal to the
    same text only.
    """
    read = [one for one in sent if _is_read(one, loose=loose)]
    sides = []
    for side in (left, right):
        texts = side.select(_loosened(one).alias(one.header) for one in sent) if loose else side
        values = texts.select(_value(one, loose=loose).alias(one.header) for one in sent)
        sides.append((texts, values))
    strange = [one.header for one in read if any(_lost(*side, one.header).any() for side in sides)]
    compared = [
        values.with_columns(pl.when(_lost(texts, values, name)).then(texts[name]).alias(f"{name} ") for name in strange)
        for texts, values in sides
    ]
    pairs = pair_rows(*compared)
    return pairs.with_columns(_content_or_raw(left, right, sent, pairs).alias("sf__Match"))


def _lost(texts: pl.DataFrame, values: pl.DataFrame, name: str) -> pl.Series:
    """Where a text could not be read."""
    return texts[name].is_not_null() & values[name].is_null()


def _is_read(one: SentColumn, *, loose: bool) -> bool:
    rule = rule_for(one.field.type)
    return rule.read is not as_is and (loose or rule is NUMBER)


def _value(one: SentColumn, *, loose: bool) -> pl.Expr:
    text = pl.col(one.header)
    strict_id = rule_for(one.field.type) is ID and not loose
    return canonical(one.field)(text) if strict_id or _is_read(one, loose=loose) else text


def _content_or_raw(
    left: pl.DataFrame, right: pl.DataFrame, sent: Sequence[SentColumn], pairs: pl.DataFrame
) -> pl.Series:
    """How each pair was found; only rows that did not succeed can have cells that the org could not read."""
    unsaved = (right["sf__Outcome"][pairs["right"]] != "succeeded").arg_true()
    words = pl.repeat("content", pairs.height, eager=True)
    typed = [one for one in sent if rule_for(one.field.type).read is not as_is]
    if not len(unsaved) or not typed:
        return words
    cells = left[pairs["left"][unsaved]]
    unread = [pl.col(one.header).is_not_null() & canonical(one.field)(pl.col(one.header)).is_null() for one in typed]
    raw = cells.select(raw=pl.any_horizontal(unread)).to_series()
    return words.scatter(unsaved.filter(raw), "raw")


def _loosened(one: SentColumn) -> pl.Expr:
    """Text without what an org may change on the way (bulk2.md 7, rest.md 6.4): blanks around it, line ends, order."""
    plain = pl.col(one.header).str.strip_chars().str.replace_all("\r\n", "\n", literal=True)
    plain = pl.when(plain != "").then(plain)
    if one.field.type == "email":
        return plain.str.to_lowercase()
    if one.field.type == "multipicklist":
        return plain.str.split(";").list.sort().list.join(";")
    if rule_for(one.field.type) is ID:
        # The 18 characters name the record even where a spreadsheet has changed their case (rest.md 10).
        return pl.when(plain.str.len_bytes() == 18).then(plain.str.to_lowercase()).otherwise(plain)
    return plain
