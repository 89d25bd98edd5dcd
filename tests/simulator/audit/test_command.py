"""The command: one table, files, words, and an exit status that holds bounds."""

import argparse
import json

import numpy as np
import pytest

from simulator.audit import bounds, registry, scores
from simulator.audit.runner import Finding
from simulator.audit.scores import Score
from simulator.commands.cli import main
from simulator.datasets import synthetic
from simulator.engines.batched import BatchedEngine
from simulator.errors import BoundPassedError, ConfigError
from tests.simulator.runs import write_own
from tests.simulator.settings import make

SMALL = ["--dataset", "synthetic", "--users", "120", "--items", "200", "--rounds", "4", "--evaluate-every", "2"]
QUICK = [*SMALL, "--clients", "15", "--splits", "1", "--workers", "1", "--participations", "1,3"]


def audit(tmp_path, *arguments):
    return main(["audit", "--out", str(tmp_path / "audit"), *QUICK, *arguments])


def findings(tmp_path):
    return json.loads((tmp_path / "audit" / "audit.json").read_text())["findings"]


@pytest.fixture(autouse=True)
def small_null(monkeypatch):
    monkeypatch.setattr("simulator.evaluation.attackers.SHUFFLES", 2)


@pytest.mark.parametrize("view", ["chosen", "training", "fleet"])
def test_every_attack_is_in_one_table_from_every_view(tmp_path, capsys, view):
    extra = ["--sums-of", "4", "--fixed-sums-of", "4", "--sums-rounds", "5,10"] if view == "chosen" else []
    some = [] if view == "chosen" else ["--attacks", "sign,gate,embedding,pulls"]
    assert audit(tmp_path, "--view", view, "--fraction", "0.5", *extra, *some) == 0
    found = {each["attack"] for each in findings(tmp_path)}
    assert {"sign", "gate", "embedding", "pulls"} <= found
    if view == "chosen":
        assert {"dlg", "prior", "membership", "sums-4", "sums-4-fixed"} <= found
        assert {"private-embedding-paper", "private-all-strong", "embedding-strong"} <= found
    text = capsys.readouterr().out
    assert "Audit: fedncf on synthetic, gender: adversary dsvae, lambda 4" in text
    assert "reads the protected state of 100% of the clients" in " ".join(text.split())
    page = (tmp_path / "audit" / "audit.html").read_text()
    assert "data:image/svg+xml;base64" in page
    assert "fedau2-sim" in page
    assert not list((tmp_path / "audit").glob("recording/*/*/*"))
    assert (tmp_path / "audit" / "recording").exists() is (view == "fleet")
    for each in findings(tmp_path):
        assert 0 <= each["low"] <= each["success"] + 1e-9 <= each["high"] + 2e-9 <= 1 + 3e-9
        assert each["null_mean"] <= each["null_p95"] + 1e-9


def test_a_run_is_audited_by_its_folder(tmp_path):
    assert main(["run", "--out", str(tmp_path / "run"), *SMALL, "--attack-splits", "1", "--adversary.head", "vae"]) == 0
    of = [str(tmp_path / "run"), "--out", str(tmp_path / "audit"), "--attacks", "magnitude", "--clients", "10"]
    assert main(["audit", *of, "--participations", "1"]) == 0
    about = json.loads((tmp_path / "audit" / "audit.json").read_text())
    assert about["configuration"]["plan"]["adversary"]["head"] == "vae"
    (found,) = about["findings"]
    assert found["success"] == 1.0
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert about["ndcg@10"] == metrics["ndcg@10"]
    assert about["round"] == metrics["round"]


def test_a_run_whose_data_changed_is_not_audited_as_if_it_were_the_same(tmp_path, capsys):
    dataset = synthetic.generate(60, 200)
    write_own(tmp_path / "data", dataset)
    data = ["--dataset", "own", "--attribute", "kind", "--data-dir", str(tmp_path / "data")]
    small = ["--rounds", "1", "--evaluate-every", "1", "--workers", "1", "--attack-splits", "1"]
    assert main(["run", "--out", str(tmp_path / "run"), *data, *small]) == 0
    write_own(tmp_path / "data", dataset, items=190)
    of = ["audit", str(tmp_path / "run"), "--out", str(tmp_path / "audit"), "--attacks", "sign", "--clients", "5"]
    of += ["--data-dir", str(tmp_path / "data"), "--splits", "1", "--participations", "1"]
    assert main(of) == 1
    assert f"{tmp_path}/run holds a run on other data of the name own" in capsys.readouterr().err
    assert not (tmp_path / "audit").exists()
    assert main([*of, "--seed", "1"]) == 0  # not that run


