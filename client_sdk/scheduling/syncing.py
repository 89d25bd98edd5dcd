"""Runs the syncs of a client one at a time, publishes their events, and remembers their ends."""

import json
import logging
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from random import Random
from threading import TIMEOUT_MAX, Lock

from client_sdk import retry
from client_sdk.errors import (
    FedError,
    MissingFeatureError,
    RefusedError,
    StoreClosedError,
    StoreError,
    TransportError,
    UntrustedUnmaskerError,
)
from client_sdk.events import BlobRemoved, CarriedOver, Event, NewModel, SyncFailed, SyncInterrupted
from client_sdk.protocol.admittance import Admittance
from client_sdk.protocol.interfaces import Engine
from client_sdk.protocol.membership import Membership
from client_sdk.protocol.session import Session, session
from client_sdk.protocol.trust import Trust
from client_sdk.protocol.values import Model
from client_sdk.protocol.wishes import Outcome, Result
from client_sdk.scheduling import freshness
from client_sdk.scheduling.pace import UNFIT, Pace
from client_sdk.store.folder import PACE
from client_sdk.store.sqlite_store import SqliteStore
from client_sdk.subscriptions import Events, refuse_callback
from fedau2 import __version__, files
from fedau2.wire.status import StatusError

_log = logging.getLogger(__name__)
_QUOTED = (MissingFeatureError, RefusedError, StoreError, TransportError, UntrustedUnmaskerError)
"""Errors whose texts never quote the user. Those of an engine may, as those of exceptions that are not the SDK's."""
_END = 253402300800.0  # the year 10000, beyond every datetime


class Syncs:
    """The syncs of one client, one after the other.

    Args:
        store: the client's state.
        population: name of the population that it belongs to.
        events: the subscribers to its events.
        max_model_age: seconds after which a model is replaced by a newer one, although the round has no place.
        clock: returns seconds since 1970.
        rng: draws the time of the next check-in.

    Attributes:
        pace: the remembered end of the last sync, also of an earlier process.
    """

    def __init__(
        self,
        store: SqliteStore,
        population: str,
        events: Events,
        max_model_age: float,
        clock: Callable[[], float] = time.time,
        rng: Random | None = None,
    ) -> None:
        self._store = store
        self._population = population
        self._events = events
        self._max_model_age = max_model_age
        self._clock = clock
        self._rng = rng or Random()
        self._path = store.folder / PACE
        self._lock = Lock()
        self._last_error: tuple[str, str] | None = None  # name and text of the error of the last sync
        self.pace = _read(self._path)

    @contextmanager
    def alone(self, patience: float = TIMEOUT_MAX) -> Iterator[bool]:
        """Keeps syncs of other threads out during the block.

        It waits for a sync under way, for `patience` seconds at most. It yields True if it keeps syncs out, else False.

        Raises:
            UsageError: called by an event's callback.
            StoreError: the client is closed, or another process opened it.
        """
        refuse_callback()
        self._store.ensure_open()
        if not self._lock.acquire(timeout=min(patience, TIMEOUT_MAX)):
            yield False
            return
        try:
            yield True
        finally:
            self._lock.release()

    def session(
        self,
        engine: Engine,
        trust: Trust,
        without_place: bool = False,
        members: Membership | None = None,
        admittance: Admittance | None = None,
    ) -> Session:
        """Begins a session that publishes its events, except for a model version that the store has already."""
        if not without_place:
            self._last_error = None
        model = self._store.model()
        current = NewModel(model.task_id, model.round) if model else None

        def publish(event: Event) -> None:
            if isinstance(event, NewModel):
                self.pace = replace(self.pace, renewed=self._clock())
            if isinstance(event, CarriedOver) and event.anew:
                _log.warning("task %s goes on, but starts anew with %s", event.task_id, ", ".join(event.anew))
            if event != current:
                self._publish(event)

        return session(
            self._store,
            engine,
            self._population,
            __version__,
            publish,
            trust,
            without_place,
            partial(self._wanted, unfit=without_place),
            time.monotonic,
            members,
            admittance,
        )

    def _wanted(self, newest: Model, unfit: bool) -> bool:
        age = math.inf if self.pace.renewed is None else self._clock() - self.pace.renewed
        return freshness.wanted(self._store, newest, age, self._max_model_age, unfit)

    def ended(self, outcome: Outcome) -> Outcome:
        """Remembers, logs and publishes the outcome of a sync, and returns it."""
        self._remember(self.pace.ended(outcome, self._clock(), self._rng))
        _log.info("a sync ended: %s", outcome.result.value)
        if outcome.result is Result.INTERRUPTED:
            self._publish(SyncInterrupted(outcome.reason))
        return outcome

    def failed(self, error: BaseException) -> None:
        """Remembers, logs and publishes the error of a sync."""
        window = error.retry if isinstance(error, FedError) else None
        self._remember(self.pace.failed(error, window, self._clock(), self._rng))
        name = type(error).__name__
        if isinstance(error, UNFIT) and (name, str(error)) == self._last_error:
            _log.info("a sync failed as before: %s", name)
            return
        self._last_error = (name, str(error))
        if isinstance(error, StoreClosedError) or not isinstance(error, Exception):
            _log.info("a sync was interrupted: %s", name)
            self._publish(SyncInterrupted())
        else:
            _log.warning("a sync failed: %s", name)
            text = str(error) if isinstance(error, _QUOTED) else ""
            code, advice = (error.code, error.advice) if isinstance(error, FedError) else (FedError.code, "")
            self._publish(SyncFailed(name, text, code, advice))

    def _publish(self, event: Event) -> None:
        for sha256 in self._store.removed():
            self._events.publish(BlobRemoved(sha256))
        self._events.publish(event)

    def forget(self) -> None:
        """Forgets the time of the last sync and of the next."""
        self.pace = Pace()
        self._path.unlink(missing_ok=True)

    def _remember(self, pace: Pace) -> None:
        self.pace = pace
        try:
            self._store.ensure_open()
            files.write(self._path, json.dumps(asdict(pace)).encode(), files.PRIVATE)
        except StoreError:
            return
        except OSError as error:  # the sync itself succeeded
            _log.warning("the time of the next check-in was not kept: %s", type(error).__name__)


@contextmanager
def refusals(coordinator: str) -> Iterator[None]:
    """Raises a `RefusedError` in place of a `StatusError` of the block."""
    try:
        yield
    except StatusError as error:
        text = f"{coordinator} refused ({error.status.name}): {error}"
        raise RefusedError(text, error.status, retry.window(error.retry)) from error


def _read(path: Path) -> Pace:
    # An unreadable file is ignored, because it holds only a time.
    try:
        fields = json.loads(path.read_text("utf-8"))
        pace = Pace(**fields)
        known = (pace.last, pace.earliest, pace.latest, pace.renewed)
        times = [pace.due, *(time for time in known if time is not None)]
        valid = isinstance(pace.failures, int) and pace.result in {"", *(result.value for result in Result)}
        return pace if valid and all(0 <= time < _END for time in times) else Pace()
    except (OSError, ValueError, TypeError, RecursionError):
        return Pace()
