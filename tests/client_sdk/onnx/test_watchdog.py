import threading
from types import SimpleNamespace

import pytest

from client_sdk import Limits
from client_sdk.errors import UsageError
from client_sdk.onnx.watchdog import Watchdog


class Run:
    """A run that tells when it is ended."""

    def __init__(self):
        self.ended = threading.Event()

    def __setattr__(self, name, value):
        if name == "terminate":
            assert value is True
            self.ended.set()
        else:
            super().__setattr__(name, value)


def test_a_run_whose_time_is_over_is_ended_and_others_are_not():
    watchdog, long, short = Watchdog(), Run(), Run()
    with watchdog.watching(long, 3600), watchdog.watching(short, 0.001):
        assert short.ended.wait(60)
        assert not long.ended.is_set()


def test_a_run_that_ended_is_let_go_and_the_thread_ends():
    watchdog, run, before = Watchdog(), SimpleNamespace(terminate=False), set(threading.enumerate())
    with watchdog.watching(run, 0.2):
        (thread,) = set(threading.enumerate()) - before
    thread.join(60)
    assert not thread.is_alive()
    assert not run.terminate
    again = Run()
    with watchdog.watching(again, 0.001):  # it starts anew
        assert again.ended.wait(60)


def test_what_a_run_raises_is_raised():
    with pytest.raises(KeyError), Watchdog().watching(Run(), 60):
        raise KeyError


def test_a_run_that_may_take_for_ever_ends_nothing():
    watchdog, long, short, before = Watchdog(), Run(), Run(), set(threading.enumerate())
    with watchdog.watching(long, 1e12):
        (thread,) = set(threading.enumerate()) - before
        with watchdog.watching(short, 0.001):
            assert short.ended.wait(60)
        assert thread.is_alive()


def test_the_thread_does_not_outlive_the_last_run_by_its_time():
    watchdog, before = Watchdog(), set(threading.enumerate())
    with watchdog.watching(Run(), 3600):
        (thread,) = set(threading.enumerate()) - before
    thread.join(60)
    assert not thread.is_alive()


@pytest.mark.parametrize("wrong", [{"seconds": s} for s in (float("inf"), float("nan"), 0, -1)] + [{"memory": 0}])
def test_limits_that_are_none_are_refused(wrong):
    with pytest.raises(UsageError, match=next(iter(wrong))):
        Limits(**wrong)
