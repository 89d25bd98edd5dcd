"""The choice of a GPU, and what its memory is too small for. Importing this module loads PyTorch."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from simulator.errors import ConfigError, DeviceMemoryError


def device(name: str) -> torch.device:
    """Returns the device of a name: `cpu`, `cuda` or `cuda:N`.

    From then on all operations of PyTorch in this process are deterministic where the device is not the CPU, so that a
    run has the same bytes on the same GPU each time.

    Raises:
        ConfigError: PyTorch has no such device here.
    """
    chosen = torch.device(name)
    if chosen.type == "cpu":
        return chosen
    if not torch.cuda.is_available():
        cause = "finds no GPU" if torch.version.cuda else "was built without CUDA"
        raise ConfigError(
            f"engine.device is {name}, and PyTorch {torch.__version__} {cause} here: install a build with CUDA on a "
            "machine with a GPU and its driver, or set engine.device to cpu"
        )
    if (chosen.index or 0) >= torch.cuda.device_count():
        raise ConfigError(
            f"engine.device is {name}, and PyTorch finds {torch.cuda.device_count()} GPU(s) here, counted from cuda:0: "
            "choose one of them"
        )
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # without it, products of matrices are refused
    torch.use_deterministic_algorithms(True)
    return chosen


@contextmanager
def memory(device: torch.device) -> Iterator[None]:
    """Says in words that a device's memory was too small for what the block does.

    Raises:
        DeviceMemoryError: it was.
    """
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise DeviceMemoryError(
            f"{device} has too little memory: end other programs on it and repeat the command, which goes on from the "
            "last evaluation; or begin in another folder with engine.device cpu, fewer local steps, or a smaller model"
        ) from error
