"""Successors: scenarios of sessions, and vectors of the state that is carried over."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from client_sdk.protocol import succession
from client_sdk.protocol.values import Model, PrivateState
from client_sdk.store.sqlite_store import SqliteStore
from fedau2.v1 import device_pb2
from fedau2.v1.task_pb2 import TaskManifest
from fedau2.v1.tensors_pb2 import (
    DISTRIBUTION_NORMAL,
    DISTRIBUTION_UNIFORM,
    TENSOR_SCOPE_PRIVATE,
    Initializer,
    ItemSpan,
    TensorSpec,
)
from fedau2.wire import blobs
from scripts.conformance import tasks
from scripts.conformance.answers import COUNTED, GIVEN_BACK, ROUND, TASK, assigned, rejected
from scripts.conformance.arrays import Json, data
from scripts.conformance.devices import Device, Known, Scenario
from scripts.conformance.drawing import KEYS
from scripts.conformance.script import Answer

_BUNDLE = "fedrap"  # its private tensor has numbers for each item
_OTHER_ITEMS = ("no-longer", *reversed(tasks.ITEMS[3:]))
_BEFORE, _AFTER = ("a", "b", "c", "d"), ("d", "x", "a", "y", "c")
_SHAPES = {"plain": [3], "reshaped": [3], "rows": [4, 2], "columns": [2, 11], "wider": [4, 2], "gone": [2]}
"""Shapes of the ancestor's tensors."""


def scenarios() -> Iterator[Scenario]:
    """Yields sessions with a task that goes on from another."""
    served = _served(minimum_separation=0)
    place, full = assigned(served), device_pb2.REJECTION_REASON_ROUND_FULL
    near = _served(minimum_separation=3)
    known = Known("1" * 16, _ANCESTOR, _BUNDLE, _OTHER_ITEMS, _state({"item_personal": [38, 3]}), 2)
    cases: Mapping[str, tuple[Known, Sequence[Answer], dict[bytes, bytes]]] = {
        "a successor's model is fetched, and the state carried over": (known, [rejected(full, served)], served),
        "a successor is trained": (known, [place, COUNTED], served),
        "an ancestor was contributed to too recently": (
            replace(known, contributed=ROUND - 2),
            [assigned(near), GIVEN_BACK],
            near,
        ),
        "an ancestor was contributed to in a later round": (
            replace(known, contributed=9),
            [place, COUNTED],
            served,
        ),
        "an ancestor has another recommender": (replace(known, recommender="x"), [rejected(full, served)], served),
        "an ancestor has no state": (replace(known, state=None, catalogue=None), [rejected(full, served)], served),
        "an ancestor's catalogue is lost": (replace(known, catalogue=None), [rejected(full, served)], served),
        "another task is no ancestor": (replace(known, manifest=bytes(32)), [rejected(full, served)], served),
    }
    for name, (task, answers, blobs_of) in cases.items():
        yield Scenario(name, Device(known=(task,), wanted=True, cached=True), answers, blobs_of, bundle=_BUNDLE)


_ANCESTOR = blobs.sha256(b"the manifest of an ancestor")


def _served(minimum_separation: int) -> dict[bytes, bytes]:
    served = tasks.read(_BUNDLE).served()
    (_, content), *others = served.items()
    task = TaskManifest.FromString(content)
    task.ancestors.append(_ANCESTOR)
    task.first_round = 3
    task.plan.minimum_separation = minimum_separation
    next(spec for spec in task.tensors if spec.scope == TENSOR_SCOPE_PRIVATE).item_axis = 1
    manifest = task.SerializeToString(deterministic=True)
    return {blobs.sha256(manifest): manifest, **dict(others)}


def vectors() -> Json:
    """Returns states of ancestors, and what a device carries over of them."""
    whole, gone = _state(_SHAPES), _state({"gone": [2]})
    cases: Mapping[str, tuple[str, Sequence[str] | None, PrivateState]] = {
        "another catalogue": ("toy", _BEFORE, whole),
        "the same catalogue": ("toy", _AFTER[:4], whole),
        "the catalogue is lost": ("toy", None, whole),
        "another recommender": ("other", _BEFORE, whole),
        "no tensor of these names": ("toy", _BEFORE, gone),
    }
    return [_carried(name, *case) for name, case in cases.items()]


def _state(shapes: Mapping[str, Sequence[int]]) -> PrivateState:
    rng = np.random.default_rng(4)
    values, first, root = (
        {name: rng.normal(size=(1, *shape)).astype(np.float32) for name, shape in shapes.items()} for _ in range(3)
    )
    return PrivateState(values, first, {name: value**2 for name, value in root.items()}, np.array([12]))


def _task(catalogue: bytes) -> TaskManifest:
    normal = Initializer(distribution=DISTRIBUTION_NORMAL, scale=0.1)
    uniform = Initializer(distribution=DISTRIBUTION_UNIFORM, scale=0.2)
    items = len(_AFTER)
    spans = [ItemSpan(others=3), ItemSpan(per_item=2)]
    specs = [
        TensorSpec(name="plain", shape=[3], initializer=normal),
        TensorSpec(name="reshaped", shape=[4], initializer=normal),
        TensorSpec(name="rows", shape=[items, 2], initializer=normal, item_axis=1),
        TensorSpec(name="columns", shape=[2, 2 * items + 3], initializer=uniform, item_axis=2, item_spans=spans),
        TensorSpec(name="wider", shape=[items, 3], initializer=normal, item_axis=1),
        TensorSpec(name="new", shape=[2], initializer=normal),
    ]
    for spec in specs:
        spec.scope = TENSOR_SCOPE_PRIVATE
    return TaskManifest(
        model="toy", items=items, tensors=specs, catalogue=blobs.resource(catalogue), ancestors=[_ANCESTOR]
    )


def _carried(name: str, recommender: str, items: Sequence[str] | None, old: PrivateState) -> Json:
    content = "".join(f"{item}\n" for item in _AFTER).encode()
    task = _task(content)
    model = Model(TASK, ROUND, blobs.resource(b"a manifest"), blobs.resource(b"a checkpoint"))
    known = Known("1" * 16, _ANCESTOR, recommender, items, old, 2)
    with TemporaryDirectory() as folder, closing(SqliteStore(Path(folder) / "state")) as store:
        store.database.write("UPDATE client SET key = ?", (KEYS[0],))
        store.keep_blob(task.catalogue, content)
        known.keep(store)
        carried = succession.carry(store, model, task)
    assert carried is not None
    assert carried.state is not None
    assert carried.event is not None
    return {
        "name": name,
        "task": data(task.SerializeToString(deterministic=True)),
        "key": data(KEYS[0]),
        "task_id": TASK,
        "items": _AFTER,
        "ancestor": {"recommender": recommender, "items": items, "state": data(old.pack())},
        "tensors": carried.event.tensors,
        "carried": data(carried.state.pack()),
    }
