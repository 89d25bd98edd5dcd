"""Callers who keep the coordinator waiting: their connections end, and nobody else's."""

import asyncio
from pathlib import Path

import pytest

pytest.importorskip("connectrpc", reason="the extra web is not installed")

from coordinator.grpc.connections import Connections
from coordinator.grpc.writing import SILENCE
from coordinator.web import server
from coordinator.web.connections import LONGEST
from fedau2.v1 import device_pb2
from fedau2.wire import addresses, blobs
from tests.coordinator.web.caller import STREAM, UNARY, enveloped
from tests.coordinator.web.labs import open_web

FETCH = "/fedau2.v1.DeviceService/FetchResource"
PART = "/fedau2.v1.DeviceService/UploadPart"


class Clock:
    """Stands still until a test says otherwise."""

    def __init__(self):
        self.now = 5.0

    def __call__(self):
        return self.now


def head(path, size, kind=UNARY):
    return f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: {kind}\r\nContent-Length: {size}\r\n\r\n".encode()


async def connected(lab):
    return await asyncio.open_connection(*addresses.served(lab.web.address))


async def looks(lab, clock, after):
    """Lets the server look at its connections before and after some seconds have passed."""
    for seconds in (0, after):
        clock.now += seconds
        await lab.web._cut_off()


async def gone(reader):
    """Whether the connection has ended."""
    try:
        return await reader.read() == b""
    except ConnectionResetError:
        return True


@pytest.mark.parametrize(
    "sent", [b"", b"POST /", head(PART, 9), head(PART, 9) + b"four", head(FETCH, 9, STREAM) + b"x"]
)
def test_a_caller_who_sends_nothing_more_is_cut_off(tmp_path, sent):
    async def run():
        async with open_web(tmp_path, clock=(clock := Clock())) as lab:
            reader, writer = await connected(lab)
            writer.write(sent)
            while not (open_ := lab.web._connections()) or open_[0]._came < len(sent):
                await asyncio.sleep(0)
            await looks(lab, clock, SILENCE)
            assert lab.web._connections() == open_
            await looks(lab, clock, 0.1)
            assert await gone(reader)
            writer.close()

    asyncio.run(run())


def test_bytes_of_a_body_keep_a_connection_and_bytes_of_a_head_do_not(tmp_path):
    async def run():
        async with open_web(tmp_path, clock=(clock := Clock())) as lab:
            calls = [await connected(lab) for _ in range(2)]
            body, trickle = calls
            body[1].write(head(PART, 100))
            for count in range(1, 5):
                body[1].write(b"x")
                trickle[1].write(b"P")
                while sorted(each._came for each in lab.web._connections()) != [count, len(head(PART, 100)) + count]:
                    await asyncio.sleep(0)
                await looks(lab, clock, SILENCE / 3)
            assert await gone(trickle[0])
            assert len(lab.web._connections()) == 1
            for _, writer in calls:
                writer.close()

    asyncio.run(run())


def test_a_caller_who_does_not_read_is_cut_off_and_its_fetch_ends(tmp_path):
    async def run():
        async with open_web(tmp_path, clock=(clock := Clock())) as lab:
            served = lab.coordinator.devices._blobs
            digest = served._served.put(b"x" * 2**26).sha256  # more than the buffers of both ends
            body = enveloped([device_pb2.FetchResourceRequest(sha256=digest).SerializeToString()])
            reader, writer = await connected(lab)
            writer.write(head(FETCH, len(body), STREAM) + body)
            assert (await reader.read(12)).startswith(b"HTTP/1.1 200")
            assert served._under_way == 1
            while served._under_way:  # what the buffers of the system take still moves
                await looks(lab, clock, SILENCE / 2)
                await asyncio.sleep(0)
            assert lab.web._connections() == []
            writer.close()

    asyncio.run(run())


def test_a_caller_who_waits_for_an_answer_is_not_cut_off(tools, tmp_path):
    async def run():
        async with open_web(tmp_path, clock=(clock := Clock()), upload_memory=1) as lab:
            await lab.create()
            lease, data = await lab.assignment(), tools.make_contribution(0)
            uploads = lab.coordinator.devices._uploads
            header = device_pb2.UploadHeader(assignment_id=b"other", size=2**20)
            async with uploads.body(header, 2**20, lab.coordinator._clock(), 2000.0):
                waiting = asyncio.create_task(lab.part(lease, data))
                while not uploads._waiting:  # the part is there, and has no room
                    await asyncio.sleep(0.001)
                await looks(lab, clock, 10 * SILENCE)
                assert not waiting.done()
            assert (await waiting).HasField("done")

    asyncio.run(run())


def test_a_connection_ends_some_time_whatever_it_does(tmp_path):
    async def run():
        async with open_web(tmp_path, clock=(clock := Clock())) as lab:
            reader, writer = await connected(lab)
            writer.write(head(PART, 2**20))
            while not lab.web._connections():
                await asyncio.sleep(0)
            (connection,) = lab.web._connections()
            await looks(lab, clock, 0)
            while clock.now < 5.0 + LONGEST:
                came = connection._came
                writer.write(b"x")
                while connection._came == came:
                    await asyncio.sleep(0)
                await looks(lab, clock, SILENCE)
            assert lab.web._connections() == [connection]
            await looks(lab, clock, 1)
            assert await gone(reader)
            writer.close()

    asyncio.run(run())


def test_a_part_whose_connection_broke_in_its_body_changes_nothing(tools, tmp_path):
    async def run():
        async with open_web(tmp_path) as lab:
            await lab.create()
            lease, data = await lab.assignment(), tools.make_contribution(0)
            await lab.part(lease, data, 0, 9)
            _, writer = await connected(lab)
            writer.write(head(PART, 100) + b"x" * 50)
            await writer.drain()
            writer.close()
            while len(lab.web._connections()) > 0:
                await asyncio.sleep(0)
            assert await lab.offset(lease, blobs.sha256(data)) == 9
            assert (await lab.part(lease, data, 9)).HasField("done")

    asyncio.run(run())


def test_more_connections_than_there_may_be_are_asked_to_come_back(tmp_path, monkeypatch):
    monkeypatch.setattr(server, "MOST", 4)

    async def run():
        async with open_web(tmp_path) as lab:
            await lab.create()
            idle = [await connected(lab) for _ in range(4)]
            while len(lab.web._connections()) < 4:
                await asyncio.sleep(0)
            answer = await lab.link.post("/fedau2.v1.DeviceService/CheckIn")
            assert answer.status == 503
            for _, writer in idle:
                writer.close()
            while len(lab.web._connections()) > 0:
                await asyncio.sleep(0)
            assert (await lab.check_in()).HasField("assignment")

    asyncio.run(run())


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="Linux lists a process's sockets")
def test_the_newest_connections_of_one_address_end(tmp_path):
    async def run():
        async with open_web(tmp_path) as lab:
            host, port = addresses.served(lab.web.address)
            connections = Connections([port], 2, lambda address, count: None)
            first = [await asyncio.open_connection(host, port, local_addr=("127.0.0.2", 0)) for _ in range(2)]
            while len(lab.web._connections()) < 2:
                await asyncio.sleep(0)
            assert not connections.look()
            newer, writer = await asyncio.open_connection(host, port, local_addr=("127.0.0.2", 0))
            while len(lab.web._connections()) < 3:
                await asyncio.sleep(0)
            assert connections.look() == {"127.0.0.2": 1}
            assert await gone(newer)
            while len(lab.web._connections()) > 2:
                await asyncio.sleep(0)
            for each in (writer, *(writer for _, writer in first)):
                each.close()

    asyncio.run(run())
