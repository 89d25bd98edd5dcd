"""A sweep's file becomes a grid of runs: all combinations, once each, with the settings that it says."""

from itertools import product
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from export.plan.fragments import flat
from simulator.commands import cli
from simulator.errors import ConfigError
from simulator.experiment import run
from simulator.reporting import words
from simulator.reproduce import column_names, grid, results, sweep
from simulator.reproduce.shard import Shard
from tests.simulator.quiet import Quiet
from tests.simulator.settings import make

EXAMPLES = Path(__file__).parents[3] / "examples" / "sweeps"
SMALL = "base: {data.dataset: synthetic, data.users: 60, data.items: 200, engine.rounds: 2}\n"


@pytest.fixture
def read(tmp_path):
    def read(text):
        path = tmp_path / "mine.yaml"
        path.write_text(text)
        return sweep.read(path)

    return read


def cells(read_sweep):
    return grid.build(*sweep.experiment_of(read_sweep, "mine"))


def values(cell, *paths):
    document = dict(flat(cell.config.document()))
    return tuple(document[path] for path in paths)


@given(
    st.lists(st.sampled_from([25.0, 100.0, 400.0]), min_size=1, unique=True),
    st.lists(st.sampled_from([0.003, 0.01]), min_size=1, unique=True),
    st.lists(st.integers(0, 9), min_size=1, max_size=2, unique=True),
)
@settings(max_examples=10, deadline=None)
def test_every_combination_is_run_with_every_seed_and_compared_with_its_original(epsilons, rates, seeds):
    tried = {"plan.adversary.epsilon": epsilons, "plan.server.shared.learning_rate": rates}
    built = cells(sweep.Sweep.model_validate({"base": {"data.dataset": "synthetic"}, "grid": tried, "seeds": seeds}))
    methods = [cell for cell in built if not cell.method.startswith("original")]
    found = [values(cell, *tried, "engine.seed") for cell in methods]
    assert sorted(found) == sorted(product(epsilons, rates, seeds))
    originals = {cell.name: cell for cell in built if cell.method.startswith("original")}
    for cell in methods:
        same = ("plan.server.shared.learning_rate", "engine.seed")
        assert values(originals[cell.original], *same) == values(cell, *same)
    assert len({cell.name for cell in built}) == len(built)


@given(st.lists(st.integers(), unique=True), st.integers(1, 9))
def test_the_shards_together_are_everything_once(things, parts):
    shards = [Shard(number, parts).part(things) for number in range(1, parts + 1)]
    assert sorted(thing for shard in shards for thing in shard) == sorted(things)
    assert max(map(len, shards)) - min(map(len, shards)) <= 1


def test_base_holds_for_all_runs_and_presets_models_and_data_can_be_tried(read):
    built = cells(read(SMALL + "grid: {preset: [paper, recommended], plan.model.name: [fedncf, fedrap]}\nseeds: [3]"))
    assert {values(cell, "data.users", "engine.rounds", "engine.seed") for cell in built} == {(60, 2, 3)}
    methods = [(cell.config.plan.model.name, cell.method) for cell in built if cell.original]
    assert methods == [(m, f"preset-{p}") for m in ("fedncf", "fedrap") for p in ("paper", "recommended")]
    erased = {cell.method: cell.config.after_training.erasure for cell in built if cell.original}
    assert erased["preset-paper"] == "none"


@pytest.mark.parametrize(
    "unlearning",
    [
        "after_training: {noise: 0.1}",
        "after_training.erasure: transport",
        "engine.local_noise: 0.1, plan.server.clip_norm: 1.0",
        "engine.apm: 2.0",
        "plan.adversaries: all",
        "plan.matchings: all, plan.matching.weight: 2.0, engine.plain_statistics: true",
    ],
)
def test_an_original_does_not_unlearn_whatever_all_runs_do(read, unlearning):
    built = cells(read(SMALL.replace("}", f", {unlearning}}}") + "grid: {plan.local.steps: [1]}\nseeds: [0]"))
    original, method = (cell.config for cell in built)
    assert words.is_original(original)
    assert not words.is_original(method)
    assert original.plan.server == method.plan.server


