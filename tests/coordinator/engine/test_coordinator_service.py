"""Rounds end to end, in process and over gRPC."""

import asyncio
import os
import threading

import pytest

from coordinator.engine.coordinator import Coordinator
from coordinator.errors import CutOffError, FolderLockedError, StoppedError
from fedau2.v1 import admin_pb2, device_pb2
from fedau2.wire import blobs
from fedau2.wire.status import Status, StatusError


def test_a_task_runs_to_its_end(tools, tmp_path, transport):
    async def main():
        async with tools.open_lab(tmp_path, transport) as lab:
            task_id = await lab.create()
            for number in range(3):
                await lab.contribute([10 * number + each for each in range(3)])
                task = await lab.committed(task_id, number + 1)
            assert task.state == admin_pb2.TASK_STATE_FINISHED
            assert task.round_state == admin_pb2.ROUND_STATE_UNSPECIFIED
            response = await lab.check_in()
            assert response.rejection.reason == device_pb2.REJECTION_REASON_NO_TASK
            served = blobs.check(await lab.fetch(task.checkpoint.sha256), task.checkpoint)
            assert blobs.sha256(served) == tools.expected_checkpoint([[0, 1, 2], [10, 11, 12], [20, 21, 22]])
            return task

    task = asyncio.run(main())

    async def again():
        async with tools.open_lab(tmp_path) as lab:
            listed = await lab.link.list_tasks(admin_pb2.ListTasksRequest())
            assert list(listed.tasks) == [task]

    asyncio.run(again())


def test_an_assignment_says_all_that_a_device_needs(tools, tmp_path, transport):
    async def main():
        async with tools.open_lab(tmp_path, transport) as lab:
            bundle = tools.make_bundle()
            task_id = await lab.create(bundle)
            first, second = await lab.assignment(), await lab.assignment()
            assert (first.task_id, first.round, len(first.assignment_id)) == (task_id, 0, 16)
            assert first.assignment_id != second.assignment_id
            assert first.lease.seconds == 100
            assert first.next_check_in.delay_max.seconds > 0
            assert blobs.check(await lab.fetch(first.manifest.sha256), first.manifest) == (
                bundle.manifest.SerializeToString(deterministic=True)
            )
            assert await lab.fetch(first.checkpoint.sha256) == bundle.blobs[bundle.manifest.checkpoint.sha256]
            assert (
                await lab.fetch(first.checkpoint.sha256, offset=100)
                == (bundle.blobs[bundle.manifest.checkpoint.sha256][100:])
            )
            task = await lab.task(task_id)
            assert (task.live_leases, task.reported, task.round, task.attempt) == (2, 0, 0, 0)
            assert task.round_state == admin_pb2.ROUND_STATE_COLLECTING

    asyncio.run(main())


def test_rejections_say_why_and_when_to_come_back(tools, tmp_path, transport):
    async def main():
        async with tools.open_lab(tmp_path, transport) as lab:
            nobody = (await lab.check_in()).rejection
            await lab.create(tools.make_bundle(closing=tools.closing(1, over_selection=0.5)))
            await lab.assignment()
            full = (await lab.check_in()).rejection
            assert nobody.reason == device_pb2.REJECTION_REASON_NO_TASK
            assert full.reason == device_pb2.REJECTION_REASON_ROUND_FULL
            assert full.retry.delay_max.seconds < nobody.retry.delay_min.seconds

    asyncio.run(main())


def test_a_device_that_asks_for_no_place_takes_none(tools, tmp_path, transport):
    async def main():
        async with tools.open_lab(tmp_path, transport) as lab:
            absent = (await lab.check_in(without_place=True)).rejection
            assert absent.reason == device_pb2.REJECTION_REASON_NO_TASK
            task_id = await lab.create(tools.make_bundle(closing=tools.closing(1)))
            for _ in range(3):
                unplaced = (await lab.check_in(without_place=True)).rejection
                assert unplaced.reason == device_pb2.REJECTION_REASON_NO_PLACE_WANTED
                assert unplaced.retry.delay_min.seconds > 0
            assert (await lab.task(task_id)).live_leases == 0
            await lab.assignment()  # the only place is still free

    asyncio.run(main())


