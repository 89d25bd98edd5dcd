"""Syncs in a background thread, when the coordinator expects the client and the device meets the constraints."""

import logging
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from threading import Event, Lock, Thread, current_thread
from typing import Protocol

from client_sdk import arguments
from client_sdk.errors import MissingDeviceStateError, StoreClosedError, UsageError
from client_sdk.protocol.drivers import Check
from client_sdk.protocol.wishes import Interrupted, Outcome
from client_sdk.scheduling import schedule
from client_sdk.scheduling.schedule import BackgroundStatus, Constraints, DeviceState, Wait
from client_sdk.scheduling.syncing import Syncs
from client_sdk.store.sqlite_store import SqliteStore

_log = logging.getLogger(__name__)
_PAUSE = 1.0
_SOON = 2.0
"""Seconds that a sync has to end by itself when background work is stopped."""
_BUDGET = timedelta(minutes=10)


class Clock(Protocol):
    """Time, as background work sees it."""

    def time(self) -> float:
        """Seconds since 1970, UTC."""

    def monotonic(self) -> float:
        """Seconds since some moment, unaffected by changes of the device's clock."""

    def wait(self, event: Event, seconds: float) -> None:
        """Returns when the event is set, or after this many seconds."""


class SystemClock:
    """The device's clock."""

    def time(self) -> float:
        """Seconds since 1970, UTC."""
        return time.time()

    def monotonic(self) -> float:
        """Seconds since some moment."""
        return time.monotonic()

    def wait(self, event: Event, seconds: float) -> None:
        """Returns when the event is set, or after this many seconds."""
        event.wait(seconds)


@dataclass(eq=False)
class _Run:
    """Background work from one start to its stop."""

    constraints: Constraints
    device_state: Callable[[], DeviceState]
    budget: float
    thread: Thread | None = None
    stopped: Event = field(default_factory=Event)
    syncing: bool = False
    unmet: tuple[str, ...] = ()

    def device(self) -> DeviceState:
        # If the app's function fails, the state is unknown, which meets no constraint.
        if not self.constraints.any:
            return DeviceState()
        try:
            state = self.device_state()
        except BaseException as error:  # sys.exit() too, which would end this thread and nothing else
            _log.error("device_state failed: %s", type(error).__name__)
            return DeviceState()
        if not isinstance(state, DeviceState):
            _log.error("device_state returned a %s instead of a DeviceState", type(state).__name__)
            return DeviceState()
        return state


