"""What a graph must be before a runtime is allowed to load it: a graph from a server is a program.

A graph is read with a few messages of our own (`fedau2/v1/onnx.proto`), which cost next to nothing, and refused where
it holds anything that a recommender has no need of: operators beyond a list of plain tensor functions, operators of
other domains, functions, data outside of the file, sparse tensors, graphs within graphs (but for the one scan that
recommending needs), or more nodes, bytes or numbers than a graph without weights has.
"""

import math
from collections.abc import Iterable, Iterator
from functools import lru_cache

import numpy as np
from google.protobuf.message import DecodeError

from client_sdk.errors import ForbiddenGraphError
from fedau2.v1.onnx_pb2 import OnnxGraph, OnnxModel, OnnxNode, OnnxTensor, OnnxValue
from fedau2.v1.task_pb2 import GRAPH_KIND_RECOMMEND, GraphKind

MAX_BYTES = 2**20
MAX_NODES = 5_000
MAX_NUMBERS = 2**28
"""Numbers of a tensor whose size a graph states: 1 GiB of float32. What is computed is bounded when it is run."""

DOMAINS = frozenset({"", "ai.onnx"})

OPERATORS = frozenset(
    {
        # of each number alone
        *("Abs", "Add", "Cast", "Ceil", "Clip", "Cos", "Div", "Elu", "Equal", "Erf", "Exp", "Floor", "Gelu", "Greater"),
        *("GreaterOrEqual", "HardSigmoid", "Identity", "IsInf", "IsNaN", "LeakyRelu", "Less", "LessOrEqual", "Log"),
        *("And", "Max", "Min", "Mod", "Mul", "Neg", "Not", "Or", "PRelu", "Pow", "Reciprocal", "Relu", "Round"),
        *("Selu", "Sigmoid", "Sign", "Sin", "Softplus", "Softsign", "Sqrt", "Sub", "Sum", "Tanh", "Where", "Xor"),
        # along axes
        *(
            "ArgMax",
            "ArgMin",
            "CumSum",
            "Gemm",
            "LayerNormalization",
            "LogSoftmax",
            "MatMul",
            "Mean",
            "Softmax",
            "TopK",
        ),
        *("ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceMax", "ReduceMean", "ReduceMin"),
        *("ReduceProd", "ReduceSum", "ReduceSumSquare"),
        # of shapes and places; ScatterND is left out: with a sum and several threads it gives wrong numbers
        *("Concat", "Constant", "ConstantOfShape", "Expand", "Flatten", "Gather", "GatherElements", "Pad", "Range"),
        *("Reshape", "ScatterElements", "Shape", "Size", "Slice", "Split", "Squeeze", "Tile", "Transpose"),
        *("Trilu", "Unsqueeze"),
    }
)

_SIZED = {"ConstantOfShape": 0, "Expand": 1, "Reshape": 1, "Tile": 1}
"""Which input says how large the output is."""

_EXTERNAL = 1  # onnx.TensorProto.EXTERNAL
_INT64 = 7  # onnx.TensorProto.INT64


@lru_cache(maxsize=16)  # a fleet's sessions share the graphs
def check(data: bytes, kind: GraphKind.ValueType) -> None:
    """Returns if a graph may be loaded.

    Args:
        data: ONNX bytes.
        kind: what it is for.

    Raises:
        ForbiddenGraphError: it says what is wrong.
    """
    name = GraphKind.Name(kind)
    try:
        _check(data, scans=kind == GRAPH_KIND_RECOMMEND)
    except _Refused as refused:
        raise ForbiddenGraphError(f"the task's {name} is refused: {refused}") from None


class _Refused(Exception):  # noqa: N818 - becomes an error above, with the graph's name
    pass


def _check(data: bytes, *, scans: bool) -> None:
    _require(len(data) <= MAX_BYTES, f"{len(data)} bytes are more than {MAX_BYTES}, and graphs carry no weights")
    try:
        model = OnnxModel.FromString(data)
    except DecodeError:
        raise _Refused("it is not an ONNX file") from None
    _require(not model.functions and not model.training_info, "it brings functions or training graphs of its own")
    _require(bool(model.opset_import), "it names no operators' version")
    for each in model.opset_import:
        _require(each.domain in DOMAINS, f"it takes operators of the domain {each.domain[:64]!r}")
    graphs = list(_graphs(model.graph, scans))
    _require(sum(len(graph.node) for graph in graphs) <= MAX_NODES, f"it has more than {MAX_NODES} nodes")
    for graph in graphs:
        _check_graph(graph)


def _graphs(graph: OnnxGraph, scans: bool) -> Iterator[OnnxGraph]:
    """The graph, and where it may scan the bodies of its scans."""
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            _require(not attribute.graphs, f"{_called(node)} brings graphs")
            if attribute.HasField("g"):
                _require(scans and node.op_type == "Scan", f"{_called(node)} brings a graph")
                yield from _graphs(attribute.g, scans=False)


def _check_graph(graph: OnnxGraph) -> None:
    _require(not graph.sparse_initializer, "it has sparse tensors")
    constants = {each.name: each for each in graph.initializer}
    for node in graph.node:
        _check_node(node)
        if node.op_type == "Constant" and node.output:
            constants.update((node.output[0], each.t) for each in node.attribute if each.HasField("t"))
    for constant in constants.values():
        _check_tensor(constant)
    for value in (*graph.input, *graph.output, *graph.value_info):
        _check_value(value)
    for node in graph.node:
        place = _SIZED.get(node.op_type)
        if place is not None and len(node.input) > place and node.input[place] in constants:
            _check_size(_called(node), _integers(constants[node.input[place]]))


def _check_node(node: OnnxNode) -> None:
    _require(node.domain in DOMAINS, f"it takes {_called(node)} of the domain {node.domain[:64]!r}")
    scan = node.op_type == "Scan" and any(each.HasField("g") for each in node.attribute)
    _require(scan or node.op_type in OPERATORS, f"the operator {_called(node)} is not among those allowed")
    for attribute in node.attribute:
        _require(not attribute.sparse_tensor and not attribute.sparse_tensors, f"{_called(node)} has sparse tensors")
        for tensor in (attribute.t, *attribute.tensors):
            _check_tensor(tensor)


def _check_tensor(tensor: OnnxTensor) -> None:
    outside = tensor.data_location == _EXTERNAL or tensor.external_data
    _require(not outside, f"the tensor {tensor.name[:64]!r} lies outside of the file")
    _check_size(f"the tensor {tensor.name[:64]!r}", tensor.dims)


def _check_value(value: OnnxValue) -> None:
    _require(value.type.HasField("tensor_type"), f"{value.name[:64]!r} is no tensor")
    dims = value.type.tensor_type.shape.dim
    _check_size(f"{value.name[:64]!r}", [each.dim_value for each in dims if not each.dim_param])


def _check_size(what: str, dims: Iterable[int]) -> None:
    numbers = math.prod(max(abs(size), 1) for size in dims)
    _require(numbers <= MAX_NUMBERS, f"{what} asks for {numbers} numbers, more than {MAX_NUMBERS}")


def _integers(tensor: OnnxTensor) -> list[int]:
    if tensor.data_type != _INT64 or tensor.int64_data:
        return list(tensor.int64_data)
    return [int(each) for each in np.frombuffer(tensor.raw_data[: len(tensor.raw_data) // 8 * 8], "<i8")]


def _called(node: OnnxNode) -> str:
    return repr(node.op_type[:64])


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise _Refused(message)
