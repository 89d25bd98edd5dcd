"""A leader is stopped at any request to the object store or commit, another takes over, and then the former goes on.

It must change nothing that counts: not the ledger, and not the objects of its successor.
"""

import asyncio
import itertools
import threading
from contextlib import closing, suppress

import pytest

from coordinator.cli import main
from coordinator.errors import CoordinatorError
from coordinator.store import object_files, term_objects
from coordinator.store.mirror import Mirror
from coordinator.store.objects import Objects
from tests.coordinator.faults import ROUNDS, Life
from tests.coordinator.leases import led
from tests.coordinator.postgres import fresh_database


class PausingMirror(Mirror):
    """Lets something happen before the step with a number, and then goes on as if no time had passed."""

    number, meanwhile = -1, None

    def __init__(self, folder, objects):
        super().__init__(folder, objects)
        self._numbers, self.passed = itertools.count(), 0

    def _start(self, work):
        def paused():
            self._step()
            work()

        return super()._start(paused)

    def commit(self, connection):
        self.flush()
        self._step()
        super().commit(connection)

    def _step(self):
        self.passed = next(self._numbers)
        if self.passed == self.number:
            self.meanwhile()


class Ledger:
    """A ledger with an object store, and coordinators that take turns to lead, each on a disk of its own."""

    def __init__(self, url, folder, objects):
        self.url, self._folder, self.objects = url, folder, Objects.open(objects)
        self._journal, self._count, self.lease = folder / "journal", itertools.count(), None

    def lead(self):
        """Takes over, and lives the task's life to its end. A former leader's session with the lease has ended.

        Returns:
            The disk of the term, and the hash of the last checkpoint.
        """
        if self.lease is not None:
            self.lease._connection.invalidate()
            self.lease._connection = None
        lease = self.lease = led(self.url, "127.0.0.1:1")
        with closing(term_objects.begin(self._folder / f"local-{next(self._count)}", self.objects, lease)) as mirror:
            outcome = asyncio.run(Life(mirror.folder, self._journal, database=lease.term_url).run(mirror))
            term_objects.sweep(mirror, lease)
            return mirror, outcome

    def close(self):
        self.lease.close()


def check(tools, monkeypatch, url, folder, objects, number):
    """The successor has removed the objects of the former leader before it goes on."""
    folder.mkdir()
    with closing(Ledger(url, folder, objects)) as ledger:
        outcomes = []

        def meanwhile():
            monkeypatch.setattr(term_objects, "Mirror", Mirror)
            thread = threading.Thread(target=lambda: outcomes.append(ledger.lead()))
            thread.start()
            thread.join()

        monkeypatch.setattr(PausingMirror, "number", number)
        monkeypatch.setattr(PausingMirror, "meanwhile", staticmethod(meanwhile))
        monkeypatch.setattr(term_objects, "Mirror", PausingMirror)
        with suppress(CoordinatorError, OSError):
            ledger.lead()
        ((mirror, outcome),) = outcomes
        assert outcome == tools.expected_checkpoint(ROUNDS), number
        object_files.fetch(ledger.objects, mirror.folder.name, folder / "fetched")
        ledger.close()
        assert main(["doctor", "--state", str(folder / "fetched"), "--database", url]) == 0, number


@pytest.mark.parametrize("number", [13, 24])
def test_a_leader_that_was_stopped_changes_nothing(tools, monkeypatch, postgres_url, tmp_path, s3_url, number):
    check(tools, monkeypatch, postgres_url, tmp_path / "life", s3_url, number)


@pytest.mark.slow
def test_a_leader_that_was_stopped_at_any_step_changes_nothing(
    tools, monkeypatch, postgres, tmp_path, s3_server, s3_way, s3_url
):
    monkeypatch.setattr(term_objects, "Mirror", PausingMirror)
    with fresh_database(postgres) as url, closing(Ledger(url, tmp_path, s3_url)) as ledger:
        steps = ledger.lead()[0].passed
    for number in range(steps - 5):  # a group of writes may be a step more or less
        with fresh_database(postgres) as url:
            objects = f"s3://{s3_server.bucket()}/fedau2"
            check(tools, monkeypatch, url, tmp_path / str(number), objects, number)
