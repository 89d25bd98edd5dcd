"""The picture of docs/benchmarks.md, made of the figures."""

from pathlib import Path
from statistics import median

from benchmarks.comparison import Figures
from benchmarks.tables import NAMES, of
from simulator.reporting.drawing import BLUE, GREY, style


def draw(figures: Figures, file: Path) -> None:
    """Draws CPU time and memory of each system, and CPU time by registered users, the times on logarithmic axes.

    Args:
        figures: the figures of all runs.
        file: the SVG file to write.
    """
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    picture = Figure((9, 3.4), layout="constrained")
    FigureCanvasSVG(picture)
    cost, memory, growth = picture.subplots(1, 3)
    systems = [system for system in NAMES if of(figures, system)][::-1]
    names = [NAMES[system].replace(", ", ",\n") for system in systems]
    for axes, field, title in ((cost, "cpu_ms", "CPU-ms a client and round"), (memory, "peak_mib", "peak MiB")):
        values = [median(getattr(window, field) for window in of(figures, system)) for system in systems]
        bars = axes.barh(names, values, color=[BLUE if system.startswith("fedau2") else GREY for system in systems])
        axes.bar_label(bars, [f"{value:,.3g}" if value < 100 else f"{value:,.0f}" for value in values], padding=2)
        axes.set(title=title, xlim=(0, max(values) * 1.3))
    cost.set(xscale="log", xlim=(0.1, 1000))
    memory.set_yticklabels([])
    for number, system in enumerate(systems[::-1]):
        windows = [*of(figures, system)[:1], *(window for window in figures.growth if window.system == system)]
        points = sorted((window.users, window.cpu_ms) for window in windows)
        if len(points) > 1:
            growth.plot(*zip(*points, strict=True), **style(number), markersize=4, label=NAMES[system])
    growth.set(xscale="log", yscale="log", ylim=(0.1, 10_000), title="CPU-ms by registered users")
    growth.set_xlabel("registered users", fontsize=8)
    for axes in (cost, memory, growth):
        axes.title.set_fontsize(9)
        axes.tick_params(which="both", labelsize=7)
        for text in axes.texts:
            text.set_fontsize(7)
    if growth.lines:
        growth.legend(fontsize=6)
    picture.savefig(file, metadata={"Date": None})
