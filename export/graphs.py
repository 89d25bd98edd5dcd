"""A recommender's `prepare` and `score` as ONNX graphs without weights.

* prepare.onnx: every shared tensor under its own name -> serving tensors, named "serving.<name>".
* recommend.onnx: serving tensors, private tensors under their own names (without a client axis), `seen` int64 (s,), the
  rows to leave out, and `k` int64 () -> `items` int64 (k',), rows best first, and `scores` float32 (k',), where k' is
  the smaller of k and the number of items. s may be 0 and rows may repeat. Seen items score -inf and come last. A row
  beyond the catalogue fails; one below 0 counts from the end, so callers check.

Serving tensors over items are cut into tiles, (tiles, ..., items of a tile), and the scores of one tile after the other
are computed: intermediate tensors then fit a processor's cache, and need no memory to speak of. With precision fp16
they are kept as float16, half as large, and each tile is widened to float32 when its turn comes.

The number of items is fixed: graphs are built once per task, whose catalogue never changes, and a checkpoint of another
size is then refused by the runtime instead of giving wrong rows.
"""

import logging
import math
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import onnx
import torch
from google.protobuf.message import Message
from onnx import TensorProto, helper
from torch import Tensor

from client_sdk.kernel.contract import ITEM, Recommender, Tensors
from fedau2.v1.tensors_pb2 import TENSOR_SCOPE_PRIVATE, TENSOR_SCOPE_SHARED, TensorSpec

OPSET = 18
"""The oldest opset that PyTorch exports correctly, so the one that most runtimes can run."""

IR_VERSION = 8
"""The version of the ONNX format that came with opset 18."""

SERVING = "serving."
"""What the names of serving tensors begin with in both graphs."""

_TILE = "tile."
"""What the names of a tile's inputs and output begin with, within the scan."""


TILE = 2048
"""Most items that are scored at once."""

Precision = Literal["fp32", "fp16"]
"""How serving tensors over items are kept."""


@dataclass(frozen=True)
class Graphs:
    """The two graphs, serialised."""

    prepare: bytes
    recommend: bytes


def export(recommender: Recommender, specs: Sequence[TensorSpec], precision: Precision = "fp32") -> Graphs:
    """The graphs of a recommender over the tensors `specs`; adversaries' are passed over."""
    wanted = (TENSOR_SCOPE_SHARED, TENSOR_SCOPE_PRIVATE)
    serialised = tuple(spec.SerializeToString() for spec in specs if spec.scope in wanted)
    # mypy does not know that modules can be hashed.
    return _exported(recommender, serialised, precision)  # type: ignore[arg-type]


@lru_cache(maxsize=8)  # an export takes seconds, and a process often builds many bundles of one model
def _exported(recommender: Recommender, serialised: Sequence[bytes], precision: Precision) -> Graphs:
    specs = [TensorSpec.FromString(data) for data in serialised]
    shared = _zeros(specs, TENSOR_SCOPE_SHARED)
    private = _zeros(specs, TENSOR_SCOPE_PRIVATE)

    def prepare(tensors: Tensors) -> Tensors:
        serving = recommender.prepare(tensors).items()
        return {SERVING + name: _cut(value, precision) if name.startswith(ITEM) else value for name, value in serving}

    def score(tensors: Tensors) -> Tensors:
        serving = {name.rpartition(SERVING)[2]: v.float() for name, v in tensors.items() if SERVING in name}
        return {_TILE + "logits": recommender.score(serving, {name: tensors[name] for name in private})}

    serving = prepare(shared)
    cut = {name: value for name, value in serving.items() if name.startswith(SERVING + ITEM)}
    whole = {name: value for name, value in serving.items() if name not in cut}
    recommend = _export(score, {**whole, **private, **{_TILE + name: value[0] for name, value in cut.items()}})
    _scan_tiles(recommend.graph, cut)
    items = recommender.prepare(shared)[next(iter(cut)).removeprefix(SERVING)].shape[-1]
    _append_top_k(recommend.graph, items)
    return Graphs(_serialise(_export(prepare, shared)), _serialise(recommend))


def stamp(graph: bytes, metadata: Mapping[str, str]) -> bytes:
    """The graph with `metadata` as its metadata properties."""
    model = onnx.load_from_string(graph)
    helper.set_model_props(model, dict(metadata))
    return model.SerializeToString(deterministic=True)


def _zeros(specs: Sequence[TensorSpec], scope: int) -> Tensors:
    return {spec.name: torch.zeros(tuple(spec.shape)) for spec in specs if spec.scope == scope}


def _cut(value: Tensor, precision: Precision) -> Tensor:
    """(..., items) to (tiles, ..., items of a tile), filled up with zeros."""
    tiles = math.ceil(value.shape[-1] / TILE)
    size = math.ceil(value.shape[-1] / tiles)
    if precision == "fp16":
        value = value.half()
    padded = torch.nn.functional.pad(value, (0, tiles * size - value.shape[-1]))
    return padded.view(*value.shape[:-1], tiles, size).movedim(-2, 0).contiguous()


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


def _scan_tiles(graph: onnx.GraphProto, cut: Tensors) -> None:
    """Makes the graph of one tile's logits the body of a scan over all tiles; the output is `logits` (tiles, size)."""
    body = onnx.GraphProto(name="tile", node=graph.node, initializer=graph.initializer, output=graph.output)
    body.input.extend(each for each in graph.input if each.name.startswith(_TILE))
    whole = [each for each in graph.input if not each.name.startswith(_TILE)]
    for field in (graph.node, graph.initializer, graph.output, graph.input):
        del field[:]
    graph.input.extend(whole)
    for name, value in cut.items():
        dtype = helper.np_dtype_to_tensor_dtype(value.numpy().dtype)
        graph.input.append(helper.make_tensor_value_info(name, dtype, value.shape))
    # What the body takes besides its tile is the outer graph's, by name.
    graph.node.append(helper.make_node("Scan", list(cut), ["logits"], body=body, num_scan_inputs=len(cut)))


def _append_top_k(graph: onnx.GraphProto, items: int) -> None:
    """Adds the best k of the scanned logits: PyTorch cannot export a top-k whose k is an input."""
    for name, value in {"tail.start": 0, "tail.one": 1, "tail.items": items, "tail.flat": -1}.items():
        graph.initializer.append(helper.make_tensor(name, TensorProto.INT64, [1], [value]))
    graph.initializer.append(helper.make_tensor("tail.never", TensorProto.FLOAT, [], [-math.inf]))
    graph.node.extend(
        [
            helper.make_node("Reshape", ["logits", "tail.flat"], ["tail.padded"]),
            helper.make_node("Slice", ["tail.padded", "tail.start", "tail.items"], ["tail.all"]),
            helper.make_node("Shape", ["seen"], ["tail.seen_shape"]),
            helper.make_node("Expand", ["tail.never", "tail.seen_shape"], ["tail.nevers"]),
            helper.make_node("ScatterElements", ["tail.all", "seen", "tail.nevers"], ["tail.logits"]),
            helper.make_node("Reshape", ["k", "tail.one"], ["tail.k"]),
            helper.make_node("Min", ["tail.k", "tail.items"], ["tail.count"]),
            helper.make_node("TopK", ["tail.logits", "tail.count"], ["scores", "items"]),
        ]
    )
    graph.input.append(helper.make_tensor_value_info("seen", TensorProto.INT64, ["s"]))
    graph.input.append(helper.make_tensor_value_info("k", TensorProto.INT64, []))
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
