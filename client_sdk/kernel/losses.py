"""Recommendation losses that several recommenders use, with their gradients."""

import torch
from torch import Tensor

from client_sdk.kernel import grouped
from client_sdk.kernel.batch import Batch


def binary_cross_entropy(logits: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
    """Weighted binary cross-entropy: its sum for each client, (B,), and its gradient by logit, (samples,)."""
    loss = torch.relu(logits) - logits * batch.labels + torch.log1p(torch.exp(-logits.abs()))
    gradient = (torch.sigmoid(logits) - batch.labels) * batch.weights
    return of_clients(loss * batch.weights, batch), gradient


def of_clients(per_sample: Tensor, batch: Batch) -> Tensor:
    """Sums a value per sample, (samples,), over each client's samples, (B,)."""
    return grouped.collect(per_sample[:, None], batch.client, batch.clients, batch.groups)[:, 0]
