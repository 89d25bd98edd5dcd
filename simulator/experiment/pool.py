"""Does several runs at once, each in a process of its own, and forwards their reports."""

import errno
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from simulator.children import Child
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
    workers = [Child(_serve) for _ in range(min(processes, len(jobs)))]
    busy: dict[Any, tuple[Child, Job, Progress]] = {}
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
                    workers.append(worker if worker.process.is_alive() else Child(_serve))
                    yield done
    finally:
        remaining = [*workers, *(worker for worker, _, _ in busy.values())]
        for worker in remaining:
            worker.process.terminate()
        for worker in remaining:
            worker.end()


def _received(worker: Child, job: Job, display: Progress) -> Done | None:
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


class _Remote:
    """A `Progress` that sends its calls to the parent process."""

    def __init__(self, connection: "Connection[Event, Job]") -> None:
        self._connection = connection

    def start(self, what: str, total: int, done: int = 0) -> None:
        self._connection.send(("start", (what, total, done)))

    def advance(self, text: str = "") -> None:
        self._connection.send(("advance", (text,)))


def _serve(connection: "Connection[Event, Job]") -> None:
    resources.prepare()
    while True:
        connection.send(_done(connection.recv(), _Remote(connection)))


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
