"""Object stores: what was put is there, whatever happens to requests and answers, and errors say what to do."""

import re
from datetime import timedelta

import pytest

from coordinator.errors import ObjectsError, SettingError
from coordinator.store import objects
from coordinator.store.objects import Objects


@pytest.fixture
def quick(monkeypatch):
    """No request takes long."""
    monkeypatch.setattr(objects, "TIMEOUT", timedelta(seconds=0.3))
    monkeypatch.setattr(objects, "PATIENCE", timedelta(seconds=1))
    monkeypatch.setattr(objects, "_FIRST", timedelta(seconds=0.01))


def content(store, key):
    sizes = {item.key: item.size for item in store.list(key.rpartition("/")[0])}
    return b"".join(store.read(key, sizes[key]))


def test_what_is_put_is_there_until_it_is_removed(objects_url, tmp_path, monkeypatch):
    monkeypatch.setattr(objects, "_PIECE", 6 * 2**20)
    store, large = Objects.open(objects_url), bytes(range(256)) * (60 * 1024)
    store.probe()
    assert store.list("a") == []
    (tmp_path / "file").write_bytes(b"of a file")
    for key, data in {"a/b/small": b"small", "a/empty": b"", "a/large": large, "ab/c": tmp_path / "file"}.items():
        store.put(key, data)
        store.put(key, data)
    assert {item.key for item in store.list("a")} == {"a/b/small", "a/empty", "a/large"}
    assert [content(store, key) for key in ("a/b/small", "a/empty", "a/large", "ab/c")] == [
        *(b"small", b"", large, b"of a file")
    ]
    store.copy("a/large", "z/copy")
    for _ in range(2):
        store.delete("a/large")
    assert content(store, "z/copy") == large
    with pytest.raises(FileNotFoundError):
        store.copy("a/large", "z/other")
    with pytest.raises(FileNotFoundError):
        list(store.read("a/large", 1))


@pytest.mark.parametrize("kind", ["refused", "lost", "cut", "silent"])
@pytest.mark.parametrize("method", ["PUT", "GET", "DELETE"])
def test_a_request_that_fails_is_made_again(s3_url, s3_way, quick, kind, method):
    store = Objects.open(s3_url)
    s3_way.fail(kind, method, times=2)
    store.put("a/b", b"bytes")
    assert content(store, "a/b") == b"bytes"
    store.copy("a/b", "a/c")
    store.delete("a/b")
    assert [item.key for item in store.list("a")] == ["a/c"]
    assert len([0 for asked, _ in s3_way.requests if asked == method]) >= 3


@pytest.mark.parametrize("path", ["uploads", "uploadId"])
def test_a_large_object_whose_last_answer_is_lost_is_there(s3_url, s3_way, quick, monkeypatch, path):
    monkeypatch.setattr(objects, "_PIECE", 5 * 2**20)
    monkeypatch.setattr(objects, "TIMEOUT", timedelta(seconds=5))
    store, data = Objects.open(s3_url), bytes(11 * 2**20)
    s3_way.fail("lost", "POST", path)
    store.put("a/b", data)
    assert content(store, "a/b") == data


@pytest.mark.parametrize("kind", ["refused", "cut", "silent"])
def test_a_store_that_stays_away_is_given_up(s3_url, s3_way, quick, kind):
    s3_way.fail(kind, "PUT", times=1000)
    with pytest.raises(ObjectsError, match="check its address, bucket"):
        Objects.open(s3_url).put("a/b", b"bytes")


def test_errors_say_what_is_wrong_and_never_the_credentials(s3_url, s3_way, monkeypatch):
    with pytest.raises(ObjectsError, match="NoSuchBucket"):
        Objects.open("s3://nowhere/fedau2").probe()
    s3_way.fail("denied", "PUT", times=100)
    with pytest.raises(ObjectsError, match="403") as raised:
        Objects.open(s3_url).probe()
    assert "a-secret-key" not in str(raised.value)
    assert "\n" not in str(raised.value)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setattr(objects, "PATIENCE", timedelta(seconds=0.1))
    with pytest.raises(ObjectsError, match=r"127\.0\.0\.1:9"):
        Objects.open(s3_url).probe()


def test_a_store_that_forgets_is_refused(objects_url, monkeypatch):
    monkeypatch.setattr(Objects, "list", lambda self, prefix: [])
    with pytest.raises(ObjectsError, match="does not give back"):
        Objects.open(objects_url).probe()


@pytest.mark.parametrize(
    ("environment", "reason"),
    [
        ({"AWS_ENDPOINT": "http://minio:9000", "AWS_ENDPOINT_URL": "http://127.0.0.1:9000"}, "without TLS"),
        ({"AWS_ENDPOINT_URL": "https://user:secret@minio"}, "the address in AWS_ENDPOINT_URL has a user or a password"),
        ({"AWS_ACCESS_KEY_ID": "tester\n"}, "AWS_ACCESS_KEY_ID has a control character"),
    ],
)
def test_an_environment_that_cannot_be_used_is_refused(environment, reason):
    with pytest.raises(SettingError, match=reason) as refused:
        Objects.open("s3://bucket", environment)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("name", ["AWS_ENDPOINT", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"])
def test_the_way_to_another_machine_has_tls(name):
    pytest.importorskip("obstore", reason="the extra objects is not installed")
    plain = {name: "http://minio:9000"}
    with pytest.raises(SettingError, match="use https, or set AWS_ALLOW_HTTP=true"):
        Objects.open("s3://bucket", plain)
    for fine in (plain | {"AWS_ALLOW_HTTP": "true"}, {name: "http://127.0.0.1:9000"}, {name: "https://minio"}, {}):
        Objects.open("s3://bucket", fine)


@pytest.mark.parametrize(
    "url", ["", "bucket", "s3://", "s3://key:secret@bucket", "gs://bucket", "file://host/a", "s3://b?x=1", "/shared"]
)
def test_other_urls_are_refused(url):
    with pytest.raises(ValueError, match=f"^{re.escape(url)}$"):
        objects.check(url)
