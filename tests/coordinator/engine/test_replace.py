"""A running task is replaced by its successor: by item id, at a round's end, and whole or not at all."""

import asyncio

import numpy as np
import pytest

from coordinator.aggregation import aggregators
from coordinator.aggregation.optimizers import server_step
from coordinator.aggregation.succession import follow
from coordinator.errors import StoppedError
from fedau2.v1 import admin_pb2, device_pb2
from fedau2.wire import blobs
from fedau2.wire.status import Status, StatusError
from fedau2.wire.succession import Succession
from tests.coordinator.faults import CountingDisk, Fault, FaultyDisk, Kind

OLD = [f"movie-{row}" for row in range(6)]
NEW = ["movie-5", "new", "movie-0", "movie-3", "movie-2", "movie-1"]  # as many as before: "movie-4" is retired


def tensors(bundle):
    return blobs.unpack(bundle.blobs[bundle.manifest.checkpoint.sha256])


def stepped(tools, task, checkpoint, state, seeds):
    total = aggregators.of(task)
    for seed in seeds:
        total.add(tools.make_updates(seed))
    return server_step(task, checkpoint, state, total.mean())


def expected(tools, old, new, after=(3, 4, 5)):
    """The successor's checkpoint after a round of the old task and a round of its own, without a coordinator."""
    checkpoint, state = stepped(tools, old.manifest, tensors(old), {}, (0, 1, 2))
    way = Succession.of(OLD, NEW)
    checkpoint, state = follow(old.manifest, new.manifest, way, checkpoint, state, tensors(new))
    return checkpoint, blobs.sha256(blobs.pack(stepped(tools, new.manifest, checkpoint, state, after)[0]))


def test_a_successor_goes_on_item_by_item_with_the_rounds_that_are_left(tools, tmp_path, transport):
    old = tools.make_bundle()
    new = old.succeeded(NEW)

    async def run():
        async with tools.open_lab(tmp_path / "state", transport) as lab:
            first = await lab.create(old)
            await lab.contribute((0, 1, 2))
            before = blobs.unpack(await lab.fetch((await lab.committed(first, 1)).checkpoint.sha256))
            task = await lab.replace(first, new)
            assert (task.rounds, task.round, task.first_round, task.state) == (2, 0, 1, admin_pb2.TASK_STATE_RUNNING)
            assert (await lab.task(first)).state == admin_pb2.TASK_STATE_STOPPED
            begun = blobs.unpack(await lab.fetch(task.checkpoint.sha256))
            for row, item in enumerate(NEW):
                known = before["items"][OLD.index(item)] if item in OLD else tensors(new)["items"][row]
                assert (begun["items"][row] == known).all()
            assert all((begun[name] == before[name]).all() for name in before if name != "items")
            wanted = await lab.check_in(without_place=True)
            assert (wanted.rejection.model.task_id, wanted.rejection.model.round) == (task.task_id, 1)
            assert (await lab.assignment()).round == 1
        async with tools.open_lab(tmp_path / "state", transport) as lab:  # a restart in the successor's first round
            await lab.contribute((3, 4, 5))
            return begun, (await lab.committed(task.task_id, 1)).checkpoint.sha256

    begun, checkpoint = asyncio.run(run())
    wanted, digest = expected(tools, old, new)
    assert checkpoint == digest
    assert all((begun[name] == wanted[name]).all() for name in wanted)


def test_new_items_begin_without_moments_and_known_ones_keep_theirs(tools):
    old = tools.make_bundle()
    checkpoint, state = stepped(tools, old.manifest, tensors(old), {}, (0, 1, 2))
    new = old.succeeded(NEW)
    _, moments = follow(old.manifest, new.manifest, Succession.of(OLD, NEW), checkpoint, state, tensors(new))
    assert moments.keys() == state.keys()
    for moment in ("items.first", "items.second"):
        for row, item in enumerate(NEW):
            known = state[moment][OLD.index(item)] if item in OLD else np.zeros(4)
            assert (moments[moment][row] == known).all()
        assert not np.signbit(moments[moment][NEW.index("new")]).any()
    assert moments["items.steps"] == state["items.steps"]


