import io
from contextlib import redirect_stderr, redirect_stdout

import numpy as np
import onnx
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from client_sdk.errors import UnsupportedTaskError
from client_sdk.kernel import contract, fcf, fedgnn, fedncf, fedrap, fedvae, pfedrec
from client_sdk.onnx.graph import Graph, metadata
from export import exporter, graphs
from export.verify import FP16_TOLERANCE, TOLERANCE, check_recommendation
from fedau2.v1.task_pb2 import GRAPH_KIND_PREPARE, GRAPH_KIND_RECOMMEND, TaskManifest
from fedau2.v1.tensors_pb2 import TENSOR_KIND_TABLE, TENSOR_SCOPE_PRIVATE
from tests.export.onnx_nodes import nodes

USUAL = fedncf.Widths(gmf=3, mlp=4, hidden=(6, 5))


class Model:
    """A recommender with large random tensors, in PyTorch and as graphs."""

    def __init__(self, widths=USUAL, items=13, precision="fp32", recommender=fedncf):
        self.items, self.recommender = items, recommender
        self.tolerance = FP16_TOLERANCE if precision == "fp16" else TOLERANCE
        self.specs = recommender.tensors(items, widths)
        task = TaskManifest(format=2, model="fedncf", items=items)
        exported = graphs.export(recommender, self.specs, precision)
        self.files = {
            kind: exporter.stamp(data, metadata(task, kind))
            for kind, data in ((GRAPH_KIND_PREPARE, exported.prepare), (GRAPH_KIND_RECOMMEND, exported.recommend))
        }
        self.prepare, self.recommend = (Graph(data, task, kind) for kind, data in self.files.items())
        rng = np.random.default_rng(5)
        values = {spec.name: rng.standard_normal(tuple(spec.shape), np.float32) for spec in self.specs}
        own = {spec.name for spec in self.specs if spec.scope == TENSOR_SCOPE_PRIVATE}
        self.private = {name: value for name, value in values.items() if name in own}
        self.shared = {name: value for name, value in values.items() if name not in own}
        self.serving = self.prepare.run(self.shared)
        self.history = rng.choice(items, items // 3, replace=False)

    def run(self, seen, k):
        rows = {"history": self.history, "seen": np.array(seen, np.int64)}
        outputs = self.recommend.run({**self.serving, **self.private, **rows, "k": np.array(k, np.int64)})
        return outputs["items"], outputs["scores"]

    def logits(self):
        tensors = {name: torch.tensor(value) for name, value in self.shared.items()}
        private = {name: torch.tensor(value) for name, value in self.private.items()}
        history = torch.from_numpy(self.history)
        return contract.logits(self.recommender, self.recommender.prepare(tensors), private, history).numpy()


MODELS = {
    "usual": {},
    "no gmf": {"widths": fedncf.Widths(gmf=0, mlp=4, hidden=(6, 5))},
    "one layer": {"widths": fedncf.Widths(gmf=2, mlp=3, hidden=(4,))},
    "three tiles, the last not full": {"items": 2 * graphs.TILE + 1},
    "fp16": {"precision": "fp16"},
    "fedrap": {"recommender": fedrap, "widths": fedrap.Widths(latent=3)},
    "fedrap, two tiles": {"recommender": fedrap, "widths": fedrap.Widths(latent=3), "items": graphs.TILE + 1},
    "fedvae": {"recommender": fedvae, "widths": fedvae.Widths(hidden=5, latent=3)},
    "fedvae, two tiles": {
        "recommender": fedvae,
        "widths": fedvae.Widths(hidden=5, latent=3),
        "items": graphs.TILE + 1,
    },
    "fedvae, fp16": {"recommender": fedvae, "widths": fedvae.Widths(hidden=5, latent=3), "precision": "fp16"},
    "fedrap, fp16": {"recommender": fedrap, "widths": fedrap.Widths(latent=3), "precision": "fp16"},
    "fcf": {"recommender": fcf, "widths": fcf.Widths(latent=3)},
    "pfedrec": {"recommender": pfedrec, "widths": pfedrec.Widths(latent=3)},
    "fedgnn": {"recommender": fedgnn, "widths": fedgnn.Widths(latent=3)},
    "fp16, two tiles": {"items": graphs.TILE + 1, "precision": "fp16"},
}


@pytest.fixture(scope="module", params=MODELS)
def model(request):
    return Model(**MODELS[request.param])


@given(data=st.data())
@settings(deadline=None)
def test_the_graphs_recommend_what_pytorch_would(model, data):
    seen = data.draw(st.lists(st.integers(0, model.items - 1)))
    k = data.draw(st.integers(0, model.items + 3))
    logits = model.logits()
    items, scores = model.run(seen, k)
    check_recommendation(items, scores, logits, np.array(seen, np.int64), k, model.tolerance)
    assert items.dtype == np.int64
    assert scores.dtype == np.float32
    assert items.shape == (min(k, model.items),)
    unseen = model.items - len(set(seen))
    assert not set(items[:unseen].tolist()) & set(seen)
    assert np.isneginf(scores[unseen:]).all()


@pytest.mark.parametrize("length", [0, 1, 2, 13])
def test_a_history_of_any_length_is_looked_at(length):
    model = Model(fedvae.Widths(hidden=5, latent=3), recommender=fedvae)
    model.history = np.arange(length)
    items, scores = model.run([], 13)
    check_recommendation(items, scores, model.logits(), np.zeros(0, np.int64), 13)


def test_serving_tensors_are_those_of_prepare(model):
    expected = model.recommender.prepare({name: torch.tensor(value) for name, value in model.shared.items()})
    assert set(model.serving) == {f"serving.{name}" for name in expected}
    for name, value in expected.items():
        found = model.serving[f"serving.{name}"]
        if name.startswith("item_"):
            assert (found.dtype == np.float16) == (model.tolerance == FP16_TOLERANCE)
            found = np.concatenate(found, axis=-1)
            assert not found[..., model.items :].any()
            found = found[..., : model.items]
        np.testing.assert_allclose(found, value.numpy(), rtol=model.tolerance, atol=model.tolerance)


def test_fp16_keeps_the_ranking_of_a_model_of_real_size():
    # The paper's widths and ML-1M's catalogue, with weights large enough to spread the logits.
    single, half = (Model(fedncf.Widths(), 3706, precision) for precision in ("fp32", "fp16"))
    rng = np.random.default_rng(0)
    for model in (single, half):
        model.serving = model.prepare.run({name: 0.3 * value for name, value in model.shared.items()})
    overlaps, errors = [], []
    for _ in range(50):
        private = {name: rng.standard_normal(value.shape, np.float32) for name, value in single.private.items()}
        single.private = half.private = private
        (rows, scores), (other_rows, other_scores) = (model.run([], 3706) for model in (single, half))
        overlaps.append(len(set(rows[:10].tolist()) & set(other_rows[:10].tolist())))
        error = np.abs(scores[np.argsort(rows)] - other_scores[np.argsort(other_rows)]).max()
        errors.append(error / scores.std())
    assert np.mean(overlaps) >= 9.8
    assert max(errors) < 2e-3


def test_the_inputs_are_the_shared_then_the_serving_and_private_tensors(model):
    prepare, recommend = (onnx.load_from_string(data).graph for data in model.files.values())
    assert {each.name for each in prepare.input} == set(model.shared)
    own = ["history", "seen", "k"] if model.recommender in (fedvae, fedgnn) else ["seen", "k"]
    assert sorted(each.name for each in recommend.input) == sorted([*model.serving, *model.private, *own])
    assert [each.name for each in recommend.output] == ["items", "scores"]


def test_the_graphs_hold_no_weights_and_no_trace_of_the_machine(model):
    for data in model.files.values():
        proto = onnx.load_from_string(data)
        found = list(nodes(proto.graph))
        bodies = [attribute.g for node in found for attribute in node.attribute]
        constants = [each for graph in (proto.graph, *bodies) for each in graph.initializer]
        assert all(each.data_type == onnx.TensorProto.INT64 or np.prod(each.dims, dtype=int) <= 1 for each in constants)
        assert sum(np.prod(each.dims, dtype=int) for each in constants) < 50
        assert not {node.op_type for node in found} & {"ScatterND", "Constant"}
        assert len(data) < 4096
        assert b".py" not in data
        assert not any(node.doc_string or node.metadata_props for node in found)


@pytest.mark.parametrize("field", ["format", "model", "items", "catalogue"])
def test_a_graph_of_another_task_is_refused(field):
    other = TaskManifest(format=2, model="fedncf", items=13)
    if field == "catalogue":
        other.catalogue.sha256 = b"other"
    else:
        setattr(other, field, {"format": 3, "model": "fedfoo", "items": 14}[field])
    for kind, data in Model().files.items():
        with pytest.raises(UnsupportedTaskError, match=f"fedau2.{field} is .* and not"):
            Graph(data, other, kind)


def test_a_graph_in_the_others_place_or_without_metadata_is_refused():
    task = TaskManifest(format=2, model="fedncf", items=13)
    with pytest.raises(UnsupportedTaskError, match=r"fedau2.graph is .GRAPH_KIND_PREPARE."):
        Graph(Model().files[GRAPH_KIND_PREPARE], task, GRAPH_KIND_RECOMMEND)
    bare = graphs.export(fedncf, Model().specs).prepare
    with pytest.raises(UnsupportedTaskError, match="is None and not"):
        Graph(bare, task, GRAPH_KIND_PREPARE)


def test_old_runtimes_can_read_the_graphs(model):
    for data in model.files.values():
        proto = onnx.load_from_string(data)
        assert proto.ir_version == 8
        assert [(each.domain, each.version) for each in proto.opset_import] == [("", 18)]
        assert not proto.functions


@pytest.mark.parametrize("wrong", [{"seen": np.array([2**40])}, {"k": np.array(-1)}])
def test_inputs_outside_the_contract_are_refused(model, wrong):
    rows = {"history": model.history, "seen": np.zeros(0, np.int64)}
    inputs = {**model.serving, **model.private, **rows, "k": np.array(1), **wrong}
    with pytest.raises(UnsupportedTaskError, match="cannot be run"):
        model.recommend.run(inputs)


def test_a_checkpoint_of_another_catalogue_is_refused(model):
    table = next(spec.name for spec in model.specs if spec.kind == TENSOR_KIND_TABLE)
    with pytest.raises(UnsupportedTaskError, match="cannot be run"):
        model.prepare.run({**model.shared, table: model.shared[table][1:]})


def test_a_catalogue_of_one_item_is_enough():
    items, scores = Model(items=1).run([], 5)
    assert items.tolist() == [0]
    assert np.isfinite(scores).all()


def test_nothing_is_printed(capfd):
    out = io.StringIO()
    with redirect_stdout(out), redirect_stderr(out):
        graphs.export(fedncf, fedncf.tensors(2, USUAL))
    assert out.getvalue() == ""
    assert capfd.readouterr() == ("", "")
