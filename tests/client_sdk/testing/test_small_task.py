"""What is filled into the template is what the exporter makes: a template that has become stale fails here.

Run `python -m scripts.testing_template` then.
"""

import numpy as np
import onnxruntime as ort
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from client_sdk.onnx.graph import metadata
from client_sdk.testing import small_task
from client_sdk.testing.small_task import GRAPHS, SmallTask
from fedau2.v1.onnx_pb2 import OnnxModel
from fedau2.v1.task_pb2 import GRAPH_KIND_RECOMMEND, GRAPH_KIND_STEP, TaskManifest
from fedau2.wire import blobs, bundles, manifest
from scripts import testing_template

SHAPES = [(2 * small_task.TILE + 7, "gender", 2), (1, None, 0)]
"""Items, attribute and number of classes. The items of the first are cut into tiles."""


@pytest.fixture(scope="module", params=SHAPES, ids=str)
def both(request):
    """A task from the template, and the same from the exporter."""
    number, attribute, classes = request.param
    items, values = [f"item-{row}" for row in range(number)], [f"class-{row}" for row in range(classes)]
    return SmallTask.make(items, attribute, values), testing_template.build(items, attribute, values)


def graph(task, kind):
    address = next(each.resource for each in task.manifest.graphs if each.kind == kind)
    return next(data for data in task.blobs if blobs.resource(data) == address)


def without_addresses(task):
    copy = TaskManifest.FromString(task.SerializeToString())
    copy.ClearField("checkpoint")  # drawn from another seed
    copy.ClearField("graphs")  # the exporter writes fields in another order
    return copy


def test_the_manifest_is_the_exporters(both):
    ours, exported = both
    assert without_addresses(ours.manifest) == without_addresses(exported.manifest)
    assert [each.kind for each in ours.manifest.graphs] == [each.kind for each in exported.manifest.graphs]


@pytest.mark.parametrize("kind", GRAPHS)
def test_the_graphs_are_declared_as_the_exporters(both, kind):
    ours, exported = (OnnxModel.FromString(data) for data in (graph(both[0], kind), both[1].graph(kind)))
    for field in ("ir_version", "opset_import", "metadata_props"):
        assert getattr(ours, field) == getattr(exported, field)
    assert ours.graph.input == exported.graph.input
    assert ours.graph.output == exported.graph.output


@pytest.mark.parametrize("kind", GRAPHS)
def test_the_graphs_compute_what_the_exporters_do(both, kind):
    ours, exported = (ort.InferenceSession(data) for data in (graph(both[0], kind), both[1].graph(kind)))
    inputs = _inputs(ours, both[0].manifest, kind)
    for value, expected in zip(ours.run(None, inputs), exported.run(None, inputs), strict=True):
        np.testing.assert_array_equal(value, expected)


def _inputs(session, task, kind):
    """Random inputs that the graph takes."""
    rng = np.random.default_rng(0)
    sizes = {"samples": 3, "rows": 2, "repeated": 1, "s": 1}
    inputs = {}
    for value in session.get_inputs():
        shape = [sizes.get(axis, axis) for axis in value.shape]
        floats = value.type == "tensor(float)"
        inputs[value.name] = rng.normal(size=shape).astype(np.float32) if floats else np.zeros(shape, np.int64)
    if kind == GRAPH_KIND_RECOMMEND:
        inputs["k"] = np.array(task.items, np.int64)
    if kind == GRAPH_KIND_STEP:
        inputs |= {
            "sample.slot": np.array([0, 1, 1]),
            "sample.first": np.array([0, 1]),
            "sample.again": np.array([2]),
        }
        inputs = {name: value for name, value in inputs.items() if name in {each.name for each in session.get_inputs()}}
    return inputs


@settings(max_examples=30, deadline=None)
@given(
    items=st.integers(1, 6000),
    attribute=st.none() | st.sampled_from(["gender", "Alter", "年齢", "label"]),
    classes=st.integers(2, 40),
)
def test_every_task_is_sound_and_is_a_bundle(tmp_path_factory, items, attribute, classes):
    task = SmallTask.make([str(row) for row in range(items)], attribute, [str(number) for number in range(classes)])
    folder = task.write(tmp_path_factory.mktemp("task") / "bundle")
    read = bundles.read_manifest(folder)
    assert read == task.manifest
    contents = {each.sha256: bundles.read_blob(folder, each) for each in manifest.blobs(read)}
    assert blobs.catalogue(contents[read.catalogue.sha256]) == [str(row) for row in range(items)]
    shapes = {name: value.shape for name, value in blobs.unpack(contents[read.checkpoint.sha256]).items()}
    assert shapes == {name: tuple(spec.shape) for name, spec in manifest.shared(read).items()}
    for each in read.graphs:
        data = contents[each.resource.sha256]
        stamps = {entry.key: entry.value for entry in OnnxModel.FromString(data).metadata_props}
        assert stamps == metadata(read, each.kind)
        for leftover in (small_task.ATTRIBUTE.encode(), str(small_task.ITEMS).encode()):
            assert leftover not in data


def test_the_templates_are_small():
    folder = testing_template.FOLDER
    assert sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) < 50_000
