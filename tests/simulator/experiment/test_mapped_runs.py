"""Runs whose private state is in files, against the same runs in memory."""

import shutil
from collections import namedtuple

import numpy as np
import pytest

from fedau2 import files
from fedau2.wire import blobs
from simulator.commands import cli
from simulator.errors import DiskSpaceError
from simulator.evaluation import attackers
from simulator.experiment import resume, run, trainer
from simulator.population import columns
from tests.simulator.quiet import Quiet
from tests.simulator.runs import SMALL, figures
from tests.simulator.settings import change

CONFIG = change(SMALL, model="fedrap", rounds=6, workers=2)


@pytest.fixture(autouse=True)
def fewer(monkeypatch):
    monkeypatch.setattr(attackers, "SHUFFLES", 2)


@pytest.fixture
def mapped(monkeypatch):
    monkeypatch.setattr(columns, "LIMIT", 1)


@pytest.fixture
def finals(monkeypatch):
    """By run, all that it ends with: shared, private and chosen state, and Adam's."""
    found = {}
    train = trainer.Trainer.train

    def spy(self, standing, save, progress):
        train(self, standing, save, progress)
        state, everyone, folder = self.population.state, np.arange(len(self.population)), save.args[0].name
        found[folder] = {"steps": blobs.sha256(state.steps.tobytes())}
        parts = {"shared": self.engine.checkpoint, "best shared": standing.best.checkpoint}
        columns = {"best": standing.best.private, "values": state.values, "first": state.first, "second": state.second}
        parts |= {part: {name: each[everyone] for name, each in column.items()} for part, column in columns.items()}
        for part, arrays in parts.items():
            found[folder] |= {f"{part} {name}": blobs.sha256(each.tobytes()) for name, each in arrays.items()}

    monkeypatch.setattr(trainer.Trainer, "train", spy)
    return found


def names(folder):
    return {path.name for path in folder.iterdir()}


@pytest.mark.parametrize("engine", ["batched", "fleet"])
def test_mapped_and_in_memory_give_the_same_bytes(tmp_path, monkeypatch, finals, engine):
    config = change(CONFIG, engine=engine)
    plain = run.run(config, tmp_path / "plain", None, Quiet())
    monkeypatch.setattr(columns, "LIMIT", 1)
    mapped = run.run(config, tmp_path / "mapped", None, Quiet())
    assert finals["mapped"] == finals["plain"]
    assert figures(mapped) == figures(plain)
    assert names(tmp_path / "mapped") == names(tmp_path / "plain")


@pytest.mark.parametrize("model", ["fedncf", "fedrap"])
@pytest.mark.parametrize("stops", [(1,), (3, 1, 2)])
def test_interrupted_it_goes_on_to_the_same_bytes(tmp_path, mapped, finals, model, stops):
    config = change(CONFIG, model=model)
    undisturbed = run.run(config, tmp_path / "one", None, Quiet())
    for stop in stops:
        with pytest.raises(KeyboardInterrupt):
            run.run(config, tmp_path / "two", None, Quiet(stop_after=stop))
        assert (tmp_path / "two/private").is_dir()
    assert figures(run.run(config, tmp_path / "two", None, Quiet())) == figures(undisturbed)
    assert finals["two"] == finals["one"]


@pytest.mark.parametrize("written", [0, 1, 2])
def test_interrupted_while_it_saves_it_goes_on_to_the_same_bytes(tmp_path, mapped, finals, monkeypatch, written):
    """In the second save, after none, one or both of the files."""
    undisturbed = run.run(CONFIG, tmp_path / "one", None, Quiet())

    class Failing:
        left = 5 + written  # plan, items, data set and the first save

        def write(self, path, data):
            if self.left == 0:
                raise OSError("pulled out")
            self.left -= 1
            files.write(path, data)

    with monkeypatch.context() as patch:
        patch.setattr(resume, "files", Failing())
        with pytest.raises((OSError, KeyboardInterrupt)):
            run.run(CONFIG, tmp_path / "two", None, Quiet(stop_after=5))
    assert figures(run.run(CONFIG, tmp_path / "two", None, Quiet())) == figures(undisturbed)
    assert finals["two"] == finals["one"]


@pytest.mark.parametrize("spoil", ["missing", "cut off", "in memory before"])
def test_leftovers_that_do_not_fit_only_cost_the_start(tmp_path, mapped, monkeypatch, spoil):
    undisturbed = run.run(CONFIG, tmp_path / "one", None, Quiet())
    with monkeypatch.context() as patch:
        if spoil == "in memory before":
            patch.setattr(columns, "LIMIT", 2**40)
        with pytest.raises(KeyboardInterrupt):
            run.run(CONFIG, tmp_path / "two", None, Quiet(stop_after=5))
    if spoil != "in memory before":
        path = next((tmp_path / "two/private").iterdir())
        if spoil == "missing":
            path.unlink()
        else:
            path.write_bytes(path.read_bytes()[:100])
    assert figures(run.run(CONFIG, tmp_path / "two", None, Quiet())) == figures(undisturbed)


def test_too_little_disk_is_refused_before_training(tmp_path, mapped, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: namedtuple("Usage", "free")(10**6))
    with pytest.raises(DiskSpaceError, match=r"60 clients needs 0\.0 GB"):
        run.run(CONFIG, tmp_path / "run", None, Quiet(stop_after=0))
    assert not (tmp_path / "run/private").exists()


def test_what_an_interrupted_run_left_is_room_for_it(tmp_path, mapped, monkeypatch):
    with pytest.raises(KeyboardInterrupt):
        run.run(CONFIG, tmp_path / "run", None, Quiet(stop_after=1))  # nothing is saved yet
    left = tmp_path / "run/private"
    assert left.is_dir()
    monkeypatch.setattr(shutil, "disk_usage", lambda path: namedtuple("Usage", "free")(0 if left.exists() else 10**9))
    assert figures(run.run(CONFIG, tmp_path / "run", None, Quiet()))


@pytest.mark.parametrize("view", ["training", "fleet"])
def test_an_audit_that_cannot_go_on_leaves_an_interrupted_run_as_it_is(tmp_path, mapped, capsys, view):
    whole = run.run(CONFIG, tmp_path / "whole", None, Quiet())
    with pytest.raises(KeyboardInterrupt):
        run.run(CONFIG, tmp_path / "run", None, Quiet(stop_after=3))
    CONFIG.save(tmp_path / "config.yaml")
    of = [str(tmp_path / "config.yaml"), "--out", str(tmp_path / "run"), "--view", view, "--attacks", "sign"]
    assert cli.main(["audit", *of, "--clients", "10", "--participations", "1"]) == 1
    assert "choose another folder" in capsys.readouterr().err
    assert figures(run.run(CONFIG, tmp_path / "run", None, Quiet())) == figures(whole)
