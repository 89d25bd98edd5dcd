"""Writes arrays and bytes into JSON."""

import base64
from typing import Any

import numpy as np
from numpy.typing import NDArray

Json = Any


def array(values: NDArray[Any]) -> Json:
    """Returns an array's dtype, shape and little-endian bytes, row by row."""
    little = np.ascontiguousarray(values, values.dtype.newbyteorder("<"))
    return {"dtype": values.dtype.name, "shape": list(values.shape), "data": data(little.tobytes())}


def data(content: bytes) -> str:
    """Returns bytes in base64."""
    return base64.b64encode(content).decode()
