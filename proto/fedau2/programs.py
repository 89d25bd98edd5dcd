"""The beginning, the output and the end that all programs have in common."""

import io
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib import import_module

from fedau2 import imports

FAILED, INTERRUPTED = 1, 130
"""Exit statuses."""


def start(name: str, extra: str, module: str) -> int:
    """Runs the function `main` of a module as a command, and explains what is missing or broken where it is imported.

    Args:
        name: the command's name.
        extra: the extra that brings the packages that the command always needs.
        module: the module's full name.

    Returns:
        The exit status, as for `run`.
    """
    return run(name, extra, lambda: import_module(module).main())


def run(
    name: str, extra: str, command: Callable[[], int], explain: Callable[[Exception], str | None] = lambda error: None
) -> int:
    """Runs a command, and says in one line on standard error why it ended if it did not succeed.

    A terminal, pipe or log file may not have all characters: those that it lacks are printed as escapes.
    Nothing is said where a reader like `head` has closed the pipe.

    Args:
        name: the command's name, with which the line begins.
        extra: as for `start`.
        command: returns the exit status.
        explain: returns the text of an error of the command's own, and None for any other. Other errors are raised,
            except those of the system.

    Returns:
        The exit status: the command's, 1 after an error that is explained, or 130 after Ctrl-C.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        try:
            return command()
        finally:
            if sys.stdout is not None:
                sys.stdout.flush()
    except KeyboardInterrupt as error:
        return _end(f"{name}: {str(error) or 'interrupted'}", INTERRUPTED)
    except BrokenPipeError:
        return _end("", FAILED)
    except Exception as error:
        text = _of_place(error) or imports.explain(error, extra) or explain(error)
        text = text or (str(error) if isinstance(error, OSError) else None)
        if text is None:
            raise
        return _end(f"{name}: {text}", FAILED)


def later(module: str, function: str) -> Callable[..., int]:
    """Returns a function of a module that is imported when the function is called, so that help needs none of it."""
    return lambda *arguments: getattr(import_module(module), function)(*arguments)


def _of_place(error: Exception) -> str | None:
    """Explains that the user has no home or no temporary folder, which Python says in these words."""
    if isinstance(error, RuntimeError) and str(error) == "Could not determine home directory.":
        return "this user has no home directory: name one in the environment variable HOME"
    if isinstance(error, FileNotFoundError) and "No usable temporary directory" in str(error):
        return "no temporary folder can be written: name one in the environment variable TMPDIR"
    return None


def _end(line: str, status: int) -> int:
    with suppress(OSError):
        if line:
            print(line, file=sys.stderr, flush=True)
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except OSError:  # the interpreter would try to write the rest again as it ends
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    return status


@contextmanager
def deaf_children() -> Iterator[None]:
    """Processes that are started in the block do not hear Ctrl-C, which a terminal sends to all. This process does.

    It ends them itself, so that none of them says anything about it.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
