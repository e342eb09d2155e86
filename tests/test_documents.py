"""The README and the documents are true: their Python runs from top to bottom, and so do their ``sfframe`` commands."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from sybil import Sybil
from sybil.parsers.markdown import PythonCodeBlockParser

ROOT = Path(__file__).parent.parent
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
# Commands that do not end, or that need an account.
_NOT_RUN = ("serve", "SELECT Id, Name FROM Account LIMIT 5")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
@pytest.mark.filterwarnings("ignore::sfframe.RowsFailedWarning")
def test_the_python_of_a_document_runs_from_top_to_bottom(
    document: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for example in Sybil([PythonCodeBlockParser()]).parse(document).examples():
        example.evaluate()


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_the_commands_of_a_document_run(document: Path, tmp_path: Path) -> None:
    if document.name == "README.md":
        pytest.skip("the README's commands name files of the reader's own")
    for line in _commands(document):
        words = shlex.split(line)[1:]
        done = subprocess.run(
            [sys.executable, "-m", "sfframe.cli", *words], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.returncode in (0, 1), f"{line}\n{done.stderr}"  # 1: some rows did not succeed


def _commands(document: Path) -> list[str]:
    blocks = re.findall(r"^```console\n(.*?)^```", document.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    joined = "\n".join(blocks).replace("\\\n", " ")
    lines = [line.removeprefix("$ ") for line in joined.splitlines() if line.startswith("$ sfframe ")]
    return [line for line in lines if not any(word in line for word in _NOT_RUN)]
