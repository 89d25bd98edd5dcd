"""Inspects a graph before a runtime loads it, because a graph from a server is a program.

A graph is read with a few small messages of this project (`fedau2/v1/onnx.proto`). It is refused if it holds anything
that a recommender does not need:

* operators, attributes and types of numbers that `operators` does not list, and operators of other domains
* functions, sparse tensors, and data outside the file
* graphs within graphs, except for the one scan that recommending needs
* more nodes or bytes than a graph without weights has

The runtime gets these messages, serialised again. So nothing that was not inspected reaches it.
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
"""Most nodes, and most declared tensors."""

MAX_AXES = 8
MAX_MEMORY = 2**30
"""Most bytes of a tensor whose size a graph states. Computed tensors are bounded when the graph is run."""

DOMAINS = frozenset({"", "ai.onnx"})

_SIZED = {"ConstantOfShape": 0, "Expand": 1, "Reshape": 1}
"""Position of the input that states the size of the output."""

_EXTERNAL = 1  # onnx.TensorProto.EXTERNAL


@lru_cache(maxsize=16)  # a fleet's sessions share the graphs
def inspected(data: bytes, kind: GraphKind.ValueType) -> bytes:
    """Returns a graph that may be loaded: the inspected parts of it, and nothing else.

    Args:
        data: ONNX bytes.
        kind: the purpose of the graph.

    Raises:
        ForbiddenGraphError: the graph may not be loaded; the text says why.
    """
    check_size(len(data), kind)
    name = GraphKind.Name(kind)
    try:
        return _inspected(data, scans=kind == GRAPH_KIND_RECOMMEND)
    except _Refused as refused:
        raise ForbiddenGraphError(f"the task's {name} is refused: {refused}") from None
    except Exception as error:  # a graph may be made to provoke any
        raise ForbiddenGraphError(f"the task's {name} is refused: it cannot be read") from error


def check_size(size: int, kind: GraphKind.ValueType) -> None:
    """Returns if a graph of this many bytes may be fetched.

    Raises:
        ForbiddenGraphError: it may not.
    """
    if size > MAX_BYTES:
        reason = f"{size} bytes are more than {MAX_BYTES}, and graphs carry no weights"
        raise ForbiddenGraphError(f"the task's {GraphKind.Name(kind)} is refused: {reason}")


class _Refused(Exception):  # noqa: N818 - becomes a ForbiddenGraphError with the graph's name
    pass


def _inspected(data: bytes, *, scans: bool) -> bytes:
    try:
        model = OnnxModel.FromString(data)
    except DecodeError:
        raise _Refused("it is not an ONNX file") from None
    model.DiscardUnknownFields()
    _require(not model.functions and not model.training_info, "it brings functions or training graphs of its own")
    _require(bool(model.opset_import), "it names no operators' version")
    for operators in model.opset_import:
        _require(operators.domain in DOMAINS, f"it takes operators of the domain {operators.domain[:64]!r}")
    _check_length(model.graph, scans)
    _Scope(scans).check(model.graph)
    return model.SerializeToString(deterministic=True)


def _check_length(graph: OnnxGraph, scans: bool) -> None:
    attributes = [attribute for node in graph.node for attribute in node.attribute]
    graphs = [graph, *(attribute.g for attribute in attributes if scans and attribute.HasField("g"))]
    _require(sum(len(part.node) for part in graphs) <= MAX_NODES, f"it has more than {MAX_NODES} nodes")
    declared = sum(len(part.initializer) + len(part.input) + len(part.output) + len(part.value_info) for part in graphs)
    _require(declared <= MAX_NODES, f"it declares more than {MAX_NODES} tensors")


class _Scope:
    """The types and the constants of a graph's tensors, by name."""

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
            _require(self._types.get(node.input[0]) in FLOATS, "'Div' may divide integers")
        results = gives(node, self._types.get)
        for attribute in node.attribute:
            if attribute.HasField("g"):
                self._within().check(attribute.g)
                results = [value.type.tensor_type.elem_type for value in attribute.g.output]
        self._check_result(node, results[0] if results else None)
        for name, kind in zip(node.output, results, strict=False):
            if name:  # an output that is not used has no name
                self._define(name, kind)

    def _check_result(self, node: OnnxNode, kind: int | None) -> None:
        place = _SIZED.get(node.op_type)
        if place is not None and len(node.input) > place:
            shape = self._constants.get(node.input[place], [])
            _check_size(_called(node), shape, kind)


def _check_attributes(node: OnnxNode) -> None:
    allowed, seen = OPERATORS[node.op_type], set()
    for attribute in node.attribute:
        name, label = attribute.name, f"the attribute {attribute.name[:64]!r} of {_called(node)}"
        _require(allowed.get(name) == attribute.type and name not in seen, f"{label} is not among those allowed")
        _require(name != "to" or attribute.i in FLOATS, f"{label} names a type that is not among those allowed")
        if attribute.HasField("t"):
            _check_tensor(attribute.t)
        seen.add(name)


def _check_tensor(tensor: OnnxTensor) -> None:
    label = f"the tensor {tensor.name[:64]!r}"
    outside = tensor.data_location == _EXTERNAL or tensor.external_data
    _require(not outside, f"{label} lies outside of the file")
    _check_type(label, tensor.data_type)
    _check_size(label, tensor.dims, tensor.data_type)
    stated = math.prod(tensor.dims)  # not large, because its size is checked
    _require(min(tensor.dims, default=0) >= 0, f"{label} has a negative size")
    _require(_stored(tensor) == stated, f"{label} does not hold the {stated} numbers that it states")


def _stored(tensor: OnnxTensor) -> int | None:
    """Counts the numbers that a tensor holds. None: it holds them in several fields, or not in its type's field."""
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
    label = repr(value.name[:64])
    _require(value.type.HasField("tensor_type"), f"{label} is not a tensor")
    kind = value.type.tensor_type.elem_type
    _check_type(label, kind)
    _check_size(label, [axis.dim_value for axis in value.type.tensor_type.shape.dim], kind)


def _check_type(label: str, kind: int) -> None:
    _require(kind in SIZES, f"{label} is of a type that is not among those allowed")


def _check_size(label: str, dims: Iterable[int], kind: int | None) -> None:
    """Checks the bytes of a tensor of this shape; those of an unknown type count as the largest."""
    dims, size = list(dims), SIZES.get(kind or 0, max(SIZES.values()))
    _require(len(dims) <= MAX_AXES, f"{label} has {len(dims)} axes, more than {MAX_AXES}")
    for length in dims:
        size *= max(abs(length), 1)
        _require(size <= MAX_MEMORY, f"{label} asks for more than {MAX_MEMORY} bytes")


def _integers(tensor: OnnxTensor) -> list[int]:
    """Returns the first integers of a constant: one more than a shape may have."""
    if tensor.int64_data:
        return list(tensor.int64_data[: MAX_AXES + 1])
    return [int(value) for value in np.frombuffer(tensor.raw_data[: 8 * (MAX_AXES + 1)], "<i8")]


def _called(node: OnnxNode) -> str:
    return repr(node.op_type[:64])


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise _Refused(message)
