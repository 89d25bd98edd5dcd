"""What refuses must change nothing."""

from contextlib import asynccontextmanager

import pytest

from fedau2.wire.status import StatusError


@asynccontextmanager
async def undisturbed(tools, folder, transport="inproc", **options):
    """A lab with one contribution and a lease out; what is refused in it must change nothing and cost no place."""

    def files():
        return {path for path in folder.rglob("*") if path.is_file() and "ledger" not in path.name}

    async with tools.open_lab(folder, transport, **options) as lab:
        task_id = await lab.create()
        lab.reported = await lab.assignment()
        await lab.upload(lab.reported, tools.make_contribution(0))
        lab.lease = await lab.assignment()
        before = await lab.task(task_id), files()

        async def unchanged():
            assert (await lab.task(task_id), files()) == before

        lab.unchanged = unchanged
        yield lab
        await unchanged()
        await lab.upload(lab.lease, tools.make_contribution(1))
        await lab.contribute([2])
        task = await lab.committed(task_id, 1)
    assert task.checkpoint.sha256 == tools.expected_checkpoint([[0, 1, 2]])


async def refused(call, status, match):
    with pytest.raises(StatusError, match=match) as caught:
        await call
    assert caught.value.status == status
    return caught.value
