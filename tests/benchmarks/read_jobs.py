"""The jobs that read.py measures, each for a process of its own: name, URL of the canned endpoint, rows."""

from __future__ import annotations

import http.client
import io
import json
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import polars as pl
import pyarrow as pa
import pyarrow.csv as pa_csv

PATH = "/services/data/v66.0"
JOB = f"{PATH}/jobs/query/750AB0000000001AAA"
LOCATOR = "0r8xx2kLxPgVdZiAUK"
BULK_ROWS, REST_ROWS = 50_000, 2_000
COLUMNS = (
    "Id, Name, AccountId, Description, StageName, Amount, Probability, FiscalYear, IsWon, CloseDate, CreatedDate, "
    "SystemModstamp"
)
QUERY = f"SELECT {COLUMNS} FROM Opportunity"
NAMES = COLUMNS.split(", ")
ARROW = {
    **dict.fromkeys(NAMES, pa.string()),
    "Amount": pa.float64(),
    "Probability": pa.float64(),
    "FiscalYear": pa.int64(),
    "IsWon": pa.bool_(),
    "CloseDate": pa.date32(),
    "CreatedDate": pa.timestamp("ms", "UTC"),
    "SystemModstamp": pa.timestamp("ms", "UTC"),
}
JSON = pl.Struct(
    {
        **dict.fromkeys(NAMES, pl.String()),
        "Amount": pl.Float64(),
        "Probability": pl.Float64(),
        "FiscalYear": pl.Int64(),
        "IsWon": pl.Boolean(),
    }
)

Job = Callable[[str, int], Callable[[], int]]


def fetched(url: str, paths: list[str]) -> list[bytes]:
    """Bodies, one after the other over one connection."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc)
    bodies = []
    for path in paths:
        connection.request("GET", path)
        bodies.append(connection.getresponse().read())
    connection.close()
    return bodies


def floor_bulk(url: str, rows: int) -> Callable[[], int]:
    """Two threads, pyarrow straight to types."""

    def page(number: int) -> pl.DataFrame:
        [body] = fetched(url, [f"{JOB}/results?locator={number}"])
        return pl.DataFrame(
            pa_csv.read_csv(
                pa.BufferReader(body),
                read_options=pa_csv.ReadOptions(use_threads=False, block_size=len(body)),
                parse_options=pa_csv.ParseOptions(newlines_in_values=True),
                convert_options=pa_csv.ConvertOptions(
                    column_types=ARROW, null_values=[""], strings_can_be_null=True, quoted_strings_can_be_null=True
                ),
            )
        )

    def run() -> int:
        with ThreadPoolExecutor(2) as pool:
            return pl.concat(list(pool.map(page, range(-(-rows // BULK_ROWS))))).height

    return run


def floor_rest(url: str, rows: int) -> Callable[[], int]:
    """Two threads, polars straight to types, ten pages at a time; each is parsed by itself, while the cache has it."""

    def pages(begin: int) -> pl.DataFrame:
        starts = range(begin, min(begin + 10 * REST_ROWS, rows), REST_ROWS)
        bodies = fetched(url, [f"{PATH}/query/{LOCATOR}-{start}" for start in starts])
        found = pl.concat([pl.read_json(body, schema={"records": pl.List(JSON)}) for body in bodies])
        frame = found["records"].explode().struct.unnest()
        return frame.with_columns(
            pl.Series(name, frame[name].to_arrow().cast(ARROW[name]))
            for name in ("CloseDate", "CreatedDate", "SystemModstamp")
        )

    def run() -> int:
        with ThreadPoolExecutor(2) as pool:
            return pl.concat(list(pool.map(pages, range(0, rows, 10 * REST_ROWS)))).height

    return run


def _sfframe(api: str) -> Job:
    def job(url: str, _rows: int) -> Callable[[], int]:
        import sfframe as sf

        org = sf.connect(instance_url=url, access_token="canned", fresh=True)
        org.describe("Opportunity")
        pacing = sf.Pacing(first=0.01)  # the endpoint has its answer at once
        options = sf.ReadOptions(api="rest" if api == "rest" else "bulk2", pacing=pacing, progress=False)
        import sfframe.codec.decode_csv  # what it imports at first use; the query below does the rest

        sf.read_soql(f"{QUERY} LIMIT 1", org=org, options=sf.ReadOptions(api="rest"))

        def run() -> int:
            return sf.read_soql(QUERY, org=org, options=options).height

        return run

    return job


def sink(url: str, _rows: int) -> Callable[[], int]:
    """A lazy scan straight into a Parquet file."""
    import sfframe as sf

    org = sf.connect(instance_url=url, access_token="canned", fresh=True)
    lazy = sf.scan_soql(QUERY, org=org, options=sf.ReadOptions(api="bulk2", progress=False))

    def run() -> int:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "all.parquet"
            lazy.sink_parquet(path)
            return int(pl.scan_parquet(path).select(pl.len()).collect().item())

    return run


def export(url: str, _rows: int) -> Callable[[], int]:
    """The same with pages kept on disk, so that it can be gone on with."""
    import sfframe as sf

    org = sf.connect(instance_url=url, access_token="canned", fresh=True)
    org.describe("Opportunity")
    options = sf.ReadOptions(api="bulk2", progress=False)

    def run() -> int:
        with tempfile.TemporaryDirectory() as folder:
            return sf.export_soql(QUERY, Path(folder) / "all.parquet", org=org, options=options).height

    return run


def _scan(*, whole: bool) -> Job:
    """Ten rows of one column, or all of the object, which is what they are taken from."""

    def job(url: str, rows: int) -> Callable[[], int]:
        import sfframe as sf

        org = sf.connect(instance_url=url, access_token="canned", fresh=True)
        lazy = sf.scan_sobject("Opportunity", org=org, options=sf.ReadOptions(progress=False))
        few = lazy.filter(pl.col("FiscalYear") >= 2000).select("Id").head(10)

        def run() -> int:
            moved = _moved(url)
            found = lazy.collect().height if whole else few.collect().height
            _bytes[0] = _moved(url) - moved
            return rows if found in (10, rows) else found

        return run

    return job


_bytes = [0]


def _moved(url: str) -> int:
    """What the endpoint has answered so far, in bytes."""
    return int(fetched(url, ["/moved"])[0])


def _simple_salesforce(url: str):
    import requests
    from requests.adapters import HTTPAdapter
    from simple_salesforce.api import Salesforce

    class PlainHttp(HTTPAdapter):
        """It writes https:// into every URL."""

        def send(self, request, *args, **options):
            request.url = request.url.replace("https://", "http://", 1)
            return super().send(request, *args, **options)

    session = requests.Session()
    session.mount("https://", PlainHttp())
    return Salesforce(instance_url=url, session_id="canned", session=session, version="66.0")


