"""Pausing, resuming and stopping tasks: what devices see, what is durable, and what happens at the same time."""

import asyncio
import threading

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coordinator.store.ledger import Ledger
from coordinator.store.round_log import RoundLog
from coordinator.store.tables import task_history
from fedau2.v1 import admin_pb2
from fedau2.v1.admin_pb2 import TASK_STATE_FINISHED, TASK_STATE_PAUSED, TASK_STATE_RUNNING, TASK_STATE_STOPPED
from fedau2.v1.device_pb2 import REJECTION_REASON_NO_TASK, REJECTION_REASON_PAUSED
from fedau2.wire.status import Status, StatusError


async def refused(call, status, match):
    with pytest.raises(StatusError, match=match) as caught:
        await call
    assert caught.value.status == status
    return caught.value


class Disk:
    """Keeps the writing thread busy until it is let go, so that what is queued meanwhile is under way at once."""

    def __init__(self, lab):
        self._go = threading.Event()
        self._stuck = lab.coordinator._durability._writer.run(self._go.wait)

    async def answer(self):
        self._go.set()
        await self._stuck


async def settled():
    """Lets everything run up to the point where it waits for the disk."""
    for _ in range(50):
        await asyncio.sleep(0)


def test_a_paused_task_takes_no_check_ins_and_counts_what_is_under_way(tools, tmp_path, transport):
    async def main():
        async with tools.open_lab(tmp_path, transport) as lab:
            task_id = await lab.create()
            under_way = [await lab.assignment() for _ in range(3)]
            paused = await lab.pause(task_id)
            assert (paused.state, paused.live_leases) == (TASK_STATE_PAUSED, 3)
            rejection = (await lab.check_in()).rejection
            assert rejection.reason == REJECTION_REASON_PAUSED
            assert rejection.retry.delay_min.seconds > 0
            for seed, assignment in enumerate(under_way):
                await lab.upload(assignment, tools.make_contribution(seed))
            task = await lab.committed(task_id, 1)
            assert task.checkpoint.sha256 == tools.expected_checkpoint([[0, 1, 2]])
            assert task.state == TASK_STATE_PAUSED
            assert (await lab.check_in()).rejection.reason == REJECTION_REASON_PAUSED
            assert (await lab.resume(task_id)).state == TASK_STATE_RUNNING
            await lab.contribute([3, 4, 5])
            task = await lab.committed(task_id, 2)
            assert task.checkpoint.sha256 == tools.expected_checkpoint([[0, 1, 2], [3, 4, 5]])

    asyncio.run(main())


def test_a_paused_task_is_still_paused_after_a_restart_and_is_abandoned_only_when_resumed(tools, tmp_path):
    async def main():
        clock = tools.Clock()
        async with tools.open_lab(tmp_path, clock=clock) as lab:
            task_id = await lab.create()
            await lab.contribute([0])
            await lab.pause(task_id)
        clock.now += 5000
        async with tools.open_lab(tmp_path, clock=clock) as lab:
            assert (await lab.check_in()).rejection.reason == REJECTION_REASON_PAUSED
            task = await lab.task(task_id)
            assert (task.state, task.attempt, task.reported) == (TASK_STATE_PAUSED, 0, 1)
            await lab.resume(task_id)
            await lab.contribute([1, 2])
            task = await lab.committed(task_id, 1)
            assert task.checkpoint.sha256 == tools.expected_checkpoint([[0, 1, 2]])

    asyncio.run(main())


def test_a_paused_task_may_finish(tools, tmp_path):
    async def main():
        async with tools.open_lab(tmp_path) as lab:
            task_id = await lab.create(tools.make_bundle(rounds=1, closing=tools.closing(1)))
            last = await lab.assignment()
            await lab.pause(task_id)
            await lab.upload(last, tools.make_contribution(0))
            assert (await lab.committed(task_id, 1)).state == TASK_STATE_FINISHED
            for call in (lab.pause, lab.resume, lab.stop):
                await refused(call(task_id), Status.FAILED_PRECONDITION, f"task {task_id} is finished")

    asyncio.run(main())


