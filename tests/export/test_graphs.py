import io
from contextlib import redirect_stderr, redirect_stdout

import numpy as np
import onnx
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from client_sdk.kernel import fedncf
from export import graphs
from export.errors import VerificationError
from export.verify import check_recommendation, load
from fedau2.v1.tensors_pb2 import TENSOR_SCOPE_PRIVATE

ITEMS = 13
SHAPES = {
    "usual": fedncf.Widths(gmf=3, mlp=4, hidden=(6, 5)),
    "no gmf": fedncf.Widths(gmf=0, mlp=4, hidden=(6, 5)),
    "one layer": fedncf.Widths(gmf=2, mlp=3, hidden=(4,)),
}


class Model:
    """A recommender with large random tensors, in PyTorch and as graphs."""

    def __init__(self, widths, items=ITEMS):
        self.specs = fedncf.tensors(items, widths)
        exported = graphs.export(fedncf, self.specs)
        self.files = {"prepare.onnx": exported.prepare, "recommend.onnx": exported.recommend}
        self.prepare, self.recommend = (load(data, name) for name, data in self.files.items())
        rng = np.random.default_rng(5)
        values = {spec.name: rng.standard_normal(tuple(spec.shape), np.float32) for spec in self.specs}
        own = {spec.name for spec in self.specs if spec.scope == TENSOR_SCOPE_PRIVATE}
        self.private = {name: value for name, value in values.items() if name in own}
        self.shared = {name: value for name, value in values.items() if name not in own}
        self.serving = self.prepare(self.shared)

    def run(self, seen, k):
        inputs = {**self.serving, **self.private, "seen": np.array(seen, np.int64), "k": np.array(k, np.int64)}
        outputs = self.recommend(inputs)
        return outputs["items"], outputs["scores"]

    def logits(self):
        tensors = {name: torch.tensor(value) for name, value in self.shared.items()}
        private = {name: torch.tensor(value) for name, value in self.private.items()}
        return fedncf.score(fedncf.prepare(tensors), private).numpy()


@pytest.fixture(scope="module", params=SHAPES)
def model(request):
    return Model(SHAPES[request.param])


@given(seen=st.lists(st.integers(0, ITEMS - 1)), k=st.integers(0, ITEMS + 3))
@settings(deadline=None)
def test_the_graphs_recommend_what_pytorch_would(model, seen, k):
    logits = model.logits()
    items, scores = model.run(seen, k)
    check_recommendation(items, scores, logits, np.array(seen, np.int64), k)
    assert items.dtype == np.int64
    assert scores.dtype == np.float32
    assert items.shape == (min(k, ITEMS),)
    unseen = ITEMS - len(set(seen))
    assert not set(items[:unseen].tolist()) & set(seen)
    assert np.isneginf(scores[unseen:]).all()


def test_serving_tensors_are_those_of_prepare(model):
    expected = fedncf.prepare({name: torch.tensor(value) for name, value in model.shared.items()})
    assert set(model.serving) == {f"serving.{name}" for name in expected}
    for name, value in expected.items():
        np.testing.assert_allclose(model.serving[f"serving.{name}"], value.numpy(), rtol=1e-5, atol=1e-5)


def test_the_inputs_are_the_shared_then_the_serving_and_private_tensors(model):
    prepare, recommend = (onnx.load_from_string(data).graph for data in model.files.values())
    assert {each.name for each in prepare.input} == set(model.shared)
    assert {each.name for each in recommend.input} == {*model.serving, *model.private, "seen", "k"}
    assert [each.name for each in recommend.output] == ["items", "scores"]


def test_the_graphs_hold_no_weights_and_no_trace_of_the_machine(model):
    for data in model.files.values():
        proto = onnx.load_from_string(data)
        assert all(np.prod(each.dims, dtype=int) <= 1 for each in proto.graph.initializer)
        assert not [node for node in proto.graph.node if node.op_type in ("ScatterND", "Constant")]
        assert len(data) < 4096
        assert b".py" not in data
        assert not proto.metadata_props
        assert not any(node.doc_string or node.metadata_props for node in proto.graph.node)


def test_old_runtimes_can_read_the_graphs(model):
    for data in model.files.values():
        proto = onnx.load_from_string(data)
        assert proto.ir_version == 8
        assert [(each.domain, each.version) for each in proto.opset_import] == [("", 18)]
        assert not proto.functions


@pytest.mark.parametrize("wrong", [{"seen": np.array([ITEMS])}, {"k": np.array(-1)}])
def test_inputs_outside_the_contract_are_refused(model, wrong):
    inputs = {**model.serving, **model.private, "seen": np.zeros(0, np.int64), "k": np.array(1), **wrong}
    with pytest.raises(VerificationError, match="cannot be run"):
        model.recommend(inputs)


def test_a_checkpoint_of_another_catalogue_is_refused(model):
    with pytest.raises(VerificationError, match="cannot be run"):
        model.prepare({**model.shared, "item_mlp": model.shared["item_mlp"][1:]})


def test_a_catalogue_of_one_item_is_enough():
    items, scores = Model(SHAPES["usual"], items=1).run([], 5)
    assert items.tolist() == [0]
    assert np.isfinite(scores).all()


def test_nothing_is_printed(capfd):
    out = io.StringIO()
    with redirect_stdout(out), redirect_stderr(out):
        graphs.export(fedncf, fedncf.tensors(2, SHAPES["one layer"]))
    assert out.getvalue() == ""
    assert capfd.readouterr() == ("", "")
