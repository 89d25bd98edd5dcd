"""What all tests begin with, so that they end the same on a busy machine and in the background."""

import signal

from hypothesis import HealthCheck, settings

settings.register_profile("any-machine", settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any-machine")


def pytest_configure():
    # A shell starts what runs in the background deaf to Ctrl-C, and so would be every program that a test interrupts.
    signal.signal(signal.SIGINT, signal.default_int_handler)
