"""The platform's limits and closed vocabularies, each with its source."""

from __future__ import annotations

from typing import Literal

API_VERSION = "66.0"  # the version that the Bulk API 2.0 guide at hand describes (bulk2.md 11)
OLDEST_API_VERSION = 31  # bulk2.md 1.1

Operation = Literal["insert", "update", "upsert", "delete", "hardDelete"]
OPERATIONS: tuple[Operation, ...] = ("insert", "update", "upsert", "delete", "hardDelete")  # bulk2.md 2.2

Carrier = Literal["bulk2", "bulk1", "collections"]  # the APIs that can carry rows to the org
CARRIERS: tuple[Carrier, ...] = ("bulk2", "bulk1", "collections")
CARRIER_NAMES: dict[Carrier, str] = {
    "bulk2": "Bulk API 2.0",
    "bulk1": "Bulk API 1.0",
    "collections": "sObject Collections",
}
ROWS_FOR_COLLECTIONS = 2_000  # ten calls, answered at once; more rows are cheaper by a bulk job
DAILY_BATCHES = 15_000  # of both bulk APIs (bulk2.md 5)
DAILY_ROWS = 150_000_000  # of Bulk 2.0 (bulk2.md 5)

Delimiter = Literal["BACKQUOTE", "CARET", "COMMA", "PIPE", "SEMICOLON", "TAB"]
DELIMITERS: dict[Delimiter, str] = {  # bulk2.md 2.2
    "BACKQUOTE": "`",
    "CARET": "^",
    "COMMA": ",",
    "PIPE": "|",
    "SEMICOLON": ";",
    "TAB": "\t",
}
LineEnding = Literal["LF", "CRLF"]

NULL_MARK = "#N/A"  # bulk2.md 3.3
UPLOAD_BYTES = 100_000_000  # raw bytes of one upload; base64 must stay under 150 MB (bulk2.md 2.4)
ROWS_PER_JOB = 150_000  # not a limit of the platform: a part that is small enough to be run again (the migration guide)
COLLECTION_ROWS = 200  # records of one collections call (rest.md 6)
BATCH_ROWS = 10_000  # rows of one Bulk 1.0 batch (bulk1.md 2)
BATCH_BYTES = 10_000_000  # and its bytes (bulk1.md 2)
CELL_CHARACTERS = 131_072  # bulk2.md 3.6
RECORD_CHARACTERS = 400_000  # bulk2.md 3.6
RECORD_FIELDS = 5_000  # bulk2.md 3.6
HEADER_CHARACTERS = 32_000  # bulk2.md 3.1
JOB_ID_PREFIX = "750"  # bulk2.md 1.1

INGEST_ENDED = frozenset({"JobComplete", "Failed", "Aborted"})  # bulk2.md 2.1
BATCH_ENDED = frozenset({"Completed", "Failed", "NotProcessed"})  # bulk1.md 3.3

# Columns that a result adds; on input exactly these are dropped (architecture.md 1).
RESULT_COLUMNS = (
    "sf__Id",
    "sf__Status",
    "sf__Created",
    "sf__ErrorCode",
    "sf__ErrorFields",
    "sf__Error",
    "sf__Match",
    "sf__Job",
)
Status = Literal[
    "created", "updated", "deleted", "undeleted", "unchanged", "rejected", "failed", "unprocessed", "unknown"
]
