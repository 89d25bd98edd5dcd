"""The processes of a system: itself and all that it starts, also those that outlive it for a while."""

import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field

import psutil

_VARIABLE = "FEDAU2_BENCHMARK_TAG"


@dataclass
class Tree:
    """All processes that carry a tag in their environment, as those do that a tagged process starts.

    Attributes:
        tag: the tag.
    """

    tag: str = field(default_factory=lambda: uuid.uuid4().hex)
    _known: dict[psutil.Process, bool] = field(default_factory=dict)
    _cpu: dict[psutil.Process, float] = field(default_factory=dict)

    def variables(self) -> dict[str, str]:
        """Returns the environment variable that tags a process."""
        return {_VARIABLE: self.tag}

    def processes(self) -> Iterator[psutil.Process]:
        """Yields those that run."""
        for process in psutil.process_iter():
            if process not in self._known or not self._known[process]:
                try:
                    self._known[process] = process.environ().get(_VARIABLE) == self.tag
                except psutil.Error:
                    continue
            if self._known[process]:
                yield process

    def cpu(self) -> float:
        """Adds up processor seconds; a process that has ended counts with what was last seen of it."""
        for process in self.processes():
            try:
                times = process.cpu_times()
                self._cpu[process] = times.user + times.system
            except psutil.Error:
                continue
        return sum(self._cpu.values())

    def memory(self) -> float:
        """Adds up memory in MiB; pages that several processes share count once."""
        total = 0
        for process in self.processes():
            try:
                total += process.memory_full_info().pss
            except psutil.Error:
                continue
        return total / 2**20

    def end(self) -> None:
        """Ends all of them."""
        for process in list(self.processes()):
            try:
                process.kill()
            except psutil.Error:
                continue
