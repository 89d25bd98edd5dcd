import os

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from client_sdk import Limits, draws
from client_sdk.errors import DamagedTaskError, NoDataError, ResourceLimitError, UnsupportedTaskError
from client_sdk.kernel import fedvae
from client_sdk.kernel.torch_engine import TorchEngine
from client_sdk.onnx import private_adam
from client_sdk.onnx.graph import metadata
from client_sdk.onnx.onnx_engine import OnnxEngine
from client_sdk.onnx.onnx_training import Drawn, OnnxTraining
from client_sdk.plan import TrainingPlan
from client_sdk.protocol.preparation import initial_state
from client_sdk.protocol.values import ClientData, Job, PrivateState
from export.bundle import build
from export.exporter import stamp
from fedau2.v1.task_pb2 import DRAW_UNSPECIFIED, GRAPH_KIND_STEP, TaskManifest
from fedau2.wire import blobs
from tests import plans

PLAN = plans.make("fedncf", plans.GENDER)
BUNDLE = build("fedncf", [f"item-{i}" for i in range(20)], PLAN, 0)
TASK = BUNDLE.manifest
CHECKPOINT = BUNDLE.blob(TASK.checkpoint)
STEP = BUNDLE.graph(GRAPH_KIND_STEP)
KEY = bytes(range(16))


def job(interactions=(1, 4, 9), tensors=CHECKPOINT, task=TASK, labels=None, round_number=3, step=STEP):
    client = ClientData(KEY, np.array(interactions, np.int64), labels or {}, initial_state(task, KEY))
    return Job(task, task.checkpoint, tensors, round_number, client, step)


def trained(engine, **changes):
    training = engine.begin(job(**changes))
    for _ in range(training.steps):
        training.step()
    return training.finish()


def rebuilt(change, bound=TASK):
    """The training graph with something changed, bound to its task again."""
    model = onnx.load_from_string(STEP)
    change(model.graph)
    return stamp(model.SerializeToString(), metadata(bound, GRAPH_KIND_STEP))


def test_it_trains_what_pytorch_trains():
    for labels in ({}, {"gender": 1}):
        ours, theirs = (trained(engine, labels=labels) for engine in (OnnxEngine(), TorchEngine()))
        assert ours.contribution.keys() == theirs.contribution.keys()
        np.testing.assert_array_equal(ours.contribution["item_mlp"].indices, theirs.contribution["item_mlp"].indices)
        np.testing.assert_allclose(ours.report.loss, theirs.report.loss, rtol=1e-5)
        assert {n: v.tolist() for n, v in ours.report.triggered.items()} == {
            n: v.tolist() for n, v in theirs.report.triggered.items()
        }


def test_a_training_is_a_function_of_its_job():
    engine = OnnxEngine()
    one, again, later = trained(engine), trained(engine), trained(OnnxEngine(), round_number=4)
    assert one.state.pack() == again.state.pack() != later.state.pack()


def test_graph_and_checkpoint_are_loaded_once():
    engine = OnnxEngine()
    first = engine.begin(job())._task
    assert engine.begin(job(interactions=(2, 3)))._task is first
    other = blobs.pack({name: value + 1 for name, value in blobs.unpack(CHECKPOINT).items()})
    changed = Job(TASK, blobs.resource(other), other, 3, job().client, STEP)
    second = engine.begin(changed)._task
    assert second.graph is first.graph
    assert (second.tensors["item_mlp"] != first.tensors["item_mlp"]).all()


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"interactions": ()}, NoDataError, "record"),
        ({"tensors": b"noise"}, DamagedTaskError, "checkpoint"),
        ({"step": b""}, UnsupportedTaskError, "brings no training graph"),
        ({"step": b"noise"}, UnsupportedTaskError, "not an ONNX file|no operators"),
        ({"interactions": (-1, 4)}, UnsupportedTaskError, "row -1 of a catalogue of 20"),
        ({"interactions": (4, 20)}, UnsupportedTaskError, "row 20 of a catalogue of 20"),
    ],
)
def test_what_cannot_be_trained_is_refused(changes, error, message):
    with pytest.raises(error, match=message):
        OnnxEngine().begin(job(**changes))