@pytest.mark.parametrize("limit", [2**30, 0], ids=["in memory", "mapped"])
@pytest.mark.parametrize("view", ["chosen", "training", "fleet"])
def test_a_refused_audit_leaves_nothing(tmp_path, monkeypatch, capsys, view, limit):
    monkeypatch.setattr("simulator.population.columns.LIMIT", limit)
    assert audit(tmp_path, "--view", view, "--adversaries", "none", "--attacks", "sign") == 1
    assert "sign" in capsys.readouterr().err
    assert not (tmp_path / "audit").exists()


@pytest.mark.parametrize("limit", [2**30, 0], ids=["in memory", "mapped"])
def test_an_audit_leaves_no_private_state_and_an_interrupted_one_goes_on(tmp_path, monkeypatch, limit):
    monkeypatch.setattr("simulator.population.columns.LIMIT", limit)
    folder, trained, rounds = tmp_path / "audit", BatchedEngine.train_round, []

    def interrupted(engine, members):
        rounds.append(1)
        if len(rounds) == 4:
            raise KeyboardInterrupt
        return trained(engine, members)

    monkeypatch.setattr("simulator.engines.batched.BatchedEngine.train_round", interrupted)
    assert audit(tmp_path, "--attacks", "sign") == 130
    assert len(list(folder.glob("progress-*.safetensors"))) == 1
    assert audit(tmp_path, "--attacks", "sign") == 0
    assert len(rounds) == 4 + 2  # two of four were saved
    left = {path.name for path in folder.iterdir()}
    assert left == {"config.yaml", "plan.yaml", "items.txt", "dataset.json", "audit.json", "audit.html"} | {
        f"audit.{ending}" for ending in ("png", "svg", "pdf")
    }


@pytest.mark.parametrize("view", ["chosen", "fleet"])
def test_a_fleets_run_is_audited_by_the_engine_of_the_view(tmp_path, view):
    small = {"dataset": "synthetic", "users": 120, "items": 200, "rounds": 2, "evaluate_every": 2, "fraction": 0.1}
    run = make(**small, engine="fleet", transport="grpc", trainer="onnx")
    run.save(tmp_path / "config.yaml")
    of = [str(tmp_path / "config.yaml"), "--out", str(tmp_path / "audit"), "--view", view, "--attacks", "rows"]
    assert main(["audit", *of, "--participations", "1"]) == 0
    trained = json.loads((tmp_path / "audit" / "audit.json").read_text())["configuration"]
    expected = ("fleet", "grpc", "onnx") if view == "fleet" else ("batched", "inproc", "torch")
    assert tuple(trained["engine"][name] for name in ("name", "transport", "trainer")) == expected


def test_the_exit_status_holds_bounds(tmp_path, capsys):
    own = ["--attacks", "sign,embedding", "--adversary.head", "mlp"]
    assert audit(tmp_path, *own, "--bound", "state=1", "--bound", "all=1") == 0
    assert audit(tmp_path, *own, "--bound", "label=0.6") == 3
    assert "sign after 1 participations reaches 1.000, and label may reach 0.6" in capsys.readouterr().err
    assert audit(tmp_path, *own, "--bound", "dlg=0.6") == 1
    assert "is on no attack of this audit" in capsys.readouterr().err


def test_a_bound_does_not_hold_because_an_attack_was_left_out(tmp_path, capsys):
    several = ["--local.steps", "2", "--attacks", "sign,rows,private", "--adversary.head", "mlp"]
    assert audit(tmp_path, *several, "--bound", "label=1") == 1
    error = " ".join(capsys.readouterr().err.split())
    assert "the bound 'label' would hold unmeasured" in error
    assert "Not run: sign (contributions of several local steps are not gradients)." in error
    assert not (tmp_path / "audit").exists() or not (tmp_path / "audit" / "audit.json").exists()
    assert audit(tmp_path, *several, "--bound", "items=1") == 0
    assert "Not run: sign" in " ".join(capsys.readouterr().out.split())
    assert json.loads((tmp_path / "audit" / "audit.json").read_text())["not_run"].keys() == {"sign"}
    assert "Not run: sign" in (tmp_path / "audit" / "audit.html").read_text()


