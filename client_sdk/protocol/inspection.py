"""What a graph must be before a runtime is allowed to load it: a graph from a server is a program.

A graph is read with a few messages of our own (`fedau2/v1/onnx.proto`), which cost next to nothing, and refused where
it holds anything that a recommender has no need of: operators, attributes and types of numbers beyond those of
`operators`, operators of other domains, functions, data outside of the file, sparse tensors, graphs within graphs (but
for the one scan that recommending needs), or more nodes or bytes than a graph without weights has. What the runtime
gets are these messages, written again: what was not looked at does not reach it.
"""

import math
from collections import ChainMap
from collections.abc import Iterable
from functools import lru_cache

import numpy as np
from google.protobuf.message import DecodeError

from client_sdk.errors import ForbiddenGraphError
from client_sdk.protocol.operators import BOOL, DOUBLE, FLOAT, FLOAT16, FLOATS, INT64, OPERATORS, SIZES, gives
from fedau2.v1.onnx_pb2 import OnnxGraph, OnnxModel, OnnxNode, OnnxTensor, OnnxValue
from fedau2.v1.task_pb2 import GRAPH_KIND_RECOMMEND, GraphKind

MAX_BYTES = 2**20
MAX_NODES = 5_000
"""Of nodes, and of tensors that are declared."""

MAX_AXES = 8
MAX_MEMORY = 2**30
"""Bytes of a tensor whose size a graph states. What is computed is bounded when it is run."""

DOMAINS = frozenset({"", "ai.onnx"})

_SIZED = {"ConstantOfShape": 0, "Expand": 1, "Reshape": 1}
"""Which input says how large the output is."""

_EXTERNAL = 1  # onnx.TensorProto.EXTERNAL


@lru_cache(maxsize=16)  # a fleet's sessions share the graphs
def inspected(data: bytes, kind: GraphKind.ValueType) -> bytes:
    """A graph that may be loaded: what was looked at of it, and nothing else.

    Args:
        data: ONNX bytes.
        kind: what it is for.

    Raises:
        ForbiddenGraphError: it says what is wrong.
    """
    check_size(len(data), kind)
    name = GraphKind.Name(kind)
    try:
        return _inspected(data, scans=kind == GRAPH_KIND_RECOMMEND)
    except _Refused as refused:
        raise ForbiddenGraphError(f"the task's {name} is refused: {refused}") from None
    except Exception as error:  # whatever a graph was made to provoke
        raise ForbiddenGraphError(f"the task's {name} is refused: it cannot be read") from error


def check_size(size: int, kind: GraphKind.ValueType) -> None:
    """Returns if a graph of so many bytes may be fetched.

    Raises:
        ForbiddenGraphError: it may not.
    """
    if size > MAX_BYTES:
        reason = f"{size} bytes are more than {MAX_BYTES}, and graphs carry no weights"
        raise ForbiddenGraphError(f"the task's {GraphKind.Name(kind)} is refused: {reason}")


class _Refused(Exception):  # noqa: N818 - becomes an error above, with the graph's name
    pass


def _inspected(data: bytes, *, scans: bool) -> bytes:
    try:
        model = OnnxModel.FromString(data)
    except DecodeError:
        raise _Refused("it is not an ONNX file") from None
    model.DiscardUnknownFields()
    _require(not model.functions and not model.training_info, "it brings functions or training graphs of its own")
    _require(bool(model.opset_import), "it names no operators' version")
    for each in model.opset_import:
        _require(each.domain in DOMAINS, f"it takes operators of the domain {each.domain[:64]!r}")
    _check_length(model.graph, scans)
    _Scope(scans).check(model.graph)
    return model.SerializeToString(deterministic=True)


def _check_length(graph: OnnxGraph, scans: bool) -> None:
    bodies = [each.g for node in graph.node for each in node.attribute if each.HasField("g")] if scans else []
    graphs = [graph, *bodies]
    _require(sum(len(each.node) for each in graphs) <= MAX_NODES, f"it has more than {MAX_NODES} nodes")
    declared = sum(len(each.initializer) + len(each.input) + len(each.output) + len(each.value_info) for each in graphs)
    _require(declared <= MAX_NODES, f"it declares more than {MAX_NODES} tensors")


