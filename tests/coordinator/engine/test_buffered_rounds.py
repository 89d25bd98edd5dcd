"""Buffered rounds: late contributions count in the open round with less weight, across restarts and roll-backs."""

import asyncio

import pytest

from coordinator.aggregation import aggregators
from coordinator.aggregation.optimizers import server_step
from coordinator.engine.coordinator import Coordinator
from coordinator.errors import SettingError, StaleError
from fedau2.v1 import task_pb2
from fedau2.wire import blobs
from fedau2.wire.status import Status
from tests.coordinator import conftest as tools
from tests.coordinator.refusals import refused

GOAL = 2
WEIGHTS = {0: 1.0, 1: 46341 / 65536, 2: 37837 / 65536}
"""1, the root of a half and that of a third, in 65,536ths."""


def bundle(most_stale=2, exponent=0.5, rounds=6, goal=GOAL, over_selection=2.0, **options):
    rule = tools.closing(goal, over_selection=over_selection, **options)
    return tools.make_buffered(tools.make_bundle(closing=rule, rounds=rounds), most_stale, exponent)


def expected(made, *rounds):
    """The checkpoint's hash after rounds of (seed, staleness), computed without a coordinator."""
    checkpoint, state = blobs.unpack(made.blobs[made.manifest.checkpoint.sha256]), {}
    for sent in rounds:
        total = aggregators.of(made.manifest)
        for seed, staleness in sent:
            total.add(tools.make_updates(seed), factor=WEIGHTS[staleness])
        checkpoint, state = server_step(made.manifest, checkpoint, state, total.mean())
    return blobs.sha256(blobs.pack(checkpoint))


async def upload(lab, place, seed):
    await lab.upload(place, tools.make_contribution(seed))


async def fill(lab, *seeds):
    """Devices check in and upload, one after another."""
    for seed in seeds:
        await upload(lab, await lab.assignment(), seed)


def test_a_late_contribution_counts_in_the_open_round_with_less_weight(tmp_path):
    made = bundle()

    async def run():
        async with tools.open_lab(tmp_path) as lab:
            task_id = await lab.create(made)
            late, later = await lab.assignment(), await lab.assignment()
            await fill(lab, 0, 1)
            await lab.committed(task_id, 1)
            await upload(lab, late, 2)
            await fill(lab, 3)
            await lab.committed(task_id, 2)
            await upload(lab, later, 4)
            await fill(lab, 5)
            task = await lab.committed(task_id, 3)
            rounds = await lab.rounds(task_id)
            return task.checkpoint.sha256, [dict(each.norms.staleness) for each in rounds[:3]]

    checkpoint, staleness = asyncio.run(run())
    assert checkpoint == expected(made, [(0, 0), (1, 0)], [(2, 1), (3, 0)], [(4, 2), (5, 0)])
    assert staleness == [{0: 2}, {0: 1, 1: 1}, {0: 1, 2: 1}]


@pytest.mark.parametrize("parts", [[[0, 1, 2]], [[2, 1], [0]], [[1], [0, 2]], [[2], [1], [0]]])
def test_neither_the_order_nor_restarts_change_a_byte(tmp_path, parts):
    made, folder = bundle(goal=3, rounds=3), tmp_path

    async def begin(lab):
        task_id = await lab.create(made)
        late = [await lab.assignment() for _ in range(2)]
        await fill(lab, 10, 11, 12)
        await lab.committed(task_id, 1)
        return task_id, [*late, await lab.assignment()]

    async def run():
        async with tools.open_lab(folder) as lab:
            task_id, places = await begin(lab)
        for part in parts:
            async with tools.open_lab(folder) as lab:
                for seed in part:
                    await upload(lab, places[seed], seed)
        async with tools.open_lab(folder) as lab:
            return (await lab.committed(task_id, 2)).checkpoint.sha256

    assert asyncio.run(run()) == expected(made, [(10, 0), (11, 0), (12, 0)], [(0, 1), (1, 1), (2, 0)])


def test_a_contribution_that_is_too_late_is_refused_and_counted(tmp_path):
    made = bundle(most_stale=1)

    async def run():
        async with tools.open_lab(tmp_path) as lab:
            task_id = await lab.create(made)
            late = await lab.assignment()
            await fill(lab, 0, 1)
            await lab.committed(task_id, 1)
            assert (await lab.task(task_id)).live_leases == 1
            await fill(lab, 2, 3)
            task = await lab.committed(task_id, 2)
            assert task.live_leases == 0, "its place is free"
            await refused(upload(lab, late, 4), Status.ABORTED, "too many rounds")
            await refused(lab.fail(late), Status.ABORTED, "too many rounds")
            assert lab.coordinator.devices.refusals == {StaleError.__name__: 1}

    asyncio.run(run())


def test_a_slow_device_keeps_no_place_from_the_others(tmp_path):
    made = bundle(goal=1, over_selection=1.0)

    async def run():
        async with tools.open_lab(tmp_path) as lab:
            task_id = await lab.create(made)
            slow = await lab.assignment()
            for number in range(2):
                await fill(lab, number)
                await lab.committed(task_id, number + 1)
            await lab.assignment()
            assert (await lab.check_in()).WhichOneof("result") == "rejection", "two places, both taken"
            await upload(lab, slow, 7)
            assert (await lab.committed(task_id, 3)).round == 3

    asyncio.run(run())


