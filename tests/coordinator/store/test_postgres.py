"""A coordinator whose ledger is in PostgreSQL: restarts, lost connections, and who may use it."""

import asyncio
import os
import shutil
import signal
import socket
import threading
from contextlib import closing, contextmanager, suppress

import pytest
import sqlalchemy as sa

from coordinator.engine.coordinator import Coordinator
from coordinator.errors import FolderLockedError, LedgerError, StoppedError
from coordinator.store.ledger import Ledger
from tests.coordinator.faults import ROUNDS, CountingDisk, Fault, FaultyDisk, Kind, Life
from tests.coordinator.postgres import administration, fresh_database


def test_a_small_task_with_a_restart_ends_in_the_same_bytes(tools, tmp_path, postgres_url):
    life = Life(tmp_path / "state", tmp_path / "journal", database=postgres_url)
    assert asyncio.run(life.run()) == tools.expected_checkpoint(ROUNDS)
    assert not (tmp_path / "state" / "ledger.sqlite").exists()


@pytest.fixture(scope="module")
def commits(postgres, tmp_path_factory):
    """How often a small task commits."""
    folder, disk = tmp_path_factory.mktemp("commits"), CountingDisk()
    with fresh_database(postgres) as url:
        asyncio.run(Life(folder / "state", folder / "journal", database=url).run(disk))
    return disk.passed["commit"]


@pytest.mark.slow
@pytest.mark.parametrize("kind", [Kind.FULL, Kind.LATE])
def test_after_an_error_at_any_commit_it_goes_on_to_the_same_end(kind, tools, tmp_path, postgres, commits):
    for number in range(commits):
        folder = tmp_path / str(number)
        folder.mkdir()
        with fresh_database(postgres) as url:
            life = Life(folder / "state", folder / "journal", database=url)
            with pytest.raises((StoppedError, OSError), match="injected"):
                asyncio.run(life.run(FaultyDisk(Fault("commit", number, kind))))
            assert asyncio.run(life.run()) == tools.expected_checkpoint(ROUNDS)


def test_a_killed_coordinator_lets_go_of_its_ledger(tools, tmp_path, postgres_url):
    async def begin(process):
        async with tools.connect(process.devices, process.admin) as lab:
            task_id = await lab.create()
            await lab.contribute([0, 1])
            return task_id

    async def end(process, task_id):
        async with tools.connect(process.devices, process.admin) as lab:
            await lab.contribute([2])
            return (await lab.committed(task_id, 1)).checkpoint.sha256

    process = tools.Process(tmp_path, "--database", postgres_url)
    try:
        task_id = asyncio.run(begin(process))
    finally:
        process.end(lambda: os.kill(process.child.pid, signal.SIGKILL))
    process = tools.Process(tmp_path, "--database", postgres_url)
    try:
        assert asyncio.run(end(process, task_id)) == tools.expected_checkpoint([[0, 1, 2]])
    finally:
        process.end(process.child.terminate)


def test_two_folders_cannot_share_a_ledger(tools, tmp_path, postgres_url):
    async def main():
        async with tools.open_lab(tmp_path / "one", database=postgres_url) as lab:
            await lab.create()
            shutil.copytree(tmp_path / "one", tmp_path / "copy")
            for folder in ("copy", "two"):
                with pytest.raises(FolderLockedError, match="ledger is used by another coordinator"):
                    await Coordinator.open(tmp_path / folder, database=postgres_url)
        with pytest.raises(LedgerError, match="belongs to the state folder with id"):
            await Coordinator.open(tmp_path / "two", database=postgres_url)
        assert not (tmp_path / "two" / "id").exists()

    asyncio.run(main())


def end_sessions(postgres, url):
    with administration(postgres) as connection:
        name = sa.make_url(url).database
        end = sa.text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :name")
        assert connection.execute(end, {"name": name}).all() == [(True,)]  # one connection, no more


