"""Runs a system in a process of its own, and measures all processes that it starts."""

import re
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from benchmarks.errors import BenchmarkError
from benchmarks.peers import ROOT, Environment
from benchmarks.processes import Tree
from benchmarks.work import COHORT, VARIABLE, Work

_MARK = re.compile(r"round (\d+)")
_PERIOD = 0.5
"""Seconds between two looks at the memory."""


@dataclass(frozen=True)
class Window:
    """The figures of one run.

    Attributes:
        system: its name.
        users: registered users.
        rounds: rounds that were measured, the first one excluded.
        cpu_ms: processor milliseconds per client and round, of all processes.
        wall_s: seconds per round.
        first_s: seconds from the start of the process to the end of the first round.
        first_cpu_s: processor seconds until then.
        peak_mib: largest memory of all processes together; pages that they share are counted once.
    """

    system: str
    users: int
    rounds: int
    cpu_ms: float
    wall_s: float
    first_s: float
    first_cpu_s: float
    peak_mib: float


def run(system: str, environment: Environment, work: Work, limit: float) -> Window:
    """Runs a system's rounds.

    Args:
        system: its name.
        environment: its Python.
        work: its work; at least two rounds.
        limit: seconds after which it is ended.

    Raises:
        BenchmarkError: it fails, or takes longer.
    """
    tree = Tree()
    command = [str(environment.python), "-m", "benchmarks.systems", system]
    variables = environment.variables() | tree.variables() | {VARIABLE: work.text()}
    with tempfile.TemporaryFile("w+") as errors:
        begin = time.monotonic()
        process = subprocess.Popen(
            command, cwd=ROOT, env=variables, stdout=subprocess.PIPE, stderr=errors, text=True, bufsize=1
        )
        timer = threading.Timer(limit, tree.end)
        timer.start()
        try:
            with _watched(tree) as peak:
                marks = list(_marks(process, tree, begin))
        finally:
            timer.cancel()
            tree.end()
            process.wait()
        if len(marks) != work.rounds:
            errors.seek(0)
            reason = f"took more than {limit:.0f} s" if time.monotonic() - begin > limit else errors.read()[-600:]
            raise BenchmarkError(f"{system} with {work.users:,} users ended after {len(marks)} rounds: {reason}")
    return _window(system, work, marks, max(peak))


def _marks(process: "subprocess.Popen[str]", tree: Tree, begin: float) -> Iterator[tuple[float, float]]:
    """Yields elapsed seconds and processor seconds at the end of each round."""
    assert process.stdout is not None
    with process.stdout as lines:
        for line in lines:
            if _MARK.fullmatch(line.strip()):
                yield time.monotonic() - begin, tree.cpu()


class _watched:  # noqa: N801
    """Looks at the memory of processes until the block ends. The value is the list of what was seen, in MiB."""

    def __init__(self, tree: Tree) -> None:
        self._tree, self._seen, self._ended = tree, [0.0], threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def _watch(self) -> None:
        while not self._ended.wait(_PERIOD):
            self._seen.append(self._tree.memory())

    def __enter__(self) -> list[float]:
        self._thread.start()
        return self._seen

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()


def _window(system: str, work: Work, marks: Sequence[tuple[float, float]], peak: float) -> Window:
    (first_s, first_cpu), (last_s, last_cpu) = marks[0], marks[-1]
    rounds = len(marks) - 1
    cpu_ms = (last_cpu - first_cpu) / rounds / COHORT * 1e3
    return Window(system, work.users, rounds, cpu_ms, (last_s - first_s) / rounds, first_s, first_cpu, peak)
