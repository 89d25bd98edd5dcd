"""Coordinator and unmasker as operators run them: child processes on a folder, that can be killed and started again."""

import random
import signal
import socket
import subprocess
import sys
from pathlib import Path

from fedau2.v1 import admin_pb2
from tests.durability import versions
from tests.durability.audit import books

_HEADER = 48
"""Bytes of a record of the round's log beside its payload."""


def free_port():
    """A port that no outgoing connection is given by chance, so that it stays free while the coordinator is dead."""
    for port in random.Random().sample(range(20000, 32000), 100):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise RuntimeError("no free port")


class Coordinator:
    """`fedau2-coordinator serve`, always on the same folder and ports, with some flags more.

    Attributes:
        sources: folder of the version that is started next.
    """

    def __init__(self, folder: Path, *options, sources: Path = versions.HERE):
        self.sources = sources
        self._options = list(map(str, options))
        self.state = folder / "state"
        self.addresses = tuple(f"127.0.0.1:{free_port()}" for _ in range(2))
        self.log = folder / "coordinator.log"
        self.child = None

    def start(self):
        """Starts it, and does not wait for anything."""
        listen, admin = self.addresses
        command = [sys.executable, "-m", "coordinator", "serve", "--state", self.state, "--listen", listen]
        command += self._options
        streams = {"stdout": subprocess.PIPE, "text": True} | versions.place(self.sources)
        with self.log.open("ab") as log:
            self.child = subprocess.Popen([*command, "--admin", admin], stderr=log, **streams)

    def await_serving(self):
        lines = [self.child.stdout.readline() for _ in range(2)]
        assert all(line.startswith("serving") for line in lines), self.log.read_text()[-4000:]

    def end(self, number):
        """Sends a signal and waits for the end. Returns whether it had come so far as to serve."""
        self.child.send_signal(number)
        served = "serving admin" in self.child.stdout.read()
        code = self.child.wait()
        self.child.stdout.close()
        assert code == (-number if number == signal.SIGKILL else 0), self.log.read_text()[-4000:]
        return served

    def abandon(self):
        """Leaves no child behind."""
        if self.child.poll() is None:
            self.end(signal.SIGKILL)

    def create_task(self, bundle, population, *options):
        command = [sys.executable, "-m", "coordinator", "create-task", "--bundle", bundle, "--admin", self.addresses[1]]
        command += ["--population", population, *map(str, options)]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    def progress(self):
        """Committed rounds, and the share of the open one that is reported."""
        with books(self.state) as ledger:
            number = ledger.newest()[2]
            query = "SELECT sum(state = ?), count(*) FROM assignment WHERE round = ?"
            reported, made = ledger.rows(query, admin_pb2.ASSIGNMENT_STATE_REPORTED, number)[0]
        return number + (reported / made if made else 0)

    def orphans(self):
        """Bytes of the open round's log that no row of the ledger points to."""
        written = sum(path.stat().st_size for path in (self.state / "log").glob("*"))
        with books(self.state) as ledger:
            rows = ledger.rows("SELECT length FROM assignment WHERE round = ? AND length > 0", ledger.newest()[2])
        return written - sum(length + _HEADER for (length,) in rows)

    def phase(self, orphans):
        """What it was doing when it died, as far as its folder tells; `orphans` are from before it started."""
        with books(self.state) as ledger:
            task_id, state, number = ledger.newest()
            attempts = ledger.rows("SELECT state FROM round WHERE round = ? ORDER BY attempt", number)
            places = ledger.rows("SELECT count(*) FROM assignment WHERE round = ?", number)[0][0]
        if state == admin_pb2.TASK_STATE_FINISHED:
            return "when all was done"
        if attempts[-1][0] == admin_pb2.ROUND_STATE_AGGREGATING:
            return "in mid-commit"
        if any(path.stem != f"{task_id}-{number}" for path in (self.state / "log").iterdir()):
            return "after a commit, before its tidying"
        if self.orphans() > max(orphans, 0):
            return "in mid-upload"
        return "in mid-round" if places else "between two rounds"


class Unmasker:
    """`fedau2-unmasker serve`, always on the same folder and ports.

    Args:
        state: its state folder, which has been made.
    """

    def __init__(self, state: Path):
        self.address, self.devices = (f"127.0.0.1:{free_port()}" for _ in range(2))
        self._command = [sys.executable, "-m", "unmasker", "serve", "--state", str(state), "--accept", "open"]
        self._command += ["--listen", self.devices, "--coordinator", self.address]
        self._log, self.child = state.with_suffix(".log"), None

    def start(self):
        """Starts it, and does not wait for anything."""
        with self._log.open("ab") as log:
            self.child = subprocess.Popen(self._command, stdout=subprocess.DEVNULL, stderr=log)

    def end(self, number):
        """Sends a signal and waits for the end."""
        self.child.send_signal(number)
        self.child.wait(60)
