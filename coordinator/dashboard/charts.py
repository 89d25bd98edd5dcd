"""Charts as geometry: `templates/chart.svg` draws them. Every chart has a title and a summary in words."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from coordinator.dashboard.axes import LARGEST, Axis

WIDTH, HEIGHT = 640, 260
LEFT, RIGHT, TOP, BOTTOM = 64, 624, 14, 210
"""Pixels of the frame and of the plot in it."""

_MARKED = 40
"""Most points of a line that have a mark. Beyond that every second, third and so on has one."""
_WIDEST = 40.0
"""Most pixels of a bar."""

Point = tuple[float, float]


@dataclass(frozen=True)
class Text:
    """The words of a chart.

    Attributes:
        key: of its own on the page, for ids.
        title: of the chart.
        summary: the same as a sentence with the newest figures, for those who do not see it.
        across, up: labels of the axes.
    """

    key: str
    title: str
    summary: str
    across: str
    up: str


@dataclass(frozen=True)
class Bar:
    """A part of a bar, in pixels, with the number of its kind."""

    kind: int
    left: float
    top: float
    width: float
    height: float


@dataclass(frozen=True)
class Chart:
    """A chart in pixels.

    Attributes:
        text: its words.
        kinds: names of what it shows, in the order of colours and marks.
        across, up: its axes.
        lines: the points of each kind's line; none in a chart of bars.
        bars: parts of bars; none in a chart of lines.
    """

    text: Text
    kinds: tuple[str, ...]
    across: Axis
    up: Axis
    lines: tuple[tuple[Point, ...], ...] = ()
    bars: tuple[Bar, ...] = ()

    @property
    def empty(self) -> bool:
        """It has nothing to show."""
        return not self.bars and not any(self.lines)

    def marked(self, line: int) -> tuple[Point, ...]:
        """Returns the points of a line that have a mark, the newest among them."""
        points = self.lines[line]
        return points[::-1][:: 1 + len(points) // (_MARKED + 1)]


def lines(
    text: Text, series: Mapping[str, Sequence[Point]], *, whole_across: bool = False, whole_up: bool = False
) -> Chart:
    """Makes a chart of a line for each series.

    Args:
        text: its words.
        series: points by name, ascending in x. Points that no axis has room for are left out.
        whole_across: x is a whole number.
        whole_up: y is a whole number.
    """
    known = {name: [point for point in points if abs(point[1]) <= LARGEST] for name, points in series.items()}
    every = [point for points in known.values() for point in points]
    across = Axis.over((x for x, _ in every), LEFT, RIGHT, whole=whole_across)
    up = Axis.over((0.0, *(y for _, y in every)), BOTTOM, TOP, whole=whole_up)
    drawn = tuple(tuple((across.at(x), up.at(y)) for x, y in points) for points in known.values())
    return Chart(text, tuple(series), across, up, lines=drawn)


def stacks(text: Text, kinds: Sequence[str], columns: Mapping[int, Sequence[int]]) -> Chart:
    """Makes a chart of a bar for each column, with a part for each kind.

    Args:
        text: its words.
        kinds: names of the parts, from the bottom up.
        columns: the counts of each kind, by whole number across.
    """
    across = Axis.over(columns, LEFT + _WIDEST / 2, RIGHT - _WIDEST / 2, whole=True)
    up = Axis.over((0, *map(sum, columns.values())), BOTTOM, TOP, whole=True)
    width = min(_WIDEST, 0.8 * (across.at(across.low + 1) - across.at(across.low)))
    bars = []
    for number, counts in columns.items():
        below = 0
        for kind, count in enumerate(counts):
            if count:
                top = up.at(below + count)
                left = round(across.at(number) - width / 2, 1)
                bars.append(Bar(kind, left, top, round(width, 1), round(up.at(below) - top, 1)))
            below += count
    return Chart(text, tuple(kinds), across, up, bars=tuple(bars))
