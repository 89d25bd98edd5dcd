"""A file system that is really full."""

import asyncio
import shutil
import subprocess

import pytest

from coordinator.errors import StoppedError

GOAL = 300


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 1 MiB, and how to make it larger."""

    def mount(options):
        return subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], capture_output=True)

    folder = tmp_path / "disk"
    folder.mkdir()
    if shutil.which("mount") is None or mount("size=1m").returncode:
        pytest.skip("this user may not mount a small file system")
    yield folder, lambda: mount("remount,size=64m").check_returncode()
    subprocess.run(["umount", str(folder)], check=True)


def test_on_a_full_disk_it_stops_and_with_room_again_goes_on_to_the_same_bytes(tools, small_disk):
    folder, enlarge = small_disk
    assignments, acknowledged = {}, set()

    async def contribute(lab, seed):
        if seed not in assignments:
            assignments[seed] = await lab.assignment()
        await lab.upload(assignments[seed], tools.make_contribution(seed))
        acknowledged.add(seed)

    async def fill():
        async with tools.open_lab(folder / "state") as lab:
            task_id = await lab.create(tools.make_bundle(closing=tools.closing(GOAL)))
            while not lab.coordinator.failure:
                seeds = range(len(acknowledged), len(acknowledged) + 10)
                calls = [contribute(lab, seed) for seed in seeds]
                for result in await asyncio.gather(*calls, return_exceptions=True):
                    assert result is None or (isinstance(result, StoppedError) and "could not write" in str(result))
            return task_id

    async def go_on(task_id):
        async with tools.open_lab(folder / "state") as lab:
            assert (await lab.task(task_id)).reported >= len(acknowledged)
            for seed in range(GOAL):
                await contribute(lab, seed)
            return (await lab.committed(task_id, 1)).checkpoint.sha256

    task_id = asyncio.run(fill())
    assert 0 < len(acknowledged) < GOAL
    enlarge()
    assert asyncio.run(go_on(task_id)) == tools.expected_checkpoint([range(GOAL)])
