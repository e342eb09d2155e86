"""What can go wrong, as a tree; each error says what happened, where, in the org's own words, and what to do.

* SfframeError
    * UsageError             a wrong argument; nothing was sent (also a ValueError)
        * FrameError         the frame or file cannot be used
        * SoqlSyntaxError    the query text cannot be parsed; carries row and column
    * ContractError          rows or columns that the object's describe refuses; carries the frame of failures
    * ConnectionFailed       the org cannot be reached
    * Cancelled              the caller's cancel event was set; the ledger knows how far the work had come
    * LedgerError            the record of runs on this disk cannot be used
    * ApiError               the org answered with an error; carries status, code and message
        * AuthenticationError
        * PermissionDenied
        * NotFound
        * QueryError
        * LimitExceeded
        * ServerUnavailable
    * JobError               a bulk job as a whole; carries the job id
        * JobFailed
        * JobAborted
        * JobTimeout
    * DecodeError            an answer that does not fit its type; carries row, column and text
    * IncompleteAnswer       an answer that is shorter or longer than the org says it is
    * RowsFailed             raised by ``raise_for_failures``

All are picklable and carry what they know as attributes. Below the tree stands the table that explains Salesforce's
row-level codes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Self

if TYPE_CHECKING:
    import polars as pl


class SfframeError(Exception):
    """The root. ``str()`` gives the four parts in one text; each part is an attribute of its own.

    ``run`` is the load that it broke off, where there was one: ``sfframe.resume(run)`` goes on with it.
    """

    run = ""

    def __init__(self, what: str, *, where: str = "", said: str = "", remedy: str = "", job_id: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.said = said
        self.remedy = remedy
        self.job_id = job_id

    def __str__(self) -> str:
        head = f"{self.where}: {self.what}" if self.where else self.what
        parts = [head, f"The org said: {self.said}" if self.said else "", self.remedy]
        return "\n".join(part for part in parts if part)


class UsageError(SfframeError, ValueError):
    """A wrong argument. Nothing was sent."""


class FrameError(UsageError):
    """The frame or file that was handed in cannot be used. Nothing was sent."""


class SoqlSyntaxError(UsageError):
    """The query text cannot be parsed; ``row`` and ``column`` count from 1, ``query`` is the text.

    ``problem`` is the bare reason without position; ``excerpt`` is a window of the query, and a caret below the fault.
    """

    def __init__(
        self, what: str, *, query: str = "", row: int = 1, column: int = 1, problem: str = "", excerpt: str = ""
    ) -> None:
        super().__init__(what, where=f"SOQL row {row}, column {column}")
        self.query = query
        self.row = row
        self.column = column
        self.problem = problem or what
        self.excerpt = excerpt

    def __str__(self) -> str:
        return "\n".join(part for part in (super().__str__(), self.excerpt) if part)


class ContractError(SfframeError):
    """Rows or columns that the object's describe refuses. Nothing was sent.

    ``failures`` is a polars frame with one line per refused cell: row (counted from 0; null for a whole column),
    column, value, rule, message.
    """

    def __init__(self, what: str, *, where: str = "", remedy: str = "", failures: pl.DataFrame | None = None) -> None:
        super().__init__(what, where=where, remedy=remedy)
        self.failures = failures


class ConnectionFailed(SfframeError):
    """The org cannot be reached: no such host, refused, timed out, connection lost.

    ``sent`` is False where it is certain that nothing of the request reached the org.
    """

    def __init__(
        self, what: str, *, where: str = "", said: str = "", remedy: str = "", job_id: str = "", sent: bool = True
    ) -> None:
        super().__init__(what, where=where, said=said, remedy=remedy, job_id=job_id)
        self.sent = sent


class Cancelled(SfframeError):
    """The caller's cancel event was set. Jobs that were closed go on in the org; the ledger knows them."""


class LedgerError(SfframeError):
    """The record of runs on this disk cannot be used: locked, of a newer sfframe, or changed by another process."""


class ApiError(SfframeError):
    """The org answered with an error. ``fields`` names the fields that it blames, where it names any."""

    def __init__(
        self,
        what: str,
        *,
        where: str = "",
        said: str = "",
        remedy: str = "",
        status: int = 0,
        error_code: str = "",
        fields: tuple[str, ...] = (),
        job_id: str = "",
    ) -> None:
        super().__init__(what, where=where, said=said, remedy=remedy, job_id=job_id)
        self.status = status
        self.error_code = error_code
        self.fields = fields


class AuthenticationError(ApiError):
    """The login or the token was refused."""


class PermissionDenied(ApiError):
    """The user of this connection may not do that."""


class NotFound(ApiError):
    """There is no such resource, object, job or record."""


class QueryError(ApiError):
    """The org refuses the query."""


class LimitExceeded(ApiError):
    """A limit of the org is used up."""


class ServerUnavailable(ApiError):
    """The org is in trouble or too busy, and stayed so while we tried."""


