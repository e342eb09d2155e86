"""PK chunking: one query batch becomes several, each over a range of ids (bulk1.md 6)."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

import duckdb

from sfframe.localorg.catalogue.model import ObjectDef
from sfframe.localorg.services.bulk1_errors import BatchFault, Bulk1Error
from sfframe.localorg.services.bulk1_jobs import Job
from sfframe.localorg.services.problems import literal
from sfframe.localorg.services.soql_sql import Statement
from sfframe.localorg.store.record_ids import ALPHABET, id18
from sfframe.localorg.store.store import Store
from sfframe.soql import Call, Comparison, Condition, Logic, Membership, Negation, Path, Query, Value, to_text

_DEFAULT_ROWS, _MOST_ROWS = 100_000, 250_000
_SUPPORTED = (
    "Account AccountContactRelation AccountTeamMember Asset AssignedResource Campaign CampaignMember Case CaseArticle "
    "CaseComment Contact ContentDocument ContentNote ContentVersion Contract ContractLineItem EmailMessage Entitlement "
    "Event EventRelation FeedItem Individual Lead LinkedArticle LiveChatTranscript LoginHistory MessagingSession Note "
    "ObjectTerritory2Association Opportunity OpportunityContactRole OpportunityHistory OpportunityLineItem "
    "OpportunitySplit OpportunityTeamMember Order OrderItem Pricebook2 PricebookEntry Product2 ProductConsumed "
    "ProductRequired QuickText Quote QuoteLineItem ServiceAppointment ServiceContract Task TaskRelation TimeSheetEntry "
    "User UserRole VoiceCall WebCart WorkOrder WorkOrderLineItem WorkPlan"
)
_WORD = re.compile(r"(?i)\s*(chunkSize|parent|startRow)\s*=\s*(\w+)\s*|\s*(true|false)\s*")


@dataclass(frozen=True, slots=True)
class Chunking:
    """What ``Sforce-Enable-PKChunking`` asks for."""

    rows: int
    parent: str | None = None
    start: str | None = None


def read_header(header: str | None) -> Chunking | None:
    """The header's meaning: None for none and FALSE; TRUE may stand beside options (singer-io/tap-salesforce#18)."""
    if header is None:
        return None
    wanted, rows, parent, start = True, _DEFAULT_ROWS, None, None
    for word in filter(str.strip, header.split(";")):
        found = _WORD.fullmatch(word)
        key = (found[1] or "").casefold() if found else ""
        if found is None or (key == "chunksize" and not 0 < _number(found[2]) <= _MOST_ROWS):
            # The code and the words are guesses.
            raise Bulk1Error("InvalidJob", f"Invalid value for Sforce-Enable-PKChunking: {word.strip()}")
        if found[3]:
            wanted = found[3].casefold() == "true"
        elif key == "chunksize":
            rows = int(found[2])
        elif key == "parent":
            parent = found[2]
        else:
            start = id18(found[2])
    return Chunking(rows, parent, start) if wanted else None


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0


def can_be_split(statement: Statement) -> bool:
    """Whether the query is split at all: ORDER BY, LIMIT and filters on ids make it run as one batch."""
    query = statement.query
    if query.order_by or query.limit is not None:
        return False
    return query.where is None or not any("id" in name.casefold() for name in _filtered(query.where))


def _filtered(condition: Condition) -> Iterator[str]:
    if isinstance(condition, Logic):
        for term in condition.terms:
            yield from _filtered(term)
    elif isinstance(condition, Negation):
        yield from _filtered(condition.term)
    elif isinstance(condition, Comparison | Membership):
        yield from _names(condition.left)


def _names(expression: Path | Call | Value) -> Iterator[str]:
    if isinstance(expression, Path):
        yield expression.parts[-1]
    elif isinstance(expression, Call):
        for argument in expression.args:
            yield from _names(argument)


def supports(obj: ObjectDef) -> bool:
    """Whether queries of the object can be split at all."""
    return obj.custom or obj.name in _SUPPORTED.split()


def split(store: Store, cursor: duckdb.DuckDBPyConnection, job: Job, statement: Statement, text: str) -> list[str]:
    """The queries of the chunks; none where the object has no rows. Deleted rows count in the split (bulk1.md 6)."""
    parent = store.catalogue.find(job.chunk_parent) if job.chunk_parent else statement.obj
    if parent is None or not supports(parent):
        words = f"PK chunking is not supported for {statement.obj.name}"  # from memory
        raise BatchFault(f"InvalidBatch : Failed to process query: FUNCTIONALITY_NOT_ENABLED: {words}")
    start = f'WHERE "Id" >= {literal(job.chunk_start)}' if job.chunk_start else ""
    found = cursor.execute(
        f"""
        WITH ids AS (
            SELECT "Id" AS id, row_number() OVER (ORDER BY "Id") - 1 AS place FROM {store.table(statement.obj)} {start}
        )
        SELECT id[:15], place FROM ids
        WHERE place % {job.chunk_rows} = 0 OR place = (SELECT max(place) FROM ids) ORDER BY place
        """
    ).fetchall()
    if not found:
        return []
    bounds = [fifteen for fifteen, place in found if place % (job.chunk_rows or 1) == 0]
    bounds.append(_following(found[-1][0]))
    return [_narrowed(text, statement.query, lower, upper) for lower, upper in itertools.pairwise(bounds)]


def _following(fifteen: str) -> str:
    """The id behind one of 15 characters."""
    digits = list(fifteen)
    for at in range(14, 2, -1):
        place = ALPHABET.index(digits[at]) + 1
        digits[at] = ALPHABET[place % 62]
        if place < 62:
            break
    return "".join(digits)


def _narrowed(text: str, query: Query, lower: str, upper: str) -> str:
    """The query over a range of ids; it begins with the original's text wherever that keeps its meaning."""
    written = f"Id >= '{lower}' AND Id < '{upper}'"
    plain = not (query.with_clause or query.for_clauses or query.update or query.all_rows)
    if plain and query.where is None:
        return f"{text.rstrip()} WHERE {written}"
    if plain and not (isinstance(query.where, Logic) and query.where.op == "OR"):
        return f"{text.rstrip()} AND {written}"
    bounds = [Comparison(Path(("Id",)), op, Value("string", one)) for op, one in ((">=", lower), ("<", upper))]
    terms = (*([query.where] if query.where else []), *bounds)
    return to_text(replace(query, where=Logic("AND", terms)))