def test_a_coordinator_that_loses_its_connection_stops_and_a_restart_goes_on(tools, tmp_path, postgres, postgres_url):
    async def main():
        async with tools.open_lab(tmp_path, database=postgres_url) as lab:
            task_id = await lab.create()
            await lab.contribute([0])
            assignment = await lab.assignment()
            end_sessions(postgres, postgres_url)
            with pytest.raises(StoppedError, match="could not write"):
                await lab.upload(assignment, tools.make_contribution(1))
            with pytest.raises(StoppedError):
                await lab.check_in()
        async with tools.open_lab(tmp_path, database=postgres_url) as lab:
            assert (await lab.task(task_id)).reported == 1
            await lab.upload(assignment, tools.make_contribution(1))
            await lab.contribute([2])
            return (await lab.committed(task_id, 1)).checkpoint.sha256

    assert asyncio.run(main()) == tools.expected_checkpoint([[0, 1, 2]])


class Relay:
    """Passes bytes to the server and back; once armed, cuts both ways as soon as a COMMIT has gone through."""

    def __init__(self, postgres):
        self._server = postgres.query.get("host"), postgres.host, postgres.port or 5432
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._ends = [self._listener]
        self.port = self._listener.getsockname()[1]
        self.armed = threading.Event()
        self.cut = threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        for end in self._ends:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)  # wakes the thread that waits for it
            end.close()

    def _accept(self):
        with suppress(OSError):
            while True:
                self._serve(self._listener.accept()[0])

    def _serve(self, client):
        folder, host, port = self._server
        if folder:
            server = socket.socket(socket.AF_UNIX)
            server.connect(f"{folder}/.s.PGSQL.{port}")
        else:
            server = socket.create_connection((host, port))
        self._ends += [client, server]
        threading.Thread(target=self._pass, args=(server, client), daemon=True).start()
        threading.Thread(target=self._pass, args=(client, server, b"COMMIT"), daemon=True).start()

    def _pass(self, source, target, last=None):
        with suppress(OSError):
            while data := source.recv(65536):
                over = last is not None and last in data and self.armed.is_set()
                if over:
                    source.shutdown(socket.SHUT_RDWR)  # no answer reaches the coordinator
                target.sendall(data)
                if over:
                    self.cut.set()
                    break
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_WR)


@contextmanager
def relayed(postgres, url):
    with closing(Relay(postgres)) as relay:
        through = sa.make_url(url).set(host="127.0.0.1", port=relay.port, query={})
        yield relay, through.render_as_string(hide_password=False)


def test_a_commit_whose_answer_is_lost_has_happened_once(tools, tmp_path, postgres, postgres_url):
    async def main(relay, url):
        async with tools.open_lab(tmp_path, database=url) as lab:
            task_id = await lab.create()
            await lab.contribute([0])
            assignment = await lab.assignment()
            relay.armed.set()
            with pytest.raises(StoppedError, match="could not write"):
                await lab.upload(assignment, tools.make_contribution(1))
        assert relay.cut.is_set()
        async with tools.open_lab(tmp_path, database=postgres_url) as lab:
            assert (await lab.task(task_id)).reported == 2  # the server had the COMMIT
            await lab.upload(assignment, tools.make_contribution(1))  # the device asks again
            assert (await lab.task(task_id)).reported == 2
            await lab.contribute([2])
            return (await lab.committed(task_id, 1)).checkpoint.sha256

    with relayed(postgres, postgres_url) as (relay, url):
        assert asyncio.run(main(relay, url)) == tools.expected_checkpoint([[0, 1, 2]])


def test_commits_are_durable_even_where_the_database_says_otherwise(postgres, postgres_url):
    with administration(postgres) as connection:
        name = sa.make_url(postgres_url).database
        connection.exec_driver_sql(f"ALTER DATABASE {name} SET synchronous_commit = off")
    with closing(Ledger(postgres_url)) as ledger, ledger._database.reading() as connection:
        assert connection.exec_driver_sql("SHOW synchronous_commit").scalar() == "on"
        assert connection.exec_driver_sql("SHOW lock_timeout").scalar() == "0"
