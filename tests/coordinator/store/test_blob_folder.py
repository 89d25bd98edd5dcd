"""Blobs on disk."""

import pytest

from coordinator.errors import BlobLostError
from coordinator.store.blob_folder import PIECE, BlobFolder
from fedau2.wire import blobs


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "blobs").mkdir()
    return BlobFolder(tmp_path / "blobs")


def test_a_blob_comes_back(folder):
    resource = folder.put(b"data")
    assert resource == blobs.resource(b"data")
    assert folder.put(b"data") == resource
    assert folder.get(resource.sha256) == b"data"
    assert folder.size(resource.sha256) == 4


@pytest.mark.parametrize("offset", [0, 1, PIECE, PIECE + 3, 2 * PIECE + 5])
def test_it_is_streamed_in_chunks_from_any_offset(folder, offset):
    data = bytes(range(256)) * (2 * PIECE // 256) + b"12345"
    pieces = list(folder.stream(folder.put(data).sha256, offset))
    assert b"".join(pieces) == data[offset:]
    assert all(0 < len(piece) <= PIECE for piece in pieces)


def test_a_stream_goes_on_though_the_blob_is_deleted(folder):
    data = bytes(2 * PIECE)
    sha256 = folder.put(data).sha256
    stream = folder.stream(sha256, 0)
    first = next(stream)
    folder.delete(sha256)
    folder.delete(sha256)
    assert first + b"".join(stream) == data


def test_damage_is_seen(folder, tmp_path):
    sha256 = folder.put(b"data").sha256
    (tmp_path / "blobs" / sha256.hex()).write_bytes(b"date")
    for read in (folder.get, folder.check):
        with pytest.raises(BlobLostError, match="damaged"):
            read(sha256)
    folder.put(b"data")  # storing it again mends it
    assert folder.get(sha256) == b"data"


def test_one_that_is_not_there_is_not_found(folder):
    for read in (folder.get, folder.check):
        with pytest.raises(BlobLostError, match="No such file"):
            read(bytes(32))
    with pytest.raises(FileNotFoundError):
        folder.size(bytes(32))


def test_orphans_are_what_nobody_needs_and_what_a_crash_left(folder, tmp_path):
    keep, drop = folder.put(b"keep").sha256, folder.put(b"drop").sha256
    (tmp_path / "blobs" / f"{'0' * 64}.tmp").write_bytes(b"half")
    again = BlobFolder(tmp_path / "blobs")
    (tmp_path / "blobs" / "notes.txt").write_text("an operator's")
    assert {path.name for path in again.orphans({keep})} == {drop.hex(), f"{'0' * 64}.tmp"}
