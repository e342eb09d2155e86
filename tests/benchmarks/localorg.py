"""How fast the embedded org is, beside plain DuckDB doing the same in the same run.

    python tests/benchmarks/localorg.py [--rows 1000000]

CPU seconds are those of all threads of this process, so that a busy machine changes little. The org is served and
called over HTTP; the caller is the main thread, which is not counted. The ratio is the org's CPU over DuckDB's.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import httpx

from sfframe.localorg import LocalOrg

DATA = "/services/data/v60.0"
UPLOAD_MB = 100
CHUNK = 1 << 20
COLLECTION_ROWS = 200
JOB_ROWS = 500_000

FIELDS: list[dict[str, Any]] = [
    {"name": "Ext__c", "type": "string", "length": 20, "externalId": True},
    {"name": "Title__c", "type": "string", "length": 80},
    {"name": "Street__c", "type": "string", "length": 80},
    {"name": "City__c", "type": "string", "length": 40},
    {"name": "Amount__c", "type": "double", "precision": 18, "scale": 2},
    {"name": "Rate__c", "type": "double", "precision": 9, "scale": 4},
    {"name": "Count__c", "type": "int", "digits": 9},
    {"name": "Active__c", "type": "boolean"},
    {"name": "Day__c", "type": "date"},
    {"name": "Moment__c", "type": "datetime"},
    {"name": "Mail__c", "type": "email"},
]
NAMES = ["Name", *(field["name"] for field in FIELDS)]
SQL_TYPES = ["VARCHAR"] * 5 + ["DOUBLE", "DOUBLE", "BIGINT", "BOOLEAN", "DATE", "TIMESTAMP", "VARCHAR"]
SYSTEM_COLUMNS = """Id VARCHAR, OwnerId VARCHAR, CreatedById VARCHAR, LastModifiedById VARCHAR, IsDeleted BOOLEAN,
    CreatedDate TIMESTAMP, LastModifiedDate TIMESTAMP, SystemModstamp TIMESTAMP"""
USER = "'005000000000001AAA'"
SYSTEM_VALUES = f"""'a00000' || lpad(CAST(nextval('ids') AS VARCHAR), 9, '0') || 'AAA', {USER}, {USER}, {USER}, false,
    TIMESTAMP '2024-01-01', TIMESTAMP '2024-01-01', TIMESTAMP '2024-01-01'"""
ROWS = """
    SELECT 'Record ' || i AS "Name", 'K' || i AS "Ext__c", 'A title of some length ' || (i % 977) AS "Title__c",
        (i % 240) || ' Long Street' AS "Street__c", 'City ' || (i % 331) AS "City__c",
        round((i * 7919 % 100000000) / 100, 2) AS "Amount__c", round((i % 9973) / 10000, 4) AS "Rate__c",
        i % 100000 AS "Count__c", i % 3 = 0 AS "Active__c", DATE '2020-01-01' + CAST(i % 2000 AS INT) AS "Day__c",
        strftime(TIMESTAMP '2024-01-01' + INTERVAL 1 SECOND * (i % 9999999), '%Y-%m-%dT%H:%M:%S.%gZ') AS "Moment__c",
        'person' || i || '@example.org' AS "Mail__c"
    FROM range({first}, {last}) r(i)
"""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the table; ``goal`` is the highest ratio or the lowest rate that is wanted."""

    what: str
    org: str
    plain: str
    result: str
    goal: str
    met: bool


class Clock:
    """CPU seconds of this process and seconds on the wall, from ``with`` to its end."""

    cpu = wall = 0.0

    @contextmanager
    def running(self, *, caller: bool = True) -> Iterator[None]:
        """Count; without the ``caller``, who is the thread that this is called in, only what all others do."""
        cpu, own, wall = time.process_time(), time.thread_time(), time.perf_counter()
        yield
        self.cpu, self.wall = time.process_time() - cpu, time.perf_counter() - wall
        if not caller:
            self.cpu -= time.thread_time() - own