def test_names_are_as_short_as_they_tell_settings_apart(read):
    built = cells(
        read(
            SMALL + "grid: {plan.server.shared.learning_rate: [0.1], plan.server.adversary.learning_rate: [0.2], "
            "plan.model.hidden: [[8, 4]]}\nseeds: [0]\noriginal: false"
        )
    )
    assert [cell.method for cell in built] == ["shared.learning_rate-0.1_adversary.learning_rate-0.2_hidden-8-4"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("grid: {}", "grid"),
        ("- 1", "a mapping with the keys base, grid, seeds, original, metrics"),
        ("grid: {engine.rounds: []}", "grid"),
        ("grid: {engine.rounds: [1]}\nseed: [0]", "seed"),
        ("base: {engine.rounds: 1}\ngrid: {engine.rounds: [1]}", "engine.rounds is in base and in grid: name it once"),
        ("base: {engine: {rounds: 1}}\ngrid: {engine.rounds: [1]}", "engine.rounds is in base and in grid"),
        ("grid: {engine.seed: [1]}", "engine.seed is what seeds lists"),
        ("grid: [", "not a sweep"),
        ("grid: {engine.rounds: [1]}\nmetrics: [ndcg@10, bacc_strnog]", "no run has a metric 'bacc_strnog'; did you"),
        ("grid: {engine.rounds: [1]}\nmetrics: [nosuchmetric]", "no run has a metric 'nosuchmetric'"),
        ("grid: {preset: [paper, nosuch]}", "there is no preset 'nosuch'; there is paper"),
        ("base: {preset: papper}\ngrid: {engine.rounds: [1]}", "no preset 'papper'.*did you mean 'paper'"),
        ("grid: {preset: [1]}", "there is no preset 1"),
    ],
)
def test_a_file_that_is_no_sweep_is_refused(read, text, said):
    with pytest.raises(ConfigError, match=f"mine.yaml.*{said}"):
        read(text)


def test_every_number_of_a_run_is_a_column_and_so_are_prefixes(tmp_path):
    config = make(dataset="synthetic", rounds=2, users=60, items=200, workers=1, attack_splits=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("simulator.evaluation.attackers.SHUFFLES", 1)
        metrics = run.run(config, tmp_path, None, Quiet(), attacks="quick")
    assert len(metrics) > 100
    numbers = [name for name, value in results.flat(metrics) if isinstance(value, float) and _is_column(name)]
    unknown = [name for name in [*numbers, "leak_", "trigger_rate_", "bacc_"] if column_names.why_unknown(name)]
    assert unknown == []


def _is_column(name):
    nested = ("configuration_", "groups_", "intervals_", "p_holm_", "bacc_by_family", "auc_by_family")
    return not name.startswith(nested)


def test_a_setting_that_nobody_knows_is_refused_before_anything_is_trained(tmp_path, capsys):
    (tmp_path / "mine.yaml").write_text(SMALL + "grid: {plan.adversary.epsilom: [1]}")
    assert cli.main(["sweep", str(tmp_path / "mine.yaml"), "--out", str(tmp_path / "out")]) == 1
    assert "epsilom" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_the_examples_are_sweeps():
    runs = {path.stem: len(cells(sweep.read(path))) for path in EXAMPLES.glob("*.yaml")}
    assert runs == {"strength": 5, "models": 12, "models-lastfm": 6, "baselines": 5}


@pytest.mark.slow
def test_parts_are_run_one_after_the_other_and_then_put_together(tmp_path, capsys):
    (tmp_path / "mine.yaml").write_text(
        SMALL.replace("}", ", evaluation.attack_splits: 1}") + "grid: {plan.adversary.epsilon: [25, 400]}\nseeds: [0]"
    )
    line = ["sweep", str(tmp_path / "mine.yaml"), "--jobs", "1", "--out", str(tmp_path / "out")]
    for part in ("1/2", "2/2"):
        assert cli.main([*line, "--shard", part]) == 0
        assert not (tmp_path / "out" / "report.html").exists()
    capsys.readouterr()
    assert cli.main(line) == 0
    assert "3 runs, of which 3 are finished" in capsys.readouterr().out
    assert (tmp_path / "out" / "report.html").exists()
    assert list((tmp_path / "out").glob("*-frontier.png"))
