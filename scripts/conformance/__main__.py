"""Writes the vectors, or compares them with what the SDK computes now."""

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path

from scripts.conformance import (
    comparing,
    cpp,
    drawing,
    personalising,
    sessions,
    succeeding,
    tasks,
    training,
    typescript,
    weighing,
    wiring,
)
from scripts.conformance.arrays import Json

FOLDER = tasks.FOLDER.parent
PARTS = {
    "draws": drawing.vectors,
    "wire": wiring.vectors,
    "weights": weighing.vectors,
    "training": training.vectors,
    "personal": personalising.vectors,
    "successors": succeeding.vectors,
    "sessions": sessions.vectors,
}
TABLES = (typescript, cpp)
"""Modules that write tables for code in other languages."""


def main(arguments: list[str] | None = None) -> int:
    """Returns the exit status: 1 if a file is not what the SDK computes."""
    parser = argparse.ArgumentParser(prog="python -m scripts.conformance", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing, and fail if a file would change")
    parser.add_argument("--bundles", action="store_true", help="build the bundles anew first, with PyTorch")
    options = parser.parse_args(arguments)
    if options.bundles:
        tasks.build()
    if not options.check:
        write()
        return 0
    different = [*stale()]
    for name in different:
        sys.stderr.write(f"{name} is not what the SDK computes: run python -m scripts.conformance\n")
    return 1 if different else 0


def write() -> None:
    """Writes all files."""
    for name, vectors in PARTS.items():
        path(name).write_text(json.dumps(vectors(), indent=1, ensure_ascii=False) + "\n", "utf-8")
    for tables in TABLES:
        tables.PATH.write_text(tables.module(), "utf-8")


def stale() -> Iterator[str]:
    """Yields the names of files that are not what the SDK computes."""
    for name, vectors in PARTS.items():
        if not comparing.alike(read(name), through_json(vectors())):
            yield str(path(name))
    for tables in TABLES:
        if tables.PATH.read_text("utf-8") != tables.module():
            yield str(tables.PATH)


def through_json(value: Json) -> Json:
    """Returns a value as it is after it was written and read."""
    return json.loads(json.dumps(value))


def path(name: str) -> Path:
    """Returns the path of a part's file."""
    return FOLDER / f"{name}.json"


def read(name: str) -> Json:
    """Reads a part's file."""
    return json.loads(path(name).read_text("utf-8"))


if __name__ == "__main__":
    sys.exit(main())
