"""What all tests begin with."""

import signal


def pytest_configure():
    # A shell starts what runs in the background deaf to Ctrl-C, and so would be every program that a test interrupts.
    signal.signal(signal.SIGINT, signal.default_int_handler)