def test_arrival_order_and_absent_attributes_change_no_byte(tools, tmp_path):
    def knows(seed):
        return seed != 1

    async def main(folder, seeds):
        async with tools.open_lab(folder) as lab:
            task_id = await lab.create()
            for seed in seeds:
                await lab.upload(await lab.assignment(), tools.make_contribution(seed, knows(seed)))
            return (await lab.committed(task_id, 1)).checkpoint.sha256

    forward = asyncio.run(main(tmp_path / "a", [0, 1, 2]))
    backward = asyncio.run(main(tmp_path / "b", [2, 1, 0]))
    assert forward == backward == tools.expected_checkpoint([[0, 1, 2]], knows)


def test_the_same_upload_again_is_acknowledged_and_counted_once(tools, tmp_path, transport):
    async def main():
        async with tools.open_lab(tmp_path, transport) as lab:
            task_id = await lab.create()
            assignment, data = await lab.assignment(), tools.make_contribution(0)
            # The first is still in flight. A newer call may cut an older one off.
            answers = await asyncio.gather(*(lab.upload(assignment, data) for _ in range(5)), return_exceptions=True)
            refusals = [answer for answer in answers if isinstance(answer, BaseException)]
            assert len(refusals) < 5
            assert [refusal for refusal in refusals if "a newer call" not in str(refusal)] == []
            await lab.upload(assignment, data)
            assert (await lab.task(task_id)).reported == 1
            await lab.contribute([1, 2])
            task = await lab.committed(task_id, 1)
            await lab.upload(assignment, data)  # and after the commit
            assert task.checkpoint.sha256 == tools.expected_checkpoint([[0, 1, 2]])

    asyncio.run(main())


def test_a_round_closes_at_its_deadline_with_the_minimum(tools, tmp_path):
    async def main():
        clock = tools.Clock()
        async with tools.open_lab(tmp_path, clock=clock) as lab:
            task_id = await lab.create(tools.make_bundle(closing=tools.closing(3, minimum=2)))
            await lab.contribute([0, 1])
            clock.now += 1000
            await lab.check_in()  # any call sees what time it is
            task = await lab.committed(task_id, 1)
            assert task.checkpoint.sha256 == tools.expected_checkpoint([[0, 1]])

    asyncio.run(main())


def test_an_abandoned_attempt_keeps_its_contributions_and_leases(tools, tmp_path):
    async def main():
        clock = tools.Clock()
        async with tools.open_lab(tmp_path, clock=clock) as lab:
            bundle = tools.make_bundle(closing=tools.closing(3, lease=5000))
            task_id = await lab.create(bundle)
            late = await lab.assignment()
            await lab.contribute([0])
            clock.now += 1000
            await lab.contribute([1])
            task = await lab.task(task_id)
            assert (task.attempt, task.reported, task.live_leases) == (1, 2, 1)
            assert task.checkpoint == bundle.manifest.checkpoint
            await lab.upload(late, tools.make_contribution(2))
            task = await lab.committed(task_id, 1)
            assert task.checkpoint.sha256 == tools.expected_checkpoint([[0, 1, 2]])

    asyncio.run(main())


def test_only_this_version_and_the_last_are_kept(tools, tmp_path):
    async def main():
        async with tools.open_lab(tmp_path) as lab:
            bundle = tools.make_bundle(rounds=4)
            task_id, checkpoints = await lab.create(bundle), []
            for number in range(4):
                await lab.contribute([3 * number + each for each in range(3)])
                checkpoints.append((await lab.committed(task_id, number + 1)).checkpoint.sha256)
            kept = {*checkpoints[-2:], *bundle.blobs, lab_manifest(bundle)}
            assert {path.name for path in (tmp_path / "blobs").iterdir()} == {sha256.hex() for sha256 in kept}
            assert len(list((tmp_path / "server-state").iterdir())) == 2
            assert list((tmp_path / "log").iterdir()) == []

    asyncio.run(main())


