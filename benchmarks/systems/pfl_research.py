"""pfl-research: its simulated backend and federated averaging, in one process.

A client's own vectors and their Adam stay in a dictionary of the process. They are not parameters of the module, so the
framework does not average them.
"""

from typing import Any

import numpy as np
import torch
from pfl.aggregate.simulate import SimulatedBackend
from pfl.algorithm.base import NNAlgorithmParams
from pfl.algorithm.federated_averaging import FederatedAveraging
from pfl.callback.base import TrainingProcessCallback
from pfl.data.federated_dataset import FederatedDataset
from pfl.data.pytorch import PyTorchTensorDataset
from pfl.data.sampling import get_user_sampler
from pfl.hyperparam.base import NNTrainHyperParams
from pfl.metrics import Metrics
from pfl.model.pytorch import PyTorchModel
from torch import Tensor, nn

from benchmarks.work import COHORT, ITEMS, NEGATIVES, RATE, Work, mark
from simulator.bench.naive import FedNCF, sample


class _Module(nn.Module):
    """FedNCF with the clients' own vectors beside it."""

    def __init__(self) -> None:
        super().__init__()
        self.shared = FedNCF(ITEMS)
        self._clients: dict[int, tuple[list[Tensor], torch.optim.Optimizer]] = {}

    def client(self, user: int) -> tuple[list[Tensor], torch.optim.Optimizer]:
        if user not in self._clients:
            private = [tensor.requires_grad_() for tensor in self.shared.private()]
            self._clients[user] = private, torch.optim.Adam(private, lr=0.1)
        return self._clients[user]

    def loss(self, items: Tensor, labels: Tensor, user: int) -> Tensor:
        private, optimizer = self.client(user)
        optimizer.zero_grad()
        return self.shared.loss(private, items, labels)[0]

    def metrics(self, *_: Tensor, **__: int) -> dict[str, float]:
        return {}


class _Averaging(FederatedAveraging):
    """Federated averaging in which a client also steps its own vectors."""

    def train_one_user(self, initial: Any, model: Any, dataset: Any, context: Any) -> Any:  # noqa: ANN401
        result = super().train_one_user(initial, model, dataset, context)
        model.pytorch_model.client(dataset.train_kwargs["user"])[1].step()
        return result


class _Marks(TrainingProcessCallback):
    def after_central_iteration(self, *_: object, central_iteration: int, **__: object) -> tuple[bool, Metrics]:
        mark(central_iteration + 1)
        return False, Metrics()


def run(work: Work) -> None:
    """Trains all rounds.

    Args:
        work: the users and the rounds.
    """
    torch.set_num_threads(1)
    items, rng = work.items(), np.random.default_rng(0)

    def dataset(user: int) -> PyTorchTensorDataset:
        drawn = sample(rng, items[user], NEGATIVES, ITEMS)
        return PyTorchTensorDataset(drawn, user_id=str(user), train_kwargs={"user": user})

    data = FederatedDataset(dataset, get_user_sampler("minimize_reuse", list(range(work.users))))
    module = _Module()
    model = PyTorchModel(module, torch.optim.SGD, torch.optim.SGD(module.parameters(), lr=1.0))
    _Averaging().run(
        NNAlgorithmParams(work.rounds, work.rounds + 1, COHORT, None),
        SimulatedBackend(data, data),
        model,
        NNTrainHyperParams(local_batch_size=None, local_num_epochs=1, local_learning_rate=RATE),
        callbacks=[_Marks()],
    )
