"""The newest model and the client's own data, kept in memory between calls for recommendations."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from client_sdk import arguments
from client_sdk.errors import NoModelError, StoreError
from client_sdk.onnx import item_vectors, ranking
from client_sdk.onnx.graph import Arrays
from client_sdk.onnx.ranking import Choice, Similarity
from client_sdk.onnx.served_model import ServedModel, checkpoint
from client_sdk.protocol.preparation import initial_state
from client_sdk.protocol.trust import Trust
from client_sdk.protocol.values import Model
from client_sdk.store.sqlite_store import SqliteStore
from client_sdk.weights import Weights
from fedau2.v1.task_pb2 import TaskManifest

_ANY = Choice()


@dataclass(frozen=True, eq=False)
class _Loaded:
    """A model version in memory, with the ids of its items in row order."""

    model: Model
    served: ServedModel
    items: Sequence[str]
    rows: Mapping[str, int]


@dataclass(frozen=True, eq=False)
class _View:
    """The content of the store after a number of changes.

    Attributes:
        changes: the number.
        loaded: the model.
        positives: rows that training takes as positives, sorted.
        recorded: rows of all interactions, sorted.
        never: rows that are disliked or excluded, sorted.
        private: the client's tensors, and what erases its attributes.
    """

    changes: int
    loaded: _Loaded
    positives: NDArray[np.int64]
    recorded: NDArray[np.int64]
    never: NDArray[np.int64]
    private: Arrays

    def scores(self) -> NDArray[np.float32]:
        """The scores of all items."""
        return self.loaded.served.scores(self.positives, self.private)

    def hidden(self, choice: Choice) -> NDArray[np.int64]:
        """The rows that a list must not hold."""
        hidden = self.never if choice.seen else np.union1d(self.recorded, self.never)
        if choice.where is None and choice.candidates is None:
            return hidden
        own = [row for row, item in enumerate(self.loaded.items) if choice.hides(item)]
        return np.union1d(hidden, np.array(own, np.int64))


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
        self._kept_vectors: tuple[Model | None, NDArray[np.float32]] = None, np.zeros((0, 0), np.float32)

    def recommend(self, k: int, choice: Choice = _ANY) -> list[tuple[str, float]]:
        """Ids and scores of k items, best first.

        Raises:
            NoModelError: there is no model yet, or a part of it is missing.
            UnsupportedTaskError: the model cannot be run on this device.
            UntrustedTaskError: the model's task is not signed as it should be.
            StoreError: the store cannot be read.
        """
        return self._answer(lambda view: self._chosen(view, k, choice))

    def _chosen(self, view: _View, k: int, choice: Choice) -> list[tuple[str, float]]:
        items, hidden = view.loaded.items, view.hidden(choice)
        if choice.boost is None and not choice.diversity:
            best = view.loaded.served.recommend(k, view.positives, view.private, hidden)
            return [(items[row], score) for row, score in best]
        allowed = np.ones(len(items), np.bool_)
        allowed[hidden] = False
        scores = view.scores().astype(np.float64)
        if choice.boost is not None:
            for row in np.flatnonzero(allowed).tolist():
                scores[row] += arguments.real("boost", choice.boost(items[row]))
        rows = ranking.best(scores, allowed, k)
        if choice.diversity:
            rows = ranking.diverse(scores, allowed, k, choice.diversity, self._similarity(view.loaded, choice.tags))
        return [(items[row], float(scores[row])) for row in rows.tolist()]

    def scores(self, items: Iterable[str]) -> dict[str, float]:
        """Scores of those items that the catalogue lists, by id. Raises as `recommend` does."""
        view = self._current()
        scores, rows = view.scores(), view.loaded.rows
        return {item: float(scores[rows[item]]) for item in items if item in rows}

    def nearest(self, item: str, k: int) -> list[tuple[str, float]]:
        """The k positives whose vectors in the model are nearest to an item's, with the cosines, nearest first.

        None for an item that the catalogue does not list. Raises as `recommend` does.
        """
        return self._answer(lambda view: self._nearest(view, item, k))

    def _nearest(self, view: _View, item: str, k: int) -> list[tuple[str, float]]:
        items, row = view.loaded.items, view.loaded.rows.get(item)
        if row is None:
            return []
        near = item_vectors.nearest(self._vectors(view.loaded), row, view.positives, k)
        return [(items[other], cosine) for other, cosine in near]

    def _similarity(self, loaded: _Loaded, tags: Mapping[str, Collection[str]] | None) -> Similarity:
        return ranking.of_vectors(self._vectors(loaded)) if tags is None else ranking.of_tags(loaded.items, tags)

    def _vectors(self, loaded: _Loaded) -> NDArray[np.float32]:
        """The items' vectors, which are read from the checkpoint at the first use and then kept."""
        model, vectors = self._kept_vectors
        if model is not loaded.model:
            vectors = item_vectors.of(loaded.served.task, checkpoint(self._store, loaded.model))
            self._kept_vectors = loaded.model, vectors
        return vectors

    def _answer(self, compute: Callable[[_View], list[tuple[str, float]]]) -> list[tuple[str, float]]:
        """Computes from a view; again where its model was replaced, and its blobs removed, before they were read."""
        view = self._current()
        try:
            return compute(view)
        except NoModelError:
            if view.loaded.model == self._store.model():
                raise
        with self._loading:  # by another thread
            pass
        return self._answer(compute)

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
        key = self._store.task_key(model.task_id)
        state = state or initial_state(task, key)
        private = {name: value[0] for name, value in state.values.items()}
        private |= loaded.served.erasing(key, _classes(self._store, task), loaded.model.round)
        view = _View(changes, loaded, *self._rows(loaded), private)
        if loaded.model == model:
            self._view = view
        return view

    def _rows(self, loaded: _Loaded) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """The rows of positives, of all interactions, and of what is disliked or excluded."""
        store, task = self._store, loaded.served.task
        recorded = store.interactions(task.catalogue)
        liked = store.positives(task.catalogue, None).rows
        weights = Weights.of(task.plan)
        positives = liked if weights is None else store.positives(task.catalogue, weights).rows
        excluded = [loaded.rows[item] for item in store.excluded.all() if item in loaded.rows]
        return positives, recorded, np.union1d(np.setdiff1d(recorded, liked), np.array(excluded, np.int64))

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
        return _Loaded(model, served, list(rows), rows)


def _classes(store: SqliteStore, task: TaskManifest) -> dict[str, int]:
    """Returns the numbers of the classes that a task erases and the device knows of its user.

    A value that the task does not list counts as unknown here: training refuses it, and a list must not fail for it.
    """
    known = {}
    for part in task.plan.eraser.erased:
        value = store.attribute(part.attribute)
        if value is not None and value in part.classes:
            known[part.name] = list(part.classes).index(value)
    return known
