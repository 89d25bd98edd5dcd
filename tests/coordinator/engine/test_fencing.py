"""A leader is stopped at any step of its work, another takes over and goes on, and then the former one goes on too.

It must change nothing that counts: not the ledger, and not the files that the ledger names.
"""

import asyncio
import shutil
import sqlite3
import threading
from contextlib import closing, suppress

import pytest

from coordinator.cli import main
from coordinator.errors import CoordinatorError, StoppedError
from coordinator.store import terms
from coordinator.store.disk import REAL
from fedau2.v1.device_pb2 import FetchResourceRequest
from fedau2.wire import blobs
from tests.coordinator.faults import ROUNDS, CountingDisk, Life
from tests.coordinator.leases import led
from tests.coordinator.postgres import fresh_database


class PausingDisk(CountingDisk):
    """Lets something happen before the step with a number, and then goes on as if no time had passed."""

    def __init__(self, number=None, meanwhile=lambda: None):
        super().__init__()
        self._number, self._meanwhile = number, meanwhile
        self.paused = ""

    def carry_out(self, name, operation, *arguments):
        if self.passed.total() - 1 == self._number:
            self.paused = name
            self._meanwhile()
        return operation(*arguments)


class Ledger:
    """A ledger with a shared folder, and coordinators that take turns to lead."""

    def __init__(self, url, folder):
        self._url, self._shared, self._journal = url, folder / "shared", folder / "journal"
        self.lease = None

    def lead(self, disk=REAL):
        """Takes over, and lives the task's life to its end. A former leader's session with the lease has ended.

        Returns:
            The folder of the term, and the hash of the last checkpoint.
        """
        if self.lease is not None:
            self.lease._connection.invalidate()
            self.lease._connection = None
        lease = self.lease = led(self._url, "127.0.0.1:1")
        term = terms.begin(self._shared, lease, disk)
        return term, asyncio.run(Life(term, self._journal, database=lease.term_url).run(disk))

    def sweep(self):
        """Removes the former leader's folder, although it still holds the lock of it."""
        home = self.lease.home()
        for path in self._shared.iterdir():
            if path.name != home:
                shutil.rmtree(path, ignore_errors=True)

    def examined(self, term):
        """What the doctor says of a folder and the ledger."""
        return main(["doctor", "--state", str(term), "--database", self._url])

    def close(self):
        self.lease.close()


@pytest.fixture(scope="module")
def steps(postgres, tmp_path_factory):
    """The number of steps of a life without disturbance."""
    disk = PausingDisk()
    with fresh_database(postgres) as url, closing(Ledger(url, tmp_path_factory.mktemp("steps"))) as ledger:
        ledger.lead(disk)
    return disk.passed.total()


async def read(tools, term, url):
    """Opens what the former leader may have changed, and reads the newest model."""
    async with tools.open_lab(term, database=url) as lab:
        task = await lab.only_task()
        assert blobs.sha256(await lab.fetch(task.checkpoint.sha256)) == task.checkpoint.sha256


def check(tools, postgres, folder, number):
    """Every second time the folder of the former leader's term is removed before it goes on."""
    folder.mkdir()
    with fresh_database(postgres) as url, closing(Ledger(url, folder)) as ledger:
        outcomes = []

        def take_over():
            outcomes.append(ledger.lead())
            if number % 2:
                ledger.sweep()

        def meanwhile():
            thread = threading.Thread(target=take_over)
            thread.start()
            thread.join()

        disk = PausingDisk(number, meanwhile)
        with suppress(CoordinatorError, OSError):
            ledger.lead(disk)
        ((term, outcome),) = outcomes
        assert outcome == tools.expected_checkpoint(ROUNDS), (number, disk.paused)
        assert ledger.examined(term) == 0, (number, disk.paused)
        asyncio.run(read(tools, term, url))


@pytest.mark.parametrize("number", [60, 101])
def test_a_leader_that_was_stopped_changes_nothing(tools, postgres, tmp_path, number):
    check(tools, postgres, tmp_path / "life", number)


@pytest.mark.slow
def test_a_leader_that_was_stopped_at_any_step_changes_nothing(tools, postgres, tmp_path, steps):
    for number in range(steps - 5):  # a group of writes may be a step more or less
        check(tools, postgres, tmp_path / str(number), number)


def test_a_former_leader_exports_nothing(tools, tmp_path):
    """Its log of operators' calls is not the one that its successor goes on with."""

    async def run():
        async with tools.open_lab(tmp_path) as lab:
            bundle = tools.make_bundle()
            await lab.create(bundle)
            request = FetchResourceRequest(sha256=bundle.manifest.catalogue.sha256)
            exported = [part async for part in lab.coordinator.admin.fetch_resource(request)]
            assert b"".join(part.data for part in exported) == bundle.blobs[bundle.manifest.catalogue.sha256]
            with closing(sqlite3.connect(tmp_path / "ledger.sqlite", isolation_level=None)) as successor:
                successor.execute("UPDATE commits SET number = number + 1")
            with pytest.raises(StoppedError):
                await anext(lab.coordinator.admin.fetch_resource(request))

    asyncio.run(run())
