"""The example of a search goes on where it stopped, and draws its frontier."""

from importlib import util
from pathlib import Path

import pytest

PATH = Path(__file__).parents[1] / "examples" / "optuna" / "frontier.py"


@pytest.mark.slow
@pytest.mark.usefixtures("_few")
def test_the_search_goes_on_and_draws_its_frontier(tmp_path, capsys):
    pytest.importorskip("optuna", reason="Optuna is not installed")
    spec = util.spec_from_file_location("frontier", PATH)
    frontier = util.module_from_spec(spec)
    spec.loader.exec_module(frontier)
    for trials in (1, 2, 2):
        frontier.main(["--out", str(tmp_path), "--trials", str(trials), "--rounds", "1"])
    assert "NDCG@10" in capsys.readouterr().out
    assert (tmp_path / "frontier.png").stat().st_size > 0
    assert sorted(path.name for path in tmp_path.glob("trial-*")) == ["trial-0", "trial-1"]


@pytest.fixture
def _few(monkeypatch):
    monkeypatch.setattr("simulator.evaluation.attackers.SHUFFLES", 1)
    monkeypatch.setattr("simulator.attacks.dlg.STEPS", 2)
    monkeypatch.setattr("simulator.attacks.leakage.ROUNDS", (1,))
