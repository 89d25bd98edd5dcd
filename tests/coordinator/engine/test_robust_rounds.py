"""Rounds whose contributions are combined by a median, also after a restart in the middle of one."""

import asyncio

import numpy as np

from coordinator.aggregation.optimizers import server_step
from coordinator.aggregation.robust import MEDIAN, Robust
from fedau2.v1.task_pb2 import AGGREGATION_MEDIAN, AGGREGATION_TRIMMED_MEAN
from fedau2.wire import blobs, contributions, fixed, manifest
from fedau2.wire.contributions import Rows
from fedau2.wire.status import Status
from tests.coordinator import conftest as tools
from tests.coordinator.refusals import refused


def bundle(goal=3, aggregation=AGGREGATION_MEDIAN, trim=0.0):
    made = tools.make_bundle(closing=tools.closing(goal), rounds=1)
    made.closing.aggregation, made.closing.trim = aggregation, trim
    return made


def lie(bound):
    """A contribution at the bound in every number."""
    full = {
        name: np.full(value.shape, bound, np.float32)
        for name, value in tools.make_updates(0).items()
        if name != "items"
    }
    return contributions.encode({"items": Rows(np.arange(6), np.full((6, 4), bound, np.float32)), **full})


def expected(sent):
    made, robust = bundle(), None
    robust = Robust(manifest.shared(made.manifest), MEDIAN)
    for data in sent:
        robust.add(contributions.Decoder(manifest.shared(made.manifest), fixed.bound(3))(data))
    checkpoint = blobs.unpack(made.blobs[made.manifest.checkpoint.sha256])
    return blobs.pack(server_step(made.manifest, checkpoint, {}, robust.mean())[0])


def test_a_restart_in_the_middle_of_a_round_changes_nothing(tmp_path):
    sent = [tools.make_contribution(0), tools.make_contribution(1), lie(fixed.bound(3))]

    async def first():
        async with tools.open_lab(tmp_path / "state") as lab:
            await lab.create(bundle())
            places = [await lab.assignment() for _ in sent]
            for place, data in list(zip(places, sent, strict=True))[:2]:
                await lab.upload(place, data)
            return places

    async def second(places):
        async with tools.open_lab(tmp_path / "state") as lab:
            await lab.upload(places[2], sent[2])
            task = await lab.committed((await lab.only_task()).task_id, 1)
            return await lab.fetch(task.checkpoint.sha256)

    assert asyncio.run(second(asyncio.run(first()))) == expected(sent)


def test_a_closing_rule_that_makes_no_sense_is_refused(tmp_path):
    async def run():
        async with tools.open_lab(tmp_path / "state") as lab:
            for aggregation, trim in ((9, 0.0), (AGGREGATION_MEDIAN, 0.1), (AGGREGATION_TRIMMED_MEAN, 0.5)):
                wrong = bundle(aggregation=aggregation, trim=trim)
                await refused(lab.create(wrong), Status.INVALID_ARGUMENT, "closing rule")
            wrong = bundle()
            wrong.closing.maximum = 1_000_000
            await refused(lab.create(wrong), Status.INVALID_ARGUMENT, "in memory")

    asyncio.run(run())
