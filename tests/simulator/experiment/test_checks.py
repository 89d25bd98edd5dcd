import dataclasses

import numpy as np
import pytest

from simulator.commands import cli
from simulator.config.config import Config
from simulator.datasets import synthetic
from simulator.errors import ConfigError, DatasetError, EmptyCoreError, ErasureError, OneClassError, TooFewUsersError
from simulator.experiment import run
from tests.simulator.quiet import Quiet
from tests.simulator.runs import OWN, SMALL, write_own
from tests.simulator.settings import change, make


@pytest.mark.parametrize(("model", "width"), [("fedncf", 160), ("fedrap", 200 * 32), ("fedvae", 200)])
def test_an_erasure_that_would_write_the_attribute_is_refused_before_training(tmp_path, model, width):
    trained = Quiet(stop_after=1)
    with pytest.raises(ErasureError, match=f"{width} dimensions"):
        run.run(change(SMALL, model=model, erasure="auto"), tmp_path, None, trained)
    with pytest.raises(ErasureError):
        run.run(change(SMALL, model=model, erasure="transport"), tmp_path / "other", None, trained)
    assert trained.left == 1


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (["--model", "fedcnf"], "there is fedncf"),
        (["--adversary.epsilon=-1"], "epsilon"),
        (["--local.steps", "100000"], "steps"),
        (["--erasure", "auto"], "160 dimensions"),
        (["--preset", "recommended"], "160 dimensions"),
        (["--model", "fedvae", "--apm", "1"], "clip_norm"),
        (["--cohort", "61"], "engine.cohort is 61, and there are 60 users"),
        (["--engine", "fleet", "--executor", "ray"], "set engine.name to batched"),
        (["--address", "127.0.0.1:6379"], "set engine.executor to ray"),
        (["--model", "fedvae", "--erasure", "transport"], "set erasure to auto"),
    ],
)
def test_a_refused_command_leaves_nothing_that_its_corrected_form_would_meet(tmp_path, capsys, options, word):
    given = ["--dataset", "synthetic", "--users", "60", "--items", "200", "--rounds", "1"]
    assert cli.main(["run", "--out", str(tmp_path / "run"), *given, *options]) == 1
    assert word in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "settings",
    [
        {"head": "gan"},
        {"rounds": 0},
        {"fraction": 0.0},
        {"dependence": 2.0},
        {"private_learning_rate": -1.0},
        {"private_learning_rate": float("inf")},
        {"epsilon": float("nan")},
        {"epsilon": 1e300},
        {"variance": -1.0},
        {"noise": 1e38},
        {"workers": 10**6},
        {"erasure": "much"},
        {"objective": "none"},
        {"erasure": "0"},
        {"minority": 0.5},
        {"minority": 0.1, "balance": True},
    ],
)
def test_a_configuration_that_cannot_be_run_is_refused(settings):
    with pytest.raises(ConfigError, match=next(iter(settings))):
        change(SMALL, **settings)


def test_a_misspelt_class_is_named(tmp_path):
    write_own(tmp_path / "data", synthetic.generate(60, 200))
    path = tmp_path / "data/own.user"
    path.write_text(path.read_text().replace("\ta\n", "\tA\n", 1))
    with pytest.raises(TooFewUsersError, match=r"own, kind: .* 10 users .* 1 of 'A'.*misspelt"):
        run.run(OWN, tmp_path / "run", tmp_path / "data", Quiet())


def test_data_that_cannot_be_trained_on_is_refused_before_training(tmp_path):
    dataset = synthetic.generate(60, 200)
    write_own(tmp_path / "data", dataset, classes=("a", "a"))
    with pytest.raises(OneClassError, match=r"only one class \(a\)"):
        run.run(OWN, tmp_path / "run", tmp_path / "data", Quiet(stop_after=0))
    first = np.flatnonzero(dataset.user == 0)[2:]
    short = dataclasses.replace(dataset, user=np.delete(dataset.user, first), item=np.delete(dataset.item, first))
    write_own(tmp_path / "data", short)
    with pytest.raises(DatasetError, match="--user-core 3"):
        run.run(OWN, tmp_path / "run", tmp_path / "data", Quiet(stop_after=0))
    with pytest.raises(EmptyCoreError):
        run.run(change(OWN, user_core=500), tmp_path / "run", tmp_path / "data", Quiet(stop_after=0))
    with pytest.raises(ConfigError, match="user_core"):
        change(OWN, user_core=-1)
    (tmp_path / "data/own.user").unlink()
    with pytest.raises(ConfigError, match="it has no attributes"):
        run.run(OWN, tmp_path / "run", tmp_path / "data", Quiet(stop_after=0))
    assert not (tmp_path / "run").exists()


def test_a_file_that_names_a_recommender_has_its_defaults(tmp_path):
    (tmp_path / "c.yaml").write_text("plan: {model: {name: fedrap}}\ndata: {dataset: synthetic}\n")
    assert Config.load(tmp_path / "c.yaml") == make(model="fedrap", dataset="synthetic")
    (tmp_path / "c.yaml").write_text("plan: {model: [fedrap]}\n")
    with pytest.raises(ConfigError, match=r"c.yaml: plan.model: expected a mapping"):
        Config.load(tmp_path / "c.yaml")
    (tmp_path / "c.yaml").write_text("plan: {adversary: {epsilon: 4e2}}\n")
    assert Config.load(tmp_path / "c.yaml").plan.adversary.epsilon == 400.0


TRACKED = [["run"], ["reproduce", "table1"]]


@pytest.mark.parametrize(
    ("option", "command"),
    [
        *(("--out", command) for command in [*TRACKED, ["audit"], ["demo"]]),
        *((option, command) for option in ("--mlflow", "--tensorboard") for command in TRACKED),
    ],
)
def test_an_empty_name_is_no_folder(capsys, option, command):
    with pytest.raises(SystemExit) as ended:
        cli.main([*command, option, ""])
    assert ended.value.code == 2
    assert f"argument {option}: it is empty" in capsys.readouterr().err


def test_a_finished_run_is_done_again_and_says_so(tmp_path, capsys):
    command = ["run", "--out", str(tmp_path / "one"), *("--dataset", "synthetic", "--users", "60", "--items", "200")]
    command += ["--rounds", "1", "--attack-splits", "1", "--workers", "1"]
    assert cli.main(command) == 0
    assert "done again and replaced" not in capsys.readouterr().out
    assert cli.main(command) == 0
    assert "done again and replaced" in " ".join(capsys.readouterr().out.split())
