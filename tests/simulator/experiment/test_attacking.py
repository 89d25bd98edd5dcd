"""Attacks by choice, and what is left of them when they are interrupted."""

import json

import numpy as np
import pandas as pd
import pytest

from export import kept_model
from simulator.commands import cli
from simulator.evaluation.attacked_outputs import OUTPUTS
from simulator.experiment import attacking, resume, run
from simulator.reporting import attacked
from simulator.reproduce import results
from simulator.reproduce.grid import Cell
from tests.simulator.quiet import Quiet
from tests.simulator.runs import SMALL, figures
from tests.simulator.settings import change

pytestmark = pytest.mark.usefixtures("fewer")
CONFIG = change(SMALL, head="dsvae", rounds=2)
PARTS = ["uploads", "paper", "paper_all", "strong", "strong_all", *OUTPUTS]
LINE = ["run", "--dataset", "synthetic", "--users", "60", "--items", "200", "--rounds", "1", "--workers", "1"]


class Stopped(Quiet):
    """Is interrupted in the midst of the attack after so many."""

    def __init__(self, after):
        self.stop_in = PARTS[after]

    def advance(self, text=""):
        if text == self.stop_in:
            raise KeyboardInterrupt


def of_attacks(metrics):
    return {key: value for key, value in metrics.items() if attacked.part_of(key)}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The metrics of a run that was attacked in full."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("simulator.evaluation.attackers.SHUFFLES", 1)
        patch.setattr("simulator.attacks.dlg.STEPS", 2)
        patch.setattr("simulator.attacks.leakage.ROUNDS", (1, 2))
        return run.run(CONFIG, tmp_path_factory.mktemp("whole"), None, Quiet())


def test_a_run_that_is_not_attacked_is_the_same_but_for_the_attacks_and_says_so(tmp_path, whole, capsys):
    metrics = run.run(CONFIG, tmp_path, None, Quiet(), attacks="none")
    assert of_attacks(metrics) == {}
    assert metrics["attacks"]["missing"] == metrics["attacks"]["asked"] == PARTS
    without = {name: value for name, value in figures(whole).items() if name not in of_attacks(whole)}
    assert metrics["p_holm"] == {}
    assert figures(metrics) | {"attacks": 0, "p_holm": {}} == without | {"attacks": 0, "p_holm": {}}
    page = (tmp_path / "report.html").read_text()
    assert page.count("<td>not attacked</td>") >= 8
    assert "<p>The run was not attacked, so nothing here says what it reveals.</p>" in page
    assert "--attacks none" in page


@pytest.mark.parametrize("after", [1, 3])
def test_interrupted_attacks_keep_what_was_trained_and_what_was_attacked(tmp_path, whole, after):
    with pytest.raises(
        KeyboardInterrupt, match=rf"holds what was trained and {after} of {len(PARTS)} attacks; the same"
    ):
        run.run(CONFIG, tmp_path, None, Stopped(after))
    left = json.loads((tmp_path / "metrics.json").read_text())
    assert left["attacks"]["missing"] == PARTS[after:]
    assert of_attacks(left) == {k: v for k, v in of_attacks(whole).items() if attacked.part_of(k) in PARTS[:after]}
    assert left["ndcg@10"] == whole["ndcg@10"]
    assert pd.read_parquet(tmp_path / "ranks.parquet").shape == (60, 4)
    assert kept_model.read(tmp_path, (tmp_path / "items.txt").read_text().splitlines())
    assert f"interrupted after {after} of {len(PARTS)}" in (tmp_path / "report.html").read_text()
    resumed = Counted()
    assert figures(run.run(CONFIG, tmp_path, None, resumed)) == figures(whole)
    assert (resumed.trained, resumed.attacked) == (0, set(PARTS[after:]))
    assert not resume.unfinished(tmp_path)