async def until_it_waits(lab, task_id, bundle):
    """A call of `replace` that waits for the end of the open round."""
    call = asyncio.create_task(lab.replace(task_id, bundle))
    while not lab.coordinator._tasks.open_task(task_id).held:
        await asyncio.sleep(0)
    return call


def test_the_open_round_ends_first_and_nobody_comes_in_between(tools, tmp_path):
    old = tools.make_bundle()

    async def run():
        async with tools.open_lab(tmp_path / "state") as lab:
            first = await lab.create(old)
            held = [await lab.assignment() for _ in range(3)]
            waiting = await until_it_waits(lab, first, old.succeeded(NEW))
            with pytest.raises(StatusError, match="waits already") as refused:
                await lab.replace(first, old.succeeded(NEW))
            assert refused.value.status == Status.UNAVAILABLE
            assert "the coordinator" in str(refused.value)  # else the command line says that none answers
            late = await lab.assignment()
            for seed, assignment in enumerate(held):
                await lab.upload(assignment, tools.make_contribution(seed))
            rejection = await lab.check_in()
            assert rejection.rejection.reason == device_pb2.REJECTION_REASON_ROUND_CLOSING
            task = await waiting
            assert (task.first_round, task.rounds) == (1, 2)
            with pytest.raises(StatusError, match="task was stopped"):
                await lab.upload(late, tools.make_contribution(9))
            await lab.contribute((3, 4, 5))
            return (await lab.committed(task.task_id, 1)).checkpoint.sha256

    assert asyncio.run(run()) == expected(tools, old, old.succeeded(NEW))[1]


def test_a_call_that_breaks_off_changes_nothing(tools, tmp_path):
    async def run():
        async with tools.open_lab(tmp_path / "state") as lab:
            first = await lab.create()
            assignments = [await lab.assignment() for _ in range(3)]
            waiting = await until_it_waits(lab, first, tools.make_bundle().succeeded(NEW))
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            for seed, assignment in enumerate(assignments):
                await lab.upload(assignment, tools.make_contribution(seed))
            await lab.committed(first, 1)
            await lab.contribute((3, 4, 5))
            assert (await lab.committed(first, 2)).task_id == (await lab.only_task()).task_id

    asyncio.run(run())


@pytest.mark.parametrize("moments", range(8))
def test_a_task_that_is_stopped_while_its_successor_is_stored_leaves_one_open_task(tools, tmp_path, moments):
    old = tools.make_bundle()

    async def run():
        async with tools.open_lab(tmp_path / "state") as lab:
            first = await lab.create(old)
            replaced = asyncio.create_task(lab.replace(first, old.succeeded(NEW)))
            while not lab.coordinator._tasks.open_task(first).round.held:
                await asyncio.sleep(0)
            for _ in range(moments):
                await asyncio.sleep(0)
            stopped, *ends = await asyncio.gather(lab.stop(first), lab.create(), replaced, return_exceptions=True)
            assert lab.coordinator.failure is None
            assert stopped.state == admin_pb2.TASK_STATE_STOPPED
            assert sum(isinstance(end, StatusError) for end in ends) == 1
            tasks = (await lab.link.list_tasks(admin_pb2.ListTasksRequest())).tasks
            assert [task.state for task in tasks] == [admin_pb2.TASK_STATE_STOPPED, admin_pb2.TASK_STATE_RUNNING]

    asyncio.run(run())


def test_a_paused_task_stays_paused_and_a_number_that_devices_know_is_not_given_again(tools, tmp_path):
    old = tools.make_bundle()
    new = old.succeeded(NEW)
    new.manifest.first_round = 40

    async def run():
        async with tools.open_lab(tmp_path / "state") as lab:
            first = await lab.create(old)
            await lab.pause(first)
            task = await lab.replace(first, new)
            assert (task.state, task.first_round) == (admin_pb2.TASK_STATE_PAUSED, 40)
            await lab.resume(task.task_id)
            assert (await lab.assignment()).round == 40

    asyncio.run(run())


def spoiled(change):
    def make(old):
        new = old.succeeded(NEW)
        change(new.manifest)
        return new

    return make


