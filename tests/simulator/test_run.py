"""Whole runs on the synthetic data set, small."""

import dataclasses
import errno
import json

import numpy as np
import pandas as pd
import pytest
import yaml

from client_sdk.kernel.models import RECOMMENDERS
from simulator import attackers, cli, presets, run, setup
from simulator.config import Config
from simulator.datasets import synthetic
from simulator.errors import ConfigError, DatasetError, EmptyCoreError, ErasureError, OneClassError, TooFewUsersError
from tests.simulator.quiet import Quiet

SMALL = Config(dataset="synthetic", rounds=4, evaluate_every=2, users=60, items=200, workers=1, attack_splits=1)
OTHER = dataclasses.replace(SMALL, private_learning_rate=0.03)
WANTED = {
    "hr@10",
    "ndcg@10",
    "hr@10_full",
    "ndcg@10_full",
    "bacc_paper",
    "bacc_strong",
    "bacc_paper_all",
    "bacc_strong_all",
    "bacc_null_p95",
    "macro_f1_paper",
    "macro_f1_strong_all",
    "strong_families",
    "strong_families_all",
    "round",
    "seconds",
    "peak_rss_mib",
    "clients_trained",
    "trigger_rate",
    "bytes_up",
    "bytes_down",
    "cpu_ms",
    "configuration",
}


@pytest.fixture(autouse=True)
def fewer(monkeypatch):
    monkeypatch.setattr(attackers, "SHUFFLES", 1)
    monkeypatch.setattr("simulator.audit.dlg.STEPS", 2)
    monkeypatch.setattr("simulator.audit.leakage.ROUNDS", (1, 2))


def figures(metrics):
    return {name: value for name, value in metrics.items() if name not in ("seconds", "cpu_ms", "peak_rss_mib")}


@pytest.mark.parametrize("engine", ["batched", "fleet"])
@pytest.mark.parametrize("adversary", ["none", "dsvae"])
@pytest.mark.parametrize("model", RECOMMENDERS)
def test_a_run_folder_is_complete(tmp_path, engine, adversary, model):
    config = dataclasses.replace(SMALL, engine=engine, adversary=adversary, model=model)
    metrics = run.run(config, tmp_path / "run", None, Quiet())
    written = json.loads((tmp_path / "run/metrics.json").read_text())
    assert written == metrics
    assert set(written) >= WANTED
    leaks = {"leak_dlg", "leak_analytic", "leak_analytic_2", "leak_embedding_error"}
    assert {name for name in written if name.startswith("leak")} == (leaks if adversary == "dsvae" else set())
    assert set(written["trigger_rate"]) == ({"M", "F"} if adversary == "dsvae" else set())
    assert Config.load(tmp_path / "run/config.yaml") == config
    rounds = pd.read_parquet(tmp_path / "run/rounds.parquet")
    assert rounds["round"].tolist() == [1, 2, 3, 4]
    assert rounds["ndcg@10"].notna().tolist() == [False, True, False, True]
    assert written["clients_trained"] == 4 * 6
    assert {path.name for path in (tmp_path / "run").iterdir()} >= {
        *("learning.png", "leakage.png", "report.html", "ranks.parquet"),
    }


def test_noise_on_every_upload_that_is_drawn_for_the_sum_alone_is_not_attacked_as_if_it_were_not_there(tmp_path):
    config = dataclasses.replace(SMALL, adversary="dsvae", local_noise=0.1, clip_norm=1.0)
    metrics = run.run(config, tmp_path / "run", None, Quiet())
    assert not [name for name in metrics if name.startswith("leak")]
    assert "bacc_strong" in metrics


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
    assert "recommended for fedncf" in capsys.readouterr().err


def test_confusion_of_each_private_tensor_has_an_adversary_for_each_and_no_trigger(tmp_path):
    config = dataclasses.replace(SMALL, objective="confusion", protect="each", epsilon=2.0, users=200, erasure="0.5")
    metrics = run.run(config, tmp_path, None, Quiet())
    assert metrics["erasure_strength"] == 0.5
    assert metrics["parameters"]["adversary"] == (32 + 128 + 2 * 5) * 100  # each with its own input
    assert set(metrics["trigger_rate"].values()) == {1.0}


@pytest.mark.parametrize("protect", ["embedding", "all", "each"])
@pytest.mark.parametrize("objective", ["reversal", "confusion"])
def test_fleet_and_batched_protect_alike(tmp_path, protect, objective):
    config = dataclasses.replace(SMALL, protect=protect, objective=objective, adversary="scalar", rounds=1)
    both = [
        run.run(dataclasses.replace(config, engine=engine), tmp_path / engine, None, Quiet())
        for engine in ("batched", "fleet")
    ]
    assert both[0]["parameters"] == both[1]["parameters"]
    assert both[0]["trigger_rate"] == both[1]["trigger_rate"]
    assert both[0]["ndcg@10"] == pytest.approx(both[1]["ndcg@10"], abs=1e-3)