def test_a_recommender_that_draws_in_its_own_way_is_refused():
    task = TaskManifest()
    task.CopyFrom(TASK)
    task.draw = DRAW_UNSPECIFIED
    with pytest.raises(UnsupportedTaskError, match="in a way of its own"):
        OnnxEngine().begin(job(task=task))


@pytest.mark.parametrize("parameters", [{}, {"kl_cap": 0.2, "dropout": 0.5}])
def test_parameters_for_which_the_graph_was_not_made_are_refused(parameters):
    """Of a recommender that this engine does not know it needs the same parameters as the graph, no fewer, no more."""
    bundle = build("fedrap", [f"item-{i}" for i in range(20)], plans.make("fedrap"), 0)
    task = TaskManifest()
    task.CopyFrom(bundle.manifest)
    changes = {"tensors": bundle.blob(task.checkpoint), "step": bundle.graph(GRAPH_KIND_STEP), "task": task}
    OnnxEngine().begin(job(**changes))
    task.plan.parameters.clear()
    task.plan.parameters.update(parameters)
    with pytest.raises(UnsupportedTaskError, match=r"its fedau2.parameters is 'l1_weight'"):
        OnnxEngine().begin(job(**changes))


@pytest.mark.parametrize("dropout", [1.0, -0.5])
def test_a_share_that_cannot_be_dropped_is_refused(dropout):
    bundle = build("fedvae", [f"item-{i}" for i in range(20)], plans.make("fedvae"), 0, fedvae.Widths(6, 3))
    task = TaskManifest()
    task.CopyFrom(bundle.manifest)
    task.plan.parameters["dropout"] = dropout
    with pytest.raises(UnsupportedTaskError, match=rf"'dropout' must lie in \[0, 1\), not {dropout}"):
        OnnxEngine().begin(job(tensors=bundle.blob(task.checkpoint), step=bundle.graph(GRAPH_KIND_STEP), task=task))


def test_the_graph_of_another_task_is_refused():
    task = TaskManifest()
    task.CopyFrom(TASK)
    task.items = 21
    with pytest.raises(UnsupportedTaskError, match="was not made for it"):
        OnnxEngine().begin(job(task=task))


def test_a_graph_that_leaves_a_gradient_out_is_refused():
    def change(graph):
        kept = [each for each in graph.output if each.name != "gradient.user_mlp"]
        del graph.output[:]
        graph.output.extend(kept)

    with pytest.raises(UnsupportedTaskError, match=r"does not give gradient.user_mlp"):
        OnnxEngine().begin(job(step=rebuilt(change)))


def swapped(graph):
    """Gives another tensor's gradient as that of a private one, whose shape it has not."""
    for node in graph.node:
        node.output[:] = [{"gradient.user_gmf": "hidden"}.get(name, name) for name in node.output]
    graph.node.append(helper.make_node("Identity", ["gradient.user_mlp"], ["gradient.user_gmf"]))
    for each in graph.output:
        if each.name == "gradient.user_gmf":
            each.type.tensor_type.ClearField("shape")


def test_gradients_of_another_shape_never_become_private_state():
    training = OnnxEngine().begin(job(step=rebuilt(swapped)))
    before = training._state
    with pytest.raises(UnsupportedTaskError, match=r"gives user_gmf a gradient of shape \(1, 128\)"):
        training.step()
    assert training._state is before


@pytest.mark.parametrize("name", ["loss", "triggered.gender", "margin.gender"])
def test_what_is_told_of_a_step_has_the_shape_that_it_should_have(name):
    def change(graph):
        for node in graph.node:
            node.output[:] = ["hidden" if each == name else each for each in node.output]
            node.input[:] = ["hidden" if each == name else each for each in node.input]
        graph.initializer.append(helper.make_tensor("flat", TensorProto.INT64, [2], [1, 1]))
        graph.node.append(helper.make_node("Reshape", ["hidden", "flat"], [name]))
        for each in graph.output:
            if each.name == name:
                each.type.tensor_type.ClearField("shape")

    with pytest.raises(UnsupportedTaskError, match=f"gives {name} in another shape"):
        OnnxEngine().begin(job(step=rebuilt(change))).step()


