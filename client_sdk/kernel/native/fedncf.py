"""The gradients of FedNCF by the library."""

import numpy as np
import torch

from client_sdk.kernel.contract import Gradients, Step, Tensors, Unlearn
from client_sdk.kernel.native.cohorts import Ragged
from fedau2_native import Library
from fedau2_native.structs import FedNCF, pointers


def gradients(library: Library, shared: Tensors, private: Tensors, step: Step, unlearn: Unlearn) -> Gradients:
    """Computes what `client_sdk.kernel.fedncf.gradients` does, on a batch of `cohorts.layout`."""
    batch, groups = step.batch, step.rows.groups
    assert isinstance(batch, Ragged)
    if step.members is not None:
        private = {name: value.index_select(0, step.members) for name, value in private.items()}
    dense = {name: value for name, value in shared.items() if not name.startswith("item_")}
    out = Gradients(
        loss=torch.zeros(batch.clients),
        shared={name: torch.zeros(groups, *value.shape[1:]) for name, value in dense.items()}
        | {name: torch.zeros_like(value) for name, value in shared.items() if name not in dense},
        private={name: torch.zeros_like(value) for name, value in private.items()},
    )
    layers = [*(f"mlp.{layer}" for layer in range(len(dense) // 2 - 1)), "output"]
    hidden = np.array([shared[f"{layer}.bias"].shape[1] for layer in layers[:-1]], np.int64)
    tensors = {
        "hidden": hidden.ctypes.data,
        "firsts": batch.firsts.ctypes.data,
        **{name: getattr(batch, name).data_ptr() for name in ("slot", "client", "labels", "weights")},
        **_addresses(private | {name: shared[name] for name in shared.keys() - dense.keys()}),
        "loss": out.loss.data_ptr(),
        **{f"{name}_grad": address for name, address in _addresses(out.private | out.shared).items()},
    }
    library.fedncf(
        FedNCF(
            groups=groups,
            clients=batch.clients,
            slots=step.rows.slots,
            copies=len(shared["output.bias"]),
            gmf=private["user_gmf"].shape[1] if "user_gmf" in private else 0,
            mlp=private["user_mlp"].shape[1],
            layers=len(hidden),
            layer_weights=pointers([dense[f"{layer}.weight"].data_ptr() for layer in layers]),
            layer_biases=pointers([dense[f"{layer}.bias"].data_ptr() for layer in layers]),
            layer_weight_grads=pointers([out.shared[f"{layer}.weight"].data_ptr() for layer in layers]),
            layer_bias_grads=pointers([out.shared[f"{layer}.bias"].data_ptr() for layer in layers]),
            **{name: address for name, address in tensors.items() if name in _FIELDS},
        )
    )
    for name, push in unlearn(private).items():
        out.private[name] += push
    return out


_FIELDS = {field[0] for field in FedNCF._fields_}


def _addresses(tensors: Tensors) -> dict[str, int]:
    return {name: tensor.data_ptr() for name, tensor in tensors.items()}
