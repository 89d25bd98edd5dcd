"""The command `fedau2-unmasker`, also run by `python -m unmasker`."""

import sys

from fedau2 import programs


def main() -> int:
    """Runs the command and returns its exit status. If a package is missing, one line says what to install."""
    return programs.start("fedau2-unmasker", "unmasker", "unmasker.cli")


if __name__ == "__main__":
    sys.exit(main())
