"""kill -9 of the served process at any moment of a load, and a restart on the same file."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

DATA = "/services/data/v60.0"
SERVED = [sys.executable, "-m", "sfframe.cli", "org", "serve", "--port", "0", "--path"]
# The same with small batches, so that a kill falls between any two of them.
SMALL_BATCHES = """
import json, sys
from sfframe.localorg import LocalOrg, Settings
with LocalOrg(sys.argv[1], settings=Settings(batch_rows=100, batches_at_once=1)) as org:
    print(json.dumps({"url": org.url, "access_token": org.credentials.access_token}), flush=True)
    org.wait()
"""


@dataclass(slots=True)
class Load:
    """A client that loads rows job by job and picks up where it was whenever the org is back."""

    rows: int
    batch: int
    done: list[str] = field(default_factory=list)
    job: str | None = None

    @property
    def prefix(self) -> str:
        return f"load {len(self.done)} row "

    def step(self, org: httpx.Client) -> None:
        """Take the job one step further, or begin the next one; raises TransportError when the org dies."""
        if self.job is None:
            body = {"object": "Account", "operation": "insert"}
            self.job = str(told(org.post(f"{DATA}/jobs/ingest", json=body))["id"])
        path = f"{DATA}/jobs/ingest/{self.job}"
        job = told(org.get(path))
        if job["state"] == "Open":
            if "numberRecordsProcessed" not in job:  # nothing was uploaded yet (bulk2.md 2.6)
                content = "Name\n" + "".join(f"{self.prefix}{number}\n" for number in range(self.rows))
                assert org.put(f"{path}/batches", content=content).status_code == 201
            told(org.patch(path, json={"state": "UploadComplete"}))
        elif job["state"] == "JobComplete":
            self.done.append(self.job)
            self.job = None
        else:
            assert job["state"] in ("UploadComplete", "InProgress"), job

    def check(self, org: httpx.Client) -> None:
        """Whole batches and nothing else, and the job says so; it may go on while this looks."""
        if self.job is None:
            return
        before = told(org.get(f"{DATA}/jobs/ingest/{self.job}")).get("numberRecordsProcessed", 0)
        saved = names(org, self.prefix)
        after = told(org.get(f"{DATA}/jobs/ingest/{self.job}")).get("numberRecordsProcessed", 0)
        assert before <= len(saved) <= after
        assert len(saved) == self.rows or len(saved) % self.batch == 0
        assert sorted(saved) == sorted(f"{self.prefix}{number}" for number in range(len(saved)))


def told(answer: httpx.Response) -> dict[str, Any]:
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


def names(org: httpx.Client, prefix: str) -> list[str]:
    page = told(org.get(f"{DATA}/query", params={"q": f"SELECT Name FROM Account WHERE Name LIKE '{prefix}%'"}))
    found = [record["Name"] for record in page["records"]]
    while not page["done"]:
        page = told(org.get(page["nextRecordsUrl"]))
        found += [record["Name"] for record in page["records"]]
    return found


def start(command: list[str], path: Path) -> tuple[subprocess.Popen[str], httpx.Client]:
    process = subprocess.Popen([*command, str(path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    told_of = json.loads(process.stdout.readline())
    headers = {"Authorization": f"Bearer {told_of['access_token']}"}
    return process, httpx.Client(base_url=told_of["url"], headers=headers, timeout=60)


def kill_in(process: subprocess.Popen[str], seconds: float) -> threading.Timer:
    timer = threading.Timer(seconds, process.kill)
    timer.start()
    return timer


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "kills", "rows", "batch"),
    [
        ([sys.executable, "-c", SMALL_BATCHES], 20, 4_000, 100),
        (SERVED, 4, 30_000, 10_000),
    ],
)
def test_a_load_survives_kills_at_random_moments(
    tmp_path: Path, command: list[str], kills: int, rows: int, batch: int
) -> None:
    path, drawn, load = tmp_path / "org.duckdb", random.Random(kills), Load(rows, batch)  # noqa: S311 - no secret
    for _ in range(kills):
        process, org = start(command, path)
        timer = kill_in(process, drawn.uniform(0.0, 1.0))
        with process, org:
            try:
                load.check(org)
                while True:
                    load.step(org)
            except httpx.TransportError:
                pass
            finally:
                timer.join()
        assert process.returncode == -9
    process, org = start(command, path)
    with process, org:
        finished = len(load.done) + 1
        deadline = time.monotonic() + 60
        try:
            load.check(org)
            while len(load.done) < finished:
                load.step(org)
                assert time.monotonic() < deadline
        except BaseException:
            process.kill()
            raise
        everything = names(org, "load ")
        results = [
            line
            for job in load.done
            for line in org.get(f"{DATA}/jobs/ingest/{job}/successfulResults").text.splitlines()[1:]
        ]
        process.kill()
    assert Counter(everything) == Counter(
        f"load {one} row {number}" for one in range(finished) for number in range(rows)
    )
    assert Counter(line.split('"')[5] for line in results) == Counter(everything)
