"""Single packages of npm for the tests: installed once per version, kept in the user's cache folder."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from pathlib import Path

import platformdirs
import pytest


def node_package(name: str, version: str) -> Path:
    """A folder from which Node finds the package; the test is skipped where there is no Node, npm or registry."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        pytest.skip(f"node or npm is not installed here, which {name} needs")
    cache = Path(os.environ.get("SFFRAME_NODE", platformdirs.user_cache_path("sfframe") / "node"))
    folder = cache / f"{name.strip('@').replace('/', '-')}-{version}"
    if folder.exists():
        return folder
    building = folder.with_name(f"{folder.name}.{os.getpid()}")
    building.mkdir(parents=True)
    options = ["--no-audit", "--no-fund", "--ignore-scripts", "--no-package-lock", "--loglevel=error"]
    command = [npm, "install", *options, "--prefix", str(building), f"{name}@{version}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    if done.returncode:
        shutil.rmtree(building)
        pytest.skip(f"npm could not install {name}@{version}: {done.stderr.strip()[-300:]}")
    with contextlib.suppress(OSError):  # another worker was sooner
        building.rename(folder)
    shutil.rmtree(building, ignore_errors=True)
    return folder
