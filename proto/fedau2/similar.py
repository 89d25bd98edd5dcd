"""Names that are like one that nobody knows: the one that was meant is often among them."""

from collections.abc import Iterable
from difflib import get_close_matches


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Returns `; did you mean ...?` for the known name that is most like another one; empty if none is.

    >>> did_you_mean("fednfc", ["fedncf", "fedrap"])
    "; did you mean 'fedncf'?"
    >>> did_you_mean("x", ["fedncf"])
    ''
    """
    close = get_close_matches(name, list(known), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""
