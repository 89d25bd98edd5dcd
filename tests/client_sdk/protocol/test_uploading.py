"""Uploads that are made again: they go on where the coordinator says, and otherwise begin anew."""

import pytest

from client_sdk.errors import TransportError, UnknownCallError
from client_sdk.protocol import contributing
from client_sdk.protocol.wishes import Call, Result, Upload
from fedau2.v1.device_pb2 import UploadContributionResponse, UploadOffsetRequest, UploadOffsetResponse
from fedau2.wire import blobs
from fedau2.wire.status import Status, StatusError
from tests.client_sdk.sessions import begin, end, until


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch):
    monkeypatch.setattr(contributing, "PIECE", 16)


@pytest.fixture
def first(busy, bundle):
    """The upload that breaks off in a session before."""
    running = begin(busy)
    wish, wishes = until(Upload, running, bundle)
    assert not any(isinstance(wish, Call) and isinstance(wish.request, UploadOffsetRequest) for wish in wishes)
    with pytest.raises(TransportError):
        running.throw(TransportError("gone"))
    return wish


def at(wish, offset):
    header = type(wish.header)()
    header.CopyFrom(wish.header)
    header.offset = offset
    return Upload(header, wish.data)


def test_an_upload_that_is_made_again_goes_on_where_the_coordinator_says(busy, first):
    size = len(first.data)
    for offset in (0, 1, size - 1, size, size + 1, 2**63):
        running = begin(busy)
        question = next(running)
        asked = UploadOffsetRequest(assignment_id=first.header.assignment_id, sha256=blobs.sha256(first.data))
        assert question == Call(asked)
        assert running.send(UploadOffsetResponse(offset=offset)) == at(first, offset if offset <= size else 0)
    assert end(running.send, UploadContributionResponse()).result is Result.UPLOADED
    assert busy.staged() is None


@pytest.mark.parametrize(
    "error", [UnknownCallError("an older coordinator"), *(StatusError(status, "no") for status in Status)]
)
def test_without_an_answer_of_use_the_upload_begins_anew(busy, first, error):
    running = begin(busy)
    next(running)
    assert running.throw(error) == first


def test_a_coordinator_that_cannot_be_reached_is_not_tried_twice(busy, first):
    running = begin(busy)
    next(running)
    with pytest.raises(TransportError):
        running.throw(TransportError("gone"))
    assert busy.staged() is not None


def test_an_upload_that_cannot_go_on_begins_anew_at_once(busy, first):
    running = begin(busy)
    next(running)
    running.send(UploadOffsetResponse(offset=5))
    assert running.throw(StatusError(Status.OUT_OF_RANGE, "begin at 0")) == first
    with pytest.raises(StatusError):  # which no coordinator answers to a whole upload
        running.throw(StatusError(Status.OUT_OF_RANGE, "begin at 0"))
    assert busy.staged() is not None


def test_a_contribution_of_one_piece_does_not_ask(busy, first, monkeypatch):
    monkeypatch.setattr(contributing, "PIECE", len(first.data))
    assert next(begin(busy)) == first
