"""Whole rounds with secure sums, with a real unmasker: exact, whoever drops out, is refused, or goes away."""

import asyncio
import shutil

import numpy as np
import pytest

from coordinator.engine import opening
from fedau2.v1 import admin_pb2
from fedau2.v1.admin_pb2 import ROUND_STATE_COLLECTING, ROUND_STATE_COMMITTED, ROUND_STATE_OPENING, ROUND_STATE_SKIPPED
from fedau2.v1.device_pb2 import (
    FAILURE_REASON_TRAINING,
    REJECTION_REASON_ENROLMENT_NEEDED,
    REJECTION_REASON_ROUND_CLOSING,
)
from fedau2.v1.unmasker_pb2 import SignedRoundKey
from fedau2.wire import blobs
from fedau2.wire.status import Status
from tests.coordinator import conftest as tools
from tests.coordinator import hidden
from tests.coordinator.hidden import MINIMUM, running
from tests.coordinator.refusals import refused
from unmasker.store import rounds as round_keys


def metric(cohort, name):
    """A metric of the only population, or one without populations."""
    registry = cohort.lab.coordinator.metrics.registry
    values = (registry.get_sample_value(name, labels) for labels in ({}, {"population": "movies"}))
    return next(value for value in values if value is not None)


def test_two_rounds_with_drop_outs_end_in_the_sum_of_those_who_stayed(tmp_path, party, transport):
    """A third of the places are lost: some devices vanish, some give up, some upload a part."""

    async def run():
        async with party.serving(), running(tmp_path, party, transport) as cohort:
            rounds = []
            for number in range(2):
                devices = party.devices[number : number + MINIMUM + 28]
                places = await cohort.places(devices)
                for index, (_, assignment) in enumerate(places[MINIMUM:]):
                    if index % 3 == 0:
                        await cohort.lab.fail(assignment, FAILURE_REASON_TRAINING)
                    elif index % 3 == 1:
                        await cohort.lab.part(assignment, hidden.drawn(500), 0, 100)
                await cohort.upload(places[:MINIMUM])
                task = await cohort.over(number + 1)
                rounds.append((number, devices[:MINIMUM]))
                assert task.checkpoint.sha256 == hidden.expected(cohort.made, rounds)
            assert task.norms.clipped.keys() == {"items", "tower", tools.ADVERSARY}
            assert not task.norms.HasField("shared")
            first, second = await cohort.lab.rounds(cohort.task_id)
            assert (first.reported, first.state) == (MINIMUM, ROUND_STATE_COMMITTED)
            assert second.checkpoint == task.checkpoint.sha256

    asyncio.run(run())
    assert not list((tmp_path / "coordinator" / "log").iterdir())
    assert len(list((tmp_path / "coordinator" / "server-state").iterdir())) == 2, "the masks are gone"


def test_an_assignment_carries_the_rounds_key_and_strangers_get_none(tmp_path, party):
    async def run():
        async with party.serving(), running(tmp_path, party) as cohort:
            assignment = await cohort.assignment()
            key = SignedRoundKey.FromString(assignment.round_key)
            assert (key.round, key.checkpoint) == (assignment.round, assignment.checkpoint.sha256)
            assert key.task_id == bytes.fromhex(assignment.task_id)
            assert key.manifest == assignment.manifest.sha256
            rejection = (await cohort.lab.check_in()).rejection
            assert rejection.reason == REJECTION_REASON_ENROLMENT_NEEDED
            assert rejection.model.checkpoint == assignment.checkpoint
            assert rejection.retry.delay_min.ToNanoseconds() > 0
            status = (await cohort.task()).secure_sums
            assert status.keyed
            assert status.seen.size > 0

    asyncio.run(run())


def test_uploads_are_judged_by_their_size_alone(tmp_path, party):
    async def run():
        async with party.serving(), running(tmp_path, party) as cohort:
            device, assignment = party.devices[0], await cohort.assignment()
            data = device.contribution(assignment, cohort.made.manifest)
            await refused(cohort.lab.upload(assignment, data[:100]), Status.INVALID_ARGUMENT, "masked contribution")
            await refused(cohort.lab.upload(assignment, data + bytes(5000)), Status.RESOURCE_EXHAUSTED, "at most")
            await cohort.lab.part(assignment, data, 0, 200)
            assert (await cohort.lab.part(assignment, data, 200)).HasField("done")
            await cohort.lab.upload(assignment, data)  # again
            assert (await cohort.task()).reported == 1

    asyncio.run(run())


