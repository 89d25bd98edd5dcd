"""Finds the variant of the library for this processor, and declares its functions to ctypes."""

import ctypes
from ctypes import POINTER, c_bool, c_double, c_int32, c_int64, c_uint64, c_void_p
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedau2_native.errors import NativeError
from fedau2_native.structs import FedNCF, FedRAP, Numbers, ServerAdam, address

ABI = 3
"""The version of the C interface that this package calls."""

_HERE = Path(__file__).parent
_VARIANTS = {4: "v4", 3: "v3", 2: "v2", 0: "any"}
"""The variants by the level of processor that each needs, best first."""

_ADVICE = "build it anew on this machine with `make native`, or uninstall fedau2-native"


class Library:
    """One variant of the library. Every function has the arguments of `native/src/abi.h`, with arrays for pointers.

    Args:
        path: the file.

    Attributes:
        variant: name of the file, without its ending.

    Raises:
        NativeError: the file cannot be loaded here, or has another interface.
    """

    def __init__(self, path: Path) -> None:
        self.variant = path.stem
        library = _opened(path)
        version = getattr(library, "fedau2_abi", lambda: None)()
        if version != ABI:
            raise NativeError(f"{path} has interface {version}, and this package calls interface {ABI}: {_ADVICE}")
        for name, (result, *arguments) in _FUNCTIONS.items():
            function = getattr(library, f"fedau2_{name}")
            function.restype, function.argtypes = result, arguments
            setattr(self, name, function)

    contrasts: Any
    normals: Any
    uniforms: Any
    touch: Any
    join: Any
    fedncf: Any
    fedrap: Any
    sums: Any
    adam: Any
    fold: Any
    server_adam: Any
    fit: Any
    round: Any
    pack: Any
    unpack: Any


class _Array:
    """An argument that takes a contiguous array of one type, or None."""

    def __init__(self, dtype: type[np.generic]) -> None:
        self._dtype = dtype

    def from_param(self, array: NDArray[Any] | None) -> c_void_p:
        return c_void_p(None if array is None else address(array, self._dtype))


_F, _I, _I32, _D = _Array(np.float32), _Array(np.int64), _Array(np.int32), _Array(np.float64)
_U32, _U8, _B = _Array(np.uint32), _Array(np.uint8), _Array(np.bool_)
_KEYS = ctypes.c_char_p
_FUNCTIONS: dict[str, tuple[Any, ...]] = {
    "contrasts": (
        None, c_int64, _KEYS, c_uint64, c_uint64, c_int64, c_int64, c_int64, c_int64, _I, _I, _F, _I, _F, _F,
    ),
    "normals": (None, c_int64, _KEYS, c_uint64, c_uint64, c_int64, _F),
    "uniforms": (None, c_int64, _KEYS, c_uint64, c_uint64, _I, _F),
    "touch": (None, c_int64, c_int64, c_int64, _I, _I, _I32, _I),
    "join": (c_int64, c_int64, c_int64, c_int64, c_int64, c_bool, _I, _I, _I, _F, _F, _I32, _I, _I, _F, _F, _I),
    "fedncf": (None, POINTER(FedNCF)),
    "fedrap": (None, POINTER(FedRAP)),
    "sums": (None, c_int64, c_int64, c_int64, _I, _F, _F),
    "adam": (None, c_int64, c_int64, c_int64, _I, c_int64, _F, _F, _F, _F, _F, _F, _F, _F, _F),
    "fold": (None, c_int64, c_int64, _I, _F, c_double, _I),
    "server_adam": (None, POINTER(ServerAdam)),
    "fit": (None, POINTER(Numbers), c_int32, c_int64, c_int64, _D),
    "round": (None, POINTER(Numbers), c_int32, _D, _I, c_int64, c_int64, _U32, _B),
    "pack": (None, c_int64, c_int32, _U32, _U32, _U8),
    "unpack": (None, c_int64, c_int32, _U8, c_int32, _U32),
}  # fmt: skip


@cache
def load(folder: Path = _HERE) -> Library:
    """Loads the best variant for this processor from a folder; the package's own by default.

    Raises:
        NativeError: there is no variant for this processor, or it cannot be loaded.
    """
    probe = folder / "libprocessor.so"
    if not probe.exists():
        raise NativeError(f"{folder} has no library: {_ADVICE}")
    level = int(_opened(probe).fedau2_level())
    for needed, variant in _VARIANTS.items():
        path = folder / f"libfedau2-{variant}.so"
        if needed <= level and path.exists():
            return Library(path)
    raise NativeError(f"{folder} has no library for this processor (level {level}): {_ADVICE}")


def _opened(path: Path) -> ctypes.CDLL:
    try:
        return ctypes.CDLL(str(path))
    except OSError as error:
        raise NativeError(f"{path} cannot be loaded ({error}): {_ADVICE}") from error