def wants_more(graph):
    graph.input.append(helper.make_tensor_value_info("location", TensorProto.FLOAT, [2]))
    graph.node.append(helper.make_node("Neg", ["location"], ["there"]))
    graph.output.append(helper.make_tensor_value_info("there", TensorProto.FLOAT, [2]))


def test_a_graph_that_wants_to_know_more_is_refused():
    with pytest.raises(UnsupportedTaskError, match=r"wants inputs that this SDK does not have: \['location'\]"):
        OnnxEngine().begin(job(step=rebuilt(wants_more))).step()


def hungry(graph):
    """Multiplies a column of 2 ** k numbers by a row of as many: 2 ** 34 numbers, of no size that the graph states."""
    nodes, name = [helper.make_node("Reshape", ["sample.weight", "flat"], ["w0"])], "w0"
    for step in range(14):
        nodes.append(helper.make_node("Concat", [name, name], [f"w{step + 1}"], axis=0))
        name = f"w{step + 1}"
    nodes += [
        helper.make_node("Reshape", [name, "column"], ["tall"]),
        helper.make_node("Reshape", [name, "row"], ["wide"]),
        helper.make_node("MatMul", ["tall", "wide"], ["all"]),
        helper.make_node("ReduceSum", ["all"], ["there"], keepdims=0),
    ]
    graph.node.extend(nodes)
    for constant, shape in {"flat": [-1], "column": [-1, 1], "row": [1, -1]}.items():
        graph.initializer.append(helper.make_tensor(constant, TensorProto.INT64, [len(shape)], shape))
    graph.output.append(helper.make_tensor_value_info("there", TensorProto.FLOAT, []))


def test_a_graph_that_would_take_more_memory_than_it_may_is_stopped_before_it_has_it():
    training = OnnxEngine(Limits(memory=2**27)).begin(job(step=rebuilt(hungry)))
    with pytest.raises(ResourceLimitError, match="takes more than"):
        training.step()
    assert trained(OnnxEngine(Limits(memory=2**27))).contribution


def slow(graph):
    nodes, name = [helper.make_node("Reshape", ["sample.weight", "column"], ["w0"])], "w0"
    for step in range(9):
        nodes.append(helper.make_node("Concat", [name, name], [f"w{step + 1}"], axis=0))
        name = f"w{step + 1}"
    nodes += [
        helper.make_node("Reshape", [name, "row"], ["wide"]),
        helper.make_node("MatMul", [name, "wide"], ["square0"]),
    ]
    for step in range(200):
        nodes.append(helper.make_node("MatMul", [f"square{step}", "square0"], [f"square{step + 1}"]))
    nodes.append(helper.make_node("ReduceSum", ["square200"], ["there"], keepdims=0))
    graph.node.extend(nodes)
    for constant, shape in {"column": [-1, 1], "row": [1, -1]}.items():
        graph.initializer.append(helper.make_tensor(constant, TensorProto.INT64, [2], shape))
    graph.output.append(helper.make_tensor_value_info("there", TensorProto.FLOAT, []))


def test_a_graph_that_takes_longer_than_it_may_is_stopped():
    training = OnnxEngine(Limits(memory=2**31, seconds=0.05)).begin(job(step=rebuilt(slow)))
    with pytest.raises(ResourceLimitError, match="takes more than"):
        training.step()


def test_a_task_whose_gradients_cannot_fit_is_refused_before_its_graph_is_loaded():
    with pytest.raises(ResourceLimitError, match="gradients take"):
        OnnxEngine(Limits(memory=10_000)).begin(job(step=b"never looked at"))


