"""The notebook: runs from top to bottom in a checkout, and is stored without its outputs."""

import json
import os
from pathlib import Path

import nbformat
from nbclient import NotebookClient

from vatt_gh.report.page import known_references

ROOT = Path(__file__).parents[2]
NOTEBOOK = ROOT / "launch" / "colab" / "quickstart.ipynb"
_SECONDS = 900


def test_notebook_is_stored_without_outputs():
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert len(cells) == 4
    assert all(not cell.outputs and cell.execution_count is None for cell in cells)


def test_notebook_trains_and_shows_results_and_pictures(tmp_path, monkeypatch):
    monkeypatch.setenv("VATT_GH_WORKDIR", str(tmp_path / "demo"))
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))  # as if installed
    monkeypatch.setenv("PIP_NO_INDEX", "1")  # another installation would be an error
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    NotebookClient(
        notebook,
        timeout=_SECONDS,
        kernel_name="python3",
        resources={"metadata": {"path": str(NOTEBOOK.parent)}},
    ).execute()

    shown = {
        cell.id: [output.data for output in cell.get("outputs", []) if "data" in output]
        for cell in notebook.cells
    }
    results = json.loads((tmp_path / "demo" / "results.json").read_text())
    (table,) = (data["text/html"] for data in shown["results"])
    scores = [score for group in ("retrieval", "probe") for score in results[group].values()]
    assert known_references(scores) == [
        "low",
        "high",
        "chance",
        "untrained",
        "plain",
        "ceiling",
    ]
    for reference in known_references(scores):
        assert f"<th>{reference}</th>" in table
    for group in ("retrieval", "probe"):
        assert table.count(f"<td>{group}</td>") == len(results[group])
    pictures = list((tmp_path / "demo" / "pictures").glob("*.png"))
    assert pictures
    assert sum("image/png" in data for data in shown["pictures"]) == len(pictures)
