"""The tables of docs/benchmarks.md, made of the figures."""

from collections.abc import Callable, Iterable, Sequence
from statistics import median

from benchmarks.comparison import Figures
from benchmarks.measure import Window
from benchmarks.work import COHORT

NAMES = {
    "loop": "naive loop",
    "copies": "loop with copies",
    "pfl": "pfl-research",
    "flower": "Flower",
    "fedau2": "FedAU2, PyTorch",
    "fedau2-native": "FedAU2, native kernel",
    "fedau2-unlearning": "FedAU2, PyTorch, unlearning too",
}
"""The systems' names in tables, in order."""

_COSTS = (
    "",
    "CPU-ms a client and round",
    "peak MiB",
    "s to the first round (CPU-s)",
    "min for 1,000 rounds (CPU-min)",
    "CPU, times the naive loop's",
)
_YARDSTICK = "loop"


def all_tables(figures: Figures) -> str:
    """Writes all tables in Markdown."""
    return "\n\n".join(filter(None, (costs(figures), growth(figures), uploads(figures)))) + "\n"


def costs(figures: Figures) -> str:
    """Writes the table of costs: a median over the cycles, and ratios to the naive loop of the same cycle."""
    rows = []
    for system, name in NAMES.items():
        windows = of(figures, system)
        if windows:
            rows.append([name, *_costs(windows), _spread(ratios(figures, system))])
    return _table(_COSTS, rows)


def growth(figures: Figures) -> str:
    """Writes the table of CPU milliseconds and memory by registered users."""
    cells = {(window.system, window.users): window for window in figures.growth}
    for system in NAMES:
        for window in of(figures, system)[:1]:
            cells[system, window.users] = window
    users = sorted({number for _, number in cells})
    rows = [
        [name, *(_grown(cells.get((system, number)), figures, system, number) for number in users)]
        for system, name in NAMES.items()
        if any(key[0] == system for key in cells)
    ]
    return _table(("CPU-ms a client and round; peak MiB", *(f"{number:,} users" for number in users)), rows)


def uploads(figures: Figures) -> str:
    """Writes the table of uploads to servers; empty without uploads."""
    names = dict.fromkeys(measured.server for measured in figures.uploads)
    costs = {name: [measured.cpu_ms for measured in figures.uploads if measured.server == name] for name in names}
    header = ("server", "CPU-ms an upload", "uploads a CPU-second")
    rows = [[name, _spread(numbers), f"{1e3 / median(numbers):,.0f}"] for name, numbers in costs.items()]
    return _table(header, rows) if rows else ""


def of(figures: Figures, system: str) -> list[Window]:
    """Lists a system's runs of all cycles."""
    return [window for cycle in figures.cycles for window in cycle if window.system == system]


def ratios(figures: Figures, system: str) -> list[float]:
    """Lists a system's CPU over that of the naive loop, for each cycle that has both."""
    costs = [{window.system: window.cpu_ms for window in cycle} for cycle in figures.cycles]
    return [cost[system] / cost[_YARDSTICK] for cost in costs if {system, _YARDSTICK} <= cost.keys()]


def _costs(windows: Sequence[Window]) -> list[str]:
    def middle(value: Callable[[Window], float]) -> float:
        return median(map(value, windows))

    first, cpu = middle(lambda window: window.first_s), middle(lambda window: window.first_cpu_s)
    thousand = middle(lambda window: window.first_s + 999 * window.wall_s) / 60
    thousand_cpu = middle(lambda window: window.first_cpu_s + 999 * window.cpu_ms * COHORT / 1e3) / 60
    cost, peak = middle(lambda window: window.cpu_ms), middle(lambda window: window.peak_mib)
    return [f"{cost:.2f}", f"{peak:,.0f}", f"{first:.0f} ({cpu:.1f})", f"{thousand:,.0f} ({thousand_cpu:,.1f})"]


def _grown(window: Window | None, figures: Figures, system: str, users: int) -> str:
    if window is not None:
        return f"{window.cpu_ms:.2f}; {window.peak_mib:,.0f}"
    return "not finished" if f"{system}, {users:,} users" in figures.failed else "not run"


def _spread(numbers: Sequence[float]) -> str:
    if not numbers:
        return ""
    low, middle, high = (_short(number) for number in (min(numbers), median(numbers), max(numbers)))
    return f"{middle} ({low} to {high})"


def _short(number: float) -> str:
    return f"{number:.2f}" if number < 10 else f"{number:.0f}"


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
