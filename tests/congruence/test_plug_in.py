"""The example of a plug-in: one thing of each kind, which is used like those of this project."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import simulator
from fedau2 import plugins
from simulator.commands import cli
from simulator.config import presets
from simulator.errors import ConfigError

FOLDER = Path(__file__).parents[2] / "examples" / "plug_in"
PLUG_IN = ["--plugin", "fedau2_example"]
SMALL = ["--model", "biased", "--dataset", "two-towns", "--attributes", "town", "--rounds", "2"]


@pytest.fixture(scope="module", autouse=True)
def plugged():
    """The example is found, and only it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(FOLDER)
        patch.setenv(plugins.VARIABLE, "fedau2_example")
        yield


@pytest.fixture(scope="module")
def run(plugged, tmp_path_factory):
    """The folder of a run with all that the example adds, and of what its tracker has written beside it."""
    folder = tmp_path_factory.mktemp("plugged")
    line = ["run", *PLUG_IN, *SMALL, "--attack-splits", "1", "--workers", "2", "--keep", "state"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("simulator.evaluation.attackers.SHUFFLES", 1)
        patch.setattr("simulator.attacks.dlg.STEPS", 2)
        patch.setattr("simulator.attacks.leakage.ROUNDS", (1,))
        assert cli.main([*line, "--tracker", f"lines={folder / 'lines'}", "--out", str(folder / "run")]) == 0
    return folder / "run"


def test_its_data_recommender_attacker_metric_and_tracker_are_part_of_a_run(run):
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics["configuration"]["plan"]["model"] == {"name": "biased", "factors": 16}
    assert metrics["configuration"]["plan"]["server"]["shared"]["learning_rate"] == 0.01
    assert 0.5 <= metrics["bacc_neighbours"] <= 1
    assert "bacc_null_p95_neighbours_all" in metrics
    assert 0 <= metrics["popular@10"] <= 1
    lines = [json.loads(line) for line in (run.parent / "lines").read_text().splitlines()]
    assert lines[0]["run"] == "run"
    assert len(lines[0]["data"]) == 64
    assert {"training/loss", "test/popular@10"} <= {line["name"] for line in lines[1:]}


def test_its_run_is_loaded_and_recommends(run):
    result = simulator.load(run)
    assert "neighbours" in set(result.attacks["attacker"])
    assert len(result.recommend("person-3", top=4)) == 4


def test_its_attacks_are_part_of_an_audit_and_read_all(run, tmp_path, capsys):
    line = ["audit", str(run), *PLUG_IN, "--attacks", "popular-rows,pulls,shared", "--participations", "1"]
    capsys.readouterr()
    assert cli.main([*line, "--clients", "8", "--json", "--out", str(tmp_path / "audit")]) == 0
    findings = {entry["attack"]: entry for entry in json.loads(capsys.readouterr().out)["findings"]}
    assert findings["shared"]["success"] == findings["pulls"]["success"] == 1
    assert findings["popular-rows"]["success"] > 0.5


@pytest.mark.slow
def test_it_is_trained_in_processes_of_their_own(tmp_path):
    line = ["reproduce", "table1", *PLUG_IN, *SMALL[:-2], "--quick", "--method", "original", "--rounds", "1"]
    assert cli.main([*line, "--attack-splits", "1", "--jobs", "1", "--out", str(tmp_path)]) == 0
    (folder,) = (tmp_path / "runs").iterdir()
    assert "bacc_neighbours" in json.loads((folder / "metrics.json").read_text())


def test_presets_fall_back_for_a_model_that_has_none():
    assert presets.preset("paper", "biased") == {}
    assert presets.preset("recommended", "biased")["plan.erased"] == "all"
    assert presets.preset("noise", "biased")["after_training.noise"] == 1.0
    with pytest.raises(ConfigError, match="'apm' has no settings for model 'biased', since its strength is measured"):
        presets.preset("apm", "biased")


def test_its_names_are_listed_beside_ours(capsys):
    for what, name in {"models": "biased", "attacks": "popular-rows", "datasets": "two-towns"}.items():
        capsys.readouterr()
        assert cli.main(["list", what, "--json"]) == 0
        assert name in capsys.readouterr().out


def test_without_it_its_names_are_unknown(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv(plugins.VARIABLE, "")
    assert cli.main(["run", *SMALL, "--out", str(tmp_path / "run")]) == 1
    assert "no recommender is called 'biased'" in capsys.readouterr().err
    assert cli.main(["run", "--tracker", "lines=x", "--dataset", "synthetic", "--out", str(tmp_path / "run")]) == 1
    assert "there is no tracker 'lines': no plug-in adds one" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_metric_that_fails_is_named_and_what_was_trained_is_kept(tmp_path, capsys):
    def fail(measurement):
        raise ZeroDivisionError("by nothing")

    from simulator.experiment.own_metrics import Metric

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plugins, "_used", {})
        plugins.use(plugins.Plugin("wrong", api=plugins.API, metrics={"bad": Metric(fail)}))
        assert cli.main(["run", *SMALL, "--attacks", "none", "--out", str(tmp_path / "run")]) == 1
    assert "the metric 'bad' of a plug-in failed: ZeroDivisionError: by nothing" in capsys.readouterr().err
    assert (tmp_path / "run" / "rounds.parquet").exists()
    assert cli.main(["run", *SMALL, "--attacks", "none", "--out", str(tmp_path / "run")]) == 0


def test_its_gradients_are_those_of_autograd():
    from client_sdk.draws import Samples
    from client_sdk.kernel.batch import layout
    from client_sdk.kernel.contract import Step
    from client_sdk.kernel.models import RECOMMENDERS

    model, rng = RECOMMENDERS["biased"].model, np.random.default_rng(0)
    drawn = [
        [Samples(rng.integers(9, size=n), rng.integers(2, size=n).astype(np.float32), np.full(n, 1 / n, np.float32))]
        for n in (5, 3)
    ]
    rows, (batch,) = layout(drawn, 9, summed=True)
    shared = {
        "item_factors": torch.randn(len(rows.table), 4, requires_grad=True),
        "item_bias": torch.randn(len(rows.table), 1, requires_grad=True),
    }
    private = {"user_factors": torch.randn(2, 4, requires_grad=True)}
    logits = (shared["item_factors"][batch.slot] * private["user_factors"][batch.client]).sum(1)
    logits = logits + shared["item_bias"][batch.slot, 0]
    losses = torch.nn.functional.binary_cross_entropy_with_logits(logits, batch.labels, reduction="none")
    (losses * batch.weights).sum().backward()
    plain = [{name: value.detach() for name, value in part.items()} for part in (shared, private)]
    ours = model.gradients(*plain, Step(rows, batch, None, 0), lambda states: {})
    for name, value in (shared | private).items():
        torch.testing.assert_close((ours.shared | ours.private)[name], value.grad)
