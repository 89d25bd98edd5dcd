import dataclasses
from collections import namedtuple

import numpy as np
import pytest

from client_sdk.kernel.models import RECOMMENDERS
from export.plan.fragments import flat
from simulator.commands import cli
from simulator.config.config import Config
from simulator.config.presets import PRESETS
from simulator.datasets import synthetic
from simulator.errors import ConfigError, DiskSpaceError, ErasureError
from simulator.experiment import assembly, resume, run_data
from simulator.reproduce import grid
from simulator.reproduce.experiments import EXPERIMENTS, Method
from simulator.reproduce.grid import Choice

SMALL = {"data.users": 60, "data.items": 200}
CHOICE = Choice(tuple(RECOMMENDERS), ("synthetic",), ("gender",), (0, 7), None, SMALL)


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_experiment_is_a_grid_that_can_be_trained(name):
    experiment = EXPERIMENTS[name]
    cells = grid.build(experiment, CHOICE)
    names = [cell.name for cell in cells]
    assert len(set(names)) == len(names)
    assert len({cell.config.engine.seed for cell in cells}) == 2
    known = {cell.name: cell.config for cell in cells}
    attributes = {"gender": synthetic.generate(60, 200).attributes["gender"]}
    for cell in cells:
        assembly.plan_of(cell.config.plan, attributes)
        assert cell.config.engine.workers == 1
        ours = dict(flat(cell.config.document()))
        assert ours.items() >= {**CHOICE.settings, **experiment.settings}.items()
        assert (cell.original == "") == cell.method.startswith("original")
        if cell.original:
            # What it is compared with trained as long, as fast, on the same data: only nothing is unlearned.
            fixed = (
                "plan.model.name",
                "data.dataset",
                "data.attributes",
                "engine.seed",
                "engine.workers",
            )
            given = {**CHOICE.settings, **experiment.settings, "plan.adversaries": "none"}
            assert known[cell.original] == Config.of({path: ours[path] for path in (*fixed, *grid._MATCHED)} | given)


def test_attributes_that_plus_joins_are_unlearned_by_the_same_run_and_have_columns_each():
    choice = dataclasses.replace(CHOICE, models=["fedncf"], attributes=["gender", "gender+age"], seeds=[0])
    cells = grid.build(EXPERIMENTS["table1"], dataclasses.replace(choice, methods=["paper"]))
    assert [cell.config.data.attributes for cell in cells] == [("gender",), ("gender", "age")]
    metrics = EXPERIMENTS["fig4"].of(choice.attributes).metrics
    assert metrics == ("ndcg@10", "bacc_paper", "bacc_strong", "leak_", *further("bacc_paper", "bacc_strong", "leak_"))
    assert EXPERIMENTS["fig4"].of(["gender", "age"]) == EXPERIMENTS["fig4"]


def further(*metrics):
    return [f"age/{name}" for name in metrics]


def test_table1_compares_every_preset_of_the_papers_models_and_others_what_their_names_say():
    methods = {name: [each.name for each in experiment.methods] for name, experiment in EXPERIMENTS.items()}
    assert methods["table1"] == [name for name in PRESETS if name not in ("original", "alignment", "d2d", "u2u")]
    assert {"paper", "recommended", "global", "pretrain", "mlp", "vae"} <= set(PRESETS)
    assert methods["fig3"] == ["global", "pretrain-10", "pretrain-25", "pretrain-50", "pretrain-100", "sut"]
    assert len(methods["fig4"]) == 10
    assert len(methods["pareto"]) == 16
    (cell,) = grid.build(
        EXPERIMENTS["fig4"], dataclasses.replace(CHOICE, models=["fedncf"], seeds=[0], methods=["scalar-10"])
    )
    adversary = cell.config.plan.adversary
    assert (cell.config.adversary, adversary.variance, adversary.trigger) == ("scalar", 10.0, "sut")


