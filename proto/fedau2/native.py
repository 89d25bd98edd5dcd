"""The native library, where it is installed (docs/native.md). Everything works without it, and gives the same."""

import warnings
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fedau2_native import Library

INTERFACE = 2
"""The version of the library's interface that this version of FedAU2 calls."""


def load() -> "Library | None":
    """Loads the library; None where it is not installed.

    Raises:
        fedau2_native.NativeError: it is installed, but cannot be used here.
    """
    try:
        import fedau2_native
    except ModuleNotFoundError:
        return None
    installed = getattr(fedau2_native.library, "ABI", None)
    if installed != INTERFACE:
        raise fedau2_native.NativeError(
            f"the installed fedau2-native has interface {installed}, and this version of FedAU2 calls interface "
            f"{INTERFACE}: install the one of the same release, by `make native` or `pip install ./native`"
        )
    return fedau2_native.load()


@cache
def arithmetic() -> "Library | None":
    """Loads the library for the integers of secure sums; None where NumPy computes them.

    Warns:
        RuntimeWarning: once, if the library is installed but cannot be used here.
    """
    try:
        return load()
    except Exception as error:
        if type(error).__name__ != "NativeError":
            raise
        warnings.warn(f"NumPy adds secure sums instead of the native library: {error}", RuntimeWarning, stacklevel=2)
        return None
