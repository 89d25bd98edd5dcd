import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from client_sdk import draws
from client_sdk.draws import Stream
from client_sdk.errors import DivergedError, NoDataError
from client_sdk.kernel.training import Cohort, CohortTraining, Task
from client_sdk.onnx.onnx_engine import OnnxEngine
from client_sdk.personalisation.steps import PersonalSteps
from client_sdk.plan import TrainingPlan
from client_sdk.protocol.preparation import initial_state
from client_sdk.protocol.values import ClientData, Job
from export.bundle import build
from fedau2.v1.task_pb2 import GRAPH_KIND_STEP, OBJECTIVE_CONFUSION, TaskManifest
from fedau2.wire import blobs
from tests import plans

KEY = bytes(range(16))
CONFUSION = {**plans.GENDER, "objective": "confusion", "prior": "uniform"}
BUNDLES = {
    name: build(model, [f"item-{row}" for row in range(30)], plans.make(model, adversary), 0)
    for name, model, adversary in (
        ("fedncf", "fedncf", plans.GENDER),
        ("fedncf, confusion", "fedncf", CONFUSION),
        ("fedrap", "fedrap", CONFUSION),
    )
}
BUNDLES["fedncf, eraser"] = build(
    "fedncf",
    [f"item-{row}" for row in range(30)],
    plans.make("fedncf", erased=[plans.GENDER], eraser__steps=2, eraser__frequencies=8),
    0,
)


def data(task, interactions=(1, 4, 9), labels=None):
    return ClientData(KEY, np.array(interactions, np.int64), labels or {}, initial_state(task, KEY))


def loaded(bundle):
    task = bundle.manifest
    tensors, step = bundle.blob(task.checkpoint), bundle.graph(GRAPH_KIND_STEP)
    return OnnxEngine().load(Job(task, task.checkpoint, tensors, 3, data(task), step))


GRAPHS = {model: loaded(bundle) for model, bundle in BUNDLES.items()}


def reference(bundle, client, steps):
    """The kernel's private updates from fixed shared tensors, by PyTorch: each from the checkpoint itself."""
    task = TaskManifest()
    task.CopyFrom(bundle.manifest)
    task.plan.local.steps = 1
    shared, plan = Task.load(task, blobs.unpack(bundle.blob(task.checkpoint))), TrainingPlan.of(task)
    unlearned = {each.name: each.objective == OBJECTIVE_CONFUSION for each in plan.adversaries}
    labels = {name: np.array([client.labels.get(name, -1) if used else -1]) for name, used in unlearned.items()}
    state = client.state.copy()
    for number in range(steps):
        samples = draws.drawn(plan, client.interactions, client.key, number, family=Stream.PERSONAL)
        rng = draws.generator(client.key, number, Stream.PERSONAL + Stream.NOISE)
        noise = {name: drawn[None] for name, drawn in draws.noise(plan.adversaries, 1, rng).items()}
        state = CohortTraining(shared, 3, Cohort([samples], noise, labels, state), summed=True).run().state()
    return state


def largest(difference, value):
    return np.abs(difference).max() / np.abs(value).max()


@settings(deadline=None, max_examples=12)
@given(
    model=st.sampled_from(sorted(BUNDLES)),
    interactions=st.sets(st.integers(0, 29), min_size=1, max_size=20).map(sorted),
    label=st.sampled_from([None, 0, 1]),
)
def test_a_personal_step_is_the_kernels_private_update_with_shared_tensors_fixed(model, interactions, label):
    bundle, graphs = BUNDLES[model], GRAPHS[model]
    client = data(bundle.manifest, interactions, {} if label is None else {"gender": label})
    before = blobs.pack(graphs.tensors)
    personal = PersonalSteps(graphs, 3, client)
    for number in range(2):
        personal.step(number)
    with torch.no_grad():
        first, expected = reference(bundle, client, 1), reference(bundle, client, 2)
    for name, value in expected.values.items():
        # Adam divides by the gradient: where that is near 0 in one of the steps, its rounding is all that the step has.
        sizes = [np.sqrt(made.second[name]) for made in (first, expected)]
        sure = np.all([size > 1e-3 * size.max() for size in sizes], axis=0)
        assert largest((personal.state.values[name] - value)[sure], value) < 1e-5
        assert largest(personal.state.first[name] - expected.first[name], expected.first[name]) < 1e-5
    assert personal.state.steps.tolist() == expected.steps.tolist() == [2]
    assert blobs.pack(graphs.tensors) == before, "a shared tensor changed"


@pytest.mark.parametrize("number", [0, 1])
def test_steps_move_on_a_model_of_any_round(number):
    made = plans.make("fedncf", plans.GENDER, server__passes=1)
    graphs = loaded(build("fedncf", [f"item-{row}" for row in range(30)], made, 0))
    client = data(graphs.manifest)
    ours, theirs = PersonalSteps(graphs, number, client), PersonalSteps(GRAPHS["fedncf"], number, client)
    for personal in (ours, theirs):
        personal.step(0)
    assert ours.state.steps.tolist() == [1]
    assert ours.state.pack() == theirs.state.pack()


@pytest.mark.parametrize(("name", "unlearns"), [("fedncf", False), ("fedncf, confusion", True)])
def test_no_step_depends_on_the_label_and_confusion_on_whether_it_is_known(name, unlearns):
    states = []
    for labels in ({}, {"gender": 0}, {"gender": 1}):
        personal = PersonalSteps(GRAPHS[name], 3, data(BUNDLES[name].manifest, labels=labels))
        for number in range(5):
            personal.step(number)
        states.append(personal.state.values["user_gmf"].tobytes())
    unknown, *known = states
    assert known[0] == known[1]
    assert (known[0] != unknown) is unlearns


def test_no_stream_of_personal_steps_is_one_of_contributions():
    assert max(Stream.GAUSSIAN + 15, Stream.GAUSSIAN) < Stream.PERSONAL
    task = GRAPHS["fedncf"].plan
    contributed, *personal = (
        draws.drawn(task, np.array([1, 4, 9]), KEY, number, family=family)[0].items.tolist()
        for number, family in ((0, 0), (0, Stream.PERSONAL), (1, Stream.PERSONAL))
    )
    assert contributed != personal[0] != personal[1]


def test_a_step_that_cannot_be_taken_leaves_the_state():
    task = BUNDLES["fedncf"].manifest
    nothing = PersonalSteps(GRAPHS["fedncf"], 3, data(task, []))
    with pytest.raises(NoDataError, match="call record"):
        nothing.step(0)
    client = data(task)
    client.state.first["user_mlp"][:] = np.nan
    diverged = PersonalSteps(GRAPHS["fedncf"], 3, client)
    with pytest.raises(DivergedError):
        diverged.step(0)
    assert diverged.state is client.state
