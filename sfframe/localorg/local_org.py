"""LocalOrg: a Salesforce org of one's own, in memory or in a file, that any client can talk to."""

from __future__ import annotations

import json
import signal
import threading
import weakref
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any

from sfframe.localorg.catalogue.catalogue import Catalogue
from sfframe.localorg.catalogue.model import ObjectDef
from sfframe.localorg.catalogue.types import COMPOUND_TYPES
from sfframe.localorg.faults import Faults
from sfframe.localorg.server import Server
from sfframe.localorg.services import mirroring, rules, undeleting
from sfframe.localorg.services.services import Services
from sfframe.localorg.store.clock import Clock
from sfframe.localorg.store.rules import DuplicateRule, ValidationRule
from sfframe.localorg.store.settings import Settings
from sfframe.localorg.store.snapshots import Snapshot
from sfframe.localorg.store.store import Store, quoted

if TYPE_CHECKING:
    import polars as pl


@dataclass(frozen=True, slots=True)
class Credentials:
    """Everything that logs a client in: a session that lasts as long as the org, and the OAuth secrets."""

    url: str
    username: str
    access_token: str = field(repr=False)
    password: str = field(repr=False)
    security_token: str = field(repr=False)
    client_id: str = field(repr=False)
    client_secret: str = field(repr=False)
    refresh_token: str = field(repr=False)


