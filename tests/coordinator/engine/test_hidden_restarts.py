"""A coordinator that is started again in any state of a round with secure sums ends in the same bytes."""

import asyncio
from contextlib import suppress

import pytest

from coordinator.engine.commits import Commits
from coordinator.engine.hidden_rounds import HiddenRounds
from coordinator.store.ledger import Ledger
from coordinator.store.openings import Openings
from fedau2.v1.admin_pb2 import ROUND_STATE_OPENING
from fedau2.wire.status import StatusError
from tests.coordinator import conftest as tools
from tests.coordinator import hidden
from tests.coordinator.hidden import MINIMUM, Cohort
from unmasker.engine.reading import status


class PowerCut(Exception):  # noqa: N818 - no error of the code under test
    """Nothing is written after this."""


def cut_at(patch, owner, name, moment, wanted=lambda *arguments: True):
    """The first time that the coordinator comes to this step, it is the last thing that it does."""
    step, left = getattr(owner, name), [True]

    def cut(*arguments):
        now = left and wanted(*arguments) and left.pop()
        if now and moment == "before":
            raise PowerCut(name)
        result = step(*arguments)
        if now:
            raise PowerCut(name)
        return result

    patch.setattr(owner, name, cut)


def freezes(ledger, entries):
    return any(type(entry.effect).__name__ == "Frozen" for entry in entries)


def refuses(ledger, entries):
    return any(type(entry.effect).__name__ == "Refused" for entry in entries)


STEPS = {
    "before the set is fixed": (Ledger, "write", "before", freezes),
    "after the set is fixed": (Ledger, "write", "after", freezes),
    "before a refusal is stored": (Ledger, "write", "before", refuses),
    "after a refusal is stored": (Ledger, "write", "after", refuses),
    "with an answer that is lost": (HiddenRounds, "opened", "before"),
    "with masks that no row names": (Openings, "open", "before"),
    "with an answer that is stored": (HiddenRounds, "opened", "after"),
    "while it aggregates": (Commits, "commit", "before"),
    "with a checkpoint that no row names": (Ledger, "commit", "before"),
    "after the commit": (Ledger, "commit", "after"),
}


@pytest.mark.parametrize("step", STEPS)
def test_after_a_power_cut_it_ends_in_the_same_bytes(tmp_path, party, monkeypatch, step):
    damaged, *good = party.devices[: MINIMUM + 1]
    folder = tmp_path / "coordinator"

    def spoil(device, data):
        return bytes([data[0] ^ (device is damaged)]) + data[1:]

    async def run():
        made = hidden.bundle(party.identity, goal=MINIMUM + 1, rounds=1)
        async with party.serving():
            with monkeypatch.context() as patch:
                cut_at(patch, *STEPS[step])
                async with tools.open_lab(folder, unmasker=party.known()) as lab:
                    cohort = Cohort(lab, made, await lab.create(made))
                    places = await cohort.places([damaged, *good])
                    with suppress(StatusError):  # of the cut: it may count or not
                        await cohort.upload(places, spoil)
                    await lab.coordinator.failed()
                    assert isinstance(lab.coordinator.failure, PowerCut)
            async with tools.open_lab(folder, unmasker=party.known()) as lab:
                cohort.lab = lab
                for place in places:  # those that were not answered come again
                    with suppress(StatusError):
                        await cohort.upload([place], spoil)
                task = await cohort.over(1)
        assert task.checkpoint.sha256 == hidden.expected(made, [(0, good)])

    asyncio.run(run())
    assert not list((folder / "log").iterdir())


def test_while_it_waits_for_the_unmasker_it_may_be_started_again(tmp_path, party):
    folder, made = tmp_path / "coordinator", hidden.bundle(party.identity, rounds=1)

    async def run():
        async with tools.open_lab(folder, unmasker=party.known()) as lab:
            cohort = Cohort(lab, made, await lab.create(made))
            async with party.serving():
                places = await cohort.places(party.devices[:MINIMUM])
            await cohort.upload(places[:40])
        async with tools.open_lab(folder, unmasker=party.known()) as lab:  # collecting, and the unmasker is away
            cohort.lab = lab
            await cohort.upload(places[40:])
            since = (await cohort.until(lambda task: task.round_state == ROUND_STATE_OPENING)).secure_sums.opening_since
        for _ in range(2):
            async with tools.open_lab(folder, unmasker=party.known()) as lab:
                task = await lab.task(cohort.task_id)
                assert (task.round_state, task.secure_sums.opening_since) == (ROUND_STATE_OPENING, since)
        async with party.serving(), tools.open_lab(folder, unmasker=party.known()) as lab:
            cohort.lab = lab
            task = await cohort.over(1)
        assert task.checkpoint.sha256 == hidden.expected(made, [(0, party.devices[:MINIMUM])])

    asyncio.run(run())


def test_without_its_unmasker_a_task_waits_and_says_so(tmp_path, party):
    folder, made = tmp_path / "coordinator", hidden.bundle(party.identity)

    async def run():
        async with tools.open_lab(folder, unmasker=party.known()) as lab:
            task_id = await lab.create(made)
        async with tools.open_lab(folder) as lab:
            status = (await lab.task(task_id)).secure_sums
            assert "see the setting `unmasker`" in status.last_error
            assert (await lab.check_in(enrolled=True)).WhichOneof("result") == "rejection"

    asyncio.run(run())


def test_the_last_key_is_deleted_even_if_nobody_was_there_to_do_it(tmp_path, party):
    folder, made = tmp_path / "coordinator", hidden.bundle(party.identity, rounds=1)

    async def run():
        async with tools.open_lab(folder, unmasker=party.known()) as lab:
            cohort = Cohort(lab, made, await lab.create(made))
            async with party.serving():
                await cohort.assignment()
            await lab.stop(cohort.task_id)  # the unmasker is away
        async with party.serving() as real, tools.open_lab(folder, unmasker=party.known()):
            async with asyncio.timeout(30):
                while status(real.books).open_rounds:
                    await asyncio.sleep(0.01)

    asyncio.run(run())
