"""Writes the ziggurat's tables as a header of the native kernel."""

from pathlib import Path

from scripts.conformance import ziggurat

PATH = Path(__file__).parents[2] / "native/src/ziggurat.h"

_MODULE = """// The tables of docs/protocol/draws.md; `python -m scripts.conformance` writes this file.
#pragma once

#include <cstdint>

namespace ziggurat {{

// The right end of the lowest layer, and its reciprocal.
constexpr float TAIL = {tail}f, INVERSE_TAIL = {inverse}f;

// For each layer: the values of 23 bits that lie inside, the width of one of them, and the density at its end.
constexpr std::uint32_t AREA[] = {{
    {area}}};
constexpr float WIDTH[] = {{
    {width}}};
constexpr float HEIGHT[] = {{
    {height}}};

}}  // namespace ziggurat
"""
_PER_LINE = 6


def module() -> str:
    """Returns the header's text."""
    tables = ziggurat.tables()
    area = [str(number) for number in tables["area"].tolist()]
    widths, heights = ([f"{number.hex()}f" for number in tables[name].tolist()] for name in ("width", "height"))
    return _MODULE.format(
        tail=float(ziggurat.TAIL).hex(),
        inverse=float(1 / ziggurat.TAIL).hex(),
        area=_lines(area),
        width=_lines(widths),
        height=_lines(heights),
    )


def _lines(numbers: list[str]) -> str:
    lines = [", ".join(numbers[start : start + _PER_LINE]) for start in range(0, len(numbers), _PER_LINE)]
    return ",\n    ".join(lines)
