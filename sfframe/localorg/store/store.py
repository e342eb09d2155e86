"""Store: one DuckDB database with a table per object, and the locks and counters around it."""

from __future__ import annotations

import datetime as dt
import json
import random
import shutil
import tempfile
import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb

from sfframe.localorg.catalogue.catalogue import Catalogue
from sfframe.localorg.catalogue.deployment import Described, refusal
from sfframe.localorg.catalogue.model import FieldDef, ObjectDef
from sfframe.localorg.catalogue.types import COMPOUND_TYPES
from sfframe.localorg.store import java_numbers, record_ids
from sfframe.localorg.store.clock import Clock
from sfframe.localorg.store.record_types import RecordTypes
from sfframe.localorg.store.rules import Rules
from sfframe.localorg.store.settings import Settings
from sfframe.localorg.store.transactions import WritingLock, joined, joining

__all__ = ["COMPOUND_TYPES", "DELETE_LOG", "OrgFileUnusable", "Store", "quoted", "sql_type"]

# How a field's value lies in its table. Datetimes are naive UTC cut to milliseconds (measured.md 9).
_SQL_TYPES = {
    "boolean": "BOOLEAN",
    "int": "BIGINT",
    "long": "BIGINT",
    "double": "DOUBLE",
    "currency": "DOUBLE",
    "percent": "DOUBLE",
    "date": "DATE",
    "datetime": "TIMESTAMP",
    "time": "TIME",
    "base64": "BLOB",
}
DELETE_LOG = "org.delete_log"  # of rows that are gone for good; those in the recycle bin tell of themselves
_PARSED = 100  # statements that are kept
_FORMAT = "1"  # of the org schema; a file of another format is refused
_ATTACHED = "sfframe_org"  # the catalogue that a file is
# What a new org says of itself (recorded: cumulusci).
_NEW_ORGANIZATION = {
    "ReceivesInfoEmails": True,
    "ReceivesAdminInfoEmails": True,
    "PreferencesConsentManagementEnabled": True,
    "PreferencesLightningLoginEnabled": True,
    "DefaultAccountAccess": "Edit",
    "DefaultContactAccess": "ControlledByParent",
    "DefaultOpportunityAccess": "Edit",
    "DefaultLeadAccess": "ReadEditTransfer",
    "DefaultCaseAccess": "ReadEditTransfer",
    "DefaultCalendarAccess": "HideDetailsInsert",
    "DefaultPricebookAccess": "ReadSelect",
    "DefaultCampaignAccess": "All",
    "UiSkin": "Theme3",
    "WebToCaseDefaultOrigin": "Web",
    "MonthlyPageViewsUsed": 0,
    "MonthlyPageViewsEntitlement": 0,
}
_USERNAME = "integration@sfframe.example"

# Files that are open in this process: DuckDB would hand out the same database twice, with two sets of locks.
_open_files: set[Path] = set()
_open_files_lock = threading.Lock()


class OrgFileUnusable(Exception):
    """The file of an org cannot be opened: in use elsewhere, damaged, or not the file of an org."""


def quoted(name: str) -> str:
    """``name`` as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def sql_type(field: FieldDef) -> str:
    """The DuckDB type of the field's column; text for all that is not a number, a date or a truth value."""
    return _SQL_TYPES.get(field.type, "VARCHAR")


