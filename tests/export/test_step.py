"""The training graph against the kernel, teacher-forced: the same local steps from the same states."""

from collections import Counter

import numpy as np
import onnx
import pytest

from client_sdk.kernel import fcf, fedgnn, fedncf, fedrap, fedvae, pfedrec
from client_sdk.kernel.models import RECOMMENDERS
from client_sdk.protocol.operators import OPERATORS
from export import parity
from export.bundle import build
from export.exporter import IR_VERSION, OPSET
from fedau2.v1.task_pb2 import GRAPH_KIND_STEP
from tests import plans
from tests.recommenders import LEAN

WIDTHS = {
    "fedncf": fedncf.Widths(4, 6, (7, 5)),
    "fedrap": fedrap.Widths(8),
    "fedvae": fedvae.Widths(16, 6),
    "fcf": fcf.Widths(8),
    "pfedrec": pfedrec.Widths(8),
    "fedgnn": fedgnn.Widths(8),
}
LOCAL = {"steps": 2, "shared_learning_rate": 0.05}
HEADS = ["none", "mlp", "vae", "dsvae", "scalar"]


def make(name, head="dsvae", items=60, widths=None, local=None, model=None, **entry):
    """A bundle whose plan says `local`, `model` and the adversary's `entry` in a plan file's words."""
    entries = [] if head == "none" else [{**plans.GENDER, "head": head, **entry}]
    plan = plans.make(name, *entries, local=local or {}, model=model or {})
    return build(name, [f"item-{row}" for row in range(items)], plan, 0, widths or WIDTHS[name])


def step_of(bundle):
    return bundle.graph(GRAPH_KIND_STEP)


def assert_agree(bundle, steps=40, **options):
    found = parity.compare(bundle, steps, np.random.default_rng(0), **options)
    assert found.error <= parity.TOLERANCE, found
    assert found.turned == 0
    assert found.undecided <= steps / 20
    return found


@pytest.mark.parametrize("model", ["fedncf", "fedvae"])
def test_a_step_with_matchings_agrees(model):
    entries = [{"attribute": "gender", "classes": ["M", "F"]}, {**plans.AGE, "name": "second"}]
    plan = plans.make(model, {**plans.GENDER, "head": "dsvae"}, matchings=entries, matching__frequencies=16)
    bundle = build(model, [f"item-{row}" for row in range(60)], plan, 0, WIDTHS[model])
    assert_agree(bundle)


@pytest.mark.parametrize("shifts", [False, True])
@pytest.mark.parametrize(
    "model", ["fedvae", "fedncf", *(pytest.param(m, marks=pytest.mark.slow) for m in ("fcf", "pfedrec", "fedgnn"))]
)
def test_a_step_with_an_eraser_agrees(model, shifts):
    plan = plans.make(
        model, erased=[plans.GENDER, plans.AGE], eraser__frequencies=16, eraser__steps=3, eraser__shifts=shifts
    )
    assert_agree(build(model, [f"item-{row}" for row in range(60)], plan, 0, WIDTHS[model]))


@pytest.mark.slow
@pytest.mark.parametrize("trigger", ["sut", "global", "pretrain", "off"])
@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("model", RECOMMENDERS)
def test_a_thousand_steps_agree(model, head, trigger):
    if head == "none" and trigger != "sut":
        pytest.skip("there is no trigger without an adversary")
    found = assert_agree(make(model, head, trigger=trigger, pretrain_rounds=5), 1000)
    assert found.undecided <= 10
    if head != "none":
        assert (found.fired > 200) == (trigger != "off")
        assert (found.shut > 200) == (trigger != "global")


