"""One network address holds so many connections and no more, and the newest end."""

import asyncio
import resource
import socket
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import pytest

from coordinator.grpc.connections import Connections
from fedau2.wire import addresses

pytestmark = pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="Linux lists a process's sockets")

MOST = 5
FILES = 64


def connect(stack, target, source, count):
    """Opens connections that say nothing."""
    opened = [socket.create_connection(addresses.served(target), source_address=(source, 0)) for _ in range(count)]
    for connection in opened:
        stack.enter_context(connection)
        connection.setblocking(False)
    return opened


def is_open(connection):
    try:
        while connection.recv(4096):
            pass
    except BlockingIOError:
        return True
    except ConnectionResetError:
        pass
    return False


async def looked(connections, count):
    """Looks until so many connections have ended, and once more."""
    ended = Counter()
    while ended.total() < count:
        ended += await asyncio.to_thread(connections.look)
        await asyncio.sleep(0)
    return ended + await asyncio.to_thread(connections.look)


def listed(port):
    """Counts the connections to a port that have been accepted."""
    files = [Path("/proc/self/net", name) for name in ("tcp", "tcp6")]
    fields = [line.split() for file in files if file.exists() for line in file.read_text().splitlines()[1:]]
    return sum(int(each[1].rpartition(":")[2], 16) == port and each[3] == "01" and each[9] != "0" for each in fields)


def test_the_newest_connections_of_an_address_end_and_all_others_stay(tools, tmp_path):
    async def run():
        with ExitStack() as stack:
            async with tools.open_lab(tmp_path, "grpc") as lab:
                await lab.create()
                target = lab.link.devices_address
                port = addresses.served(target)[1]
                connections = Connections([port], MOST, lambda address, count: None)
                await lab.check_in()
                here = listed(port)
                first = connect(stack, target, "127.0.0.2", MOST)
                others = connect(stack, target, "127.0.0.3", MOST)
                unlimited = connect(stack, target, "127.0.0.1", 2 * MOST)
                while listed(port) < here + 4 * MOST:
                    await asyncio.sleep(0.001)
                assert not await looked(connections, 0)
                newer = connect(stack, target, "127.0.0.2", 3)
                assert await looked(connections, 3) == {"127.0.0.2": 3}
                while any(map(is_open, newer)):
                    await asyncio.sleep(0.001)
                assert all(map(is_open, [*first, *others, *unlimited]))
                assert (await lab.check_in()).HasField("assignment")
                first[0].close()
                while listed(port) > here + 4 * MOST - 1:
                    await asyncio.sleep(0.001)
                again = connect(stack, target, "127.0.0.2", 1)
                while listed(port) < here + 4 * MOST:
                    await asyncio.sleep(0.001)
                assert not await looked(connections, 0)
                assert is_open(again[0])

    asyncio.run(run())


def test_an_address_that_has_used_up_all_open_files_does_not_keep_others_out(tools, tmp_path):
    process = tools.Process(tmp_path / "state", "--address-connections", str(MOST))

    async def run(stack):
        async with tools.connect(process.devices, process.admin) as lab:
            task_id = await lab.create(tools.make_bundle(rounds=1, closing=tools.closing(1)))
            resource.prlimit(process.child.pid, resource.RLIMIT_NOFILE, (FILES, FILES))
            idle = connect(stack, process.devices, "127.0.0.2", 2 * FILES)
            while sum(map(is_open, idle)) > MOST:
                await asyncio.sleep(0.01)
            assert (await lab.upload(await lab.assignment(), tools.make_contribution(0))).HasField("next_check_in")
            await lab.committed(task_id, 1)
            assert sum(map(is_open, idle)) == MOST

    try:
        with ExitStack() as stack:
            asyncio.run(run(stack))
    finally:
        code, errors = process.end(process.child.terminate)
    assert code == 0
    assert "calls of 127.0.0.2 are turned away: limit connections" in errors


def test_a_number_that_is_no_socket_any_more_is_left_alone(tmp_path, monkeypatch):
    connections = Connections([1], MOST, lambda address, count: None)
    connections.look()
    with (tmp_path / "file").open("w") as file:
        monkeypatch.setattr(connections, "_listed", lambda: ({}, [file.fileno()]))
        before = len(list(Path("/proc/self/fd").iterdir()))
        for _ in range(5):
            assert not connections.look()
        assert len(list(Path("/proc/self/fd").iterdir())) == before
        file.write("still open")
