"""A recommender's `prepare`, `user` and `score` as ONNX graphs without weights.

* prepare.onnx: every shared tensor under its own name -> serving tensors, named "serving.<name>".
* recommend.onnx: serving and private tensors, `history`, `seen` and `k` -> `items` and `scores`. If the plan has an
  eraser, it takes the published maps too, as `client_sdk.onnx.step_graph.mapped` names them, and `maps.noise`, the
  user's floor of noise, (width,). They move the state that `user` computes before it is used.

The private tensors of recommend.onnx have their own names and no axis of clients. `history` is int64 (h,); only a graph
whose recommender looks at it declares it. `seen` is int64 (s,): rows to leave out, which may repeat. h and s may be 0.
`k` is int64 (). `items` is int64 (k',), rows with the best first. `scores` is float32 (k',). k' is the smaller of k and
the number of items. Seen items score -inf and come last. A row beyond the catalogue makes the run fail; a row below 0
counts from the end, so callers must check.

The output of `user` is computed first, once. Tensors over items are cut into tiles, (tiles, ..., items of a tile), and
tiles are scored one after the other, so that intermediate tensors are small and fit a processor's cache. With precision
fp16, serving tensors over items are kept as float16, half as large, and every tile is widened to float32 in its turn.

The number of items is fixed. Graphs are built once per task, and a task's catalogue never changes. The runtime then
refuses a checkpoint of another size instead of giving wrong rows.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import onnx
import torch
from onnx import TensorProto, helper
from torch import Tensor

from client_sdk.kernel.contract import ITEM, Recommender, Tensors
from client_sdk.onnx import step_graph
from client_sdk.plan import EraserPlan
from export import exporter
from export.erased import example, shown
from fedau2.v1.tensors_pb2 import TENSOR_KIND_TABLE, TENSOR_SCOPE_PRIVATE, TENSOR_SCOPE_SHARED, TensorSpec
from fedau2.wire import erasers

SERVING = "serving."
"""Prefix of the names of serving tensors in both graphs."""

USER = "user."
"""Prefix of the names of tensors that `user` computes in recommend.onnx."""

_TILE = "tile."
"""Prefix of the names of a tile's inputs and output, within the scan."""


TILE = 2048
"""Most items that are scored at once."""

Precision = Literal["fp32", "fp16"]
"""Type of the serving tensors over items."""


@dataclass(frozen=True)
class Graphs:
    """The two graphs, serialised."""

    prepare: bytes
    recommend: bytes


def export(
    recommender: Recommender,
    specs: Sequence[TensorSpec],
    precision: Precision = "fp32",
    erased: EraserPlan | None = None,
) -> Graphs:
    """The graphs of a recommender over the tensors `specs`, without those of adversaries.

    Args:
        recommender: the recommender.
        specs: of all tensors.
        precision: of the serving tensors over items.
        erased: the structure of the plan's eraser; None: nothing is erased.
    """
    scopes = (TENSOR_SCOPE_SHARED, TENSOR_SCOPE_PRIVATE)
    serialised = tuple(spec.SerializeToString() for spec in specs if spec.scope in scopes)
    width = next((spec.shape[0] - 1 for spec in specs if spec.name == erasers.LINEAR), 0)
    # mypy does not know that modules can be hashed.
    return _exported(recommender, serialised, precision, erased, width)  # type: ignore[arg-type]


