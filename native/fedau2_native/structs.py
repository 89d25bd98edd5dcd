"""The structs of `native/src/abi.h`, field by field."""

import ctypes
from collections.abc import Sequence
from ctypes import POINTER, c_double, c_float, c_int64, c_void_p
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

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


class ServerAdam(ctypes.Structure):
    """The input and the output of a step of the server's Adam."""

    _fields_ = (
        ("count", c_int64),
        *((name, c_void_p) for name in ("gradient", "values", "first", "second")),
        *((name, c_void_p) for name in ("new_values", "new_first", "new_second")),
        *((name, c_double) for name in ("add1", "add2", "keep1", "keep2", "bias2")),
        *((name, c_double) for name in ("variance", "floor", "epsilon", "rate")),
    )

    @classmethod
    def of(
        cls,
        gradient: NDArray[np.float64],
        old: Sequence[NDArray[np.float32] | None],
        new: Sequence[NDArray[np.float32]],
    ) -> Self:
        """Makes the struct of contiguous arrays, which must outlive it: values and both moments, old and new."""
        floats = (None if array is None else address(array, np.float32) for array in (*old, *new))
        return cls(len(gradient), address(gradient, np.float64), *floats)


class Numbers(ctypes.Structure):
    """Numbers of one tensor that some clients contribute: contiguous arrays, which must outlive it."""

    _fields_ = (
        *((name, c_int64) for name in ("clients", "rows", "width")),
        *((name, c_void_p) for name in ("counts", "values", "column", "line")),
    )

    @classmethod
    def of(
        cls,
        shape: tuple[int, int, int],
        counts: NDArray[np.int64] | None,
        values: NDArray[np.float32] | None,
        column: NDArray[np.float32] | None,
        line: NDArray[np.float32] | None,
    ) -> Self:
        """Makes the struct of arrays; see `native/src/abi.h`."""
        floats = (None if array is None else address(array, np.float32) for array in (values, column, line))
        return cls(*shape, None if counts is None else address(counts, np.int64), *floats)


def pointers(addresses: list[int]) -> Any:  # noqa: ANN401 - the type that ctypes makes has no name
    """Makes an array of pointers."""
    return (c_void_p * len(addresses))(*addresses)


def address(array: NDArray[Any], dtype: type[np.generic]) -> int:
    """Returns where a contiguous array of a type lies.

    Raises:
        TypeError: it is another array.
    """
    if array.dtype != dtype or not array.flags.c_contiguous:
        raise TypeError(f"the library takes contiguous arrays of {np.dtype(dtype)}, not of {array.dtype}")
    return int(array.__array_interface__["data"][0])
