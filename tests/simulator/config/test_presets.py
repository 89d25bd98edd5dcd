import json

import pytest

from client_sdk.kernel.models import RECOMMENDERS
from simulator.commands import cli
from simulator.config import presets
from simulator.config.config import Config
from simulator.errors import ConfigError
from simulator.experiment import assembly

pytestmark = pytest.mark.usefixtures("fewer")


def test_a_preset_is_settings_under_a_name(tmp_path, capsys):
    options = ["--dataset", "synthetic", "--users", "300", "--rounds", "2", "--attack-splits", "2", "--fraction", "0.2"]
    assert cli.main(["run", "--preset", "recommended", "--out", str(tmp_path / "a"), *options]) == 0
    capsys.readouterr()
    metrics = json.loads((tmp_path / "a/metrics.json").read_text())
    given = {"adversary": "none", "erasure": "transport", "private_learning_rate": 0.03, "fraction": 0.2, "rounds": 2}
    assert metrics["configuration"].items() >= given.items()
    assert 0 <= metrics["erasure_strength"] <= 1
    assert "adversary" not in metrics["parameters"]

    assert cli.main(["run", "--preset", "recommended", "--model", "none", "--out", str(tmp_path / "b"), *options]) == 1
    assert "'recommended' has no settings for model 'none'; it has fedncf" in capsys.readouterr().err


@pytest.mark.parametrize("model", RECOMMENDERS)
@pytest.mark.parametrize("name", presets.PRESETS)
def test_every_model_has_every_preset_and_all_but_the_original_work_against_the_attribute(model, name):
    given = presets.preset(name, model)
    config = Config.of({"model": model, **given})
    assert config.to_dict().items() >= given.items()
    works = config.adversary != "none" or config.erasure != "none" or config.noise or config.local_noise or config.apm
    assert bool(works) == (name != "original")


def test_a_recommender_has_defaults_of_its_own_that_give_way():
    assert Config.of({}) == Config()
    assert Config.of({"model": "fedrap"}).private_learning_rate == 0.001
    assert Config.of({"model": "fedrap", "private_learning_rate": 0.5}).private_learning_rate == 0.5


@pytest.mark.parametrize("model", RECOMMENDERS)
def test_what_is_protected_is_the_papers_embedding_or_what_is_private(model):
    states = {
        protect: assembly.protected(Config(model=model, protect=protect)) for protect in ("embedding", "all", "each")
    }
    assert states["all"] == states["each"]
    expected = {
        "fedncf": (["user_gmf"], ["user_gmf", "user_mlp"]),
        "fedrap": (["item_personal.sum"], ["item_personal"]),
        "fedvae": (["latent"], ["latent"]),
    }
    assert (states["embedding"], states["all"]) == expected[model]


def test_a_model_that_does_not_exist_is_refused():
    with pytest.raises(ConfigError, match=r"'fedfoo'.*fedncf"):
        assembly.protected(Config(model="fedfoo"))
