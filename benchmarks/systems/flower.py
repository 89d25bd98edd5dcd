"""Flower: its simulation runtime with one Ray actor, and its stock federated averaging.

A client's own vectors and their Adam are kept in the client's `Context.state`, as Flower's guides do. The actor keeps
module and data between clients.
"""

from collections import OrderedDict
from collections.abc import Iterable
from functools import cache

import numpy as np
import torch
from flwr.app import ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvg
from flwr.simulation import run_simulation
from torch import Tensor

from benchmarks.work import COHORT, ITEMS, NEGATIVES, RATE, Items, Work, mark
from simulator.bench.naive import FedNCF, sample

client, server = ClientApp(), ServerApp()


@cache
def _actor() -> tuple[FedNCF, Items, np.random.Generator]:
    torch.set_num_threads(1)
    return FedNCF(ITEMS), Work.of_environment().items(), np.random.default_rng()


@client.train()
def train(message: Message, context: Context) -> Message:
    """Trains one client.

    Args:
        message: holds the shared tensors.
        context: holds the client's number, and its own tensors.
    """
    module, items, rng = _actor()
    module.load_state_dict(message.content["arrays"].to_torch_state_dict())
    shared = torch.optim.SGD(module.parameters(), lr=RATE)
    private, adam = _private(module, context.state)
    drawn = sample(rng, items[int(context.node_config["partition-id"])], NEGATIVES, ITEMS)
    shared.zero_grad()
    module.loss(private, *drawn)[0].backward()
    shared.step()
    adam.step()
    _keep(private, adam, context.state)
    content = {"arrays": ArrayRecord(module.state_dict()), "metrics": MetricRecord({"num-examples": 1})}
    return Message(content=RecordDict(content), reply_to=message)


_ADAM = ("step", "exp_avg", "exp_avg_sq")


def _private(module: FedNCF, state: RecordDict) -> tuple[list[Tensor], torch.optim.Adam]:
    private = [tensor.requires_grad_() for tensor in module.private()]
    optimizer = torch.optim.Adam(private, lr=0.1)
    if "private" in state:
        kept = state["private"].to_torch_state_dict()
        for number, tensor in enumerate(private):
            tensor.data.copy_(kept[str(number)])
            optimizer.state[tensor] = {name: kept[f"{number} {name}"].clone() for name in _ADAM}
    return private, optimizer


def _keep(private: list[Tensor], optimizer: torch.optim.Adam, state: RecordDict) -> None:
    tensors = OrderedDict[str, Tensor]()
    for number, tensor in enumerate(private):
        tensors[str(number)] = tensor.detach()
        tensors |= {f"{number} {name}": optimizer.state[tensor][name] for name in _ADAM}
    state["private"] = ArrayRecord(tensors)


class _Averaging(FedAvg):
    """The stock averaging, which passes over clients that failed; here none may."""

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        received = list(replies)
        failed = [reply.error.reason for reply in received if reply.has_error()]
        if failed or len(received) != COHORT:
            raise RuntimeError(f"{len(failed)} of {len(received)} clients failed: {failed[:1]}")
        return super().aggregate_train(server_round, received)


@server.main()
def main(grid: Grid, context: Context) -> None:
    """Trains all rounds.

    Args:
        grid: the clients.
        context: of the run; not used.
    """
    work = Work.of_environment()
    strategy = _Averaging(
        fraction_train=COHORT / work.users,
        fraction_evaluate=0.0,
        min_train_nodes=COHORT,
        min_available_nodes=work.users,
    )

    def ended(number: int, arrays: ArrayRecord) -> None:
        if number:
            mark(number)

    arrays = ArrayRecord(FedNCF(ITEMS).state_dict())
    strategy.start(grid, arrays, num_rounds=work.rounds, evaluate_fn=ended)


def run(work: Work) -> None:
    """Trains all rounds.

    Args:
        work: the users and the rounds.
    """
    resources = {"num_cpus": 1, "num_gpus": 0.0}
    config = {"init_args": {"num_cpus": 1, "include_dashboard": False}, "client_resources": resources}
    run_simulation(server, client, work.users, backend_config=config)
