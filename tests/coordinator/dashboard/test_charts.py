"""Charts: everything that is drawn lies in its frame, in the order of its values, and is well-formed."""

from xml.etree import ElementTree

import pytest

pytest.importorskip("jinja2", reason="the extra web is not installed")

from hypothesis import given, settings
from hypothesis import strategies as st

from coordinator.dashboard import charts, pages
from coordinator.dashboard.axes import LARGEST, Axis
from coordinator.dashboard.charts import BOTTOM, LEFT, RIGHT, TOP, Text, lines, stacks

NUMBERS = st.floats(-1e12, 1e12)
WORDS = Text("key", "<Title>", 'What "it" shows & more', "across", "up")


@given(st.lists(NUMBERS), st.booleans())
def test_an_axis_has_room_for_all_values_and_few_ticks_at_round_numbers(values, whole):
    axis = Axis.over(values, 0, 100, whole=whole)
    pixels = [pixel for pixel, _ in axis.ticks]
    assert all(0 <= axis.at(value) <= 100 for value in values)
    assert (pixels[0], pixels[-1]) == (0, 100)
    assert pixels == sorted(set(pixels))
    assert 2 <= len(pixels) <= 8
    assert len({label for _, label in axis.ticks}) == len(pixels) or max(map(abs, values)) > 1e5 * axis.step
    if whole:
        assert axis.step >= 1
        assert float(axis.step).is_integer()


@given(st.lists(NUMBERS, min_size=2))
def test_an_axis_keeps_the_order_of_values(values):
    axis = Axis.over(values, 10, 20)
    assert [axis.at(value) for value in sorted(values)] == sorted(axis.at(value) for value in values)


@settings(max_examples=30)
@given(st.lists(st.tuples(NUMBERS, st.floats()), max_size=100))
def test_lines_leave_out_what_is_not_finite_and_lie_in_the_plot(points):
    chart = lines(WORDS, {"a": sorted(points, key=lambda point: point[0]), "b": []})
    finite = [point for point in points if abs(point[1]) <= LARGEST]
    assert len(chart.lines[0]) == len(finite)
    assert chart.empty == (not finite)
    assert all(LEFT <= x <= RIGHT and TOP <= y <= BOTTOM for x, y in chart.lines[0])
    if finite:
        marks = chart.marked(0)
        assert marks[0] == chart.lines[0][-1]
        assert len(marks) <= 41
    drawn(chart)


@settings(max_examples=30)
@given(st.dictionaries(st.integers(0, 10**6), st.tuples(*[st.integers(0, 10**6)] * 3), max_size=50))
def test_the_parts_of_a_bar_stand_on_each_other_in_the_plot(columns):
    chart = stacks(WORDS, ("a", "b", "c"), columns)
    assert len(chart.bars) == sum(bool(count) for counts in columns.values() for count in counts)
    for bar in chart.bars:
        assert bar.left >= LEFT
        assert bar.left + bar.width <= RIGHT + 0.1
        assert TOP <= bar.top <= bar.top + bar.height <= BOTTOM + 0.1
    drawn(chart)


def test_the_parts_of_a_bar_are_as_high_as_their_counts():
    chart = stacks(WORDS, ("a", "b"), {3: (2, 4)})
    low, high = chart.bars
    assert high.height == pytest.approx(2 * low.height, abs=0.2)
    assert low.top == pytest.approx(high.top + high.height, abs=0.2)
    assert low.top + low.height == pytest.approx(BOTTOM)


def drawn(chart):
    """Draws a chart, and checks what it says to those who do not see it."""
    figure = ElementTree.fromstring(
        str(pages._TEMPLATES.get_template("chart.html").module.figure(chart, charts)).strip()
    )
    picture = figure.find("svg")
    assert (picture is None) == chart.empty
    if picture is not None:
        assert picture.get("role") == "img"
        ids = picture.get("aria-labelledby").split()
        said = [next(part.text for part in picture if part.get("id") == name) for name in ids]
        assert said == [chart.text.title, chart.text.summary]
    assert chart.text.summary in "".join(figure.itertext())