class Store:
    """The rows of the org.

    Every request and every job uses a cursor of its own (``with store.cursor() as cursor``); who writes holds
    ``writing``, because DuckDB refuses two writers of one table. ``scratch`` is a private directory for spool files
    that is gone after ``close``. ``user_id``, ``profile_id`` and the ids of all rows depend on the seed alone, and with
    a seed other than 0 ``org_id`` does too; a file keeps those of its first day. Ids are unique because the counter is;
    they carry no index, which would double the time of a bulk insert and find a row no sooner.
    """

    def __init__(
        self, path: Path | None, catalogue: Catalogue, settings: Settings | None = None, clock: Clock | None = None
    ) -> None:
        self.path = path.absolute() if path else None
        self.clock = clock or Clock()
        self.catalogue = catalogue
        self.rules = Rules()
        self.record_types = RecordTypes()
        # Set by who knows of declared faults: of a save on this object by this operation, the share of locked rows.
        self.locked_share: Callable[[str, str], float] = lambda _object, _operation: 0.0
        self.settings = settings or Settings()
        self.writing = WritingLock(self)
        self.shown_edition = -1  # of the catalogue, in the tables that show it to SOQL (services/definitions.py)
        self.scratch = Path(tempfile.mkdtemp(prefix="sfframe-org-"))
        self.written: set[str] = set()  # objects that rows were inserted into since the store was opened
        self._parsed: OrderedDict[str, duckdb.Statement] = OrderedDict()
        self._tidy = weakref.finalize(self, shutil.rmtree, self.scratch, ignore_errors=True)
        try:
            self._connection = _connect(self.path, self.scratch)
            try:
                self._prepare()
            except BaseException:
                _disconnect(self._connection, self.path)
                raise
        except BaseException:
            self._tidy()
            raise

    @property
    def pod(self) -> str:
        """The two characters behind the key prefix of every id of this org."""
        return self.org_id[3:5]

    def cursor(self) -> duckdb.DuckDBPyConnection:
        """A cursor on the database, to be closed after use: a new one, or inside of a transaction the one of it."""
        return joined(self) or self.new_cursor()

    @property
    def in_transaction(self) -> bool:
        """Whether the caller is part of an open transaction."""
        return joined(self) is not None

    def new_cursor(self) -> duckdb.DuckDBPyConnection:
        """A new cursor, which sees nothing of an open transaction and may outlive it."""
        cursor = self._connection.cursor()
        if self.path is not None:
            cursor.execute(f"USE {_ATTACHED}")
        return cursor

    def parsed(self, cursor: duckdb.DuckDBPyConnection, sql: str) -> duckdb.Statement:
        """The statement of a text that may come again soon: to parse it takes a quarter of its time for a few rows.

        Hold ``writing``.
        """
        found = self._parsed.pop(sql, None) or cursor.extract_statements(sql)[0]
        self._parsed[sql] = found
        if len(self._parsed) > _PARSED:
            self._parsed.popitem(last=False)
        return found

    @contextmanager
    def transaction(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """The cursor of a change: all that is done with it, or none of it where the block raises.

        Holds ``writing``. Who opens a transaction inside of another joins that one; what has to be undone then is
        the outer one's to undo, so the exception has to reach it.
        """
        open_one = joined(self)
        if open_one is not None:
            yield open_one
            return
        with self.writing, self.new_cursor() as cursor:
            cursor.execute("BEGIN")
            try:
                with joining(self, cursor) as shared:
                    yield shared
                cursor.execute("COMMIT")
            except BaseException:
                cursor.execute("ROLLBACK")
                raise

    def table(self, obj: ObjectDef) -> str:
        """The object's table as it is written in SQL."""
        return f"data.{quoted(obj.name)}"

    def filled_tables(self, cursor: duckdb.DuckDBPyConnection) -> set[str]:
        """The objects that have rows, or had some; a look at all tables would take longer than most saves."""
        # DuckDB's count has no rows of an open transaction; those are ``written``.
        sql = "SELECT table_name FROM duckdb_tables() WHERE schema_name = 'data' AND estimated_size > 0"
        return self.written | {name for (name,) in cursor.execute(sql).fetchall()}

    def now(self) -> dt.datetime:
        """The org's clock: naive UTC, whole seconds, as Salesforce's system fields show it."""
        return self.clock.now().replace(microsecond=0, tzinfo=None)

    def next_counter(self, cursor: duckdb.DuckDBPyConnection, prefix: str, count: int) -> int:
        """Reserve ``count`` record numbers for ``sf_id(prefix, n)``; answers the first. Hold ``writing``.

        Runs in the cursor's transaction: what is rolled back is given out again.
        """
        given = {"prefix": prefix, "count": count}
        # An upsert would do both, but takes twice as long to plan.
        more = "UPDATE org.counters SET last = last + $count WHERE prefix = $prefix RETURNING last"
        rows = cursor.execute(self.parsed(cursor, more), given).fetchall()
        if not rows:
            rows = cursor.execute("INSERT INTO org.counters VALUES ($prefix, $count) RETURNING last", given).fetchall()
        return int(rows[0][0]) - count + 1

    def new_id(self, prefix: str) -> str:
        """One new id outside of any transaction: of a job, a session, a locator."""
        with self.writing, self.cursor() as cursor:
            return record_ids.record_id(prefix, self.pod, self.next_counter(cursor, prefix, 1))

    def deploy(self, described: list[Described]) -> list[ObjectDef]:
        """Deploy to the catalogue, bring the tables in line and remember the definitions in the file.

        All or nothing; raises ValueError as ``Catalogue.deploy`` does, and where a column would have to change its
        kind of value.
        """
        with self.writing, self.cursor() as cursor:
            planned = self.catalogue.planned(described)
            self._refuse_changed_columns(cursor, planned)
            cursor.execute("BEGIN")
            try:
                self._ensure(cursor, planned)
                kept = [one | {"keyPrefix": obj.key_prefix} for one, obj in zip(described, planned, strict=True)]
                cursor.execute(
                    "INSERT INTO org.deployments SELECT coalesce(max(position), 0) + 1, $1 FROM org.deployments",
                    [json.dumps(kept)],
                )
                self._keep(cursor, "metadata_changed", self.now().isoformat())
                self.add_record_types(cursor)
                cursor.execute("COMMIT")
            except BaseException:
                cursor.execute("ROLLBACK")
                raise
            self.catalogue.adopt(planned)
        return planned

    def add_record_types(self, cursor: duckdb.DuckDBPyConnection) -> None:
        """Add the record types of all deployments where they are missing, as in a new org or one that was emptied."""

        def new_id() -> str:
            return record_ids.record_id("012", self.pod, self.next_counter(cursor, "012", 1))

        stamps = dict.fromkeys(("CreatedDate", "LastModifiedDate", "SystemModstamp"), self.now())
        users = {"CreatedById": self.user_id, "LastModifiedById": self.user_id}
        for (text,) in cursor.execute("SELECT described FROM org.deployments ORDER BY position").fetchall():
            self.record_types.adopt(cursor, json.loads(text), new_id, stamps | users)

    def metadata_changed(self) -> dt.datetime:
        """When definitions last changed, naive UTC in whole seconds."""
        with self.cursor() as cursor:
            return dt.datetime.fromisoformat(self._kept(cursor)["metadata_changed"])

    def reset(self) -> None:
        """Remove all rows but those that every org has, and begin the counters anew; definitions stay."""
        with self.writing, self.cursor() as cursor:
            cursor.execute("BEGIN")
            for obj in self.catalogue.objects.values():
                cursor.execute(f"DELETE FROM {self.table(obj)}")
            cursor.execute(f"DELETE FROM org.counters; DELETE FROM {DELETE_LOG}")
            self._seed_rows(cursor)
            self.add_record_types(cursor)
            cursor.execute("COMMIT")

    def close(self) -> None:
        """Write everything to the file and let go of it. A second call does nothing."""
        with self.writing:
            if self._tidy.alive:
                _disconnect(self._connection, self.path)
                self._tidy()

    def _prepare(self) -> None:
        with self.cursor() as cursor:
            if _is_new(cursor):
                self._create(cursor)
            try:
                kept = self._kept(cursor)
            except duckdb.CatalogException as error:
                raise self._unusable("It is a DuckDB database, but not the file of an org.") from error
            if kept["format"] != _FORMAT:
                raise self._unusable(f"It was written by another version of sfframe (format {kept['format']}).")
            self.org_id, self.user_id, self.profile_id = (kept[key] for key in ("org_id", "user_id", "profile_id"))
            self.rules.load(cursor)
            cursor.execute(f"CREATE TABLE IF NOT EXISTS {DELETE_LOG} (object VARCHAR, id VARCHAR, moment TIMESTAMP)")
            cursor.execute(record_ids.macros(self.pod) + java_numbers.MACROS)
            for (text,) in cursor.execute("SELECT described FROM org.deployments ORDER BY position").fetchall():
                self.catalogue.deploy(json.loads(text))
            self._ensure(cursor, list(self.catalogue.objects.values()))
            if not cursor.execute('SELECT count(*) FROM data."Organization"').fetchall()[0][0]:
                self._seed_rows(cursor)
            self.add_record_types(cursor)

    def _create(self, cursor: duckdb.DuckDBPyConnection) -> None:
        cursor.execute(
            """
            CREATE SCHEMA data;
            CREATE SCHEMA org;
            CREATE TABLE org.settings (key VARCHAR PRIMARY KEY, value VARCHAR);
            CREATE TABLE org.counters (prefix VARCHAR PRIMARY KEY, last BIGINT);
            CREATE TABLE org.deployments (position BIGINT, described VARCHAR);
            """
        )
        drawn = random.Random(self.settings.seed)  # noqa: S311 - ids are not secrets
        pod = "".join(drawn.choices(record_ids.ALPHABET, k=2))
        self._keep(cursor, "format", _FORMAT)
        self._keep(cursor, "metadata_changed", self.now().isoformat())
        numbers = {prefix: drawn.randrange(62**4, 62**5) for prefix in ("00D", "005", "00e")}
        if not self.settings.seed:
            # No two orgs have the same id: by it clients know what they loaded where.
            numbers["00D"] = random.SystemRandom().randrange(62**8, 62**9)
        for key, prefix in (("org_id", "00D"), ("user_id", "005"), ("profile_id", "00e")):
            self._keep(cursor, key, record_ids.record_id(prefix, pod, numbers[prefix]))

    def _seed_rows(self, cursor: duckdb.DuckDBPyConnection) -> None:
        """The rows that clients ask for unasked (clients.md 1)."""
        stamps: dict[str, Any] = dict.fromkeys(("CreatedDate", "LastModifiedDate", "SystemModstamp"), self.now())
        stamps |= {"CreatedById": self.user_id, "LastModifiedById": self.user_id}
        locale = {"TimeZoneSidKey": "GMT", "LanguageLocaleKey": "en_US"}
        organization = {
            "Id": self.org_id,
            "Name": "sfframe embedded org",
            "OrganizationType": "Developer Edition",
            "IsSandbox": self.settings.sandbox,
            "InstanceName": "LOCAL",
            "DefaultLocaleSidKey": "en_US",
            "FiscalYearStartMonth": 1,
        } | _NEW_ORGANIZATION
        profile = {"Id": self.profile_id, "Name": "System Administrator", "UserType": "Standard"}
        user = {
            "Id": self.user_id,
            "Username": _USERNAME,
            "FirstName": "Integration",
            "LastName": "User",
            "Name": "Integration User",
            "Email": _USERNAME,
            "Alias": "integ",
            "CommunityNickname": "integration",
            "IsActive": True,
            "LocaleSidKey": "en_US",
            "EmailEncodingKey": "UTF-8",
            "ProfileId": self.profile_id,
            "UserType": "Standard",
        }
        price_book = {
            "Id": record_ids.record_id("01s", self.pod, self.next_counter(cursor, "01s", 1)),
            "Name": "Standard Price Book",
            "IsActive": True,
            "IsStandard": True,
            "IsDeleted": False,
            "IsArchived": False,
        }
        rows: dict[str, dict[str, Any]] = {
            "Organization": organization | locale,
            "Profile": profile,
            "User": user | locale,
            "Pricebook2": price_book,
        }
        for name, row in rows.items():
            _insert(cursor, name, row | stamps)

    def _ensure(self, cursor: duckdb.DuckDBPyConnection, objects: list[ObjectDef]) -> None:
        """Create the tables of the objects, or add the columns that they lack. New checkbox columns hold their default.

        In one text after one look at what is there: for the standard objects this takes a third of the time.
        """
        present = self._column_types(cursor)
        statements = []
        for obj in objects:
            columns = {field.name: _column(field) for field in obj if field.type not in COMPOUND_TYPES}
            known = present.get(obj.name.casefold())
            if known is None:
                statements.append(f"CREATE TABLE {self.table(obj)} ({', '.join(columns.values())});")
                continue
            lacking = [column for name, column in columns.items() if name.casefold() not in known]
            statements += [f"ALTER TABLE {self.table(obj)} ADD COLUMN {column};" for column in lacking]
        if statements:
            cursor.execute("\n".join(statements))

    def _column_types(self, cursor: duckdb.DuckDBPyConnection) -> dict[str, dict[str, str]]:
        """The type of each column of each table that is there, under casefolded names."""
        rows = cursor.execute(
            "SELECT table_name, column_name, data_type FROM duckdb_columns() WHERE schema_name = 'data'"
        ).fetchall()
        found: dict[str, dict[str, str]] = {}
        for table, name, kind in rows:
            found.setdefault(table.casefold(), {})[name.casefold()] = kind
        return found

    def _refuse_changed_columns(self, cursor: duckdb.DuckDBPyConnection, objects: list[ObjectDef]) -> None:
        present = self._column_types(cursor)
        for obj in objects:
            for field in obj:
                before = present.get(obj.name.casefold(), {}).get(field.name.casefold())
                if before is not None and before != sql_type(field):
                    what = f"the stored values are of type {before}; a {field.type} cannot take them over."
                    raise refusal(f"{obj.name}.{field.name}", what, "Keep the type, or deploy a field of another name.")

    def _keep(self, cursor: duckdb.DuckDBPyConnection, key: str, value: str) -> None:
        cursor.execute("INSERT OR REPLACE INTO org.settings VALUES ($1, $2)", [key, value])

    def _kept(self, cursor: duckdb.DuckDBPyConnection) -> dict[str, str]:
        return dict(cursor.execute("SELECT key, value FROM org.settings").fetchall())

    def _unusable(self, what: str) -> OrgFileUnusable:
        return OrgFileUnusable(f"{self.path} cannot be opened. {what} Name another file, or a new one.")


def _connect(path: Path | None, scratch: Path) -> duckdb.DuckDBPyConnection:
    # Without a directory of its own, a database in memory spills into the working directory.
    config: dict[str, str | bool | int | float | list[str]] = {"temp_directory": str(scratch / "spill")}
    connection = duckdb.connect(":memory:", config=config)
    if path is None:
        return connection
    with _open_files_lock:
        if path in _open_files:
            raise OrgFileUnusable(f"{path} is open in this process already. Close that org first, or use it.")
        _open_files.add(path)
    try:
        # Opened directly, a file called org.duckdb or data.duckdb would name a catalogue like one of the schemas.
        connection.execute(f"ATTACH '{str(path).replace(chr(39), chr(39) * 2)}' AS {_ATTACHED} (TYPE duckdb)")
    except duckdb.Error as error:
        connection.close()
        with _open_files_lock:
            _open_files.discard(path)
        if "lock" in str(error).lower():
            raise OrgFileUnusable(
                f"{path} is in use by another process. Close the org there, talk to it by its URL, or copy the file."
            ) from error
        if not path.parent.is_dir():
            raise OrgFileUnusable(f"{path} cannot be created: there is no folder {path.parent}.") from error
        raise OrgFileUnusable(
            f"{path} cannot be opened: it is damaged, or not the file of an org. Name another file. DuckDB: {error}"
        ) from error
    return connection


def _disconnect(connection: duckdb.DuckDBPyConnection, path: Path | None) -> None:
    connection.close()
    if path is not None:
        with _open_files_lock:
            _open_files.discard(path)


def _is_new(cursor: duckdb.DuckDBPyConnection) -> bool:
    return not cursor.execute("SELECT count(*) FROM duckdb_tables() WHERE NOT internal").fetchall()[0][0]


def _column(field: FieldDef) -> str:
    column = f"{quoted(field.name)} {sql_type(field)}"
    if field.type == "boolean":
        column += f" DEFAULT {field.default_value or 'false'}"
    return column


def _insert(cursor: duckdb.DuckDBPyConnection, table: str, row: dict[str, Any]) -> None:
    names = ", ".join(quoted(name) for name in row)
    marks = ", ".join("?" for _ in row)
    cursor.execute(f"INSERT INTO data.{quoted(table)} ({names}) VALUES ({marks})", list(row.values()))
