"""Task: one save of many rows, as the modules around saving.py hand it on."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import Literal

from sfframe.localorg.catalogue.model import FieldDef, ObjectDef
from sfframe.localorg.services.columns import Column
from sfframe.localorg.store.store import Store

Operation = Literal["insert", "update", "upsert", "delete", "hardDelete"]
ONE_CHUNK = "0"


@dataclass(frozen=True, slots=True)
class Staged:
    """Rows as text. ``relation`` is what stands behind FROM: ``record`` (BIGINT, unique), ``fault`` and the cells.

    ``fault`` is the problem of a row that could not even be read, else null. An empty or null cell leaves its field
    alone (or to its default), one that equals ``null_mark`` clears it. ``records`` are the rows' numbers where they are
    known, ``values`` what the parameters of the relation's SQL stand for.

    Of JSON only rows come here that could be read, so there is no ``fault``. Its cells have no blanks at their ends,
    ids among them have 18 characters, and cells that cannot be read are worded by the reader.
    """

    relation: str
    columns: tuple[Column, ...]
    null_mark: str = "#N/A"
    records: range | None = None
    source: Literal["csv", "json"] = "csv"
    values: dict[str, object] = field(default_factory=dict)
    clean: frozenset[str] = frozenset()  # texts of which none has anything to trim or is the null mark
    filled: frozenset[str] = frozenset()  # cells of which none is null or the null mark
    sound: frozenset[str] = frozenset()  # cells that can be read and are in no conflict with the field's definition
    longest: dict[str, int] = field(default_factory=dict)  # no text of the cell has more bytes, where that is known
    distinct: frozenset[str] = frozenset()  # ids and texts of which no two are alike, with case or without

    @property
    def trimmed(self) -> bool:
        """Whether cells are never empty, have no blanks at their ends and hold ids of 18 characters only."""
        return self.source == "json"


@dataclass(frozen=True, slots=True)
class Locks:
    """Rows that cannot be locked: ``share`` of them, drawn by ``seed``.

    With ``batch_rows`` the rows are those of bulk batches of so many rows, numbered from record 1. ``parallel`` batches
    lock each other's parents: who comes later to one finds it locked by the batch that came first. With ``requeues``
    the save ends early behind the chunk with which a batch has more than 100 locked rows.
    """

    share: float = 0.0
    seed: int = 0
    batch_rows: int | None = None
    parallel: bool = False
    requeues: bool = False


@dataclass(frozen=True, slots=True)
class Task:
    """What is done to which object with which rows; ``external_id`` is the field that an upsert goes by (or Id).

    All that the save touches is stamped with ``moment``: rows that went along with a deleted parent are found again by
    it. Take it (``Store.now``) while holding ``store.writing``, so that stamps come in the order of the saves.
    ``chunk`` is the SQL of the number of a record's chunk; what another interface saves is one chunk.
    """

    store: Store
    obj: ObjectDef
    operation: Operation
    staged: Staged
    moment: dt.datetime
    external_id: FieldDef | None = None
    locks: Locks | None = None
    chunk: str = ONE_CHUNK

    @property
    def columns(self) -> tuple[Column, ...]:
        """The uploaded columns."""
        return self.staged.columns

    @property
    def deletes(self) -> bool:
        """Whether rows go away rather than change."""
        return self.operation in ("delete", "hardDelete")

    @property
    def table(self) -> str:
        """The object's table in SQL."""
        return self.store.table(self.obj)

    @property
    def prefix(self) -> str:
        """The key prefix of the object's ids."""
        return self.obj.key_prefix or ""

    @property
    def key(self) -> FieldDef | None:
        """The field whose column tells which row is meant; None for inserts."""
        if self.operation == "insert":
            return None
        return self.external_id if self.operation == "upsert" else self.obj.field("Id")

    @property
    def key_column(self) -> Column | None:
        """The column of the key, if it was uploaded."""
        key = self.key
        return next((one for one in self.columns if one.field is key and one.key is None), None)
