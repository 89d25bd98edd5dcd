"""The choice between the kernel in PyTorch and the native one."""

import warnings
from typing import Literal

from client_sdk.kernel.operations import TORCH, Operations
from fedau2.v1.task_pb2 import TaskManifest
from simulator.errors import ConfigError

Kernel = Literal["auto", "torch", "native"]


def operations(kernel: Kernel, task: TaskManifest) -> Operations:
    """Chooses what trains a task's cohorts: by `auto`, the native kernel where it is installed and knows the model.

    Warns:
        RuntimeWarning: by `auto`, the native kernel is installed but cannot be used here.

    Raises:
        ConfigError: `native` was asked for, and it is not installed, cannot be used here, or does not know the model.
    """
    if kernel == "torch":
        return TORCH
    try:
        chosen = _native(task.model)
    except ConfigError as error:
        if kernel == "native":
            raise
        warnings.warn(f"PyTorch trains instead of the native kernel: {error}", RuntimeWarning, stacklevel=2)
        return TORCH
    if chosen is None and kernel == "native":
        raise ConfigError(
            f"the native kernel is not installed, or does not know the model {task.model!r}: install it by "
            "`make native`, or set engine.kernel to torch"
        )
    return chosen or TORCH


def _native(model: str) -> Operations | None:
    """The native kernel's operations; None where it is not installed or does not know the model.

    Raises:
        ConfigError: it is installed, but cannot be used here.
    """
    try:
        from fedau2_native import NativeError, load
    except ModuleNotFoundError:
        return None
    from client_sdk.kernel.native.operations import RECOMMENDERS, NativeOperations

    if model not in RECOMMENDERS:
        return None
    try:
        return NativeOperations(load(), model)
    except NativeError as error:
        raise ConfigError(str(error)) from error