class _Scope:
    """What is known of the tensors of a graph, by name."""

    def __init__(self, scans: bool) -> None:
        self._scans = scans
        self._types: ChainMap[str, int | None] = ChainMap()
        self._constants: ChainMap[str, list[int]] = ChainMap()

    def _within(self) -> "_Scope":
        scope = _Scope(scans=False)
        scope._types, scope._constants = self._types.new_child(), self._constants.new_child()
        return scope

    def check(self, graph: OnnxGraph) -> None:
        _require(not graph.sparse_initializer, "it has sparse tensors")
        for tensor in graph.initializer:
            _check_tensor(tensor)
            self._define(tensor.name, tensor.data_type)
            if tensor.data_type == INT64 and len(tensor.dims) <= 1:
                self._constants[tensor.name] = _integers(tensor)
        for value in (*graph.input, *graph.output, *graph.value_info):
            _check_value(value)
        for value in graph.input:
            self._define(value.name, value.type.tensor_type.elem_type)
        for node in graph.node:
            self._check_node(node)

    def _define(self, name: str, kind: int | None) -> None:
        _require(name not in self._types, f"{name[:64]!r} stands for several tensors")
        self._types[name] = kind

    def _check_node(self, node: OnnxNode) -> None:
        _require(node.domain in DOMAINS, f"it takes {_called(node)} of the domain {node.domain[:64]!r}")
        _require(node.op_type in OPERATORS, f"the operator {_called(node)} is not among those allowed")
        _require(self._scans or node.op_type != "Scan", "'Scan' brings a graph")
        _check_attributes(node)
        if node.op_type == "Div":
            _require(self._types.get(node.input[0]) in FLOATS, "'Div' divides what may be integers")
        results = gives(node, self._types.get)
        for attribute in node.attribute:
            if attribute.HasField("g"):
                self._within().check(attribute.g)
                results = [each.type.tensor_type.elem_type for each in attribute.g.output]
        self._check_result(node, results[0] if results else None)
        for name, kind in zip(node.output, results, strict=False):
            if name:  # outputs that nobody wants have none
                self._define(name, kind)

    def _check_result(self, node: OnnxNode, kind: int | None) -> None:
        place = _SIZED.get(node.op_type)
        if place is not None and len(node.input) > place:
            shape = self._constants.get(node.input[place], [])
            _check_size(_called(node), shape, kind)


def _check_attributes(node: OnnxNode) -> None:
    allowed, seen = OPERATORS[node.op_type], set()
    for each in node.attribute:
        what = f"the attribute {each.name[:64]!r} of {_called(node)}"
        _require(allowed.get(each.name) == each.type and each.name not in seen, f"{what} is not among those allowed")
        _require(each.name != "to" or each.i in FLOATS, f"{what} names a type that is not among those allowed")
        if each.HasField("t"):
            _check_tensor(each.t)
        seen.add(each.name)


def _check_tensor(tensor: OnnxTensor) -> None:
    what = f"the tensor {tensor.name[:64]!r}"
    outside = tensor.data_location == _EXTERNAL or tensor.external_data
    _require(not outside, f"{what} lies outside of the file")
    _check_type(what, tensor.data_type)
    _check_size(what, tensor.dims, tensor.data_type)
    stated = math.prod(tensor.dims)  # not large, for its size is checked
    _require(min(tensor.dims, default=0) >= 0, f"{what} has a negative size")
    _require(_stored(tensor) == stated, f"{what} does not hold the {stated} numbers that it states")


def _stored(tensor: OnnxTensor) -> int | None:
    """How many numbers a tensor holds; None: it holds them in several ways, or not as its type should be held."""
    size = SIZES[tensor.data_type]
    ways = {
        FLOAT: len(tensor.float_data),
        INT64: len(tensor.int64_data),
        BOOL: len(tensor.int32_data),
        DOUBLE: len(tensor.double_data),
    }
    typed = ways[BOOL if tensor.data_type == FLOAT16 else tensor.data_type]
    if sum(ways.values()) != typed or (typed and tensor.raw_data) or len(tensor.raw_data) % size:
        return None
    return typed or len(tensor.raw_data) // size


def _check_value(value: OnnxValue) -> None:
    what = repr(value.name[:64])
    _require(value.type.HasField("tensor_type"), f"{what} is no tensor")
    kind = value.type.tensor_type.elem_type
    _check_type(what, kind)
    _check_size(what, [each.dim_value for each in value.type.tensor_type.shape.dim], kind)


def _check_type(what: str, kind: int) -> None:
    _require(kind in SIZES, f"{what} is of a type that is not among those allowed")


def _check_size(what: str, dims: Iterable[int], kind: int | None) -> None:
    """Checks the bytes of a tensor of this shape; those of an unknown type count as the largest."""
    dims, size = list(dims), SIZES.get(kind or 0, max(SIZES.values()))
    _require(len(dims) <= MAX_AXES, f"{what} has {len(dims)} axes, more than {MAX_AXES}")
    for each in dims:
        size *= max(abs(each), 1)
        _require(size <= MAX_MEMORY, f"{what} asks for more than {MAX_MEMORY} bytes")


def _integers(tensor: OnnxTensor) -> list[int]:
    """The first few of a constant's, one more than a shape may have."""
    if tensor.int64_data:
        return list(tensor.int64_data[: MAX_AXES + 1])
    return [int(each) for each in np.frombuffer(tensor.raw_data[: 8 * (MAX_AXES + 1)], "<i8")]


def _called(node: OnnxNode) -> str:
    return repr(node.op_type[:64])


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise _Refused(message)
