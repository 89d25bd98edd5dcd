"""The command `python -m benchmarks`."""

import argparse
import sys
import time
from pathlib import Path

from benchmarks import figure, tables
from benchmarks.comparison import ROUNDS, USERS, compare


def main() -> int:
    """Runs the comparison; the exit status is 1 if a system could not be installed or run."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Compares with other frameworks.")
    parser.add_argument("--work", type=Path, required=True, help="folder for environments and data")
    parser.add_argument("--out", type=Path, required=True, help="folder for benchmarks.json, .md and .svg")
    parser.add_argument("--systems", default=",".join(ROUNDS), help="names, with commas between them")
    parser.add_argument("--cycles", type=int, default=2, help="how often each system runs")
    parser.add_argument("--users", default=",".join(map(str, USERS)), help="numbers of registered users")
    options = parser.parse_args()
    systems = options.systems.split(",")
    if unknown := set(systems) - set(ROUNDS):
        parser.error(f"there is no system {', '.join(sorted(unknown))}; there are {', '.join(ROUNDS)}")
    options.out.mkdir(parents=True, exist_ok=True)
    users = [int(number) for number in options.users.split(",")]
    begin = time.monotonic()
    for figures in compare(
        options.work.resolve(), systems, options.cycles, users, lambda line: print(line, flush=True)
    ):
        figures.minutes = round((time.monotonic() - begin) / 60, 1)
        figures.write(options.out / "benchmarks.json")
    (options.out / "benchmarks.md").write_text(tables.all_tables(figures), "utf-8")
    figure.draw(figures, options.out / "benchmarks.svg")
    return 1 if figures.failed else 0


if __name__ == "__main__":
    sys.exit(main())
