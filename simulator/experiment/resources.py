"""Settings of the simulator's processes for memory and cores."""

import ctypes
import sys

import torch

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8


def prepare() -> None:
    """One PyTorch thread, and freed memory is kept; to be called once, by a process's entry point.

    The simulator is parallel over clients: inside operators on small matrices, threads cost more than they give. And a
    large block given back to the system would be cleared page by page at its next use; only what is larger than any
    block of training, matrices of all users by all users, is given back.
    """
    torch.set_num_threads(1)
    try:
        libc = ctypes.CDLL("libc.so.6")
    except OSError:
        return  # another C library
    libc.mallopt(_M_MMAP_THRESHOLD, 1 << 27)
    libc.mallopt(_M_TRIM_THRESHOLD, (1 << 31) - 1)
    libc.mallopt(_M_ARENA_MAX, 1)  # arenas of threads keep nothing, whatever the thresholds


def peak_rss_mib() -> float | None:
    """Most memory that this process has held so far, pages of mapped files included, MiB; None where none can say."""
    try:
        import resource
    except ModuleNotFoundError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1 << 20 if sys.platform == "darwin" else 1 << 10)  # bytes there, KiB elsewhere