def test_uploads_that_come_while_a_round_is_committed_count_in_the_next(tmp_path):
    made = bundle(over_selection=4.0)

    async def run():
        async with tools.open_lab(tmp_path) as lab:
            task_id = await lab.create(made)
            places = [await lab.assignment() for _ in range(6)]
            given_back = await lab.assignment()
            uploads = [upload(lab, place, seed) for seed, place in enumerate(places)]
            await asyncio.gather(*uploads[:GOAL], lab.fail(given_back), *uploads[GOAL:])
            return (await lab.committed(task_id, 3)).checkpoint.sha256

    assert asyncio.run(run()) == expected(made, [(0, 0), (1, 0)], [(2, 1), (3, 1)], [(4, 2), (5, 2)])


def test_the_last_round_refuses_what_comes_after_it(tmp_path):
    async def run():
        async with tools.open_lab(tmp_path) as lab:
            await lab.create(bundle(rounds=1))
            places = [await lab.assignment() for _ in range(3)]
            sent = [upload(lab, place, seed) for seed, place in enumerate(places)]
            answers = await asyncio.gather(*sent, return_exceptions=True)
            assert [getattr(answer, "status", None) for answer in answers] == [None, None, Status.ABORTED]

    asyncio.run(run())


def test_the_models_that_devices_began_with_are_kept(tmp_path):
    async def run():
        async with tools.open_lab(tmp_path) as lab:
            task_id = await lab.create(bundle())
            late = await lab.assignment()
            for number in range(2):
                await fill(lab, 2 * number, 2 * number + 1)
                await lab.committed(task_id, number + 1)
            assert await lab.fetch(late.checkpoint.sha256)

    asyncio.run(run())


def test_a_lease_ends_at_its_deadline_in_a_later_round_too(tmp_path):
    async def run():
        clock = tools.Clock()
        async with tools.open_lab(tmp_path, clock=clock) as lab:
            task_id = await lab.create(bundle(lease=10.0))
            late = await lab.assignment()
            await fill(lab, 0, 1)
            await lab.committed(task_id, 1)
            clock.now += 11
            await refused(upload(lab, late, 2), Status.DEADLINE_EXCEEDED, "lease is over")
            await fill(lab, 2, 3)
            assert (await lab.committed(task_id, 2)).live_leases == 0
            await refused(upload(lab, late, 2), Status.DEADLINE_EXCEEDED, "lease is over")

    asyncio.run(run())


def test_a_roll_back_ends_the_places_of_earlier_rounds(tmp_path):
    made = bundle()

    async def run():
        async with tools.open_lab(tmp_path) as lab:
            task_id = await lab.create(made)
            late, counted = await lab.assignment(), await lab.assignment()
            await fill(lab, 0, 1)
            await lab.committed(task_id, 1)
            await upload(lab, counted, 2)
            await lab.roll_back(task_id, 0)
            for place in (late, counted):
                await refused(upload(lab, place, 2), Status.DEADLINE_EXCEEDED, "lease is over")
            assert (await lab.task(task_id)).live_leases == 0
            await fill(lab, 3, 4)
            return (await lab.committed(task_id, 2)).checkpoint.sha256

    assert asyncio.run(run()) == expected(made, [(3, 0), (4, 0)])


def test_a_successor_does_not_wait_for_the_places_of_the_round_before(tmp_path):
    made = bundle()
    successor = made.succeeded(["movie-0", "movie-1", "new"])

    async def run():
        async with tools.open_lab(tmp_path) as lab:
            task_id = await lab.create(made)
            late = await lab.assignment()
            await fill(lab, 0)
            replacing = asyncio.ensure_future(lab.link.replace_call(successor.replacement(task_id)))
            await asyncio.sleep(0)
            await fill(lab, 1)
            assert (await asyncio.wait_for(replacing, 30)).task_id != task_id
            await refused(upload(lab, late, 2), Status.ABORTED, "stopped")

    asyncio.run(run())


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda made: made.manifest.required_features.remove("buffered-rounds"), "does not require"),
        (lambda made: setattr(made.manifest.plan.server.buffered, "most_stale", 0), "most_stale"),
        (lambda made: setattr(made.manifest.plan.server.buffered, "most_stale", 101), "most_stale"),
        (lambda made: setattr(made.manifest.plan.server.buffered, "staleness_exponent", float("nan")), "exponent"),
        (lambda made: setattr(made.manifest.plan.server.buffered, "staleness_exponent", -1), "exponent"),
        (lambda made: setattr(made.closing, "aggregation", task_pb2.AGGREGATION_MEDIAN), "counts heads"),
    ],
)
def test_what_cannot_be_buffered_is_refused(tmp_path, spoil, why):
    made = bundle()
    spoil(made)

    async def run():
        async with tools.open_lab(tmp_path) as lab:
            await refused(lab.create(made), Status.INVALID_ARGUMENT, why)

    asyncio.run(run())


def test_an_audit_records_no_buffered_task(tmp_path):
    """A recording has one checkpoint for all contributions of a round."""

    async def run():
        async with tools.open_lab(tmp_path / "other", audit=tmp_path / "audit") as lab:
            await refused(lab.create(bundle()), Status.INVALID_ARGUMENT, "without `audit`")
        async with tools.open_lab(tmp_path / "coordinator") as lab:
            await lab.create(bundle())
        with pytest.raises(SettingError, match="buffered rounds"):
            await Coordinator.open(tmp_path / "coordinator", audit=tmp_path / "audit")

    asyncio.run(run())
