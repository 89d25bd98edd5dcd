"""The callers of `bench siege` that mean no good, as a separate process, so that they do not delay the devices.

It prints a line when all have begun, and goes on until it is ended.
"""

import asyncio
import itertools
import json
import os
import resource
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from typing import Any

import grpc

from coordinator.bench.relay import relay
from coordinator.bench.workload import PAPER, SMALL, Payload
from fedau2.v1.device_pb2 import Admission, AdmitRequest, CheckInRequest
from fedau2.v1.device_pb2_grpc import DeviceServiceStub
from fedau2.wire import addresses

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes((0, 0, 0, 4, 0, 0, 0, 0, 0))
_ACKNOWLEDGED = bytes((0, 0, 0, 4, 1, 0, 0, 0, 0))
_UPLOAD = "/fedau2.v1.DeviceService/UploadContribution"
_CHANNELS = 4
"""Connections of each network address, for calls."""


async def _idle(address: str, sources: list[str], count: int) -> list[Any]:
    """Opens HTTP/2 connections that make no call."""
    host, port = addresses.served(address)
    held = []
    for _, source in zip(range(count), itertools.cycle(sources), strict=False):
        with suppress(OSError):
            reader, writer = await asyncio.open_connection(host, port, local_addr=(source, 0))
            writer.write(_PREFACE)
            await reader.read(9)
            writer.write(_ACKNOWLEDGED)
            held.append((reader, writer))
    return held


async def _stalled(channels: list[grpc.aio.Channel], assignments: list[str]) -> list[Any]:
    """Begins uploads that stop before their last piece."""
    payload = Payload.of(PAPER.contribution(0), 65_536)
    begun = []

    async def stalling(assignment: str) -> AsyncIterator[bytes]:
        yield payload.header(bytes.fromhex(assignment))
        for piece in payload.pieces[:-1]:
            yield piece
        begun.append(assignment)
        await asyncio.Event().wait()

    pairs = zip(assignments, itertools.cycle(channels), strict=False)
    made = [channel.stream_unary(_UPLOAD, None, None)(stalling(each)) for each, channel in pairs]
    calls = [asyncio.ensure_future(call) for call in made]
    while sum(call.done() for call in calls) + len(begun) < len(calls):  # some are refused
        await asyncio.sleep(0.1)
    return calls


async def _wrong(channels: list[grpc.aio.Channel], rate: int) -> list[Any]:
    """Checks in with made-up admissions and asks for admissions with made-up tokens, so many times a second."""
    stubs = itertools.cycle([DeviceServiceStub(channel) for channel in channels])
    key = (await next(stubs).CheckIn(CheckInRequest(population=SMALL.name))).rejection.admission

    async def call(stub: Any) -> None:  # noqa: ANN401 - it has no type
        made_up = Admission(message=os.urandom(64), signature=b"\0" + os.urandom(255))
        with suppress(grpc.aio.AioRpcError):
            await stub.CheckIn(CheckInRequest(population=SMALL.name, admission=made_up))
            evidence, blinded = os.urandom(300), b"\0" + os.urandom(255)
            await stub.Admit(AdmitRequest(population=SMALL.name, key=key, evidence=evidence, blinded=blinded))

    async def on_and_on() -> None:
        start = asyncio.get_running_loop().time()
        for number in itertools.count():
            await asyncio.sleep(max(0, start + 2 * number / rate - asyncio.get_running_loop().time()))
            running.add(task := asyncio.create_task(call(next(stubs))))
            task.add_done_callback(running.discard)

    running: set[asyncio.Task[None]] = set()
    return [asyncio.create_task(on_and_on()), running]


async def _besiege(kind: str, address: str, sources: list[str], load: Any) -> None:  # noqa: ANN401
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    async with AsyncExitStack() as stack:
        if kind == "idle":
            held = await _idle(address, sources, load)
        else:
            relays = [await stack.enter_async_context(relay(address, source)) for source in sources]
            options = [("grpc.use_local_subchannel_pool", 1)]
            channels = [grpc.aio.insecure_channel(each, options) for each in relays for _ in range(_CHANNELS)]
            held = await (_stalled if kind == "stalled" else _wrong)(channels, load)
        print("all have begun", flush=True)
        await asyncio.Event().wait()
        del held


if __name__ == "__main__":
    asyncio.run(_besiege(*json.loads(sys.argv[1])))
