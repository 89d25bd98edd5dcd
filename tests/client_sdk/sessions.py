"""Steps of a session, one by one."""

import pytest

from client_sdk.kernel.torch_engine import TorchEngine
from client_sdk.protocol.session import session
from client_sdk.protocol.wishes import CheckIn, Fetch, Train
from fedau2.v1.device_pb2 import CheckInResponse


def begin(store):
    return session(store, TorchEngine(), "films", "1.2.3")


def answer(wish, bundle):
    """What a coordinator and a device that work would answer."""
    match wish:
        case CheckIn():
            return CheckInResponse(assignment=bundle.assignment())
        case Fetch(resource):
            return bundle.blobs[resource.sha256]
        case Train(training):
            return training.step()
    raise AssertionError(wish)


def until(kind, session, bundle):
    """Answers wishes up to the first of a kind; returns that one and all wishes so far."""
    wishes = [next(session)]
    while not isinstance(wishes[-1], kind):
        wishes.append(session.send(answer(wishes[-1], bundle)))
    return wishes[-1], wishes


def end(act, *values):
    with pytest.raises(StopIteration) as stop:
        act(*values)
    return stop.value.value


def record(store):
    for item in ("film-3", "film-1", "film-3", "film-9", "not listed"):
        store.record(item, 0)
