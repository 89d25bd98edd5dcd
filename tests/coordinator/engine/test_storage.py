"""Recovery holds one contribution in memory at a time."""

import asyncio
import tracemalloc
from contextlib import closing
from threading import Event

import numpy as np
import pytest

from coordinator.commands.replica import Alone
from coordinator.commands.serve import _opened
from coordinator.commands.settings import Settings
from coordinator.engine.storage import Storage
from coordinator.errors import StoppedError
from coordinator.metrics.metrics import Metrics
from fedau2.wire import blobs, contributions

SHAPE = [64, 64]
SIZE = 4 * 64 * 64
"""Bytes of a contribution, nearly."""


def large_bundle(tools, goal):
    bundle = tools.make_bundle(closing=tools.closing(goal))
    next(each for each in bundle.manifest.tensors if each.name == "tower").shape[:] = SHAPE
    checkpoint = blobs.unpack(bundle.blobs.pop(bundle.manifest.checkpoint.sha256))
    data = blobs.pack({**checkpoint, "tower": np.zeros(SHAPE, np.float32)})
    bundle.manifest.checkpoint.CopyFrom(blobs.resource(data))
    bundle.blobs[blobs.sha256(data)] = data
    return bundle


def recovery_peak(tools, folder, count):
    """Bytes that recovery of an open round with so many contributions takes at most."""

    async def fill():
        async with tools.open_lab(folder) as lab:
            await lab.create(large_bundle(tools, count + 1))
            assignments = await asyncio.gather(*(lab.assignment() for _ in range(count)))
            data = contributions.encode({"tower": np.ones(SHAPE, np.float32)})
            await asyncio.gather(*(lab.upload(assignment, data) for assignment in assignments))

    asyncio.run(fill())
    with closing(Storage(folder, Metrics())) as storage:
        tracemalloc.start()
        (task,) = storage.recover(0.0, Event()).open_tasks()
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert task.round.reported == count
    return peak


def test_recovery_takes_no_more_memory_for_more_contributions(tools, tmp_path):
    recovery_peak(tools, tmp_path / "first", 1)  # what is loaded once
    few, many = (recovery_peak(tools, tmp_path / str(count), count) for count in (20, 220))
    assert many - few < 200 * SIZE / 10  # leases are kept, contributions are not


def test_recovery_ends_when_it_is_told_to_and_can_be_repeated(tools, tmp_path):
    recovery_peak(tools, tmp_path, 2)
    stop = Event()
    stop.set()
    with closing(Storage(tmp_path, Metrics())) as storage, pytest.raises(StoppedError):
        storage.recover(0.0, stop)

    async def told():
        signals = asyncio.Queue()
        signals.put_nowait(15)
        settings = Settings(state=tmp_path)
        return await _opened(settings, Alone(settings), None, signals)

    assert asyncio.run(told()) is None
    with closing(Storage(tmp_path, Metrics())) as storage:  # nobody holds the folder
        (task,) = storage.recover(0.0, Event()).open_tasks()
        assert task.round.reported == 2
