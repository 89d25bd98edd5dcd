"""Carries the personal state over to a task from a relative, when the task's first model is adopted.

Two tasks are relatives if one goes on from the other, or both go on from a third, or their manifests are the same. So a
starter is a relative of the task that it was exported from, and of that task's successors.
"""

from dataclasses import replace

from client_sdk.protocol import succession
from client_sdk.protocol.preparation import initial_state
from client_sdk.protocol.values import Ancestor, Model
from client_sdk.store.blob_cache import BlobCache
from client_sdk.store.lineage import Lineage
from client_sdk.store.personalised import Personalised, PersonalisedStates
from fedau2.v1.task_pb2 import Resource, TaskManifest
from fedau2.wire import blobs


class Inheritance:
    """The way of personal states from task to task.

    Args:
        lineage: the known tasks of the store.
        cache: the store's blobs.
        states: the personal states.
    """

    def __init__(self, lineage: Lineage, cache: BlobCache, states: PersonalisedStates) -> None:
        self._lineage, self._cache, self._states = lineage, cache, states

    def of(self, model: Model, before: Model | None, key: bytes) -> Personalised | None:
        """Returns the personal state that a model's task begins with, as `succession.carry` does for private state.

        Args:
            model: the version that is about to be adopted. Its blobs are cached.
            before: the current one, if there is one.
            key: the client's key for the task of `model`.

        Returns:
            None: the task has a personal state already, or no relative has one that fits.
        """
        own = self._states.get(model.task_id)
        if before is None or before.task_id == model.task_id or own.state is not None:
            return None
        task = self._task(model.manifest)
        catalogue = None if task is None else self._cache.get(task.catalogue)
        if task is None or catalogue is None or (relative := self._relative(model, task, before)) is None:
            return None
        task_id, ancestor = relative
        theirs = self._states.get(task_id)
        items, fresh = blobs.catalogue(catalogue), initial_state(task, key)
        state, carried = succession.carried_state(task, items, replace(ancestor, state=theirs.state), fresh)
        if not carried:
            return None
        return Personalised(own.steps, state, theirs.attributes)

    def _relative(self, model: Model, task: TaskManifest, before: Model) -> tuple[str, Ancestor] | None:
        line = [model.manifest.sha256, *task.ancestors]
        current = self._task(before.manifest)
        if current is not None and {before.manifest.sha256, *current.ancestors}.intersection(line):
            line.insert(0, before.manifest.sha256)
        return self._lineage.personalised(line, before)

    def _task(self, address: Resource) -> TaskManifest | None:
        data = self._cache.get(address)
        return None if data is None else TaskManifest.FromString(data)
