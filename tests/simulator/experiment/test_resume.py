import pandas as pd
import pytest

from fedau2 import files
from simulator.datasets import synthetic
from simulator.errors import ConfigError
from simulator.experiment import resume, run
from tests.recommenders import LEAN
from tests.simulator.quiet import Quiet
from tests.simulator.runs import OWN, SMALL, figures, write_own
from tests.simulator.settings import change

pytestmark = pytest.mark.usefixtures("fewer")
OTHER = change(SMALL, private_learning_rate=0.03)


@pytest.mark.parametrize("model", LEAN)
def test_an_interrupted_run_goes_on_to_the_same_result(tmp_path, model):
    config = change(SMALL, model=model)
    undisturbed = run.run(config, tmp_path / "one", None, Quiet())
    with pytest.raises(KeyboardInterrupt):
        run.run(config, tmp_path / "two", None, Quiet(stop_after=3))
    resumed = Quiet()
    assert figures(run.run(config, tmp_path / "two", None, resumed)) == figures(undisturbed)
    assert {path.name for path in (tmp_path / "two").iterdir()} == {path.name for path in (tmp_path / "one").iterdir()}


@pytest.mark.parametrize("split", ["validation", "paper"])
def test_personal_steps_change_what_is_ranked_and_nothing_that_is_trained(tmp_path, split):
    plain = change(SMALL, split=split, evaluate_every=1)
    config = change(plain, personal_steps=3)
    runs = {name: run.run(each, tmp_path / name, None, Quiet()) for name, each in (("0", plain), ("3", config))}
    rows = {name: pd.read_parquet(tmp_path / name / "rounds.parquet") for name in runs}
    assert rows["0"]["loss"].tolist() == rows["3"]["loss"].tolist()
    assert rows["0"]["ndcg@10"].tolist() != rows["3"]["ndcg@10"].tolist()
    if split == "paper":  # the round is chosen on the test items, so its ranks are those that it was chosen for
        assert runs["3"]["ndcg@10"] == rows["3"]["ndcg@10"].max()
    with pytest.raises(KeyboardInterrupt):
        run.run(config, tmp_path / "two", None, Quiet(stop_after=3))
    assert figures(run.run(config, tmp_path / "two", None, Quiet())) == figures(runs["3"])


def test_personal_steps_that_would_have_no_effect_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="fedvae has no private tensors"):
        run.run(change(SMALL, model="fedvae", personal_steps=1), tmp_path, None, Quiet())
    with pytest.raises(ConfigError, match="after_training changes it"):
        change(SMALL, personal_steps=1, erasure="auto")


def test_another_configuration_does_not_overwrite_a_run(tmp_path):
    SMALL.save(tmp_path / "config.yaml")
    with pytest.raises(ConfigError, match=r"another configuration \(engine.seed: 0, now 1\)"):
        run.run(change(SMALL, seed=1), tmp_path, None, Quiet())


@pytest.mark.parametrize("spoil", [lambda file: file.unlink(), lambda file: OTHER.save(file)])
def test_an_interrupted_run_is_what_it_was_begun_as_whatever_its_file_says(tmp_path, spoil):
    with pytest.raises(KeyboardInterrupt):
        run.run(SMALL, tmp_path / "run", None, Quiet(stop_after=3))
    spoil(tmp_path / "run/config.yaml")
    with pytest.raises(ConfigError, match=r"private_learning_rate: 0\.1, now 0\.03"):
        run.run(OTHER, tmp_path / "run", None, Quiet())


def test_a_run_of_an_earlier_version_is_the_same_with_the_defaults_of_what_is_new(tmp_path):
    there = SMALL.document()
    del there["plan"]["local"]["cover_rows"]
    assert SMALL.differences(there) == []
    assert change(SMALL, cover_rows=1.0).differences(there) == ["plan.local.cover_rows: 0.0, now 1.0"]
    assert SMALL.differences(there | {"colour": "blue"}) == ["colour: blue, now unknown"]


def test_what_decides_no_result_may_change_when_a_run_goes_on(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        run.run(SMALL, tmp_path / "run", None, Quiet(stop_after=3))
    resumed = run.run(change(SMALL, workers=3), tmp_path / "run", None, Quiet())
    whole = run.run(SMALL, tmp_path / "whole", None, Quiet())
    assert figures(resumed) | {"configuration": 0} == figures(whole) | {"configuration": 0}


SPOILS = [
    lambda file: file.unlink(),
    lambda file: file.write_bytes(file.read_bytes()[:40]),
    lambda file: file.write_bytes(b"[]"),
]


@pytest.mark.parametrize("spoil", SPOILS)
@pytest.mark.parametrize("name", ["progress.json", "progress-*.safetensors"])
def test_damaged_leftovers_only_cost_the_start(tmp_path, spoil, name):
    undisturbed = run.run(SMALL, tmp_path / "one", None, Quiet())
    with pytest.raises(KeyboardInterrupt):
        run.run(SMALL, tmp_path / "two", None, Quiet(stop_after=3))
    (left,) = (tmp_path / "two").glob(name)
    spoil(left)
    assert figures(run.run(SMALL, tmp_path / "two", None, Quiet())) == figures(undisturbed)


@pytest.mark.parametrize("writes", [7, 8])
def test_an_interruption_between_two_files_costs_what_came_after_the_save_before(tmp_path, monkeypatch, writes):
    write, names = files.write, []

    def interrupted(path, data):
        names.append(path.name)
        if len(names) == writes:
            raise KeyboardInterrupt
        write(path, data)

    undisturbed = run.run(SMALL, tmp_path / "one", None, Quiet())
    with monkeypatch.context() as patch:
        patch.setattr(files, "write", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run.run(SMALL, tmp_path / "two", None, Quiet())
    assert names[4:6] == [names[4], "progress.json"]  # of round 2; then those of round 4
    assert resume._read(tmp_path / "two").standing.rows[-1]["round"] == 2
    assert figures(run.run(SMALL, tmp_path / "two", None, Quiet())) == figures(undisturbed)


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
