"""Errors of Bulk API 1.0: an exception code and a message, nearly always with status 400 (bulk1.md 8)."""

from __future__ import annotations

from sfframe.localorg.services.errors import ServiceError


class Bulk1Error(ServiceError):
    """A call that is refused; ``code`` is the ``exceptionCode``."""

    def __init__(self, code: str, message: str, *, status: int = 400) -> None:
        super().__init__(status, code, message)


class BatchFault(Exception):
    """A batch that cannot be processed as a whole; the text is its ``stateMessage``, ``Code : message``."""
