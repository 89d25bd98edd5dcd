import itertools
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from simulator.reporting import drawing

DRAW = """
import sys
from pathlib import Path
from simulator.reporting import drawing
with drawing.picture(Path(sys.argv[1]), "it") as (axes,):
    axes.plot([1, 2])
print(sorted(name for name in sys.modules if name == "matplotlib.pyplot"))
"""


def draw(folder, **environment):
    environment = {name: value for name, value in {**os.environ, **environment}.items() if value is not None}
    return subprocess.run(
        [sys.executable, "-c", DRAW, str(folder / "it.png")], env=environment, capture_output=True, text=True
    )


@pytest.mark.parametrize(
    "environment",
    [
        {"MPLBACKEND": "module://matplotlib_inline.backend_inline"},
        {"MPLBACKEND": "no back end", "MATPLOTLIBRC": "/nowhere/matplotlibrc"},
        {"HOME": "/proc/nowhere", "XDG_CONFIG_HOME": None, "XDG_CACHE_HOME": None, "MPLCONFIGDIR": None},
        {"HOME": "/proc/nowhere", "XDG_CONFIG_HOME": "/proc", "MPLCONFIGDIR": "/proc/nowhere", "TMPDIR": "/proc"},
    ],
)
def test_a_picture_is_drawn_whatever_the_environment_says(tmp_path, environment):
    done = draw(tmp_path, **environment)
    assert (done.stdout, done.stderr) == ("[]\n", "")
    assert (tmp_path / "it.png").stat().st_size > 1000
    assert sorted(path.name for path in tmp_path.iterdir()) == ["it.pdf", "it.png", "it.svg"]


def test_the_environment_is_left_as_it_was(tmp_path, monkeypatch):
    monkeypatch.setenv("MPLBACKEND", "module://elsewhere")
    with drawing.picture(tmp_path / "it.png", "it"):
        assert os.environ["MPLBACKEND"] == "module://elsewhere"


def lab(linear):
    """CIE 1976 L*a*b* of linear RGB."""
    xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]) @ linear
    x, y, z = np.cbrt(xyz / [0.9505, 1.0, 1.089])
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


SEEN = {
    "all cones": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}
"""Machado, Oliveira and Fernandes, 2009, severity 1, on linear RGB."""


def shown(colour, seen):
    """L*a*b* of a colour like `#2b6cb0`, as it is seen."""
    rgb = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    return lab(np.clip(np.asarray(seen) @ linear, 0, 1))


@pytest.mark.parametrize("sight", SEEN)
def test_colours_stay_apart_under_colour_blindness(sight):
    labs = [shown(colour, SEEN[sight]) for colour in drawing.COLOURS]
    distances = [np.linalg.norm(one - other) for one, other in itertools.combinations(labs, 2)]
    assert min(distances) > 12
    white = shown("#ffffff", SEEN[sight])
    assert min(np.linalg.norm(white - one) for one in labs) > 30


def test_the_simulations_are_right_about_grey_and_about_red_and_green():
    for sight, matrix in SEEN.items():
        assert np.sum(matrix, axis=1) == pytest.approx(1, abs=1e-5), sight  # grey stays grey
    red, green = "#c00000", "#208000"  # which no palette should have

    def apart(sight):
        return np.linalg.norm(shown(red, SEEN[sight])[1:] - shown(green, SEEN[sight])[1:])

    assert max(apart("protanopia"), apart("deuteranopia")) < apart("all cones") / 3


def test_the_same_picture_is_the_same_file_in_every_format(tmp_path):
    for name in "ab":
        with drawing.picture(tmp_path / f"{name}.png", "it") as (axes,):
            axes.plot([1, 2], label="it")
            drawing.legend_below(axes)
    for ending in ("png", "svg", "pdf"):
        assert (tmp_path / f"a.{ending}").read_bytes() == (tmp_path / f"b.{ending}").read_bytes()


def test_series_are_not_told_apart_by_colour_alone():
    styles = [drawing.style(number) for number in range(84)]
    assert len({tuple(style.values()) for style in styles}) == 84
    first = styles[: len(drawing.COLOURS)]
    assert len({(style["marker"], style["linestyle"]) for style in first}) == len(first)


@pytest.mark.parametrize(("values", "limits"), [([0.3], (0, 0.315)), ([-2.0, 1.0], (-2.1, 1.05)), ([0.0, 0.0], (0, 1))])
def test_a_vertical_axis_is_not_cut(drawn, values, limits):
    with drawing.picture(Path("it.png"), "it") as (axes,):
        axes.plot(values, "o")
        drawing.from_zero(axes)
    assert drawn[0].axes[0].get_ylim() == pytest.approx(limits)


def test_rounds_are_whole_numbers_from_0_even_after_a_single_evaluation(drawn):
    with drawing.picture(Path("it.png"), "it") as (axes,):
        axes.plot([12], [0.3], **drawing.style(0))
        drawing.rounds_axis(axes)
    low, high = drawn[0].axes[0].get_xlim()
    assert low == 0
    assert 12 <= high < 15
    assert all(tick == round(tick) for tick in drawn[0].axes[0].get_xticks())
