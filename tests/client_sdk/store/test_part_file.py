"""Downloads that go on where they broke off, also in another process."""

import stat
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from client_sdk.errors import StoreError
from client_sdk.protocol.values import Model
from client_sdk.store.sqlite_store import SqliteStore
from client_sdk.store.started import StartedVersion
from fedau2.wire import blobs
from fedau2.wire.errors import BlobError

DATA = bytes(range(200))
RESOURCE = blobs.resource(DATA)


def parts(store):
    return sorted(path.name for path in (store.folder / "blobs").glob("*.part"))


@given(st.lists(st.integers(0, 60), max_size=6), st.integers(0, 200))
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_pieces_of_any_number_of_processes_are_the_blob(tmp_path_factory, sizes, last):
    folder, came = tmp_path_factory.mktemp("state"), 0
    for size in sizes:
        with closing(SqliteStore(folder)) as store:
            download = store.download(RESOURCE)
            assert download.size == came
            piece = DATA[came : came + size]
            download.add(piece)
            came += len(piece)
            assert download.size == came
    with closing(SqliteStore(folder)) as store:
        download = store.download(RESOURCE)
        download.add(DATA[came:])
        assert download.finish() == DATA
        assert parts(store) == []


def test_a_part_that_was_damaged_is_thrown_away(store):
    store.download(RESOURCE).add(DATA[:100])
    (store.folder / "blobs" / parts(store)[0]).write_bytes(bytes(100))
    download = store.download(RESOURCE)
    assert download.size == 100
    download.add(DATA[100:])
    with pytest.raises(BlobError, match="damaged"):
        download.finish()
    assert parts(store) == []
    assert store.download(RESOURCE).size == 0


@pytest.mark.parametrize("before", [0, 150])
def test_no_more_bytes_than_declared_are_kept(store, before):
    download = store.download(RESOURCE)
    download.add(DATA[:before])
    with pytest.raises(BlobError, match="more bytes than the declared 200"):
        download.add(bytes(201 - before))
    assert (download.size, parts(store)) == (0, [])


def test_a_part_that_is_longer_than_its_blob_is_thrown_away(store):
    store.download(RESOURCE).add(DATA[:1])
    (store.folder / "blobs" / parts(store)[0]).write_bytes(bytes(201))
    assert store.download(RESOURCE).size == 0


def test_a_blob_that_is_not_whole_is_not_the_blob(store):
    download = store.download(RESOURCE)
    download.add(DATA[:-1])
    with pytest.raises(BlobError, match="199 bytes instead of 200"):
        download.finish()


def test_the_part_of_one_blob_is_kept(store):
    for number in range(20):
        store.download(blobs.resource(bytes([number]) * 9)).add(bytes([number]))
    (name,) = parts(store)
    assert name == f"{blobs.sha256(bytes([19]) * 9).hex()}.part"
    assert stat.S_IMODE((store.folder / "blobs" / name).stat().st_mode) == 0o600


KEPT, OTHER = blobs.resource(b"kept"), blobs.resource(b"other")


def version(number, checkpoint):
    return Model("task", number, blobs.resource(b"manifest"), checkpoint)


def test_a_version_that_is_begun_leaves_its_own_blobs(store):
    store.keep_blob(KEPT, b"kept")
    store.keep_blob(OTHER, b"other")
    store.start(version(0, RESOURCE), [KEPT, RESOURCE])
    assert (store.blob(KEPT), store.blob(OTHER), store.started()) == (b"kept", None, None)


def test_the_part_of_the_started_version_outlives_those_of_newer_ones(store):
    first = version(0, RESOURCE)
    store.start(first, [RESOURCE])
    store.download(RESOURCE).add(DATA[:9])
    for number in range(1, 5):
        newer = version(number, blobs.resource(bytes([number]) * 9))
        store.start(newer, [newer.checkpoint])
        assert store.started() == first
        store.download(newer.checkpoint).add(b"x")
        assert len(parts(store)) == 2
    assert store.download(RESOURCE).size == 9
    store.abandon(first)
    assert (store.started(), store.download(RESOURCE).size) == (None, 0)


@given(st.binary(max_size=99))
def test_a_damaged_note_names_a_version_or_none(data):
    with TemporaryDirectory() as folder:
        path = Path(folder) / "started"
        path.write_bytes(data)
        assert isinstance(StartedVersion(path).read(), Model | None)


def test_a_closed_store_takes_no_more_bytes(store):
    download = store.download(RESOURCE)
    download.add(DATA[:9])
    store.close()
    for act in (lambda: download.add(DATA[9:]), download.finish, lambda: store.download(RESOURCE)):
        with pytest.raises(StoreError, match="closed"):
            act()
    with closing(SqliteStore(store.folder)) as again:
        assert again.download(RESOURCE).size == 9


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the platform has no disk that is always full")
def test_a_full_disk_does_not_stay_full_of_a_part(tmp_path):
    with closing(SqliteStore(tmp_path / "state")) as store:
        (store.folder / "blobs" / f"{RESOURCE.sha256.hex()}.part").symlink_to("/dev/full")
        with pytest.raises(StoreError):
            store.download(RESOURCE).add(DATA)
        assert parts(store) == []
        download = store.download(RESOURCE)
        download.add(DATA)
        assert download.finish() == DATA
