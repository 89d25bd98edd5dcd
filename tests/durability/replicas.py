"""Several coordinators on one ledger in PostgreSQL, as a supervisor runs them, and a reaper of all that takes part."""

import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import psycopg

from coordinator.store import lease
from tests.durability import devices, versions
from tests.durability.server import free_port

LEASE = 2
"""Seconds."""

_LOOK = 0.02
_PATIENCE = 120


class Replica:
    """`fedau2-coordinator serve` as one of several, always on the same ports.

    Args:
        objects: URL of the object store that they share; None: they share a folder.

    Attributes:
        sources: folder of the version that is started next.
        command: the command.
    """

    def __init__(self, folder: Path, number: int, url: str, sources: Path = versions.HERE, objects: str | None = None):
        self.sources = sources
        self._local = None if objects is None else folder / f"local-{number}"
        self.devices, self.admin, self.peer = (f"127.0.0.1:{free_port()}" for _ in range(3))
        self.log, self.child = folder / f"coordinator-{number}.log", None
        self.command = [sys.executable, "-m", "coordinator", "serve", "--state", self._local or folder / "shared"]
        self.command += [] if objects is None else ["--objects", objects]
        self.command += ["--database", url, "--listen", self.devices, "--admin", self.admin]
        self.command += ["--replica", self.peer, "--replica-lease", str(LEASE)]

    def start(self):
        streams = {"stdout": subprocess.DEVNULL} | versions.place(self.sources)
        with self.log.open("ab") as log:
            self.child = subprocess.Popen(self.command, stderr=log, **streams)

    @property
    def alive(self):
        return self.child is not None and self.child.poll() is None

    def end(self, number):
        self.child.send_signal(number)
        return self.child.wait(_PATIENCE)

    def lose_disk(self):
        """Its machine vanishes, and it comes back on another one. A folder that is shared stays."""
        if self._local is not None:
            shutil.rmtree(self._local, ignore_errors=True)


class Replicas:
    """All coordinators of a ledger.

    Attributes:
        url: of the ledger.
        shared: the folder that they share.
        addresses: for devices and for operators, of all of them together.
    """

    def __init__(self, folder: Path, url: str, count: int, sources: Path = versions.HERE, objects: str | None = None):
        self.url, self.shared = url, folder / "shared"
        self.members = [Replica(folder, number, url, sources, objects) for number in range(count)]
        listed = [",".join(getattr(member, name) for member in self.members) for name in ("devices", "admin")]
        self.addresses = tuple(f"ipv4:{hosts}" for hosts in listed) if count > 1 else tuple(listed)

    @property
    def all(self):
        """Those that serve at any time."""
        return self.members

    def supervise(self):
        """Starts those that have ended."""
        for member in self.members:
            if not member.alive:
                member.start()

    def leader(self):
        """The one that leads, or None."""
        with suppress(psycopg.Error), psycopg.connect(self.url) as connection:
            query = lease._HOLDER.text.replace(":key", "%s")
            names = [name for name, *_ in connection.execute(query, (lease._KEY,))]
            return next((member for member in self.members if member.peer in names and member.alive), None)
        return None

    def await_leader(self, other_than=None):
        """Waits until one leads whose process is another one, and returns it."""
        end = time.monotonic() + _PATIENCE
        while (leader := self.leader()) is None or leader.child is other_than:
            assert time.monotonic() < end, "nobody leads"
            self.supervise()
            time.sleep(_LOOK)
        return leader

    def create_task(self, bundle, *options):
        """Creates a task through some coordinator, and returns its id."""
        admin = self.members[-1].admin
        command = [sys.executable, "-m", "coordinator", "create-task", "--bundle", bundle, "--admin", admin]
        command += ["--population", devices.POPULATION, *map(str, options)]
        end = time.monotonic() + _PATIENCE
        while (done := subprocess.run(command, capture_output=True, text=True)).returncode:
            assert time.monotonic() < end, done.stderr
            time.sleep(0.1)
        return done.stdout.strip()

    def use(self, url):
        """From their next start on, all use another ledger."""
        self.url = url
        for member in self.members:
            member.command[member.command.index("--database") + 1] = url

    def await_ends(self):
        """Starts those that have ended, until all have ended with an error."""
        self.supervise()
        for member in self.members:
            assert member.child.wait(_PATIENCE) == 1

    def stop(self):
        for member in self.members:
            if member.alive:
                member.child.send_signal(signal.SIGTERM)
        for member in self.members:
            if member.child is not None:
                member.child.wait(_PATIENCE)

    def abandon(self):
        """Leaves no child behind."""
        for member in self.members:
            if member.alive:
                member.child.send_signal(signal.SIGCONT)
                member.end(signal.SIGKILL)

    def logs(self):
        return "".join(member.log.read_text() for member in self.members)
