"""Devices and the coordinator agree which rounds are passes, whatever the number of a task's first round."""

import numpy as np
import pytest

from coordinator.aggregation import restarts
from fedau2.v1.admin_pb2 import RollBackTaskRequest
from fedau2.v1.tensors_pb2 import TENSOR_SCOPE_SHARED
from fedau2.wire import manifest, passes

PASSES = 2


@pytest.fixture
def make_task(make_bundle):
    def make(first_round=0):
        bundle = make_bundle(server__passes=PASSES, adversary={"restart_every": 1})
        bundle.manifest.first_round = first_round
        bundle.manifest.ancestors.extend([bytes(32)] if first_round else [])
        return bundle

    return make


def expect_rounds(engine, task, cohorts, number):
    """Trains rounds from one with this number on. Private tensors and the recommender move in the same ones."""
    own = [name for name, spec in manifest.shared(task).items() if spec.scope == TENSOR_SCOPE_SHARED]
    for members in cohorts:
        before, private = engine.checkpoint, {n: np.array(v) for n, v in engine.population.state.values.items()}
        engine.train_round(members)
        moves = passes.moves(PASSES, number)
        assert any((engine.checkpoint[name] != before[name]).any() for name in own) == moves
        assert any((engine.population.state.values[name] != old).any() for name, old in private.items()) == moves
        drawn = dict(before)
        restarts.restart(task, drawn, {}, number)
        anew = {name for name, value in drawn.items() if value is not before[name]}
        assert bool(anew) == moves
        assert all((engine.checkpoint[name] == drawn[name]).all() for name in anew)
        number += 1


@pytest.mark.parametrize("first_round", [0, 1, 5, 2**51])
def test_a_successor_goes_on_in_mid_cycle(first_round, make_task, make_population, fleet, cohorts):
    bundle = make_task(first_round)
    expect_rounds(fleet(bundle, make_population(bundle)), bundle.manifest, cohorts[:5], first_round)


def test_a_task_is_put_back_in_mid_cycle(make_task, make_population, fleet, cohorts):
    bundle = make_task()
    engine = fleet(bundle, make_population(bundle))
    expect_rounds(engine, bundle.manifest, cohorts[:2], 0)
    call = engine.connection.admin.call(RollBackTaskRequest(task_id=engine.task_id, round=1))
    task = engine.runner.run(call)
    engine.runner.run(engine._load(task))
    assert task.first_round == 1
    expect_rounds(engine, bundle.manifest, cohorts[2:7], 3)
