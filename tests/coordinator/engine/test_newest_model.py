"""A rejection names the newest model, so that devices without a place can fetch it."""

import asyncio

import pytest

from fedau2.v1.device_pb2 import (
    REJECTION_REASON_CLIENT_VERSION,
    REJECTION_REASON_NO_TASK,
    REJECTION_REASON_PAUSED,
    REJECTION_REASON_ROUND_FULL,
)
from fedau2.v1.task_pb2 import ClientVersions
from fedau2.wire import blobs


async def rejected(lab, reason):
    """The model that a rejection for this reason names."""
    rejection = (await lab.check_in()).rejection
    assert rejection.reason == reason
    return rejection.model


async def assert_newest(lab, task_id, model):
    task = await lab.task(task_id)
    assert (model.task_id, model.round, model.manifest, model.checkpoint) == (
        task_id,
        task.round,
        task.manifest,
        task.checkpoint,
    )
    for resource in (model.manifest, model.checkpoint):
        blobs.check(await lab.fetch(resource.sha256), resource)


def test_a_full_a_paused_and_a_finished_task_name_their_newest_model(tools, tmp_path, transport):
    async def main():
        async with tools.open_lab(tmp_path, transport) as lab:
            task_id = await lab.create(tools.make_bundle(rounds=2, closing=tools.closing(1, over_selection=0)))
            first = await lab.assignment()
            await assert_newest(lab, task_id, await rejected(lab, REJECTION_REASON_ROUND_FULL))
            await lab.upload(first, tools.make_contribution(0))
            await lab.committed(task_id, 1)
            await lab.pause(task_id)
            model = await rejected(lab, REJECTION_REASON_PAUSED)
            assert model.round == 1
            await assert_newest(lab, task_id, model)
            await lab.resume(task_id)
            await lab.contribute([1])
            await lab.committed(task_id, 2)
            await assert_newest(lab, task_id, await rejected(lab, REJECTION_REASON_NO_TASK))
            return task_id, await lab.task(task_id)

    async def again(task_id, task):
        async with tools.open_lab(tmp_path, transport) as lab:
            await assert_newest(lab, task_id, await rejected(lab, REJECTION_REASON_NO_TASK))
            newer = await lab.create(tools.make_bundle(closing=tools.closing(1, over_selection=0)))
            await lab.assignment()
            await assert_newest(lab, newer, await rejected(lab, REJECTION_REASON_ROUND_FULL))
            (tmp_path / "blobs" / task.checkpoint.sha256.hex()).unlink()
            await lab.stop(newer)
            await assert_newest(lab, newer, await rejected(lab, REJECTION_REASON_NO_TASK))

    asyncio.run(again(*asyncio.run(main())))


@pytest.mark.parametrize("kind", ["manifest", "checkpoint"])
def test_a_model_that_is_lost_is_not_named(tools, tmp_path, kind):
    async def main():
        async with tools.open_lab(tmp_path) as lab:
            task_id = await lab.create()
            await lab.stop(task_id)
            task = await lab.task(task_id)
            (tmp_path / "blobs" / getattr(task, kind).sha256.hex()).unlink()
            rejection = (await lab.check_in()).rejection
            assert rejection.reason == REJECTION_REASON_NO_TASK
            assert not rejection.HasField("model")

    asyncio.run(main())


def test_nobody_is_sent_a_model_of_another_population_or_one_that_its_version_may_not_train(tools, tmp_path):
    async def main():
        async with tools.open_lab(tmp_path) as lab:
            await lab.create(tools.make_bundle(versions=ClientVersions(below="2")))
            other = (await lab.check_in("books")).rejection
            assert other.reason == REJECTION_REASON_NO_TASK
            assert not other.HasField("model")
            late = (await lab.check_in(version="2")).rejection
            assert late.reason == REJECTION_REASON_CLIENT_VERSION
            assert not late.HasField("model")

    asyncio.run(main())