def test_while_the_unmasker_is_away_rounds_wait_and_then_go_on(tmp_path, party, caplog):
    """It is away when the task begins, and again when the first round has its contributions."""

    async def run():
        async with running(tmp_path, party) as cohort:
            rejection = (await cohort.lab.check_in(enrolled=True)).rejection
            assert rejection.reason == REJECTION_REASON_ROUND_CLOSING
            await cohort.until(lambda task: "UNAVAILABLE" in task.secure_sums.last_error)
            async with party.serving():
                places = await cohort.places(party.devices[:MINIMUM])
            await cohort.upload(places)
            task = await cohort.until(lambda task: task.secure_sums.last_error)
            assert task.round_state == ROUND_STATE_OPENING
            assert task.secure_sums.opening_since.seconds == 1000
            cohort.lab.coordinator._clock.now += 5
            assert metric(cohort, "fedau2_opening_seconds") == 5
            async with party.serving():
                task = await cohort.over(1)
                assert task.checkpoint.sha256 == hidden.expected(cohort.made, [(0, party.devices[:MINIMUM])])

    asyncio.run(run())
    waits = [record for record in caplog.records if "waits for the unmasker" in record.message]
    assert len(waits) == 1, "once a minute, and the test's clock stands still"


def test_members_that_are_refused_do_not_count_and_others_take_their_places(tmp_path, party):
    """A damaged payload, a damaged seal, and a device that came twice: none of these counts."""
    damaged, torn, twin, *good = party.devices[: MINIMUM + 1]

    def spoil(device, data):
        first, last = device is damaged, device is torn
        return bytes([data[0] ^ first]) + data[1:-1] + bytes([data[-1] ^ last])

    async def run():
        async with party.serving(), running(tmp_path, party) as cohort:
            places = await cohort.places([damaged, torn, twin, twin, *good[:-2]])
            await cohort.upload(places, spoil)
            task = await cohort.until(lambda task: task.attempt == 1)
            assert task.round_state == ROUND_STATE_COLLECTING
            left = MINIMUM - task.secure_sums.refused
            assert metric(cohort, "fedau2_refused_members_total") == 4
            assert (task.secure_sums.refused, task.reported) == (4, left)
            again = places[0][0].contribution(places[0][1], cohort.made.manifest)
            await refused(cohort.lab.upload(places[0][1], again), Status.ALREADY_EXISTS, "already")
            extra = party.devices[-4:]
            await cohort.contribute(extra)
            task = await cohort.over(1)
            assert task.checkpoint.sha256 == hidden.expected(cohort.made, [(0, [*good[:-2], *extra])])
            first, _ = await cohort.lab.rounds(cohort.task_id)
            assert (first.refused, first.reported) == (4, MINIMUM)

    asyncio.run(run())


def test_a_round_that_waits_can_be_skipped_and_the_next_is_exact(tmp_path, party):
    async def run():
        async with running(tmp_path, party) as cohort:
            first = await cohort.task()
            async with party.serving():
                places = await cohort.places(party.devices[:MINIMUM])
            await cohort.upload(places)
            await cohort.until(lambda task: task.round_state == ROUND_STATE_OPENING)
            skip, request = cohort.lab.coordinator.admin.skip_round, admin_pb2.SkipRoundRequest(task_id=cohort.task_id)
            request.round = 7
            await refused(skip(request), Status.FAILED_PRECONDITION, "round 0 is")
            late = await cohort.lab.check_in(enrolled=True)
            assert late.rejection.reason == REJECTION_REASON_ROUND_CLOSING
            request.round = 0
            task = await skip(request)
            assert (task.round, task.checkpoint) == (1, first.checkpoint)
            async with party.serving():
                await cohort.contribute(party.devices[:MINIMUM])
                task = await cohort.over(2)
            assert task.checkpoint.sha256 == hidden.expected(cohort.made, [(1, party.devices[:MINIMUM])])
            rounds = await cohort.lab.rounds(cohort.task_id)
            assert [each.state for each in rounds] == [ROUND_STATE_SKIPPED, ROUND_STATE_COMMITTED]
            assert metric(cohort, "fedau2_rounds_skipped_total") == 1

    asyncio.run(run())


@pytest.mark.parametrize("moment", ["before the uploads", "after some uploads", "and the coordinator too"])
def test_a_round_of_an_unmasker_that_was_restored_is_skipped_and_its_devices_come_again(
    tmp_path, party, caplog, monkeypatch, moment
):
    """Nothing that was sealed to the key before is ever opened, and a device contributes once to a round's number."""
    monkeypatch.setattr(opening, "AGAIN", 0.0)
    database = party.folder.path / "unmasker.sqlite"
    shutil.copy(database, tmp_path / "copy")

    async def run():
        async with running(tmp_path, party) as cohort:
            async with party.serving():
                places = await cohort.places(party.devices[:MINIMUM])
            for path in party.folder.path.glob("unmasker.sqlite*"):
                path.unlink()
            shutil.copy(tmp_path / "copy", database)
            await cohort.upload(places if moment == "before the uploads" else places[:3])
            if moment == "and the coordinator too":
                cohort.lab.coordinator.admin._tasks.open_task(cohort.task_id).round_key = b""  # as after a restart
                await cohort.upload(places[3:])
            async with party.serving():
                await cohort.until(lambda task: task.round == 1)
                fresh = await cohort.contribute(party.devices[:MINIMUM])
                assert fresh[0][1].round_key != places[0][1].round_key
                task = await cohort.over(2)
            assert task.checkpoint.sha256 == hidden.expected(cohort.made, [(1, party.devices[:MINIMUM])])
            rounds = await cohort.lab.rounds(cohort.task_id)
            assert [each.state for each in rounds] == [ROUND_STATE_SKIPPED, ROUND_STATE_COMMITTED]

    asyncio.run(run())
    assert "the unmasker was restored" in caplog.text


