import pickle
import subprocess
import sys

import pytest

from client_sdk.kernel.models import RECOMMENDERS
from simulator.config.config import Config
from simulator.errors import ConfigError


def test_a_fragment_is_laid_over_those_before_it_and_over_the_defaults():
    config = Config.of({"engine.rounds": 4, "data": {"users": 9}}, {"engine": {"rounds": 5}}, {"plan.local.steps": 2})
    assert (config.engine.rounds, config.data.users, config.plan.local.steps) == (5, 9, 2)
    assert config == Config.of().changed({"engine.rounds": 5, "data.users": 9, "plan.local.steps": 2})


@pytest.mark.parametrize(("model", "rounds"), [("fedncf", 600), ("fedrap", 100), ("fedvae", 600)])
def test_a_recommender_has_defaults_of_its_own_that_give_way(model, rounds):
    named = {"plan.model.name": model}
    assert Config.of(named).engine.rounds == rounds
    assert Config.of(named, {"engine.rounds": 7}).engine.rounds == 7
    assert Config.of({"plan.model.name": "fedrap"}).plan.local.private_learning_rate == 0.001


def test_another_recommender_drops_the_widths_of_the_one_before():
    config = Config.of({"plan.model": {"gmf": 8}, "plan.local.steps": 2}, {"plan.model.name": "fedvae"})
    assert config.plan.model.document() == Config.of({"plan.model.name": "fedvae"}).plan.model.document()
    assert config.plan.local.steps == 2
    with pytest.raises(ConfigError, match=r"plan.model: there is no key 'gmf'; the keys are name, hidden"):
        Config.of({"plan.model": {"name": "fedvae", "gmf": 8}})


@pytest.mark.parametrize("model", RECOMMENDERS)
def test_every_field_of_a_plan_can_be_set_and_is_saved(tmp_path, model):
    entries = [{"attribute": "gender", "head": "mlp", "protects": "each"}]
    changes = {"local.cover_rows": 2.0, "server.clip_norm": 9.0, "minimum_separation": 3, "adversaries": entries}
    config = Config.of({"plan.model.name": model}, {f"plan.{path}": value for path, value in changes.items()})
    config.save(tmp_path / "config.yaml")
    assert Config.load(tmp_path / "config.yaml") == config == pickle.loads(pickle.dumps(config))
    assert config.plan.adversaries[0].own() == {"head": "mlp", "protects": "each"}
    assert config.adversary == "mlp"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- a", "expected a mapping with the keys data, plan, engine, evaluation, after_training"),
        ("colour: blue", "there is no key 'colour'; the keys are data, plan"),
        ("engine: {colour: blue}", "engine: there is no key 'colour'; the keys are name, transport"),
        ("plan: {local: {colour: blue}}", "plan.local: there is no key 'colour'; the keys are steps"),
        ("plan: {adversaries: [{attribute: a, head: gan}]}", r"plan.adversaries\[0\].head: expected one of mlp"),
        ("plan: {model: {name: fedfoo}}", "no recommender is called 'fedfoo'; there is fedncf"),
        ("data: {attributes: [a, a]}", "data: attributes must be different names"),
        ("after_training: {erasure: 2}", "erasure takes none, auto, kernel, transport, alignment, d2d, u2u, or"),
        ("engine: {local_noise: 0.1}", "engine.local_noise is in units of plan.server.clip_norm"),
    ],
)
def test_an_error_names_the_file_and_the_setting(tmp_path, text, message):
    (tmp_path / "config.yaml").write_text(text)
    with pytest.raises(ConfigError, match=rf"config.yaml: .*{message}"):
        Config.load(tmp_path / "config.yaml")


@pytest.mark.parametrize(
    "text", ["model: fedncf", "adversary: dsvae\nepsilon: 400.0", "rounds: 4", "dataset: synthetic"]
)
def test_a_flat_file_of_an_earlier_version_is_refused_with_what_changed(tmp_path, text):
    (tmp_path / "config.yaml").write_text(text)
    with pytest.raises(ConfigError, match=r"config.yaml: a configuration of an earlier version: \w+ and all other"):
        Config.load(tmp_path / "config.yaml")


@pytest.mark.parametrize("module", ["simulator.config.config", "simulator.config.flags", "simulator.reporting.plots"])
def test_importing_settings_and_plots_loads_neither_sqlalchemy_nor_grpc_nor_torch(module):
    heavy = ("sqlalchemy", "grpc", "torch")
    code = f"import sys, {module}; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "[]\n")
