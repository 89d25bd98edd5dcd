import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from client_sdk import Limits
from client_sdk.errors import NoModelError, ResourceLimitError, UnsupportedTaskError
from client_sdk.onnx.graph import metadata
from client_sdk.onnx.served_model import ServedModel
from client_sdk.protocol.trust import Trust
from client_sdk.protocol.values import Model
from export.exporter import stamp
from fedau2.v1.task_pb2 import GRAPH_KIND_PREPARE, GRAPH_KIND_RECOMMEND, TaskManifest
from fedau2.wire import blobs


def parts(bundle):
    graphs = [bundle.blobs[graph.resource.sha256] for graph in bundle.manifest.graphs[:2]]
    return bundle.manifest, blobs.unpack(bundle.blobs[bundle.checkpoint.sha256]), *graphs


@pytest.fixture(scope="session")
def recommender(bundle):
    return ServedModel(*parts(bundle))


@pytest.fixture(scope="session")
def with_history(bundles):
    return ServedModel(*parts(bundles(history=True)))


def scores(bundle, private):
    table = blobs.unpack(bundle.blobs[bundle.checkpoint.sha256])["item_gmf"]
    return 2 * table @ private["user_gmf"]


def make_private(values):
    return {"user_gmf": np.array(values, np.float32), "user_mlp": np.zeros(6, np.float32)}


vectors = st.lists(st.floats(-3, 3, width=16), min_size=4, max_size=4)
seen_sets = st.sets(st.integers(0, 11)).map(sorted)


@given(st.integers(1, 20), seen_sets, vectors)
@settings(deadline=None)
def test_the_best_unseen_items_come_best_first(recommender, bundle, k, seen, vector):
    private = make_private(vector)
    found = recommender.recommend(k, np.array(seen, np.int64), private)
    expected = scores(bundle, private)
    rows = [row for row, _ in found]
    assert len(rows) == len(set(rows)) == min(k, 12 - len(seen))
    assert not set(rows) & set(seen)
    np.testing.assert_allclose([score for _, score in found], expected[rows], rtol=1e-4, atol=1e-6)
    best = np.sort(np.delete(expected, seen))[::-1][: len(rows)]
    np.testing.assert_allclose([score for _, score in found], best, rtol=1e-4, atol=1e-6)


@given(seen_sets, vectors)
@settings(deadline=None)
def test_the_history_is_fed_where_the_graph_declares_it(with_history, recommender, seen, vector):
    # Its scores are raised by the history, which is what was seen, so the rest stays as it was.
    rows = np.array(seen, np.int64)
    private = make_private(vector)
    assert with_history.recommend(12, rows, private) == recommender.recommend(12, rows, private)


def test_k_may_be_any_size(recommender):
    assert len(recommender.recommend(10**30, np.array([], np.int64), make_private([1, 2, 3, 4]))) == 12


def keep(store, bundle, without=None):
    for address, data in bundle.blobs.items():
        if address != without:
            store.keep_blob(blobs.resource(data), data)
    return Model("task", 0, bundle.address, bundle.checkpoint)


def test_a_model_is_loaded_from_the_store(store, bundle, recommender):
    loaded = ServedModel.load(store, keep(store, bundle), Trust())
    seen, private = np.array([1], np.int64), make_private([1, 2, 3, 4])
    assert loaded.recommend(5, seen, private) == recommender.recommend(5, seen, private)


@pytest.mark.parametrize("part", ["manifest", "checkpoint", "prepare", "recommend"])
def test_a_missing_part_is_told(store, bundle, part):
    resources = {
        "manifest": bundle.address,
        "checkpoint": bundle.checkpoint,
        "prepare": bundle.manifest.graphs[0].resource,
        "recommend": bundle.manifest.graphs[1].resource,
    }
    with pytest.raises(NoModelError, match="call sync"):
        ServedModel.load(store, keep(store, bundle, resources[part].sha256), Trust())


def with_blob(bundle, resource, data):
    """The same task with another blob at one of its places."""
    task = TaskManifest.FromString(bundle.manifest.SerializeToString().replace(resource.sha256, blobs.sha256(data)))
    for each in (task.checkpoint, *(graph.resource for graph in task.graphs)):
        if each.sha256 == blobs.sha256(data):
            each.size = len(data)
    changed = replace(bundle, manifest=task, blobs={**bundle.blobs, blobs.sha256(data): data})
    if resource == bundle.checkpoint:
        changed = replace(changed, checkpoint=blobs.resource(data))
    return changed.with_manifest()