class JobError(SfframeError):
    """A bulk job as a whole did not do its work. ``batch_id`` names the batch of Bulk API 1.0 that it is about."""

    batch_id = ""

    def of_batch(self, batch_id: str) -> Self:
        """This error, about one batch of its job."""
        self.batch_id = batch_id
        return self


class JobFailed(JobError):
    """The org gave the job up."""


class JobAborted(JobError):
    """Somebody aborted the job."""


class JobTimeout(JobError):
    """The job goes on in the org; we stopped waiting."""


class DecodeError(SfframeError):
    """A value that does not fit the type that the describe names. ``row`` counts data rows from 0."""

    def __init__(
        self, what: str, *, where: str = "", remedy: str = "", row: int = -1, column: str = "", text: str = ""
    ) -> None:
        super().__init__(what, where=where, remedy=remedy)
        self.row = row
        self.column = column
        self.text = text

    def behind(self, rows: int) -> DecodeError:
        """The same error in an answer in which so many rows stand before those that it counts."""
        if self.row < 0:
            return self
        row = self.row + rows
        where = self.where.replace(f"row {self.row}", f"row {row}")
        return DecodeError(self.what, where=where, remedy=self.remedy, row=row, column=self.column, text=self.text)


class IncompleteAnswer(SfframeError):
    """An answer has more or fewer rows than the org says it has; nothing of it is handed out."""


class RowsFailed(SfframeError):
    """Some rows did not succeed. ``counts`` has the number of rows by status; ``triage`` is a polars frame."""

    def __init__(
        self,
        what: str,
        *,
        where: str = "",
        said: str = "",
        remedy: str = "",
        counts: dict[str, int] | None = None,
        triage: pl.DataFrame | None = None,
    ) -> None:
        super().__init__(what, where=where, said=said, remedy=remedy)
        self.counts = counts or {}
        self.triage = triage


class RowsFailedWarning(UserWarning):
    """Warned after a load in which rows did not succeed."""


Kind = Literal["data", "reference", "duplicate", "permission", "lock", "limit", "server", "automation", "other"]


@dataclass(frozen=True, slots=True)
class Advice:
    """What a row-level code of Salesforce means to the person who loads data."""

    kind: Kind
    text: str
    again: bool = False  # may the same row succeed when it is simply sent again?


# Salesforce status codes that a loader meets (bulk2.md 6.3, rest.md 12), in plain words.
ADVICE: dict[str, Advice] = {
    "REQUIRED_FIELD_MISSING": Advice("data", "Fill the named fields; the object requires them."),
    "STRING_TOO_LONG": Advice("data", "Shorten the text to the length that the message names."),
    "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST": Advice(
        "data", "Use one of the picklist's values (describe lists them), or have the value added to the picklist."
    ),
    "INVALID_EMAIL_ADDRESS": Advice("data", "Correct the e-mail address, or leave the cell empty."),
    "INVALID_FIELD": Advice("data", "Correct the value or the reference that the message names."),
    "NUMBER_OUTSIDE_VALID_RANGE": Advice("data", "Use a number that fits the field's digits."),
    "FIELD_INTEGRITY_EXCEPTION": Advice("data", "The value is not allowed for this field; see the message."),
    "INVALID_TYPE_ON_FIELD_IN_RECORD": Advice("data", "Give the value in the field's type."),
    "MISSING_ARGUMENT": Advice("data", "The row has no Id, which this operation needs."),
    "MALFORMED_ID": Advice("data", "Use an id of 15 or 18 characters, of the right object."),
    "FIELD_CUSTOM_VALIDATION_EXCEPTION": Advice(
        "automation", "A validation rule of the org refuses the row; its own text says why."
    ),
    "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY": Advice(
        "automation", "A trigger or flow of the org failed on the row; show its owner the text."
    ),
    "INVALID_CROSS_REFERENCE_KEY": Advice(
        "reference", "The id names no record of the right kind; load the parent first or correct it."
    ),
    "ENTITY_IS_DELETED": Advice("reference", "The record is in the recycle bin; undelete it, or leave the row out."),
    "INSUFFICIENT_ACCESS_ON_CROSS_REFERENCE_ENTITY": Advice(
        "permission", "This user may not use the record that the row refers to."
    ),
    "DUPLICATE_VALUE": Advice(
        "duplicate", "The value must be unique and is taken; update that record, or upsert by this field."
    ),
    "DUPLICATE_EXTERNAL_ID": Advice(
        "duplicate", "Several records carry this external id; make it unique in the org first."
    ),
    "DUPLICATES_DETECTED": Advice(
        "duplicate", "A duplicate rule of the org found a match; update the record that it names."
    ),
    "INVALID_FIELD_FOR_INSERT_UPDATE": Advice(
        "permission",
        "Leave out the named fields, or have them made writeable for this user. Some parents can only be set on create.",
    ),
    "INSUFFICIENT_ACCESS_OR_READONLY": Advice("permission", "This user may not change the record."),
    "DELETE_FAILED": Advice("reference", "Other records depend on this one; delete or re-parent them first."),
    "UNABLE_TO_LOCK_ROW": Advice(
        "lock", "Another job held a related record; send the rows again, sorted by parent.", again=True
    ),
    "TOO_MANY_LOCK_FAILURE": Advice(
        "lock", "Many rows share a parent; send them again in smaller, sorted parts.", again=True
    ),
    "STORAGE_LIMIT_EXCEEDED": Advice("limit", "The org's storage is full; free some of it."),
    "REQUEST_LIMIT_EXCEEDED": Advice("limit", "The day's API calls are used up; wait for the 24-hour window to move."),
    "API_TEMPORARILY_UNAVAILABLE": Advice("server", "The org was busy; send the rows again.", again=True),
    "SERVER_UNAVAILABLE": Advice("server", "The org was busy; send the rows again.", again=True),
    "INACTIVE_OWNER_OR_USER": Advice("reference", "The owner that the row names is inactive; name an active user."),
    "MIXED_DML_OPERATION": Advice(
        "other",
        "Users, groups and the like cannot be saved together with other objects; load them in a run of their own.",
    ),
    "ALL_OR_NONE_OPERATION_ROLLED_BACK": Advice(
        "other", "Another row of the same call failed; mend that one, or leave all_or_none out."
    ),
    "PROCESSING_HALTED": Advice("other", "Another row of the same call failed; mend that one and send both again."),
    "BATCH_PROCESSING_HALTED": Advice("other", "An earlier row failed; mend that one and send both again."),
    "TXN_SECURITY_NO_ACCESS": Advice(
        "permission", "A transaction security policy of the org forbids it; ask its administrator."
    ),
    "API_CURRENTLY_DISABLED": Advice("server", "The org's API is switched off for now; ask its administrator."),
    "UNKNOWN_EXCEPTION": Advice(
        "server", "The org failed inside; send the rows again, then ask its support with the error id."
    ),
}
NO_ADVICE = Advice("other", "See the message.")

