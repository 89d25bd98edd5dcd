"""`fedau2-sim`, also as `python -m simulator`."""

import sys


def main() -> int:
    """Runs the command; says in a line what must be installed for it."""
    try:
        from simulator.commands.cli import main as run

        return run()
    except ModuleNotFoundError as error:
        hint = "it needs pip install 'fedau2[simulator]'"
        print(f"fedau2-sim: {error.name} is not installed: {hint}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
