"""A device of the service: a state folder and the core of the SDK's client, which reaches a coordinator in process."""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from client_sdk.core import ClientCore
from client_sdk.engines import Chosen
from client_sdk.errors import FedError, NoDataError
from client_sdk.events import CarriedOver, Event
from client_sdk.interactions import Kept
from client_sdk.onnx.ranking import Choice
from client_sdk.protocol.drivers import drive_async
from client_sdk.protocol.trust import Trust
from client_sdk.protocol.values import PrivateState
from client_sdk.store.sqlite_store import SqliteStore
from client_sdk.transport.inprocess import InProcessTransport
from client_sdk.transport.target import Address
from fedau2.v1.task_pb2 import TaskManifest
from fedau2.wire import item_axes, manifest

K = 10
POPULATION = "films"
_WEEK = 7 * 86400 * 10**6
_SOON = {"REJECTION_REASON_ROUND_FULL", "REJECTION_REASON_ROUND_CLOSING"}
_PAUSE = 0.003


@dataclass(frozen=True, eq=False)
class _Held:
    """The private state that a device has for the task of its model, whose numbers belong to these items."""

    task_id: str
    state: PrivateState | None
    rows: Mapping[str, int]


class Device:
    """One device.

    Args:
        folder: its state folder.
        engine: the engine that trains, or its name.

    Attributes:
        synced: True once a sync has ended.
        carried: number of times that private state was carried over, and was as before.
        faults: sentences about what did not hold.
    """

    def __init__(self, folder: Path, engine: Chosen) -> None:
        store = SqliteStore(folder)
        # Model age 0: it fetches the newest model at each sync, with a place in a round or without.
        self._core = ClientCore(store, Address("127.0.0.1:1"), POPULATION, engine, Trust(), 0.0, None)
        self._core.events.subscribe(self._look)
        self._recorded: set[str] = set()
        self._after: _Held | None = None
        self.synced, self.carried, self.faults = False, 0, list[str]()

    def close(self) -> None:
        """Closes the state folder."""
        self._core.store.close()

    def record(self, items: Iterable[str], week: int) -> None:
        """Records items."""
        kept = [Kept(item, week * _WEEK) for item in items]
        self._core.store.record_many(kept)
        self._recorded |= {interaction.item for interaction in kept}

    async def sync(self, transport: InProcessTransport) -> None:
        """Syncs until the device has contributed, or found that it cannot. Checks what was carried over."""
        before, self._after = self._state(), None
        try:
            while (outcome := await drive_async(self._core.session(), transport)).reason in _SOON:
                await asyncio.sleep(_PAUSE)
            self._core.syncs.ended(outcome)
        except NoDataError as error:
            self._core.syncs.failed(error)
        self.synced = True
        model = self._core.store.model()
        if before is not None and before.state is not None and model is not None and model.task_id != before.task_id:
            self._compare(before)

    def recommend(self, candidates: set[str] | None = None) -> list[str]:
        """Recommends `K` items of some candidates, or of all. Raises as `Serving.recommend` does."""
        return [item for item, _ in self._core.serving.recommend(K, Choice(candidates=candidates))]

    def check(self) -> None:
        """Checks that nothing recorded is lost, and that the device has a model once it has synced."""
        stored = {item for (item,) in self._core.store.database.all("SELECT DISTINCT item FROM interactions")}
        if lost := self._recorded - stored:
            self.faults.append(f"{len(lost)} recorded items are lost")
        try:
            if self.synced and len(self.recommend()) < K:
                self.faults.append(f"there are fewer than {K} recommendations")
        except FedError as error:
            self.faults.append(f"there are no recommendations: {error}")

    def _state(self) -> _Held | None:
        store, model, task = self._core.store, self._core.store.model(), self._core.task()
        if model is None or task is None:
            return None
        return _Held(model.task_id, store.private(model.task_id), store.rows(task.catalogue) or {})

    def _look(self, event: Event) -> None:
        # At the event, before the device trains.
        if isinstance(event, CarriedOver):
            self._after = self._state()

    def _compare(self, before: _Held) -> None:
        task, after = self._core.task(), self._after
        if task is None or before.state is None or after is None or after.state is None:
            self.faults.append("private state was not carried over")
        elif not _same(task, before.state, before.rows, after.state, after.rows):
            self.faults.append("private state was changed when it was carried over")
        else:
            self.carried += 1


def _same(
    task: TaskManifest, old: PrivateState, before: Mapping[str, int], new: PrivateState, after: Mapping[str, int]
) -> bool:
    """Returns whether all numbers are as they were, those of items by their ids."""
    both = [item for item in before if item in after]
    places = [[rows[item] for item in both] for rows in (before, after)]
    equal = [np.array_equal(old.steps, new.steps)]
    for spec in manifest.private(task):
        axis = item_axes.of(spec)
        for part in ("values", "first", "second"):
            pair = [getattr(state, part)[spec.name] for state in (old, new)]
            if axis is not None:  # the first axis is the client's
                pair = [value.take(rows, 1 + axis) for value, rows in zip(pair, places, strict=True)]
            equal.append(np.array_equal(*pair))
    return all(equal)
