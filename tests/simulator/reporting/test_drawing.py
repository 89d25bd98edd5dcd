import os
import subprocess
import sys
from pathlib import Path

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