def lab_manifest(bundle):
    return blobs.sha256(bundle.manifest.SerializeToString(deterministic=True))


def test_server_state_is_never_served(tools, tmp_path):
    async def main():
        async with tools.open_lab(tmp_path) as lab:
            task_id = await lab.create()
            await lab.contribute([0, 1, 2])
            await lab.committed(task_id, 1)
            states = list((tmp_path / "server-state").iterdir())
            assert states
            for path in states:
                with pytest.raises(StatusError) as refused:
                    await lab.fetch(bytes.fromhex(path.name))
                assert refused.value.status == Status.NOT_FOUND

    asyncio.run(main())


def test_two_populations_train_beside_each_other(tools, tmp_path):
    async def main():
        async with tools.open_lab(tmp_path) as lab:
            movies, books = await lab.create(), await lab.create(tools.make_bundle(population="books"))
            await lab.contribute([0, 1, 2])
            task = await lab.committed(movies, 1)
            assert task.checkpoint.sha256 == tools.expected_checkpoint([[0, 1, 2]])
            assert (await lab.task(books)).round == 0
            assignment = (await lab.check_in("books")).assignment
            assert (assignment.task_id, assignment.round) == (books, 0)
            assert len(await lab.fetch(assignment.checkpoint.sha256)) == assignment.checkpoint.size

    asyncio.run(main())


def test_a_population_may_have_its_next_task_after_the_first(tools, tmp_path):
    async def main():
        async with tools.open_lab(tmp_path) as lab:
            first = await lab.create(tools.make_bundle(rounds=1))
            await lab.contribute([0, 1, 2])
            await lab.committed(first, 1)
            second = await lab.create(tools.make_bundle(rounds=1))
            await lab.contribute([0, 1])
            assert (await lab.task(first)).reported == 0
            assert (await lab.task(second)).reported == 2

    asyncio.run(main())


def test_an_upload_whose_stream_dies_is_forgotten(tools, tmp_path):
    class GoneError(Exception):
        pass

    async def dying(assignment, data):
        requests = tools.upload_requests(assignment.assignment_id, data)
        yield await anext(requests)
        raise GoneError

    async def main():
        async with tools.open_lab(tmp_path) as lab:
            task_id = await lab.create()
            assignment, data = await lab.assignment(), tools.make_contribution(0)
            with pytest.raises(GoneError):
                await lab.link.upload_call(dying(assignment, data))
            await lab.upload(assignment, data)
            assert (await lab.task(task_id)).reported == 1

    asyncio.run(main())


def test_a_caller_that_goes_away_leaves_no_task_half_made(tools, tmp_path):
    async def main():
        async with tools.open_lab(tmp_path) as lab:
            call = asyncio.ensure_future(lab.create())
            while not call.done() and not lab.coordinator.admin._new.changing.locked():
                await asyncio.sleep(0)
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            while (await lab.check_in()).WhichOneof("result") != "assignment":
                await asyncio.sleep(0.001)
            listed = await lab.link.list_tasks(admin_pb2.ListTasksRequest())
            assert len(listed.tasks) == 1

    asyncio.run(main())


def test_one_coordinator_per_folder(tools, tmp_path):
    async def main():
        async with tools.open_lab(tmp_path) as lab:
            with pytest.raises(FolderLockedError, match="another coordinator"):
                await Coordinator.open(tmp_path)
            await lab.create()
        async with tools.open_lab(tmp_path) as lab:
            await lab.assignment()

    asyncio.run(main())