class Client:
    """A caller of the org's bulk API over HTTP."""

    def __init__(self, org: LocalOrg) -> None:
        headers = {"Authorization": f"Bearer {org.credentials.access_token}"}
        self._http = httpx.Client(base_url=org.url, headers=headers, timeout=600)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def load(self, operation: str, content: Path, results: Path, key: str | None = None) -> dict[str, Any]:
        """A job from its creation to its result file, which is written to ``results``."""
        body = {"object": "Bench__c", "operation": operation} | ({"externalIdFieldName": key} if key else {})
        job = self._json("POST", f"{DATA}/jobs/ingest", json=body)
        path = f"{DATA}/jobs/ingest/{job['id']}"
        sent = self._http.put(f"{path}/batches", content=pieces(content), headers={"Content-Type": "text/csv"})
        sent.raise_for_status()
        self._json("PATCH", path, json={"state": "UploadComplete"})
        told = self._ended(path)
        self._download(f"{path}/successfulResults", results)
        return told

    def query(self, soql: str, results: Path) -> int:
        """All rows of a query job, page by page; answers how many pages there were."""
        job = self._json("POST", f"{DATA}/jobs/query", json={"operation": "query", "query": soql})
        path = f"{DATA}/jobs/query/{job['id']}"
        self._ended(path)
        locator, pages = "", 0
        while locator != "null":
            following = f"&locator={locator}" if locator else ""
            headers = self._download(f"{path}/results?maxRecords=250000{following}", results, append=bool(pages))
            locator, pages = headers["Sforce-Locator"], pages + 1
        return pages

    def collections(self, calls: int) -> None:
        """So many calls with 200 new rows each."""
        for call in range(calls):
            records = [
                {
                    "attributes": {"type": "Bench__c"},
                    "Name": f"c{call}-{row}",
                    "Amount__c": row,
                    "Title__c": "in a collection",
                }
                for row in range(COLLECTION_ROWS)
            ]
            answer = self._http.post(f"{DATA}/composite/sobjects", json={"allOrNone": False, "records": records})
            if answer.status_code != 200 or not all(one["success"] for one in answer.json()):
                raise RuntimeError(f"a collection failed: {answer.text[:300]}")

    def _ended(self, path: str) -> dict[str, Any]:
        while True:
            job = self._json("GET", path)
            if job["state"] in ("JobComplete", "Failed", "Aborted"):
                if job["state"] != "JobComplete":
                    raise RuntimeError(f"the job did not complete: {job}")
                return job
            time.sleep(0.2)

    def _json(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        answer = self._http.request(method, path, **options)
        answer.raise_for_status()
        told: dict[str, Any] = answer.json()
        return told

    def _download(self, path: str, results: Path, *, append: bool = False) -> httpx.Headers:
        with (
            self._http.stream("GET", path, headers={"Accept-Encoding": "identity"}) as answer,
            results.open("ab" if append else "wb") as file,
        ):
            answer.raise_for_status()
            for piece in answer.iter_raw():
                file.write(piece)
        return answer.headers


def pieces(path: Path) -> Iterator[bytes]:
    """A file in pieces."""
    with path.open("rb") as file:
        while piece := file.read(CHUNK):
            yield piece


def write_rows(folder: Path, first: int, last: int) -> list[Path]:
    """The rows of these numbers as CSV, in files that one upload may hold (bulk2.md 2.4)."""
    paths = []
    for start in range(first, last, JOB_ROWS):
        paths.append(folder / f"rows-{first}-{start}.csv")
        duckdb.sql(f"COPY ({ROWS.format(first=start, last=min(start + JOB_ROWS, last))}) TO '{paths[-1]}' (HEADER)")
    return paths


class Plain:
    """The same rows in the same kind of table by DuckDB alone; nothing is checked, and there are no results."""

    def __init__(self) -> None:
        self.connection = duckdb.connect()
        columns = ", ".join(f'"{name}" {kind}' for name, kind in zip(NAMES, SQL_TYPES, strict=True))
        self.connection.execute(f"CREATE TABLE bench ({columns}, {SYSTEM_COLUMNS})")
        self.connection.execute("CREATE SEQUENCE ids")

    def insert(self, paths: list[Path]) -> None:
        for path in paths:
            self.connection.execute(f"INSERT INTO bench SELECT *, {SYSTEM_VALUES} FROM {self._read(path)}")

    def upsert(self, paths: list[Path]) -> None:
        for path in paths:
            self._upsert(path)

    def _upsert(self, path: Path) -> None:
        self.connection.execute(f"CREATE OR REPLACE TEMP TABLE given AS SELECT * FROM {self._read(path)}")
        changes = ", ".join(f'"{name}" = given."{name}"' for name in NAMES if name != "Ext__c")
        self.connection.execute(f'UPDATE bench SET {changes} FROM given WHERE bench."Ext__c" = given."Ext__c"')
        self.connection.execute(
            f'INSERT INTO bench SELECT *, {SYSTEM_VALUES} FROM given ANTI JOIN bench USING ("Ext__c")'
        )

    def copy(self, path: Path) -> None:
        self.connection.execute(f"COPY (SELECT {', '.join(NAMES)} FROM bench) TO '{path}' (HEADER, FORCE_QUOTE *)")

    @staticmethod
    def _read(path: Path) -> str:
        columns = ", ".join(f"'{name}': '{kind}'" for name, kind in zip(NAMES, SQL_TYPES, strict=True))
        return f"read_csv('{path}', columns={{{columns}}}, header=true)"


def beside(what: str, org: Callable[[], object], plain: Callable[[], object], goal: float) -> Line:
    """One piece of work done by both."""
    of_org, of_plain = Clock(), Clock()
    with of_plain.running():
        plain()
    with of_org.running(caller=False):
        org()
    ratio = of_org.cpu / of_plain.cpu
    return Line(
        what,
        f"{of_org.cpu:.2f} s CPU, {of_org.wall:.2f} s",
        f"{of_plain.cpu:.2f} s CPU, {of_plain.wall:.2f} s",
        f"{ratio:.1f} x",
        f"at most {goal:g} x" if goal else "",
        not goal or ratio <= goal,
    )


def collections(client: Client, calls: int) -> Line:
    """Collections of 200 rows, one call after the other."""
    client.collections(2)
    clock = Clock()
    with clock.running():
        client.collections(calls)
    rate = calls / clock.wall
    return Line(
        "collections of 200",
        f"{clock.wall / calls * 1000:.0f} ms a call",
        "",
        f"{rate:.0f} /s",
        "at least 50 /s",
        rate >= 50,
    )


def memory(folder: Path, megabytes: int) -> Line:
    """How much more a process with an org needs at its height when a file of that size has been uploaded to it."""
    content = folder / "upload.csv"
    with content.open("wb") as file:
        file.write(b"Name\n")
        for _ in range(megabytes):
            file.write((b"x" * 79 + b"\n") * (1_000_000 // 80))
    spawn = multiprocessing.get_context("spawn")
    with spawn.Pool(1) as pool:
        before, after = pool.apply(_upload_alone, (str(content),))
    grown = (after - before) / 1024
    heights = f"{before / 1024:.0f} -> {after / 1024:.0f} MB"
    return Line(f"upload of {megabytes} MB", heights, "", f"+{grown:.0f} MB", "at most +25 MB", grown <= 25)


def _upload_alone(content: str) -> tuple[int, int]:
    with LocalOrg() as org, httpx.Client(base_url=org.url, timeout=600) as http:
        http.headers["Authorization"] = f"Bearer {org.credentials.access_token}"

        def upload(pieces_of: Iterator[bytes]) -> None:
            job = http.post(f"{DATA}/jobs/ingest", json={"object": "Account", "operation": "insert"}).json()
            http.put(f"{DATA}/jobs/ingest/{job['id']}/batches", content=pieces_of).raise_for_status()

        upload(iter([b"Name\n", b"x\n"]))
        before = _highest()
        upload(pieces(Path(content)))
        return before, _highest()


def _highest() -> int:
    """The most memory that this process has had, in kilobytes."""
    status = Path("/proc/self/status")
    if status.exists():  # getrusage would tell of the process that started this one as well
        lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
        return int(lines["VmHWM"].split()[0])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def measure(rows: int, folder: Path) -> list[Line]:
    """All lines of the table; ``rows`` is the size of the insert, the others follow from it."""
    quarter, kept = rows // 4, rows // 5
    out = folder / "out.csv"
    insert = write_rows(folder, 0, rows)
    upsert = write_rows(folder, rows - kept, rows - kept + quarter)  # four fifths of them are there already
    plain = Plain()
    with LocalOrg() as org, Client(org) as client:
        org.deploy([{"name": "Bench__c", "fields": FIELDS}])
        lines = [
            beside(
                f"insert of {rows:,} x 12, results ready",
                lambda: [client.load("insert", part, out) for part in insert],
                lambda: plain.insert(insert),
                4,
            ),
            beside(
                f"upsert of {quarter:,} x 12",
                lambda: [client.load("upsert", part, out, "Ext__c") for part in upsert],
                lambda: plain.upsert(upsert),
                0,
            ),
            beside(
                f"bulk query of {rows + quarter - kept:,} x 12 to CSV",
                lambda: client.query(f"SELECT {', '.join(NAMES)} FROM Bench__c", out),
                lambda: plain.copy(folder / "plain.csv"),
                3,
            ),
            collections(client, max(10, min(100, rows // 5_000))),
        ]
        stored = org.table("Bench__c").height
    expected = rows + quarter - kept + COLLECTION_ROWS * (2 + max(10, min(100, rows // 5_000)))
    if stored != expected:
        raise RuntimeError(f"the org has {stored:,} rows, not {expected:,}")
    return [*lines, memory(folder, max(1, UPLOAD_MB * rows // 1_000_000))]


def main() -> int:
    """Print the table; 1 where a goal is missed, which says little for few rows."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rows", type=int, default=1_000_000)
    rows = options.parse_args().rows
    with tempfile.TemporaryDirectory() as folder:
        lines = measure(rows, Path(folder))
    print(f"| {'work':<42} | {'embedded org':<24} | {'DuckDB alone':<24} | {'result':>8} | goal")
    print(f"|{'-' * 44}|{'-' * 26}|{'-' * 26}|{'-' * 10}|{'-' * 16}")
    for line in lines:
        goal = f"{line.goal}{'' if line.met else '  MISSED'}"
        print(f"| {line.what:<42} | {line.org:<24} | {line.plain:<24} | {line.result:>8} | {goal}")
    return 0 if all(line.met for line in lines) else 1


if __name__ == "__main__":
    sys.exit(main())
