"""The command `fedau2-coordinator`, also run by `python -m coordinator`."""

import sys


def main() -> int:
    """Runs the command. If a package is missing, one line says what to install."""
    try:
        from coordinator.cli import main as run

        return run()
    except ModuleNotFoundError as error:
        print(
            f"fedau2-coordinator: {error.name} is not installed: it needs pip install 'fedau2[coordinator]'",
            file=sys.stderr,
        )
        return 1


if __name__ == "__main__":
    sys.exit(main())
