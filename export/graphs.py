"""A recommender's `prepare` and `score` as ONNX graphs without weights.

* prepare.onnx: every shared tensor under its own name -> serving tensors, named "serving.<name>".
* recommend.onnx: serving tensors, private tensors under their own names (without a client axis), `seen` int64 (s,), the
  rows to leave out, and `k` int64 () -> `items` int64 (k',), rows best first, and `scores` float32 (k',), where k' is
  the smaller of k and the number of items. s may be 0 and rows may repeat. Seen items score -inf and come last. A row
  beyond the catalogue fails; one below 0 counts from the end, so callers check.

The number of items is fixed: graphs are built once per task, whose catalogue never changes, and a checkpoint of another
size is then refused by the runtime instead of giving wrong rows.
"""

import logging
import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache

import onnx
import torch
from google.protobuf.message import Message
from onnx import TensorProto, helper
from torch import Tensor

from client_sdk.kernel.contract import Recommender, Tensors
from fedau2.v1.tensors_pb2 import TENSOR_SCOPE_PRIVATE, TENSOR_SCOPE_SHARED, TensorSpec

OPSET = 18
"""The oldest opset that PyTorch exports correctly, so the one that most runtimes can run."""

IR_VERSION = 8
"""The version of the ONNX format that came with opset 18."""

SERVING = "serving."
"""What the names of serving tensors begin with in both graphs."""


@dataclass(frozen=True)
class Graphs:
    """The two graphs, serialised."""

    prepare: bytes
    recommend: bytes


def export(recommender: Recommender, specs: Sequence[TensorSpec]) -> Graphs:
    """The graphs of a recommender over the tensors `specs`; adversaries' are passed over."""
    wanted = (TENSOR_SCOPE_SHARED, TENSOR_SCOPE_PRIVATE)
    # mypy does not know that modules can be hashed.
    return _exported(recommender, tuple(spec.SerializeToString() for spec in specs if spec.scope in wanted))  # type: ignore[arg-type]


@lru_cache(maxsize=8)  # an export takes seconds, and a process often builds many bundles of one model
def _exported(recommender: Recommender, serialised: Sequence[bytes]) -> Graphs:
    specs = [TensorSpec.FromString(data) for data in serialised]
    shared = _zeros(specs, TENSOR_SCOPE_SHARED)
    private = _zeros(specs, TENSOR_SCOPE_PRIVATE)

    def prepare(tensors: Tensors) -> Tensors:
        return {SERVING + name: value for name, value in recommender.prepare(tensors).items()}

    def score(tensors: Tensors) -> Tensors:
        serving = {name.removeprefix(SERVING): v for name, v in tensors.items() if name.startswith(SERVING)}
        return {"logits": recommender.score(serving, {name: tensors[name] for name in private})}

    recommend = _export(score, {**prepare(shared), **private})
    _append_top_k(recommend.graph)
    return Graphs(_serialise(_export(prepare, shared)), _serialise(recommend))


def _zeros(specs: Sequence[TensorSpec], scope: int) -> Tensors:
    return {spec.name: torch.zeros(tuple(spec.shape)) for spec in specs if spec.scope == scope}


class _Module(torch.nn.Module):
    """A function of named tensors as the module of positional ones that the exporter asks for."""

    def __init__(self, function: Callable[[Tensors], Tensors], names: Sequence[str]) -> None:
        super().__init__()
        self._function, self._names = function, names

    def forward(self, *values: Tensor) -> tuple[Tensor, ...]:
        return tuple(self._function(dict(zip(self._names, values, strict=True))).values())


def _export(function: Callable[[Tensors], Tensors], example: Tensors) -> onnx.ModelProto:
    names = list(example)
    with _quiet():
        program = torch.onnx.export(
            _Module(function, names).eval(),
            tuple(example.values()),
            input_names=names,
            output_names=list(function(example)),
            opset_version=OPSET,
            dynamo=True,
            external_data=False,
            verbose=False,
        )
    assert program is not None  # it is None without dynamo only
    return program.model_proto


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


def _append_top_k(graph: onnx.GraphProto) -> None:
    """Replaces the output `logits` (items,) by the best k: PyTorch cannot export a top-k whose k is an input."""
    items = graph.output[0].type.tensor_type.shape.dim[0].dim_value
    constants = {"tail.one": ([1], [1]), "tail.items": ([1], [items])}
    for name, (dims, values) in constants.items():
        graph.initializer.append(helper.make_tensor(name, TensorProto.INT64, dims, values))
    graph.initializer.append(helper.make_tensor("tail.never", TensorProto.FLOAT, [], [-math.inf]))
    graph.node.extend(
        [
            helper.make_node("Shape", ["seen"], ["tail.seen_shape"]),
            helper.make_node("Expand", ["tail.never", "tail.seen_shape"], ["tail.nevers"]),
            helper.make_node("ScatterElements", ["logits", "seen", "tail.nevers"], ["tail.logits"]),
            helper.make_node("Reshape", ["k", "tail.one"], ["tail.k"]),
            helper.make_node("Min", ["tail.k", "tail.items"], ["tail.count"]),
            helper.make_node("TopK", ["tail.logits", "tail.count"], ["scores", "items"]),
        ]
    )
    graph.input.append(helper.make_tensor_value_info("seen", TensorProto.INT64, ["s"]))
    graph.input.append(helper.make_tensor_value_info("k", TensorProto.INT64, []))
    del graph.output[:]
    graph.output.append(helper.make_tensor_value_info("items", TensorProto.INT64, ["found"]))
    graph.output.append(helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["found"]))


def _serialise(model: onnx.ModelProto) -> bytes:
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
