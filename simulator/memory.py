"""The C library's memory: what a round frees is kept for the next round."""

import ctypes

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of malloc.h

KEPT = 2**27
"""Most bytes at the end of the heap that are kept, of the main thread and of each other thread."""

LARGEST = 2**25
"""Bytes from which on an array gets pages of its own, which are given back at once. The C library allows no more."""


def keep_freed() -> None:
    """Has the C library keep freed memory instead of giving it back to the system.

    Every round needs the same arrays again, and the system has to clear the pages that it gives. Other libraries than
    glibc have no such settings, and nothing is changed.
    """
    adjust = getattr(ctypes.CDLL(None), "mallopt", None)
    if adjust is not None:
        adjust(_TRIM_THRESHOLD, KEPT)
        adjust(_MMAP_THRESHOLD, LARGEST)
