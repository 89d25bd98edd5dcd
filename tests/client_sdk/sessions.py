"""Steps of a session, one by one."""

import pytest

from client_sdk.kernel.torch_engine import TorchEngine
from client_sdk.protocol.session import session
from client_sdk.protocol.wishes import Call, Fetch, Train
from fedau2.v1.device_pb2 import CheckInRequest, CheckInResponse, ReportFailureRequest


def begin(store):
    return session(store, TorchEngine(), "films", "1.2.3")


def answer(wish, bundle):
    """What a coordinator and a device that work would answer."""
    match wish:
        case Call(CheckInRequest()):
            return CheckInResponse(assignment=bundle.assignment())
        case Fetch(resource):
            return bundle.blobs[resource.sha256]
        case Train(training):
            return training.step()
    raise AssertionError(wish)


def is_check_in(wish):
    return isinstance(wish, Call) and isinstance(wish.request, CheckInRequest)


def is_failure(wish):
    """Whether a session wishes to give its place in the round back."""
    return isinstance(wish, Call) and isinstance(wish.request, ReportFailureRequest)


def is_a(*kinds):
    return lambda wish: isinstance(wish, kinds)


def until(kind, session, bundle):
    """Answers wishes up to the first of a kind, or that a function picks; returns that one and all wishes so far."""
    picks = is_a(kind) if isinstance(kind, type) else kind
    wishes = [next(session)]
    while not picks(wishes[-1]):
        wishes.append(session.send(answer(wishes[-1], bundle)))
    return wishes[-1], wishes


def end(act, *values):
    with pytest.raises(StopIteration) as stop:
        act(*values)
    return stop.value.value


def record(store):
    for item in ("film-3", "film-1", "film-3", "film-9", "not listed"):
        store.record(item, 0)
