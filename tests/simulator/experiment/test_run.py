"""Whole runs on the synthetic data set, small."""

import errno
import json

import numpy as np
import pandas as pd
import pytest
import yaml

from export import kept_model
from export.bundle import from_plan
from export.plan import planfile
from export.plan.resolve import resolve
from export.successor import succeed
from fedau2.wire import blobs, manifest
from simulator.commands import cli
from simulator.config.config import Config
from simulator.datasets import synthetic, times
from simulator.experiment import run
from tests.recommenders import LEAN
from tests.simulator.quiet import Quiet
from tests.simulator.runs import OWN, SMALL, figures, prepared, write_own
from tests.simulator.settings import change

pytestmark = pytest.mark.usefixtures("fewer")
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


@pytest.mark.parametrize("engine", ["batched", "fleet"])
@pytest.mark.parametrize("adversary", ["none", "dsvae"])
@pytest.mark.parametrize("model", LEAN)
def test_a_run_folder_is_complete(tmp_path, engine, adversary, model):
    config = change(SMALL, engine=engine, head=adversary, model=model, steps=1)
    metrics = run.run(config, tmp_path / "run", None, Quiet())
    written = json.loads((tmp_path / "run/metrics.json").read_text())
    assert written == metrics
    assert set(written) >= WANTED
    leaks = {"leak_dlg", "leak_analytic", "leak_analytic_2", "leak_embedding_error", "leak_all_off"}
    assert {name for name in written if name.startswith("leak")} == (leaks if adversary == "dsvae" else set())
    assert set(written["trigger_rate"]) == ({"M", "F"} if adversary == "dsvae" else set())
    assert Config.load(tmp_path / "run/config.yaml") == config
    bundle = from_plan(resolve(planfile.read(tmp_path / "run/plan.yaml"), {}), ["1", "2"], 0, training=False)
    assert [one.attribute for one in bundle.manifest.plan.adversaries] == ["gender"] * (adversary != "none")
    assert len((tmp_path / "run/items.txt").read_text().splitlines()) == 200
    rounds = pd.read_parquet(tmp_path / "run/rounds.parquet")
    assert rounds["round"].tolist() == [1, 2, 3, 4]
    assert rounds["ndcg@10"].notna().tolist() == [False, True, False, True]
    assert written["clients_trained"] == 4 * 6
    assert {path.name for path in (tmp_path / "run").iterdir()} >= {
        *("learning.png", "leakage.png", "report.html", "ranks.parquet"),
    }


def test_a_run_keeps_the_model_that_it_evaluated_and_no_private_tensor(tmp_path):
    config = change(SMALL, head="dsvae")
    run.run(config, tmp_path, None, Quiet())
    _, bundle, _ = prepared(config)
    items = (tmp_path / "items.txt").read_text().splitlines()
    kept = kept_model.read(tmp_path, items)
    drawn = tensors_of(bundle)
    assert {name: value.shape for name, value in kept.items()} == {name: drawn[name].shape for name in drawn}
    assert not any(np.array_equal(kept[name], drawn[name]) for name in drawn)
    assert not kept.keys() & {spec.name for spec in manifest.private(bundle.manifest)}
    again, _ = succeed(tmp_path, None, 1)
    assert all(np.array_equal(kept[name], value) for name, value in tensors_of(again).items())
    run.run(config, tmp_path, None, Quiet(), keep="none")
    assert kept_model.read(tmp_path, items) is None


def tensors_of(bundle):
    return blobs.unpack(bundle.blob(bundle.manifest.checkpoint))


def test_noise_on_every_upload_that_is_drawn_for_the_sum_alone_is_not_attacked_as_if_it_were_not_there(tmp_path):
    config = change(SMALL, head="dsvae", local_noise=0.1, clip_norm=1.0)
    metrics = run.run(config, tmp_path / "run", None, Quiet())
    assert not [name for name in metrics if name.startswith("leak")]
    assert "bacc_strong" in metrics


def test_confusion_of_each_private_tensor_has_an_adversary_for_each_and_no_trigger(tmp_path):
    config = change(SMALL, objective="confusion", protects="each", epsilon=2.0, users=200, erasure="0.5")
    metrics = run.run(config, tmp_path, None, Quiet())
    assert metrics["erasure_strength"] == 0.5
    assert metrics["parameters"]["adversary"] == (32 + 128 + 2 * 5) * 100  # each with its own input
    assert set(metrics["trigger_rate"].values()) == {1.0}


@pytest.mark.parametrize("protects", ["embedding", "all", "each"])
@pytest.mark.parametrize("objective", ["reversal", "confusion"])
def test_fleet_and_batched_protect_alike(tmp_path, protects, objective):
    config = change(SMALL, protects=protects, objective=objective, head="scalar", rounds=1)
    both = [run.run(change(config, engine=engine), tmp_path / engine, None, Quiet()) for engine in ("batched", "fleet")]
    assert both[0]["parameters"] == both[1]["parameters"]
    assert both[0]["trigger_rate"] == both[1]["trigger_rate"]
    assert both[0]["ndcg@10"] == pytest.approx(both[1]["ndcg@10"], abs=1e-3)


