"""The newest model and the client's own data, kept in memory between calls for recommendations."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from client_sdk.errors import NoModelError, StoreError
from client_sdk.onnx.graph import Arrays
from client_sdk.onnx.served_model import ServedModel
from client_sdk.protocol.preparation import initial_state
from client_sdk.protocol.trust import Trust
from client_sdk.protocol.values import Model
from client_sdk.store.sqlite_store import SqliteStore


@dataclass(frozen=True, eq=False)
class _Loaded:
    """A model version in memory, with the ids of its items in row order."""

    model: Model
    served: ServedModel
    items: Sequence[str]


@dataclass(frozen=True, eq=False)
class _View:
    """The content of the store after a number of changes."""

    changes: int
    loaded: _Loaded
    seen: NDArray[np.int64]
    private: Arrays


class Serving:
    """Recommends from a store, and reads it again only when it has changed. Safe between threads.

    The first call that finds a new model loads it. Meanwhile, calls from other threads are answered from the model
    before it, which is dropped when the new one is complete. No call waits for a sync.
    """

    def __init__(self, store: SqliteStore, trust: Trust) -> None:
        self._store, self._trust = store, trust
        self._loading = Lock()
        self._loaded: _Loaded | None = None
        self._view: _View | None = None

    def recommend(self, k: int, where: Callable[[str], bool] | None = None) -> list[tuple[str, float]]:
        """Ids and scores of the best k items that are not recorded, best first; `where` filters them by id.

        Raises:
            NoModelError: there is no model yet, or a part of it is missing.
            UnsupportedTaskError: the model cannot be run on this device.
            UntrustedTaskError: the model's task is not signed as it should be.
            StoreError: the store cannot be read.
        """
        view = self._current()
        items, hidden = view.loaded.items, None
        if where is not None:
            hidden = np.array([row for row, item in enumerate(items) if not where(item)], np.int64)
        best = view.loaded.served.recommend(k, view.seen, view.private, hidden)
        return [(items[row], score) for row, score in best]

    def _current(self) -> _View:
        view, changes = self._view, self._store.changes
        if view is not None and view.changes == changes:
            return view
        try:
            return self._look(changes)
        except (NoModelError, StoreError):
            if self._store.changes == changes:
                raise
            return self._current()  # the model was replaced, and its blobs removed, while they were being read

    def _look(self, changes: int) -> _View:
        model = self._store.model()
        if model is None:
            raise NoModelError("there is no model on this device yet: call sync() first")
        loaded = self._load(model)
        task = loaded.served.task
        state = self._store.personalised.served(model.task_id, self._store.private(model.task_id))
        state = state or initial_state(task, self._store.task_key(model.task_id))
        private = {name: value[0] for name, value in state.values.items()}
        view = _View(changes, loaded, self._store.interactions(task.catalogue), private)
        if loaded.model == model:
            self._view = view
        return view

    def _load(self, model: Model) -> _Loaded:
        """The model; while another thread loads it, the one before it, if both are of the same task."""
        before = self._loaded
        if before is not None and before.model == model:
            return before
        if before is not None and before.model.manifest == model.manifest and self._loading.locked():
            return before
        with self._loading:
            if self._loaded is None or self._loaded.model != model:  # the thread that we waited for may have done it
                self._loaded = self._read(model)
            return self._loaded

    def _read(self, model: Model) -> _Loaded:
        served = ServedModel.load(self._store, model, self._trust)
        rows = self._store.rows(served.task.catalogue)
        if rows is None:
            raise NoModelError("the task's catalogue is missing or was damaged: call sync() to fetch it again")
        return _Loaded(model, served, list(rows))
