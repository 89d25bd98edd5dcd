"""Writes the ziggurat's tables as a module of the TypeScript SDK."""

import base64
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scripts.conformance import ziggurat

PATH = Path(__file__).parents[2] / "typescript/src/draws/ziggurat.ts"

_MODULE = """/** The tables of docs/protocol/draws.md; `python -m scripts.conformance` writes this file. */

function words(text: string): ArrayBuffer {{
  return Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)).buffer;
}}

/** The right end of the lowest layer, and its reciprocal, as binary32. */
export const TAIL = Math.fround({tail});
export const INVERSE_TAIL = Math.fround({inverse});

/** For each layer: the values of 23 bits that lie inside, the width of one of them, and the density at its end. */
export const AREA = new Uint32Array(
  words(
    "{area}",
  ),
);
export const WIDTH = new Float32Array(
  words(
    "{width}",
  ),
);
export const HEIGHT = new Float32Array(
  words(
    "{height}",
  ),
);
"""


def module() -> str:
    """Returns the module's text."""
    tables = {name: _text(values) for name, values in ziggurat.tables().items()}
    return _MODULE.format(tail=float(ziggurat.TAIL), inverse=float(1 / ziggurat.TAIL), **tables)


def _text(values: NDArray[Any]) -> str:
    return base64.b64encode(values.astype(np.dtype(values.dtype).newbyteorder("<")).tobytes()).decode()
