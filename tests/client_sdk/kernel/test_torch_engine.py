import numpy as np
import pytest

from client_sdk.errors import DamagedTaskError, NoDataError, UnsupportedTaskError
from client_sdk.kernel.torch_engine import TorchEngine
from client_sdk.protocol.preparation import initial_state
from client_sdk.protocol.values import ClientData, Job
from export.bundle import build
from tests import plans

BUNDLE = build("fedncf", [f"item-{i}" for i in range(20)], plans.make("fedncf", plans.GENDER), 0)
TASK = BUNDLE.manifest
CHECKPOINT = BUNDLE.blob(TASK.checkpoint)


def job(interactions=(1, 4, 9), tensors=CHECKPOINT, task=TASK, labels=None, round_number=3):
    key = bytes(range(16))
    client = ClientData(key, np.array(interactions, np.int64), labels or {}, initial_state(task, key))
    return Job(task, task.checkpoint, tensors, round_number, client)


def trained(engine, **changes):
    training = engine.begin(job(**changes))
    for _ in range(training.steps):
        training.step()
    return training.finish()


def test_adversary_tensors_are_contributed_only_where_the_attribute_is_known():
    engine = TorchEngine()
    shared = {spec.name for spec in TASK.tensors if spec.scope == 1}
    adversary = {spec.name for spec in TASK.tensors if spec.scope == 2}
    assert set(trained(engine).contribution) == shared
    assert set(trained(engine, labels={"gender": 1}).contribution) == shared | adversary


def test_a_training_is_a_function_of_its_job():
    engine = TorchEngine()
    one, again, later = trained(engine), trained(engine), trained(TorchEngine(), round_number=4)
    assert one.state.pack() == again.state.pack() != later.state.pack()


def test_the_clients_state_stays_what_it_was_until_the_session_keeps_the_new_one():
    given = job(labels={"gender": 1})
    before = given.client.state.pack()
    training = TorchEngine().begin(given)
    training.step()
    assert training.finish().state.pack() != before
    assert given.client.state.pack() == before


def test_contribution_rows_are_the_touched_ones():
    rows = trained(TorchEngine()).contribution["item_mlp"]
    assert {1, 4, 9} <= set(rows.indices.tolist())
    assert (np.diff(rows.indices) > 0).all()
    assert len(rows.indices) <= 3 * 5


@pytest.mark.parametrize(
    ("changes", "error"),
    [({"interactions": ()}, NoDataError), ({"tensors": b"noise"}, DamagedTaskError)],
)
def test_what_cannot_be_trained_is_refused(changes, error):
    with pytest.raises(error):
        TorchEngine().begin(job(**changes))


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({}, "fedrap: the plan lacks the recommender's parameter 'l1_weight'"),
        ({"l1_weight": 0.1, "mu": 1}, "fedrap: .* does not know the parameter 'mu'; its parameters are l1_weight"),
        ({"l1_weight": -1}, "fedrap: l1_weight must be a finite number of at least 0, not -1"),
        ({"l1_weight": float("nan")}, "fedrap: l1_weight must be a finite number of at least 0, not nan"),
    ],
)
def test_parameters_that_are_not_the_recommenders_are_refused(parameters, message):
    bundle = build("fedrap", [f"item-{i}" for i in range(20)], plans.make("fedrap"), 0)
    task = type(TASK)()
    task.CopyFrom(bundle.manifest)
    TorchEngine().begin(job(task=task, tensors=bundle.blob(task.checkpoint)))
    task.plan.parameters.clear()
    task.plan.parameters.update(parameters)
    with pytest.raises(UnsupportedTaskError, match=message):
        TorchEngine().begin(job(task=task, tensors=bundle.blob(task.checkpoint)))


def test_another_model_is_refused_by_name():
    other = type(TASK)()
    other.CopyFrom(TASK)
    other.model = "fedxyz"
    with pytest.raises(UnsupportedTaskError, match="fedxyz"):
        TorchEngine().begin(job(task=other))
