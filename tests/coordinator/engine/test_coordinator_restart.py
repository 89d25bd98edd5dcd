"""A coordinator that is killed goes on from its folder, to the same bytes."""

import asyncio
import os
import signal

import pytest

from coordinator.engine.commits import Commits
from coordinator.engine.coordinator import Coordinator
from coordinator.errors import LogError
from coordinator.store.ledger import Ledger
from fedau2.v1 import admin_pb2
from fedau2.wire.status import Status, StatusError


def kill(process):
    code, _ = process.end(lambda: os.kill(process.child.pid, signal.SIGKILL))
    assert code == -signal.SIGKILL


def test_killed_in_mid_round_it_ends_in_the_same_bytes(tools, tmp_path):
    async def before(process):
        async with tools.connect(process.devices, process.admin) as lab:
            task_id = await lab.create()
            await lab.contribute([0, 1, 2])
            await lab.committed(task_id, 1)
            lost, answered = await lab.assignment(), await lab.assignment()
            await lab.upload(answered, tools.make_contribution(3))
            return task_id, lost, answered

    async def after(process, task_id, lost, answered):
        async with tools.connect(process.devices, process.admin) as lab:
            task = await lab.task(task_id)
            assert (task.round, task.reported, task.live_leases) == (1, 1, 1)
            await lab.upload(answered, tools.make_contribution(3))  # the answer was lost: the same bytes again
            await lab.upload(lost, tools.make_contribution(4))  # the lease survived
            await lab.contribute([5])
            found = [(await lab.committed(task_id, 2)).checkpoint.sha256]
            await lab.contribute([6, 7, 8])
            return [*found, (await lab.committed(task_id, 3)).checkpoint.sha256]

    process = tools.Process(tmp_path / "killed")
    try:
        state = asyncio.run(before(process))
    finally:
        kill(process)
    process = tools.Process(tmp_path / "killed")
    try:
        found = asyncio.run(after(process, *state))
    finally:
        code, _ = process.end(process.child.terminate)
    assert code == 0
    rounds = [[0, 1, 2], [3, 4, 5], [6, 7, 8]]
    assert found == [tools.expected_checkpoint(rounds[:2]), tools.expected_checkpoint(rounds)]


def test_killed_with_uploads_in_flight_it_loses_nothing_that_it_acknowledged(tools, tmp_path):
    """The whole cohort uploads while the coordinator is killed; the same uploads again bring the same bytes."""
    goal = 40
    data = [tools.make_contribution(seed) for seed in range(goal)]

    async def before(process):
        async with tools.connect(process.devices, process.admin) as lab:
            task_id = await lab.create(tools.make_bundle(closing=tools.closing(goal)))
            assignments = [await lab.assignment() for _ in range(goal)]
            acknowledged = []

            async def upload(number):
                await lab.upload(assignments[number], data[number])
                acknowledged.append(number)
                if len(acknowledged) == 1:
                    process.child.kill()

            await asyncio.gather(*(upload(number) for number in range(goal - 1)), return_exceptions=True)
            return task_id, assignments, len(acknowledged)

    async def after(process, task_id, assignments, acknowledged):
        async with tools.connect(process.devices, process.admin) as lab:
            assert (await lab.task(task_id)).reported >= acknowledged
            await asyncio.gather(*(lab.upload(*each) for each in zip(assignments, data, strict=True)))
            return (await lab.committed(task_id, 1)).checkpoint.sha256

    process = tools.Process(tmp_path / "killed")
    state = asyncio.run(before(process))
    kill(process)
    process = tools.Process(tmp_path / "killed")
    try:
        found = asyncio.run(after(process, *state))
    finally:
        process.end(process.child.terminate)
    assert found == tools.expected_checkpoint([range(goal)])


def test_a_round_that_was_closed_and_not_committed_is_closed_again(tools, tmp_path, monkeypatch):
    def broken(self, *arguments):
        raise OSError(5, "Input/output error")

    async def main():
        with monkeypatch.context() as patch:
            patch.setattr(Commits, "commit", broken)
            async with tools.open_lab(tmp_path / "broken") as lab:
                task_id = await lab.create()
                await lab.contribute([0, 1, 2])
                await lab.coordinator.failed()
                with pytest.raises(StatusError) as refused:
                    await lab.check_in()
                assert refused.value.status == Status.UNAVAILABLE
        async with tools.open_lab(tmp_path / "broken") as lab:
            found = (await lab.committed(task_id, 1)).checkpoint.sha256
        assert found == tools.expected_checkpoint([[0, 1, 2]])

    asyncio.run(main())


CALLS = {
    "upload to a round that the first one closes": (
        lambda lab, tools: lab.upload(lab.one, tools.make_contribution(0)),
        lambda lab, tools: lab.upload(lab.other, tools.make_contribution(1)),
    ),
    "another contribution of the same device": (
        lambda lab, tools: lab.upload(lab.one, tools.make_contribution(0)),
        lambda lab, tools: lab.upload(lab.one, tools.make_contribution(1)),
    ),
    "the same contribution": (
        lambda lab, tools: lab.upload(lab.one, tools.make_contribution(0)),
        lambda lab, tools: lab.upload(lab.one, tools.make_contribution(0)),
    ),
    "giving back in a round that is closed": (
        lambda lab, tools: lab.upload(lab.one, tools.make_contribution(0)),
        lambda lab, tools: lab.fail(lab.other),
    ),
    "giving back again": (lambda lab, tools: lab.fail(lab.one), lambda lab, tools: lab.fail(lab.one)),
    "upload of what is given back": (
        lambda lab, tools: lab.fail(lab.one),
        lambda lab, tools: lab.upload(lab.one, tools.make_contribution(0)),
    ),
}
"""Two calls; what becomes of the second rests on the first."""


