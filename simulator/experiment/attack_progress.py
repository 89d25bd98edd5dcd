"""The progress of attacks, which advances by split."""

from collections.abc import Callable


class Splits:
    """Counts the splits of one attack after the other.

    The last split of an attack counts when the attack has ended, so that whoever interrupts by then keeps it.

    Args:
        advance: called for each split with the attack's name, as `Progress.advance` is.
    """

    def __init__(self, advance: Callable[[str], None]) -> None:
        self._advance, self._name, self._left = advance, "", 0

    def begin(self, name: str, splits: int) -> None:
        """Begins an attack of so many splits, and ends the one before."""
        self.end()
        self._name, self._left = name, splits

    def split(self) -> None:
        """Counts a split of the attack as done."""
        if self._left > 1:
            self._count()

    def end(self) -> None:
        """Counts the attack's last split, and those that it did not need because an earlier attack had its result."""
        while self._left:
            self._count()

    def _count(self) -> None:
        self._left -= 1
        self._advance(self._name)


UNSEEN = Splits(lambda name: None)
"""Splits that nobody sees."""
