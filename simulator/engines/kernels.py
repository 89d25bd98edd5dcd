"""The choice between the kernel in PyTorch and the native one."""

import warnings
from dataclasses import dataclass
from typing import Literal

import torch

from client_sdk.kernel.operations import TORCH, Operations
from client_sdk.kernel.training import CPU
from fedau2 import native
from fedau2.v1.task_pb2 import TaskManifest
from simulator.errors import ConfigError

KernelName = Literal["auto", "torch", "native"]


@dataclass(frozen=True)
class Kernel:
    """A kernel, as the batched engine uses it.

    Attributes:
        name: by which `choose` chooses it.
        operations: those of local updates.
    """

    name: KernelName
    operations: Operations


PYTORCH = Kernel("torch", TORCH)
"""The reference, which knows every recommender."""


def choose(kernel: KernelName, task: TaskManifest, device: torch.device = CPU) -> Kernel:
    """Chooses what trains a task's cohorts: by `auto`, the native kernel where it is installed and knows the model.

    The native kernel trains on the CPU only. On another device PyTorch trains.

    Warns:
        RuntimeWarning: by `auto`, the native kernel is installed but cannot be used here.

    Raises:
        ConfigError: `native` was asked for, and it is not installed, cannot be used here, or does not know the model
            or the device.
    """
    if kernel == "native" and device.type != "cpu":
        raise ConfigError(
            f"the native kernel trains on the CPU only, and engine.device is {device}: set engine.kernel to torch or "
            "auto, or engine.device to cpu"
        )
    if kernel == "torch" or device.type != "cpu":
        return PYTORCH
    try:
        known = _native(task.model)
    except ConfigError as error:
        if kernel == "native":
            raise
        warnings.warn(f"PyTorch trains instead of the native kernel: {error}", RuntimeWarning, stacklevel=2)
        return PYTORCH
    if known is None and kernel == "native":
        raise ConfigError(
            f"the native kernel is not installed, or does not know the model {task.model!r}: install it by "
            "`make native`, or set engine.kernel to torch"
        )
    return known or PYTORCH


def _native(model: str) -> Kernel | None:
    """The native kernel; None where it is not installed or does not know the model.

    Raises:
        ConfigError: it is installed, but cannot be used here.
    """
    try:
        library = native.load()
    except native.Error as error:
        raise ConfigError(str(error)) from error
    if library is None:
        return None
    from client_sdk.kernel.native.operations import RECOMMENDERS, NativeOperations

    if model not in RECOMMENDERS:
        return None
    return Kernel("native", NativeOperations(library, model))