def simple_salesforce_pandas_bulk(url: str, _rows: int) -> Callable[[], int]:
    """As its documentation shows it, then typed by pandas."""
    import pandas as pd

    client = _simple_salesforce(url)

    def run() -> int:
        parts = client.bulk2.Opportunity.query(QUERY)
        frame = pd.concat([pd.read_csv(io.StringIO(part), dtype={"Id": str, "AccountId": str}) for part in parts])
        return len(_typed(frame))

    return run


def simple_salesforce_pandas_rest(url: str, _rows: int) -> Callable[[], int]:
    """As its documentation shows it, then typed by pandas."""
    import pandas as pd

    client = _simple_salesforce(url)

    def run() -> int:
        return len(_typed(pd.DataFrame(client.query_all(QUERY)["records"]).drop(columns="attributes")))

    return run


def _typed(frame):
    import pandas as pd

    for name in ("CloseDate", "CreatedDate", "SystemModstamp"):
        frame[name] = pd.to_datetime(frame[name], format="ISO8601")
    return frame


def simple_salesforce_polars_bulk(url: str, _rows: int) -> Callable[[], int]:
    """The same client with what a user of polars writes by hand."""
    client = _simple_salesforce(url)

    def run() -> int:
        parts = client.bulk2.Opportunity.query(QUERY)
        overrides = {"Id": pl.String, "AccountId": pl.String, "Amount": pl.Float64, "Probability": pl.Float64}
        frames = [pl.read_csv(io.StringIO(part), schema_overrides=overrides, null_values=[""]) for part in parts]
        return pl.concat(frames).with_columns(_by_polars("Z")).height

    return run


def simple_salesforce_polars_rest(url: str, _rows: int) -> Callable[[], int]:
    """The same client with what a user of polars writes by hand."""
    client = _simple_salesforce(url)

    def run() -> int:
        frame = pl.DataFrame(client.query_all(QUERY)["records"], infer_schema_length=1_000)
        return frame.drop("attributes").with_columns(_by_polars("%z")).height

    return run


def _by_polars(zone: str) -> list[pl.Expr]:
    moment = pl.col("CreatedDate", "SystemModstamp").str.to_datetime(f"%Y-%m-%dT%H:%M:%S%.3f{zone}", time_zone="UTC")
    return [pl.col("CloseDate").str.to_date() if zone == "%z" else pl.col("CloseDate").cast(pl.String), moment]


JOBS: dict[str, Job] = {
    "floor_bulk": floor_bulk,
    "floor_rest": floor_rest,
    "sfframe_bulk": _sfframe("bulk"),
    "sfframe_rest": _sfframe("rest"),
    "sink": sink,
    "export": export,
    "scan": _scan(whole=False),
    "scan_whole": _scan(whole=True),
    "simple_salesforce_pandas_bulk": simple_salesforce_pandas_bulk,
    "simple_salesforce_pandas_rest": simple_salesforce_pandas_rest,
    "simple_salesforce_polars_bulk": simple_salesforce_polars_bulk,
    "simple_salesforce_polars_rest": simple_salesforce_polars_rest,
}


def _peak() -> float:
    """Megabytes; Linux counts in kilobytes, macOS in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3)


def main() -> None:
    """Run one job and print what it took."""
    name, url, rows = sys.argv[1], sys.argv[2], int(sys.argv[3])
    run = JOBS[name](url, rows)
    _warm()
    peak, wall, cpu = _peak(), time.perf_counter(), time.process_time()
    found = run()
    cost = {
        "wall": time.perf_counter() - wall,
        "cpu": time.process_time() - cpu,
        "peak": _peak() - peak,
        "rows": found,
        "moved": _bytes[0],
    }
    if found != rows:
        raise SystemExit(f"{name} gave {found:,} rows")
    print(json.dumps(cost))


def _warm() -> None:
    """The libraries load parts of themselves at first use, for whoever uses them."""
    pl.read_csv(b"a\n1\n").lazy().select(pl.col("a").cast(pl.String)).collect()
    pa_csv.read_csv(pa.BufferReader(b"a\n1\n"))


if __name__ == "__main__":
    main()
