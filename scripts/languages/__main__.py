"""Measures a sync and a first recommendation of the Python and the TypeScript SDK, each in processes of their own.

Every process runs one probe. Its clock starts with the process, or with the page in Chromium. Processor time depends
less on other work than the clock, so the least of some runs of each is printed. For Chromium it is the time of the
page's process, as the memory is.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from scripts.browser.coordinator import POPULATION, web_coordinator

Command = Sequence[str]
LANGUAGES: dict[str, Command] = {
    "Python": (sys.executable, "-m", "scripts.languages.probe"),
    "TypeScript in Node": ("node", "typescript/build/test/probe.js"),
    "TypeScript in Chromium": ("node", "typescript/build/test/browser/probe.js"),
}


def main() -> None:
    """Prints a table."""
    parser = argparse.ArgumentParser(prog="python -m scripts.languages", description=__doc__)
    parser.add_argument("bundle", type=Path, help="folder of a bundle")
    parser.add_argument("--runs", type=int, default=3, help="runs of each probe (default: 3)")
    options = parser.parse_args()
    print("\n".join(table(options.bundle, options.runs)))


def table(bundle: Path, runs: int) -> Iterator[str]:
    """Yields the lines of a table in Markdown."""
    yield "| SDK | sync, ms | processor | most MiB | first recommendation, ms | processor | most MiB |"
    yield "|---|---|---|---|---|---|---|"
    for language, command in LANGUAGES.items():
        measured = _measured(bundle, command, runs, in_browser="browser" in command[-1])
        figures = [figure for probe in measured for figure in probe]
        yield f"| {language} | " + " | ".join(f"{figure:.0f}" for figure in figures) + " |"


def _measured(bundle: Path, command: Command, runs: int, in_browser: bool) -> list[tuple[float, float, float]]:
    with web_coordinator(bundle, origin="*") as server, TemporaryDirectory() as folder:
        address = server.web if in_browser else server.devices
        results: dict[str, list[tuple[float, float, float]]] = {"sync": [], "recommend": []}
        for run in range(runs):
            for probe, found in results.items():
                found.append(_run([*command, probe, f"{folder}/{run}", address, POPULATION]))
                server.wait_for_round(run + 1)
    return [
        (min(r[0] for r in found), min(r[1] for r in found), min(r[2] for r in found)) for found in results.values()
    ]


def _run(command: Command) -> tuple[float, float, float]:
    """Runs a probe, and returns milliseconds from its start, milliseconds of the processor, and MiB."""
    start = time.time()
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    figures: dict[str, Any] = json.loads(done.stdout)
    return 1000 * (figures["end"] - figures.get("start", start)), 1000 * figures["processor"], figures["mib"]


if __name__ == "__main__":
    main()
