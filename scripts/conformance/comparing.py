"""Compares vectors: all of them exactly, except for numbers that a runtime's floating point decides."""

import base64

import numpy as np
from numpy.typing import NDArray

from client_sdk.protocol.values import PrivateState
from fedau2.v1.tensors_pb2 import Contribution
from scripts.conformance.arrays import Json

TOLERANCE = 1e-5
"""Largest difference in units of a tensor's largest value."""

_STATES, _CONTRIBUTIONS = {"before", "after", "carried"}, {"trained", "contribution"}


def alike(stored: Json, computed: Json) -> bool:
    """Says whether two vectors are alike."""
    if isinstance(stored, dict) and isinstance(computed, dict):
        same = stored.keys() == computed.keys()
        return same and all(_alike_values(name, stored[name], computed[name]) for name in stored)
    if isinstance(stored, list) and isinstance(computed, list):
        return len(stored) == len(computed) and all(map(alike, stored, computed))
    return bool(stored == computed)


def _alike_values(name: str, stored: Json, computed: Json) -> bool:
    if name in _STATES and isinstance(stored, str):
        return _close(_state(stored), _state(computed))
    if name in _CONTRIBUTIONS and isinstance(stored, str):
        return _close(_contribution(stored), _contribution(computed))
    return alike(stored, computed)


def _close(stored: dict[str, NDArray[np.float32]], computed: dict[str, NDArray[np.float32]]) -> bool:
    return stored.keys() == computed.keys() and all(
        values.shape == computed[name].shape
        and np.allclose(values, computed[name], rtol=0, atol=TOLERANCE * np.abs(values).max(initial=0))
        for name, values in stored.items()
    )


def _state(text: str) -> dict[str, NDArray[np.float32]]:
    state = PrivateState.unpack(base64.b64decode(text))
    parts = {"values": state.values, "first": state.first, "second": state.second}
    return {f"{part}/{name}": value for part, columns in parts.items() for name, value in columns.items()} | {
        "steps": state.steps.astype(np.float32)
    }


def _contribution(text: str) -> dict[str, NDArray[np.float32]]:
    tensors: dict[str, NDArray[np.float32]] = {}
    for tensor in Contribution.FromString(base64.b64decode(text)).tensors:
        values = tensor.rows.values or tensor.dense
        tensors[tensor.name] = np.frombuffer(values, "<f4").reshape(tensor.shape)
        tensors[f"{tensor.name}.rows"] = np.frombuffer(tensor.rows.indices, "<u4").astype(np.float32)
    return tensors