@given(data=st.data())
@settings(max_examples=30, deadline=None)
def test_how_samples_are_cut_does_not_change_what_is_trained(data):
    size = data.draw(st.integers(1, 60))
    rng = np.random.default_rng(data.draw(st.integers(0, 10**6)))
    items, labels = rng.integers(0, 20, size), rng.integers(0, 2, size).astype(np.float32)
    samples = draws.Samples(items, labels, np.full(size, 1 / size, np.float32))
    task = OnnxEngine().load(job())
    results = []
    for tile in (10**6, data.draw(st.integers(1, 60))):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("client_sdk.onnx.onnx_training.TILE", tile)
            drawn = Drawn([samples], draws.noise(TrainingPlan.of(TASK).adversaries, 1, np.random.default_rng(0)))
            training = OnnxTraining(task, 3, drawn, {"gender": 1}, initial_state(TASK, KEY))
            training.step()
            results.append(training.finish())
    whole, cut = results
    for name, update in whole.contribution.items():
        values, others = (getattr(each, "values", each) for each in (update, cut.contribution[name]))
        np.testing.assert_allclose(others, values, rtol=1e-4, atol=1e-6 * np.abs(values).max())
    np.testing.assert_array_equal(whole.report.triggered["gender"], cut.report.triggered["gender"])
    np.testing.assert_allclose(whole.report.loss, cut.report.loss, rtol=1e-5)


@given(seed=st.integers(0, 10**6), steps=st.integers(0, 1000), rate=st.floats(1e-4, 1))
@settings(max_examples=30, deadline=None)
def test_adam_is_that_of_the_kernel(seed, steps, rate):
    import torch

    from client_sdk.kernel import adam

    rng = np.random.default_rng(seed)
    value, first, gradient, noise = (rng.standard_normal((1, 3, 4), np.float32) for _ in range(4))
    state = PrivateState({"p": value}, {"p": first}, {"p": noise * noise}, np.array([steps]))
    found = private_adam.step(state, {"p": gradient}, rate)
    expected = [{"p": torch.tensor(each["p"])} for each in (state.values, state.first, state.second)]
    adam.step(*expected, {"p": torch.from_numpy(gradient)}, torch.tensor([steps]), rate)
    for actual, wanted in zip((found.values, found.first, found.second), expected, strict=True):
        np.testing.assert_allclose(actual["p"], wanted["p"].numpy(), rtol=1e-5, atol=1e-6)
    assert found.steps.tolist() == [steps + 1]
    assert state.values["p"] is value


def test_a_graph_kept_in_the_runtimes_own_form_trains_the_same(tmp_path):
    folder = tmp_path / "compiled"
    plain = trained(OnnxEngine(), labels={"gender": 1})
    for _ in range(2):
        kept = trained(OnnxEngine(compiled=folder), labels={"gender": 1})
        assert kept.state.pack() == plain.state.pack()
        (path,) = folder.iterdir()
        assert path.suffix == ".ort"
    path.write_bytes(path.read_bytes()[:100])  # damaged: the graph itself is loaded again
    assert trained(OnnxEngine(compiled=folder), labels={"gender": 1}).state.pack() == plain.state.pack()
    with pytest.raises(ResourceLimitError):
        OnnxEngine(Limits(memory=2**27), folder).begin(job(step=rebuilt(hungry))).step()


def test_only_the_newest_graphs_are_kept(tmp_path):
    left = [tmp_path / f"{number}.ort" for number in range(6)]
    for age, path in enumerate(left):
        path.write_bytes(b"an earlier task's")
        os.utime(path, (age, age))
    trained(OnnxEngine(compiled=str(tmp_path)))
    assert sorted(tmp_path.glob("?.ort")) == left[3:]
    assert len(list(tmp_path.iterdir())) == 4


def test_where_nothing_can_be_kept_it_trains_all_the_same(tmp_path):
    taken = tmp_path / "file"
    taken.write_bytes(b"in the way")
    assert trained(OnnxEngine(compiled=taken)).state.pack() == trained(OnnxEngine()).state.pack()


def test_what_is_kept_stands_for_no_other_graph(tmp_path):
    trained(OnnxEngine(compiled=tmp_path))
    with pytest.raises(UnsupportedTaskError, match="not an ONNX file"):
        OnnxEngine(compiled=tmp_path).begin(job(step=next(tmp_path.iterdir()).read_bytes()))