@pytest.mark.parametrize(("model", "width"), [("fedncf", 160), ("fedrap", 200 * 32), ("fedvae", 200)])
def test_an_erasure_that_would_write_the_attribute_is_refused_before_training(tmp_path, model, width):
    trained = Quiet(stop_after=1)
    with pytest.raises(ErasureError, match=f"{width} dimensions"):
        run.run(dataclasses.replace(SMALL, model=model, erasure="auto"), tmp_path, None, trained)
    with pytest.raises(ErasureError):
        run.run(dataclasses.replace(SMALL, model=model, erasure="transport"), tmp_path / "other", None, trained)
    assert trained.left == 1


@pytest.mark.parametrize("model", RECOMMENDERS)
@pytest.mark.parametrize("name", presets.PRESETS)
def test_every_model_has_every_preset_and_all_but_the_original_work_against_the_attribute(model, name):
    given = presets.preset(name, model)
    config = Config.of({"model": model, **given})
    assert config.to_dict().items() >= given.items()
    works = config.adversary != "none" or config.erasure != "none" or config.noise or config.local_noise or config.apm
    assert bool(works) == (name != "original")


@pytest.mark.parametrize("model", RECOMMENDERS)
def test_what_is_protected_is_the_papers_embedding_or_what_is_private(model):
    states = {
        protect: setup.protected(Config(model=model, protect=protect)) for protect in ("embedding", "all", "each")
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
        setup.protected(Config(model="fedfoo"))


def test_an_attribute_is_erased_from_the_latent_of_a_model_without_private_state(tmp_path):
    config = dataclasses.replace(SMALL, model="fedvae", adversary="none", users=250, erasure="1.0", rounds=2)
    plain = run.run(dataclasses.replace(config, erasure="none"), tmp_path / "plain", None, Quiet())
    erased = run.run(config, tmp_path / "erased", None, Quiet())
    assert erased["erasure_strength"] == 1.0
    assert erased["round"] == plain["round"]
    assert erased["bacc_paper"] != plain["bacc_paper"]
    assert erased["ndcg@10"] != plain["ndcg@10"]


def test_batched_and_fleet_cost_the_same_bytes(tmp_path):
    sizes = [
        run.run(dataclasses.replace(SMALL, engine=engine, fraction=1.0), tmp_path / engine, None, Quiet())["bytes_up"]
        for engine in ("batched", "fleet")
    ]
    assert sizes[0] == pytest.approx(sizes[1], rel=0.02)


@pytest.mark.parametrize("model", RECOMMENDERS)
def test_an_interrupted_run_goes_on_to_the_same_result(tmp_path, model):
    config = dataclasses.replace(SMALL, model=model)
    undisturbed = run.run(config, tmp_path / "one", None, Quiet())
    with pytest.raises(KeyboardInterrupt):
        run.run(config, tmp_path / "two", None, Quiet(stop_after=3))
    resumed = Quiet()
    assert figures(run.run(config, tmp_path / "two", None, resumed)) == figures(undisturbed)
    assert {path.name for path in (tmp_path / "two").iterdir()} == {path.name for path in (tmp_path / "one").iterdir()}


def test_a_recommender_has_defaults_of_its_own_that_give_way():
    assert Config.of({}) == Config()
    assert Config.of({"model": "fedrap"}).private_learning_rate == 0.001
    assert Config.of({"model": "fedrap", "private_learning_rate": 0.5}).private_learning_rate == 0.5


def test_workers_do_not_change_the_result(tmp_path, monkeypatch):
    monkeypatch.setattr("simulator.batched.CHUNK", 2)
    results = [
        figures(run.run(dataclasses.replace(SMALL, workers=workers), tmp_path / str(workers), None, Quiet()))
        for workers in (1, 3)
    ]
    for result in results:
        result.pop("configuration")
    assert results[0] == results[1]


def test_another_configuration_does_not_overwrite_a_run(tmp_path):
    SMALL.save(tmp_path / "config.yaml")
    with pytest.raises(ConfigError, match=r"another configuration \(seed: 0, now 1\)"):
        run.run(dataclasses.replace(SMALL, seed=1), tmp_path, None, Quiet())


@pytest.mark.parametrize("spoil", [lambda file: file.unlink(), lambda file: OTHER.save(file)])
def test_an_interrupted_run_is_what_it_was_begun_as_whatever_its_file_says(tmp_path, spoil):
    with pytest.raises(KeyboardInterrupt):
        run.run(SMALL, tmp_path / "run", None, Quiet(stop_after=3))
    spoil(tmp_path / "run/config.yaml")
    with pytest.raises(ConfigError, match=r"private_learning_rate: 0\.1, now 0\.03"):
        run.run(OTHER, tmp_path / "run", None, Quiet())


def test_a_run_of_an_earlier_version_is_the_same_with_the_defaults_of_what_is_new(tmp_path):
    there = {name: value for name, value in SMALL.to_dict().items() if name != "cover_rows"}
    assert SMALL.differences(there) == []
    assert dataclasses.replace(SMALL, cover_rows=1.0).differences(there) == ["cover_rows: 0.0, now 1.0"]
    assert SMALL.differences(there | {"colour": "blue"}) == ["colour: blue, now unknown"]


def test_what_decides_no_result_may_change_when_a_run_goes_on(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        run.run(SMALL, tmp_path / "run", None, Quiet(stop_after=3))
    resumed = run.run(dataclasses.replace(SMALL, workers=3), tmp_path / "run", None, Quiet())
    whole = run.run(SMALL, tmp_path / "whole", None, Quiet())
    assert figures(resumed) | {"configuration": 0} == figures(whole) | {"configuration": 0}


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (["--model", "fedcnf"], "there is fedncf"),
        (["--epsilon=-1"], "epsilon"),
        (["--local-steps", "100000"], "steps"),
        (["--erasure", "auto"], "160 dimensions"),
        (["--preset", "recommended"], "128 dimensions"),
        (["--model", "fedvae", "--apm", "1"], "clip_norm"),
        (["--model", "fedvae", "--erasure", "transport"], "set erasure to auto"),
    ],
)
def test_a_refused_command_leaves_nothing_that_its_corrected_form_would_meet(tmp_path, capsys, options, word):
    given = ["--dataset", "synthetic", "--users", "60", "--items", "200", "--rounds", "1"]
    assert cli.main(["run", "--out", str(tmp_path / "run"), *given, *options]) == 1
    assert word in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_full_disk_is_told_and_leaves_no_file_that_is_half_written(tmp_path, capsys, monkeypatch):
    def full(self, file, data):
        file.write(data[:1])
        raise OSError(errno.ENOSPC, "No space left on device")

    given = ["--dataset", "synthetic", "--users", "60", "--items", "200", "--rounds", "1", "--attack-splits", "1"]
    with monkeypatch.context() as patched:
        patched.setattr("coordinator.disk.Disk.write", full)
        assert cli.main(["run", "--out", str(tmp_path / "run"), *given]) == 1
        assert "cannot be written: the disk is full" in capsys.readouterr().err
    assert not (tmp_path / "run/config.yaml").exists()
    assert cli.main(["run", "--out", str(tmp_path / "run"), *given]) == 0


