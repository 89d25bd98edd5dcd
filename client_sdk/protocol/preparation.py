"""Prepares a job from a model that has been fetched: adds the client's data to it."""

from client_sdk import draws
from client_sdk.errors import AttributeValueError
from client_sdk.protocol.interfaces import Store
from client_sdk.protocol.values import ClientData, Fetched, Job, Model, PrivateState
from client_sdk.weights import Weights
from fedau2.v1.task_pb2 import TaskManifest
from fedau2.wire import manifest, matchings


def job(store: Store, model: Model, task: TaskManifest, fetched: Fetched) -> Job:
    """Returns the job of training one client.

    Args:
        store: the client's state.
        model: the model version to start from, which the store has adopted.
        task: its manifest.
        fetched: its parts.

    Raises:
        AttributeValueError: the task does not know an attribute's value.
    """
    client = client_data(store, task, model.task_id, store.private(model.task_id))
    return Job(task, model.checkpoint, fetched.tensors, model.round, client, fetched.step)


def client_data(store: Store, task: TaskManifest, task_id: str, state: PrivateState | None) -> ClientData:
    """Returns the data that one client trains on.

    Args:
        store: the client's state.
        task: the manifest.
        task_id: the task.
        state: the private state to start from; None: the one that a client starts with.

    Raises:
        AttributeValueError: the task does not know an attribute's value.
    """
    key = store.task_key(task_id)
    positives = store.positives(task.catalogue, Weights.of(task.plan))
    return ClientData(key, positives.rows, labels(store, task), state or initial_state(task, key), positives.weights)


def initial_state(task: TaskManifest, key: bytes) -> PrivateState:
    """Returns the private state that a client starts with, a pure function of manifest and task key."""
    values = draws.initial(manifest.private(task), key)
    return PrivateState.start({name: value[None] for name, value in values.items()}, 1)


def labels(store: Store, task: TaskManifest) -> dict[str, int]:
    """Returns the class numbers of a client's known attributes, by adversary, matching or erased attribute.

    Raises:
        AttributeValueError: the task does not know an attribute's value.
    """
    numbers = {}
    for part in matchings.labelled(task.plan):
        value = store.attribute(part.attribute)
        if value is not None:
            numbers[part.name] = label(value, part.attribute, list(part.classes))
    return numbers


def label(value: str, attribute: str, classes: list[str]) -> int:
    """Returns the class number of an attribute's value.

    Raises:
        AttributeValueError: the task does not know the value.
    """
    if value not in classes:
        # Without the value, which must not come into a log.
        raise AttributeValueError(
            f"this task does not know the value of {attribute}; it knows {', '.join(classes)}", attribute
        )
    return classes.index(value)
