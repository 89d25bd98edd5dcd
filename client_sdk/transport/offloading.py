"""Makes calls that wait in threads, for coroutines that must not."""

import asyncio
import inspect
from asyncio import AbstractEventLoop
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

_Result = TypeVar("_Result")
_PATIENCE = 60.0
"""Seconds in which an app's coroutine must end."""


async def to_its_end(call: Callable[[], _Result]) -> _Result:
    """Makes a call in a thread to its end and returns the result; `drivers.Offload`.

    If the task is cancelled meanwhile, the call still ends first, and the cancellation is raised at the next wait.
    """
    task = asyncio.current_task()
    assert task is not None
    # Not a task, because a loop that ends cancels all tasks.
    work = asyncio.get_running_loop().run_in_executor(None, call)
    cancelled = False
    while not work.done():
        try:
            await asyncio.wait([work])
        except asyncio.CancelledError:
            task.uncancel()  # or asyncio.timeout would count it twice
            cancelled = True
    if cancelled:
        task.cancel()
    return work.result()


def awaited_on(function: Callable[[], Any], loop: AbstractEventLoop) -> Callable[[], Any]:
    """Returns an app's function, which may be a coroutine function of a loop, as one that blocks another thread."""

    def call() -> Any:  # noqa: ANN401 - is checked by the caller
        made = function()
        if not inspect.isawaitable(made):
            return made
        return asyncio.run_coroutine_threadsafe(_await(made), loop).result(_PATIENCE)

    return call


async def _await(made: Awaitable[Any]) -> Any:  # noqa: ANN401
    return await made
