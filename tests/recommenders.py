"""The recommenders as parameters of tests that take long."""

from collections.abc import Iterable

import pytest

from client_sdk.kernel.models import RECOMMENDERS

_ALIKE = ("fcf", "pfedrec", "fedgnn")
"""They are made of what others have, products of two vectors or FedVAE's way to read users, so that others show what
goes wrong. The slow tests have them too."""


def lean(models: Iterable[str]) -> list:
    """Recommenders, with those of `_ALIKE` among the slow tests."""
    return [pytest.param(name, marks=pytest.mark.slow) if name in _ALIKE else name for name in models]


LEAN = lean(RECOMMENDERS)
