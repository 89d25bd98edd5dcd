"""Prepares a job from an assignment: fetches and checks the task, and adds the client's data."""

from collections import deque
from collections.abc import Callable, Generator
from functools import lru_cache, partial
from typing import Any

import numpy as np

from client_sdk import draws
from client_sdk.errors import AttributeValueError, DamagedTaskError, UnsupportedTaskError
from client_sdk.events import Event, NewModel
from client_sdk.protocol import inspection, manifests
from client_sdk.protocol.interfaces import Store
from client_sdk.protocol.trust import Trust
from client_sdk.protocol.values import ClientData, Job, Model, PrivateState
from client_sdk.protocol.wishes import Fetch, Wish, ask
from fedau2.v1.device_pb2 import Assignment
from fedau2.v1.task_pb2 import GRAPH_KIND_STEP, Graph, Resource, TaskManifest
from fedau2.wire import blobs, manifest
from fedau2.wire.errors import BlobError

_ROUNDS = 2**63  # SQLite's integers end here, as does the coordinator's count


def prepare(
    store: Store, assignment: Assignment, emit: Callable[[Event], None], trust: Trust
) -> Generator[Wish, Any, Job]:
    """Fetches what the store lacks of the assignment's model, and makes it the one that recommendations come from.

    Raises:
        UntrustedTaskError: the task is not signed as it should be; nothing but the manifest was fetched.
        MissingFeatureError: it requires a feature that this SDK does not have; nothing but the manifest was fetched.
        DamagedTaskError, UnsupportedTaskError: the task cannot be used; the model before it stays.
        AttributeValueError: the task does not know an attribute's value.
    """
    if assignment.round >= _ROUNDS:
        raise UnsupportedTaskError(f"the coordinator states round {assignment.round}, which is not below 2**63")
    if not assignment.bound > 0:
        raise UnsupportedTaskError("the coordinator states no bound for contributions: it speaks an older protocol")
    try:
        data = yield from _fetch(store, assignment.manifest, trust.check)
        task = _parse(data)
        yield from _fetch(store, task.catalogue)
        step = b""
        for graph in manifest.known_graphs(task):  # a newer bundle may bring more
            content = yield from _fetch_graph(store, graph)
            if graph.kind == GRAPH_KIND_STEP:
                step = content
        tensors = yield from _fetch(store, assignment.checkpoint)
        _expect_fit(task, assignment, tensors)
    except BlobError as error:
        raise DamagedTaskError(str(error)) from error
    store.adopt(Model(assignment.task_id, assignment.round, assignment.manifest, assignment.checkpoint))
    emit(NewModel(assignment.task_id, assignment.round))
    client = _client(store, task, assignment.task_id)
    return Job(task, assignment.checkpoint, tensors, assignment.round, client, step)


_fitting: deque[tuple[bytes, bytes]] = deque(maxlen=4)
"""Manifests with checkpoints that fit them, as checked before; a fleet's sessions share them."""


def _expect_fit(task: TaskManifest, assignment: Assignment, data: bytes) -> None:
    """Checks a checkpoint before it replaces one that works."""
    pair = (assignment.manifest.sha256, assignment.checkpoint.sha256)
    if pair in _fitting:
        return
    tensors = blobs.unpack(data)
    if {name: tensor.shape for name, tensor in tensors.items()} != {
        name: tuple(spec.shape) for name, spec in manifest.shared(task).items()
    }:
        raise UnsupportedTaskError("the checkpoint's tensors are not those of the manifest")
    if not all(tensor.dtype == np.float32 and np.isfinite(tensor).all() for tensor in tensors.values()):
        raise DamagedTaskError("the checkpoint has values that are not finite float32")
    _fitting.append(pair)


@lru_cache(maxsize=4)  # a fleet's sessions share the manifest
def _parse(data: bytes) -> TaskManifest:
    return manifests.parse(data)


def _fetch(
    store: Store, resource: Resource, check: Callable[[bytes], object] = lambda data: None
) -> Generator[Wish, Any, bytes]:
    """Returns a blob, fetched if the store lacks it. A blob that fails the check is not kept."""
    data = store.blob(resource)
    if data is not None:
        check(data)
        return data
    data = blobs.check((yield from ask(Fetch(resource), bytes)), resource)
    check(data)
    store.keep_blob(resource, data)
    return data


def _fetch_graph(store: Store, graph: Graph) -> Generator[Wish, Any, bytes]:
    inspection.check_size(graph.resource.size, graph.kind)
    return (yield from _fetch(store, graph.resource, partial(inspection.inspected, kind=graph.kind)))


def _client(store: Store, task: TaskManifest, task_id: str) -> ClientData:
    state = store.private(task_id) or initial_state(task, store.key())
    return ClientData(store.key(), store.interactions(task.catalogue), labels(store, task), state)


def initial_state(task: TaskManifest, key: bytes) -> PrivateState:
    """Returns the private state that a client starts with, a pure function of manifest and key."""
    values = draws.initial(manifest.private(task), key)
    return PrivateState.start({name: value[None] for name, value in values.items()}, 1)


def labels(store: Store, task: TaskManifest) -> dict[str, int]:
    """Returns the class numbers of a client's attributes by adversary, without attributes that are not known.

    Raises:
        AttributeValueError: the task does not know an attribute's value.
    """
    numbers = {}
    for adversary in task.plan.adversaries:
        value = store.attribute(adversary.attribute)
        if value is not None:
            numbers[adversary.name] = label(value, adversary.attribute, list(adversary.classes))
    return numbers


def label(value: str, attribute: str, classes: list[str]) -> int:
    """Returns the class number of an attribute's value.

    Raises:
        AttributeValueError: the task does not know the value.
    """
    if value not in classes:
        # Without the value, which must not come into a log.
        raise AttributeValueError(f"this task does not know the value of {attribute}; it knows {', '.join(classes)}")
    return classes.index(value)
