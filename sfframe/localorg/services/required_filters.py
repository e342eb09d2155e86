"""Objects that may only be queried for what is named in the condition (rest.md 13.7)."""

from __future__ import annotations

from sfframe.localorg.services.errors import ServiceError
from sfframe.soql import Comparison, Condition, Logic, Membership, Path, Query

_LINK = "contentdocumentlink"
_NAMED = frozenset({"id", "contentdocumentid", "linkedentityid"})


def refuse_unfiltered(query: Query) -> None:
    """Refuse a query for links of files that names neither links, nor documents, nor records; words from memory."""
    if query.source.name.casefold() == _LINK and not _names(query.where):
        words = (
            "Implementation restriction: ContentDocumentLink requires a filter by a single Id on ContentDocumentId or "
            "LinkedEntityId using the equals operator or multiple Id's using the IN operator."
        )
        raise ServiceError(400, "MALFORMED_QUERY", words)


def _names(condition: Condition | None) -> bool:
    if isinstance(condition, Logic):
        return condition.op == "AND" and any(map(_names, condition.terms))
    if isinstance(condition, Comparison | Membership) and condition.op in ("=", "IN"):
        return isinstance(condition.left, Path) and condition.left.text.casefold() in _NAMED
    return False
