"""Graphs that no device may load, each refused before a runtime has seen it."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from client_sdk.errors import ForbiddenGraphError
from client_sdk.onnx.graph import Graph, metadata
from client_sdk.protocol import inspection
from export.exporter import stamp
from fedau2.v1.task_pb2 import GRAPH_KIND_PREPARE, GRAPH_KIND_RECOMMEND, GRAPH_KIND_STEP, TaskManifest

KINDS = (GRAPH_KIND_PREPARE, GRAPH_KIND_RECOMMEND, GRAPH_KIND_STEP)
TASK = TaskManifest(format=2, model="fedncf", items=3)


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


def strings(name):
    """A tensor of strings that states its size and holds nothing."""
    return TensorProto(name=name, data_type=TensorProto.STRING, dims=[2**20])


def without_data(dims, kind=TensorProto.FLOAT):
    return TensorProto(name="w", data_type=kind, dims=dims)


def with_input(data):
    """A model whose input is of a type in these bytes."""
    made = model(IDENTITY)
    made.graph.input[0].type.ParseFromString(data)
    return made


# What ONNX has as a oneof: the last one counts.
SEQUENCE_AFTER_TENSOR = value("x").type.SerializeToString() + sequence().type.SerializeToString()
NUMBER = onnx.TensorShapeProto.Dimension(dim_param="n").SerializeToString()
NUMBER += onnx.TensorShapeProto.Dimension(dim_value=2**40).SerializeToString()
NUMBER_AFTER_NAME = b"\x0a%c\x08\x01\x12%c\x0a%c" % (len(NUMBER) + 6, len(NUMBER) + 2, len(NUMBER)) + NUMBER


HUGE = [50_000, 50_000]
BYTES = "asks for more than 1073741824 bytes"
INTEGERS = [value("x", kind=TensorProto.INT64), value("z", kind=TensorProto.INT64)]
WRONG = {
    "'ScatterND' is not among those allowed": lambda: model([node("ScatterND", "xyz")]),
    "'Loop' is not among": lambda: model([node("Loop", ["", "", "x"], body=BODY)]),
    "'If' is not among": lambda: model([node("If", then_branch=BODY, else_branch=BODY)]),
    "'RandomNormal' is not among": lambda: model([node("RandomNormal", [], shape=[2])]),
    "'StringNormalizer' is not among": lambda: model([node("StringNormalizer")]),
    "'Constant' is not among": lambda: model([node("Constant", [], sparse_value=sparse())]),
    "operators of the domain 'com.microsoft'": lambda: model(IDENTITY, opsets=(("", 18), ("com.microsoft", 1))),
    "takes 'Gelu' of the domain 'com.microsoft'": lambda: model([node("Gelu", domain="com.microsoft")]),
    "takes 'Own' of the domain 'custom'": lambda: model([node("Own", domain="custom")]),
    "functions or training graphs": with_function,
    "functions or training graphs of": with_training,
    "it names no operators' version": without_opset,
    "tensor 'w' lies outside": lambda: model([node("Add", "xw")], [outside(constant("w", [1.0], np.float32))]),
    "tensor 'v' lies outside": lambda: model(
        [node("ConstantOfShape", value=outside(constant("v", [1.0], np.float32)))]
    ),
    "it has sparse tensors": with_sparse,
    "'x' is not a tensor": lambda: model(IDENTITY, inputs=[sequence()]),
    "'x' is not a tensor?": lambda: with_input(SEQUENCE_AFTER_TENSOR),
    "more than 5000 nodes": lambda: model([node("Neg")] * 5001),
    "more than 5000 tensors": lambda: model(IDENTITY, [without_data([0])] * 5001),
    "are more than 1048576, and graphs carry no weights": lambda: model(
        [node("Add", "xw")], [constant("w", np.zeros(2**18), np.float32)]
    ),
    "'x' stands for several tensors": lambda: model([node("Neg", "x", "x")]),
    # attributes and types of numbers beyond those needed
    "attribute 'value_string' of 'ConstantOfShape' is not": lambda: model([node("ConstantOfShape", value_string="s")]),
    "attribute 'value' of 'ConstantOfShape' is not": lambda: model([node("ConstantOfShape", value=sparse())]),
    "attribute 'axis' of 'Concat' is not": lambda: model([node("Concat", axis=[1])]),
    "attribute 'to' of 'Cast' names a type": lambda: model([node("Cast", to=TensorProto.STRING)]),
    "'w' is of a type that is not": lambda: model([node("Add", "xw")], [strings("w")]),
    "'x' is of a type that is not": lambda: model(IDENTITY, inputs=[value("x", kind=TensorProto.STRING)]),
    "'' is of a type that is not": lambda: model([node("ConstantOfShape", value=strings(""))]),
    "'w' does not hold the 1000 numbers": lambda: model([node("Add", "xw")], [without_data([1000])]),
    "'w' has a negative size": lambda: model([node("Add", "xw")], [without_data([-1, -1])]),
    # integers that cannot be divided end the process
    "'Div' may divide integers": lambda: model([node("Div", "xz")], inputs=INTEGERS),
    "'Div' may divide integer": lambda: model([node("Shape", "x", "s"), node("Div", "ss")]),
    "'Div' may divide": lambda: model([node("Div", "zx"), node("Neg", "x", "z")]),
    "'Div' may": lambda: model([node("ConstantOfShape", value=constant("", [1])), node("Div", "yy", "z")]),
    "'Mod' is not among": lambda: model([node("Mod", "xz")], inputs=INTEGERS),
    # what asks for 10 GB
    f"'ConstantOfShape' {BYTES}": lambda: model([node("ConstantOfShape", "s")], [constant("s", HUGE)]),
    f"'Expand' {BYTES}": lambda: model([node("Expand", "xs")], [constant("s", HUGE)]),
    f"'Reshape' {BYTES}": lambda: model([node("Reshape", "xs")], [constant("s", HUGE)]),
    f"'x' {BYTES}": lambda: model(IDENTITY, inputs=[value("x", HUGE)]),
    f"'x' {BYTES}?": lambda: with_input(NUMBER_AFTER_NAME),
    f"'y' {BYTES}": lambda: model(IDENTITY, outputs=[value("y", HUGE)]),
    f"'w' {BYTES}": lambda: model([node("Add", "xw")], [without_data([2**62] * 8)]),
    "'w' has 300 axes, more than 8": lambda: model([node("Add", "xw")], [without_data([2**62] * 300)]),
    "'Expand' has 9 axes, more than 8": lambda: model([node("Expand", "xs")], [constant("s", [1] * 100_000)]),
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
        inspection.inspected(data, GRAPH_KIND_STEP)


def test_only_recommending_may_scan_and_only_once():
    scan = model([node("Scan", body=BODY, num_scan_inputs=1)]).SerializeToString()
    inspection.inspected(scan, GRAPH_KIND_RECOMMEND)
    for kind in (GRAPH_KIND_PREPARE, GRAPH_KIND_STEP):
        with pytest.raises(ForbiddenGraphError, match="'Scan' brings a graph"):
            inspection.inspected(scan, kind)
    inner = graph([node("Scan", ["a"], ["b"], body=BODY, num_scan_inputs=1)], inputs=[value("a")], outputs=[value("b")])
    nested = model([node("Scan", body=inner, num_scan_inputs=1)]).SerializeToString()
    with pytest.raises(ForbiddenGraphError, match="'Scan' brings a graph"):
        inspection.inspected(nested, GRAPH_KIND_RECOMMEND)


def test_what_is_within_a_scan_is_looked_at():
    body = graph([node("RandomNormal", [], ["b"], shape=[1])], inputs=[value("a")], outputs=[value("b")])
    data = model([node("Scan", body=body, num_scan_inputs=1)]).SerializeToString()
    with pytest.raises(ForbiddenGraphError, match="RandomNormal"):
        inspection.inspected(data, GRAPH_KIND_RECOMMEND)


def test_plain_functions_of_tensors_pass():
    nodes = [
        node("Neg", "x", "a"),
        node("MatMul", ["a", "a"], "b"),
        node("Reshape", ["b", "s"], "c"),
        node("Div", "cx"),
    ]
    for kind in KINDS:
        inspection.inspected(model(nodes, [constant("s", [-1, 0, 3])]).SerializeToString(), kind)


@pytest.mark.parametrize("values", [[1.5], [], [[1.0, 2.0]]])
@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.float64, np.int64, np.bool_])
def test_constants_of_numbers_pass_however_they_are_held(values, dtype):
    array = np.array(values, dtype)
    for raw in (True, False):
        kind = helper.np_dtype_to_tensor_dtype(array.dtype)
        held = array.tobytes() if raw else array.flatten().tolist()
        tensor = helper.make_tensor("w", kind, array.shape, held, raw=raw)
        data = model([node("Identity", "w")], [tensor]).SerializeToString()
        found = onnx.load_from_string(inspection.inspected(data, GRAPH_KIND_STEP))
        np.testing.assert_array_equal(numpy_helper.to_array(found.graph.initializer[0]), array)


def test_what_was_not_looked_at_does_not_reach_the_runtime():
    made = model([node("ConstantOfShape", value=helper.make_tensor("v", TensorProto.FLOAT, [1], [1.0]))])
    plain = made.SerializeToString()
    (attribute,) = made.graph.node[0].attribute
    attribute.sparse_tensor.CopyFrom(sparse())
    attribute.strings.append(b"s" * 1000)
    made.graph.quantization_annotation.add(tensor_name="x")
    found = inspection.inspected(made.SerializeToString() + b"\xfa\x3f\x03own", GRAPH_KIND_STEP)
    assert onnx.load_from_string(found) == onnx.load_from_string(plain)


def test_whatever_else_goes_wrong_is_told_as_a_graph_that_is_refused(monkeypatch):
    def fail(*arguments):
        raise ValueError("Exceeds the limit for integer string conversion")

    monkeypatch.setattr(inspection, "_check_value", fail)
    with pytest.raises(ForbiddenGraphError, match="it cannot be read"):
        inspection.inspected(model(IDENTITY).SerializeToString(), GRAPH_KIND_STEP)
