"""A device that is not the CPU, on machines that have none.

Tensors say that they are on `DEVICE`, and hide theirs on the CPU. An operation on tensors of both devices fails as it
does on a GPU, and so does NumPy. So a tensor that was made on the default device is found, and results are right.
"""

from contextlib import contextmanager

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map_only, tree_unflatten

DEVICE = torch.device("meta")
"""PyTorch needs no driver for it, and runs nothing on it here."""

CPU = torch.device("cpu")
_MOVES = (torch.ops.aten._to_copy.default, torch.ops.aten.copy_.default)


class _Hidden(torch.Tensor):
    """A tensor elsewhere."""

    @staticmethod
    def __new__(cls, here):
        how = {"strides": here.stride(), "storage_offset": here.storage_offset(), "dtype": here.dtype}
        return torch.Tensor._make_wrapper_subclass(cls, here.shape, **how, device=DEVICE)

    def __init__(self, here):
        self.here = here

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        raise AssertionError(f"{func} outside of the device's mode")


class Elsewhere(TorchDispatchMode):
    """While it is entered, tensors may be moved to `DEVICE` and computed with there."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        given, shape = tree_flatten((args, kwargs or {}))
        tensors = [value for value in given if isinstance(value, torch.Tensor)]
        hidden = [value for value in tensors if isinstance(value, _Hidden)]
        assert not any(value.device == DEVICE and not isinstance(value, _Hidden) for value in tensors), (
            f"{func}: a tensor was made of numbers on the device: make it on the CPU and move it"
        )
        # As on a GPU, a number of the CPU may stand for a scalar.
        away = [value for value in tensors if not isinstance(value, _Hidden) and value.dim()]
        assert func in _MOVES or not (hidden and away), f"{func} takes tensors of {DEVICE} and of the CPU"
        here = [value.here if isinstance(value, _Hidden) else value for value in given]
        arguments, options = tree_unflatten(here, shape)
        target = options.get("device")
        if target is not None:
            options["device"] = CPU
        result = func(*arguments, **options)
        if target == CPU or (target is None and not hidden):
            return result
        own = {id(value.here): value for value in hidden}  # what an operation changes in place stays the same tensor
        return tree_map_only(torch.Tensor, lambda value: own[id(value)] if id(value) in own else _Hidden(value), result)


@contextmanager
def entered(place):
    """Enters a place, `pretended` or `cuda`, and gives its device."""
    if place == "cuda":
        yield torch.device(place)
        return
    with Elsewhere():
        yield DEVICE
