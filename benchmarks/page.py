"""`python -m benchmarks.page [FILE]`: takes a run's benchmarks.json over into `figures.json`, and writes the tables and
the picture of docs/benchmarks.md from it.
"""

import shutil
import sys
from pathlib import Path

from benchmarks import figure, tables
from benchmarks.comparison import Figures
from benchmarks.peers import ROOT

FIGURES = ROOT / "benchmarks" / "figures.json"
PAGE, PICTURE = ROOT / "docs" / "benchmarks.md", ROOT / "docs" / "images" / "benchmarks.svg"


def updated(page: str, figures: Figures) -> str:
    """Returns a page with the tables between its marks `<!-- NAME -->` and `<!-- end of NAME -->`.

    Args:
        page: the page's text.
        figures: the figures of all runs.

    Raises:
        ValueError: a mark is missing.
    """
    for name, table in (("costs", tables.costs), ("growth", tables.growth), ("uploads", tables.uploads)):
        begin, end = f"<!-- {name} -->\n\n", f"\n\n<!-- end of {name} -->"
        start = page.index(begin) + len(begin)
        page = page[:start] + table(figures) + page[page.index(end) :]
    return page


def main(run: Path | None = None) -> None:
    """Updates page and picture.

    Args:
        run: figures to take over; None: those of `FIGURES` as they are.
    """
    if run is not None:
        shutil.copyfile(run, FIGURES)
    figures = Figures.read(FIGURES)
    PAGE.write_text(updated(PAGE.read_text("utf-8"), figures), "utf-8")
    figure.draw(figures, PICTURE)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:2]))
