"""FedVAE: MultVAE (Liang et al., WWW 2018) trained across devices, as the paper of FedAU2 has it.

A user is its interactions: x, of length 1 over the catalogue, is encoded as tanh(W x + b) -> (mu, log variance), from
which a latent z is drawn and decoded as tanh(V z + c) -> logits of all items. The loss is minus the multinomial
log-likelihood, summed over the interactions, and the annealed Kullback-Leibler divergence of z from N(0, 1).

Only the interactions are private. Adversaries see z, and the reversed gradient flows on into the encoder, which all
clients share. Attacks after training are on mu.
"""

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from client_sdk import draws
from client_sdk.draws import Samples
from client_sdk.kernel import grouped, specs, whole
from client_sdk.kernel.contract import Factors, Gradients, Match, Step, Tensors, Unlearn
from client_sdk.kernel.fedvae_parameters import LATENT, Parameters, Widths
from client_sdk.plan import TrainingPlan
from fedau2.v1.task_pb2 import DRAW_WHOLE
from fedau2.v1.tensors_pb2 import TensorSpec
from fedau2.wire.blobs import Tensors as Arrays

ENCODER_WEIGHTS = ("item_encoder", "latent.weight")
"""Names of the weights that compute the latent from interactions; `ENCODER_BIASES` are their biases."""

ENCODER_BIASES = ("encoder.bias", "latent.bias")


def tensors(items: int, widths: Widths | None = None) -> list[TensorSpec]:
    """The model's tensors for a catalogue of `items`. Weights Xavier normal, biases N(0, 0.001^2).

    The first layer has a row for each item, and its gradient only those of the interactions. The last is dense.
    """
    widths = widths or Widths()
    hidden, latent = widths.hidden, widths.latent
    return [
        specs.table("item_encoder", [items, hidden], specs.normal(math.sqrt(2 / (items + hidden)))),
        specs.dense("encoder.bias", [hidden], _BIAS),
        *_layer("latent", 2 * latent, hidden),
        *_layer("decoder", hidden, latent),
        specs.along_items(specs.dense("item_decoder", [items, hidden], specs.normal(math.sqrt(2 / (items + hidden))))),
        specs.along_items(specs.dense("item_bias", [items], _BIAS)),
    ]


_BIAS = specs.normal(0.001)


def _layer(name: str, outputs: int, inputs: int) -> list[TensorSpec]:
    xavier = specs.normal(math.sqrt(2 / (outputs + inputs)))
    return [specs.dense(f"{name}.weight", [outputs, inputs], xavier), specs.dense(f"{name}.bias", [outputs], _BIAS)]


DRAW = DRAW_WHOLE

FACTORED = True
"""In a factored step all gradients are by client, although the clients are one group."""


def draw(
    plan: TrainingPlan[Parameters], interactions: NDArray[np.int64], key: bytes, round_number: int
) -> list[Samples]:
    """`draws.whole`, with the latent's noise. See `contract.Recommender.draw`."""
    latent = plan.shapes["decoder.weight"][1]
    return draws.whole(plan.local, interactions, key, round_number, dropout=plan.parameters.dropout, noise=latent)


def prepare(shared: Tensors) -> Tensors:
    """Takes the half of the encoder that gives mu, and the decoder, whose last layer becomes (hidden, items)."""
    latent = len(shared["latent.bias"]) // 2
    unchanged = {name: shared[name] for name in ("encoder.bias", "decoder.weight", "decoder.bias", "item_bias")}
    return {
        **unchanged,
        "encoder": shared["item_encoder"],
        "latent.weight": shared["latent.weight"][:latent],
        "latent.bias": shared["latent.bias"][:latent],
        "item_decoder": shared["item_decoder"].T.contiguous(),
    }


def user(serving: Tensors, private: Tensors, history: Tensor) -> Tensors:
    """The latent's mean, (latent,)."""
    hidden = torch.tanh(whole.of_history(serving["encoder"], history) + serving["encoder.bias"])
    return {LATENT: serving["latent.weight"] @ hidden + serving["latent.bias"]}


def move_latent(shared: Arrays, matrix: NDArray[np.floating], offset: NDArray[np.floating]) -> Arrays:
    """Returns the model whose latent has the mean `mu @ matrix + offset` where it was mu. See `contract.Encoder`."""
    weight, bias, latent = shared["latent.weight"].copy(), shared["latent.bias"].copy(), len(offset)
    weight[:latent] = matrix.T @ weight[:latent]
    bias[:latent] = bias[:latent] @ matrix + offset  # the log variances, which follow, stay
    return {**shared, "latent.weight": weight, "latent.bias": bias}