def test_a_round_whose_key_was_deleted_is_skipped(tmp_path, party, caplog, monkeypatch):
    """As by a clock that was wrong for a while, or where a round collects for weeks."""
    monkeypatch.setattr(opening, "AGAIN", 0.0)

    async def run():
        async with running(tmp_path, party) as cohort, party.serving() as real:
            await cohort.contribute(party.devices[:3])
            with real.books.writing() as page:
                round_keys.close_older(page, page.now + 1)
            await cohort.until(lambda task: task.round == 1)
            await cohort.contribute(party.devices[:MINIMUM])
            task = await cohort.over(2)
            assert task.checkpoint.sha256 == hidden.expected(cohort.made, [(1, party.devices[:MINIMUM])])

    asyncio.run(run())
    assert "its key is gone" in caplog.text


def test_a_sum_that_is_not_plausible_is_not_stepped(tmp_path, party, caplog):
    """A device that lies, under a mask that is right."""
    liar = party.devices[0]

    async def run():
        async with party.serving(), running(tmp_path, party) as cohort:
            first = await cohort.task()
            liar.lies = True
            await cohort.contribute(party.devices[:MINIMUM])
            task = await cohort.over(1)
            assert task.checkpoint == first.checkpoint
            (skipped, _) = await cohort.lab.rounds(cohort.task_id)
            assert skipped.state == ROUND_STATE_SKIPPED
            liar.lies = False
            await cohort.contribute(party.devices[:MINIMUM])
            task = await cohort.over(2)
            assert task.checkpoint.sha256 == hidden.expected(cohort.made, [(1, party.devices[:MINIMUM])])

    asyncio.run(run())
    assert "was skipped" in caplog.text
    assert "larger than" in caplog.text


def test_a_task_that_is_stopped_while_its_sum_is_awaited_is_over(tmp_path, party):
    async def run():
        async with running(tmp_path, party) as cohort:
            async with party.serving():
                places = await cohort.places(party.devices[:MINIMUM])
            await cohort.upload(places)
            await cohort.until(lambda task: task.round_state == ROUND_STATE_OPENING)
            await cohort.lab.stop(cohort.task_id)
            async with party.serving() as real:
                await asyncio.sleep(0)
                await cohort.lab.create(cohort.made)  # the population is free
                await cohort.assignment()
                assert real.books.keys

    asyncio.run(run())


def test_a_task_that_is_put_back_while_its_sum_is_awaited_begins_anew_under_another_key(tmp_path, party):
    async def run():
        async with running(tmp_path, party) as cohort:
            first = await cohort.task()
            async with party.serving():
                await cohort.contribute(party.devices[:MINIMUM])
                await cohort.over(1)
                places = await cohort.places(party.devices[:MINIMUM])
            await cohort.upload(places)
            await cohort.until(lambda task: task.round_state == ROUND_STATE_OPENING)
            task = await cohort.lab.roll_back(cohort.task_id, 0)
            assert (task.checkpoint, task.secure_sums.keyed) == (first.checkpoint, False)
            async with party.serving():
                fresh = await cohort.contribute(party.devices[:MINIMUM])
                assert fresh[0][1].round > places[0][1].round
                task = await cohort.over(2)
            number = fresh[0][1].round
            assert task.checkpoint.sha256 == hidden.expected(cohort.made, [(number, party.devices[:MINIMUM])])

    asyncio.run(run())


def test_with_noise_the_step_is_near_the_exact_one_and_not_the_same(tmp_path, party):
    noise = {"noise_multiplier": 0.01, "max_participations": 5, "row_threshold": 0}

    async def run():
        made = hidden.bundle(party.identity, optimizer=tools.SGD, **noise)
        for grid in made.manifest.secure_sums.grids:
            grid.noise_share = 3**-0.5
        async with party.serving(), tools.open_lab(tmp_path / "coordinator", unmasker=party.known()) as lab:
            cohort = hidden.Cohort(lab, made, await lab.create(made))
            await cohort.contribute(party.devices[:MINIMUM])
            task = await cohort.over(1)
            assert task.secure_sums.epsilon > 0
            assert not task.norms.clipped
            stepped = blobs.unpack(await lab.fetch(task.checkpoint.sha256))
        plain = hidden.bundle(party.identity, optimizer=tools.SGD, row_threshold=0)
        exact = hidden.stepped(plain, [(0, party.devices[:MINIMUM])], everybody=True)
        for name, value in exact.items():
            assert 0 < np.abs(stepped[name] - value).max() < 0.1, name

    asyncio.run(run())