@pytest.mark.parametrize("calls", CALLS.values(), ids=CALLS)
def test_no_answer_rests_on_what_a_power_cut_undoes(tools, tmp_path, monkeypatch, calls):
    def broken(self, entries):
        raise OSError(5, "Input/output error")

    async def main():
        async with tools.open_lab(tmp_path) as lab:
            task_id = await lab.create(tools.make_bundle(closing=tools.closing(1)))
            lab.one, lab.other = await lab.assignment(), await lab.assignment()
            with monkeypatch.context() as patch:
                patch.setattr(Ledger, "write", broken)
                answers = await asyncio.gather(*(call(lab, tools) for call in calls), return_exceptions=True)
            assert [getattr(answer, "status", answer) for answer in answers] == [Status.UNAVAILABLE] * 2
            one, other = lab.one, lab.other
        async with tools.open_lab(tmp_path) as lab:
            assert (await lab.task(task_id)).live_leases == 2
            await lab.fail(one)
            await lab.upload(other, tools.make_contribution(1))
            found = (await lab.committed(task_id, 1)).checkpoint.sha256
        assert found == tools.expected_checkpoint([[1]])

    asyncio.run(main())


def test_clipped_contributions_are_clipped_again(tools, tmp_path):
    async def main():
        async with tools.open_lab(tmp_path) as lab:
            task_id = await lab.create(tools.make_bundle(clip_norm=5))  # some are longer
            await lab.contribute([0, 1])
        async with tools.open_lab(tmp_path) as lab:
            await lab.contribute([2])
            found = (await lab.committed(task_id, 1)).checkpoint.sha256
        assert found == tools.expected_checkpoint([[0, 1, 2]], clip_norm=5)
        assert found != tools.expected_checkpoint([[0, 1, 2]])

    asyncio.run(main())


def test_leases_and_deadlines_go_on_while_the_coordinator_is_away(tools, tmp_path):
    async def main():
        clock = tools.Clock()
        async with tools.open_lab(tmp_path, clock=clock) as lab:
            task_id = await lab.create(tools.make_bundle(closing=tools.closing(3, minimum=1)))
            kept, lost = await lab.assignment(), await lab.assignment()
            await lab.upload(kept, tools.make_contribution(0))
        clock.now += 100
        async with tools.open_lab(tmp_path, clock=clock) as lab:
            with pytest.raises(StatusError, match="lease is over"):
                await lab.upload(lost, tools.make_contribution(1))
            assert (await lab.task(task_id)).reported == 1
        clock.now += 900
        async with tools.open_lab(tmp_path, clock=clock) as lab:
            assert (
                await lab.committed(task_id, 1)
            ).round == 1  # nobody calls: the timer sees that the deadline is over

    asyncio.run(main())


def test_what_a_crash_left_behind_is_ignored_and_removed(tools, tmp_path):
    async def main():
        async with tools.open_lab(tmp_path / "lab") as lab:
            task_id = await lab.create()
            await lab.contribute([9, 9, 9])
            await lab.committed(task_id, 1)
            await lab.contribute([0])
            segment = next((tmp_path / "lab" / "log").iterdir())
        with segment.open("ab") as file:
            file.write(segment.read_bytes()[:-3])  # a torn record that no row points to
        (tmp_path / "lab" / "log" / f"{task_id}-0.0").write_bytes(b"of a round that was committed")
        (tmp_path / "lab" / "blobs" / ("0" * 64)).write_bytes(b"of a commit that never was")
        async with tools.open_lab(tmp_path / "lab") as lab:
            assert [path.name for path in (tmp_path / "lab" / "log").iterdir()] == [segment.name]
            assert not (tmp_path / "lab" / "blobs" / ("0" * 64)).exists()
            await lab.contribute([1, 2])
            found = (await lab.committed(task_id, 2)).checkpoint.sha256
        assert found == tools.expected_checkpoint([[9, 9, 9], [0, 1, 2]])

    asyncio.run(main())


def test_a_damaged_contribution_stops_the_start_and_says_where(tools, tmp_path):
    async def main():
        async with tools.open_lab(tmp_path) as lab:
            await lab.create()
            await lab.contribute([0])
            segment = next((tmp_path / "log").iterdir())
        content = segment.read_bytes()
        segment.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        with pytest.raises(LogError, match=f"byte 0 of segment {segment.name}.*damaged"):
            await Coordinator.open(tmp_path)
        segment.write_bytes(content)  # restored: the folder was let go, and nothing was lost
        async with tools.open_lab(tmp_path) as lab:
            listed = await lab.link.list_tasks(admin_pb2.ListTasksRequest())
            assert listed.tasks[0].reported == 1

    asyncio.run(main())
