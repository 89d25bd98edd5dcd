"""What a task asks of its devices reaches them: versions, minimum separation; and a clock that was set back."""

import asyncio

import pytest

from fedau2.v1.device_pb2 import FAILURE_REASON_TOO_SOON, REJECTION_REASON_CLIENT_VERSION
from fedau2.v1.task_pb2 import ClientVersions
from fedau2.wire.status import Status, StatusError


def test_versions_outside_the_range_are_turned_away_for_long_also_after_a_restart(tools, tmp_path, transport):
    versions = ClientVersions(minimum="0.9", below="2")

    async def check(lab, task_id):
        assert (await lab.task(task_id)).versions == versions
        for version in ("0.8", "2", "1.2.dev0", "", "newest"):
            rejection = (await lab.check_in(version=version)).rejection
            assert rejection.reason == REJECTION_REASON_CLIENT_VERSION, version
            assert rejection.retry.delay_min.seconds >= 3600
        for version in ("0.9", "0.10", "1.99.0"):
            assert (await lab.check_in(version=version)).WhichOneof("result") == "assignment", version

    async def main():
        async with tools.open_lab(tmp_path, transport) as lab:
            task_id = await lab.create(tools.make_bundle(versions=versions, closing=tools.closing(10)))
            await check(lab, task_id)
        async with tools.open_lab(tmp_path, transport) as lab:
            await check(lab, task_id)

    asyncio.run(main())


@pytest.mark.parametrize("versions", [{"minimum": "one"}, {"below": "2.*"}, {"minimum": "2", "below": "2.0"}])
def test_a_range_that_cannot_be_meant_makes_no_task(tools, tmp_path, transport, versions):
    async def main():
        async with tools.open_lab(tmp_path, transport) as lab:
            with pytest.raises(StatusError, match="client versions") as refused:
                await lab.create(tools.make_bundle(versions=ClientVersions(**versions)))
            assert refused.value.status == Status.INVALID_ARGUMENT

    asyncio.run(main())


def test_a_device_is_asked_back_when_the_plan_lets_it_contribute_again(tools, tmp_path):
    async def main():
        clock, bundle = tools.Clock(), tools.make_bundle()
        bundle.manifest.plan.minimum_separation = 4
        async with tools.open_lab(tmp_path, clock=clock) as lab:
            task_id = await lab.create(bundle)
            assignments = [await lab.assignment() for _ in range(3)]
            clock.now += 50
            for seed, assignment in enumerate(assignments):
                await lab.upload(assignment, tools.make_contribution(seed))
            await lab.committed(task_id, 1)  # rounds take 50 seconds
            first, second = await lab.assignment(), await lab.assignment()
            contributed = (await lab.upload(first, tools.make_contribution(3))).next_check_in
            early = (await lab.fail(second, FAILURE_REASON_TOO_SOON)).next_check_in
            assert contributed.delay_min.seconds == 50 + 3 * 50
            assert 50 <= early.delay_min.seconds < 100

    asyncio.run(main())


def test_a_clock_that_was_set_back_blocks_no_round(tools, tmp_path):
    async def main():
        clock = tools.Clock()
        async with tools.open_lab(tmp_path, clock=clock) as lab:
            task_id = await lab.create(tools.make_bundle(closing=tools.closing(3, minimum=1)))
            kept, lost = await lab.assignment(), await lab.assignment()
            await lab.upload(kept, tools.make_contribution(0))
        clock.now -= 900
        async with tools.open_lab(tmp_path, clock=clock) as lab:
            clock.now += 99
            await lab.check_in()
            assert (await lab.task(task_id)).live_leases == 2
            clock.now += 1
            with pytest.raises(StatusError, match="lease is over"):
                await lab.upload(lost, tools.make_contribution(1))
            clock.now += 900
            await lab.check_in()
            task = await lab.committed(task_id, 1)
            assert task.checkpoint.sha256 == tools.expected_checkpoint([[0]])

    asyncio.run(main())