class LocalOrg:
    """An embedded Salesforce org, served over HTTP on 127.0.0.1 from its construction to ``close``.

    ``path`` names a DuckDB file that keeps the org; without it the org lives in memory. ``seed`` decides the ids (a
    file keeps its own), ``settings`` what a real org has fixed; a seed other than 0 goes before the one in settings.
    ``clock`` is what time it is there, the machine's unless it is set; a file does not keep it.
    Every org has an organization id of its own, unless a seed other than 0 is given: the same one gives the same id.
    Raises OrgFileUnusable for a file that is in use, damaged or not an org, and OSError for a port that is taken.

    >>> from sfframe.localorg import LocalOrg
    >>> with LocalOrg() as org:
    ...     _ = org.deploy([{"name": "Account", "fields": [{"name": "Tier__c", "type": "picklist"}]}])
    ...     org.table("Account").height
    0
    """

    def __init__(
        self,
        path: Path | str | None = None,
        *,
        seed: int = 0,
        settings: Settings | None = None,
        port: int = 0,
        clock: Clock | None = None,
    ) -> None:
        settings = settings or Settings()
        settings = replace(settings, seed=seed or settings.seed)
        self._store = Store(Path(path) if path is not None else None, Catalogue.standard(), settings, clock)
        try:
            self._services = Services(self._store, settings)
            try:
                self._server = Server(self._services, port)
            except BaseException:
                self._services.close()
                raise
        except BaseException:
            self._store.close()
            raise
        secrets = self._services.sessions.secrets
        self.credentials = Credentials(
            url=self._server.url,
            username=secrets.username,
            access_token=self._services.sessions.open_session(lasting=True),
            password=secrets.password,
            security_token=secrets.security_token,
            client_id=secrets.client_id,
            client_secret=secrets.client_secret,
            refresh_token=secrets.refresh_token,
        )
        # Also runs where nobody closes the org: when it is forgotten, and when the process ends.
        self._end = weakref.finalize(self, _end, self._server, self._services, self._store)

    @property
    def url(self) -> str:
        """Where clients find the org, such as ``http://127.0.0.1:41234``."""
        return self._server.url

    @property
    def clock(self) -> Clock:
        """What time it is in the org; ``org.clock.set(...)`` and ``org.clock.advance(hours=1)`` change it."""
        return self._store.clock

    def deploy(self, described: list[dict[str, Any]] | dict[str, Any] | Path | str) -> list[str]:
        """Add objects and fields, as describe gives them; answers the names of the objects.

        Takes one object, a list of objects, or the path of a JSON file with either. What a description leaves out gets
        the default of its type; an object that exists gains the fields. Raises ValueError, naming object and field,
        and changes nothing then.
        """
        given: Any = json.loads(Path(described).read_text("utf-8")) if isinstance(described, Path | str) else described
        objects = [given] if isinstance(given, dict) else given
        if not isinstance(objects, list) or not all(isinstance(one, dict) for one in objects):
            raise ValueError("A deploy takes described objects: a list of dicts with name and fields, or one of them.")
        return [obj.name for obj in self._store.deploy(objects)]

    def reset(self) -> None:
        """Remove all rows, jobs and open queries. Definitions, sessions and the org's own user stay."""
        self._services.reset()

    def validation_rule(self, sobject: str, *, name: str, when: str, message: str, field: str | None = None) -> None:
        """Let an object refuse rows with FIELD_CUSTOM_VALIDATION_EXCEPTION and ``message``, shown at ``field``.

        ``when`` is a SOQL condition, as behind WHERE, that holds for the rows to refuse. It sees the row as it would be
        after the save, and its parents (``Account.Type = 'Partner'``); an empty value is null there. The same name
        again replaces the rule. Kept in the org's file and by ``reset``; ``restore`` brings back the rules of
        its snapshot. Raises ValueError for a condition or a field that the object does not have.

        >>> from sfframe.localorg import LocalOrg
        >>> with LocalOrg() as org:
        ...     org.validation_rule("Account", name="Phone", when="Phone = null", message="A phone?", field="Phone")
        """
        rules.declare(self._store, ValidationRule(self._object(sobject).name, name, when, message, field))

    def duplicate_rule(
        self, sobject: str, *, name: str, fields: list[str], message: str | None = None, block: bool = True
    ) -> None:
        """Let an object refuse rows with DUPLICATES_DETECTED that agree with a live row in all ``fields``.

        A rule that does not ``block`` gives an alert: REST requests with ``Sforce-Duplicate-Rule-Header:
        allowSave=true`` save the rows all the same. Text is compared without case, empty values agree with nothing.
        What is said of ``validation_rule`` holds for the name and for how long it is kept.
        """
        declared = DuplicateRule(self._object(sobject).name, name, tuple(fields), block=block)
        rules.declare(self._store, replace(declared, message=message) if message else declared)

    def insert(self, name: str, rows: pl.DataFrame) -> list[str]:
        """Put rows into an object without any API call; answers their ids in the order of the rows.

        Columns are fields or, for parents, relationships with an external id (``Parent__r.Ext__c``). The org's rules
        hold, declared faults do not. A null leaves the field to its default. All rows go in or none: raises KeyError
        for an unknown object, ValueError for an unknown column and for rows that are refused, naming the first ones.

        >>> import polars as pl
        >>> from sfframe.localorg import LocalOrg
        >>> with LocalOrg() as org:
        ...     acme, apex = org.insert("Account", pl.DataFrame({"Name": ["Acme", "Apex"]}))
        ...     org.table("Account")["Name"].to_list()
        ['Acme', 'Apex']
        """
        return self._services.insert(self._object(name), rows)

    def mirror(self, name: str, rows: pl.DataFrame) -> None:
        """Take over rows of another org as they are, with their ids and stamps; no rule is applied to them.

        Columns are fields, one of them Id; a row whose id is there is replaced. Owners and authors that are null become
        the org's own user. All rows go in or none: raises KeyError for an unknown object, ValueError for an unknown
        column and a value that does not fit.
        """
        mirroring.mirror(self._store, self._object(name), rows)

    def undelete(self, sobject: str, ids: list[str]) -> dict[str, str]:
        """Bring rows back from the recycle bin, with the children that went along.

        Answers the refused ids with what the org says of them, as ``CODE: words``.
        """
        refused = undeleting.undelete(self._store, self._object(sobject), ids)
        return {one: f"{refusal.code}: {refusal.message}" for one, refusal in refused.items()}

    def snapshot(self) -> Snapshot:
        """All rows as they are now, to be brought back by ``restore`` as often as needed; costs a copy of them.

        It lives as long as this process has the org open.
        """
        return self._services.snapshot()

    def restore(self, snapshot: Snapshot) -> None:
        """Bring back the rows of a snapshot. Jobs and open queries are gone then; definitions and sessions stay."""
        self._services.restore(snapshot)

    def release(self, job_id: str) -> None:
        """Let a bulk job go on that a setting or a fault holds."""
        self._services.release(job_id)

    @property
    def faults(self) -> Faults:
        """The fault plan: what shall go wrong, for which requests and jobs (``org.faults.add(Fault(...))``)."""
        return self._services.faults

    def request_log(self) -> pl.DataFrame:
        """The last 10,000 requests, the oldest first.

        Columns: at (UTC), method, path, status (null where the connection ended before an answer began), ms, bytes_in
        and bytes_out (of the bodies, as they came over the wire), fault (the declared fault that struck, if any).
        """
        import polars as pl

        schema = pl.Schema(
            {
                "at": pl.Datetime("ms", "UTC"),
                "method": pl.String(),
                "path": pl.String(),
                "status": pl.Int64(),
                "ms": pl.Float64(),
                "bytes_in": pl.Int64(),
                "bytes_out": pl.Int64(),
                "fault": pl.String(),
            }
        )
        return pl.DataFrame([asdict(one) for one in self._services.request_log.requests()], schema=schema)

    def clear_request_log(self) -> None:
        """Forget all requests so far."""
        self._services.request_log.clear()

    def table(self, name: str, *, deleted: bool = False) -> pl.DataFrame:
        """All rows of an object in the order of their ids; with ``deleted=True`` also those in the recycle bin.

        Numbers are Int64 and Float64, datetimes Datetime("ms", "UTC"), everything else as stored. Compound fields
        (addresses) are left out. Raises KeyError for an unknown object.
        """
        import polars as pl

        obj = self._object(name)
        fields = [one for one in obj if one.type not in COMPOUND_TYPES]
        condition = "" if deleted or obj.field("IsDeleted") is None else ' WHERE "IsDeleted" IS NOT TRUE'
        columns = ", ".join(quoted(one.name) for one in fields)
        frame = self.sql(f'SELECT {columns} FROM {self._store.table(obj)}{condition} ORDER BY "Id"')
        moments = [one.name for one in fields if one.type == "datetime"]
        return frame.with_columns(pl.col(moments).cast(pl.Datetime("ms")).dt.replace_time_zone("UTC"))

    def _object(self, name: str) -> ObjectDef:
        obj = self._store.catalogue.find(name)
        if obj is None:
            raise KeyError(f"The org has no object {name}. Deploy it, or correct the name.")
        return obj

    def sql(self, query: str) -> pl.DataFrame:
        """The result of a DuckDB query over the tables of the schema ``data``, such as ``data."Account"``."""
        with self._store.cursor() as cursor:
            frame: pl.DataFrame = cursor.sql(query).pl()
        return frame

    def wait(self) -> None:
        """Serve until the process is interrupted or terminated (Ctrl-C, SIGTERM); only from the main thread.

        Neither ends the process: the call returns, and the caller closes the org.
        """
        stopped = threading.Event()

        def stop(_number: int, _frame: FrameType | None) -> None:
            stopped.set()

        before = {signal.Signals(number): signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            while not stopped.wait(0.5):  # in slices: on Windows a wait without end is deaf to Ctrl-C
                pass
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def close(self) -> None:
        """Stop serving, end all jobs and let go of the file. A second call does nothing."""
        self._end()

    def __enter__(self) -> LocalOrg:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        place = f"file {self._store.path}" if self._store.path else "in memory"
        return f"<LocalOrg {place}, {f'at {self.url}' if self._end.alive else 'closed'}>"


def _end(server: Server, services: Services, store: Store) -> None:
    server.stop()
    services.close()
    store.close()
