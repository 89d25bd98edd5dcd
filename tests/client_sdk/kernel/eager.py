"""The recommenders once more, one client at a time and left to autograd: what the kernel is held to."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F

from client_sdk.kernel import fcf, fedgnn, fedncf, fedrap, fedvae, pfedrec
from fedau2.v1 import task_pb2


def cross_entropy(logits, samples, chunk):
    """The sum over chunks of samples of their mean."""
    chunks = zip(logits.split(chunk), torch.tensor(samples.labels).split(chunk), strict=True)
    return sum(F.binary_cross_entropy_with_logits(z, y) for z, y in chunks)


def fedncf_logits(shared, private, items, history):
    x = torch.cat([private["user_mlp"].expand(len(items), -1), shared["item_mlp"][items]], 1)
    layer = 0
    while f"mlp.{layer}.weight" in shared:
        x = F.relu(F.linear(x, shared[f"mlp.{layer}.weight"], shared[f"mlp.{layer}.bias"]))
        layer += 1
    if "user_gmf" in private:
        x = torch.cat([private["user_gmf"] * shared["item_gmf"][items], x], 1)
    return x @ shared["output.weight"] + shared["output.bias"]


def fedncf_loss(shared, private, samples, plan, round_number):
    logits = fedncf_logits(shared, private, torch.tensor(samples.items), None)
    return cross_entropy(logits, samples, plan.local.chunk), private


def fedrap_logits(shared, private, items, history):
    return (
        F.linear(shared["item_common"][items] + private["item_personal"][items], shared["output.weight"])
        + shared["output.bias"]
    )


def fedrap_loss(shared, private, samples, plan, round_number):
    items = torch.tensor(samples.items)
    loss = cross_entropy(fedrap_logits(shared, private, items, None), samples, plan.local.chunk)
    penalty = sum(rows.abs().mean() for rows in shared["item_common"][items].split(plan.local.chunk))
    personal = private["item_personal"]
    return loss + plan.parameters.l1_weight * penalty, {"item_personal.sum": personal.sum(1), "item_personal": personal}


def fedvae_encode(shared, inputs):
    """Mean and log variance of a user's latent, from all items' inputs."""
    hidden = torch.tanh(inputs @ shared["item_encoder"] + shared["encoder.bias"])
    return F.linear(hidden, shared["latent.weight"], shared["latent.bias"]).chunk(2)


def fedvae_decode(shared, latent, items):
    hidden = torch.tanh(F.linear(latent, shared["decoder.weight"], shared["decoder.bias"]))
    return F.linear(hidden, shared["item_decoder"], shared["item_bias"])[items]


def fedvae_loss(shared, private, samples, plan, round_number):
    count = len(shared["item_bias"])
    items, target, inputs = torch.tensor(samples.items), torch.zeros(count), torch.zeros(count)
    target[items], inputs[items] = 1, torch.tensor(samples.weights)
    mean, log_variance = fedvae_encode(shared, inputs)
    posterior = torch.distributions.Normal(mean, torch.exp(0.5 * log_variance))
    latent = posterior.loc + posterior.scale * torch.tensor(samples.noise)
    logits = fedvae_decode(shared, latent, slice(None))
    likelihood = torch.distributions.Categorical(logits=logits).logits @ target
    divergence = torch.distributions.kl_divergence(posterior, torch.distributions.Normal(0.0, 1.0)).sum()
    weight = min(plan.parameters.kl_cap, round_number / plan.parameters.kl_anneal_rounds)
    return weight * divergence - likelihood, {"latent": latent}


def fedvae_logits(shared, private, items, history):
    inputs = torch.zeros(len(shared["item_bias"]))
    inputs[history] = 1
    mean, _ = fedvae_encode(shared, inputs / inputs.norm())
    return fedvae_decode(shared, mean, items)


def fcf_logits(shared, private, items, history):
    return shared["item_vector"][items] @ private["user_vector"]


def fcf_loss(shared, private, samples, plan, round_number):
    logits = fcf_logits(shared, private, torch.tensor(samples.items), None)
    return cross_entropy(logits, samples, plan.local.chunk), private


def pfedrec_logits(shared, private, items, history):
    return shared["item_vector"][items] @ private["score_weight"] + private["score_bias"]


def pfedrec_loss(shared, private, samples, plan, round_number):
    logits = pfedrec_logits(shared, private, torch.tensor(samples.items), None)
    return cross_entropy(logits, samples, plan.local.chunk), private


def fedgnn_node(shared, private, inputs):
    return private["user_vector"] + torch.tanh(inputs @ shared["item_message"] + shared["message.bias"])


def fedgnn_loss(shared, private, samples, plan, round_number):
    count = len(shared["item_bias"])
    items, target, inputs = torch.tensor(samples.items), torch.zeros(count), torch.zeros(count)
    target[items], inputs[items] = 1, torch.tensor(samples.weights)
    node = fedgnn_node(shared, private, inputs)
    logits = F.linear(node, shared["item_vector"], shared["item_bias"])
    likelihood = torch.distributions.Categorical(logits=logits).logits @ target
    return -likelihood, {"user_node": node, **private}


def fedgnn_logits(shared, private, items, history):
    inputs = torch.zeros(len(shared["item_bias"]))
    inputs[history] = 1
    node = fedgnn_node(shared, private, inputs / inputs.norm())
    return F.linear(node, shared["item_vector"], shared["item_bias"])[items]


@dataclass(frozen=True)
class Eager:
    """One recommender.

    Attributes:
        module: the kernel's.
        widths: small.
        protects: sets of states to protect, the paper's first.
        loss: from shared and private tensors, samples, plan and round to the recommendation loss and the states.
        logits: from shared and private tensors, items and history.
        tables: factor by which shared values over items are larger than their initial ones.
        parameters: the recommender's own, none of them its default.
        scale: of private values to their initial ones: large, but not so large that log sigma saturates.
    """

    module: Any
    widths: Any
    protects: tuple[list[str], ...]
    loss: Callable
    logits: Callable
    parameters: dict = field(default_factory=dict)
    scale: float = 50
    tables: float = 20


MODELS = {
    "fedncf": Eager(
        fedncf,
        fedncf.Widths(gmf=4, mlp=6, hidden=(7, 5)),
        (["user_gmf"], ["user_mlp", "user_gmf"]),
        fedncf_loss,
        fedncf_logits,
    ),
    "fedncf without gmf": Eager(
        fedncf, fedncf.Widths(gmf=0, mlp=6, hidden=(7, 5)), (["user_mlp"],), fedncf_loss, fedncf_logits
    ),
    "fedrap": Eager(
        fedrap,
        fedrap.Widths(latent=4),
        (["item_personal.sum"], ["item_personal"], ["item_personal", "item_personal.sum"]),
        fedrap_loss,
        fedrap_logits,
        {"l1_weight": 0.3},
        scale=10,
    ),
    "fedvae": Eager(
        fedvae,
        fedvae.Widths(hidden=7, latent=4),
        (["latent"],),
        fedvae_loss,
        fedvae_logits,
        {"kl_cap": 0.7, "kl_anneal_rounds": 10, "dropout": 0.4},
        tables=2,
    ),
    "fcf": Eager(fcf, fcf.Widths(latent=4), (["user_vector"],), fcf_loss, fcf_logits),
    "pfedrec": Eager(
        pfedrec,
        pfedrec.Widths(latent=4),
        (["score_weight"], ["score_weight", "score_bias"]),
        pfedrec_loss,
        pfedrec_logits,
        scale=5,
    ),
    "fedgnn": Eager(
        fedgnn,
        fedgnn.Widths(latent=4),
        (["user_node"], ["user_vector"], ["user_vector", "user_node"]),
        fedgnn_loss,
        fedgnn_logits,
        {"dropout": 0.4},
        tables=2,
    ),
}


class Reverse(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, scale):
        ctx.scale = scale
        return x.view_as(x)

    @staticmethod
    def backward(ctx, grad):
        return -ctx.scale * grad, None


def gradients(model, task, cohort, client, round_number=0):
    """One client, one local step: gradients by name and whether the trigger fired (None without an adversary)."""
    shared = {n: v.clone().requires_grad_() for n, v in (task.shared | task.adversary).items()}
    private = {n: torch.tensor(v[client]).requires_grad_() for n, v in cohort.state.values.items()}
    loss, states = model.loss(shared, private, cohort.samples[client][0], task.plan, round_number)
    fired = None
    for each in task.manifest.plan.adversaries:
        label = int(cohort.labels[each.name][client])
        if label < 0:
            continue
        own = {n.split(".", 2)[2]: v for n, v in shared.items() if n.startswith("adversary")}
        state = torch.cat([states[n].flatten() for n in each.protects])
        noise = torch.tensor(cohort.noise[each.name][client, 0])
        fired = decides(each, int(adversary_logits(each, own, state, noise).argmax()) == label, round_number)
        if each.objective == task_pb2.OBJECTIVE_CONFUSION:
            loss, state = loss + each.epsilon * divergence_from_prior(each, own, state), state.detach()
        reversed_ = Reverse.apply(state, each.epsilon if fired else 0.0)
        weight = each.class_weights[label] if each.class_weights else 1.0
        logits = adversary_logits(each, own, reversed_, noise)
        loss = loss + weight * F.cross_entropy(logits[None], torch.tensor([label]))
    names = [*shared, *private]
    grads = torch.autograd.grad(loss, [*shared.values(), *private.values()], allow_unused=True)
    return {n: g for n, g in zip(names, grads, strict=True) if g is not None}, fired


def adversary_logits(adversary, own, state, noise):
    mu, s = adversary_head(adversary, own, state)
    return mu if s is None else mu * noise[0] + s.exp() * noise[1]


def adversary_head(adversary, own, state):
    """mu, and s where the head has one."""
    out = F.linear(F.relu(F.linear(state, own["hidden.weight"], own["hidden.bias"])), own["head.weight"])
    match adversary.head:
        case task_pb2.HEAD_MLP:
            return out + own["head.bias"], None
        case task_pb2.HEAD_SCALAR:
            return out, own["head.log_sigma"]
    return out.chunk(2)


def divergence_from_prior(adversary, own, state):
    """KL(prior || softmax(mu)), which changes nothing of the adversary."""
    mu, _ = adversary_head(adversary, {name: value.detach() for name, value in own.items()}, state)
    prior = torch.tensor(adversary.prior)
    return F.kl_div(F.log_softmax(mu, 0), prior / prior.sum(), reduction="sum")


def decides(adversary, right, round_number):
    if adversary.objective == task_pb2.OBJECTIVE_CONFUSION:
        return True
    return {
        task_pb2.TRIGGER_SUT: right,
        task_pb2.TRIGGER_GLOBAL: True,
        task_pb2.TRIGGER_OFF: False,
        task_pb2.TRIGGER_PRETRAIN: round_number >= adversary.pretrain_rounds,
    }[adversary.trigger]
