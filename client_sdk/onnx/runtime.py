"""ONNX Runtime as the SDK uses it: on one thread, without telemetry, and with bounded memory.

Importing this module loads no ONNX Runtime.
"""

import hashlib
import os
import re
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

from client_sdk.onnx.limits import Limits

if TYPE_CHECKING:
    from onnxruntime import InferenceSession, RunOptions, SessionOptions

_BOUNDING = Lock()

_MOST_COMPILED = 4
"""Most graphs in a folder of compiled ones."""

_ALLOCATOR = re.compile(r"\bbfc_arena\.cc:\d+ ")
"""The place in the runtime's source, named by its errors, of the allocator that has a bound."""


def session(data: bytes, limits: Limits, compiled: Path | None) -> "InferenceSession":
    """A session for a graph that has been inspected.

    Args:
        data: ONNX bytes.
        limits: bounds of a run.
        compiled: a folder of the app's own, in which the newest graphs are kept in the runtime's own form (.ort).
            Loading them again takes half the time. None: no graph is kept, as where the folder cannot be used.

    Raises:
        Exception: the graph cannot be loaded. The runtime's errors have no common root.
    """
    # The wheel's telemetry starts with the import and leaves a device id on the disk. This variable turns it off.
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"

    with _BOUNDING:  # without it, another thread's bound could hold for this session
        _bound_memory(limits.memory)
        if compiled is None:
            return _load(data, "ONNX")
        return _from_folder(data, compiled)


def _from_folder(data: bytes, folder: Path) -> "InferenceSession":
    import onnxruntime

    # Another version of the runtime may fail to read the file, or compute differently.
    path = folder / f"{hashlib.sha256(data).hexdigest()}-{onnxruntime.__version__}.ort"
    try:
        if not path.is_file():
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            new = path.with_suffix(f".{os.getpid()}.new")  # another process may use the folder too
            _compile(data, new)
            new.replace(path)
            _keep_newest(folder)
        return _load(path.read_bytes(), "ORT")
    except Exception:  # the runtime's or the disk's; the file may have been damaged
        with suppress(OSError):
            path.unlink()
        return _load(data, "ONNX")


def _keep_newest(folder: Path) -> None:
    """Removes files that earlier tasks, other versions of the runtime and interruptions left."""
    files = [*folder.glob("*.ort"), *folder.glob("*.new")]
    oldest_first = sorted(files, key=lambda file: file.stat().st_mtime_ns)
    for file in oldest_first[:-_MOST_COMPILED]:
        file.unlink(missing_ok=True)


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
    options.enable_cpu_mem_arena = False  # the arena would never free an intermediate tensor
    options.log_severity_level = 4
    options.add_session_config_entry("session.load_model_format", form)  # whatever the bytes look like
    return options


def _open(data: bytes, options: "SessionOptions") -> "InferenceSession":
    import onnxruntime

    # Constant folding would compute while no limit holds yet.
    return onnxruntime.InferenceSession(
        data, options, providers=["CPUExecutionProvider"], disabled_optimizers=["ConstantFolding"]
    )


def _bound_memory(size: int) -> None:
    """Bounds the memory of the sessions that are made next, by the allocator that all sessions of the process share."""
    import onnxruntime

    kind, memory = onnxruntime.OrtAllocatorType.ORT_ARENA_ALLOCATOR, onnxruntime.OrtMemType.DEFAULT
    as_requested = 1  # grow by the requested size, and not by powers of two
    config = onnxruntime.OrtArenaCfg({"max_mem": size, "arena_extend_strategy": as_requested})
    onnxruntime.create_and_register_allocator(onnxruntime.OrtMemoryInfo("Cpu", kind, 0, memory), config)


def is_out_of_memory(error: Exception) -> bool:
    """Says whether a run failed because its memory would have exceeded the bound.

    The runtime has neither a class nor a code for this: whatever fails in a node is the same `Fail`. So the text is
    searched for the place that raised it. A later runtime that words it differently would make such a run an
    `UnsupportedTaskError`, which refuses the task as well; a test holds the version that is installed.
    """
    return isinstance(error, MemoryError) or bool(_ALLOCATOR.search(str(error)))


def shrinking() -> "RunOptions":
    """Gives options with which a run returns its memory to the system when it ends."""
    import onnxruntime

    options = onnxruntime.RunOptions()
    options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
    return options
