"""Drivers stop a session wherever it is, for any reason, and give its place back."""

from dataclasses import replace
from math import inf

import pytest

from client_sdk import retry
from client_sdk.errors import TransportError
from client_sdk.events import Joined
from client_sdk.kernel.torch_engine import TorchEngine
from client_sdk.protocol.drivers import drive
from client_sdk.protocol.interfaces import SOON
from client_sdk.protocol.session import session
from client_sdk.protocol.wishes import Fetch, Interrupted, Outcome, Result, Train, Upload
from tests.client_sdk.protocol.test_drivers import DRIVERS
from tests.client_sdk.sessions import begin


@pytest.fixture(params=DRIVERS)
def run(request):
    """Drives a session against a scripted coordinator."""
    return DRIVERS[request.param]


CHECKS = 1 + 6 * 2 + 2 + 1  # before the check-in, before each fetch and with its only piece, each step, and the upload


@pytest.mark.parametrize("left", range(CHECKS + 1))
def test_work_that_must_stop_gives_its_place_back_wherever_it_is(run, busy, remote, window, left):
    checks = iter(range(left))

    def check():
        if next(checks, None) is None:
            raise Interrupted
        return inf

    outcome = run(begin(busy), remote, check)
    if left == 0:
        assert (outcome, remote.names()) == (Outcome(Result.INTERRUPTED), [])
    elif left < CHECKS - 1:
        assert outcome == Outcome(Result.INTERRUPTED, retry.window(window))
        assert remote.names()[-1] == "report_failure"
        assert "upload" not in remote.names()
        assert busy.staged() is None
    elif left == CHECKS - 1:  # trained: the place is kept for the next session, which uploads
        assert outcome == Outcome(Result.INTERRUPTED)
        assert not {"upload", "report_failure"} & set(remote.names())
        assert run(begin(busy), remote).result is Result.UPLOADED
    else:
        assert outcome == Outcome(Result.UPLOADED, retry.window(window))
        assert next(checks, None) is None


@pytest.mark.parametrize("call", ["check_in", "fetch", "upload"])
def test_a_call_that_is_ended_because_the_work_must_stop_is_no_failure(run, busy, remote, call):
    over = []

    def check():
        if over:
            raise Interrupted
        return inf

    def refuse(*values):
        over.append(True)
        raise TransportError("ended here")

    setattr(remote, call, refuse)
    assert run(begin(busy), remote, check).result is Result.INTERRUPTED
    assert ("report_failure" in remote.names()) == (call == "fetch")
    assert (busy.staged() is not None) == (call == "upload")


class Timed:
    """Writes down how long calls may take."""

    def __init__(self, remote):
        self.remote, self.timeouts = remote, []

    def call(self, request, timeout):
        self.timeouts.append(timeout)
        return self.remote.call(request)

    def receive(self, request, timeout):
        self.timeouts.append(timeout)
        return self.remote.receive(request)

    def send(self, kind, requests, timeout):
        self.timeouts.append(timeout)
        return self.remote.send(kind, requests)


def test_no_call_may_take_longer_than_the_work(busy, remote):
    transport = Timed(remote)
    assert drive(begin(busy), transport, lambda: 7.0).result is Result.UPLOADED
    assert set(transport.timeouts) == {7.0}
    assert len(transport.timeouts) == len(remote.calls)


def test_a_place_is_given_back_in_little_time_once_the_time_is_over(busy, remote, window):
    transport, left = Timed(remote), [9.0, 9.0]

    def check():
        if not left:
            raise Interrupted
        return left.pop()

    assert drive(begin(busy), transport, check) == Outcome(Result.INTERRUPTED, retry.window(window))
    assert transport.timeouts[-1] == SOON
    assert remote.names()[-1] == "report_failure"


@pytest.mark.parametrize("stop", [KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("kind", [Fetch, Train, Upload])
def test_ctrl_c_gives_the_place_back_before_it_ends_the_session(busy, remote, stop, kind):
    def act(*values):
        raise stop

    def stopping(running):
        wish = next(running)
        while True:
            try:
                answer = yield replace(wish, into=Broken(stop)) if kind is Fetch and isinstance(wish, Fetch) else wish
            except BaseException as error:
                advance, value = running.throw, error
            else:
                advance, value = running.send, answer
            try:
                wish = advance(value)
            except StopIteration as end:
                return end.value
            if isinstance(wish, kind) and kind is Train:
                wish.training.step = act
            if isinstance(wish, kind) and kind is Upload:
                remote.upload = act

    with pytest.raises(stop):
        drive(stopping(begin(busy)), remote)
    assert (remote.names()[-1] == "report_failure") == (kind is not Upload)
    assert (busy.staged() is not None) == (kind is Upload)


class Broken:
    """A download during which the user presses Ctrl-C."""

    size = 0

    def __init__(self, stop):
        self.stop = stop

    def add(self, data):
        raise self.stop


def test_ctrl_c_in_the_sessions_own_work_gives_the_place_back(busy, remote):
    def emit(event):
        if isinstance(event, Joined):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        drive(session(busy, TorchEngine(), "films", "1", emit), remote)
    assert remote.names() == ["check_in", "report_failure"]
