"""Makes ONNX graphs of functions of named tensors, without weights and without anything that names the machine."""

import logging
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import onnx
import torch
from google.protobuf.message import Message
from onnx import helper, numpy_helper
from torch import Tensor
from torch.export import ExportedProgram

from client_sdk.kernel.contract import Tensors

OPSET = 18
"""The oldest opset that PyTorch exports correctly, so the one that most runtimes can run."""

IR_VERSION = 8
"""The version of the ONNX format that came with opset 18."""


_CONSTANT = 16
"""Most numbers of a constant."""


def export(
    function: Callable[[Tensors], Tensors],
    example: Tensors,
    growing: Mapping[str, str] | None = None,
    change: Callable[[ExportedProgram], None] = lambda program: None,
) -> onnx.ModelProto:
    """The graph of a function.

    Args:
        function: from inputs to outputs, by name.
        example: inputs. An axis that may have any length is longer than 1 here.
        growing: inputs whose first axis may have any length, with the name of that length.
        change: changes the program while it still has the function's own operations.
    """
    growing, names = growing or {}, list(example)
    shapes = [{0: torch.export.Dim.DYNAMIC} if name in growing else None for name in names]
    module = _Module(function, names).eval()
    with _quiet(), torch.no_grad():
        program = torch.export.export(module, tuple(example.values()), dynamic_shapes=(tuple(shapes),), strict=False)
        program = program.run_decompositions({})  # replaces operations that work in place
        change(program)
        program = program.run_decompositions(_DECOMPOSITIONS)
        _join_axes(program)
        exported = torch.onnx.export(
            program,
            input_names=names,
            output_names=list(function(example)),
            opset_version=OPSET,
            dynamo=True,
            external_data=False,
            optimize=True,  # not the default of PyTorch 2.6
            verbose=False,
        )
    assert exported is not None  # only the older exporter gives no program
    model: onnx.ModelProto = exported.model_proto
    for value in model.graph.input:
        if value.name in growing:
            value.type.tensor_type.shape.dim[0].dim_param = growing[value.name]
    return model


class _Module(torch.nn.Module):
    """A function of named tensors as a module of positional tensors, which the exporter requires."""

    def __init__(self, function: Callable[[Tensors], Tensors], names: Sequence[str]) -> None:
        super().__init__()
        self._function, self._names = function, names

    def forward(self, *values: Tensor) -> tuple[Tensor, ...]:
        return tuple(self._function(dict(zip(self._names, values, strict=True))).values())


def _index_add(self: Tensor, dim: int, index: Tensor, source: Tensor) -> Tensor:
    """`index_add` by `scatter_add`, which is exported as ScatterElements.

    Without this it would become ScatterND with a sum, which ONNX Runtime computes wrongly where rows repeat and several
    threads work (onnxruntime issues 18048 and 23396).
    """
    shape = [-1 if axis == dim else 1 for axis in range(source.dim())]
    return self.scatter_add(dim, index.view(shape).expand_as(source), source)


def _threshold_backward(grad: Tensor, activation: Tensor, threshold: float) -> Tensor:
    """A ReLU's gradient as a product, which runtimes compute several times faster than `where`."""
    return grad * (activation > threshold).to(grad.dtype)


def _sigmoid(x: Tensor) -> Tensor:
    """A sigmoid whose small values are as exact as its large ones; ONNX Runtime's own is off by 1e-7 everywhere."""
    small = torch.exp(-x.abs())
    return torch.where(x >= 0, 1.0, small) / (1 + small)


_DECOMPOSITIONS = {
    torch.ops.aten.sigmoid.default: _sigmoid,
    torch.ops.aten.index_add.default: _index_add,
    torch.ops.aten.threshold_backward.default: _threshold_backward,
}


def _join_axes(program: ExportedProgram) -> None:
    """Removes axes of one group that are added and taken away again, since the runtime would copy the tensor."""
    module: Any = program.graph_module  # its nodes' types say only that they may be anything
    for node in list(module.graph.nodes):
        if node.target is not torch.ops.aten.select.int or node.args[1:] != (0, 0):
            continue
        added = node.args[0]
        if added.target is torch.ops.aten.unsqueeze.default and added.args[1] == 0:
            whole = added.args[0]
            node.replace_all_uses_with(whole)
            for spec in program.graph_signature.output_specs:
                if spec.arg.name == node.name:
                    spec.arg.name = whole.name
            module.graph.erase_node(node)
    module.graph.eliminate_dead_code()
    module.recompile()


def drop_unused(graph: onnx.GraphProto) -> None:
    """Removes the inputs that no node takes."""
    names = taken(graph)
    inputs = [value for value in graph.input if value.name in names]
    del graph.input[:]
    graph.input.extend(inputs)


def taken(graph: onnx.GraphProto) -> set[str]:
    """Names that the graph's nodes, and the graphs within them, take."""
    inner = (attribute.g for node in graph.node for attribute in node.attribute)
    return {name for node in graph.node for name in node.input}.union(*map(taken, inner))


@contextmanager
def _quiet() -> Iterator[None]:
    """Silences two messages that the exporter always writes: torchvision is missing, and a deprecation of its own."""
    logger = logging.getLogger("torch.onnx._internal.exporter._registration")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", r"`isinstance\(treespec, LeafSpec\)` is deprecated", FutureWarning)
            yield
    finally:
        logger.setLevel(level)


def serialise(model: onnx.ModelProto) -> bytes:
    """Checks a model and returns its bytes, without anything that names the machine or the code that built it."""
    model.ir_version = IR_VERSION
    model.ClearField("producer_version")
    _strip(model)
    _shrink(model.graph)
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString(deterministic=True)


def _shrink(graph: onnx.GraphProto) -> None:
    """Makes a constant of equal numbers, such as zeros for every item, a node that makes it when the graph is run."""
    for constant in list(graph.initializer):
        values = numpy_helper.to_array(constant)
        if values.size > _CONSTANT and (values == values.flat[0]).all():
            shape = numpy_helper.from_array(np.array(values.shape, np.int64), f"{constant.name}.shape")
            value = numpy_helper.from_array(values.flat[:1], "value")
            graph.node.insert(0, helper.make_node("ConstantOfShape", [shape.name], [constant.name], value=value))
            graph.initializer.remove(constant)
            graph.initializer.append(shape)


def _strip(message: Message) -> None:
    for field, value in message.ListFields():
        if field.name in ("doc_string", "metadata_props", "value_info"):
            message.ClearField(field.name)
        elif field.message_type:
            for child in value if field.is_repeated else [value]:
                _strip(child)


def stamp(graph: bytes, metadata: Mapping[str, str]) -> bytes:
    """The graph with `metadata` as its metadata properties."""
    model = onnx.load_from_string(graph)
    helper.set_model_props(model, dict(metadata))
    return model.SerializeToString(deterministic=True)