def test_an_attribute_is_erased_from_the_latent_of_a_model_without_private_state(tmp_path):
    config = change(SMALL, model="fedvae", head="none", users=250, erasure="1.0", rounds=2)
    plain = run.run(change(config, erasure="none"), tmp_path / "plain", None, Quiet())
    erased = run.run(config, tmp_path / "erased", None, Quiet())
    assert erased["erasure_strength"] == 1.0
    assert erased["round"] == plain["round"]
    assert erased["bacc_paper"] != plain["bacc_paper"]
    assert erased["ndcg@10"] != plain["ndcg@10"]


def test_batched_and_fleet_cost_the_same_bytes(tmp_path):
    sizes = [
        run.run(change(SMALL, engine=engine, fraction=1.0), tmp_path / engine, None, Quiet())["bytes_up"]
        for engine in ("batched", "fleet")
    ]
    assert sizes[0] == pytest.approx(sizes[1], rel=0.02)


def test_workers_do_not_change_the_result(tmp_path, monkeypatch):
    monkeypatch.setattr("simulator.engines.batched.CHUNK", 2)
    results = [
        figures(run.run(change(SMALL, workers=workers), tmp_path / str(workers), None, Quiet())) for workers in (1, 3)
    ]
    for result in results:
        result.pop("configuration")
    assert results[0] == results[1]


def test_a_full_disk_is_told_and_leaves_no_file_that_is_half_written(tmp_path, capsys, monkeypatch):
    def full(self, file, data):
        file.write(data[:1])
        raise OSError(errno.ENOSPC, "No space left on device")

    given = ["--dataset", "synthetic", "--users", "60", "--items", "200", "--rounds", "1", "--attack-splits", "1"]
    with monkeypatch.context() as patched:
        patched.setattr("fedau2.files.Steps.write", full)
        assert cli.main(["run", "--out", str(tmp_path / "run"), *given]) == 1
        assert "cannot be written: the disk is full" in capsys.readouterr().err
    assert not (tmp_path / "run/config.yaml").exists()
    assert cli.main(["run", "--out", str(tmp_path / "run"), *given]) == 0


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
    assert (
        "there is no key 'colour'; the keys are data, plan, engine, evaluation, after_training"
        in capsys.readouterr().err
    )
    for text, words in (
        ("- blue", "expected a mapping"),
        ("{engine: {rounds: many}}", "config.yaml: engine.rounds: expected a whole number, not 'many'"),
        ("{rounds: 4}", "a configuration of an earlier version: rounds and all other settings now lie in the sections"),
        ("{", "line 1"),
    ):
        config.write_text(text)
        assert cli.main(["run", "--out", str(tmp_path / "e"), "--config", str(config)]) == 1
        assert words in capsys.readouterr().err


def test_divergence_is_explained(tmp_path, capsys):
    options = ["--dataset", "synthetic", "--users", "60", "--items", "200", "--rounds", "4", "--attack-splits", "2"]
    assert cli.main(["run", "--out", str(tmp_path / "a"), *options, "--server.shared.learning-rate", "1e30"]) == 1
    assert "learning rate" in capsys.readouterr().err


def test_an_attribute_may_have_any_name(tmp_path):
    write_own(tmp_path / "data", synthetic.generate(60, 200), attribute="a/b")
    (tmp_path / "data/own.user").write_text(
        "\n".join(
            f"{line}\t{line.rpartition(chr(9))[2] if number else 'c:token'}"
            for number, line in enumerate((tmp_path / "data/own.user").read_text().splitlines())
        )
    )
    config = change(OWN, attributes=["c", "a/b"], rounds=1)
    assert "a/b/bacc_strong" in run.run(config, tmp_path / "run", tmp_path / "data", Quiet())
    assert (tmp_path / "run/leakage-a-b.png").is_file()
    assert times.FILE_ORDER in json.loads((tmp_path / "run/dataset.json").read_text())["notes"]
    assert times.FILE_ORDER in (tmp_path / "run/report.html").read_text()


def test_the_command_line_cuts_and_balances(tmp_path, capsys):
    options = ["--dataset", "synthetic", "--users", "80", "--items", "200", "--rounds", "1", "--attack-splits", "2"]
    folder = tmp_path / "a[/b]"  # no markup
    assert cli.main(["run", "--out", str(folder), *options, "--k-core", "5", "--balance"]) == 0
    assert "a[/b]/" in "".join(capsys.readouterr().out.split())
    config = yaml.safe_load((folder / "config.yaml").read_text())
    assert (config["data"]["user_core"], config["data"]["item_core"], config["data"]["balance"]) == (5, 5, True)
    assert json.loads((folder / "dataset.json").read_text())["users"] < 80
