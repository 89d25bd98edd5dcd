"""What the coordinator takes in a pass and in other rounds, by the numbers that devices are given."""

import asyncio

import numpy as np
import pytest

from fedau2.wire import contributions, features, passes
from fedau2.wire.contributions import Rows
from fedau2.wire.errors import ManifestError
from fedau2.wire.status import Status, StatusError

ADVERSARY = "adversary.gender.head.weight"
MOVING = {"tower": np.ones((3, 2), np.float32), ADVERSARY: np.ones((2, 5), np.float32)}
PASSING = {ADVERSARY: np.ones((2, 5), np.float32)}
NOTHING = {"items": Rows(np.zeros(0, np.int64), np.zeros((0, 4), np.float32))}


def with_passes(tools, first_round):
    bundle = tools.make_bundle(rounds=4, closing=tools.closing(2))
    bundle.manifest.plan.server.passes = 1
    bundle.manifest.required_features.append(passes.FEATURE)
    bundle.manifest.first_round = first_round
    bundle.manifest.ancestors.extend([bytes(32)] if first_round else [])
    return bundle


@pytest.mark.parametrize("first_round", [0, 7])
def test_who_takes_a_round_for_another_kind_is_refused(tools, tmp_path, transport, first_round):
    async def main():
        async with tools.open_lab(tmp_path, transport) as lab:
            task_id = await lab.create(with_passes(tools, first_round))
            for done in range(4):
                one, other = await lab.assignment(), await lab.assignment()
                fit, wrong = (MOVING, PASSING) if one.round % 2 == 0 else (PASSING, MOVING)
                with pytest.raises(StatusError, match=f"round {one.round} ") as caught:
                    await lab.upload(one, contributions.encode(wrong))
                assert caught.value.status == Status.INVALID_ARGUMENT
                await lab.upload(one, contributions.encode(fit))
                await lab.upload(other, contributions.encode(MOVING if fit is MOVING else NOTHING))
                await lab.committed(task_id, done + 1)

    asyncio.run(main())


def test_without_passes_a_round_takes_what_it_always_took(tools, tmp_path, transport):
    async def main():
        async with tools.open_lab(tmp_path, transport) as lab:
            task_id = await lab.create(tools.make_bundle(rounds=1, closing=tools.closing(2)))
            for sent in (PASSING, MOVING):
                await lab.upload(await lab.assignment(), contributions.encode(sent))
            await lab.committed(task_id, 1)

    asyncio.run(main())


def test_a_coordinator_that_does_not_know_passes_does_not_go_on(tools, tmp_path, monkeypatch):
    async def main():
        async with tools.open_lab(tmp_path) as lab:
            await lab.create(with_passes(tools, 0))
        with monkeypatch.context() as patch:
            patch.setattr(features, "KNOWN", features.KNOWN - {passes.FEATURE})
            with pytest.raises(ManifestError, match=r"does not have \(passes\): update the coordinator"):
                async with tools.open_lab(tmp_path):
                    pass
        async with tools.open_lab(tmp_path) as lab:
            assert await lab.assignment()

    asyncio.run(main())
