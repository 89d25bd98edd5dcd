"""The notebooks run from their first cell to the last, and are kept without outputs."""

import json
from pathlib import Path

import pytest

from fedau2 import plugins

NOTEBOOKS = sorted((Path(__file__).parents[1] / "examples" / "notebooks").glob("*.ipynb"))


def code(path):
    return [cell for cell in json.loads(path.read_text("utf-8"))["cells"] if cell["cell_type"] == "code"]


@pytest.fixture
def alone(tmp_path, monkeypatch):
    """A folder of its own, and nothing left of what a notebook adds."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(plugins, "_used", {})
    monkeypatch.setattr("simulator.evaluation.attackers.SHUFFLES", 1)
    monkeypatch.setattr("simulator.attacks.dlg.STEPS", 2)
    monkeypatch.setattr("simulator.attacks.leakage.ROUNDS", (1,))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
@pytest.mark.usefixtures("alone")
def test_a_notebook_runs(path):
    names = {"__name__": "__main__"}
    for number, cell in enumerate(code(path)):
        exec(compile("".join(cell["source"]), f"{path.name}, cell {number}", "exec"), names)
    assert list(Path("runs").iterdir())


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_kept_without_outputs(path):
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code(path))


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_in_a_kernel(path, tmp_path):
    client = pytest.importorskip("nbclient", reason="nbclient is not installed")
    notebook = pytest.importorskip("nbformat").read(path, 4)
    client.NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    assert list((tmp_path / "runs").iterdir())
