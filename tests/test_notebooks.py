"""Every notebook runs from top to bottom, and its cells are safe to run twice."""

from __future__ import annotations

from pathlib import Path

import pytest

nbformat = pytest.importorskip("nbformat", reason="notebooks need the extra dev")
nbclient = pytest.importorskip("nbclient", reason="notebooks need the extra dev")

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")]

NOTEBOOKS = sorted((Path(__file__).parent.parent / "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_and_each_of_its_cells_runs_twice(path: Path, tmp_path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    twice = [cell.copy() for cell in notebook.cells for _ in range(2 if cell.cell_type == "code" else 1)]
    for number, cell in enumerate(twice):
        cell["id"] = f"cell-{number}"
    notebook.cells = twice
    nbclient.NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(tmp_path)}}).execute()
    assert [cell.source for cell in notebook.cells if cell.cell_type == "code"]
