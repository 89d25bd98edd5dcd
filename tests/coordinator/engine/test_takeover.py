"""One process tries to make a task's rounds by itself. It does without admissions, and has its one place with them."""

import asyncio
import secrets
from contextlib import suppress

import pytest

from fedau2.v1.device_pb2 import REJECTION_REASON_ADMISSION_NEEDED, AdmitRequest
from fedau2.wire import blind
from fedau2.wire.status import StatusError
from tests.coordinator import conftest as tools
from tests.coordinator.admitted import Holder, provider, token

GOAL = 10
CALLERS = 40
ROUNDS = 100


async def fake(lab, evidence, uploads):
    """Checks in as often as it can, asks for admissions with the one token that it has, and uploads to each place."""
    admission = None
    while True:
        response = await lab.check_in(admission=admission)
        if response.WhichOneof("result") == "assignment":
            try:
                await lab.upload(response.assignment, tools.make_contribution(0))
                uploads.add(bytes(response.assignment.assignment_id))
            except StatusError:
                pass
        elif response.rejection.reason == REJECTION_REASON_ADMISSION_NEEDED and evidence:
            holder = Holder(lab, evidence)
            try:
                admission = await holder.admission(response.rejection.admission)
            except StatusError:
                admission = None
        await asyncio.sleep(0)


async def honest(lab, clock, user, uploads):
    """Takes part once in each round, as a device does."""
    holder = Holder(lab, token(clock, user))
    admission = None
    while True:
        response = await lab.check_in(admission=admission)
        if response.WhichOneof("result") == "assignment":
            try:
                await lab.upload(response.assignment, tools.make_contribution(1))
                uploads.add(bytes(response.assignment.assignment_id))
            except StatusError:
                pass
        elif response.rejection.reason == REJECTION_REASON_ADMISSION_NEEDED:
            with suppress(StatusError):
                admission = await holder.admission(response.rejection.admission)
        await asyncio.sleep(0.001)


async def share_of_fakes(folder, evidence, rounds):
    """Returns the share of a task's contributions that one process with one account made, among nine honest devices."""
    clock, fakes, others = tools.Clock(), set(), set()
    async with tools.open_lab(folder / "state", evidence=evidence, clock=clock) as lab:
        closing = tools.closing(GOAL, over_selection=0.0)
        task_id = await lab.create(tools.make_bundle(rounds=rounds, closing=closing))
        callers = [fake(lab, token(clock, "mallory"), fakes) for _ in range(CALLERS)]
        if evidence is not None:
            callers += [honest(lab, clock, f"user-{number}", others) for number in range(GOAL - 1)]
        running = [asyncio.create_task(caller) for caller in callers]
        await lab.committed(task_id, rounds)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
    assert len(fakes | others) == rounds * GOAL
    return len(fakes) / (rounds * GOAL)


def test_without_admissions_one_process_makes_all_rounds(tmp_path):
    assert asyncio.run(share_of_fakes(tmp_path, None, 3)) == 1


@pytest.mark.parametrize("rounds", [2, pytest.param(ROUNDS, marks=pytest.mark.slow)])
def test_with_admissions_it_has_the_place_of_its_one_account(tmp_path, rounds):
    assert asyncio.run(share_of_fakes(tmp_path, provider(tmp_path), rounds)) == 1 / GOAL


async def hoard(lab, evidence):
    """Takes places with the one token that it has, and never uploads."""
    holder, admission = Holder(lab, evidence), None
    while True:
        response = await lab.check_in(admission=admission)
        if response.WhichOneof("result") != "assignment" and evidence:
            with suppress(StatusError):
                if response.rejection.reason == REJECTION_REASON_ADMISSION_NEEDED:
                    admission = await holder.admission(response.rejection.admission)
        await asyncio.sleep(0)


def test_an_account_that_takes_places_and_never_uploads_starves_nobody(tmp_path):
    """The clock stands still, so no lease ends: who could take every place would end the task's rounds for good."""
    clock, evidence = tools.Clock(), provider(tmp_path)

    async def run():
        uploads = set()
        async with tools.open_lab(tmp_path / "state", evidence=evidence, clock=clock) as lab:
            closing = tools.closing(GOAL, over_selection=0.1)  # one place more than the goal
            task_id = await lab.create(tools.make_bundle(rounds=3, closing=closing))
            callers = [hoard(lab, token(clock, "mallory")) for _ in range(CALLERS)]
            callers += [honest(lab, clock, f"user-{number}", uploads) for number in range(GOAL)]
            running = [asyncio.create_task(caller) for caller in callers]
            await lab.committed(task_id, 3)
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)
        return len(uploads)

    assert asyncio.run(run()) == 3 * GOAL


def test_an_account_that_fills_the_admissions_of_a_round_with_garbage_has_its_one(tmp_path):
    clock, evidence = tools.Clock(), provider(tmp_path)

    async def run():
        issued = 0
        async with tools.open_lab(tmp_path / "state", evidence=evidence, clock=clock) as lab:
            await lab.create()
            key = await Holder(lab).key()
            for _ in range(50):
                request = AdmitRequest(population="movies", key=key, evidence=token(clock))
                request.blinded = b"\0" + secrets.token_bytes(blind.SIZE - 1)
                try:
                    await lab.coordinator.devices.admit(request)
                    issued += 1
                except StatusError:
                    pass
        return issued

    assert asyncio.run(run()) == 1
