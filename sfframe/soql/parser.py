"""SOQL text to its tree, by recursive descent over the grammar of rest.md 13.1."""

from __future__ import annotations

from typing import Literal, cast

from sfframe.errors import SoqlSyntaxError
from sfframe.soql import tokens as kind
from sfframe.soql.literals import DATE_LITERALS, DATE_LITERALS_N
from sfframe.soql.tokens import syntax_error, tokenize, unescaped
from sfframe.soql.tree import (
    Call,
    Comparison,
    Condition,
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

MAX_LENGTH = 100_000  # rest.md 13.1
MAX_DEPTH = 200  # of parentheses, NOTs and sub-queries; deeper ones would exhaust the stack

# rest.md 13.1, and the words that open the next clause: as an alias they would swallow it.
_NOT_AN_ALIAS = frozenset(
    (
        *("AND", "ASC", "DESC", "EXCLUDES", "FIRST", "FROM", "GROUP", "HAVING", "IN", "INCLUDES", "LAST", "LIKE"),
        *("LIMIT", "NOT", "NULL", "NULLS", "OR", "SELECT", "USING", "WHERE", "WITH"),
        *("ORDER", "OFFSET", "FOR", "UPDATE", "ALL", "WHEN", "THEN", "ELSE", "END"),
    )
)
_AFTER_WITH = frozenset(["GROUP", "ORDER", "HAVING", "LIMIT", "OFFSET", "FOR", "UPDATE", "ALL"])
_COMPARISONS = frozenset(["=", "!=", "<>", "<", "<=", ">", ">="])
_BOUNDS = {kind.DATETIME: "datetime", kind.DATE: "date", kind.TIME: "time", kind.NUMBER: "number"}


def parse(text: str, *, star: bool = False) -> Query:
    """The tree of a SOQL statement. With ``star`` it may say ``SELECT *``, which no org understands.

    Raises ``SoqlSyntaxError`` with the row and the column of the first character that cannot be understood. Whether
    the objects and fields exist is not asked here.

    >>> parse("select Id, Owner.Name from Account where Name like 'A%' limit 5").limit
    5
    """
    if len(text) > MAX_LENGTH:
        raise syntax_error(text, 0, "SOQL statements can not be longer than 100000 characters")
    parser = _Parser(text, star=star)
    query = parser.query()
    parser.finish()
    return query


class _Parser:
    """A position in the tokens; every method reads one construct and stops behind it."""

    __slots__ = ("depth", "index", "kinds", "starts", "text", "texts", "tokens", "words")

    def __init__(self, text: str, *, star: bool) -> None:
        self.text = text
        self.tokens = tokenize(text, star=star)
        self.kinds = self.tokens.kinds
        self.texts = self.tokens.texts
        self.starts = self.tokens.starts
        # Keywords are compared in upper case; symbols are the same in it, and a string's quote keeps it apart.
        self.words = [one.upper() for one in self.texts]
        self.index = 0
        self.depth = 0

    # The small steps.

    def unexpected(self, index: int | None = None) -> SoqlSyntaxError:
        where = self.index if index is None else index
        token = self.texts[where] if self.kinds[where] != kind.END else "<EOF>"
        return syntax_error(self.text, self.starts[where], f"unexpected token: '{token}'")

    def accept(self, word: str) -> bool:
        if self.words[self.index] == word:
            self.index += 1
            return True
        return False

    def expect(self, word: str) -> None:
        if self.words[self.index] != word:
            raise self.unexpected()
        self.index += 1

    def finish(self) -> None:
        if self.kinds[self.index] != kind.END:
            raise self.unexpected()

    def name(self) -> str:
        index = self.index
        if self.kinds[index] != kind.WORD or "." in self.texts[index]:
            raise self.unexpected()
        self.index = index + 1
        return self.texts[index]

    def path(self) -> Path:
        index = self.index
        if self.kinds[index] != kind.WORD:
            raise self.unexpected()
        self.index = index + 1
        text = self.texts[index]
        if "." not in text:
            return Path((text,), self.starts[index])
        return Path(tuple([part.strip() for part in text.split(".")]), self.starts[index])

    def alias(self) -> str | None:
        index = self.index
        if self.kinds[index] != kind.WORD or self.words[index] in _NOT_AN_ALIAS:
            return None
        return self.name()

    def whole_number(self) -> int:
        index = self.index
        if self.kinds[index] != kind.NUMBER or not self.texts[index].isdigit():
            raise self.unexpected()
        self.index = index + 1
        return int(self.texts[index])

    # The statement.

    def query(self) -> Query:
        self.deeper(self.index)
        self.expect("SELECT")
        count_only = self.words[self.index : self.index + 4] == ["COUNT", "(", ")", "FROM"]
        if count_only:
            self.index += 3
        select = () if count_only else self.select_list()
        self.expect("FROM")
        source, related = self.sources()
        scope = None
        if self.accept("USING"):
            self.expect("SCOPE")
            scope = self.name()
        query = Query(
            select=select,
            source=source,
            count_only=count_only,
            related=related,
            scope=scope,
            where=self.condition() if self.accept("WHERE") else None,
            with_clause=self.with_clause(),
            group_by=self.grouping(),
            having=self.condition() if self.accept("HAVING") else None,
            order_by=self.order_by(),
            limit=self.whole_number() if self.accept("LIMIT") else None,
            offset=self.whole_number() if self.accept("OFFSET") else None,
            for_clauses=self.for_clauses(),
            update=self.update(),
            all_rows=self.all_rows(),
        )
        self.depth -= 1
        return query

    def select_list(self) -> tuple[Selected | FieldsOf | TypeOf | SubQuery, ...]:
        items = [self.select_item()]
        while self.accept(","):
            items.append(self.select_item())
        return tuple(items)

    def select_item(self) -> Selected | FieldsOf | TypeOf | SubQuery:
        index = self.index
        if self.accept("("):
            inner = self.query()
            self.expect(")")
            return SubQuery(inner, self.starts[index])
        if self.accept("*"):
            return FieldsOf("*", self.starts[index])
        if self.words[index] == "FROM":
            raise self.unexpected()
        after = self.words[index + 1] if self.kinds[index] != kind.END else ""
        if after == "(":
            return self.fields_of() if self.words[index] == "FIELDS" else Selected(self.call(), self.alias())
        if after in {",", "FROM"}:
            return Selected(self.path())
        if self.words[index] == "TYPEOF" and self.kinds[index + 1] == kind.WORD:
            return self.type_of()
        return Selected(self.path(), self.alias())

    def fields_of(self) -> FieldsOf:
        start = self.starts[self.index]
        self.index += 2
        group = self.words[self.index]
        if group not in {"ALL", "STANDARD", "CUSTOM"}:
            raise self.unexpected()
        self.index += 1
        self.expect(")")
        return FieldsOf(cast("Literal['ALL', 'STANDARD', 'CUSTOM']", group), start)

    def type_of(self) -> TypeOf:
        start = self.starts[self.index]
        self.index += 1
        relationship = self.path()
        whens: list[tuple[str, tuple[Path, ...]]] = []
        while self.accept("WHEN"):
            name = self.name()
            self.expect("THEN")
            whens.append((name, self.paths()))
        if not whens:
            raise self.unexpected()
        otherwise = self.paths() if self.accept("ELSE") else ()
        self.expect("END")
        return TypeOf(relationship, tuple(whens), otherwise, start)

    def paths(self) -> tuple[Path, ...]:
        found = [self.path()]
        while self.accept(","):
            found.append(self.path())
        return tuple(found)

    def sources(self) -> tuple[Source, tuple[Source, ...]]:
        found = [self.source()]
        while self.accept(","):
            found.append(self.source())
        return found[0], tuple(found[1:])

    def source(self) -> Source:
        path = self.path()
        return Source(path.text, self.alias(), path.at)

    def with_clause(self) -> str | None:
        if not self.accept("WITH"):
            return None
        start = self.starts[self.index]
        depth = 0
        while self.kinds[self.index] != kind.END:
            word = self.words[self.index]
            if depth == 0 and (word in _AFTER_WITH or word == ")"):
                break
            depth += {"(": 1, ")": -1}.get(word, 0)
            self.index += 1
        text = self.text[start : self.starts[self.index]].rstrip()
        if not text:
            raise self.unexpected()
        return text

    def grouping(self) -> Grouping | None:
        if not self.accept("GROUP"):
            return None
        self.expect("BY")
        word = self.words[self.index]
        if word in {"ROLLUP", "CUBE"} and self.words[self.index + 1] == "(":
            self.index += 2
            exprs = self.expressions()
            self.expect(")")
            return Grouping(exprs, cast("Literal['ROLLUP', 'CUBE']", word))
        return Grouping(self.expressions())

    def expressions(self) -> tuple[Path | Call, ...]:
        found = [self.expression()]
        while self.accept(","):
            found.append(self.expression())
        return tuple(found)

    def order_by(self) -> tuple[Ordering, ...]:
        if not self.accept("ORDER"):
            return ()
        self.expect("BY")
        found = [self.ordering()]
        while self.accept(","):
            found.append(self.ordering())
        return tuple(found)

    def ordering(self) -> Ordering:
        expr = self.expression()
        descending = self.accept("DESC")
        if not descending:
            self.accept("ASC")
        nulls: Literal["FIRST", "LAST"] | None = None
        if self.accept("NULLS"):
            nulls = "FIRST" if self.words[self.index] == "FIRST" else "LAST"
            self.expect(nulls)
        return Ordering(expr, descending, nulls)

    def for_clauses(self) -> tuple[str, ...]:
        found: list[str] = []
        while self.accept("FOR"):
            found.append(self.one_of("VIEW", "REFERENCE", "UPDATE"))
            while self.accept(","):
                found.append(self.one_of("VIEW", "REFERENCE", "UPDATE"))
        return tuple(found)

    def update(self) -> tuple[str, ...]:
        if not self.accept("UPDATE"):
            return ()
        found = [self.one_of("TRACKING", "VIEWSTAT")]
        while self.accept(","):
            found.append(self.one_of("TRACKING", "VIEWSTAT"))
        return tuple(found)

    def all_rows(self) -> bool:
        if not self.accept("ALL"):
            return False
        self.expect("ROWS")
        return True

    def one_of(self, *words: str) -> str:
        word = self.words[self.index]
        if word not in words:
            raise self.unexpected()
        self.index += 1
        return word

    # Conditions.

    def condition(self) -> Condition:
        first = self.term()
        op = self.words[self.index]
        if op not in {"AND", "OR"}:
            return first
        terms = [first]
        while self.accept(op):
            terms.append(self.term())
        if self.words[self.index] in {"AND", "OR"}:  # not mixed at one level without parentheses (rest.md 13.1)
            raise self.unexpected()
        return Logic(cast("Literal['AND', 'OR']", op), tuple(terms))

    def term(self) -> Condition:
        index = self.index
        if self.accept("NOT"):
            self.deeper(index)
            inner: Condition = Negation(self.term(), self.starts[index])
        elif self.accept("("):
            self.deeper(index)
            inner = self.condition()
            self.expect(")")
        else:
            return self.comparison()
        self.depth -= 1
        return inner

    def deeper(self, index: int) -> None:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise syntax_error(self.text, self.starts[index], f"nested more than {MAX_DEPTH} levels deep")

    def comparison(self) -> Comparison | Membership:
        left = self.expression()
        index = self.index
        op = self.words[index]
        self.index = index + 1
        if op in _COMPARISONS and self.kinds[index] == kind.SYMBOL:
            return Comparison(left, "!=" if op == "<>" else op, self.value(), left.at)
        if op == "LIKE":
            return Comparison(left, op, self.value(pattern=True), left.at)
        if op == "NOT":
            self.expect("IN")
            return Membership(left, "NOT IN", self.members(), left.at)
        if op == "IN":
            return Membership(left, "IN", self.members(), left.at)
        if op in {"INCLUDES", "EXCLUDES"}:
            return Membership(left, cast("Literal['INCLUDES', 'EXCLUDES']", op), self.members(), left.at)
        raise self.unexpected(index)

    def members(self) -> tuple[Value, ...] | Query:
        if self.kinds[self.index] == kind.BIND:
            return (self.value(),)
        self.expect("(")
        if self.words[self.index] == "SELECT":
            inner = self.query()
            self.expect(")")
            return inner
        values = [self.value()]
        while self.accept(","):
            values.append(self.value())
        self.expect(")")
        return tuple(values)

    # Expressions and values.

    def expression(self) -> Path | Call:
        if self.kinds[self.index] == kind.WORD and self.words[self.index + 1] == "(":
            return self.call()
        return self.path()

    def call(self) -> Call:
        start = self.starts[self.index]
        name = self.name()
        self.expect("(")
        self.deeper(self.index)
        args: list[Path | Call | Value] = []
        if not self.accept(")"):
            args.append(self.argument())
            while self.accept(","):
                args.append(self.argument())
            self.expect(")")
        self.depth -= 1
        return Call(name, tuple(args), start)

    def argument(self) -> Path | Call | Value:
        return self.expression() if self.kinds[self.index] == kind.WORD else self.value()

    def value(self, *, pattern: bool = False) -> Value:
        index = self.index
        what = self.kinds[index]
        self.index = index + 1
        if what == kind.STRING:
            return Value("string", unescaped(self.tokens, index, pattern=pattern), None, self.starts[index])
        if what == kind.WORD:
            return self.named_value(index)
        if what == kind.MONEY:
            return Value("currency", self.texts[index], None, self.starts[index])
        if what == kind.BIND:
            bind = self.texts[index][1:].strip()
            if not bind[0].isdigit() and bind[0] not in "+-":
                return Value("bind", bind, None, self.starts[index])
        elif what in _BOUNDS:
            named = cast("Literal['date', 'datetime', 'time', 'number']", _BOUNDS[what])
            return Value(named, self.texts[index], None, self.starts[index])
        raise self.unexpected(index)

    def named_value(self, index: int) -> Value:
        """TRUE, FALSE, NULL, a date literal with or without its number, or an amount such as USD5000."""
        text, word, start = self.texts[index], self.words[index], self.starts[index]
        if word in {"TRUE", "FALSE"}:
            return Value("boolean", text, None, start)
        if word == "NULL":
            return Value("null", text, None, start)
        if word in DATE_LITERALS:
            return Value("date_literal", text, None, start)
        if word in DATE_LITERALS_N:
            after = self.index
            if self.kinds[after] != kind.BIND or not self.texts[after][1:].strip().lstrip("+-").isdigit():
                raise self.unexpected(after)
            self.index = after + 1
            return Value("date_literal", text, int(self.texts[after][1:]), start)
        if len(word) > 3 and word[:3].isalpha() and word[3:].isdigit():
            return Value("currency", text, None, start)
        raise self.unexpected(index)
