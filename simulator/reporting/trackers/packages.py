"""Imports the packages of trackers, or says which extra brings one that is missing."""

import importlib
from typing import Any

from fedau2 import imports
from simulator.errors import TrackingError


def module(name: str) -> Any:  # noqa: ANN401
    """Imports a module of a tracker's package.

    Raises:
        TrackingError: the package is missing or broken.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise TrackingError(imports.explain(error, "simulator")) from error