class Counted(Quiet):
    """Counts the rounds that are trained, and keeps the names of the attacks that are made."""

    def __init__(self):
        self.trained, self.attacked = 0, set()

    def start(self, what, total, done=0):
        self.training = what == "training"

    def advance(self, text=""):
        if self.training:
            self.trained += 1
        else:
            self.attacked.add(text)


def test_quick_attacks_are_those_of_few_splits(tmp_path):
    more = change(CONFIG, attack_splits=9)
    quick = run.run(more, tmp_path / "quick", None, Quiet(), attacks="quick")
    few = run.run(change(CONFIG, attack_splits=4), tmp_path / "few", None, Quiet())
    assert of_attacks(quick) == of_attacks(few)
    assert (quick["attacks"]["kind"], quick["attacks"]["splits"], quick["attacks"]["missing"]) == ("quick", 4, [])


@pytest.mark.parametrize(("kind", "counts"), [("none", False), ("quick", False), ("full", True)])
def test_a_grid_does_a_run_again_that_was_not_attacked_in_full(tmp_path, kind, counts):
    metrics = {"configuration": CONFIG.document(), "attacks": {"kind": kind, "missing": [1] if kind == "none" else []}}
    cell = Cell("paper", CONFIG)
    (tmp_path / cell.name).mkdir()
    (tmp_path / cell.name / "metrics.json").write_text(json.dumps(metrics))
    assert (results.finished(cell, tmp_path) is not None) is counts


def test_the_command_shows_what_was_not_attacked(tmp_path, capsys):
    assert cli.main([*LINE, "--attacks", "none", "--out", str(tmp_path / "run")]) == 0
    text = capsys.readouterr().out
    assert text.count("not attacked") >= 5
    assert "BAcc, strong attacker, embedding" in text


@pytest.mark.parametrize(
    ("key", "part"),
    [
        ("bacc_strong", "strong"),
        ("bacc_null_p95", "strong"),
        ("bacc_p_strong_all", "strong_all"),
        ("auc_p_largest", "strong"),
        ("age/bacc_p_popular10", "age/popular10"),
        ("age/bacc_null_mean_paper_all", "age/paper_all"),
        ("a/b/strong_families_all", "a/b/strong_all"),
        ("bacc_null_p95_largest", "strong"),
        ("a/largest_family_all", "a/strong_all"),
        ("attacked_users", "strong"),
        ("auc_null_p95_strong_all", "strong_all"),
        ("auc_null_p95_largest", "strong"),
        ("auc_by_family_all", "strong_all"),
        ("age/bacc_null_p95_top10_seen", "age/top10_seen"),
        ("shown_ndcg@10_seen", "top10_seen"),
        ("auc_map_gaps", "map_gaps"),
        ("sum_devices", "sum"),
        ("leak_dlg", "uploads"),
        ("hr@10", ""),
        ("clients_trained", ""),
    ],
)
def test_a_metric_knows_its_attack(key, part):
    assert attacked.part_of(key) == part


def _everybody(labels, classes, seed, most):
    return np.arange(len(labels))


def test_of_many_users_only_the_state_of_those_who_are_attacked_is_computed(tmp_path, monkeypatch):
    monkeypatch.setattr("simulator.experiment.asked.MOST_USERS", 40)
    with monkeypatch.context() as patch:
        patch.setattr(attacking, "sample", _everybody)  # so that the attack draws its users
        sampled = run.run(CONFIG, tmp_path / "sampled", None, Quiet())
    states, computed = attacking.AttackedStates.of, []
    monkeypatch.setattr(
        attacking.AttackedStates, "of", lambda *given: (computed.append(len(given[2])), states(*given))[1]
    )
    before = run.run(CONFIG, tmp_path / "before", None, Quiet())
    on_embedding = [name for name in of_attacks(sampled) if not name.endswith("_all")]
    assert {name: before[name] for name in on_embedding} == {name: sampled[name] for name in on_embedding}
    assert computed == [before["attacked_users"]]
    assert before["attacked_users"] < 60
