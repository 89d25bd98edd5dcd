"""What a client tells the app while it takes part in training. An event says nothing of the user."""

import logging
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from threading import Lock, current_thread, main_thread

from client_sdk import arguments
from client_sdk.errors import UsageError

_log = logging.getLogger(__name__)
_telling: ContextVar[bool] = ContextVar("telling", default=False)


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
    """A model version has come; recommendations come from it from now on.

    Attributes:
        task_id: the task.
        round: rounds that it has been trained for.
    """

    task_id: str
    round: int


@dataclass(frozen=True)
class Trained:
    """A contribution to the round is trained, and kept on the device until its upload is answered."""

    task_id: str
    round: int


@dataclass(frozen=True)
class Uploaded:
    """The coordinator counted the contribution to the round."""

    task_id: str
    round: int


@dataclass(frozen=True)
class Rejected:
    """There was no place for this device, or it came too soon.

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
        reason: what the coordinator said.
    """

    task_id: str
    round: int
    reason: str


Event = Joined | NewModel | Trained | Uploaded | Rejected | Refused


class Events:
    """Who wants to be told, and what."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._callbacks: dict[object, Callable[[Event], None]] = {}

    def subscribe(self, callback: Callable[[Event], None]) -> Callable[[], None]:
        """Has every event from now on told to `callback`, one after the other, in the thread that syncs.

        The sync goes on when the callback returns. It may call the client, save for `sync` and what removes data. Of
        what it raises the kind is logged, and the sync goes on as well; only in the main thread `SystemExit` and
        `KeyboardInterrupt` end it.

        Returns:
            A function that ends this. May be called again.

        Raises:
            UsageError: it is no function.
        """
        arguments.function("callback", callback)
        key = object()
        with self._lock:
            self._callbacks[key] = callback

        def unsubscribe() -> None:
            with self._lock:
                self._callbacks.pop(key, None)

        return unsubscribe

    def tell(self, event: Event) -> None:
        """Tells everybody."""
        with self._lock:
            callbacks = list(self._callbacks.values())
        token = _telling.set(True)
        try:
            for callback in callbacks:
                _call(callback, event)
        finally:
            _telling.reset(token)


def refuse_callback() -> None:
    """Refuses what a callback cannot do, since the sync that told the event waits for the callback.

    Raises:
        UsageError: the caller is a callback, or what it has started on an event loop.
    """
    if _telling.get():
        raise UsageError("an event's callback cannot sync or delete: the sync that told the event waits for it")


def _call(callback: Callable[[Event], None], event: Event) -> None:
    try:
        callback(event)
    except BaseException as error:  # its text may quote the user
        if not isinstance(error, Exception) and current_thread() is main_thread():
            raise
        _log.error("a callback failed at %s: %s", type(event).__name__, type(error).__name__)
