"""Unmaskers that stall, or sign what makes no sense: they cost a round at most, and never the coordinator."""

import asyncio
import threading
import types

from coordinator.engine import opening, unmasking
from fedau2.v1 import admin_pb2
from fedau2.v1.admin_pb2 import ROUND_STATE_COMMITTED, ROUND_STATE_OPENING, ROUND_STATE_SKIPPED
from tests.coordinator import hidden
from tests.coordinator.hidden import MINIMUM, running
from unmasker.engine import openings, settling

ODD = types.SimpleNamespace(bits=lambda closed: b"\1" * 99)
"""Writes more rows and tensors than there are."""


def test_an_answer_that_cannot_be_used_is_not_stored_and_is_asked_for_again(tmp_path, party, monkeypatch):
    async def run():
        async with party.serving(), running(tmp_path, party) as cohort:
            with monkeypatch.context() as patch:
                patch.setattr(settling, "closing", ODD)
                await cohort.contribute(party.devices[:MINIMUM])
                task = await cohort.until(lambda task: "cannot be used" in task.secure_sums.last_error)
                assert task.round_state == ROUND_STATE_OPENING
            task = await cohort.over(1)
            assert task.checkpoint.sha256 == hidden.expected(cohort.made, [(0, party.devices[:MINIMUM])])

    asyncio.run(run())


def test_a_stored_answer_that_cannot_be_used_costs_its_round_alone(tmp_path, party, monkeypatch, caplog):
    """It is as if a version had stored it that checks less."""

    async def run():
        async with party.serving(), running(tmp_path, party) as cohort:
            with monkeypatch.context() as patch:
                patch.setattr(settling, "closing", ODD)
                patch.setattr(unmasking.Unmasker, "_check", lambda *arguments: None)
                await cohort.contribute(party.devices[:MINIMUM])
                await cohort.over(1)
            await cohort.contribute(party.devices[:MINIMUM])
            task = await cohort.over(2)
            assert task.checkpoint.sha256 == hidden.expected(cohort.made, [(1, party.devices[:MINIMUM])])
            rounds = await cohort.lab.rounds(cohort.task_id)
            assert [each.state for each in rounds] == [ROUND_STATE_SKIPPED, ROUND_STATE_COMMITTED]
            assert cohort.lab.coordinator.failure is None

    asyncio.run(run())
    assert "which is stored, cannot be used" in caplog.text


def test_a_round_whose_opening_stalls_is_skipped_at_once(tmp_path, party, monkeypatch):
    go_on, real = threading.Event(), openings.summing.add_up

    def stalled(*arguments):
        assert go_on.wait(60)
        return real(*arguments)

    monkeypatch.setattr(openings.summing, "add_up", stalled)

    async def run():
        async with party.serving(), running(tmp_path, party) as cohort:
            await cohort.contribute(party.devices[:MINIMUM])
            await cohort.until(lambda task: task.secure_sums.last_error == opening.ASKED)
            request = admin_pb2.SkipRoundRequest(task_id=cohort.task_id)
            task = await cohort.lab.coordinator.admin.skip_round(request)
            assert task.round == 1
            task = await cohort.until(lambda task: task.secure_sums.keyed)
            assert not task.secure_sums.last_error
            await cohort.contribute(party.devices[:MINIMUM])
            assert not go_on.is_set(), "the first call still stalls"
            go_on.set()
            task = await cohort.over(2)
            assert task.checkpoint.sha256 == hidden.expected(cohort.made, [(1, party.devices[:MINIMUM])])

    try:
        asyncio.run(run())
    finally:
        go_on.set()
