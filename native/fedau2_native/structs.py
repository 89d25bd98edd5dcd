"""The structs of `native/src/abi.h`, field by field."""

import ctypes
from ctypes import POINTER, c_float, c_int64, c_void_p
from typing import Any

_Pointers = POINTER(c_void_p)


class FedNCF(ctypes.Structure):
    """The input and the output of FedNCF's gradients."""

    _fields_ = (
        *((name, c_int64) for name in ("groups", "clients", "slots", "copies", "gmf", "mlp", "layers")),
        *((name, c_void_p) for name in ("hidden", "firsts", "slot", "client", "labels", "weights")),
        *((name, c_void_p) for name in ("user_gmf", "user_mlp", "item_gmf", "item_mlp")),
        ("layer_weights", _Pointers),
        ("layer_biases", _Pointers),
        ("loss", c_void_p),
        *((f"{name}_grad", c_void_p) for name in ("user_gmf", "user_mlp", "item_gmf", "item_mlp")),
        ("layer_weight_grads", _Pointers),
        ("layer_bias_grads", _Pointers),
    )


class FedRAP(ctypes.Structure):
    """The input and the output of FedRAP's gradients."""

    _fields_ = (
        *((name, c_int64) for name in ("groups", "clients", "slots", "items", "latent", "copies")),
        ("penalty", c_float),
        *((name, c_void_p) for name in ("firsts", "slot", "client", "labels", "weights", "table", "rows")),
        *((name, c_void_p) for name in ("common", "personal", "weight", "bias", "loss")),
        *((name, c_void_p) for name in ("common_grad", "weight_grad", "bias_grad", "by_item")),
    )


def pointers(addresses: list[int]) -> Any:  # noqa: ANN401 - the type that ctypes makes has no name
    """Makes an array of pointers."""
    return (c_void_p * len(addresses))(*addresses)
