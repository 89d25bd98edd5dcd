"""Does several runs at once, each in a process of its own, and forwards their reports."""

import errno
import multiprocessing
import os
import signal
import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from threading import Thread
from typing import Any

from fedau2 import programs
from simulator.config.config import Config
from simulator.errors import explain
from simulator.experiment import resources
from simulator.experiment.run import run
from simulator.experiment.trainer import Progress
from simulator.reporting.tracking import NOWHERE, Tracking

Event = tuple[str, tuple[Any, ...]]
"""A report of a process: `start` or `advance` of its run's progress, then `done`, `failed` or `broken`."""

_OF_THE_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
"""Errors of the disk that no other run would survive either."""

_PATIENCE = 5.0
"""Seconds that a process has to end by itself before it is killed."""


@dataclass(frozen=True)
class Job:
    """A run to do.

    Attributes:
        name: name that is shown.
        config: configuration of the run.
        folder: folder of the run.
        data_dir: see `datasets.load`.
        tracking: further places of its metrics.
    """

    name: str
    config: Config
    folder: Path
    data_dir: Path | None
    tracking: Tracking = NOWHERE


@dataclass(frozen=True)
class Done:
    """The end of a run: metrics, or an error that says what was wrong."""

    job: Job
    metrics: dict[str, Any] | None
    error: str = ""


def work(jobs: Sequence[Job], processes: int, progress: Callable[[Job], Progress]) -> Iterator[Done]:
    """Does all runs and yields each as it ends; the processes end with the iterator.

    A run that fails, or whose process dies, does not touch the others.

    Args:
        jobs: the runs, begun in this order.
        processes: number of runs at once.
        progress: called for each run as it begins.

    Raises:
        OSError: the disk is full, or a folder cannot be written. No other run would survive that either.
    """
    waiting = deque(jobs)
    workers = [_Worker() for _ in range(min(processes, len(jobs)))]
    busy: dict[Any, tuple[_Worker, Job, Progress]] = {}
    try:
        while waiting or busy:
            while waiting and workers:
                worker, job = workers.pop(), waiting.popleft()
                with suppress(BrokenPipeError):  # its process has ended, which is received below
                    worker.connection.send(job)
                busy[worker.connection] = worker, job, progress(job)
            for connection in wait(list(busy)):
                worker, job, display = busy[connection]
                done = _received(worker, job, display)
                if done is not None:
                    del busy[connection]
                    workers.append(worker if worker.process.is_alive() else _Worker())
                    yield done
    finally:
        remaining = [*workers, *(worker for worker, _, _ in busy.values())]
        for worker in remaining:
            worker.process.terminate()
        for worker in remaining:
            worker.end()


def _received(worker: "_Worker", job: Job, display: Progress) -> Done | None:
    """Receives a report; returns the end of the run, if it is that."""
    try:
        kind, arguments = worker.connection.recv()
    except (EOFError, ConnectionError):
        worker.process.join()
        worker.connection.close()
        code = worker.process.exitcode
        return Done(job, None, f"its process ended with {code}{'; is memory short?' if code == -9 else ''}")
    if kind == "done":
        return Done(job, *arguments)
    if kind == "failed":
        return Done(job, None, *arguments)
    if kind == "broken":
        raise OSError(*arguments)
    getattr(display, kind)(*arguments)
    return None


class _Worker:
    """A process that does one run after another; the process and this end of the pipe to it."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs,))
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


class _Remote:
    """A `Progress` that sends its calls to the parent process."""

    def __init__(self, connection: "Connection[Event, Job]") -> None:
        self._connection = connection

    def start(self, what: str, total: int, done: int = 0) -> None:
        self._connection.send(("start", (what, total, done)))

    def advance(self, text: str = "") -> None:
        self._connection.send(("advance", (text,)))


def _serve(connection: "Connection[Event, Job]") -> None:
    # The parent alone hears Ctrl-C and then ends its processes, in a way that lets a run close what it has opened.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    Thread(target=_end_with_parent, daemon=True).start()
    resources.prepare()
    try:
        with suppress(EOFError, BrokenPipeError, ConnectionResetError):  # the parent is gone
            while True:
                connection.send(_done(connection.recv(), _Remote(connection)))
    except SystemExit:
        # Everything is closed: taking the interpreter down as well, with PyTorch in it, takes seconds.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(1)


def _end_with_parent() -> None:
    """Ends the process when its parent is gone: a parent that was killed cannot, and an attacked run sends nothing."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _done(job: Job, progress: _Remote) -> Event:
    try:
        with job.tracking.for_run() as trackers:
            return "done", (run(job.config, job.folder, job.data_dir, progress, trackers),)
    except (BrokenPipeError, ConnectionResetError):
        raise
    except Exception as error:
        cause = error if isinstance(error, OSError) else error.__cause__
        if isinstance(cause, OSError) and cause.errno is not None and (cause is error or cause.errno in _OF_THE_DISK):
            return "broken", (cause.errno, os.strerror(cause.errno), cause.filename)
        return "failed", (f"{type(error).__name__}: {explain(error)}",)