def score(serving: Tensors, user: Tensors) -> Tensor:
    """Logits of the items, (items,), for one user."""
    hidden = torch.tanh(serving["decoder.weight"] @ user[LATENT] + serving["decoder.bias"])
    return hidden @ serving["item_decoder"] + serving["item_bias"]


def pull(shared: Tensors, step: Step, match: Match) -> Tensors:
    """Gradients of what matchings ask of mu, by the encoder's tensors. See `contract.Encoder`."""
    groups, inputs = step.rows.groups, whole.history(step)
    encoded = _encode(shared, inputs)
    weight, bias = _mean(shared)
    grad = match({LATENT: grouped.linear(encoded, weight, bias)})[LATENT]
    spread = torch.cat([grad, torch.zeros_like(grad)], 1)  # the log variances are not attacked
    hidden = whole.tanh_gradient(grouped.input_gradient(grad, weight), encoded)
    return {
        "latent.weight": grouped.weight_gradient(spread, encoded, groups),
        "latent.bias": grouped.bias_gradient(spread, groups),
        "encoder.bias": grouped.bias_gradient(hidden, groups),
        "item_encoder": whole.gather_gradient(inputs, hidden),
    }


def embed(shared: Tensors, private: Tensors, step: Step) -> Tensors:
    """The latent's mean of each client, (B, latent). See `contract.Embedder`."""
    return {LATENT: grouped.linear(_encode(shared, whole.history(step)), *_mean(shared))}


def _mean(shared: Tensors) -> tuple[Tensor, Tensor]:
    """Weight and bias of the latent's mean; the log variances follow them."""
    latent = shared["decoder.weight"].shape[2]
    return shared["latent.weight"][:, :latent], shared["latent.bias"][:, :latent]


def gradients(shared: Tensors, private: Tensors, step: Step, unlearn: Unlearn) -> Gradients:
    """Gradients of log-likelihood and divergence. See `contract.Recommender.gradients`."""
    groups, noise, beta = step.rows.groups, step.batch.noise, kl_weight(step.parameters, step.round)
    inputs = whole.inputs(step, step.batch.weights)
    encoded = _encode(shared, inputs)
    mu, log_variance = grouped.linear(encoded, shared["latent.weight"], shared["latent.bias"]).chunk(2, 1)
    sigma = torch.exp(log_variance / 2)
    z = mu + sigma * noise
    decoded = grouped.linear(z, shared["decoder.weight"], shared["decoder.bias"]).tanh_()
    logits = grouped.linear(decoded, shared["item_decoder"], shared["item_bias"])
    loss, grad = whole.multinomial(logits, step)
    out = Gradients(loss=loss - beta / 2 * (1 + log_variance - mu * mu - sigma * sigma).sum(1))

    def layer(weight: str, bias: str, grad: Tensor, x: Tensor) -> Tensor:
        if step.factored:
            out.factors[weight], out.shared[bias] = Factors(grad, x), grad
        else:
            out.shared[weight] = grouped.weight_gradient(grad, x, groups)
            out.shared[bias] = grouped.bias_gradient(grad, groups)
        return grouped.input_gradient(grad, shared[weight])

    grad = whole.tanh_gradient(layer("item_decoder", "item_bias", grad, decoded), decoded)
    grad = layer("decoder.weight", "decoder.bias", grad, z)
    push = unlearn({LATENT: z})
    if LATENT in push:
        grad = grad + push[LATENT]
    spread = (grad * noise * sigma + beta * (sigma * sigma - 1)) / 2
    grad = layer("latent.weight", "latent.bias", torch.cat([grad + beta * mu, spread], 1), encoded)
    grad = whole.tanh_gradient(grad, encoded)
    if step.factored:
        out.factors["item_encoder"], out.shared["encoder.bias"] = Factors(inputs.flatten(0, 1), grad), grad
    else:
        out.shared["encoder.bias"] = grouped.bias_gradient(grad, groups)
        out.shared["item_encoder"] = whole.gather_gradient(inputs, grad)
    return out


def kl_weight(parameters: Parameters, round_number: int | Tensor) -> Tensor:
    """Weight of the Kullback-Leibler divergence in a round, without axes."""
    # The numbers are tensors where a graph is made of the step, so they are computed with as tensors throughout.
    numbers = (parameters.kl_cap, parameters.kl_anneal_rounds, round_number)
    cap, rounds, at = (torch.as_tensor(number).double() for number in numbers)
    return torch.where(rounds > 0, torch.minimum(cap, at / rounds.clamp(min=1)), cap).float()


def _encode(shared: Tensors, inputs: Tensor) -> Tensor:
    """The encoder's hidden layer, (B, hidden)."""
    table, bias = shared["item_encoder"], shared["encoder.bias"]
    return whole.gather(table, inputs).add_(bias[:, None]).tanh_().flatten(0, 1)
