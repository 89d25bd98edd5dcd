"""A device fetches a checkpoint in a smaller encoding, and trains and recommends from what that says."""

from dataclasses import replace

import pytest

from client_sdk import Result
from fedau2.v1.task_pb2 import EncodedCheckpoint
from fedau2.wire import blobs, encodings

SMALL = ["float16", "int8"]


def encoded(bundle, encoding, number=None):
    """The same task, offered in an encoding; and a task whose exact checkpoint is what that one says."""
    tensors = blobs.unpack(bundle.blobs[bundle.checkpoint.sha256])
    data = encodings.encode(tensors, encoding)
    rounded = blobs.pack(encodings.decode(data))
    known = {blobs.sha256(each): each for each in (data, rounded)}
    offered = replace(bundle, blobs=bundle.blobs | known)
    assignment = offered.assignment()
    assignment.encoded.CopyFrom(
        EncodedCheckpoint(encoding=encoding if number is None else number, resource=blobs.resource(data))
    )
    return offered, assignment, replace(offered, checkpoint=blobs.resource(rounded))


@pytest.fixture(autouse=True)
def _short_rows(monkeypatch):
    monkeypatch.setattr(encodings, "SHORT", 2)


def trained(open_client, remote, bundle, assignment, folder):
    """The bytes that a client uploads, what it recommends, and the hashes that it fetched."""
    remote.bundle, remote.assignment = bundle, assignment
    del remote.calls[:]
    client = open_client(folder)
    with client._store.database.transaction() as connection:
        connection.execute("UPDATE client SET key = ?", (bytes(16),))
    client.record("film-1")
    assert client.sync().result == Result.UPLOADED
    fetched = {request.sha256 for name, request in remote.calls if name == "fetch"}
    return remote.calls[-1][1][1], client.recommend(3), fetched


@pytest.mark.parametrize("name", SMALL)
def test_a_smaller_checkpoint_trains_and_recommends_as_its_tensors_do(open_client, remote, bundle, name):
    offered, assignment, rounded = encoded(bundle, encodings.NAMES[name])
    upload, recommended, fetched = trained(open_client, remote, offered, assignment, "small")
    assert assignment.encoded.resource.sha256 in fetched
    assert assignment.checkpoint.sha256 not in fetched
    expected = trained(open_client, remote, rounded, rounded.assignment(), "exact")
    assert (upload, recommended) == expected[:2]
    exact = trained(open_client, remote, bundle, bundle.assignment(), "other")
    assert upload != exact[0]


def test_an_encoding_that_this_sdk_does_not_know_is_left_alone(open_client, remote, bundle):
    offered, assignment, _ = encoded(bundle, encodings.NAMES["int8"], number=99)
    *_, fetched = trained(open_client, remote, offered, assignment, "state")
    assert assignment.checkpoint.sha256 in fetched
    assert assignment.encoded.resource.sha256 not in fetched
