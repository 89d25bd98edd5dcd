"""The recommenders as parameters of tests that take long."""

from collections.abc import Iterable

import pytest

from client_sdk.kernel.models import RECOMMENDERS

_PRODUCTS = ("fcf", "pfedrec")
"""Their logits are products of two vectors, so that others show what goes wrong. The slow tests have them too."""


def lean(models: Iterable[str]) -> list:
    """Recommenders, with those of `_PRODUCTS` among the slow tests."""
    return [pytest.param(name, marks=pytest.mark.slow) if name in _PRODUCTS else name for name in models]


LEAN = lean(RECOMMENDERS)
