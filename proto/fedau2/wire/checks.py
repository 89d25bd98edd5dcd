"""The shorthand of the checks of manifests and plans."""

import math

from fedau2.wire.errors import ManifestError


def require(condition: bool, message: str) -> None:
    """Returns if the condition holds.

    Raises:
        ManifestError: it does not; the text is `message`.
    """
    if not condition:
        raise ManifestError(message)


def positive(value: float) -> bool:
    """Returns whether a number is finite and above 0."""
    return math.isfinite(value) and value > 0
