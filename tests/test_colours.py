import pytest

from tests.colours import SIGHTS, ciede2000, distance, lab

PUBLISHED = [
    ((50, 2.6772, -79.7751), (50, 0, -82.7485), 2.0425),
    ((50, 3.1571, -77.2803), (50, 0, -82.7485), 2.8615),
    ((50, 2.5, 0), (50, 0, -2.5), 4.3065),
    ((50, 2.5, 0), (73, 25, -18), 27.1492),
    ((50, 2.5, 0), (58, 24, 15), 19.4535),
    ((60.2574, -34.0099, 36.2677), (60.4626, -34.1751, 39.4387), 1.2644),
    ((90.8027, -2.0831, 1.4410), (91.1528, -1.6435, 0.0447), 1.4441),
    ((2.0776, 0.0795, -1.1350), (0.9033, -0.0636, -0.5514), 0.9082),
]
"""Some of the pairs by which Sharma, Wu and Dalal test an implementation."""


@pytest.mark.parametrize(("one", "other", "published"), PUBLISHED)
def test_distances_are_the_published_ones(one, other, published):
    assert ciede2000(one, other) == pytest.approx(published, abs=5e-5)
    assert ciede2000(other, one) == pytest.approx(published, abs=5e-5)


@pytest.mark.parametrize("sight", SIGHTS)
def test_black_grey_and_white_look_the_same_to_all(sight):
    for colour, light in (("#000000", 0), ("#777777", 50.03), ("#ffffff", 100)):
        assert lab(colour, sight) == pytest.approx((light, 0, 0), abs=0.05)


def test_red_and_green_are_apart_for_some_only():
    apart = {sight: distance("#c00000", "#208000", sight) for sight in SIGHTS}
    assert apart["deuteranopia"] < apart["tritanopia"] / 2 < apart["all cones"]
