"""Query text to tokens: one regular expression, three parallel lists."""

from __future__ import annotations

import re
from dataclasses import dataclass

from sfframe.errors import SoqlSyntaxError
from sfframe.soql.position import at, excerpt

# Kinds of tokens: the numbers of the groups below. Frequent kinds come first where the order does not matter.
WORD, SYMBOL, STRING, DATETIME, DATE, TIME, MONEY, NUMBER, BIND, END = range(1, 11)

_TOKEN = re.compile(
    r"""\s*(?:
      ([A-Za-z_]\w*+(?:\s*\.\s*[A-Za-z_]\w*+)*+(?!\.\d|-\d))               # a word or a dotted path
    | (<=|>=|!=|<>|[=<>(),])
    | ('(?:[^'\\]|\\.)*')
    | (\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(?:\.\d+)?(?:[Zz]|[+-]\d\d:?\d\d))
    | (\d{4}-\d\d-\d\d)
    | (\d\d:\d\d:\d\d(?:\.\d+)?[Zz]?)
    | ([A-Za-z]{3}(?:-\d+(?:\.\d+)?|\d+\.\d+))        # USD5000.50; USD5000 is read as a word
    | ([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)
    | (:\s*(?:[+-]?\d+|[A-Za-z_]\w*(?:\s*\.\s*[A-Za-z_]\w*|\([^()]*\)|\[[^\[\]]*\])*))  # :30 of a date literal, :bind
    )""",
    re.VERBOSE | re.ASCII | re.DOTALL,
)
# The star is no SOQL (rest.md 13.1): the client writes the fields out in its place.
_TOKEN_OR_STAR = re.compile(_TOKEN.pattern.replace("[=<>(),]", "[=<>(),*]", 1), _TOKEN.flags)
_BLANKS = re.compile(r"\s*", re.ASCII)

# rest.md 13.2; the letters may be upper case too.
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f", '"': '"', "'": "'", "\\": "\\"}
_ESCAPE = re.compile(r"\\(u[0-9A-Fa-f]{4}|.)", re.DOTALL | re.IGNORECASE)
_PATTERN_ESCAPES = frozenset("_%\\")


@dataclass(frozen=True, slots=True)
class Tokens:
    """The tokens of a query: what kind, as typed, and where from; the last one is an ``END`` without text."""

    query: str
    kinds: list[int]
    texts: list[str]
    starts: list[int]


def syntax_error(query: str, offset: int, problem: str) -> SoqlSyntaxError:
    """The error that points at ``offset``."""
    row, column = at(query, offset)
    what = f"The query cannot be parsed: {problem}"
    shown = excerpt(query, offset).rpartition("\n")[0]
    return SoqlSyntaxError(what, query=query, row=row, column=column, problem=problem, excerpt=shown)


def tokenize(query: str, *, star: bool = False) -> Tokens:
    """The tokens of ``query``; a character that starts none is a syntax error, and so is ``*`` without ``star``."""
    kinds: list[int] = []
    texts: list[str] = []
    starts: list[int] = []
    position = 0
    match = (_TOKEN_OR_STAR if star else _TOKEN).match
    while (found := match(query, position)) is not None:
        kind: int = found.lastindex  # type: ignore[assignment]  # one group always takes part
        kinds.append(kind)
        texts.append(found[kind])
        starts.append(found.start(kind))
        position = found.end()
    position = _BLANKS.match(query, position).end()  # type: ignore[union-attr]  # matches the empty text too
    if position < len(query):
        raise _no_token(query, position)
    kinds.append(END)
    texts.append("")
    starts.append(len(query))
    return Tokens(query, kinds, texts, starts)


def _no_token(query: str, position: int) -> SoqlSyntaxError:
    row, column = at(query, position)
    if query[position] == "'":
        return syntax_error(query, position, f"line {row}:{column} mismatched character '<EOF>' expecting '''")
    character = query[position]
    return syntax_error(query, position, f"line {row}:{column} no viable alternative at character '{character}'")


def unescaped(tokens: Tokens, index: int, *, pattern: bool = False) -> str:
    r"""The text that the string token ``index`` stands for.

    In a ``pattern`` (the right side of LIKE) the pairs ``\_``, ``\%`` and ``\\`` stay as they are, because the
    backslash still tells a character from a wildcard there.
    """
    body = tokens.texts[index][1:-1]
    if "\\" not in body:
        return body

    def one(found: re.Match[str]) -> str:
        letter = found[1]
        if pattern and letter in _PATTERN_ESCAPES:
            return found[0]
        if len(letter) == 5:
            return chr(int(letter[1:], 16))
        plain = _ESCAPES.get(letter.lower())
        if plain is None:
            where = tokens.starts[index] + 1 + found.start()
            problem = f"Invalid string literal '{body}'. Illegal character sequence '{found[0]}' in string literal."
            raise syntax_error(tokens.query, where, problem)
        return plain

    return _ESCAPE.sub(one, body)
