"""A client shows who it is to a real coordinator, and trains with an admission that does not say so."""

import asyncio
import time
from contextlib import closing

import pytest

from client_sdk import AsyncFedClient, CredentialsError, FedClient, Result, testing
from tests import identity_provider

AUDIENCE = "fedau2-devices"
ITEMS = [f"movie-{number}" for number in range(12)]


@pytest.fixture
def server(tmp_path, monkeypatch):
    path = identity_provider.write(tmp_path / "jwks.json")
    values = {"ADMISSIONS": "token", "ADMISSION_TOKEN_KEYS": str(path)}
    values |= {"ADMISSION_TOKEN_ISSUER": identity_provider.ISSUER, "ADMISSION_TOKEN_AUDIENCE": AUDIENCE}
    for name, value in values.items():
        monkeypatch.setenv(f"FEDAU2_COORDINATOR_{name}", value)
    with testing.LocalCoordinator(items=ITEMS, goal=2, rounds=5) as started:
        yield started


def token(user):
    return identity_provider.token(time.time(), AUDIENCE, sub=user)


def opened(folder, server, user):
    client = FedClient.open(folder, server.address, server.population, admission=lambda: token(user) if user else "x")
    client.record(ITEMS[0])
    return client


def test_each_user_has_one_place_in_each_round(tmp_path, server):
    with (
        opened(tmp_path / "a", server, "anna") as anna,
        opened(tmp_path / "b", server, "bea") as bea,
        opened(tmp_path / "c", server, "anna") as second_phone,
        opened(tmp_path / "d", server, "") as stranger,
    ):
        assert anna.sync().result is Result.UPLOADED
        assert second_phone.sync().reason == "REJECTION_REASON_ADMISSION_SPENT"
        with pytest.raises(CredentialsError, match="the token is not accepted"):
            stranger.sync()
        assert stranger.status().model is not None or stranger.recommend(k=1), "it is turned away, and has the model"
        assert bea.sync().result is Result.UPLOADED
        server.wait_for_round(1)
        assert second_phone.sync().result is Result.UPLOADED, "the next round"
        assert anna.sync().reason == "REJECTION_REASON_ADMISSION_SPENT"


def test_a_client_of_asyncio_shows_evidence_of_a_coroutine_function(tmp_path, server):
    async def evidence():
        return token("carl")

    async def run():
        client = await AsyncFedClient.open(tmp_path / "a", server.address, server.population, admission=evidence)
        try:
            await client.record(ITEMS[1])
            return (await client.sync()).result
        finally:
            await client.close()

    assert asyncio.run(run()) is Result.UPLOADED


def test_a_client_that_was_restarted_has_lost_its_admission_and_takes_part_in_the_next_round(tmp_path, server):
    with opened(tmp_path / "a", server, "anna") as client:
        assert client.sync().result is Result.UPLOADED
    with closing(opened(tmp_path / "a", server, "anna")) as client:
        assert client.sync().reason == "REJECTION_REASON_ADMISSION_SPENT"
