"""A finished run: what it found, and what can be done with the state that it kept."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest

import simulator
from simulator import errors
from simulator.datasets import synthetic
from simulator.evaluation import ranking
from simulator.experiment import kept_state
from simulator.population import columns
from tests.simulator.quiet import Quiet
from tests.simulator.runs import SMALL, figures
from tests.simulator.settings import change

pytestmark = pytest.mark.usefixtures("fewer")
CONFIG = change(SMALL, head="dsvae", rounds=2, noise=0.5)


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """A run that was changed after training, kept its state and was not attacked."""
    return simulator.run(CONFIG, tmp_path_factory.mktemp("kept") / "run", attacks="none", keep="state")


@pytest.fixture
def copied(kept, tmp_path):
    """A copy of it, to be changed."""
    return shutil.copytree(kept.folder, tmp_path / "run")


def test_attacks_on_a_kept_state_are_those_of_the_run_itself(copied, tmp_path):
    at_once = simulator.run(CONFIG, tmp_path / "at-once")
    later = simulator.load(copied).attack()
    assert figures(later.metrics) == figures(at_once.metrics)
    assert simulator.load(copied).metrics == later.metrics
    pd.testing.assert_frame_equal(later.attacks, at_once.attacks)
    assert (later.attacks["status"] == "done").all()
    assert {"dlg", "paper", "strong"} < set(later.attacks["attacker"])
    other = simulator.load(copied).attack(splits=2, seed=3)
    assert (other.metrics["attacks"]["splits"], other.metrics["attacks"]["seed"]) == (2, 3)
    assert other.config == at_once.config
    assert other.metrics["bacc_strong"] != later.metrics["bacc_strong"]
    with pytest.raises(KeyboardInterrupt, match="keeps the attacks that it had"):
        simulator.load(copied).attack(progress=Quiet(stop_after=1))
    assert simulator.load(copied).metrics == other.metrics


def test_what_is_recommended_is_what_was_ranked(kept):
    result = simulator.load(kept.folder)
    users, items = result.users, len(result.dataset.items)
    for row, user in users.iloc[::7].iterrows():
        ranked = result.recommend(user["id"], top=items)
        assert ranked["score"].is_monotonic_decreasing
        assert (ranked["held_out"] == "validation").sum() == (ranked["held_out"] == "test").sum() == 1
        history = set(np.array(result.dataset.items)[result.dataset.histories()[row]])
        held_out = set(ranked["item"][ranked["held_out"] != ""])
        assert set(ranked["item"]) & history == held_out
        rivals = ranked[ranked["held_out"] != "validation"].reset_index(drop=True)
        assert rivals.index[rivals["held_out"] == "test"].tolist() == [user["rank_full"]]
        pd.testing.assert_frame_equal(result.recommend(user["id"], top=3), ranked.head(3))


def test_the_tables_are_of_the_data_and_the_metrics(kept):
    users, rounds, attacks = kept.users, kept.rounds, kept.attacks
    assert users["id"].tolist() == list(kept.dataset.users)
    gender = kept.dataset.attributes["gender"]
    assert users["gender"].tolist() == [gender.classes[label] for label in gender.labels]
    assert ranking.ndcg(users["rank"].to_numpy(), 10) == kept.metrics["ndcg@10"]
    assert rounds["round"].tolist() == [1, 2]
    assert set(attacks["status"]) == {"not attacked"}
    assert attacks[["success", "null_p95"]].isna().all(axis=None)
    assert {name: column.shape for name, column in kept.state.private.items()} == {
        "user_gmf": (60, 32),
        "user_mlp": (60, 128),
    }


def test_a_state_in_files_is_kept_as_one_in_memory(tmp_path, monkeypatch):
    config = change(SMALL, model="fedrap", rounds=2)
    memory = simulator.run(config, tmp_path / "memory", attacks="none", keep="state").state
    monkeypatch.setattr(columns, "LIMIT", 1)
    monkeypatch.setattr(kept_state, "_CLIENTS", 7)
    mapped = simulator.run(config, tmp_path / "mapped", attacks="none", keep="state").state
    assert memory.private.keys() == mapped.private.keys()
    assert all(np.array_equal(memory.private[name], mapped.private[name]) for name in memory.private)
    assert not (tmp_path / "mapped/private").exists()


def test_a_model_without_private_state_needs_none_and_another_run_removes_what_was_kept(tmp_path):
    config = change(SMALL, model="fedvae", head="none", rounds=1)
    result = simulator.run(config, tmp_path, attacks="none")
    first = result.recommend(result.users["id"][0], top=1)
    again = simulator.run(config, tmp_path, attacks="none", keep="state")
    pd.testing.assert_frame_equal(again.recommend(result.users["id"][0], top=1), first)
    simulator.run(config, tmp_path, attacks="none", keep="none")
    assert not (tmp_path / "state").exists()
    with pytest.raises(errors.NoStateError, match=r"keeps no model: repeat the run: .*--keep state"):
        simulator.load(tmp_path).recommend(result.users["id"][0])


def test_data_frames_are_run_and_loaded(tmp_path):
    made = synthetic.generate(60, 200)
    visits = pd.DataFrame({"user_id": np.array(made.users)[made.user], "item_id": np.array(made.items)[made.item]})
    people = pd.DataFrame({"user_id": made.users, "side": made.attributes["gender"].labels})
    data = simulator.Dataset.from_frames(visits, people, name="mine")
    settings = {"data.attributes": ["side"], "engine.rounds": 1, "engine.workers": 1}
    result = simulator.run(settings, tmp_path, preset="original", data=data, attacks="none", keep="state")
    assert result.config.data.dataset == "mine"
    assert result.config.plan.adversaries == ()
    loaded = simulator.load(tmp_path, data)
    pd.testing.assert_frame_equal(loaded.users, result.users)
    assert set(loaded.users["side"]) == {"0", "1"}
    assert "no command repeats the run" in (tmp_path / "report.html").read_text()
    with pytest.raises(errors.ConfigError, match="synthetic, and the data set is called mine: name that one"):
        simulator.run(SMALL, tmp_path / "other", data=data)
    with pytest.raises(errors.ConfigError, match="holds a run on other data"):
        _ = simulator.load(tmp_path, simulator.Dataset.from_frames(visits[:-1], people, name="mine")).users


def test_a_disk_that_is_too_small_is_told_before_training(tmp_path, monkeypatch):
    monkeypatch.setattr(kept_state.shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(2**40, 2**40, 10))
    with pytest.raises(errors.DiskSpaceError, match="leave out --keep state"):
        simulator.run(SMALL, tmp_path, keep="state")
    assert not list(tmp_path.glob("*.parquet"))


def spoil_json(name, **values):
    def spoil(folder):
        (folder / name).write_text(json.dumps(json.loads((folder / name).read_text()) | values))

    return spoil


def cut(folder):
    path = folder / "state/measured/private.user_gmf.npy"
    path.write_bytes(path.read_bytes()[:-8])


SPOILED = {
    "no run": (lambda folder: (folder / "config.yaml").unlink(), errors.NotARunError, "it has no config.yaml"),
    "an audit": (
        lambda folder: (folder / "metrics.json").rename(folder / "audit.json"),
        errors.NotARunError,
        "is the folder of an audit",
    ),
    "unfinished": (lambda folder: (folder / "metrics.json").unlink(), errors.UnfinishedRunError, "finish it with"),
    "metrics": (lambda folder: (folder / "metrics.json").write_text("["), errors.DamagedRunError, "is damaged"),
    "changed": (
        lambda folder: change(CONFIG, seed=5).save(folder / "config.yaml"),
        errors.DamagedRunError,
        r"was changed after the run \(engine.seed",
    ),
    "no state": (lambda folder: shutil.rmtree(folder / "state"), errors.NoStateError, "--keep state"),
    "version": (
        spoil_json("state/state.json", version=2),
        errors.StateVersionError,
        "version 2, and this FedAU2 reads",
    ),
    "of another run": (spoil_json("state/state.json", round=9), errors.DamagedRunError, "is not of this run"),
    "notes": (lambda folder: (folder / "state/state.json").write_text("{}"), errors.DamagedRunError, "is damaged"),
    "cut": (cut, errors.DamagedRunError, "is damaged"),
    "lost": (
        lambda folder: (folder / "state/measured/shared.safetensors").unlink(),
        errors.DamagedRunError,
        "is damaged",
    ),
}


@pytest.mark.parametrize("name", SPOILED)
def test_what_cannot_be_used_is_told(copied, name):
    spoil, kind, text = SPOILED[name]
    spoil(copied)
    with pytest.raises(kind, match=text) as raised:
        simulator.load(copied).recommend("user-0")
    assert isinstance(raised.value, simulator.SimulatorError)
    assert "\n" not in str(raised.value)


def test_wrong_arguments_are_told(kept, tmp_path):
    with pytest.raises(errors.UnknownUserError, match="has no user 'user-O'; did you mean 'user-"):
        kept.recommend("user-O")
    with pytest.raises(errors.ConfigError, match="from 1 on, not 0"):
        kept.recommend("user-0", top=0)
    with pytest.raises(errors.ConfigError, match="attack_splits"):
        kept.attack(splits=0)
    with pytest.raises(errors.ConfigError, match="choose one"):
        simulator.run(CONFIG, tmp_path, preset="paper")
    with pytest.raises(errors.ConfigError, match="did you mean 'paper'"):
        simulator.run({}, tmp_path, preset="papre")
    with pytest.raises(errors.ConfigError, match=r"there is no key 'round'.*did you mean 'rounds'"):
        simulator.run({"engine.round": 1}, tmp_path)


def test_a_run_that_ranked_after_personal_steps_recommends_nothing_else(tmp_path):
    result = simulator.run(change(SMALL, rounds=1, personal_steps=1), tmp_path, attacks="none", keep="state")
    with pytest.raises(errors.ConfigError, match="personal_steps"):
        result.recommend("user-0")


@pytest.mark.parametrize(("config", "folder"), [({}, None), ({}, 3), ([1], "run"), ("ml-100k", "run")])
def test_arguments_of_a_wrong_type_are_refused(config, folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(errors.ConfigError, match=r"must be a path, not|must be a Config or a mapping"):
        simulator.run(config, folder)
    assert not list(tmp_path.iterdir())
