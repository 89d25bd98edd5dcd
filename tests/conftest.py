"""What all tests begin with, so that they end the same on a busy machine and in the background."""

import os
import signal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("any-machine", settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any-machine")


def pytest_configure():
    # A shell starts what runs in the background deaf to Ctrl-C, and so would be every program that a test interrupts.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def movielens():
    """The folder above `ml-100k/`, from FEDAU2_DATA."""
    folder = os.environ.get("FEDAU2_DATA")
    if not folder or not (Path(folder) / "ml-100k").is_dir():
        pytest.skip("FEDAU2_DATA names no folder with ml-100k/ in it")
    return Path(folder)