class Background:
    """Background work of one client.

    Args:
        store: the client's state.
        syncs: the client's syncs.
        sync: syncs once; its argument says how long the sync may take, and when it must stop.
        hang_up: ends the call to the coordinator that a sync waits for.
        personalise: takes personal steps if they are due; its argument is as for `sync`.
        clock: the time; None: the device's clock.
    """

    def __init__(
        self,
        store: SqliteStore,
        syncs: Syncs,
        sync: Callable[[Check], Outcome],
        hang_up: Callable[[], None],
        personalise: Callable[[Check], None],
        clock: Clock | None = None,
    ) -> None:
        self._store = store
        self._syncs = syncs
        self._sync = sync
        self._hang_up = hang_up
        self._personalise = personalise
        self._clock = clock or SystemClock()
        self._lock = Lock()
        self._run: _Run | None = None
        self._closed = False

    def start(
        self,
        constraints: Constraints | None = None,
        *,
        device_state: Callable[[], DeviceState] | None = None,
        round_budget: timedelta | None = _BUDGET,
    ) -> None:
        """Syncs in a thread of its own from now on, in the coordinator's windows, while the constraints are met.

        Between syncs it takes the personal steps that are due, within the same constraints and budget.

        If a constraint is no longer met, or the budget is spent, the sync stops before its next call, chunk of a
        download or local step, and the place in the round is given back. A contribution that waits for its upload is
        uploaded by the next sync. Syncs that failed or were stopped are tried again after increasing pauses. A second
        start continues with the new arguments.

        Args:
            constraints: conditions that the device must meet; None: no conditions.
            device_state: returns the device's state. It is called in the background thread before each call, transfer,
                chunk of a download and local step, and must not wait for a thread that calls this client. None: psutil,
                which knows neither `unmetered` nor `idle`, so that these are never met.
            round_budget: time that one check-in may take, with its transfers and its training; None: any time.

        Raises:
            MissingDeviceStateError: psutil is needed and not installed.
            UsageError: an argument has a wrong type or value.
        """
        required = Constraints() if constraints is None else constraints
        if not isinstance(required, Constraints):
            raise UsageError(f"constraints must be Constraints(...), not {required!r}")
        if device_state is not None and not callable(device_state):
            raise UsageError(f"device_state must be a function that returns a DeviceState, not {device_state!r}")
        budget = arguments.duration("round_budget", round_budget)
        self._store.ensure_open()
        if device_state is None and required.any:
            device_state = self._psutil(required)
        run = _Run(required, device_state or DeviceState, budget)
        run.thread = Thread(target=self._work, args=(run,), name="fedau2-background", daemon=True)
        with self._lock:
            if self._closed:
                raise StoreClosedError(f"the client of {self._store.folder} is closed: open another")
            before, self._run = self._run, run
            run.thread.start()
        self._end(before)

    def stop(self) -> None:
        """Ends background work. May be called again, and before any start.

        Returns when the thread has ended. A training stops before its next local step and its place is given back. A
        call to the coordinator that is not answered soon is ended. If an event's callback calls this in the background
        thread, it does not wait.
        """
        self._store.database.expect_own_process()
        with self._lock:
            run, self._run = self._run, None
        self._end(run)

    def close(self) -> None:
        """Ends background work for good."""
        with self._lock:
            self._closed = True
        self.stop()

    def _end(self, run: _Run | None) -> None:
        if run is None or run.thread is None:
            return
        run.stopped.set()
        if run.thread is current_thread():
            return
        run.thread.join(_SOON)
        while run.thread.is_alive():
            if run.syncing:
                self._hang_up()
            run.thread.join(_SOON)  # it may have begun another call since

    def status(self) -> BackgroundStatus:
        """Returns the state of background work."""
        self._store.database.expect_own_process()
        run = self._run
        if run is None:
            return BackgroundStatus(False, False, (), None)
        now = self._clock.time()
        due = datetime.fromtimestamp(now + self._syncs.pace.wait(now), UTC)
        return BackgroundStatus(True, run.syncing, run.unmet, due)

    def _psutil(self, constraints: Constraints) -> Callable[[], DeviceState]:
        try:
            from client_sdk.scheduling import device_probe
        except (ImportError, OSError) as error:
            raise MissingDeviceStateError(
                f"constraints need psutil, which cannot be imported ({error}): pip install 'fedau2[background]', "
                "or give start() a device_state= of your own"
            ) from error
        if unknown := {"unmetered", "idle"} & set(constraints.unmet(DeviceState())):
            _log.warning("psutil does not know %s: background work waits for ever", " and ".join(sorted(unknown)))
        return partial(device_probe.read, self._store.folder)

    def _work(self, run: _Run) -> None:
        while not run.stopped.is_set():
            self._clock.wait(run.stopped, self._turn(run))

    def _turn(self, run: _Run) -> float:
        """Syncs if it is time, or else personalises if that is due, while the constraints are met.

        Returns the seconds until the next check.
        """
        device = run.device()
        # Does not wait, because the app's own sync may be under way, with a callback that waits in stop().
        with self._syncs.alone(0) as alone:
            if not alone:
                return _PAUSE
            step = schedule.decide(run.constraints, device, self._syncs.pace, self._clock.time())
            check = partial(self._check, run, self._clock.monotonic())
            if isinstance(step, Wait):
                run.unmet = step.unmet
                if not run.constraints.unmet(device):
                    self._personalise(check)
                return step.seconds
            run.unmet, run.syncing = (), True
            with suppress(BaseException):  # the end of the sync is logged and published already
                self._sync(check)
            run.syncing = False
        return _PAUSE

    def _check(self, run: _Run, started: float) -> float:
        spent = self._clock.monotonic() - started
        if run.stopped.is_set() or schedule.over(run.constraints, run.device(), spent, run.budget):
            raise Interrupted
        return run.budget - spent