@pytest.mark.parametrize(
    ("part", "data", "text"),
    [
        ("checkpoint", b"not safetensors", "safetensors"),
        ("checkpoint", blobs.pack({"item_gmf": np.zeros((12, 4), np.float32)}), "wants inputs"),
        ("checkpoint", None, "cannot be run"),
        ("prepare", b"not a graph", "not an ONNX file"),
        ("recommend", b"not a graph", "not an ONNX file"),
    ],
)
def test_parts_that_cannot_be_used_are_told(store, bundle, part, data, text):
    if data is None:  # every tensor with its axes in another order
        tensors = blobs.unpack(bundle.blobs[bundle.checkpoint.sha256])
        data = blobs.pack({name: np.ascontiguousarray(value.T) for name, value in tensors.items()})
    resource = {
        "checkpoint": bundle.checkpoint,
        "prepare": bundle.manifest.graphs[0].resource,
        "recommend": bundle.manifest.graphs[1].resource,
    }[part]
    with pytest.raises(UnsupportedTaskError, match=text):
        ServedModel.load(store, keep(store, with_blob(bundle, resource, data)), Trust())


def test_a_task_without_graphs_is_told(store, bundle):
    bare = replace(bundle, manifest=TaskManifest.FromString(bundle.manifest.SerializeToString()))
    del bare.manifest.graphs[1:]
    with pytest.raises(UnsupportedTaskError, match="GRAPH_KIND_RECOMMEND"):
        ServedModel.load(store, keep(store, bare.with_manifest()), Trust())


def test_private_tensors_that_do_not_fit_are_told(recommender):
    nothing = np.array([], np.int64)
    with pytest.raises(UnsupportedTaskError, match="wants inputs"):
        recommender.recommend(3, nothing, {})
    with pytest.raises(UnsupportedTaskError, match="cannot be run"):
        recommender.recommend(3, nothing, make_private([1, 2, 3]))


def bound(graph, task, kind):
    return stamp(graph, metadata(task, kind))


def test_a_graph_with_other_outputs_is_told(bundle):
    task, checkpoint, prepare, _ = parts(bundle)
    with pytest.raises(UnsupportedTaskError, match="does not give items, scores"):
        ServedModel(task, checkpoint, prepare, bound(prepare, task, GRAPH_KIND_RECOMMEND))


def test_rows_outside_the_catalogue_are_told(bundle, bundles):
    _, checkpoint, *graphs = parts(bundle)
    smaller = bundles([f"film-{row}" for row in range(5)]).manifest
    kinds = (GRAPH_KIND_PREPARE, GRAPH_KIND_RECOMMEND)
    graphs = [bound(graph, smaller, kind) for graph, kind in zip(graphs, kinds, strict=True)]
    with pytest.raises(UnsupportedTaskError, match="items and their scores"):
        ServedModel(smaller, checkpoint, *graphs).recommend(5, np.arange(5), make_private([1, 2, 3, 4]))


def test_the_graphs_of_another_catalogue_are_told(bundle, bundles):
    _, checkpoint, *graphs = parts(bundle)
    renamed = bundles([f"movie-{row}" for row in range(12)]).manifest
    with pytest.raises(UnsupportedTaskError, match=r"was not made for it \(its fedau2.catalogue"):
        ServedModel(renamed, checkpoint, *graphs)


def test_no_device_id_is_left_by_onnx_runtime(tmp_path, bundle):
    task, _, prepare, _ = parts(bundle)
    (tmp_path / "prepare.onnx").write_bytes(prepare)
    (tmp_path / "manifest.binpb").write_bytes(task.SerializeToString())
    code = (
        "import sys; from pathlib import Path; from client_sdk.onnx.graph import Graph\n"
        "from fedau2.v1.task_pb2 import GRAPH_KIND_PREPARE, TaskManifest\n"
        "prepare, task = (Path(sys.argv[1], name).read_bytes() for name in ('prepare.onnx', 'manifest.binpb'))\n"
        "Graph(prepare, TaskManifest.FromString(task), GRAPH_KIND_PREPARE)"
    )
    home = tmp_path / "home"
    home.mkdir()
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("ORT_", "XDG_"))}
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], env={**environment, "HOME": str(home)}, check=True)
    assert list(home.rglob("*")) == []


def test_graphs_for_recommending_are_bounded_too(bundle):
    with pytest.raises(ResourceLimitError, match="GRAPH_KIND_PREPARE takes more than"):
        ServedModel(*parts(bundle), Limits(memory=1))
