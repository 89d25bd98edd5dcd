import json

import pytest

from client_sdk.kernel.models import RECOMMENDERS
from export.plan.fragments import flat, nest
from simulator.commands import cli
from simulator.config import presets
from simulator.config.config import Config
from simulator.errors import ConfigError

pytestmark = pytest.mark.usefixtures("fewer")


LACKING = [(name, model) for name in ("alignment", "d2d", "u2u") for model in ("fedrap", "fedvae")]
"""FedRAP's state has more numbers than a usual data set has users, and FedVAE has no private state to move."""


def test_a_preset_is_settings_under_a_name(tmp_path, capsys):
    options = ["--dataset", "synthetic", "--users", "300", "--rounds", "2", "--attack-splits", "2", "--fraction", "0.2"]
    assert cli.main(["run", "--preset", "recommended", "--out", str(tmp_path / "a"), *options]) == 0
    capsys.readouterr()
    metrics = json.loads((tmp_path / "a/metrics.json").read_text())
    configuration = dict(flat(metrics["configuration"]))
    assert configuration["plan.adversaries"] == []
    assert configuration["after_training.erasure"] == "none"
    assert configuration["plan.erased"] == "all"
    assert configuration["plan.local.private_learning_rate"] == 0.03
    assert (configuration["engine.fraction"], configuration["engine.rounds"]) == (0.2, 2)
    assert 0 <= metrics["erasure_strength"] <= 1
    assert "adversary" not in metrics["parameters"]

    assert cli.main(["run", "--preset", "recommended", "--model", "none", "--out", str(tmp_path / "b"), *options]) == 1
    assert "no recommender is called 'none'; there is fedncf" in capsys.readouterr().err


@pytest.mark.parametrize("model", RECOMMENDERS)
@pytest.mark.parametrize("name", presets.PRESETS)
def test_all_presets_but_the_original_work_against_the_attribute(model, name):
    if (name, model) in LACKING:
        with pytest.raises(ConfigError, match=f"{name!r} has no settings for model {model!r}"):
            presets.preset(name, model)
        return
    preset = presets.preset(name, model)
    config = Config.of({"plan.model.name": model}, preset)
    document = dict(flat(config.document()))
    assert all(document[path] == (value if value != "none" else []) for path, value in flat(nest(preset)))
    after, engine = config.after_training, config.engine
    erased = config.plan.erased != () or after.erasure != "none"
    works = config.plan.heads() or erased or after.noise or engine.local_noise or engine.apm
    assert bool(works) == (name != "original")


@pytest.mark.parametrize("model", [model for model in RECOMMENDERS if model != "fedrap"])
def test_what_is_recommended_runs_on_devices_too(model):
    preset = presets.preset("recommended", model)
    Config.of({"plan.model.name": model}, preset, {"engine.name": "fleet", "engine.sums": "secure"})
    with pytest.raises(ConfigError, match=r"set engine\.sums to secure"):
        Config.of({"plan.model.name": model}, preset, {"engine.name": "fleet"})


def test_there_is_no_other_preset():
    with pytest.raises(ConfigError, match="there is no preset 'papre'; there is paper"):
        presets.preset("papre", "fedncf")