@lru_cache(maxsize=8)  # an export takes seconds, and a process often builds many bundles of one model
def _exported(
    recommender: Recommender, serialised: Sequence[bytes], precision: Precision, erased: EraserPlan | None, width: int
) -> Graphs:
    specs = [TensorSpec.FromString(data) for data in serialised]
    shared = _zeros(specs, TENSOR_SCOPE_SHARED)
    private = _zeros(specs, TENSOR_SCOPE_PRIVATE)

    def prepare(tensors: Tensors) -> Tensors:
        serving = recommender.prepare(tensors).items()
        return {SERVING + name: _cut(value, precision) if name.startswith(ITEM) else value for name, value in serving}

    def user(tensors: Tensors) -> Tensors:
        private_tensors = {name: tensors[name] for name in private}
        states = recommender.user(_without(SERVING, tensors), private_tensors, tensors["history"])
        if erased:
            states = shown(erased, tensors, states)
        return {
            USER + name: _cut(value, "fp32") if name.startswith(ITEM) else value
            for name, value in states.items()
            if not any(value is tensor for tensor in private_tensors.values())
        }

    def score(tensors: Tensors) -> Tensors:
        serving, made = (_without(kind, tensors) for kind in (SERVING, USER))
        user = {name: tensors[name] for name in private} | made
        return {_TILE + "logits": recommender.score({n: v.float() for n, v in serving.items()}, user)}

    serving = prepare(shared)
    of_user = {"history": torch.zeros(2, dtype=torch.int64)}
    if erased:
        of_user |= {**example(erased, width), step_graph.FLOOR: torch.zeros(width)}
    whole = {name: value for name, value in serving.items() if not name.startswith(SERVING + ITEM)}
    made = user({**whole, **private, **of_user})
    inputs = {**serving, **private, **made}
    cut = {name: value for name, value in inputs.items() if name.startswith((SERVING + ITEM, USER + ITEM))}
    body = {name: value for name, value in inputs.items() if name not in cut}
    recommend = exporter.export(score, {**body, **{_TILE + name: value[0] for name, value in cut.items()}})
    _scan_tiles(recommend.graph, cut)
    if needed := [name for name in made if name in exporter.taken(recommend.graph)]:
        given = {**whole, **private, **of_user}
        first = exporter.export(lambda tensors: {n: user(tensors)[n] for n in needed}, given, {"history": "h"})
        _put_before(recommend.graph, first.graph)
    items = next(spec.shape[0] for spec in specs if spec.kind == TENSOR_KIND_TABLE)
    _append_top_k(recommend.graph, items)
    return Graphs(exporter.serialise(exporter.export(prepare, shared)), exporter.serialise(recommend))


def _without(kind: str, tensors: Tensors) -> Tensors:
    """The tensors whose names begin with `kind`, whole or of a tile, under the recommender's names."""
    untiled = {name.removeprefix(_TILE): value for name, value in tensors.items()}
    return {name.removeprefix(kind): value for name, value in untiled.items() if name.startswith(kind)}


def _zeros(specs: Sequence[TensorSpec], scope: int) -> Tensors:
    return {spec.name: torch.zeros(tuple(spec.shape)) for spec in specs if spec.scope == scope}


def _cut(value: Tensor, precision: Precision) -> Tensor:
    """Cuts (..., items) into (tiles, ..., items of a tile), and fills the last tile up with zeros."""
    tiles = math.ceil(value.shape[-1] / TILE)
    size = math.ceil(value.shape[-1] / tiles)
    if precision == "fp16":
        value = value.half()
    padded = torch.nn.functional.pad(value, (0, tiles * size - value.shape[-1]))
    return padded.view(*value.shape[:-1], tiles, size).movedim(-2, 0).contiguous()


def _scan_tiles(graph: onnx.GraphProto, cut: Tensors) -> None:
    """Makes the graph of one tile's logits the body of a scan over all tiles; the output is `logits` (tiles, size).

    Inputs that no node takes are removed, and so are the tensors that `user` computes, which `_put_before` adds.
    """
    taken = exporter.taken(graph)
    exporter.drop_unused(graph)
    cut = {name: value for name, value in cut.items() if _TILE + name in taken}
    body = onnx.GraphProto(name="tile", node=graph.node, initializer=graph.initializer, output=graph.output)
    body.input.extend(value for value in graph.input if value.name.startswith(_TILE))
    whole = [value for value in graph.input if not value.name.startswith((_TILE, USER))]
    for field in (graph.node, graph.initializer, graph.output, graph.input):
        del field[:]
    graph.input.extend(whole)
    for name, value in cut.items():
        if name.startswith(USER):
            continue
        dtype = helper.np_dtype_to_tensor_dtype(value.numpy().dtype)
        graph.input.append(helper.make_tensor_value_info(name, dtype, value.shape))
    # The body takes everything besides its tile from the outer graph, by name.
    graph.node.append(helper.make_node("Scan", list(cut), ["logits"], body=body, num_scan_inputs=len(cut)))


def _put_before(graph: onnx.GraphProto, first: onnx.GraphProto) -> None:
    """Puts the nodes of `first`, whose outputs the graph takes, before its own."""
    unchanged = {value.name for value in (*first.input, *first.output)} | {""}
    for node in first.node:
        for names in (node.input, node.output):
            names[:] = [name if name in unchanged else f"{USER}{name}" for name in names]
    for constant in first.initializer:
        constant.name = f"{USER}{constant.name}"
    nodes = [*first.node, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    graph.initializer.extend(first.initializer)
    declared, taken = {value.name for value in graph.input}, exporter.taken(first)
    graph.input.extend(value for value in first.input if value.name in taken - declared)


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
