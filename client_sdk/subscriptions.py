"""The subscribers to a client's events: `FedClient.events`."""

import logging
from collections.abc import Callable
from contextvars import ContextVar
from threading import current_thread, main_thread

from client_sdk import arguments
from client_sdk.errors import UsageError
from client_sdk.events import Event

_log = logging.getLogger(__name__)
_publishing: ContextVar[bool] = ContextVar("publishing", default=False)


class Events:
    """The subscribers to a client's events.

    Args:
        check: called by `subscribe`; raises a `StoreError` if the client cannot be used.

    >>> from client_sdk import Joined, Uploaded
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
        """Calls `callback` with each event from now on, of every kind, in the thread that causes it.

        Events of a sync come one after the other, in the thread that syncs. The sync continues when the callback
        returns. The callback may call the client, except for `sync`, `personalise` and the methods that remove data. If
        it raises an exception, the exception's type is logged and the sync continues. In the main thread, `SystemExit`
        and `KeyboardInterrupt` end the sync.

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
        """Logs an event's name and code, and calls every subscriber's callback with it."""
        code = getattr(event, "code", "")
        _log.log(logging.INFO if code else logging.DEBUG, "%s %s", type(event).__name__, code)
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
