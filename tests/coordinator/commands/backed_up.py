"""A folder that a killed coordinator left, its backup, and the two commands."""

import asyncio
import os
import signal

import pytest

from coordinator.cli import main
from tests.coordinator import conftest as tools


def backup(state, place):
    return main(["backup", "--state", str(state), "--to", str(place)])


def restore(place, state):
    return main(["restore", "--from", str(place), "--state", str(state)])


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture(scope="module")
def state(tmp_path_factory):
    """A folder that a killed coordinator left: one round committed, two contributions to the next."""
    folder = tmp_path_factory.mktemp("made") / "state"
    process = tools.Process(folder)

    async def begin():
        async with tools.connect(process.devices, process.admin) as lab:
            task_id = await lab.create()
            await lab.contribute([0, 1, 2])
            await lab.committed(task_id, 1)
            await lab.contribute([3, 4])

    asyncio.run(begin())
    process.end(lambda: os.kill(process.child.pid, signal.SIGKILL))
    return folder


@pytest.fixture(scope="module")
def made(state):
    """A backup of this folder."""
    assert backup(state, state.parent / "backup") == 0
    return state.parent / "backup"
