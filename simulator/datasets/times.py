"""Times of interactions: read without rounding, and the order that they give."""

import re
from collections.abc import Sequence
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from simulator.datasets.table import DECIMAL, Block

FILE_ORDER = "there is no column of times: the order of lines stands for time"
"""The note on a data set whose interactions have no times."""

BITS = 53
"""Bits of a float of 64 bits: every whole number up to 2**53 is one."""

_LOOKS = re.compile(r"time|date|stamp|(^|_)(ts|at|when)$", re.IGNORECASE)
_PARTS = r"^(?P<whole>-?[0-9]{1,19})(?:\.(?P<fraction>[0-9]{0,18}))?$"


def looks_like(name: str) -> bool:
    """Returns whether a column has the name of a time."""
    return bool(_LOOKS.search(name))


class Times:
    """Collects the times of interactions exactly: whole numbers of 64 bits, and fractions where there are any."""

    def __init__(self) -> None:
        self._whole: list[NDArray[np.int64]] = []
        self._fractions: list[NDArray[np.int64]] = []

    def add(self, block: Block, column: str) -> None:
        """Reads the times of a block.

        Raises:
            DatasetFormatError: a field is not a number, does not fit, or is a float that has lost its last digits.
        """
        block.expect(column, DECIMAL, "a number; times are numbers, such as seconds since 1970")
        texts = _without_exponents(block.columns[column].cast(pa.string()))
        parts = pc.extract_regex(texts, _PARTS)
        block.refuse(np.asarray(pc.is_null(parts)), column, "has too many digits for a time")
        try:
            whole = np.asarray(parts.field("whole").cast(pa.int64()))
        except pa.ArrowInvalid:
            block.refuse(~_fits(parts.field("whole")), column, "does not fit a whole number of 64 bits")
            raise
        bits = block.bits.get(column, BITS)
        inexact = block.matches(column, r"[.eE]") & ((whole > 2**bits) | (whole < -(2**bits)))
        block.refuse(
            inexact, column, f"is a float beyond 2**{bits}, where such floats are not exact: write whole numbers"
        )
        fraction = np.asarray(pc.utf8_rpad(parts.field("fraction"), 18, "0").cast(pa.int64()))
        self._whole.append(whole)
        self._fractions.append(np.where(block.matches(column, "^-"), -fraction, fraction))

    def keys(self) -> tuple[NDArray[np.int64], ...]:
        """Returns the keys that sort all interactions by time, the most significant first, (n,) each."""
        if any(part.any() for part in self._fractions):
            return np.concatenate(self._whole), np.concatenate(self._fractions)
        return (np.concatenate(self._whole),)


def _without_exponents(texts: pa.Array) -> pa.Array:
    """Writes 1.5e3 as 1500."""
    if not pc.any(pc.match_substring_regex(texts, "[eE]")).as_py():
        return texts
    return pa.array([f"{Decimal(text):f}" if "e" in text.lower() else text for text in texts.to_pylist()])


def _fits(texts: pa.Array) -> NDArray[np.bool_]:
    return np.array([-(2**63) <= int(text) < 2**63 for text in texts.to_pylist()])


def order_of(
    user: NDArray[np.integer], keys: Sequence[NDArray[np.int64] | NDArray[np.float64]] = ()
) -> NDArray[np.int64]:
    """Returns the order that `ordered` sorts interactions into, as row numbers, (n,)."""
    return np.lexsort((*reversed(keys), user))


def ordered(
    user: NDArray[np.int32], item: NDArray[np.int32], keys: Sequence[NDArray[np.int64] | NDArray[np.float64]] = ()
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Sorts interactions by user and then by time; ties keep their order in the file.

    Args:
        user: user row of each interaction, (n,).
        item: item row of each interaction, (n,).
        keys: the times, (n,) each, the most significant first; empty if times are not known.
    """
    order = order_of(user, keys)
    return user[order].astype(np.int64), item[order].astype(np.int64)
