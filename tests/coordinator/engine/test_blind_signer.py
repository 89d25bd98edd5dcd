"""Signatures are made once for each message, and one at a time."""

import asyncio
from types import SimpleNamespace

import pytest

from coordinator.engine import blind_signer
from coordinator.engine.blind_signer import BlindSigner
from coordinator.errors import InvalidRequestError
from fedau2.wire.errors import BlindSignatureError


class Key:
    """A key that says how often it signed, and fails if it is used twice at a time."""

    def __init__(self, name=b"key"):
        self.modulus, self.made, self.busy = name, [], False

    def sign(self, blinded):
        assert not self.busy
        self.busy = True
        self.made.append(blinded)
        self.busy = False
        return self.modulus + blinded


def test_callers_who_repeat_a_message_get_one_signature():
    key = Key()

    async def run():
        signer = BlindSigner()
        return await asyncio.gather(*(signer.sign(key, bytes([number % 3])) for number in range(30)))

    assert asyncio.run(run()) == [b"key" + bytes([number % 3]) for number in range(30)]
    assert sorted(key.made) == [b"\0", b"\1", b"\2"]


def test_a_message_is_signed_by_each_key_of_its_own(monkeypatch):
    keys = Key(b"one"), Key(b"two")

    async def run():
        signer = BlindSigner()
        return [await signer.sign(key, b"x") for key in keys]

    assert asyncio.run(run()) == [b"onex", b"twox"]


def test_the_oldest_signatures_are_forgotten(monkeypatch):
    monkeypatch.setattr(blind_signer, "MOST", 2)
    key = Key()

    async def run():
        signer = BlindSigner()
        for message in (b"a", b"b", b"c", b"c", b"b", b"a"):
            await signer.sign(key, message)

    asyncio.run(run())
    assert key.made == [b"a", b"b", b"c", b"a"]


def test_what_cannot_be_signed_is_refused_and_others_go_on():
    def sign(blinded):
        raise BlindSignatureError("not a number below the modulus")

    async def run():
        signer = BlindSigner()
        for _ in range(2):
            with pytest.raises(InvalidRequestError, match="below the modulus"):
                await signer.sign(SimpleNamespace(modulus=b"m", sign=sign), b"x")
        return await signer.sign(Key(), b"x")

    assert asyncio.run(run()) == b"keyx"