def test_a_stopped_task_is_over(tools, tmp_path, transport):
    async def main():
        async with tools.open_lab(tmp_path, transport) as lab:
            task_id = await lab.create()
            await lab.contribute([0, 1, 2])
            await lab.committed(task_id, 1)
            counted, out = await lab.assignment(), await lab.assignment()
            await lab.upload(counted, tools.make_contribution(3))
            assert list((tmp_path / "log").iterdir())

            task = await lab.stop(task_id)
            assert (task.state, task.round, task.reported, task.live_leases) == (TASK_STATE_STOPPED, 1, 0, 0)
            assert task.round_state == admin_pb2.ROUND_STATE_UNSPECIFIED
            assert task.checkpoint.sha256 == tools.expected_checkpoint([[0, 1, 2]])
            assert list((tmp_path / "log").iterdir()) == []
            aborted = await refused(lab.upload(out, tools.make_contribution(4)), Status.ABORTED, "the task was stopped")
            assert aborted.retry is not None
            await refused(lab.fail(out), Status.ABORTED, "the task was stopped")
            await lab.upload(counted, tools.make_contribution(3))  # acknowledged once, acknowledged again
            assert (await lab.check_in()).rejection.reason == REJECTION_REASON_NO_TASK
            assert await lab.stop(task_id) == task
            await refused(lab.pause(task_id), Status.FAILED_PRECONDITION, "is stopped; create another")
            await refused(lab.resume(task_id), Status.FAILED_PRECONDITION, "is stopped; create another")

            other = await lab.create()
            assert (await lab.assignment()).task_id == other
            assert await lab.task(task_id) == task
            await refused(lab.upload(out, tools.make_contribution(4)), Status.ABORTED, "the task was stopped")
        async with tools.open_lab(tmp_path) as lab:
            assert await lab.task(task_id) == task
            await refused(lab.upload(out, tools.make_contribution(4)), Status.ABORTED, "the task was stopped")

    asyncio.run(main())


def test_control_of_a_task_that_is_not_there_is_refused(tools, tmp_path, transport):
    async def main():
        async with tools.open_lab(tmp_path, transport) as lab:
            for call in (lab.pause, lab.resume, lab.stop):
                await refused(call("nobody's"), Status.NOT_FOUND, 'no task "nobody\'s"')

    asyncio.run(main())


def test_saying_it_twice_is_saying_it_once(tools, tmp_path):
    async def main():
        async with tools.open_lab(tmp_path) as lab:
            task_id = await lab.create()
            assert await lab.resume(task_id) == await lab.task(task_id)
            assert await lab.pause(task_id) == await lab.pause(task_id)
            first, second = await asyncio.gather(lab.stop(task_id), lab.stop(task_id))
            assert first == second
        return [row["new"] for row in history(tmp_path)]

    assert asyncio.run(main()) == [TASK_STATE_RUNNING, TASK_STATE_PAUSED, TASK_STATE_STOPPED]


def history(folder):
    ledger = Ledger(f"sqlite:///{folder / 'ledger.sqlite'}")
    try:
        with ledger._database.reading() as connection:
            return [row._mapping for row in connection.execute(sa.select(task_history).order_by(task_history.c.id))]
    finally:
        ledger.close()


def test_an_upload_whose_body_arrives_after_the_stop_is_aborted(tools, tmp_path):
    async def main():
        async with tools.open_lab(tmp_path) as lab:
            task_id = await lab.create()
            assignment, go = await lab.assignment(), asyncio.Event()

            async def requests():
                parts = [
                    each async for each in tools.upload_requests(assignment.assignment_id, tools.make_contribution())
                ]
                yield parts[0]
                await go.wait()
                for part in parts[1:]:
                    yield part

            upload = asyncio.ensure_future(lab.coordinator.devices.upload_contribution(requests()))
            await settled()
            disk = Disk(lab)
            stop = asyncio.ensure_future(lab.stop(task_id))
            await settled()
            go.set()  # the stop is decided and not yet durable
            await settled()
            await disk.answer()
            await refused(upload, Status.ABORTED, "the task was stopped")
            assert (await stop).state == TASK_STATE_STOPPED

    asyncio.run(main())


def test_uploads_that_wait_for_the_group_commit_are_acknowledged_before_the_stop(tools, tmp_path):
    async def main():
        async with tools.open_lab(tmp_path) as lab:
            task_id = await lab.create()
            assignments, disk = [await lab.assignment() for _ in range(2)], Disk(lab)
            uploads = [asyncio.ensure_future(lab.upload(each, tools.make_contribution(0))) for each in assignments]
            await settled()
            stop = asyncio.ensure_future(lab.stop(task_id))
            await settled()
            assert not any(call.done() for call in (*uploads, stop))
            await disk.answer()
            await asyncio.gather(*uploads)
            assert (await stop).state == TASK_STATE_STOPPED
            assert lab.coordinator.failure is None

    asyncio.run(main())


