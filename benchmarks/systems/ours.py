"""This project's batched engine."""

import numpy as np
import torch

from benchmarks.work import ITEMS, Work, mark
from export.bundle import build
from export.plan.message import plan_of
from fedau2.wire import blobs
from simulator.engines.batched import BatchedEngine
from simulator.engines.kernels import KernelName
from simulator.population.population import Population

_GENDER = {"attribute": "gender", "classes": ("M", "F")}


def run(work: Work, *, kernel: KernelName, unlearning: bool = False) -> None:
    """Trains all rounds.

    Args:
        work: the users and the rounds.
        kernel: computes the clients' steps.
        unlearning: true to unlearn an attribute as in the paper (DSVAE, SUT), which no other system does.
    """
    torch.set_num_threads(1)
    items = work.items()
    plan = plan_of("fedncf", {"adversaries": [_GENDER]} if unlearning else {})
    bundle = build("fedncf", [str(item) for item in range(ITEMS)], plan, 0, training=False, serving=False)
    genders = np.random.default_rng(2).choice(_GENDER["classes"], work.users).tolist()
    population = Population.create(bundle.manifest, 0, items, {"gender": genders} if unlearning else {})
    checkpoint = blobs.unpack(bundle.blob(bundle.manifest.checkpoint))
    engine = BatchedEngine(bundle.manifest, checkpoint, population, kernel=kernel)
    for number, members in enumerate(work.cohorts(), 1):
        engine.train_round(members)
        mark(number)
