"""ServiceError: an answer that is an error, with Salesforce's status, code and words."""

from __future__ import annotations

from collections.abc import Callable


class ServiceError(Exception):
    """Raised by a service, answered by the routes as the JSON array of one (rest.md 1.6, bulk2.md 1.5).

    ``code_first`` gives the key order of the bulk layer: errorCode before message, as every NOT_FOUND has it.
    ``ahead`` are members that stand before the others; they are made with the base path of the request's version.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        fields: list[str] | None = None,
        code_first: bool = False,
        ahead: Callable[[str], dict[str, object]] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.fields = fields
        self.ahead = ahead
        self.code_first = code_first or code == "NOT_FOUND"  # recorded, for REST and composite too
