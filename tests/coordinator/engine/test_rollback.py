"""Putting a task back to an older model: what it trains on, what devices see, and what survives."""

import asyncio

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coordinator.store.recording import recorded_rounds
from fedau2.v1.admin_pb2 import TASK_STATE_FINISHED, TASK_STATE_PAUSED, TASK_STATE_STOPPED
from fedau2.v1.device_pb2 import REJECTION_REASON_NO_PLACE_WANTED
from fedau2.wire.status import Status, StatusError
from tests.coordinator.faults import CountingDisk, Fault, FaultyDisk, Kind

MANY = 100


def bundle(tools, rounds=MANY, **options):
    return tools.make_bundle(rounds=rounds, closing=tools.closing(2), **options)


async def trained(lab, task_id, rounds):
    """Trains the rounds with these seeds, one after another."""
    for seeds in rounds:
        done = (await lab.task(task_id)).round
        await lab.contribute(seeds)
        await lab.committed(task_id, done + 1)


async def refused(call, status, match):
    with pytest.raises(StatusError, match=match) as caught:
        await call
    assert caught.value.status == status


def test_it_trains_on_from_the_older_model_and_its_server_state(tools, tmp_path, transport):
    async def main():
        async with tools.open_lab(tmp_path, transport, keep_checkpoints=3) as lab:
            task_id = await lab.create(bundle(tools))
            await trained(lab, task_id, [[0, 1], [2, 3], [4, 5]])
            assert (await lab.task(task_id)).kept_rounds == [0, 1, 2]
            task = await lab.roll_back(task_id, 1)
            assert (task.round, list(task.kept_rounds)) == (3, [0, 1])
            assert task.checkpoint.sha256 == tools.expected_checkpoint([[0, 1]])
        async with tools.open_lab(tmp_path, transport, keep_checkpoints=3) as lab:
            assert await lab.task(task_id) == task
            await trained(lab, task_id, [[6, 7]])
            task = await lab.task(task_id)
            assert task.checkpoint.sha256 == tools.expected_checkpoint([[0, 1], [6, 7]])
            assert (task.round, list(task.kept_rounds)) == (4, [0, 1, 3])

    asyncio.run(main())


@pytest.mark.parametrize("separation", [0, 1, 3])
def test_the_open_round_is_given_up_and_its_devices_may_take_part_at_once(tools, tmp_path, transport, separation):
    async def main():
        spoilt = bundle(tools)
        spoilt.manifest.plan.minimum_separation = separation
        async with tools.open_lab(tmp_path, transport) as lab:
            task_id = await lab.create(spoilt)
            await trained(lab, task_id, [[0, 1]])
            counted, out = await lab.assignment(), await lab.assignment()
            await lab.upload(counted, tools.make_contribution(2))
            task = await lab.roll_back(task_id, 0)
            assert (task.reported, task.live_leases, task.attempt, task.round) == (0, 0, 1, 1)
            for assignment, seed in ((counted, 2), (out, 3)):
                await refused(lab.upload(assignment, tools.make_contribution(seed)), Status.ABORTED, "check in")
            again = await lab.assignment()
            assert again.round - counted.round >= max(1, separation)
            assert again.checkpoint.sha256 == tools.make_bundle().manifest.checkpoint.sha256
            await lab.fail(again)
            await trained(lab, task_id, [[4, 5]])
            assert (await lab.task(task_id)).checkpoint.sha256 == tools.expected_checkpoint([[4, 5]])
            first, second = await lab.rounds(task_id), await lab.assignment()
            assert [row.round for row in first] == [0, 1, 2]
            assert second.round > again.round

    asyncio.run(main())


def test_newer_models_are_removed_and_kept_ones_are_served(tools, tmp_path):
    async def main():
        async with tools.open_lab(tmp_path, keep_checkpoints=2) as lab:
            task_id = await lab.create(bundle(tools))
            await trained(lab, task_id, [[0, 1], [2, 3], [4, 5]])
            bad, kept = tools.expected_checkpoint([[0, 1], [2, 3], [4, 5]]), tools.expected_checkpoint([[0, 1]])
            assert await lab.fetch(kept)
            assert await lab.fetch(bad)
            await lab.roll_back(task_id, 2)
            assert await lab.fetch(kept)
            await refused(lab.fetch(bad), Status.NOT_FOUND, "no blob")
            newest = (await lab.check_in(without_place=True)).rejection
            assert newest.reason == REJECTION_REASON_NO_PLACE_WANTED
            assert newest.model.checkpoint.sha256 == tools.expected_checkpoint([[0, 1], [2, 3]])
            assert newest.model.round > 3

    asyncio.run(main())


