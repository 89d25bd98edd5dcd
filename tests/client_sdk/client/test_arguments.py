from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from client_sdk import FedClient, Result
from client_sdk.arguments import item, microseconds, number
from client_sdk.errors import (
    AttributeValueError,
    FedError,
    UsageError,
)
from tests import certificates


def test_every_id_is_kept_and_used_once_a_catalogue_lists_it(client, remote, bundles):
    client.record_many(["film-1", "film-20"])
    assert client.status().unlisted is None  # no catalogue says so yet
    client.sync()
    before = client.recommend(12)
    client.record("film-21")
    client.record_many(["film-20", "film-21"])
    assert (client.status().recorded, client.status().unlisted) == (5, 4)
    assert client.recommend(12) == before
    remote.bundle = bundles([f"film-{row}" for row in range(1, 22)])  # film-20 is in another row now
    remote.assignment = remote.bundle.assignment(1, 1)
    assert client.sync().result is Result.UPLOADED
    assert (client.status().recorded, client.status().unlisted) == (5, 0)
    assert {best.item for best in client.recommend(99)} == {f"film-{row}" for row in range(2, 20)}


def test_an_attribute_value_is_checked_once_the_task_is_known(client, remote):
    client.set_attribute("gender", "unheard-of")
    client.record("film-1")
    with pytest.raises(AttributeValueError, match="it knows M, F"):
        client.sync()
    assert remote.names()[-1] == "report_failure"
    calls = len(remote.calls)
    with pytest.raises(AttributeValueError, match="it knows M, F"):
        client.sync()
    assert [(name, request.without_place) for name, request in remote.calls[calls:]] == [("check_in", True)]
    with pytest.raises(AttributeValueError, match="it knows M, F") as raised:
        client.set_attribute("gender", "other")
    assert raised.value.attribute == "gender"
    assert "other" not in repr(raised.value)
    client.set_attribute("age", "any value of an attribute that the task does not unlearn")
    client.set_attribute("gender", None)
    assert client.sync().result == Result.UPLOADED


@pytest.mark.parametrize(
    "act",
    [
        lambda client: client.record(7),
        lambda client: client.record(""),
        lambda client: client.record(["film-1"]),
        lambda client: client.record("\ud800"),
        lambda client: client.record("film-1\nfilm-2"),
        lambda client: client.record("é" * 513),
        lambda client: client.record(float("nan")),
        lambda client: client.record(b"film-1"),
        lambda client: client.record(np.bytes_(b"film-1")),
        lambda client: client.record_many(["film-2", None]),
        lambda client: client.record_many(["film-2", np.int64(7)]),
        lambda client: client.record("film-1", datetime(2024, 1, 1)),
        lambda client: client.record("film-1", 1700000000),
        lambda client: client.set_attribute("", "M"),
        lambda client: client.set_attribute(None, "M"),
        lambda client: client.set_attribute("gender", 1),
        lambda client: client.set_attribute("gender", ""),
        lambda client: client.recommend(0),
        lambda client: client.recommend(-1),
        lambda client: client.recommend(2.0),
        lambda client: client.recommend(True),
        lambda client: client.recommend("10"),
        lambda client: client.recommend(np.bool_(True)),
        lambda client: client.recommend(np.float64(3)),
        lambda client: client.recommend(np.int64(0)),
    ],
)
def test_calls_that_cannot_be_meant_are_told_and_change_nothing(synced, act):
    before = synced.recommend(12)
    with pytest.raises(UsageError):
        act(synced)
    assert synced.recommend(12) == before


@pytest.mark.parametrize(
    "arguments",
    [
        {"state_dir": 7},
        {"state_dir": ""},
        {"coordinator": None},
        {"coordinator": "http://fed.example.com"},
        {"population": ""},
        {"population": "x" * 129},
        {"population": b"films"},
        {"root_certificates": "roots.pem"},
        {"root_certificates": b"no PEM"},
        {"root_certificates": b"PEM", "insecure": True},
    ],
)
def test_arguments_that_cannot_be_meant_open_nothing(tmp_path, arguments):
    good = {"state_dir": tmp_path / "state", "coordinator": "localhost:1", "population": "films"}
    with pytest.raises(UsageError):
        FedClient.open(**{**good, **arguments})
    assert not (tmp_path / "state").exists()


@given(st.sampled_from([np.int8, np.uint16, np.int32, np.int64, np.uint64, int]), st.integers(1, 127))
def test_whole_numbers_of_every_type_are_whole_numbers(kind, value):
    assert type(number("k", kind(value))) is int
    assert number("k", kind(value)) == value


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\n"), min_size=1, max_size=256))
def test_every_text_in_a_line_is_an_id_whatever_its_class(text):
    assert type(item(np.str_(text))) is str
    assert item(np.str_(text)) == item(text) == text


def test_ids_of_numpy_are_kept_as_python_has_them(client):
    client.record(np.str_("film-1"))
    client.record_many(np.array(["film-2", "film-3"]))
    client.record("é" * 512)
    assert [kept["item"] for kept in client.privacy.export_data()["interactions"]][:3] == ["film-1", "film-2", "film-3"]
    assert len(client.privacy.export_data()["interactions"]) == 4


@given(st.datetimes(timezones=st.sampled_from([UTC, timezone(timedelta(hours=-7))])))
def test_times_are_kept_to_the_microsecond(time):
    assert datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds(time)) == time


@pytest.mark.parametrize("options", [{"root_certificates": certificates.make()[1]}, {"root_certificates": None}])
def test_whatever_the_certificate_only_our_errors_are_raised(open_client, address, options):
    secure = address.replace("127.0.0.1", "localhost")
    client = open_client(coordinator=secure if options["root_certificates"] else "192.0.2.1:1", **options)
    client.record("film-1")
    with pytest.raises(FedError):
        client.sync()


@pytest.mark.parametrize(
    "call",
    [
        lambda c: c.record_many(5),
        lambda c: c.record_many(["film-1"], 5),
        lambda c: c.record("film-1", datetime.min.replace(tzinfo=timezone(timedelta(hours=14)))),
        lambda c: c.recommend(3, where=5),
        lambda c: c.events.subscribe(5),
        lambda c: c.privacy.forget_attribute(["gender"]),
        lambda c: c.privacy.forget_attribute("\ud800"),
        lambda c: FedClient.open("a\0b", "127.0.0.1:1", "films"),
        lambda c: FedClient.open("\ud800\udfffx", "127.0.0.1:1", "films"),
        lambda c: FedClient.open("x", "127.0.0.1:1", "films", starter=5),
        lambda c: FedClient.open("x", "127.0.0.1:1", "films", engine="tensorflow"),
    ],
)
def test_a_call_that_cannot_be_meant_is_told(synced, call):
    with pytest.raises(UsageError):
        call(synced)
