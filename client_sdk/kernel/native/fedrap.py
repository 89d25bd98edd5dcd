"""The gradients of FedRAP by the library."""

import torch
from torch import Tensor

from client_sdk.kernel.contract import Gradients, Step, Tensors, Unlearn
from client_sdk.kernel.fedrap_parameters import SUM
from client_sdk.kernel.native.cohorts import Ragged
from client_sdk.kernel.native.private_adam import Factored
from fedau2_native import Library
from fedau2_native.structs import FedRAP


def gradients(library: Library, shared: Tensors, private: Tensors, step: Step, unlearn: Unlearn) -> Gradients:
    """Computes what `client_sdk.kernel.fedrap.gradients` does, on a batch of `cohorts.layout`."""
    batch, groups = step.batch, step.rows.groups
    assert isinstance(batch, Ragged)
    personal, common, weight = private["item_personal"], shared["item_common"], shared["output.weight"]
    clients, items, latent = batch.clients, *personal.shape[1:]
    members = torch.arange(clients) if step.members is None else step.members
    push = unlearn(_states(library, personal, members, step))
    out = Factored(
        loss=torch.zeros(clients),
        shared={
            "item_common": torch.zeros_like(common),
            "output.weight": torch.zeros(groups, latent),
            "output.bias": torch.zeros(groups, 1),
        },
        name="item_personal",
        by_vector=torch.zeros(clients, items),
        direction=weight,
        push=push.get(SUM),
        whole=push.get("item_personal"),
    )
    library.fedrap(
        FedRAP(
            groups=groups,
            clients=clients,
            slots=step.rows.slots,
            items=items,
            latent=latent,
            copies=len(weight),
            penalty=step.parameters.l1_weight / latent,
            firsts=batch.firsts.ctypes.data,
            **{name: getattr(batch, name).data_ptr() for name in ("slot", "client", "labels", "weights")},
            table=step.rows.table.data_ptr(),
            rows=members.data_ptr(),
            common=common.data_ptr(),
            personal=personal.data_ptr(),
            weight=weight.data_ptr(),
            bias=shared["output.bias"].data_ptr(),
            loss=out.loss.data_ptr(),
            common_grad=out.shared["item_common"].data_ptr(),
            weight_grad=out.shared["output.weight"].data_ptr(),
            bias_grad=out.shared["output.bias"].data_ptr(),
            by_item=out.by_vector.data_ptr(),
        )
    )
    return out


def _states(library: Library, personal: Tensor, members: Tensor, step: Step) -> Tensors:
    """The states that adversaries see; the others are not computed."""
    states = {}
    if SUM in step.protected:
        states[SUM] = torch.empty(len(members), personal.shape[1])
        library.sums(len(members), *personal.shape[1:], members.numpy(), personal.numpy(), states[SUM].numpy())
    if "item_personal" in step.protected:
        states["item_personal"] = personal.index_select(0, members)
    return states
