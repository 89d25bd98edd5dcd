"""Parts that all plots share: the picture, and the colours, markers and lines that tell series apart."""

import logging
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BLUE, ORANGE, GREY = "#0072B2", "#E69F00", "#4A5568"
COLOURS = (BLUE, ORANGE, "#009E73", "#CC79A7", "#56B4E9", "#D55E00")
"""Okabe and Ito's colours, which people with colour blindness can tell apart."""

_FORMATS: Mapping[str, dict[str, Any]] = {".png": {}, ".svg": {"Date": None}, ".pdf": {"CreationDate": None}}
_MARKERS, _LINES = "osD^vPX", ("-", "--", "-.", ":")


def style(number: int) -> dict[str, Any]:
    """Returns colour, marker and line of a series. No two of 84 series have all three in common."""
    of = {"color": COLOURS, "marker": _MARKERS, "linestyle": _LINES}
    return {name: values[number % len(values)] for name, values in of.items()}


@contextmanager
def picture(
    path: Path, title: str, panels: int = 1, *, width: float = 8, height: float = 4.5
) -> Iterator[list["Axes"]]:
    """Makes a picture with empty panels side by side; it is written as PNG, SVG and PDF when the block ends.

    Args:
        path: the PNG file to write; the others differ from it in the ending.
        title: the title.
        panels: number of panels.
        width: width in inches.
        height: height in inches.
    """
    _load(path.parent)
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title, x=0.01, ha="left", fontsize=11, fontweight="bold")
    all_axes = [figure.add_subplot(1, panels, number + 1) for number in range(panels)]
    for axes in all_axes:
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="y", alpha=0.25)
    yield all_axes
    with rc_context({"svg.hashsalt": "fedau2", "pdf.fonttype": 42}):
        for ending, undated in _FORMATS.items():  # the same picture is the same file
            figure.savefig(path.with_suffix(ending), metadata=undated)


def rounds_axis(axes: "Axes") -> None:
    """Makes the horizontal axis one of rounds: whole numbers from 0 on."""
    axes.set_xlabel("rounds trained")
    axes.locator_params(axis="x", integer=True)
    axes.set_xlim(left=0)


def from_zero(axes: "Axes") -> None:
    """Lets the vertical axis begin at 0, or below it for values below, and gives the largest value some room."""
    low, high = min(0.0, axes.dataLim.ymin), max(0.0, axes.dataLim.ymax)
    axes.set_ylim(1.05 * low, 1.05 * high or 1.0)


def legend_below(axes: "Axes", columns: int = 4) -> None:
    """Puts the legend below the panel and the label of its axis, which must be there, so that it hides nothing."""
    below = 5 + 1.8 * axes.get_xlabel().count("\n")  # in heights of the legend's letters
    place: dict[str, Any] = {"loc": "upper center", "bbox_to_anchor": (0.5, 0), "borderaxespad": below}
    axes.legend(frameon=False, fontsize=8, ncols=columns, **place)


def _load(folder: Path) -> None:
    """Imports matplotlib.

    A back end that a notebook has set in the environment may not be installed here, and no picture needs one. Without a
    home that can be written, matplotlib keeps its cache beside the picture while it is imported.
    """
    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # it says at length where it has put its cache
    with _environment({"MPLBACKEND": None}):
        try:
            import_module("matplotlib.figure")
        except (OSError, RuntimeError):
            with tempfile.TemporaryDirectory(dir=folder) as cache, _environment({"MPLCONFIGDIR": cache}):
                import_module("matplotlib.figure")


@contextmanager
def _environment(variables: Mapping[str, str | None]) -> Iterator[None]:
    """Sets variables of the environment while the block runs. A variable without a value is removed."""
    before = {name: os.environ.get(name) for name in variables}
    _set(variables)
    try:
        yield
    finally:
        _set(before)


def _set(variables: Mapping[str, str | None]) -> None:
    for name, value in variables.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
