"""Colours of lines and bars on the dashboard, in its light and its dark form."""

import re
from importlib import resources

import pytest

from tests.colours import SIGHTS, closest, distance

STYLE = (resources.files("coordinator.dashboard") / "static" / "style.css").read_text("utf-8")
APART, FROM_PAGE = 10.0, 20.0


def colours(pattern, style):
    return re.findall(rf"{pattern}: (#[0-9a-f]{{6}})", style)


@pytest.fixture(params=["light", "dark"])
def form(request):
    """The text that sets the colours of one form."""
    light, _, dark = STYLE.partition("@media (prefers-color-scheme: dark)")
    return light if request.param == "light" else dark


@pytest.mark.parametrize("sight", SIGHTS)
def test_lines_and_bars_stay_apart_under_colour_blindness(form, sight):
    (page,), lines = colours("--page", form), colours(r"--line-\d", form)
    bars = colours(r"\.bar\.kind-\d \{ fill", STYLE)
    assert (len(lines), len(bars)) == (2, 3)
    for kinds in (lines, bars):
        assert closest(kinds, sight) > APART
        assert min(distance(page, kind, sight) for kind in kinds) > FROM_PAGE