REFUSED = {
    "no ancestor": (spoiled(lambda task: task.ClearField("ancestors")), "does not go on from"),
    "another ancestor": (spoiled(lambda task: task.ancestors.__setitem__(0, bytes(32))), "does not go on from"),
    "another recommender": (spoiled(lambda task: setattr(task, "model", "fedrap")), "cannot go on as one of fedrap"),
    "not whole": (lambda old: old.succeeded(NEW), "missing"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_bundle_that_does_not_go_on_from_the_task_is_refused(tools, tmp_path, name):
    make, message = REFUSED[name]
    new = make(tools.make_bundle())
    if name == "not whole":
        new.blobs.popitem()

    async def run():
        async with tools.open_lab(tmp_path / "state") as lab:
            first = await lab.create()
            with pytest.raises(StatusError, match=message) as refused:
                await lab.replace(first, new)
            assert refused.value.status == Status.INVALID_ARGUMENT
            await lab.contribute((0, 1, 2))
            assert (await lab.committed(first, 1)).state == admin_pb2.TASK_STATE_RUNNING

    asyncio.run(run())


def test_a_task_that_is_over_cannot_be_replaced(tools, tmp_path):
    async def run():
        async with tools.open_lab(tmp_path / "state") as lab:
            first = await lab.create()
            await lab.stop(first)
            with pytest.raises(StatusError, match="is over") as refused:
                await lab.replace(first, tools.make_bundle().succeeded(NEW))
            assert refused.value.status == Status.FAILED_PRECONDITION

    asyncio.run(run())


async def replaced(tools, folder, disk, **options):
    """A task that is replaced after its first round, however often it is tried again."""
    old = tools.make_bundle()
    async with tools.open_lab(folder, disk=disk, **options) as lab:
        before = disk.passed.copy()
        tasks = (await lab.link.list_tasks(admin_pb2.ListTasksRequest())).tasks
        if len(tasks) < 2:
            await lab.replace(tasks[0].task_id, old.succeeded(NEW))
        after = disk.passed - before
        (running,) = [
            task
            for task in (await lab.link.list_tasks(admin_pb2.ListTasksRequest())).tasks
            if task.state == admin_pb2.TASK_STATE_RUNNING
        ]
        await lab.contribute((3, 4, 5))
        return before, after, (await lab.committed(running.task_id, 1)).checkpoint.sha256


async def trained(tools, folder, **options):
    folder.parent.mkdir(exist_ok=True)  # the folder itself has the same name each time, because steps are named by it
    async with tools.open_lab(folder, **options) as lab:
        task_id = await lab.create()
        await lab.contribute((0, 1, 2))
        await lab.committed(task_id, 1)


def steps(before, after):
    return [(name, before[name] + number) for name in after for number in range(after[name])]


LAST = ["commit", "rename blobs", "rename server-state"]


@pytest.mark.parametrize("kind", [Kind.FULL, Kind.LATE, Kind.POWER])
@pytest.mark.parametrize("every", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_after_an_error_at_a_step_it_is_the_old_task_or_the_new_one(tools, tmp_path, kind, every):
    asyncio.run(trained(tools, tmp_path / "dry" / "state"))
    before, after, digest = asyncio.run(replaced(tools, tmp_path / "dry" / "state", CountingDisk()))
    assert digest == expected(tools, tools.make_bundle(), tools.make_bundle().succeeded(NEW))[1]
    chosen = steps(before, after) if every else [(name, before[name] + after[name] - 1) for name in LAST]
    for place, (name, number) in enumerate(chosen):
        folder = tmp_path / str(place) / "state"
        asyncio.run(trained(tools, folder))
        disk = FaultyDisk(Fault(name, number, kind))
        with pytest.raises((StoppedError, OSError), match="injected"):
            asyncio.run(replaced(tools, folder, disk))
        if kind is Kind.POWER:
            disk.lose_power()
        assert asyncio.run(replaced(tools, folder, CountingDisk()))[2] == digest


def test_the_same_with_the_ledger_in_postgresql(tools, tmp_path, postgres_url):
    asyncio.run(trained(tools, tmp_path / "state", database=postgres_url))
    *_, digest = asyncio.run(replaced(tools, tmp_path / "state", CountingDisk(), database=postgres_url))
    assert digest == expected(tools, tools.make_bundle(), tools.make_bundle().succeeded(NEW))[1]
