"""Personal steps of many clients by the kernel are those that each device takes by its graph."""

import numpy as np
import pytest

from client_sdk.kernel.training import Task
from client_sdk.onnx.onnx_engine import OnnxEngine
from client_sdk.personalisation.steps import PersonalSteps
from client_sdk.protocol.values import ClientData, Job
from export.bundle import build
from fedau2.v1.task_pb2 import GRAPH_KIND_STEP, InteractionWeights
from fedau2.wire import blobs
from simulator.population.personal import stepped
from simulator.population.population import Population
from tests import plans

CONFUSION = {**plans.GENDER, "objective": "confusion", "prior": "uniform"}
HISTORIES = [np.array(rows) for rows in ([1, 4, 9], [0], [2, 3, 5, 8, 13, 21], [7, 29])]
LABELS = ["F", None, "M", "F"]


def crowd(model, adversary, weighed, passes=0):
    plan = plans.make(model, adversary, server__passes=passes)
    if weighed:
        plan.interactions.CopyFrom(InteractionWeights(view=1, like=2, purchase=3))
    bundle = build(model, [f"item-{row}" for row in range(30)], plan, 0)
    weights = [np.linspace(0.5, 3, len(rows)).astype(np.float32) for rows in HISTORIES] if weighed else None
    return bundle, Population.create(bundle.manifest, 5, HISTORIES, {"gender": LABELS}, weights=weights)


def on_device(bundle, population, member, steps):
    task, one = bundle.manifest, np.array([member])
    labels = {name: int(values[0]) for name, values in population.labels(task, one).items() if values[0] >= 0}
    weights = population.weights[member] if population.weights else None
    data = ClientData(population.keys[member], HISTORIES[member], labels, population.take(one), weights)
    job = Job(task, task.checkpoint, bundle.blob(task.checkpoint), 3, data, bundle.graph(GRAPH_KIND_STEP))
    personal = PersonalSteps(OnnxEngine().load(job), 3, data)
    for number in steps:
        personal.step(number)
    return personal.state


@pytest.mark.parametrize(
    ("model", "adversary", "weighed", "passes"),
    [
        ("fedncf", plans.GENDER, False, 0),
        ("fedncf", CONFUSION, True, 0),
        ("fedrap", CONFUSION, False, 0),
        ("fedncf", plans.GENDER, False, 1),
    ],
    ids=["reversal", "confusion and weights", "fedrap", "in a pass"],
)
def test_they_are_the_devices_own(model, adversary, weighed, passes):
    bundle, population = crowd(model, adversary, weighed, passes)
    task = Task.load(bundle.manifest, blobs.unpack(bundle.blob(bundle.manifest.checkpoint)))
    before = population.take(np.arange(4)).pack()
    members = np.array([3, 0, 2, 1])
    state = stepped(population, task, 3, members, range(2, 4))
    assert population.take(np.arange(4)).pack() == before
    assert state.steps.tolist() == [2] * 4
    for place, member in enumerate(members.tolist()):
        expected = on_device(bundle, population, member, range(2, 4))
        for name, value in expected.values.items():
            # Adam divides by the gradient: where that is near 0, its rounding is all that a step has.
            sure = np.sqrt(expected.second[name]) > 1e-3 * np.sqrt(expected.second[name]).max()
            mine = state.values[name][place : place + 1]
            assert np.abs((mine - value)[sure]).max() < 1e-5 * np.abs(value).max()
            assert np.allclose(state.first[name][place], expected.first[name][0], atol=1e-5)


def test_no_client_depends_on_the_others():
    bundle, population = crowd("fedncf", plans.GENDER, False)
    task = Task.load(bundle.manifest, blobs.unpack(bundle.blob(bundle.manifest.checkpoint)))
    together = stepped(population, task, 3, np.arange(4), range(3))
    for member in range(4):
        alone = stepped(population, task, 3, np.array([member]), range(3))
        for name, value in alone.values.items():
            assert np.allclose(together.values[name][member], value[0], atol=1e-5)
