"""Functions of named tensors to ONNX graphs without weights, and without anything that names the machine."""

import logging
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import onnx
import torch
from google.protobuf.message import Message
from onnx import helper
from torch import Tensor
from torch.export import ExportedProgram
from torch.fx import GraphModule, Node

from client_sdk.kernel.contract import Tensors

OPSET = 18
"""The oldest opset that PyTorch exports correctly, so the one that most runtimes can run."""

IR_VERSION = 8
"""The version of the ONNX format that came with opset 18."""


def export(
    function: Callable[[Tensors], Tensors], example: Tensors, growing: Mapping[str, str] | None = None
) -> onnx.ModelProto:
    """The graph of a function.

    Args:
        function: from inputs to outputs, by name.
        example: inputs; axes that may have any length are longer than 1 here.
        growing: inputs whose first axis may have any length, with the name of that length.
    """
    growing, names = growing or {}, list(example)
    shapes = [{0: torch.export.Dim.DYNAMIC} if name in growing else None for name in names]
    module = _Module(function, names).eval()
    with _quiet(), torch.no_grad():
        program = torch.export.export(module, tuple(example.values()), dynamic_shapes=(tuple(shapes),), strict=False)
        program = program.run_decompositions({torch.ops.aten.index_add.default: _index_add})
        _join_axes(program)
        exported = torch.onnx.export(
            program,
            input_names=names,
            output_names=list(function(example)),
            opset_version=OPSET,
            dynamo=True,
            external_data=False,
            verbose=False,
        )
    assert exported is not None  # it is None without dynamo only
    model: onnx.ModelProto = exported.model_proto
    for each in model.graph.input:
        if each.name in growing:
            each.type.tensor_type.shape.dim[0].dim_param = growing[each.name]
    return model


class _Module(torch.nn.Module):
    """A function of named tensors as the module of positional ones that the exporter asks for."""

    def __init__(self, function: Callable[[Tensors], Tensors], names: Sequence[str]) -> None:
        super().__init__()
        self._function, self._names = function, names

    def forward(self, *values: Tensor) -> tuple[Tensor, ...]:
        return tuple(self._function(dict(zip(self._names, values, strict=True))).values())


def _index_add(self: Tensor, dim: int, index: Tensor, source: Tensor) -> Tensor:
    """`index_add` by `scatter_add`, which is exported as ScatterElements.

    As it is it would become ScatterND with a sum, which ONNX Runtime computes wrongly where rows repeat and threads are
    several (onnxruntime issues 18048 and 23396).
    """
    shape = [-1 if axis == dim else 1 for axis in range(source.dim())]
    return self.scatter_add(dim, index.view(shape).expand_as(source), source)


def _join_axes(program: ExportedProgram) -> None:
    """Removes every axis of one group that is added only to be taken away again: the runtime would copy the tensor."""
    module: GraphModule = program.graph_module
    for node in list(module.graph.nodes):
        if node.target is not torch.ops.aten.select.int or node.args[1:] != (0, 0):
            continue
        added = node.args[0]
        assert isinstance(added, Node)
        if added.target is torch.ops.aten.unsqueeze.default and added.args[1] == 0:
            node.replace_all_uses_with(added.args[0])
            _rename_output(program, node.name, added.args[0].name)
            module.graph.erase_node(node)
    module.graph.eliminate_dead_code()
    module.recompile()


def _rename_output(program: ExportedProgram, old: str, new: str) -> None:
    for spec in program.graph_signature.output_specs:
        if spec.arg.name == old:
            spec.arg.name = new


@contextmanager
def _quiet() -> Iterator[None]:
    """Silences what the exporter always says: that torchvision is missing, and a deprecation of its own."""
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
    """Checked bytes without anything that names the machine or the code that built it."""
    model.ir_version = IR_VERSION
    model.ClearField("producer_version")
    _strip(model)
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString(deterministic=True)


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