def test_attacks_with_nothing_to_attack_are_reported_with_the_reason_and_hold_no_bound_up(tmp_path, capsys):
    some = ["--participations", "1", "--clients", "5", "--adversary.head", "mlp"]
    names = ["gate", "gate-encoder", "known-state", "pulls"]
    specs = registry.ATTACKS
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registry, "ATTACKS", {name: specs[name] for name in names})
        assert audit(tmp_path, *some, "--bound", "gate=1", "--bound", "items=1") == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "Not run: gate-encoder (FedNCF's reversed gradient changes private tensors only" in text
    not_run = json.loads((tmp_path / "audit" / "audit.json").read_text())["not_run"]
    assert not_run.keys() == {"gate-encoder", "known-state"}
    assert not_run["known-state"] == "devices add no noise to contributions to the adversary"


def test_without_an_adversary_attacks_on_it_are_reported(tmp_path, capsys):
    assert audit(tmp_path, "--adversaries", "none", "--attacks", "sign,rows") == 0
    assert "Not run: sign (the task has no adversary)." in " ".join(capsys.readouterr().out.split())


def test_uploads_with_noise_that_no_memory_holds_are_refused_before_training(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("simulator.audit.planning.MOST_NUMBERS", 1_000)
    assert audit(tmp_path, "--attacks", "sign", "--adversary.clip-norm", "1", "--adversary.noise-multiplier", "1") == 1
    assert "more than the 1e+03 that are held at once: watch fewer (--clients)" in capsys.readouterr().err
    assert audit(tmp_path / "clipped", "--attacks", "sign", "--adversary.clip-norm", "1") == 0


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--attacks", "sign", "--bound", "labels=0.6"], "the bound 'labels' is on no attack of this audit"),
        (["--attacks", "sign,gate-encoder", "--bound", "gate=0.6"], "the bound 'gate' is on no attack"),
        (
            ["--attacks", "sign,gate-encoder", "--bound", "all=1"],
            "gate-encoder (FedNCF's reversed gradient changes private",
        ),
        (["--attacks", "dlg,sign", "--participations", "9", "--bound", "label=1"], "dlg (it adds up 5 contributions"),
        (["--attacks", "none"], "there is nothing to attack"),
        (["--attacks", "sign", "--local.steps", "2"], "there is nothing to attack. Not run: sign"),
        (["--attacks", "sign", "--sums-of", "200"], "sums-200: a round has"),
        (["--attacks", "embedding-paper", "--clients", "9"], "an attack needs 10 users of each class"),
        (["--attacks", "private", "--users", "16"], "an attack needs 10 users of each class"),
        (["--preset", "local-noise"], "local_noise adds noise to each upload"),
        (["--preset", "apm", "--model", "fedvae", "--attacks", "rows"], "apm on fedvae adds noise to each upload"),
        (
            [
                "--preset",
                "local-noise",
                "--attacks",
                "private",
                "--adversaries",
                "all",
                "--adversary.head",
                "mlp",
                "--sums-of",
                "4",
            ],
            "without --sums-of",
        ),
    ],
)
def test_what_cannot_be_run_is_refused_before_training(tmp_path, capsys, monkeypatch, arguments, text):
    def trains(*_):
        raise AssertionError("it trained")

    monkeypatch.setattr("simulator.engines.batched.BatchedEngine.train_round", trains)
    assert audit(tmp_path, *arguments) == 1
    assert text in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize(
    ("arguments", "attacks"),
    [
        (["--preset", "local-noise"], "private"),
        (["--preset", "apm", "--model", "fedvae"], "private"),
        (["--preset", "apm"], "private,rows"),
        (["--preset", "noise"], "private,rows"),
    ],
)
def test_baselines_are_audited_as_far_as_their_noise_is_what_devices_add(tmp_path, arguments, attacks):
    assert audit(tmp_path, *arguments, *SMALL, "--attacks", attacks) == 0
    found = {each["attack"].partition("-")[0] for each in findings(tmp_path)}
    assert found == set(attacks.split(","))


