"""The native library, where it is installed (docs/native.md). Everything works without it, and gives the same."""

import warnings
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fedau2_native import Library

INTERFACE = 3
"""The version of the library's interface that this version of FedAU2 calls."""


class Error(Exception):
    """The library is installed, and cannot be used here; the message says why, and what to do."""


def load() -> "Library | None":
    """Loads the library; None where it is not installed.

    Raises:
        Error: it is installed, but cannot be used here.
    """
    try:
        import fedau2_native
    except ModuleNotFoundError:
        return None
    installed = getattr(fedau2_native.library, "ABI", None)
    if installed != INTERFACE:
        raise Error(
            f"the installed fedau2-native has interface {installed}, and this version of FedAU2 calls interface "
            f"{INTERFACE}: install that of the same release, by `make native` or `pip install ./native`"
        )
    try:
        return fedau2_native.load()
    except fedau2_native.NativeError as error:
        raise Error(str(error)) from error


@cache
def arithmetic() -> "Library | None":
    """Loads the library for exact sums and the server's step, whose bytes are NumPy's; None where NumPy computes them.

    Warns:
        RuntimeWarning: once, if the library is installed but cannot be used here.
    """
    try:
        return load()
    except Error as error:
        warnings.warn(f"NumPy computes exact sums instead of the native library: {error}", RuntimeWarning, stacklevel=2)
        return None
