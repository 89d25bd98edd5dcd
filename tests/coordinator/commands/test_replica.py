"""Coordinators that share a ledger, as processes: one leads, and another goes on when it is killed or stopped."""

import asyncio
import os
import signal
import socket
import tempfile
import threading
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, closing, contextmanager

import pytest

from coordinator.cli import main
from coordinator.commands.replica import Replica
from coordinator.commands.settings import Settings
from coordinator.errors import StoppedError
from coordinator.grpc.server import Servers
from coordinator.store import timelines
from coordinator.store.lease import Lease
from fedau2.wire.status import Status, StatusError
from tests.coordinator import conftest as tools
from tests.coordinator import silence

LEASE = "2"


@contextmanager
def replica(folder, url, name, address="127.0.0.1:0", options=()):
    """A coordinator, which is killed at the end unless it has ended."""
    options = ("--database", url, "--replica", address, "--replica-lease", LEASE, *options)
    process = tools.Process(folder / "shared", *options, "--metrics", f"unix:{folder / name}")
    try:
        yield process
    finally:
        if not process.child.stdout.closed:
            process.end(process.child.kill)


async def patiently(call):
    """What a device does: it comes again until it is answered."""
    while True:
        try:
            return await call()
        except StatusError as error:
            if error.status is not Status.UNAVAILABLE:
                raise
            await asyncio.sleep(0.02)


@asynccontextmanager
async def labs(*processes):
    async with tools.connect(processes[0].devices, processes[0].admin) as first:
        if not processes[1:]:
            yield [first]
            return
        async with labs(*processes[1:]) as others:
            yield [first, *others]


