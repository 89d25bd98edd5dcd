"""Plain loops in PyTorch, one client after another, with the server's Adam."""

import torch

from benchmarks.work import ITEMS, Work, mark
from simulator.bench.naive import FedNCF, NaiveRound


def run(work: Work, *, copies: bool = False) -> None:
    """Trains all rounds.

    Args:
        work: the users and the rounds.
        copies: true for the style of published code: each client trains a copy of every module with its own Adam.
    """
    torch.set_num_threads(1)
    loop, items = NaiveRound(FedNCF(ITEMS), ITEMS, copies=copies), work.items()
    for number, members in enumerate(work.cohorts(), 1):
        loop.run(members, items)
        mark(number)
