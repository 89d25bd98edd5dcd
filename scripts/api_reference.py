"""Writes the SDK's API reference as HTML, from its docstrings: `make docs`."""

import sys
from pathlib import Path

import pdoc

import client_sdk

_PARTS = (
    *("privacy", "events", "scheduling.background", "scheduling.schedule", "status", "testing", "errors"),
    *("protocol.interfaces", "protocol.values"),
)
MODULES = ("client_sdk", *(f"client_sdk.{name}" for name in _PARTS))


def main(folder: Path) -> None:
    """Writes the reference into a folder."""
    for name in client_sdk.__all__:  # pdoc looks into the module itself, which loads them on first use
        setattr(client_sdk, name, getattr(client_sdk, name))
    pdoc.render.configure(docformat="google", show_source=False)
    pdoc.pdoc(*MODULES, output_directory=folder)
    print(f"{folder / 'index.html'}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
