"""What graphs may hold is what the exported graphs hold: the list has no operator and no attribute to spare."""

import onnx
import pytest

from client_sdk.kernel import fcf, fedgnn, fedncf, fedrap, fedvae, pfedrec
from client_sdk.kernel.models import RECOMMENDERS
from client_sdk.protocol.inspection import inspected
from client_sdk.protocol.operators import OPERATORS
from export.bundle import build
from tests import plans
from tests.export.onnx_nodes import nodes

pytestmark = pytest.mark.slow  # a minute of exporting; test_step.py loads some of every recommender's graphs
WIDTHS = {
    "fedncf": fedncf.Widths(4, 6, (7, 5)),
    "fedrap": fedrap.Widths(8),
    "fedvae": fedvae.Widths(16, 6),
    "fcf": fcf.Widths(8),
    "pfedrec": pfedrec.Widths(8),
    "fedgnn": fedgnn.Widths(8),
}
PLANS = [
    {"head": "none"},
    {"head": "mlp", "trigger": "global"},
    {"head": "vae", "trigger": "pretrain", "pretrain_rounds": 5},
    {"head": "dsvae"},
    {"head": "scalar", "trigger": "off", "class_weights": [1, 2]},
    {"head": "dsvae", "objective": "confusion", "prior": [3, 1]},
]


def make(model, head, precision="fp32", **options):
    plan = plans.make(model, *([] if head == "none" else [{**plans.GENDER, "head": head, **options}]))
    return build(model, [f"item-{row}" for row in range(60)], plan, 0, WIDTHS[model], precision)


@pytest.fixture(scope="module")
def bundles():
    made = [make(model, **plan) for model in RECOMMENDERS for plan in PLANS]
    made += [make(model, "none", "fp16") for model in RECOMMENDERS]
    matched = plans.make("fedncf", matchings=[plans.GENDER], matching__frequencies=8)
    made.append(build("fedncf", [f"item-{row}" for row in range(60)], matched, 0, WIDTHS["fedncf"]))
    return [*made, make("fedncf", "dsvae", protects=["user_gmf", "user_mlp"])]


def graphs(bundles):
    return ((each.kind, bundle.blob(each.resource)) for bundle in bundles for each in bundle.manifest.graphs)


def test_every_exported_graph_may_be_loaded_and_nothing_of_it_is_lost(bundles):
    for kind, data in graphs(bundles):
        found, expected = onnx.load_from_string(inspected(data, kind)), onnx.load_from_string(data)
        expected.ClearField("producer_name")
        assert found == expected


def test_every_operator_and_every_attribute_of_the_list_is_needed(bundles):
    needed = {}
    for _, data in graphs(bundles):
        for node in nodes(onnx.load_from_string(data).graph):
            needed.setdefault(node.op_type, {}).update({each.name: each.type for each in node.attribute})
    assert needed == OPERATORS
