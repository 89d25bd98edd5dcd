"""Child processes that serve their parent over a pipe, and end with it."""

import multiprocessing
import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from threading import Thread
from typing import Any

from fedau2 import programs

_PATIENCE = 5.0
"""Seconds that a process has to end by itself before it is killed."""


class Child:
    """A process and this end of the pipe to it.

    Args:
        serve: called there with the other end and the arguments; a module's function.
        arguments: picklable.
    """

    def __init__(self, serve: Callable[..., None], *arguments: object) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=_run, args=(serve, theirs, arguments))
        with programs.deaf_children():
            self.process.start()
        theirs.close()

    def end(self) -> None:
        """Waits for the process, which was terminated, and kills it if it does not end."""
        self.process.join(_PATIENCE)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()
        self.connection.close()


def _run(serve: Callable[..., None], connection: Any, arguments: tuple[object, ...]) -> None:  # noqa: ANN401
    # The parent alone hears Ctrl-C and then ends its children, in a way that lets them close what they have opened.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    Thread(target=_end_with_parent, daemon=True).start()
    try:
        with suppress(EOFError, BrokenPipeError, ConnectionResetError):  # the parent is gone
            serve(connection, *arguments)
    except SystemExit:
        # Everything is closed: taking the interpreter down as well, with PyTorch in it, takes seconds.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(1)


def _end_with_parent() -> None:
    """Ends the process when its parent is gone: a parent that was killed cannot, and a busy child sends nothing."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
