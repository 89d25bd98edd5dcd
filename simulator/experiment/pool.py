"""Several runs at once, each in a process of its own, and what they report meanwhile."""

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

from simulator.config.config import Config
from simulator.errors import explain
from simulator.experiment import resources
from simulator.experiment.run import run
from simulator.experiment.trainer import Progress
from simulator.reporting.tracking import NOWHERE, Tracking

Event = tuple[str, tuple[Any, ...]]
"""What a process reports: `start` and `advance` of its run's progress, then `done`, `failed` or `broken`."""

_OF_THE_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
"""What no other run would survive either, whatever error tells it."""

_PATIENCE = 5.0
"""Seconds in which a process that is told to end should have ended."""


@dataclass(frozen=True)
class Job:
    """A run to do.

    Attributes:
        name: what people read.
        config: what to run.
        folder: of the run.
        data_dir: see `datasets.load`.
        tracking: where its metrics go besides.
    """

    name: str
    config: Config
    folder: Path
    data_dir: Path | None
    tracking: Tracking = NOWHERE


@dataclass(frozen=True)
class Done:
    """How a run ended: with metrics, or with an error that says what was wrong."""

    job: Job
    metrics: dict[str, Any] | None
    error: str = ""


def work(jobs: Sequence[Job], processes: int, progress: Callable[[Job], Progress]) -> Iterator[Done]:
    """Does all runs and gives each as it ends; the processes end with the iterator.

    A run that fails, or whose process dies, does not touch the others.

    Args:
        jobs: the runs, begun in this order.
        processes: how many at once.
        progress: asked for each run as it begins.

    Raises:
        OSError: the disk is full, or a folder cannot be written: which no other run would survive either.
    """
    waiting = deque(jobs)
    workers = [_Worker() for _ in range(min(processes, len(jobs)))]
    busy: dict[Any, tuple[_Worker, Job, Progress]] = {}
    try:
        while waiting or busy:
            while waiting and workers:
                worker, job = workers.pop(), waiting.popleft()
                worker.connection.send(job)
                busy[worker.connection] = worker, job, progress(job)
            for connection in wait(list(busy)):
                worker, job, shown = busy[connection]
                done = _heard(worker, job, shown)
                if done is not None:
                    del busy[connection]
                    workers.append(worker if worker.process.is_alive() else _Worker())
                    yield done
    finally:
        left = [*workers, *(each for each, _, _ in busy.values())]
        for worker in left:
            worker.process.terminate()
        for worker in left:
            worker.end()


def _heard(worker: "_Worker", job: Job, shown: Progress) -> Done | None:
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
    getattr(shown, kind)(*arguments)
    return None


class _Worker:
    """A process that does one run after another; the process and this end of the pipe to it."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs,))
        self.process.start()
        theirs.close()

    def end(self) -> None:
        """It was told to end; it is ended now."""
        self.process.join(_PATIENCE)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()
        self.connection.close()


class _Remote:
    """Progress of a run that is shown in another process; `training.Progress`."""

    def __init__(self, connection: "Connection[Event, Job]") -> None:
        self._connection = connection

    def start(self, what: str, total: int, done: int = 0) -> None:
        self._connection.send(("start", (what, total, done)))

    def advance(self, text: str = "") -> None:
        self._connection.send(("advance", (text,)))


def _serve(connection: "Connection[Event, Job]") -> None:
    # The parent alone hears Ctrl-C and then ends its processes, in a way that lets a run close what it has opened.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
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
    """A parent that was killed ends nothing itself, and a run says nothing for minutes while it is attacked."""
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
