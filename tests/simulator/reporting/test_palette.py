import pytest

from simulator.reporting.drawing import COLOURS, GREY
from tests.colours import SIGHTS, closest, distance

APART = 10.0
"""The smallest CIEDE2000 distance of two colours, as docs/metrics.md says; 1 is just noticeable."""

FROM_PAGE = 25.0
PAGES = {"light": "#ffffff", "dark": "#16171a"}


@pytest.mark.parametrize("sight", SIGHTS)
def test_colours_of_plots_stay_apart_under_colour_blindness(sight):
    assert closest((*COLOURS, GREY), sight) > APART


@pytest.mark.parametrize("page", PAGES.values(), ids=PAGES)
@pytest.mark.parametrize("sight", SIGHTS)
def test_colours_of_plots_stand_out_from_light_and_dark_pages(sight, page):
    assert min(distance(page, colour, sight) for colour in COLOURS) > FROM_PAGE
