"""Events that a client publishes to the app while it takes part in training. None says anything about the user."""

import logging
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from threading import current_thread, main_thread

from client_sdk import arguments
from client_sdk.errors import UsageError

_log = logging.getLogger(__name__)
_publishing: ContextVar[bool] = ContextVar("publishing", default=False)


@dataclass(frozen=True)
class Joined:
    """The coordinator gave this device a place in a round.

    Attributes:
        task_id: the task.
        round: the round, counted from 0.
    """

    task_id: str
    round: int


@dataclass(frozen=True)
class NewModel:
    """A new model version is on the device, and recommendations come from it from now on.

    Attributes:
        task_id: the task.
        round: number of rounds that it has been trained for.
    """

    task_id: str
    round: int


@dataclass(frozen=True)
class Trained:
    """A contribution to the round has been trained. The device keeps it until its upload is answered."""

    task_id: str
    round: int


@dataclass(frozen=True)
class Uploaded:
    """The coordinator counted the contribution to the round."""

    task_id: str
    round: int


@dataclass(frozen=True)
class Rejected:
    """The round had no place for this device, or the device came too soon.

    Attributes:
        reason: as in `Outcome.reason`.
    """

    reason: str


@dataclass(frozen=True)
class Refused:
    """The coordinator did not take the contribution, for example because the round was over.

    Attributes:
        task_id: the task.
        round: the round that the contribution was for.
        reason: the coordinator's words.
    """

    task_id: str
    round: int
    reason: str


@dataclass(frozen=True)
class SyncInterrupted:
    """A sync ended early: by `close`, its timeout, Ctrl-C or a cancellation, or by the limits of background work.

    It also ends early if its lease is too short. Nothing that was fetched or trained is lost.

    Attributes:
        reason: as in `Outcome.reason`.
    """

    reason: str = ""


@dataclass(frozen=True)
class SyncFailed:
    """A sync ended with an error.

    Attributes:
        error: name of the error's type, for example "TransportError".
        text: the error's text if it is about the network, the coordinator or the disk; "" for all others, whose texts
            may quote the user.
    """

    error: str
    text: str = ""


Event = Joined | NewModel | Trained | Uploaded | Rejected | Refused | SyncInterrupted | SyncFailed


class Events:
    """The subscribers to a client's events.

    Args:
        check: called by `subscribe`; raises a `StoreError` if the client cannot be used.

    >>> events, received = Events(), []
    >>> unsubscribe = events.subscribe(received.append)
    >>> events.publish(Joined("task-1", 3))
    >>> unsubscribe()
    >>> events.publish(Uploaded("task-1", 3))
    >>> received
    [Joined(task_id='task-1', round=3)]
    """

    def __init__(self, check: Callable[[], None] = lambda: None) -> None:
        self._check = check
        # Without a lock, which a forked process could inherit locked: each use of the dictionary is a single step.
        self._callbacks: dict[object, Callable[[Event], None]] = {}

    def subscribe(self, callback: Callable[[Event], None]) -> Callable[[], None]:
        """Calls `callback` with each event from now on, one after the other, in the thread that syncs.

        The sync continues when the callback returns. The callback may call the client, except for `sync`,
        `personalise` and the methods that remove data. If it raises an exception, the exception's type is logged and
        the sync continues. In the main thread, `SystemExit` and `KeyboardInterrupt` end the sync.

        Returns:
            A function that ends the subscription. It may be called again.

        Raises:
            UsageError: the callback is not a function.
            StoreError: the client is closed, or another process opened it.
        """
        arguments.function("callback", callback)
        self._check()
        key = object()
        self._callbacks[key] = callback

        def unsubscribe() -> None:
            self._callbacks.pop(key, None)

        return unsubscribe

    def publish(self, event: Event) -> None:
        """Calls every subscriber's callback with an event."""
        callbacks = self._callbacks.copy().values()
        token = _publishing.set(True)
        try:
            for callback in callbacks:
                _call(callback, event)
        finally:
            _publishing.reset(token)


def refuse_callback() -> None:
    """Refuses a call that a callback cannot make, because the sync that published the event waits for the callback.

    Raises:
        UsageError: the caller is a callback, or a task that a callback started on an event loop.
    """
    if _publishing.get():
        raise UsageError(
            "an event's callback cannot sync, personalise or delete: the sync that published the event waits for it"
        )


def _call(callback: Callable[[Event], None], event: Event) -> None:
    try:
        callback(event)
    except BaseException as error:  # its text may quote the user
        if not isinstance(error, Exception) and current_thread() is main_thread():
            raise
        _log.error("a callback failed at %s: %s", type(event).__name__, type(error).__name__)
