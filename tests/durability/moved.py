"""A coordinator of an older version, alone on its ledger in PostgreSQL, and several of this version that go on."""

import signal
import time

from tests.durability.audit import postgres_books
from tests.durability.replicas import Replica, Replicas
from tests.durability.rolling import answers
from tests.durability.runs import Run

_LOOK = 0.01
_PATIENCE = 120


class _Alone(Replica):
    """`fedau2-coordinator serve` on a state folder of its own."""

    def __init__(self, folder, url, sources):
        super().__init__(folder, "alone", url, sources)
        self.state = folder / "state"
        self.command[self.command.index("--state") + 1] = self.state
        del self.command[self.command.index("--replica") :]


class Moved(Replicas):
    """One alone, and so many others, which take its place in `move`."""

    def __init__(self, folder, url, count, sources):
        super().__init__(folder, url, count)
        self._several = self.members
        self._alone = _Alone(folder, url, sources)
        self.members = [self._alone]
        self.addresses = (self._alone.devices, self._alone.admin)

    @property
    def all(self):
        """Those that serve at any time."""
        return [self._alone, *self._several]

    def leader(self):
        """The one that leads or is alone, or None."""
        if self.members is self._several:
            return super().leader()
        return self._alone if self._alone.alive and answers(self._alone) else None

    def move(self):
        """Moves the folder of the one that was alone as the documentation says, and starts the others."""
        self.shared.mkdir()
        self._alone.state.rename(self.shared / (self._alone.state / "id").read_text().strip())
        self.members = self._several
        self.supervise()


class Move(Run):
    """A run in which several take the place of one."""

    def __init__(self, fleet, replicas, task_id):
        super().__init__(fleet, replicas, task_id, ["nothing", "move"])

    def nothing(self):
        """Does nothing, so that the older version ends half of the rounds."""

    def move(self):
        """Moves in the midst of a round, of which contributions are acknowledged."""
        end = time.monotonic() + _PATIENCE
        while not self._in_flight():
            assert time.monotonic() < end
            time.sleep(_LOOK)
        self.replicas.leader().end(signal.SIGKILL)
        self.figures.events["contributions in flight"] += self._in_flight()
        assert self.figures.events.total()
        self.replicas.move()

    def _in_flight(self):
        with postgres_books(self.replicas.url) as ledger:
            number = ledger.newest()[2]
            assert ledger.rows("SELECT version FROM meta") == [(4,)]
            return sum(report.round == number for report in ledger.reports())