def test_attackers_on_the_private_state_draw_by_the_runs_seed(tmp_path, monkeypatch):
    learned, seeds = scores.learned, []
    monkeypatch.setattr(scores, "learned", lambda *given: seeds.append(given[5]) or learned(*given))
    assert audit(tmp_path, "--attacks", "private,embedding-paper", "--seed", "7") == 0
    assert set(seeds) == {7}
    assert len(seeds) > 2


def test_of_a_bound_that_is_given_twice_the_smallest_holds(tmp_path, capsys):
    own = ["--attacks", "sign", "--adversary.head", "mlp"]
    assert audit(tmp_path, *own, "--bound", "label=0.6", "--bound", "label=1") == 3
    assert "label may reach 0.6" in capsys.readouterr().err
    assert bounds.smallest([("a", 0.6), ("b", 1), ("a", 0.5), ("a", 0.7)]) == {"a": 0.5, "b": 1}


def test_an_attack_that_nobody_stayed_for_does_not_hold_its_bound(tmp_path, capsys):
    rare = ["--view", "training", "--attacks", "sign,rows", "--participations", "4", "--fraction", "0.05"]
    assert audit(tmp_path, *rare) == 1
    rows = ["--attacks", "sign,private", *rare[:2], *rare[4:]]
    assert audit(tmp_path, *rows) == 0
    assert "Not run: sign (too few watched clients" in " ".join(capsys.readouterr().out.split())
    assert audit(tmp_path, *rows, "--bound", "label=1") == 1
    assert "the bound 'label' held without sign" in " ".join(capsys.readouterr().err.split())


def test_however_many_are_watched_some_of_each_class_are_known(tmp_path):
    some = ["--attacks", "prior", "--clients", "100000", "--participations", "1", "--bound", "label=1"]
    assert audit(tmp_path, *some) == 0
    (found,) = findings(tmp_path)
    assert 0 < found["clients"] < 0.76 * 120


def test_noise_is_accounted_for(tmp_path, capsys):
    pytest.importorskip("dp_accounting")
    defended = ["--adversary.clip-norm", "0.1", "--adversary.noise-multiplier", "20", "--attacks", "sign"]
    assert audit(tmp_path, *defended) == 0
    assert "local differential privacy" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--attacks", "guess"], "there is no attack 'guess'"),
        (["--clients", "0"], "clients and splits must be numbers from 1 on"),
        (["--adversary.noise-multiplier", "1"], "noise_multiplier is in units of clip_norm"),
        (["nowhere.yaml"], "nowhere.yaml: not a configuration"),
    ],
)
def test_what_cannot_be_audited_is_explained(tmp_path, capsys, arguments, text):
    assert audit(tmp_path, *arguments) == 1
    assert text in capsys.readouterr().err


@pytest.mark.parametrize("text", ["label", "label=", "=0.5", "label=2", "label=half", "label=-0.1"])
def test_a_bound_is_a_name_and_a_share(text):
    with pytest.raises(argparse.ArgumentTypeError, match="is not NAME=SUCCESS"):
        bounds.parse(text)


def test_bounds_hold_the_worst_of_what_they_are_on():
    def finding(attack, learns, success):
        return Finding(attack, learns, "", 1, Score(success, 0, 1, 0.5, 0.5, 0.5, 10), 0.0)

    found = [finding("sign", "label", 0.7), finding("magnitude", "label", 0.8), finding("rows", "items touched", 1.0)]
    bounds.check({"label": 0.8, "sign": 0.7}, found)
    for name, most in (("label", 0.79), ("magnitude", 0.5), ("items", 0.99), ("all", 0.99)):
        with pytest.raises(BoundPassedError, match=f"{name} may reach"):
            bounds.check({name: most}, found)
    with pytest.raises(ConfigError, match="on no attack"):
        bounds.check({"gate": 0.9}, found)
    assert np.isclose(bounds.parse("label=0.6")[1], 0.6)
