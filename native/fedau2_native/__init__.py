"""The native kernel: functions in C++ on arrays, called by ctypes. `load` gives the variant for this processor."""

from fedau2_native.errors import NativeError
from fedau2_native.library import Library, load

__all__ = ["Library", "NativeError", "load"]
