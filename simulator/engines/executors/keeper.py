"""The side of a worker that is not in this process: it trains chunks, and keeps the clients that it has trained."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from simulator.engines.chunks import Job, Round, Share, add, train_chunk
from simulator.population.clients import Clients, rows_of
from simulator.population.population import Members


@dataclass(frozen=True, eq=False)
class Order:
    """Chunks that a worker is to train.

    Attributes:
        chunks: the clients of each chunk.
        brought: those of the clients that the worker does not keep as they are now, int64 (n,).
        clients: their data and private state, in this order; None: nobody is brought.
    """

    chunks: Sequence[Members]
    brought: Members
    clients: Clients | None


class Keeper:
    """Trains the chunks of orders, and keeps their clients in memory.

    Args:
        job: the task.
    """

    def __init__(self, job: Job) -> None:
        torch.set_num_threads(1)  # as in threads: the bytes are the same for any number of workers
        self._job = job
        self._clients: dict[int, Clients] = {}

    def train(self, now: Round, order: Order) -> Share:
        """Trains the chunks of an order. Where it fails, nothing of it is used."""
        for position, member in enumerate(order.brought.tolist()):
            assert order.clients is not None
            self._clients[member] = order.clients.alone(position)
        task = self._job.task(now.checkpoint)
        sums = self._job.sums(now)
        states, reports = [], []
        for members in order.chunks:
            clients = Clients.join([self._clients[member] for member in members.tolist()])
            trained = train_chunk(self._job, task, now.number, clients, summed=self._job.summed(sums))
            add(sums, trained.contributions)
            assert trained.state is not None  # the clients are not rows of a larger state
            for position, member in enumerate(members.tolist()):
                before = self._clients[member]
                state = rows_of(trained.state, position)
                self._clients[member] = Clients(before.keys, before.interactions, before.labels, state, before.weights)
            states.append(trained.state)
            reports.append(trained.report)
        return Share(sums, states, reports)
