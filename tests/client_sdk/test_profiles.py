"""Several users of one device."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client_sdk import FedClient, Profiles, Result, StoreError, StoreLockedError, UsageError
from client_sdk.protocol.values import Model
from fedau2.v1.task_pb2 import Resource


@pytest.fixture
def profiles(tmp_path):
    return Profiles(tmp_path / "profiles")


def open_profile(profiles, name, address="localhost:1"):
    return FedClient.open(profiles.folder(name), address, "films")


def test_two_profiles_are_open_at_once_and_know_nothing_of_each_other(profiles, address, remote):
    with open_profile(profiles, "kids", address) as kids, open_profile(profiles, "mum", address) as mum:
        kids.record("film-1")
        mum.record("film-2")
        kids.set_attribute("gender", "F")
        assert kids.sync().result == mum.sync().result == Result.UPLOADED
        first, second = (sent[1] for call, sent in remote.calls if call == "upload")
        assert first != second
        assert kids._store.key() != mum._store.key()
        assert mum.status().attributes == ()
        assert [each["item"] for each in mum.privacy.export_data()["interactions"]] == ["film-2"]
        assert profiles.names() == ("kids", "mum")


def test_a_profile_is_open_once(profiles):
    with open_profile(profiles, "kids"), pytest.raises(StoreLockedError):
        open_profile(profiles, "kids")


def test_an_open_profile_is_not_removed(profiles):
    with open_profile(profiles, "kids") as client:
        client.record("film-1")
        with pytest.raises(StoreLockedError):
            profiles.remove("kids")
        assert client.status().recorded == 1


def test_a_profile_is_removed_with_all_that_is_in_it_and_others_stay(profiles, address):
    for name in ("kids", "mum"):
        with open_profile(profiles, name, address) as client:
            client.record("film-1")
            client.sync()
    profiles.remove("kids")
    assert not profiles.folder("kids").exists()
    assert profiles.names() == ("mum",)
    with open_profile(profiles, "kids") as anew:
        assert anew.status().recorded == 0
        assert anew.status().model is None


def test_a_profile_whose_download_has_begun_is_removed(profiles):
    with open_profile(profiles, "kids") as client:
        address = Resource(sha256=bytes(32), size=9)
        client._store.start(Model("task", 0, Resource(sha256=bytes([1]) * 32, size=1), address), [])
        client._store.download(address).add(b"part")
        assert client._store.started()
    profiles.remove("kids")
    assert not profiles.folder("kids").exists()


def test_an_encrypted_profile_is_removed_without_its_key(profiles):
    pytest.importorskip("sqlcipher3")
    with FedClient.open(profiles.folder("kids"), "localhost:1", "films", key=lambda: bytes(32)) as client:
        client.record("film-1")
        with pytest.raises(StoreLockedError):
            profiles.remove("kids")
    profiles.remove("kids")
    assert not profiles.folder("kids").exists()


def test_a_file_that_no_client_made_stays(profiles):
    open_profile(profiles, "kids").close()
    photo = profiles.folder("kids") / "photo.jpg"
    photo.write_bytes(b"photo")
    with pytest.raises(StoreError, match="as a whole"):
        profiles.remove("kids")
    assert photo.read_bytes() == b"photo"


def test_what_is_not_a_profile_is_neither_listed_nor_removed(profiles, tmp_path):
    assert profiles.names() == ()
    (tmp_path / "profiles" / "profile-photos").mkdir(parents=True)
    (tmp_path / "profiles" / "profile-file").write_text("")
    assert profiles.names() == ()
    with pytest.raises(UsageError, match="no profile is called"):
        profiles.remove("photos")
    assert (tmp_path / "profiles" / "profile-photos").exists()


@pytest.mark.parametrize("name", ["", "Kids", "..", "a/b", "a\\b", "a.b", "-a", "é", "a\n", "a" * 65, None, 7, b"kids"])
def test_a_name_that_a_file_system_might_confuse_is_refused(profiles, name):
    with pytest.raises(UsageError, match="a profile's name"):
        profiles.folder(name)


@given(st.from_regex(r"[a-z0-9]([a-z0-9_-]{0,62}[a-z0-9])?", fullmatch=True))
def test_each_name_has_a_folder_of_its_own_within_the_root(name):
    folder = Profiles("root").folder(name)
    assert folder.parent.name == "root"
    assert folder.name == f"profile-{name}"
