"""Errors of Bulk API 1.0: an exception code and a message, nearly always with status 400 (bulk1.md 8)."""

from __future__ import annotations

from sfframe.localorg.services.errors import ServiceError


class Bulk1Error(ServiceError):
    """A call that is refused; ``code`` is the ``exceptionCode``.

    ``as_json`` says that it is about a JSON job, for requests that say nothing of their format.
    """

    def __init__(self, code: str, message: str, *, as_json: bool = False) -> None:
        super().__init__(400, code, message)
        self.as_json = as_json


class BatchFault(Exception):
    """A batch that cannot be processed as a whole; the text is its ``stateMessage``, ``Code : message``."""
