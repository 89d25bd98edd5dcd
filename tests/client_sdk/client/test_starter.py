from pathlib import Path

import pytest

from client_sdk import Result
from client_sdk.errors import MissingFeatureError, NoModelError, UsageError
from export.bundle import Bundle as ExportedBundle
from export.bundle import write
from fedau2.wire import manifest


def write_bundle(bundle, folder):
    """Writes a bundle as `fedau2-export` does: the manifest is no blob."""
    named = {resource.sha256 for resource in manifest.blobs(bundle.manifest)}
    content = {sha256: data for sha256, data in bundle.blobs.items() if sha256 in named}
    write(ExportedBundle(bundle.manifest, content), folder)
    return folder


@pytest.fixture
def starter(bundle, tmp_path):
    return write_bundle(bundle, tmp_path / "starter")


def test_a_starter_that_requires_an_unknown_feature_is_refused(open_client, bundle, tmp_path):
    later = write_bundle(bundle.with_manifest(required_features=["later-sums"]), tmp_path / "later")
    with pytest.raises(MissingFeatureError, match="later-sums"):
        open_client(starter=later)
    with pytest.raises(NoModelError):
        open_client().recommend()


def test_a_starter_recommends_before_the_first_sync_and_gives_way_to_it(open_client, starter, remote, bundle):
    client = open_client(starter=starter)
    assert len(client.recommend(12)) == 12
    client.record("film-1")
    assert "film-1" not in [each.item for each in client.recommend(12)]
    client.record("film-99")
    assert client.status().unlisted == 1
    assert client.sync().result == Result.UPLOADED
    assert "fetch" not in remote.names()  # it is the coordinator's model still
    client.close()
    for path in starter.rglob("*"):
        if path.is_file():
            path.unlink()
    assert open_client(starter=starter).recommend(12)


def cut(path):
    path.write_bytes(path.read_bytes()[:-1])


def spoil(path):
    path.write_bytes(b"other")


def make_a_folder_of(path):
    path.unlink()
    path.mkdir()


DAMAGES = [cut, spoil, Path.unlink, make_a_folder_of]


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("number", range(4))
def test_a_damaged_starter_is_healed_by_the_next_sync(open_client, starter, remote, number, damage, caplog):
    path = sorted((starter / "blobs").iterdir())[number]
    damage(path)
    for _ in range(2):
        client = open_client(starter=starter)
        with pytest.raises(NoModelError, match="sync"):
            client.recommend()
        client.record("film-1")
        client.close()
    assert "the starter is damaged" in caplog.text
    client = open_client(starter=starter)
    assert client.sync().result is Result.UPLOADED
    assert [call.sha256.hex() for name, call in remote.calls if name == "fetch"] == [path.name]  # what it lacked
    assert len(client.recommend(12)) == 11


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_starter_is_nothing_to_a_client_that_has_a_model(open_client, starter, synced, damage, caplog):
    before = synced.recommend(12)
    synced.close()
    for path in [starter / "manifest.binpb", *(starter / "blobs").iterdir()]:
        damage(path)
    assert open_client(starter=starter).recommend(12) == before
    assert "starter" not in caplog.text


def test_a_starter_that_is_no_bundle_is_told_and_leaves_the_folder_free(open_client, starter):
    spoil(starter / "manifest.binpb")
    for wrong in (starter, starter / "nowhere"):
        with pytest.raises(UsageError, match="starter"):
            open_client(starter=wrong)
    with pytest.raises(NoModelError):
        open_client().recommend()
