"""Chooses and fetches models for a device, with a place in a round or without one."""

from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from typing import Any

from client_sdk.errors import (
    DamagedTaskError,
    ResourceLimitError,
    TaskError,
    UnsupportedTaskError,
    UntrustedTaskError,
    UntrustedUnmaskerError,
)
from client_sdk.events import DownloadDropped, NewModel, TaskRefused
from client_sdk.protocol.contributing import Emit
from client_sdk.protocol.fetching import Fetcher
from client_sdk.protocol.interfaces import Store
from client_sdk.protocol.lease import Lease, NoLease
from client_sdk.protocol.trust import Trust
from client_sdk.protocol.values import Fetched, Model
from client_sdk.protocol.wishes import Interrupted, Outcome, Result, Wish
from fedau2.v1.task_pb2 import TaskManifest
from fedau2.wire.status import Status, StatusError

_REFUSED = (
    UnsupportedTaskError,
    UntrustedTaskError,
    UntrustedUnmaskerError,
    ResourceLimitError,
    DamagedTaskError,
)
_NOT_SERVED, _TASK_OVER = "not_served", "task_over"


@dataclass(frozen=True, eq=False)
class Models:
    """The models of one device. The fields are arguments of `session.session`."""

    store: Store
    emit: Emit
    trust: Trust
    wanted: Callable[[Model], bool]

    def refresh(self, model: Model, outcome: Outcome) -> Generator[Wish, Any, Outcome]:
        """Fetches the newest model without a place in a round, if it is wanted. Returns the outcome, which says so."""
        if not self.wanted(model):
            return outcome
        try:
            if (yield from self.finish_started(model, NoLease())):
                outcome = replace(outcome, refreshed=True)
            if self.wanted(model):
                fetcher = self.fetcher(model, NoLease())
                yield from self.adopt(fetcher, model, (yield from fetcher.manifest()))
                outcome = replace(outcome, refreshed=True)
        except Interrupted:
            return replace(outcome, result=Result.INTERRUPTED)
        except StatusError as error:
            if error.status != Status.NOT_FOUND:
                raise
            self._drop(model, _NOT_SERVED)  # a newer model has replaced it meanwhile, which the next check-in names
        except TaskError as error:
            self.refuse(model, error)
            raise
        return outcome

    def finish_started(self, newest: Model, lease: Lease) -> Generator[Wish, Any, bool]:
        """Finishes the started version, where the device wants a model and a newer one would need all of its bytes.

        A slow link then brings a whole model at some time, although rounds go on. Returns True if it brought one now.
        """
        started = self.store.started()
        if started is None or started.checkpoint == newest.checkpoint or not self.wanted(newest):
            return False
        if started.task_id != newest.task_id:
            return self._drop(started, _TASK_OVER)
        fetcher = self.fetcher(started, lease)
        try:
            yield from self.adopt(fetcher, started, (yield from fetcher.manifest()))
        except TaskError as error:
            return self._drop(started, error.code)
        except StatusError as error:
            if error.status != Status.NOT_FOUND:
                raise
            return self._drop(started, _NOT_SERVED)
        return True

    def fetcher(self, model: Model, lease: Lease) -> Fetcher:
        """Returns what fetches a model."""
        return Fetcher(self.store, model, self.trust, lease)

    def adopt(self, fetcher: Fetcher, model: Model, task: TaskManifest) -> Generator[Wish, Any, Fetched]:
        """Fetches all of a model but its manifest, and emits that it is here."""
        fetched = yield from fetcher.rest(task)
        if fetched.carried is not None and fetched.carried.event is not None:
            self.emit(fetched.carried.event)
        self.emit(NewModel(model.task_id, model.round))
        return fetched

    def refuse(self, model: Model, error: BaseException) -> None:
        """Emits that a model is not run here, if the error says so."""
        if isinstance(error, _REFUSED):
            self.emit(TaskRefused(model.task_id, model.round, error.code))

    def _drop(self, model: Model, code: str) -> bool:
        self.store.abandon(model)
        self.emit(DownloadDropped(model.task_id, model.round, code))
        return False