@pytest.mark.parametrize(
    "change",
    [
        {"adversary": "gan"},
        {"rounds": 0},
        {"fraction": 0.0},
        {"dependence": 2.0},
        {"server_learning_rate": -1.0},
        {"erasure": "much"},
        {"objective": "none"},
        {"erasure": "0"},
        {"minority": 0.5},
        {"minority": 0.1, "balance": True},
    ],
)
def test_a_configuration_that_cannot_be_run_is_refused(change):
    with pytest.raises(ConfigError, match=next(iter(change))):
        dataclasses.replace(SMALL, **change)


def test_the_command_line_runs_repeats_and_explains(tmp_path, capsys):
    options = [
        "--dataset",
        "synthetic",
        "--users",
        "60",
        "--items",
        "200",
        "--rounds",
        "2",
        "--evaluate-every",
        "1",
        "--attack-splits",
        "2",
    ]
    assert cli.main(["run", "--out", str(tmp_path / "a"), *options]) == 0
    assert "NDCG@10" in capsys.readouterr().out
    config = tmp_path / "a/config.yaml"
    assert cli.main(["run", "--out", str(tmp_path / "b"), "--config", str(config)]) == 0
    one, two = (json.loads((tmp_path / name / "metrics.json").read_text()) for name in "ab")
    assert figures(one) == figures(two)

    assert cli.main(["run", "--out", str(tmp_path / "c"), *options, "--attribute", "age"]) == 1
    assert "gender" in capsys.readouterr().err
    assert cli.main(["run", "--out", str(tmp_path / "d"), "--data-dir", str(tmp_path)]) == 1
    assert "ml-100k" in capsys.readouterr().err
    config.write_text(yaml.safe_dump({"colour": "blue"}))
    assert cli.main(["run", "--out", str(tmp_path / "e"), "--config", str(config)]) == 1
    assert "not a configuration: there is no setting colour" in capsys.readouterr().err
    for text, words in (("- blue", "not a list"), ("{rounds: many}", "config.yaml: rounds must be"), ("{", "line 1")):
        config.write_text(text)
        assert cli.main(["run", "--out", str(tmp_path / "e"), "--config", str(config)]) == 1
        assert words in capsys.readouterr().err


