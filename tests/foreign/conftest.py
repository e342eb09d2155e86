"""The org that foreign clients judge, served as a process of its own, and the clients that come from npm."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import platformdirs
import pytest
import requests
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from requests.adapters import HTTPAdapter
from simple_salesforce.api import Salesforce

NODE_SCRIPTS = Path(__file__).parent / "node"
NODE_CACHE = Path(os.environ.get("SFFRAME_NODE", platformdirs.user_cache_path("sfframe") / "node"))

DEPLOYED = [
    {
        "name": "Account",
        "fields": [
            {"name": "Ext_Id__c", "type": "string", "length": 20, "externalId": True, "unique": True},
            {"name": "Active__c", "type": "boolean"},
        ],
    },
    {
        "name": "Contact",
        "fields": [
            {"name": "Ext_Id__c", "type": "string", "length": 20, "externalId": True, "unique": True},
            {"name": "Key__c", "type": "string", "length": 20, "externalId": True},
        ],
    },
]


def pytest_configure(config: pytest.Config) -> None:
    """Registers the mark of verdicts.judges."""
    config.addinivalue_line("markers", "judges(client, checks): the calls of a foreign client that a test judges")


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """``sfframe org serve`` on a free port, as its one line of JSON describes it; it ends at an interrupt."""
    folder = tmp_path_factory.mktemp("served")
    (folder / "objects.json").write_text(json.dumps(DEPLOYED))
    command = [sys.executable, "-m", "sfframe.cli", "org", "serve", "--port=0", f"--path={folder / 'org.duckdb'}"]
    with subprocess.Popen(
        [*command, f"--deploy={folder / 'objects.json'}"], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        yield json.loads(process.stdout.readline())
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) == 0
        assert process.stdout.read() == ""


class PlainHttp(HTTPAdapter):
    """Sends requests for https:// in the clear, those for hosts of Salesforce to the org (clients.md 2.15)."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self._org = urlsplit(url).netloc

    def send(self, request: requests.PreparedRequest, *args: Any, **options: Any) -> requests.Response:
        parts = urlsplit(request.url or "")
        host = self._org if str(parts.hostname).endswith(".salesforce.com") else parts.netloc
        request.url = parts._replace(scheme="http", netloc=host).geturl()
        return super().send(request, *args, **options)


@pytest.fixture(scope="session")
def plain_http(served: dict[str, str]) -> Iterator[requests.Session]:
    """A session for simple-salesforce, which writes https:// into every URL."""
    with requests.Session() as session:
        session.mount("https://", PlainHttp(served["url"]))
        yield session


@pytest.fixture(scope="session")
def client(served: dict[str, str], plain_http: requests.Session) -> Any:
    """simple-salesforce, given a session id and an instance URL."""
    return Salesforce(instance_url=served["url"], session_id=served["access_token"], session=plain_http)


@pytest.fixture(scope="session")
def private_key() -> str:
    """A key for JWT logins, as PEM; the org does not look at signatures."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return key.private_bytes(*pem).decode()


@dataclass(frozen=True, slots=True)
class NodeClients:
    """jsforce and the sf CLI, installed in ``folder``, and the Node that runs them."""

    folder: Path
    node: Path

    @property
    def sf(self) -> Path:
        """The sf CLI's own start script."""
        return self.folder / "node_modules" / "@salesforce" / "cli" / "bin" / "run.js"


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all workers of this test run share."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own


@contextmanager
def one_at_a_time(file: Path) -> Iterator[None]:
    """The block runs in one process at a time; the others wait. Only where files can be locked, so not on Windows."""
    fcntl = pytest.importorskip("fcntl", reason="jsforce and the sf CLI are asked on Linux and macOS only")
    with file.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@pytest.fixture(scope="session")
def node_clients() -> NodeClients:
    """The clients of node/package.json; the test is skipped where they cannot be had."""
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("there is no npm here, so jsforce and the sf CLI cannot be asked")
    wanted = (NODE_SCRIPTS / "package.json").read_bytes()
    folder = NODE_CACHE / hashlib.sha256(wanted).hexdigest()[:16]
    NODE_CACHE.mkdir(parents=True, exist_ok=True)
    with one_at_a_time(NODE_CACHE / "lock"):
        if not (folder / "installed").exists():
            _install(npm, folder, wanted)
    return NodeClients(folder, _node(folder))


def _install(npm: str, folder: Path, wanted: bytes) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    (folder / "package.json").write_bytes(wanted)
    # Without a lock file, as one would record the registry's address; without the scripts of 700 packages.
    options = ["--no-audit", "--no-fund", "--ignore-scripts", "--no-package-lock", "--loglevel=error"]
    done = subprocess.run(
        [npm, "install", *options], cwd=folder, capture_output=True, text=True, timeout=300, check=False
    )
    if done.returncode:
        pytest.skip(f"npm could not install jsforce and the sf CLI: {done.stderr.strip()[-300:]}")
    (folder / "installed").touch()


def _node(folder: Path) -> Path:
    """The Node that came along, else the machine's own; the sf CLI needs 22.19 (clients.md 2.3)."""
    for binary in folder.glob("node_modules/node-*/bin/node"):
        return binary
    own = shutil.which("node")
    if own is None:
        pytest.skip("there is no Node here, so jsforce and the sf CLI cannot be asked")
    version = subprocess.run([own, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    if tuple(map(int, version.removeprefix("v").split(".")[:2])) < (22, 19):
        pytest.skip(f"Node {version} is here; the sf CLI needs 22.19")
    return Path(own)
