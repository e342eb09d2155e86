"""Searching: the part of SOSL that finds words in text fields, and the records that were viewed last (rest.md 4).

``FIND {words} [IN group FIELDS] [RETURNING Object(fields WHERE ... ORDER BY ... LIMIT n), ...] [LIMIT n]``. All words
have to be in the record, each in any of its fields and as a whole word; ``*`` stands for more letters, ``?`` for one,
words in double quotes belong together. Everything else of SOSL is refused as MALFORMED_SEARCH, in words of our own.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from sfframe.errors import SoqlSyntaxError
from sfframe.localorg.catalogue.model import FieldDef, ObjectDef
from sfframe.localorg.services.errors import ServiceError
from sfframe.localorg.services.problems import literal
from sfframe.localorg.services.query import QueryService
from sfframe.localorg.services.recent import recently_viewed
from sfframe.localorg.services.soql_names import unknown_object
from sfframe.localorg.store.store import Store, quoted
from sfframe.soql import Logic, Membership, Path, Source, Value, parse, to_text

MAX_FOUND = 2_000  # SOSL's documented limit, over all objects
_MAX_RECENT = 200
_TEXT = frozenset({"string", "textarea", "email", "phone", "url"})
_GROUPS = ("ALL", "NAME", "EMAIL", "PHONE", "SIDEBAR")
_SEARCH = re.compile(
    r"\s*FIND\s*\{(?P<term>(?:[^\\{}]|\\.)*)\}\s*(?:IN\s+(?P<group>\w+)\s+FIELDS\s*)?"
    r"(?:RETURNING\s+(?P<returning>.*?))?(?:\s*\bLIMIT\s+(?P<limit>\d{1,9}))?\s*",
    re.IGNORECASE | re.DOTALL,
)
_WORD = re.compile(r'"((?:[^"\\]|\\.)*)"|((?:[^\s"\\]|\\.)+)')
_OPERATORS = frozenset({"AND", "OR", "NOT"})
_CLAUSE = re.compile(r"\b(?:WHERE|ORDER\s+BY|LIMIT|OFFSET|USING)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is wanted of one object: its name, the fields, and the clauses behind them as they stood."""

    name: str
    fields: str = "Id"
    clauses: str = ""


class Search:
    """Answers searches as records; ``version`` is as in the path, ``v66.0``."""

    def __init__(self, store: Store, query: QueryService) -> None:
        self._store = store
        self._query = query

    def sosl(self, text: str, version: str) -> dict[str, Any]:
        """``GET /search?q=``."""
        found = _SEARCH.fullmatch(text)
        if "{" not in text or not text.strip():
            raise _malformed("No search term found. The search term must be enclosed in braces.")  # recorded
        if found is None or (found["returning"] is not None and not found["returning"].strip()):
            raise _malformed("The embedded org knows FIND {...} IN ... FIELDS RETURNING ... LIMIT only")
        returning = _returning(found["returning"]) if found["returning"] else self._everything()
        limit = MAX_FOUND if found["limit"] is None else int(found["limit"])
        return self.find(found["term"], returning, version, group=found["group"] or "ALL", limit=limit)

    def find(
        self, term: str, returning: Iterable[Wanted], version: str, *, group: str = "ALL", limit: int = MAX_FOUND
    ) -> dict[str, Any]:
        """The records of the wanted objects in which all words of the term are found, object by object."""
        if group.upper() not in _GROUPS:
            raise _malformed(f"unexpected token: {group}")
        patterns = _patterns(term)
        records: list[Any] = []
        for wanted in returning:
            obj = self._store.catalogue.find(wanted.name)
            if obj is None or not obj.queryable:
                raise unknown_object(wanted.name, Source(wanted.name))
            ids = self._ids(obj, _searched(obj, group.upper()), patterns)
            records += self._records(obj, wanted, ids, version)
        return {"searchRecords": records[: min(limit, MAX_FOUND)]}

    def recent(self, version: str, limit: int = _MAX_RECENT) -> list[Any]:
        """``GET /recent``: what was viewed last (by FOR VIEW, or as mirrored rows tell), the latest first."""
        every = self._store.catalogue.objects.values()
        return recently_viewed(self._store, every, f"/services/data/{version}", max(0, min(limit, _MAX_RECENT)))

    def _everything(self) -> list[Wanted]:
        return [Wanted(obj.name) for obj in self._store.catalogue.objects.values() if obj.searchable and obj.queryable]

    def _ids(self, obj: ObjectDef, fields: list[FieldDef], patterns: list[str]) -> list[str]:
        if not fields:
            return []
        whole = f"concat_ws(chr(10), {', '.join(quoted(field.name) for field in fields)})"
        conditions = [f"regexp_matches({whole}, {literal(pattern)}, 'i')" for pattern in patterns]
        if obj.field("IsDeleted") is not None:
            conditions.append('"IsDeleted" IS NOT TRUE')
        sql = f'SELECT "Id" FROM {self._store.table(obj)} WHERE {" AND ".join(conditions)}'
        with self._store.cursor() as cursor:
            return [row[0] for row in cursor.execute(f'{sql} ORDER BY "Id" LIMIT {MAX_FOUND}').fetchall()]

    def _records(self, obj: ObjectDef, wanted: Wanted, ids: list[str], version: str) -> list[Any]:
        """The found rows as SOQL shows them, under the clauses that came with the object."""
        try:
            query = parse(f"SELECT {wanted.fields} FROM {obj.name} {wanted.clauses}")
        except SoqlSyntaxError as error:
            raise _malformed(error.problem) from error
        among = Membership(Path(("Id",)), "IN", tuple(Value("string", one) for one in ids))
        if not ids:  # the clauses are looked at even so
            among = Membership(Path(("Id",)), "IN", (Value("null", "null"),))
        where = among if query.where is None else Logic("AND", (among, query.where))
        page = self._query.query(to_text(replace(query, where=where)), version)
        records: list[Any] = json.loads(page)["records"]
        return records