@pytest.mark.parametrize("rounds", [1, 3])
@pytest.mark.parametrize("command", ["pause", "stop"])
def test_while_the_commit_is_under_way(tools, tmp_path, command, rounds):
    async def main():
        async with tools.open_lab(tmp_path) as lab:
            task_id = await lab.create(tools.make_bundle(rounds=rounds))
            assignments, disk = [await lab.assignment() for _ in range(3)], Disk(lab)
            uploads = [
                asyncio.ensure_future(lab.upload(assignment, tools.make_contribution(seed)))
                for seed, assignment in enumerate(assignments)
            ]
            await settled()
            call = asyncio.ensure_future(getattr(lab, command)(task_id))
            await settled()
            await disk.answer()
            await asyncio.gather(*uploads)
            if rounds == 1:
                await refused(call, Status.FAILED_PRECONDITION, "is finished")
            else:
                assert (await call).state == {"pause": TASK_STATE_PAUSED, "stop": TASK_STATE_STOPPED}[command]
            assert (await lab.check_in()).WhichOneof("result") == "rejection"
            before = await lab.task(task_id)
            assert before.checkpoint.sha256 == tools.expected_checkpoint([[0, 1, 2]])
        async with tools.open_lab(tmp_path) as lab:
            assert await lab.task(task_id) == before

    asyncio.run(main())


def test_a_caller_that_goes_away_stops_the_task_all_the_same(tools, tmp_path):
    async def main():
        async with tools.open_lab(tmp_path) as lab:
            task_id = await lab.create()
            disk = Disk(lab)
            call = asyncio.ensure_future(lab.stop(task_id))
            await settled()
            call.cancel()
            await disk.answer()
            other = await lab.create()  # queued after the stop
            assert (await lab.task(task_id)).state == TASK_STATE_STOPPED
            assert (await lab.task(other)).state == TASK_STATE_RUNNING

    asyncio.run(main())


@pytest.mark.parametrize(("broken", "method", "stopped"), [(Ledger, "change_state", False), (RoundLog, "drop", True)])
def test_a_stop_that_a_crash_cuts_in_two_is_done_or_not_done(tools, tmp_path, monkeypatch, broken, method, stopped):
    def fail(self, *arguments):
        raise OSError(5, "Input/output error")

    async def main():
        async with tools.open_lab(tmp_path) as lab:
            task_id = await lab.create()
            await lab.contribute([0])
            with monkeypatch.context() as patch:
                patch.setattr(broken, method, fail)
                await refused(lab.stop(task_id), Status.UNAVAILABLE, "Input/output error")
        async with tools.open_lab(tmp_path) as lab:
            if stopped:
                assert (await lab.task(task_id)).state == TASK_STATE_STOPPED
                assert list((tmp_path / "log").iterdir()) == []
            else:
                await lab.contribute([1, 2])
                task = await lab.committed(task_id, 1)
                assert task.checkpoint.sha256 == tools.expected_checkpoint([[0, 1, 2]])

    asyncio.run(main())


CALLS = st.lists(st.sampled_from(["contribute", "leave", "pause", "resume", "stop", "create", "wait"]), max_size=25)


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(calls=CALLS)
def test_whatever_happens_at_once_the_ledger_agrees_with_the_loop(tools, tmp_path_factory, calls):
    """Every call at once; the coordinator must not turn itself off, and a restart must find what it said last."""

    async def act(lab, clock, kind, number):
        try:
            match kind:
                case "contribute" | "leave":
                    response = await lab.check_in()
                    if kind == "contribute" and response.WhichOneof("result") == "assignment":
                        await lab.upload(response.assignment, tools.make_contribution(number))
                case "create":
                    await lab.create(
                        tools.make_bundle(rounds=2, closing=tools.closing(2, minimum=1, lease=30, deadline=50))
                    )
                case "wait":
                    clock.now += 40
                case _:
                    listed = await lab.link.list_tasks(admin_pb2.ListTasksRequest())
                    await getattr(lab, kind)(listed.tasks[-1].task_id)
        except StatusError as error:
            if error.status == Status.UNAVAILABLE:
                raise

    async def tasks(lab):
        listed = await lab.link.list_tasks(admin_pb2.ListTasksRequest())
        return {task.task_id: task for task in listed.tasks}

    async def main():
        folder, clock = tmp_path_factory.mktemp("control"), tools.Clock()
        async with tools.open_lab(folder, clock=clock) as lab:
            await act(lab, clock, "create", 0)
            await asyncio.gather(*(act(lab, clock, kind, number) for number, kind in enumerate(calls)))
            await lab.coordinator._durability.written()
            await settled()
            assert lab.coordinator.failure is None
            before = await tasks(lab)
        async with tools.open_lab(folder, clock=clock) as lab:
            assert await tasks(lab) == before

    asyncio.run(main())
