"""Runs one system in its own process."""

import sys
from importlib import import_module

from benchmarks.work import Work

_MODULES: dict[str, tuple[str, dict[str, str | bool]]] = {
    "loop": ("loops", {}),
    "copies": ("loops", {"copies": True}),
    "fedau2": ("ours", {"kernel": "torch"}),
    "fedau2-native": ("ours", {"kernel": "native"}),
    "fedau2-unlearning": ("ours", {"kernel": "torch", "unlearning": True}),
    "flower": ("flower", {}),
    "pfl": ("pfl_research", {}),
}


def main() -> None:
    """Runs the system that the command line names."""
    module, options = _MODULES[sys.argv[1]]
    import_module(f"benchmarks.systems.{module}").run(Work.of_environment(), **options)


if __name__ == "__main__":
    main()