def _returning(text: str) -> list[Wanted]:
    """``Account(Id, Name WHERE ... LIMIT 5), Contact`` piece by piece; commas and quotes inside parentheses stay."""
    wanted, depth, quoted_text, start = [], 0, False, 0
    for at, character in enumerate(text + ","):
        escaped = at > 0 and text[at - 1 : at] == "\\"
        if character == "'" and not escaped:
            quoted_text = not quoted_text
        elif not quoted_text and character in "()":
            depth += 1 if character == "(" else -1
        elif not quoted_text and character == "," and depth == 0:
            wanted.append(_wanted(text[start:at].strip()))
            start = at + 1
    if depth or quoted_text:
        raise _malformed("unexpected token: <EOF>")
    return wanted


def _wanted(piece: str) -> Wanted:
    name, parenthesis, inside = piece.partition("(")
    if not name.strip().isidentifier() or (parenthesis and not inside.endswith(")")):
        raise _malformed(f"unexpected token: {piece or '<EOF>'}")
    if not parenthesis:
        return Wanted(name.strip())
    inside = inside[:-1].strip()
    clause = _CLAUSE.search(inside)
    fields = inside[: clause.start()] if clause else inside
    return Wanted(name.strip(), fields.strip() or "Id", inside[clause.start() :] if clause else "")


def _patterns(term: str) -> list[str]:
    """A regular expression for each word or phrase."""
    words = [(phrase, True) if phrase else (word, False) for phrase, word in _WORD.findall(term)]
    if sum(character.isalnum() for character in term) < 2:
        raise _malformed(f"search term must be longer than one character: {term}")
    if any(word in _OPERATORS and not phrase for word, phrase in words) or "(" in term.replace("\\(", ""):
        raise _malformed("The embedded org searches for words and phrases, without AND, OR, NOT and parentheses")
    return [_pattern(word) for word, _ in words]


def _pattern(word: str) -> str:
    pieces = []
    for escaped, plain in re.findall(r"\\(.)|(.)", word, re.DOTALL):
        wild = {"*": r"\w*", "?": r"\w"}.get(plain)
        pieces.append(wild or re.escape(escaped or plain))
    return rf"(?:^|\W){''.join(pieces)}(?:\W|$)"


def _searched(obj: ObjectDef, group: str) -> list[FieldDef]:
    texts = [field for field in obj if field.type in _TEXT]
    if group == "NAME":
        return [field for field in texts if field.name_field or field.compound_field_name == "Name"]
    if group in {"EMAIL", "PHONE"}:
        return [field for field in texts if field.type == group.lower()]
    return texts


def _malformed(words: str) -> ServiceError:
    return ServiceError(400, "MALFORMED_SEARCH", words)
