import argparse

import pytest
import yaml

from client_sdk.kernel.models import RECOMMENDERS
from simulator.config import flags
from simulator.config.config import Config
from simulator.config.presets import METHOD, PRESETS, of_model
from simulator.errors import ConfigError


def configured(*arguments, path=None):
    parser = argparse.ArgumentParser(prog="run")
    flags.add(parser)
    return flags.configuration(parser.parse_args(arguments), path)


def test_without_a_flag_it_is_the_default():
    assert configured() == Config.of()


def test_every_setting_has_one_flag_and_a_line_of_help(capsys):
    every = list(flags.every())
    assert len({flag.name for flag in every}) == len(every)
    with pytest.raises(SystemExit):
        configured("--help")
    printed = capsys.readouterr().out
    assert all(f"{flag.name} " in printed and flag.help.strip() for flag in every)
    assert "the defaults, --config, --preset,\n--plan, and the other options" in printed


@pytest.mark.parametrize(
    ("arguments", "path", "value"),
    [
        (["--dataset", "synthetic"], "data.dataset", "synthetic"),
        (["--attributes", "gender, age"], "data.attributes", ["gender", "age"]),
        (["--no-balance"], "data.balance", False),
        (["--engine", "fleet"], "engine.name", "fleet"),
        (["--erasure", "0.5"], "after_training.erasure", "0.5"),
        (["--model.hidden", "64,32"], "plan.model.hidden", [64, 32]),
        (["--model", "fedvae", "--model.dropout", "0.25"], "plan.model", {"name": "fedvae", "dropout": 0.25}),
        (["--local.negatives", "2"], "plan.local.negatives", 2),
        (["--local.private_learning_rate", "2e-3"], "plan.local.private_learning_rate", 2e-3),
        (["--adversary.trigger", "off"], "plan.adversary.trigger", "off"),
        (["--adversary.protects", "user_mlp"], "plan.adversary.protects", ["user_mlp"]),
        (["--adversary.protects", "each"], "plan.adversary.protects", "each"),
        (["--adversary.class-weights", "0.5,2"], "plan.adversary.class_weights", [0.5, 2.0]),
        (["--adversaries", "none"], "plan.adversaries", []),
        (["--adversaries", "[]"], "plan.adversaries", []),
        (["--adversaries", "[{attribute: a, head: mlp}]"], "plan.adversaries", [{"attribute": "a", "head": "mlp"}]),
        (["--server.shared.learning-rate", "1"], "plan.server.shared.learning_rate", 1.0),
        (["--minimum-separation", "3"], "plan.minimum_separation", 3),
        (["--k-core", "5"], "data", {"user_core": 5, "item_core": 5}),
    ],
)  # fmt: skip
def test_a_flag_is_a_setting(arguments, path, value):
    assert configured(*arguments) == Config.of({path: value})


@pytest.mark.parametrize("model", RECOMMENDERS)
@pytest.mark.parametrize("name", PRESETS)
def test_the_flags_of_a_configuration_make_it_again(name, model):
    if name not in of_model(model):
        pytest.skip(f"{model} has no preset {name}")
    config = configured("--preset", name, "--model", model)
    assert configured(*flags.words(config, always=["plan.model.name"])) == config


def test_later_layers_override_earlier_ones(tmp_path):
    (tmp_path / "config.yaml").write_text(
        "plan: {local: {steps: 2, negatives: 2, chunk: 2}, adversary: {epsilon: 2}}\nengine: {rounds: 2, seed: 2}"
    )
    (tmp_path / "plan.yaml").write_text("local: {negatives: 3, chunk: 3}")
    given = ["--preset", "mlp", "--plan", str(tmp_path / "plan.yaml"), "--local.chunk", "4"]
    config = configured(*given, path=tmp_path / "config.yaml")
    local = config.plan.local
    assert (local.steps, local.negatives, local.chunk, config.engine.seed) == (2, 3, 4, 2)
    # A preset is a method: what it does not name of METHOD is the default again.
    assert "plan.adversary" in METHOD
    assert "engine.rounds" in METHOD
    assert (config.plan.adversary.head, config.plan.adversary.epsilon, config.engine.rounds) == ("mlp", 400.0, 600)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--preset", "original", "--adversary.head", "mlp"], "--adversary.head has no effect: there is no adversary"),
        (
            ["--adversaries", "[{attribute: gender, head: vae}]", "--adversary.head", "mlp"],
            "--adversary.head has no effect on the adversary of gender",
        ),
        (["--local.steps", "0"], "plan.local.steps: must be at least 1, not 0"),
        (["--adversaries", "[{"], "plan.adversaries: '\\[{' is not YAML"),
        (["--model", "fedfoo"], "no recommender is called 'fedfoo'"),
        (["--attributes", "gender,,age"], "data.attributes"),
    ],
)
def test_a_flag_that_cannot_be_followed_is_refused(arguments, message):
    with pytest.raises(ConfigError, match=message):
        configured(*arguments)


def test_a_plan_file_is_named_in_its_errors(tmp_path):
    (tmp_path / "plan.yaml").write_text(yaml.safe_dump({"local": {"steps": 0}}))
    with pytest.raises(ConfigError, match=r"plan.yaml: local.steps: must be at least 1"):
        configured("--plan", str(tmp_path / "plan.yaml"))


@pytest.mark.parametrize("arguments", [["--rounds", "many"], ["--split", "half"], ["--adversary", "dsvae"]])
def test_what_cannot_be_read_is_wrong_usage(arguments, capsys):
    with pytest.raises(SystemExit) as ended:
        configured(*arguments)
    assert ended.value.code == 2
    assert arguments[0] in capsys.readouterr().err
