"""Makes calls that wait in threads, for coroutines that must not."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

_Result = TypeVar("_Result")


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
