"""Disks that are full: at one coordinator of several, and in the folder that they share."""

import os
import resource
import shutil
import signal
import time

from tests.durability.rolling import await_answers
from tests.durability.runs import Run

_ROOM = 30_000
"""Bytes that can still be written: more than a coordinator's log has, and less than a round's contributions."""

_FULL = "stopped, because writing failed"
_LOOK = 0.02
_PATIENCE = 120


class FullDisks(Run):
    """A run in which the leader cannot write any more, then is the only one that can lead, and then nobody can."""

    def __init__(self, fleet, replicas, task_id):
        super().__init__(fleet, replicas, task_id, ["full", "free", "shared"])
        self._limited = None

    def full(self):
        """The leader has no room: it ends itself, another one leads, and it stands by when it is started again."""
        self._limited = leader = self.replicas.await_leader()
        former = leader.child
        self._limit(_ROOM)
        assert former.wait(_PATIENCE) == 1
        assert _FULL in leader.log.read_text()
        self.time_takeover(former)
        self.replicas.supervise()
        await_answers(leader)
        self._limit(_ROOM)
        self.figures.events["leaders with a full disk"] += 1

    def free(self):
        """It has room again, the other one is killed, and it leads."""
        self._limit(resource.RLIM_INFINITY)
        leader = self.replicas.await_leader()
        assert leader is not self._limited
        leader.end(signal.SIGKILL)
        while self.replicas.leader() is not self._limited:
            time.sleep(_LOOK)
        self.replicas.supervise()
        self.figures.events["leaders with room again"] += 1

    def shared(self):
        """The shared folder is full for all: nobody leads for long, until there is room."""
        before = self._errors()
        filler = self.replicas.shared / "filler"
        free = shutil.disk_usage(self.replicas.shared).free
        with filler.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, free - _ROOM)
        end = time.monotonic() + _PATIENCE
        while self._errors() < before + 2:
            assert time.monotonic() < end, self.replicas.logs()[-4000:]
            self.replicas.supervise()
            time.sleep(_LOOK)
        filler.unlink()
        self.figures.events["ends on a full shared folder"] += self._errors() - before

    def _limit(self, size):
        resource.prlimit(self._limited.child.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

    def _errors(self):
        """How often a coordinator has ended for want of room in the shared folder."""
        return sum(line.startswith("error:") and "[Errno 28]" in line for line in self.replicas.logs().splitlines())