@pytest.mark.parametrize(
    ("model", "head", "options"),
    [
        *((model, "dsvae", {}) for model in RECOMMENDERS),
        *((model, "none", {}) for model in ("fedncf", "fedrap", "fedvae")),
        ("fedncf", "mlp", {"trigger": "pretrain", "pretrain_rounds": 5}),
        ("fedncf", "scalar", {"class_weights": [0.7, 1.8], "epsilon": 3}),
        ("fedncf", "vae", {"objective": "confusion", "prior": [3, 1], "epsilon": 1}),
        ("fedncf", "dsvae", {"protects": "each", "local": LOCAL}),
        ("fedrap", "dsvae", {"protects": ["item_personal"], "objective": "confusion", "prior": "uniform",
                             "model": {"l1_weight": 2.0}}),
        ("fedrap", "scalar", {"local": {**LOCAL, "steps": 3}}),
        ("fedvae", "mlp", {"trigger": "global", "model": {"kl_cap": 0.3, "kl_anneal_rounds": 0}, "local": LOCAL}),
        ("fedgnn", "vae", {"protects": ["user_vector", "user_node"], "model": {"dropout": 0.3}, "local": LOCAL}),
    ],
)  # fmt: skip
def test_a_step_agrees_whatever_the_plan(model, head, options):
    found = assert_agree(make(model, head, **options))
    assert found.fired or head == "none"


def test_several_attributes_with_several_classes_agree():
    plan = plans.make("fedncf", plans.GENDER, plans.AGE)
    assert_agree(build("fedncf", [f"item-{row}" for row in range(60)], plan, 0, WIDTHS["fedncf"]))


def test_other_layers_agree():
    assert_agree(make("fedncf", widths=fedncf.Widths(0, 6, (7, 5)), protects=["user_mlp"]))
    assert_agree(make("fedncf", widths=fedncf.Widths(2, 3, (4,))))


def test_samples_beyond_one_run_are_added_up(monkeypatch):
    monkeypatch.setattr("client_sdk.onnx.onnx_training.TILE", 16)
    for model in ("fedncf", "fedrap"):
        assert_agree(make(model), most=100)


@pytest.fixture(scope="module", params=LEAN)
def bundle(request):
    return make(request.param)


def test_the_graph_gives_a_gradient_for_every_tensor(bundle):
    graph = onnx.load_from_string(step_of(bundle)).graph
    names = {each.name for each in graph.output}
    tensors = {f"gradient.{spec.name}" for spec in bundle.manifest.tensors}
    assert names == tensors | {"loss", "triggered.gender", "margin.gender"}
    sizes = {each.type.tensor_type.shape.dim[0].dim_param for each in graph.input if each.type.tensor_type.shape.dim}
    assert {"samples", "rows"} <= sizes
    assert {"plan.gender.epsilon", "label.gender", "noise.gender"} <= {each.name for each in graph.input}


def test_the_graph_has_no_weights_and_no_operator_that_races(bundle):
    data = step_of(bundle)
    proto = onnx.load_from_string(data)
    assert sum(np.prod(each.dims, dtype=int) for each in proto.graph.initializer) < 200
    operators = Counter(node.op_type for node in proto.graph.node)
    assert "Scan" not in operators
    assert operators.keys() <= OPERATORS.keys()
    assert len(data) < 20_000
    assert b".py" not in data
    assert not any(node.doc_string or node.metadata_props for node in proto.graph.node)
    assert proto.ir_version == IR_VERSION
    assert [(each.domain, each.version) for each in proto.opset_import] == [("", OPSET)]


def test_one_graph_serves_every_plan_of_a_structure():
    usual = make("fedncf")
    local = {"private_learning_rate": 0.5, "steps": 1, "chunk": 7}
    other = make("fedncf", epsilon=1.0, variance=2.0, class_weights=[1, 2], local=local)
    assert usual.manifest != other.manifest
    assert step_of(usual) == step_of(other)
    assert step_of(make("fedncf", "mlp")) != step_of(usual)


def test_size_does_not_grow_with_the_catalogue():
    small, large = (len(step_of(make("fedrap", items=items))) for items in (60, 5_000))
    assert abs(large - small) < 20


def test_a_bundle_may_go_without():
    plan = plans.make()
    bundle = build("fedncf", ["a", "b", "c"], plan, 0, WIDTHS["fedncf"], training=False)
    assert GRAPH_KIND_STEP not in {each.kind for each in bundle.manifest.graphs}
