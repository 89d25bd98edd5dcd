"""Rounds whose contributions are bounded by the running median, across restarts, roll-backs and refused tasks."""

import asyncio

import numpy as np
import pytest

from coordinator.aggregation import aggregators, clip
from coordinator.aggregation.optimizers import server_step
from fedau2.wire import blobs, contributions
from fedau2.wire.contributions import Rows
from fedau2.wire.status import Status
from tests.coordinator import conftest as tools
from tests.coordinator.refusals import refused

ROUNDS = 3
GOAL = 3


@pytest.fixture(autouse=True)
def few_rounds(monkeypatch):
    """One round's median bounds the next round, so that few rounds show it."""
    monkeypatch.setattr(clip, "LEAST", 1)


def bundle(medians=1.0, clip_norm=1e6):
    made = tools.make_bundle(closing=tools.closing(GOAL), rounds=ROUNDS + 1, clip_norm=clip_norm)
    made.manifest.plan.server.clip_medians = medians
    return made


def sent(number):
    """The contributions of a round; those of each round are longer than those before."""
    for seed in range(GOAL):
        updates, factor = tools.make_updates(10 * number + seed), np.float32(2**number)
        yield {
            name: Rows(value.indices, value.values * factor) if isinstance(value, Rows) else value * factor
            for name, value in updates.items()
        }


def expected(made):
    """The checkpoints of all rounds, computed without a coordinator."""
    checkpoint, state = blobs.unpack(made.blobs[made.manifest.checkpoint.sha256]), {}
    for number in range(ROUNDS):
        total = aggregators.of(made.manifest, state=state)
        for update in sent(number):
            total.add(update)
        checkpoint, state = server_step(made.manifest, checkpoint, state, total.mean())
        state |= total.remembered()
        yield blobs.sha256(blobs.pack(checkpoint))


async def contribute(lab, number, chosen):
    for update in list(sent(number))[chosen]:
        await lab.upload(await lab.assignment(), contributions.encode(update))


def test_the_median_bounds_what_is_sent():
    assert len({tuple(expected(bundle(medians))) for medians in (0.0, 1.0, 2.0)}) == 3


@pytest.mark.parametrize("cut", [0, 1, 2])
def test_restarts_between_and_within_rounds_change_no_byte(tmp_path, cut):
    made = bundle()

    async def run():
        async with tools.open_lab(tmp_path) as lab:
            task_id = await lab.create(made)
            await contribute(lab, 0, slice(None))
            await lab.committed(task_id, 1)
        for number in (1, 2):
            for part in (slice(cut), slice(cut, None)):
                async with tools.open_lab(tmp_path) as lab:
                    await contribute(lab, number, part)
            async with tools.open_lab(tmp_path) as lab:
                task = await lab.committed(task_id, number + 1)
        return task.checkpoint.sha256

    *_, last = expected(made)
    assert asyncio.run(run()) == last


def test_a_roll_back_takes_the_median_back(tmp_path):
    made = bundle()

    async def run():
        async with tools.open_lab(tmp_path, keep_checkpoints=2) as lab:
            task_id = await lab.create(made)
            await contribute(lab, 0, slice(None))
            await lab.committed(task_id, 1)
            await contribute(lab, 1, slice(None))
            await lab.committed(task_id, 2)
            await lab.roll_back(task_id, 1)
            await contribute(lab, 1, slice(None))
            return (await lab.committed(task_id, 3)).checkpoint.sha256

    assert asyncio.run(run()) == list(expected(made))[1]


def test_a_plan_with_medians_alone_is_refused(tmp_path):
    async def run():
        async with tools.open_lab(tmp_path) as lab:
            await refused(lab.create(bundle(clip_norm=0)), Status.INVALID_ARGUMENT, "needs a positive server.clip_norm")

    asyncio.run(run())
