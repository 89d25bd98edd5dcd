"""A stand-by answers as the leader does, over real gRPC."""

import asyncio

import pytest

from coordinator.bench.relay import relay
from coordinator.model.limits import AddressLimits
from fedau2.wire import blobs
from fedau2.wire.status import StatusError
from tests.coordinator import conftest as tools
from tests.coordinator.grpc.pairs import pair


def test_a_task_through_a_stand_by_ends_in_the_same_bytes(tmp_path):
    async def main():
        async with pair(tmp_path) as two, tools.connect(two.stand_by.devices, two.stand_by.admin) as lab:
            task_id = await lab.create(tools.make_bundle(rounds=1))
            data = tools.make_contribution(0)
            assignment = await lab.assignment()
            for start in range(0, len(data), 100):
                await lab.part(assignment, data, start, start + 100)
            assert await lab.offset(assignment, blobs.sha256(data)) == 0  # it is whole
            given_back = await lab.assignment()
            await lab.fail(given_back)
            await lab.contribute([1, 2])
            task = await lab.committed(task_id, 1)
            async with tools.connect(two.leader.devices, two.leader.admin) as direct:
                assert await direct.task(task_id) == task
                assert await direct.rounds(task_id) == await lab.rounds(task_id)
            checkpoint = await lab.fetch(task.checkpoint.sha256)
            assert await lab.fetch(task.checkpoint.sha256, 7) == checkpoint[7:]
            return blobs.sha256(checkpoint)

    assert asyncio.run(main()) == tools.expected_checkpoint([[0, 1, 2]])


def test_a_refusal_is_that_of_the_leader_with_its_window(tmp_path):
    async def refusal(call):
        with pytest.raises(StatusError) as caught:
            await call
        return caught.value.status, str(caught.value), caught.value.retry is not None

    async def main():
        async with (
            pair(tmp_path) as two,
            tools.connect(two.leader.devices, two.leader.admin) as direct,
            tools.connect(two.stand_by.devices, two.stand_by.admin) as passed,
        ):
            await direct.create()
            assignment = await direct.assignment()
            await direct.upload(assignment, tools.make_contribution(0))
            strange = type(assignment)(assignment_id=b"0" * 16)
            for lab_call in (
                lambda lab: lab.upload(assignment, tools.make_contribution(1)),
                lambda lab: lab.upload(strange, tools.make_contribution(1)),
                lambda lab: lab.upload(assignment, b"", sha256=b"short"),
                lambda lab: lab.fetch(b"1" * 32),
                lambda lab: lab.create(),
                lambda lab: lab.pause("nothing"),
            ):
                assert await refusal(lab_call(passed)) == await refusal(lab_call(direct))

    asyncio.run(main())


def test_an_upload_that_breaks_off_at_a_stand_by_goes_on_at_the_leader(tmp_path):
    data = tools.make_contribution(0)

    async def beginning(assignment):
        async for request in tools.upload_requests(assignment.assignment_id, data):
            if request.data:
                request.data = request.data[:100]
            yield request
        await asyncio.Event().wait()

    async def main():
        async with (
            pair(tmp_path) as two,
            tools.connect(two.stand_by.devices, two.stand_by.admin) as lab,
            tools.connect(two.leader.devices, two.leader.admin) as direct,
        ):
            await lab.create()
            assignment, held = await lab.assignment(), 0
            while not held:  # the bytes may not have come before the call broke off
                call = asyncio.ensure_future(lab.link.upload_call(beginning(assignment)))
                while not two.coordinator.devices.receiving:
                    await asyncio.sleep(0.001)
                call.cancel()
                while two.coordinator.devices.receiving:
                    await asyncio.sleep(0.001)
                held = await direct.offset(assignment, blobs.sha256(data))
            await direct.upload(assignment, data, offset=held)

    asyncio.run(main())


def test_without_a_leader_and_when_it_dies_callers_are_asked_to_come_back(tmp_path):
    async def main():
        async with pair(tmp_path) as two, tools.connect(two.stand_by.devices, two.stand_by.admin) as lab:
            await lab.create()
            await two.peers.server.stop(0)
            for text in ("does not answer", "no coordinator leads"):
                with pytest.raises(StatusError, match=text) as caught:
                    await lab.check_in()
                assert caught.value.status.name == "UNAVAILABLE"
                assert caught.value.retry is not None
                await two.line.turn("")

    asyncio.run(main())


def test_a_call_to_a_leader_that_sleeps_is_answered_when_another_leads(tmp_path):
    async def main():
        async with pair(tmp_path) as two, tools.connect(two.stand_by.devices, two.stand_by.admin) as lab:
            await lab.create()
            assignment = await lab.assignment()

            async def stalled():
                async for request in tools.upload_requests(assignment.assignment_id, tools.make_contribution(0)):
                    yield request
                    await asyncio.Event().wait()

            calls = [asyncio.ensure_future(answer(lab.link.upload_call(stalled())))]
            while not two.coordinator.devices.receiving:
                await asyncio.sleep(0.001)
            await two.line.turn("")
            return await asyncio.gather(*calls)

    assert asyncio.run(main()) == ["the leading coordinator does not answer; try again later"]


def test_a_coordinator_that_does_not_lead_answers_no_stand_by(tmp_path):
    async def main():
        async with pair(tmp_path) as two, tools.connect(two.stand_by.devices, two.stand_by.admin) as lab:
            await lab.create()
            two.leader.door.coordinator = None
            with pytest.raises(StatusError, match="is starting"):
                await lab.check_in()

    asyncio.run(main())


def test_an_address_has_its_limits_once_whichever_coordinators_it_calls(tmp_path):
    async def greedy(address):
        async with relay(address, "127.0.0.2") as through, tools.connect(through, through) as lab:
            return [await answer(lab.check_in()) for _ in range(4)]

    async def main():
        async with (
            pair(tmp_path, limits=AddressLimits(rate=0.3), clock=tools.Clock()) as two,
            tools.connect(two.stand_by.devices, two.stand_by.admin) as lab,
        ):
            await lab.create()
            answers = [*await greedy(two.stand_by.devices), *await greedy(two.leader.devices)]
            for _ in range(5):
                await lab.check_in()
        return answers

    turned_away = "too many calls come from this network address; try again later"
    assert asyncio.run(main()) == [""] * 3 + [turned_away] * 5


async def answer(call):
    try:
        await call
    except StatusError as error:
        return str(error) if error.retry is not None else "without a window"
    return ""


def test_uploads_of_an_address_are_counted_over_all_coordinators(tmp_path):
    async def main():
        async with (
            pair(tmp_path, limits=AddressLimits(bytes=10)) as two,
            relay(two.stand_by.devices, "127.0.0.2") as address,
            tools.connect(two.leader.devices, two.stand_by.admin) as lab,
            tools.connect(address, two.stand_by.admin) as other,
        ):
            await lab.create()
            first, second, data = await lab.assignment(), await lab.assignment(), tools.make_contribution(0)

            async def stalled():
                async for request in tools.upload_requests(first.assignment_id, data):
                    yield request
                    await over.wait()

            over = asyncio.Event()
            under_way = asyncio.ensure_future(other.link.upload_call(stalled()))
            while not two.coordinator.devices.receiving:
                await asyncio.sleep(0.001)
            assert "too many uploads of this network address" in await answer(other.upload(second, data))
            await lab.upload(second, data)
            over.set()
            await under_way

    asyncio.run(main())
