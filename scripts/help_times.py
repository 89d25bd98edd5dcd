"""Measures how long `--help` and `--version` of all commands take: `python -m scripts.help_times`.

Each command is a process of its own, and its figure is the least of some runs: seconds until it has ended, and seconds
of processor time. With `--before FILE` the table also has the figures that an earlier run wrote with `--json FILE`.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

PROGRAMS = {
    "fedau2-sim": "simulator",
    "fedau2-export": "export",
    "fedau2-coordinator": "coordinator",
    "fedau2-unmasker": "unmasker",
}
"""The module of each program."""

WALK = """
import argparse, contextlib, io, sys
from {module} import main

def commands(parser):
    subparsers = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    return subparsers[0].choices if subparsers else {{}}

def parse_args(parser, *arguments):
    parsers.append(parser)
    return parse(parser, *arguments)

parsers, parse = [], argparse.ArgumentParser.parse_args
argparse.ArgumentParser.parse_args = parse_args
paths = [[]]
for path in paths:
    sys.argv = ["it", *path, "--help"]
    with contextlib.redirect_stdout(io.StringIO()) as printed, contextlib.suppress(SystemExit):
        main()
    parser = parsers.pop()
    for word in path:
        parser = commands(parser)[word]
    paths += [[*path, word] for word in commands(parser)]
    {visit}
"""
"""Asks a program and all its commands for their help. `visit` is a line of code that may use `path` and `printed`."""

Figures = dict[str, tuple[float, float]]
"""Seconds until the end, and seconds of processor time, by command line."""


def main() -> None:
    """Measures and prints a table."""
    parser = argparse.ArgumentParser(description="Measures how long --help and --version take.")
    parser.add_argument("--repeats", type=int, default=5, help="runs of every command (%(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures to this file")
    parser.add_argument("--before", type=Path, metavar="FILE", help="figures of an earlier run, to print beside")
    arguments = parser.parse_args()
    figures: Figures = {}
    for program, module in PROGRAMS.items():
        for words in (["--version"], *([*path, "--help"] for path in commands(module))):
            figures[" ".join([program, *words])] = least(module, words, arguments.repeats)
    for line in table(figures, json.loads(arguments.before.read_text()) if arguments.before else {}):
        print(line)
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2))


def commands(module: str) -> list[list[str]]:
    """Returns the words of every command of a program, of those below other commands too; of the program itself none.

    Args:
        module: of the program.
    """
    code = [sys.executable, "-c", WALK.format(module=f"{module}.__main__", visit="print(*path)")]
    lines = subprocess.run(code, capture_output=True, check=True, text=True).stdout.splitlines()
    return [line.split() for line in lines]


def least(module: str, words: list[str], repeats: int) -> tuple[float, float]:
    """Runs a command some times, and returns its least seconds: until the end, and of processor time."""
    elapsed, used = [], []
    for _ in range(repeats):
        started, before = time.perf_counter(), os.times()
        subprocess.run([sys.executable, "-m", module, *words], stdout=subprocess.DEVNULL, check=True)
        elapsed.append(time.perf_counter() - started)
        after = os.times()
        used.append(after.children_user + after.children_system - before.children_user - before.children_system)
    return min(elapsed), min(used)


def table(figures: Figures, before: Mapping[str, tuple[float, float]]) -> Iterator[str]:
    """Formats figures as Markdown, beside earlier ones where there are some."""
    yield "| command | s, before (CPU-s) | s (CPU-s) |"
    yield "|---|---|---|"
    for command, seconds in figures.items():
        yield f"| `{command}` | {_cell(before.get(command))} | {_cell(seconds)} |"


def _cell(seconds: tuple[float, float] | None) -> str:
    return "" if seconds is None else f"{seconds[0]:.2f} ({seconds[1]:.2f})"


if __name__ == "__main__":
    main()
