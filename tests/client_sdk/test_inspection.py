"""Graphs that no device may load, each refused before a runtime has seen it."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from client_sdk import inspection
from client_sdk.errors import ForbiddenGraphError
from client_sdk.graph import Graph, metadata
from export.exporter import stamp
from fedau2.v1.task_pb2 import GRAPH_KIND_PREPARE, GRAPH_KIND_RECOMMEND, GRAPH_KIND_STEP, TaskManifest

KINDS = (GRAPH_KIND_PREPARE, GRAPH_KIND_RECOMMEND, GRAPH_KIND_STEP)
TASK = TaskManifest(format=1, model="fedncf", items=3)


def value(name, shape=("n",), kind=TensorProto.FLOAT):
    return helper.make_tensor_value_info(name, kind, shape)


def constant(name, values, dtype=np.int64):
    return numpy_helper.from_array(np.array(values, dtype), name)


def graph(nodes, constants=(), inputs=None, outputs=None):
    return helper.make_graph(nodes, "g", inputs or [value("x")], outputs or [value("y")], list(constants))


def model(*arguments, opsets=(("", 18),), **named):
    made = arguments[0] if isinstance(arguments[0], onnx.GraphProto) else graph(*arguments, **named)
    return helper.make_model(made, opset_imports=[helper.make_opsetid(*each) for each in opsets], ir_version=8)


def node(operator, inputs=("x",), outputs=("y",), **attributes):
    return helper.make_node(operator, list(inputs), list(outputs), **attributes)


IDENTITY = [node("Identity")]
BODY = graph([node("Identity", ["a"], ["b"])], inputs=[value("a")], outputs=[value("b")])


def with_function():
    made = model(IDENTITY)
    made.functions.append(helper.make_function("own", "F", ["a"], ["b"], BODY.node, [helper.make_opsetid("", 18)]))
    return made


def with_training():
    made = model(IDENTITY)
    made.training_info.add()
    return made


def outside(tensor):
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="/etc/passwd")
    return tensor


def sparse():
    values = helper.make_tensor("values", TensorProto.FLOAT, [1], [1.0])
    return helper.make_sparse_tensor(values, helper.make_tensor("indices", TensorProto.INT64, [1], [0]), [2**40])


def with_sparse():
    made = model(IDENTITY)
    made.graph.sparse_initializer.append(sparse())
    return made


def without_opset():
    made = model(IDENTITY)
    del made.opset_import[:]
    return made


def sequence():
    return helper.make_tensor_sequence_value_info("x", TensorProto.FLOAT, None)


HUGE = [50_000, 50_000]
WRONG = {
    "'ScatterND' is not among those allowed": lambda: model([node("ScatterND", "xyz")]),
    "'Loop' brings a graph": lambda: model([node("Loop", ["", "", "x"], body=BODY)]),
    "'If' brings a graph": lambda: model([node("If", then_branch=BODY, else_branch=BODY)]),
    "'RandomNormal' is not among": lambda: model([node("RandomNormal", [], shape=[2])]),
    "'StringNormalizer' is not among": lambda: model([node("StringNormalizer")]),
    "operators of the domain 'com.microsoft'": lambda: model(IDENTITY, opsets=(("", 18), ("com.microsoft", 1))),
    "takes 'Gelu' of the domain 'com.microsoft'": lambda: model([node("Gelu", domain="com.microsoft")]),
    "takes 'Own' of the domain 'custom'": lambda: model([node("Own", domain="custom")]),
    "functions or training graphs": with_function,
    "functions or training graphs of": with_training,
    "it names no operators' version": without_opset,
    "tensor 'w' lies outside": lambda: model([node("Add", "xw")], [outside(constant("w", [1.0], np.float32))]),
    "tensor 'v' lies outside": lambda: model([node("Constant", [], value=outside(constant("v", [1.0], np.float32)))]),
    "it has sparse tensors": with_sparse,
    "'Constant' has sparse tensors": lambda: model([node("Constant", [], sparse_value=sparse())]),
    "'x' is no tensor": lambda: model(IDENTITY, inputs=[sequence()]),
    "more than 5000 nodes": lambda: model([node("Neg")] * 5001),
    "are more than 1048576, and graphs carry no weights": lambda: model(
        [node("Add", "xw")], [constant("w", np.zeros(2**18), np.float32)]
    ),
    # what asks for 10 GB
    "'ConstantOfShape' asks for 2500000000 numbers": lambda: model(
        [node("ConstantOfShape", "s")], [constant("s", HUGE)]
    ),
    "'Expand' asks for 2500000000 numbers": lambda: model([node("Expand", "xs")], [constant("s", HUGE)]),
    "'Tile' asks for 2500000000 numbers": lambda: model([node("Tile", "xs")], [constant("s", HUGE)]),
    "'Expand' asks for 2500000001 numbers": lambda: model(
        [node("Constant", [], "s", value=constant("v", [2_500_000_001])), node("Expand", "xs")]
    ),
    "'x' asks for 2500000000 numbers": lambda: model(IDENTITY, inputs=[value("x", HUGE)]),
    "'y' asks for 2500000000 numbers": lambda: model(IDENTITY, outputs=[value("y", HUGE)]),
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("message", WRONG)
def test_a_graph_with_what_no_graph_may_hold_is_refused_before_a_session_is_made(message, kind, monkeypatch):
    import onnxruntime

    def never(*arguments, **named):
        raise AssertionError("a session is made")

    monkeypatch.setattr(onnxruntime, "InferenceSession", never)
    data = stamp(WRONG[message]().SerializeToString(), metadata(TASK, kind))
    with pytest.raises(ForbiddenGraphError, match=message):
        Graph(data, TASK, kind)


@pytest.mark.parametrize("data", [b"\xff" * 9, b"not a graph", b"\x08\x08"])
def test_what_is_no_graph_is_refused(data):
    with pytest.raises(ForbiddenGraphError, match=r"not an ONNX file|no operators"):
        inspection.check(data, GRAPH_KIND_STEP)


def test_only_recommending_may_scan_and_only_once():
    scan = model([node("Scan", body=BODY, num_scan_inputs=1)]).SerializeToString()
    inspection.check(scan, GRAPH_KIND_RECOMMEND)
    for kind in (GRAPH_KIND_PREPARE, GRAPH_KIND_STEP):
        with pytest.raises(ForbiddenGraphError, match="'Scan' brings a graph"):
            inspection.check(scan, kind)
    inner = graph([node("Scan", ["a"], ["b"], body=BODY, num_scan_inputs=1)], inputs=[value("a")], outputs=[value("b")])
    nested = model([node("Scan", body=inner, num_scan_inputs=1)]).SerializeToString()
    with pytest.raises(ForbiddenGraphError, match="'Scan' brings a graph"):
        inspection.check(nested, GRAPH_KIND_RECOMMEND)


def test_what_is_within_a_scan_is_looked_at():
    body = graph([node("RandomNormal", [], ["b"], shape=[1])], inputs=[value("a")], outputs=[value("b")])
    data = model([node("Scan", body=body, num_scan_inputs=1)]).SerializeToString()
    with pytest.raises(ForbiddenGraphError, match="RandomNormal"):
        inspection.check(data, GRAPH_KIND_RECOMMEND)


def test_plain_functions_of_tensors_pass():
    nodes = [node("Neg", "x", "a"), node("MatMul", ["a", "a"], "b"), node("Reshape", ["b", "s"])]
    for kind in KINDS:
        inspection.check(model(nodes, [constant("s", [-1, 0, 3])]).SerializeToString(), kind)