# Why an org gives a whole job up, by the word before the colon (bulk2.md 6.2); its rows are unprocessed.
JOB_ADVICE: dict[str, str] = {
    "InvalidBatch": "First make the columns those that this user may write: the message names what is wrong.",
    "ClientInputError": "Use smaller parts, in the delimiter and line ending of the job.",
    "ExceededQuota": "The day's batches are used up: wait until the 24-hour window has moved.",
    "InternalServerError": "Smaller parts help, and fewer triggers: work that takes too long is the usual cause.",
    "TooManyLockFailure": "Sort them by parent (sort_by_parent), or have one batch done after the other (serial).",
    "FeatureNotEnabled": "First have the named feature granted to this user.",
}

_BY_CODE: dict[str, type[ApiError]] = {
    "INVALID_SESSION_ID": AuthenticationError,
    "INVALIDSESSIONID": AuthenticationError,
    "INVALID_AUTH_HEADER": AuthenticationError,
    "NOT_FOUND": NotFound,
    "MALFORMED_QUERY": QueryError,
    "INVALID_FIELD": QueryError,
    "INVALID_TYPE": QueryError,
    "INVALID_QUERY_LOCATOR": QueryError,
    "INVALID_QUERY_FILTER_OPERATOR": QueryError,
    "QUERY_TIMEOUT": QueryError,
    "QUERY_TOO_COMPLICATED": QueryError,
    "REQUEST_LIMIT_EXCEEDED": LimitExceeded,
    "LIMIT_EXCEEDED": LimitExceeded,
    "EXCEEDEDQUOTA": LimitExceeded,
    "FEATURENOTENABLED": PermissionDenied,
    "INVALIDUSER": PermissionDenied,
    "API_DISABLED_FOR_ORG": PermissionDenied,
}
_BY_STATUS: dict[int, type[ApiError]] = {
    401: AuthenticationError,
    403: PermissionDenied,
    404: NotFound,
    429: LimitExceeded,
}


def class_for(status: int, error_code: str) -> type[ApiError]:
    """The exception class for an error answer: by the org's code, else by the HTTP status.

    Bulk API 1.0 writes the codes of 2.0 in mixed case (bulk1.md 8), so they are compared without it.
    """
    found = _BY_CODE.get(error_code.upper()) or _BY_STATUS.get(status)
    if found is None:
        found = ServerUnavailable if status >= 500 or status in {406, 408, 420} else ApiError
    return found


# A parent that a row names by its external id, and that is not there, has a code that says less (bulk2.md 3.5).
_NO_PARENT = "Foreign key external ID"
NO_PARENT = Advice("reference", "No record has this external id: load the parents first, or correct the key.")


def advice_for(error_code: str, message: str = "") -> Advice:
    """What to do about a row-level error; a code that is not in the table gets ``NO_ADVICE``."""
    return NO_PARENT if message.startswith(_NO_PARENT) else ADVICE.get(error_code, NO_ADVICE)