def shown(folder, name, path):
    """What the address for metrics answers."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(folder / name))
        connection.sendall(f"GET {path} HTTP/1.0\r\n\r\n".encode())
        return b"".join(iter(lambda: connection.recv(65536), b"")).decode().splitlines()


def leading(folder, name):
    """The gauge, and the words of the health."""
    metrics, health = (shown(folder, name, path) for path in ("/metrics", "/healthz"))
    (gauge,) = [line for line in metrics if line.startswith("fedau2_leading ")]
    return float(gauge.split()[1]), health[0].split()[1], health[-1]


def test_whoever_is_killed_or_stopped_another_goes_on_to_the_same_bytes(tmp_path, postgres_url):
    async def until_killed(one, two):
        async with labs(one, two) as (first, second):
            task_id = await second.create(tools.make_bundle(rounds=2))
            lost = await first.assignment()
            await second.contribute([0])
            os.kill(one.child.pid, signal.SIGKILL)
            await patiently(lambda: second.upload(lost, tools.make_contribution(1)))  # its lease is from before
            return task_id

    async def until_stopped(two, three, task_id):
        async with labs(three) as (third,):
            await patiently(lambda: third.contribute([2]))
            await third.committed(task_id, 1)
            await third.contribute([3])
            assignment = await third.assignment()
            os.kill(two.child.pid, signal.SIGSTOP)
            await patiently(lambda: third.upload(assignment, tools.make_contribution(4)))
            os.kill(two.child.pid, signal.SIGCONT)
            await patiently(lambda: third.contribute([5]))
            return (await third.committed(task_id, 2)).checkpoint.sha256

    with ExitStack() as stack:
        one, two = (stack.enter_context(replica(tmp_path, postgres_url, name)) for name in ("one", "two"))
        assert leading(tmp_path, "one") == (1.0, "200", "serving")
        assert leading(tmp_path, "two") == (0.0, "200", "standing by")
        task_id = asyncio.run(until_killed(one, two))
        three = stack.enter_context(replica(tmp_path, postgres_url, "three"))
        checkpoint = asyncio.run(until_stopped(two, three, task_id))
        code, errors = two.end(lambda: None)
        assert code == 1
        assert "stopped, because this coordinator no longer leads" in errors
        code, errors = three.end(three.child.terminate)
        assert (code, "ERROR" in errors) == (0, False)
    assert checkpoint == tools.expected_checkpoint([[0, 1, 2], [3, 4, 5]])
    # The folder of a leader that was stopped stays to the next change: it held the lock of it.
    past = {name for file in (tmp_path / "shared").glob("*/terms") for name in file.read_text().split()}
    (term,) = (path for path in (tmp_path / "shared").iterdir() if path.name not in past)
    assert main(["doctor", "--state", str(term), "--database", postgres_url]) == 0


def test_a_leader_whose_database_falls_silent_ends_by_itself_and_another_leads(tmp_path, postgres_url):
    async def main(line, one, two):
        async with labs(one, two) as (first, second):
            task_id = await first.create(tools.make_bundle(rounds=1))
            await first.contribute([0])
            line.fall_silent()
            pending = asyncio.ensure_future(first.contribute([1]))  # the ledger's writer waits for the database too
            await patiently(lambda: second.contribute([2, 3]))
            pending.cancel()
            return (await second.committed(task_id, 1)).round

    with silence.line(postgres_url, tmp_path) as line, ExitStack() as stack:
        one = stack.enter_context(replica(tmp_path, line.url, "one"))
        two = stack.enter_context(replica(tmp_path, postgres_url, "two"))
        assert asyncio.run(main(line, one, two)) == 1
        code, errors = one.end(lambda: None)
    assert code == 1
    assert "stopped, because this coordinator no longer leads" in errors


def test_a_leader_on_a_former_primary_ends_once_another_leads_on_a_later_timeline(tmp_path, postgres_url):
    with ExitStack() as stack:
        one = stack.enter_context(replica(tmp_path, postgres_url, "one"))
        (noted,) = (tmp_path / "shared").glob(f"*/{timelines.NAME}")
        server, timeline = noted.read_text().split()
        other = tmp_path / "shared" / ("0" * 32)
        other.mkdir()
        (other / timelines.NAME).write_text(f"{server} {int(timeline) + 1}\n")
        code, errors = one.end(lambda: None)
    assert code == 1
    assert "the database is a former primary" in errors
    assert "stopped, because this coordinator no longer leads" in errors


def test_a_stand_by_shows_when_the_certificate_for_other_coordinators_ends(tmp_path, postgres_url):
    assert main(["certificates", "--out", str(tmp_path), "--replicas", "coordinators.example"]) == 0
    files = {"certificate": "replicas/certificate.pem", "key": "replicas/key.pem", "client-ca": "authority.pem"}
    options = [word for part, name in files.items() for word in (f"--replica-tls-{part}", str(tmp_path / name))]
    with closing(Lease(postgres_url, "127.0.0.1:1", 60)) as leader:
        leader.seek()
        with replica(tmp_path, postgres_url, "one", options=options):
            metrics = shown(tmp_path, "one", "/metrics")
    named = {line.split('"')[1] for line in metrics if line.startswith("fedau2_certificate_end_timestamp_seconds{")}
    assert named == {"replica_tls_certificate", "replica_tls_client_ca"}


def test_coordinators_of_one_machine_reach_each_other_by_sockets(tmp_path, postgres_url):
    async def main(*processes):
        async with labs(*processes) as (first, second):
            task_id = await second.create()
            return (await first.task(task_id)).task_id == task_id

    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:  # an address has 63 bytes at most
        names = ("one", "two")
        addresses = (f"unix:{folder}/{name}" for name in names)
        pairs = zip(names, addresses, strict=True)
        both = [stack.enter_context(replica(tmp_path, postgres_url, *pair)) for pair in pairs]
        assert asyncio.run(main(*both))


def test_a_leader_that_is_told_to_end_drains_and_hands_over(tmp_path, postgres_url):
    with ExitStack() as stack:
        one, two = (stack.enter_context(replica(tmp_path, postgres_url, name)) for name in ("one", "two"))
        code, errors = one.end(one.child.terminate)
        assert (code, "draining" in errors, "ERROR" in errors) == (0, True, False)

        async def lead():
            async with labs(two) as (lab,):
                await patiently(lambda: lab.create())

        asyncio.run(lead())
        assert leading(tmp_path, "two")[0] == 1.0


def test_a_stand_by_outlives_its_connection_and_ends_when_it_is_told_to(tmp_path, postgres_url, monkeypatch):
    monkeypatch.setattr("coordinator.commands.replica.LOOK", 0.01)
    seen = []

    async def main():
        servers = await Servers.start("127.0.0.1:0", "127.0.0.1:0")
        async with AsyncExitStack() as stack:
            stack.push_async_callback(servers.stop)
            settings = Settings(state=tmp_path, database=postgres_url, replica="127.0.0.1:0")
            standing = await Replica.start(settings, None, servers, stack)
            stack.callback(standing.release)
            stop = threading.Event()
            waiting = asyncio.ensure_future(standing.stand_by(stop))
            for state in ("standing by", "starting", "standing by"):
                while servers.health != state:
                    await asyncio.sleep(0.001)
                seen.append(state)
                if state == "standing by" and len(seen) == 1:
                    standing._lease._connection.connection.driver_connection.close()
            stop.set()
            with pytest.raises(StoppedError, match="while it stood by"):
                await waiting
            assert not standing.leads

    with closing(Lease(postgres_url, "127.0.0.1:1", 60)) as leader:
        leader.seek()
        asyncio.run(main())