def test_originals_of_other_learning_rates_have_other_names_whatever_is_asked_for():
    choice = dataclasses.replace(CHOICE, models=["fedncf"], seeds=[0])
    of = {cell.method: cell.original for cell in grid.build(EXPERIMENTS["table1"], choice)}
    assert of["paper"] == "fedncf_synthetic_gender_original_seed-0"
    assert of["recommended"] == "fedncf_synthetic_gender_original-rounds-500-private-lr-0.03_seed-0"
    alone = grid.build(EXPERIMENTS["table1"], dataclasses.replace(choice, methods=["original", "recommended"]))
    assert [cell.name for cell in alone] == [of["recommended"], "fedncf_synthetic_gender_recommended_seed-0"]
    (only,) = grid.build(EXPERIMENTS["table1"], dataclasses.replace(choice, methods=["original"]))
    assert only.name == of["paper"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--model", "fedncf,fednfc"], ["'fednfc'", "fedncf, "]),
        (["--method", "papre"], ["'papre'", "original, paper, recommended"]),
        (["--dataset", "ml-10k"], ["'ml-10k'", "ml-100k"]),
        (["--attribute", "hair"], ["'hair'", "gender"]),
        (["--method", "pretrain", "--rounds", "20"], ["pretrain pretrains for 50 rounds", "no round is left"]),
        (["--rounds", "0"], ["engine.rounds: must be at least 1"]),
    ],
)
def test_a_typo_is_refused_with_what_there_is_before_anything_is_trained(tmp_path, capsys, options, words):
    command = ["reproduce", "table1", "--dataset", "synthetic", "--out", str(tmp_path / "out"), "--quick", *options]
    assert cli.main(command) == 1
    error = capsys.readouterr().err
    assert all(word in error for word in words), error
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("options", [["--seeds", "0,x"], ["--model", "fedncf,"], ["--jobs", "0"], ["--split", "half"]])
def test_what_cannot_be_read_is_wrong_usage(options, capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main(["reproduce", "table1", *options])
    assert ended.value.code == 2


def small(**settings):
    choice = dataclasses.replace(CHOICE, models=["fedncf"], seeds=[0], methods=["paper"])
    return grid.build(EXPERIMENTS["table1"], dataclasses.replace(choice, settings={**CHOICE.settings, **settings}))


def test_settings_and_data_are_never_mixed(tmp_path):
    (cell,) = small()
    grid.check([cell], tmp_path, None)
    assert not any(tmp_path.iterdir())
    folder = tmp_path / cell.name
    folder.mkdir()
    cell.config.save(folder / "config.yaml")
    grid.check([cell], tmp_path, None)
    with pytest.raises(ConfigError, match=rf"other settings.*{cell.name}"):
        grid.check(small(**{"plan.adversary.epsilon": 3.0}), tmp_path, None)
    dataset = synthetic.generate(60, 201)
    resume.note(folder, cell.config, assembly.plan_of(cell.config.plan, dataset.attributes), dataset)
    with pytest.raises(ConfigError, match="201 items, now 200"):
        grid.check([cell], tmp_path, None)


def test_a_cell_that_cannot_be_run_is_named_before_anything_is_trained(tmp_path):
    choice = dataclasses.replace(CHOICE, models=["fedncf"], seeds=[0], methods=["original", "recommended"])
    cells = grid.build(EXPERIMENTS["table1"], choice)
    with pytest.raises(ErasureError, match=r"recommended_seed-0: erasure from 160 dimensions .*--method"):
        grid.check(cells, tmp_path, None)
    assert not any(tmp_path.iterdir())


def test_only_what_is_not_finished_needs_room(tmp_path, monkeypatch):
    monkeypatch.setattr("simulator.population.columns.LIMIT", 1)
    monkeypatch.setattr("shutil.disk_usage", lambda path: namedtuple("Usage", "free")(0))
    (cell,) = small()
    with pytest.raises(DiskSpaceError, match=rf"{cell.name}: private state of 60 clients"):
        grid.check([cell], tmp_path, None)
    (tmp_path / cell.name).mkdir()
    (tmp_path / cell.name / "metrics.json").touch()
    grid.check([cell], tmp_path, None)


def test_what_would_only_pretrain_is_left_out_and_told():
    choice = dataclasses.replace(CHOICE, models=["fedncf"], settings={**CHOICE.settings, "engine.rounds": 50})
    cells = grid.build(EXPERIMENTS["fig3"], choice)
    assert grid.left_out(EXPERIMENTS["fig3"], choice, cells) == ["pretrain-50 with fedncf", "pretrain-100 with fedncf"]
    asked = dataclasses.replace(choice, methods=["pretrain-25"])
    assert grid.left_out(EXPERIMENTS["fig3"], asked, grid.build(EXPERIMENTS["fig3"], asked)) == []


def test_two_runs_of_one_name_are_refused():
    twice = dataclasses.replace(
        EXPERIMENTS["table1"], methods=[Method("a b", "paper"), Method("a-b", "paper", {"plan.adversary.epsilon": 2.0})]
    )
    with pytest.raises(ConfigError, match="share the folder"):
        grid.build(twice, dataclasses.replace(CHOICE, models=["fedncf"]))


def test_the_rare_class_of_the_imbalance_is_a_tenth():
    cells = grid.build(
        EXPERIMENTS["imbalance"], dataclasses.replace(CHOICE, models=["fedncf"], settings={"data.users": 400})
    )
    assert {cell.config.plan.adversary.class_weights for cell in cells} == {"none", "balanced"}
    for cell in cells:
        labels = run_data.dataset_of(cell.config.data, 0, None).attributes["gender"].labels
        assert np.bincount(labels).min() / len(labels) == pytest.approx(0.1, abs=0.003)
