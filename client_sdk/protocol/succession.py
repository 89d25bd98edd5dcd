"""Carries a client's state over from a task to its successor (design section 8)."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from client_sdk.errors import UnsupportedTaskError
from client_sdk.events import CarriedOver
from client_sdk.protocol.interfaces import Store
from client_sdk.protocol.preparation import initial_state
from client_sdk.protocol.values import Ancestor, Carried, Model, PrivateState
from fedau2.v1.task_pb2 import TaskManifest
from fedau2.wire import blobs, item_axes, manifest
from fedau2.wire.errors import BlobError
from fedau2.wire.succession import Succession


def last_contribution(store: Store, model: Model, task: TaskManifest) -> int | None:
    """Returns the last round of a task, or of an ancestor's, with a contribution that counts; None before the first.

    Args:
        store: the client's state.
        model: a version of the task's model.
        task: its manifest.
    """
    own = store.contributed(model.task_id)
    if own is not None or not task.ancestors:
        return own
    return _before(model, store.ancestor(task.ancestors))


def carry(store: Store, model: Model, task: TaskManifest) -> Carried | None:
    """Carries over the state of the newest ancestor that the client has trained for.

    Private tensors are carried over by name. Where they have numbers for each item, these follow the items. A tensor of
    another shape starts anew, and so do all of them if the ancestor has another recommender.

    Args:
        store: the client's state. It has the model's blobs.
        model: the version that is about to be adopted.
        task: its manifest.

    Returns:
        None: the task goes on from nothing that the client has, or the client has state for the task itself.

    Raises:
        UnsupportedTaskError: the task's catalogue cannot be read.
    """
    if not task.ancestors or store.private(model.task_id) or store.contributed(model.task_id) is not None:
        return None
    if (ancestor := store.ancestor(task.ancestors)) is None:
        return None
    contributed = _before(model, ancestor)
    if ancestor.state is None:
        return Carried(None, contributed)
    fresh = initial_state(task, store.task_key(model.task_id))
    state, carried = carried_state(task, _items(store, task), ancestor, fresh)
    names = [spec.name for spec in manifest.private(task)]
    anew = tuple(name for name in names if name not in carried)
    return Carried(state, contributed, CarriedOver(model.task_id, carried, anew))


def carried_state(
    task: TaskManifest, items: Sequence[str], ancestor: Ancestor, fresh: PrivateState
) -> tuple[PrivateState, tuple[str, ...]]:
    """Carries a state over from an ancestor.

    Args:
        task: the manifest of the task that it is carried to.
        items: its catalogue's item ids, in row order.
        ancestor: has a state.
        fresh: the state that a client of the task starts with.

    Returns:
        The state, and the names of the tensors that were carried over.
    """
    assert ancestor.state is not None
    parts = _carried(task, items, ancestor, ancestor.state, fresh) if ancestor.recommender == task.model else {}
    names = [spec.name for spec in manifest.private(task)]
    steps = fresh.steps if names and not parts else ancestor.state.steps
    return _replaced(fresh, parts, steps), tuple(name for name in names if name in parts)


Parts = tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]
"""The values of a tensor and Adam's two moments."""


def _carried(
    task: TaskManifest, items: Sequence[str], ancestor: Ancestor, old: PrivateState, fresh: PrivateState
) -> dict[str, Parts]:
    """Returns the tensors that can be carried over."""
    way = Succession.of(items if ancestor.items is None else ancestor.items, items)
    parts = {}
    for spec in manifest.private(task):
        lost = ancestor.items is None and item_axes.of(spec) is not None
        if lost or spec.name not in old.values:
            continue
        values = way.carried(spec, old.values[spec.name], fresh.values[spec.name])
        first = way.carried(spec, old.first[spec.name], fresh.first[spec.name])
        second = way.carried(spec, old.second[spec.name], fresh.second[spec.name])
        if values is not None and first is not None and second is not None:
            parts[spec.name] = (values, first, second)
    return parts


def _replaced(fresh: PrivateState, carried: dict[str, Parts], steps: NDArray[np.int64]) -> PrivateState:
    values, first, second = ({name: parts[index] for name, parts in carried.items()} for index in range(3))
    return PrivateState(fresh.values | values, fresh.first | first, fresh.second | second, steps)


def _items(store: Store, task: TaskManifest) -> list[str]:
    try:
        return blobs.catalogue(store.blob(task.catalogue) or b"")
    except BlobError as error:
        raise UnsupportedTaskError(str(error)) from error


def _before(model: Model, ancestor: Ancestor | None) -> int | None:
    """Returns the last contribution to an ancestor as one to a round before the model's, which may be -1.

    The model may come from an earlier round of the ancestor than the contribution.
    """
    if ancestor is None or ancestor.contributed is None:
        return None
    return min(ancestor.contributed, model.round - 1)