def test_a_full_disk_acknowledges_nothing_and_turns_the_coordinator_off(tools, tmp_path, monkeypatch):
    def full(descriptor):
        raise OSError(28, "No space left on device")

    async def main():
        async with tools.open_lab(tmp_path) as lab:
            task_id = await lab.create()
            await lab.contribute([0])
            second, data = await lab.assignment(), tools.make_contribution(1)
            with monkeypatch.context() as broken:
                broken.setattr(os, "fdatasync", full)
                with pytest.raises(StoppedError, match="No space left") as refused:
                    await lab.upload(second, data)
            assert refused.value.status == Status.UNAVAILABLE
            await lab.coordinator.failed()
            for call in (lab.check_in, lambda: lab.upload(second, data), lambda: lab.task(task_id), lab.create):
                with pytest.raises(StoppedError):
                    await call()
        async with tools.open_lab(tmp_path) as lab:
            assert (await lab.task(task_id)).reported == 1
            await lab.upload(second, data)
            await lab.contribute([2])
            task = await lab.committed(task_id, 1)
            assert task.checkpoint.sha256 == tools.expected_checkpoint([[0, 1, 2]])

    asyncio.run(main())


def test_goal_many_uploads_at_once_make_one_round(tools, tmp_path, transport):
    async def main():
        async with tools.open_lab(tmp_path, transport) as lab:
            goal = 150  # several groups
            task_id = await lab.create(tools.make_bundle(closing=tools.closing(goal)))
            assignments = await asyncio.gather(*(lab.assignment() for _ in range(goal + 20)))
            results = await asyncio.gather(
                *(lab.upload(each, tools.make_contribution(7)) for each in assignments), return_exceptions=True
            )
            refused = [result.status for result in results if isinstance(result, StatusError)]
            assert refused == [Status.ABORTED] * 20
            task = await lab.committed(task_id, 1)
            assert task.checkpoint.sha256 == tools.expected_checkpoint([[7] * goal])

    asyncio.run(main())


def test_no_upload_is_acknowledged_before_it_is_durable(tools, tmp_path):
    """Of two uploads of one assignment whose headers arrive before either body, the newer one counts."""

    async def main():
        async with tools.open_lab(tmp_path) as lab:
            await lab.create()
            assignment, data = await lab.assignment(), tools.make_contribution()
            bodies, disk = asyncio.Event(), threading.Event()

            async def requests():
                parts = [request async for request in tools.upload_requests(assignment.assignment_id, data)]
                yield parts[0]
                await bodies.wait()
                for part in parts[1:]:
                    yield part

            uploads = [asyncio.create_task(lab.coordinator.devices.upload_contribution(requests())) for _ in range(2)]
            await asyncio.sleep(0.05)
            stuck = lab.coordinator._durability._writer.run(
                disk.wait
            )  # the writing thread is busy until the disk answers
            bodies.set()
            for _ in range(100):
                await asyncio.sleep(0)
            acknowledged_early = uploads[1].done()
            disk.set()
            _, older, newer = await asyncio.gather(stuck, *uploads, return_exceptions=True)
            assert not acknowledged_early
            assert isinstance(older, CutOffError)
            assert newer.HasField("next_check_in")
            assert (await lab.coordinator.admin.list_tasks(admin_pb2.ListTasksRequest())).tasks[0].reported == 1

    asyncio.run(main())


def test_an_upload_that_is_cut_off_is_counted_apart_from_refusals(tools, tmp_path, transport):
    async def main():
        async with tools.open_lab(tmp_path, transport) as lab:
            task_id = await lab.create()
            assignment, data = await lab.assignment(), tools.make_contribution(0)
            with pytest.raises(StatusError, match="ended before") as refused:
                await lab.upload(assignment, data[:-1], sha256=blobs.sha256(data), size=len(data))
            assert refused.value.status == Status.UNAVAILABLE
            await lab.upload(assignment, data)
            assert (await lab.task(task_id)).reported == 1
            assert lab.coordinator.devices.refusals == {}
            assert lab.coordinator.metrics.registry.get_sample_value("fedau2_cut_off_uploads_total") == 1

    asyncio.run(main())
