"""Where in a query: row and column, and the excerpt with a caret that Salesforce shows (rest.md 12)."""

from __future__ import annotations

_BEFORE = 32  # the window starts at the word that stands this many characters before the fault
_AFTER = 40  # and ends at a blank at most this many after it


def at(query: str, offset: int) -> tuple[int, int]:
    """The row and the column of ``offset``, both counted from 1."""
    row = query.count("\n", 0, offset) + 1
    return row, offset - query.rfind("\n", 0, offset)


def offset_of(query: str, row: int, column: int) -> int:
    """The offset of a row and a column: ``at`` backwards."""
    start = 0
    for _ in range(row - 1):
        start = query.index("\n", start) + 1
    return start + column - 1


def excerpt(query: str, offset: int) -> str:
    r"""Three lines: a window of the query, a caret below the character at ``offset``, and the position.

    ``"\n" + excerpt(query, offset) + "\n" + reason`` is the message of a Salesforce query error. The window stays in
    the row of the fault, so that the caret stands below it.

    >>> print(excerpt("SELECT Bacon__c FROM Account LIMIT 2", 7))
    SELECT Bacon__c FROM Account LIMIT 2
           ^
    ERROR at Row:1:Column:8
    """
    row, column = at(query, offset)
    row_start = offset - column + 1
    row_end = query.find("\n", offset)
    line = query[row_start : len(query) if row_end < 0 else row_end].rstrip("\r")
    fault = column - 1
    start = max(0, fault - _BEFORE)
    while start > 0 and _in_word(line[start - 1]):
        start -= 1
    end = fault + _AFTER
    if end < len(line):
        blank = line.rfind(" ", fault, end + 1)
        end = blank if blank > fault else end
    return f"{line[start:end]}\n{' ' * (fault - start)}^\nERROR at Row:{row}:Column:{column}"


def _in_word(character: str) -> bool:
    return character.isalnum() or character == "_"
