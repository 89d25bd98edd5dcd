"""Makes the engine that an app names. Importing this module loads neither engine's library."""

from typing import Literal

from client_sdk.errors import MissingEngineError, UsageError
from client_sdk.protocol.interfaces import Engine

Chosen = Engine | Literal["onnx", "torch"]
"""`onnx` runs the task's training graph; `torch` the SDK's own kernel, the reference, which needs PyTorch."""


def check(engine: Chosen) -> None:
    """Returns if this is an engine or the name of one.

    Raises:
        UsageError: it is neither.
    """
    if engine not in ("onnx", "torch") and not callable(getattr(engine, "begin", None)):
        raise UsageError(f"engine must be 'onnx', 'torch' or an engine with a method begin, not {engine!r}")


def make(engine: Chosen) -> Engine:
    """Returns the engine that an app chose.

    Raises:
        MissingEngineError: its library is not installed.
    """
    if engine == "onnx":
        from client_sdk.onnx.onnx_engine import OnnxEngine

        return OnnxEngine()
    if engine != "torch":
        return engine
    try:
        from client_sdk.kernel.torch_engine import TorchEngine
    except (ImportError, OSError) as error:
        raise MissingEngineError(
            f"engine 'torch' needs PyTorch, which cannot be imported ({error}): pip install 'fedau2[torch]', or leave "
            "the engine out"
        ) from error
    return TorchEngine()
