"""The tasks with secure sums that a coordinator runs, and those that it refuses."""

import asyncio

import pytest

from coordinator.engine.coordinator import Coordinator
from coordinator.errors import SettingError
from fedau2.v1.admin_pb2 import SkipRoundRequest
from fedau2.v1.task_pb2 import CHECKPOINT_ENCODING_INT8
from fedau2.wire.status import Status
from tests.coordinator import conftest as tools
from tests.coordinator import hidden
from tests.coordinator.hidden import MINIMUM
from tests.coordinator.refusals import refused


def set_encoding(made):
    made.checkpoints = CHECKPOINT_ENCODING_INT8


def set_norm(made):
    made.manifest.plan.server.clip_norm = 1.0


def set_medians(made):
    made.manifest.plan.server.clip_medians = 4.0


def set_minimum(made):
    made.closing.minimum = MINIMUM - 1


def set_maximum(made):
    made.closing.maximum = 257


def open_rows(made):
    made.manifest.secure_sums.row_threshold = 1


def open_rows_of_few(made):
    open_rows(made)
    made.touched_rows = 1


def open_rows_of_too_many(made):
    open_rows(made)
    made.touched_rows = 7


def forget_unmaskers(made):
    del made.manifest.secure_sums.unmaskers[:]


def name_another(made):
    made.manifest.secure_sums.unmaskers[0] = bytes(32)


REFUSALS = {
    set_encoding: "no smaller encoding",
    set_norm: "clip_norm must be 0",
    set_medians: "with secure sums both must be 0",
    set_minimum: "fewer than 64 contributions stays closed",
    set_maximum: "have room for 256",
    open_rows: "say how many rows a device touches",
    open_rows_of_few: "make 10.7 a row",
    open_rows_of_too_many: "cannot touch 7 rows",
    forget_unmaskers: "names no unmasker",
    name_another: "names another unmasker",
}


@pytest.mark.parametrize("spoil", REFUSALS)
def test_a_task_whose_sums_nobody_can_open_or_that_show_too_much_is_refused(tmp_path, party, spoil):
    async def run():
        made = hidden.bundle(party.identity, modulus_bits=24, value_bits=14)
        spoil(made)
        async with tools.open_lab(tmp_path / "coordinator", unmasker=party.known()) as lab:
            await refused(lab.create(made), Status.INVALID_ARGUMENT, REFUSALS[spoil])

    asyncio.run(run())


def test_rows_are_all_opened_where_enough_devices_touch_each(tmp_path, party):
    async def run():
        made = hidden.bundle(party.identity, row_threshold=0)
        made.touched_rows = 3
        async with tools.open_lab(tmp_path / "coordinator", unmasker=party.known()) as lab:
            assert len(await lab.create(made)) == 32

    asyncio.run(run())


def test_an_audit_records_no_task_with_secure_sums(tmp_path, party):
    async def run():
        async with tools.open_lab(tmp_path / "other", unmasker=party.known(), audit=tmp_path / "audit") as lab:
            await refused(lab.create(hidden.bundle(party.identity)), Status.INVALID_ARGUMENT, "without `audit`")
        async with tools.open_lab(tmp_path / "coordinator", unmasker=party.known()) as lab:
            await lab.create(hidden.bundle(party.identity))
        with pytest.raises(SettingError, match="cannot be recorded"):
            await Coordinator.open(tmp_path / "coordinator", audit=tmp_path / "audit")

    asyncio.run(run())


def test_a_successor_is_checked_as_a_new_task_is(tmp_path, party):
    async def run():
        made = hidden.bundle(party.identity)
        successor = made.succeeded([f"movie-{row}" for row in range(5)])
        successor.manifest.secure_sums.unmaskers[0] = bytes(32)
        async with tools.open_lab(tmp_path / "coordinator", unmasker=party.known()) as lab:
            task_id = await lab.create(made)
            await refused(lab.replace(task_id, successor), Status.INVALID_ARGUMENT, "names another unmasker")
            successor.manifest.secure_sums.unmaskers[0] = party.identity
            assert (await lab.replace(task_id, successor)).secure_sums.refused == 0

    asyncio.run(run())


def test_epsilon_grows_with_the_sums_up_to_the_cap_of_contributions(tmp_path, party):
    async def run():
        share = 3**-0.5
        noise = {"noise_multiplier": 2.0, "max_participations": 2, "row_threshold": 0}
        made = hidden.bundle(party.identity, rounds=9, **noise)
        for grid in made.manifest.secure_sums.grids:
            grid.noise_share = share
        shown = []
        async with party.serving(), tools.open_lab(tmp_path / "coordinator", unmasker=party.known()) as lab:
            task_id = await lab.create(made)
            for number in range(4):
                sums = (await lab.task(task_id)).secure_sums
                assert (sums.delta > 0) == bool(number)
                shown.append(sums.epsilon)
                await lab.coordinator.admin.skip_round(SkipRoundRequest(task_id=task_id, round=number))
        assert shown[0] == 0
        assert 0 < shown[1] < shown[2] == shown[3]

    asyncio.run(run())