SPOILS = [
    lambda file: file.unlink(),
    lambda file: file.write_bytes(file.read_bytes()[:40]),
    lambda file: file.write_bytes(b"[]"),
]


@pytest.mark.parametrize("spoil", SPOILS)
@pytest.mark.parametrize("name", ["progress.json", "progress.safetensors"])
def test_damaged_leftovers_only_cost_the_start(tmp_path, spoil, name):
    undisturbed = run.run(SMALL, tmp_path / "one", None, Quiet())
    with pytest.raises(KeyboardInterrupt):
        run.run(SMALL, tmp_path / "two", None, Quiet(stop_after=3))
    spoil(tmp_path / "two" / name)
    assert figures(run.run(SMALL, tmp_path / "two", None, Quiet())) == figures(undisturbed)


def test_divergence_is_explained(tmp_path, capsys):
    options = ["--dataset", "synthetic", "--users", "60", "--items", "200", "--rounds", "4", "--attack-splits", "2"]
    assert cli.main(["run", "--out", str(tmp_path / "a"), *options, "--server-learning-rate", "1e30"]) == 1
    assert "learning rate" in capsys.readouterr().err


def write_own(folder, dataset, items=200, classes=("a", "b"), attribute="kind"):
    """A data set as atomic files, of which the catalogue or the classes may be cut down."""
    folder.mkdir(exist_ok=True)
    pairs = [
        f"{dataset.users[u]}\t{dataset.items[i]}" for u, i in zip(dataset.user, dataset.item, strict=True) if i < items
    ]
    (folder / "own.inter").write_text("\n".join(["user_id:token\titem_id:token", *pairs]))
    labels = [classes[label] for label in dataset.attributes["gender"].labels]
    rows = [f"{user}\t{label}" for user, label in zip(dataset.users, labels, strict=True)]
    (folder / "own.user").write_text("\n".join([f"user_id:token\t{attribute}:token", *rows]))


OWN = dataclasses.replace(SMALL, dataset="own", attribute="kind")


def test_own_data_runs_and_a_resumed_run_must_find_the_same(tmp_path):
    dataset = synthetic.generate(60, 200)
    write_own(tmp_path / "data", dataset)
    whole = run.run(OWN, tmp_path / "one", tmp_path / "data", Quiet())
    with pytest.raises(KeyboardInterrupt):
        run.run(OWN, tmp_path / "two", tmp_path / "data", Quiet(stop_after=3))
    write_own(tmp_path / "data", dataset, items=190)
    with pytest.raises(ConfigError, match=r"other data .* items, now 1"):
        run.run(OWN, tmp_path / "two", tmp_path / "data", Quiet())
    write_own(tmp_path / "data", dataset, classes=("b", "a"))
    with pytest.raises(ConfigError, match="as large, but not the same"):
        run.run(OWN, tmp_path / "two", tmp_path / "data", Quiet())
    write_own(tmp_path / "data", dataset)
    assert figures(run.run(OWN, tmp_path / "two", tmp_path / "data", Quiet())) == figures(whole)


def test_an_attribute_may_have_any_name(tmp_path):
    write_own(tmp_path / "data", synthetic.generate(60, 200), attribute="a/b")
    (tmp_path / "data/own.user").write_text(
        "\n".join(
            f"{line}\t{line.rpartition(chr(9))[2] if number else 'c:token'}"
            for number, line in enumerate((tmp_path / "data/own.user").read_text().splitlines())
        )
    )
    config = dataclasses.replace(OWN, attribute="c,a/b", rounds=1)
    assert "a/b/bacc_strong" in run.run(config, tmp_path / "run", tmp_path / "data", Quiet())
    assert (tmp_path / "run/leakage-a-b.png").is_file()


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
        run.run(dataclasses.replace(OWN, user_core=500), tmp_path / "run", tmp_path / "data", Quiet(stop_after=0))
    with pytest.raises(ConfigError, match="user_core"):
        dataclasses.replace(OWN, user_core=-1)
    (tmp_path / "data/own.user").unlink()
    with pytest.raises(ConfigError, match="it has none"):
        run.run(OWN, tmp_path / "run", tmp_path / "data", Quiet(stop_after=0))
    assert not (tmp_path / "run").exists()


def test_the_command_line_cuts_and_balances(tmp_path):
    options = ["--dataset", "synthetic", "--users", "80", "--items", "200", "--rounds", "1", "--attack-splits", "2"]
    assert cli.main(["run", "--out", str(tmp_path / "a"), *options, "--k-core", "5", "--balance"]) == 0
    config = yaml.safe_load((tmp_path / "a/config.yaml").read_text())
    assert (config["user_core"], config["item_core"], config["balance"]) == (5, 5, True)
    assert json.loads((tmp_path / "a/dataset.json").read_text())["users"] < 80