def test_what_is_not_kept_is_refused_and_nothing_changes(tools, tmp_path, transport):
    async def main():
        async with tools.open_lab(tmp_path, transport) as lab:
            task_id = await lab.create(bundle(tools))
            await refused(lab.roll_back(task_id, 0), Status.NOT_FOUND, "no older model")
            await trained(lab, task_id, [[0, 1], [2, 3]])
            held = await lab.assignment()
            before = await lab.task(task_id)
            for target in (0, 2, 3, 2**63):
                await refused(lab.roll_back(task_id, target), Status.NOT_FOUND, "it keeps the rounds 1")
            await refused(lab.roll_back("nobody's", 0), Status.NOT_FOUND, "no task")
            (tmp_path / "blobs" / tools.expected_checkpoint([[0, 1]]).hex()).write_bytes(b"damaged")
            await refused(lab.roll_back(task_id, 1), Status.NOT_FOUND, "is damaged")
            assert await lab.task(task_id) == before
            await lab.upload(held, tools.make_contribution(4))  # the round goes on

    asyncio.run(main())


def test_a_task_that_is_paused_stopped_or_finished_can_be_put_back(tools, tmp_path):
    async def main():
        async with tools.open_lab(tmp_path) as lab:
            for end, state in ((lab.pause, TASK_STATE_PAUSED), (lab.stop, TASK_STATE_STOPPED)):
                task_id = await lab.create(bundle(tools, population=str(state)))
                for seed in (0, 1):
                    assignment = (await lab.check_in(str(state))).assignment
                    await lab.upload(assignment, tools.make_contribution(seed))
                await lab.committed(task_id, 1)
                await end(task_id)
                task = await lab.roll_back(task_id, 0)
                assert (task.state, task.round) == (state, 1)
                assert task.checkpoint.sha256 == tools.make_bundle().manifest.checkpoint.sha256
            task_id = await lab.create(bundle(tools, rounds=2))
            await trained(lab, task_id, [[0, 1], [2, 3]])
            task = await lab.roll_back(task_id, 1)
            assert (task.state, task.round) == (TASK_STATE_FINISHED, 2)
            assert task.checkpoint.sha256 == tools.expected_checkpoint([[0, 1]])

    asyncio.run(main())


def test_it_waits_for_a_round_that_is_being_committed(tools, tmp_path):
    async def main():
        async with tools.open_lab(tmp_path, keep_checkpoints=2) as lab:
            task_id = await lab.create(bundle(tools))
            await trained(lab, task_id, [[0, 1]])
            first, last = await lab.assignment(), await lab.assignment()
            await lab.upload(first, tools.make_contribution(2))
            _, task = await asyncio.gather(lab.upload(last, tools.make_contribution(3)), lab.roll_back(task_id, 0))
            assert task.checkpoint.sha256 == tools.make_bundle().manifest.checkpoint.sha256
            await trained(lab, task_id, [[4, 5]])
            assert (await lab.task(task_id)).checkpoint.sha256 == tools.expected_checkpoint([[4, 5]])

    asyncio.run(main())


def test_a_recorded_round_has_one_checkpoint(tools, tmp_path):
    async def main():
        async with tools.open_lab(tmp_path / "state", audit=tmp_path / "audit") as lab:
            task_id = await lab.create(bundle(tools))
            await trained(lab, task_id, [[0, 1]])
            await lab.upload(await lab.assignment(), tools.make_contribution(2))
            await lab.roll_back(task_id, 0)
            await trained(lab, task_id, [[3, 4]])
        last = recorded_rounds(tmp_path / "audit")[-1]
        assert last.whole
        assert len(last.assignments()) == 2
        assert last.checkpoint == recorded_rounds(tmp_path / "audit")[0].checkpoint

    asyncio.run(main())


