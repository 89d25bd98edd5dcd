"""What is read of a run's state after further rounds, by groups of users."""

import json

import numpy as np
import pytest

import simulator
from simulator.commands import cli
from simulator.errors import ConfigError
from simulator.experiment import assembly
from simulator.experiment.lasting import EVERYBODY, LATE, LISTS, SCORES, STATE, UNKNOWN
from tests.simulator.runs import SMALL
from tests.simulator.settings import change, make

pytestmark = pytest.mark.usefixtures("fewer")
FEW = {"users": 150, "rounds": 2, "head": "none", "floor": 0.3, "cohort": 70}
GROUPS = {"late": 0.5, "unknown": 0.5}


def run_of(folder, model, **settings):
    config = change(SMALL, model=model, **FEW, **settings)
    return simulator.run(config, folder / "run", attacks="none", keep="state")


def test_every_time_has_every_group_and_target_with_its_null(tmp_path):
    run = run_of(tmp_path, "fedvae", erasure="0.5", **GROUPS, **{"plan.model.latent": 8})
    before = {path: path.read_bytes() for path in run.folder.rglob("*") if path.is_file()}
    table = run.lasting((2,))
    keys = ["rounds", "users", "on"]
    assert len(table) == len(table[keys].drop_duplicates()) == 18
    assert {name: set(table[name]) for name in keys} == {
        "rounds": {0, 2}, "users": {EVERYBODY, LATE, UNKNOWN}, "on": {STATE, LISTS, SCORES},
    }  # fmt: skip
    assert table["bacc"].between(0.5, 1).all()
    assert table["bacc_null_p95"].between(0.5, 1).all()
    assert table.groupby("rounds")["ndcg@10"].nunique().eq(1).all()
    assert table["ndcg@10"].nunique() == 2
    assert table.loc[0, "ndcg@10"] == run.metrics["ndcg@10"]
    assert {path: path.read_bytes() for path in before} == before
    attacked = run.attack().metrics
    first = table.query("rounds == 0 and users == 'everybody'").set_index("on")
    assert first.loc[STATE, "bacc"] == attacked["bacc_largest_all"]
    assert first.loc[STATE, "auc_null_p95"] == attacked["auc_null_p95_largest_all"]
    assert first.loc[[LISTS, SCORES], "bacc"].tolist() == [attacked["bacc_top50"], attacked["bacc_scores"]]


def test_the_command_prints_the_table(tmp_path, capsys):
    run = run_of(tmp_path, "fedncf")
    capsys.readouterr()
    assert cli.main(["attack", str(run.folder), "--after", "1", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [(row["rounds"], row["users"], row["on"]) for row in rows] == [
        (number, EVERYBODY, target) for number in (0, 1) for target in (STATE, LISTS, SCORES)
    ]
    with pytest.raises(ConfigError, match="further rounds"):
        run.lasting((0,))


def test_late_clients_are_in_no_cohort_of_the_first_half():
    settings = make(rounds=7, fraction=0.3, late=0.4, seed=5).engine
    late = set(assembly.late(settings, 50).tolist())
    assert len(late) == 20
    cohorts = [set(assembly.cohort(settings, number, 50).tolist()) for number in range(7)]
    assert {len(cohort) for cohort in cohorts} == {15}
    assert not any(cohort & late for cohort in cohorts[:3])
    assert all(cohort & late for cohort in cohorts[3:])
    nobody = make(rounds=7, fraction=0.3, seed=5).engine
    np.testing.assert_array_equal(assembly.cohort(settings, 4, 50), assembly.cohort(nobody, 4, 50))


def test_a_cohort_larger_than_the_first_half_has_clients_is_refused():
    with pytest.raises(ConfigError, match="only 30 in the first half"):
        assembly.cohort_size(make(cohort=40, late=0.4).engine, 50)
    with pytest.raises(ConfigError, match="take no turns"):
        make(late=0.1, max_participations=5, sums="grid")
