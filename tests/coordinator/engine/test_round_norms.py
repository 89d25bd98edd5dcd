"""The norms of a round's contributions, as operators and Prometheus see them: also after a restart."""

import asyncio

import numpy as np
import pytest

from coordinator.aggregation.norms import Norms
from fedau2.wire import blobs, manifest

SEEDS = [0, 1, 2]


def samples(lab, name):
    return {
        (sample.labels["tensors"], sample.labels.get("le")): sample.value
        for family in lab.coordinator.metrics.registry.collect()
        for sample in family.samples
        if sample.name == name
    }


@pytest.mark.parametrize("restart", [False, True])
def test_a_round_shows_the_norms_of_all_its_contributions(tools, tmp_path, restart):
    norms = Norms(manifest.shared(tools.make_bundle().manifest))
    for seed in SEEDS:
        norms.add(tools.make_updates(seed))
    expected = norms.statistics()

    async def main():
        async with tools.open_lab(tmp_path) as lab:
            task_id = await lab.create()
            assert not (await lab.task(task_id)).HasField("norms")
            await lab.contribute(SEEDS[:1])
            if not restart:
                await lab.contribute(SEEDS[1:])
                await lab.committed(task_id, 1)
        async with tools.open_lab(tmp_path) as lab:
            if restart:
                await lab.contribute(SEEDS[1:])
                await lab.committed(task_id, 1)
                counts = samples(lab, "fedau2_contribution_norm_count")
                assert counts == {("shared", None): 2, ("adversary", None): 2}  # since the restart
            first, second = await lab.rounds(task_id)
            model = blobs.unpack(await lab.fetch(first.checkpoint))
            shared = np.concatenate([model["items"].ravel(), model["tower"].ravel()])
            expected.model = first.norms.model
            assert first.norms.model == pytest.approx(np.linalg.norm(shared))
            assert first.norms == (await lab.task(task_id)).norms == expected
            assert not second.HasField("norms")
            shown = samples(lab, "fedau2_round_norm_largest")
            assert shown == {("shared", None): expected.shared.largest, ("adversary", None): expected.adversary.largest}
            assert samples(lab, "fedau2_round_norm_median")["shared", None] == expected.shared.median

    asyncio.run(main())


def test_contributions_that_were_given_up_are_forgotten(tools, tmp_path):
    async def main():
        async with tools.open_lab(tmp_path) as lab:
            task_id = await lab.create()
            await lab.contribute(SEEDS)
            await lab.committed(task_id, 1)
            await lab.contribute([3])
            await lab.roll_back(task_id, 0)
            await lab.contribute(SEEDS)
            task = await lab.committed(task_id, 2)
            assert task.norms.shared.contributions == len(SEEDS)
            first, second, _ = await lab.rounds(task_id)
            assert first.norms.shared == second.norms.shared == task.norms.shared
            assert second.norms == task.norms

    asyncio.run(main())