@given(st.lists(st.sampled_from(["round", "back", "restart"]), max_size=7), st.integers(1, 3), st.data())
@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_way_back_and_forth_is_the_way_of_the_rounds_that_count(tools, tmp_path_factory, steps, keep, data):
    """The model is that of the rounds on the way to it, and no device is given a number twice."""
    folder, clock, numbers = tmp_path_factory.mktemp("state"), tools.Clock(), []

    async def session(ways, steps):
        async with tools.open_lab(folder, clock=clock, keep_checkpoints=keep) as lab:
            if not ways:
                await lab.create(bundle(tools))
                ways[0] = []
            for step in steps:
                task = await lab.only_task()
                if step == "round":
                    seeds = [2 * task.round, 2 * task.round + 1]
                    assignments = [await lab.assignment() for _ in seeds]
                    assert len({each.round for each in assignments}) == 1
                    assert all(assignments[0].round > number for number in numbers)
                    numbers.append(assignments[0].round)
                    for assignment, seed in zip(assignments, seeds, strict=True):
                        await lab.upload(assignment, tools.make_contribution(seed))
                    await lab.committed(task.task_id, task.round + 1)
                    ways[task.round + 1] = [*ways[task.round], seeds]
                elif task.kept_rounds:
                    target = data.draw(st.sampled_from(sorted(task.kept_rounds)))
                    await lab.roll_back(task.task_id, target)
                    ways[task.round] = ways[target]
                task = await lab.only_task()
                assert len(task.kept_rounds) <= keep
                assert task.checkpoint.sha256 == tools.expected_checkpoint(ways[task.round])
            task = await lab.only_task()
        states = {path.name for path in (folder / "blobs").iterdir()}
        models = [ways[number] for number in [*task.kept_rounds, task.round, 0]]
        assert states >= {tools.expected_checkpoint(way).hex() for way in models}
        assert len(states) == 2 + len({tools.expected_checkpoint(way) for way in models})

    async def main():
        ways, part = {}, []
        for step in [*steps, "restart"]:
            if step == "restart":
                await session(ways, part)
                part = []
            else:
                part.append(step)

    asyncio.run(main())


async def poisoned(tools, folder, disk, fault=None):
    """Trains two rounds, begins the third, and puts the task back; the disk counts its steps from there on."""
    async with tools.open_lab(folder, disk=disk) as lab:
        task_id = await lab.create(bundle(tools))
        await trained(lab, task_id, [[0, 1], [2, 3]])
        await lab.upload(await lab.assignment(), tools.make_contribution(4))
        disk.passed.clear()
        disk.fault = fault
        await lab.roll_back(task_id, 1)
        return disk.passed.copy()


@pytest.mark.parametrize("kind", [Kind.FULL, Kind.LATE, Kind.POWER])
def test_whatever_fails_it_is_put_back_or_it_is_not(tools, tmp_path, kind):
    passed = asyncio.run(poisoned(tools, tmp_path / "state", CountingDisk()))
    assert passed.keys() >= {"commit", "delete log", "delete blobs", "delete server-state"}
    ends = set()
    assert set(passed.values()) == {1}
    for fault in [Fault(step, 0, kind) for step in passed]:
        folder = tmp_path / fault.step / "state"
        folder.parent.mkdir()
        disk = FaultyDisk(Fault("none", 0, kind))
        with pytest.raises((StatusError, OSError), match="injected"):
            asyncio.run(poisoned(tools, folder, disk, fault))
        if kind is Kind.POWER:
            disk.lose_power()
        ends.add(asyncio.run(end(tools, folder)))
    assert ends == ({True} if kind is Kind.LATE else {False, True})


async def end(tools, folder):
    """Returns whether the task was put back; either way it is whole and trains on."""
    async with tools.open_lab(folder) as lab:
        task = await lab.only_task()
        back = task.checkpoint.sha256 == tools.expected_checkpoint([[0, 1]])
        assert (task.reported, list(task.kept_rounds)) == (0 if back else 1, [1])
        way = [[0, 1]] if back else [[0, 1], [2, 3]]
        assert task.checkpoint.sha256 == tools.expected_checkpoint(way)
        await lab.contribute([5, 6] if back else [5])
        task = await lab.committed(task.task_id, 3)
        assert task.checkpoint.sha256 == tools.expected_checkpoint([*way, [5, 6] if back else [4, 5]])
    assert not list((folder / "log").iterdir())
    assert len(list((folder / "blobs").iterdir())) == 5  # manifest, catalogue, and three models
    return back
