"""ONNX Runtime as the SDK uses it: on one thread, without telemetry, bounded where it is asked for.

Importing this module loads no ONNX Runtime.
"""

import hashlib
import os
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

from client_sdk.onnx.limits import Limits

if TYPE_CHECKING:
    from onnxruntime import InferenceSession, RunOptions, SessionOptions

_BOUNDING = Lock()

_KEPT = 4
"""Graphs in a folder of compiled ones."""

OUT_OF_MEMORY = "arena"
"""What the runtime says, among else, where its allocator would go beyond its bound."""


def session(data: bytes, limits: Limits, compiled: Path | None) -> "InferenceSession":
    """A session for a graph that has been inspected.

    Args:
        data: ONNX bytes.
        limits: what a run may take.
        compiled: a folder of the app's own, in which the newest graphs are kept in the runtime's own form (.ort):
            loading them again takes half the time. Where it cannot be used, nothing is kept. None: nothing is kept.

    Raises:
        Exception: it cannot be loaded; the runtime's errors have no common root.
    """
    # The wheel's telemetry starts with the import and leaves a device id on the disk; this is what turns it off.
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"

    with _BOUNDING:  # or another thread's bound would come between
        _bound_memory(limits.memory)
        if compiled is None:
            return _load(data, "ONNX")
        return _from_folder(data, compiled)


def _from_folder(data: bytes, folder: Path) -> "InferenceSession":
    import onnxruntime

    # Another version may not read what this one wrote, or compute otherwise.
    path = folder / f"{hashlib.sha256(data).hexdigest()}-{onnxruntime.__version__}.ort"
    try:
        if not path.is_file():
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            own = path.with_suffix(f".{os.getpid()}.new")  # another process may use the folder too
            _compile(data, own)
            own.replace(path)
            _keep_newest(folder)
        return _load(path.read_bytes(), "ORT")
    except Exception:  # the runtime's or the disk's; the file may have been damaged
        with suppress(OSError):
            path.unlink()
        return _load(data, "ONNX")


def _keep_newest(folder: Path) -> None:
    """Removes what graphs of earlier tasks, versions of the runtime and interruptions left."""
    found = [*folder.glob("*.ort"), *folder.glob("*.new")]
    oldest_first = sorted(found, key=lambda each: each.stat().st_mtime_ns)
    for each in oldest_first[:-_KEPT]:
        each.unlink(missing_ok=True)


def _load(data: bytes, form: str) -> "InferenceSession":
    options = _options(form)
    options.add_session_config_entry("session.use_env_allocators", "1")  # those that are bounded
    return _open(data, options)


def _compile(data: bytes, path: Path) -> None:
    options = _options("ONNX")
    options.optimized_model_filepath = str(path)
    options.add_session_config_entry("session.save_model_format", "ORT")
    _open(data, options)


def _options(form: str) -> "SessionOptions":
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.enable_cpu_mem_arena = False  # it would keep every intermediate tensor for ever
    options.log_severity_level = 4
    options.add_session_config_entry("session.load_model_format", form)  # whatever the bytes look like
    return options


def _open(data: bytes, options: "SessionOptions") -> "InferenceSession":
    import onnxruntime

    # Folding constants would compute before any limit holds.
    return onnxruntime.InferenceSession(
        data, options, providers=["CPUExecutionProvider"], disabled_optimizers=["ConstantFolding"]
    )


def _bound_memory(size: int) -> None:
    """Bounds the memory of the sessions that are made next with the process's common allocator."""
    import onnxruntime

    kind, memory = onnxruntime.OrtAllocatorType.ORT_ARENA_ALLOCATOR, onnxruntime.OrtMemType.DEFAULT
    asked_for = 1  # grow by what is asked for, and not by powers of two
    config = onnxruntime.OrtArenaCfg({"max_mem": size, "arena_extend_strategy": asked_for})
    onnxruntime.create_and_register_allocator(onnxruntime.OrtMemoryInfo("Cpu", kind, 0, memory), config)


def shrinking() -> "RunOptions":
    """Options with which a run gives the memory that it took back to the system."""
    import onnxruntime

    options = onnxruntime.RunOptions()
    options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
    return options
