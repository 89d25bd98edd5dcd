"""The coordinators' own certificates end, or come from another authority, in the middle of a round at a stand-by."""

import asyncio
import time

import pytest

from coordinator.grpc.tls import Tls
from fedau2.wire.status import Status, StatusError
from tests import certificates
from tests.coordinator import conftest as tools
from tests.coordinator.grpc.pairs import pair

NAMES = ("coordinators.example", "localhost")
FIRST, SECOND = (certificates.make(names=(), common=name, signs=True) for name in ("first", "second"))
BRIEF = 3.0
"""Seconds of a certificate that ends while it is in use, at least."""


def write(folder, key, certificate, *authorities):
    (folder / "key.pem").write_bytes(key)
    (folder / "certificate.pem").write_bytes(certificate)
    (folder / "authority.pem").write_bytes(b"".join(authority[1] for authority in authorities))


def peer_tls(folder):
    return Tls(folder / "certificate.pem", folder / "key.pem", folder / "authority.pem", "replica_tls")


async def anew(two):
    """Lets the stand-by lose its connection to the leader."""
    for leader in ("", two.peers.address):
        await two.line.turn(leader)


def test_a_round_waits_while_the_coordinators_certificates_have_ended_and_goes_on_with_new_ones(tmp_path):
    end = time.time() + BRIEF
    write(tmp_path, *certificates.make(until=BRIEF / 86_400, authority=FIRST, names=NAMES), FIRST)

    async def main():
        async with (
            pair(tmp_path, peer_tls=peer_tls(tmp_path)) as two,
            tools.connect(two.leader.devices, two.leader.admin) as leading,
            tools.connect(two.stand_by.devices, two.stand_by.admin) as lab,
        ):
            task_id = await leading.create(tools.make_bundle(rounds=1, closing=tools.closing(3)))
            places = [await leading.assignment() for _ in range(3)]
            while time.time() < end + 1:
                await asyncio.sleep(0.05)
            await anew(two)
            with pytest.raises(StatusError) as refused:
                await lab.upload(places[0], tools.make_contribution(0))
            assert refused.value.status is Status.UNAVAILABLE
            assert refused.value.retry is not None
            await leading.upload(places[1], tools.make_contribution(1))  # the leader itself goes on
            write(tmp_path, *certificates.make(authority=FIRST, names=NAMES), FIRST)
            await two.line.turn(two.peers.address)  # as the next look does
            await lab.upload(places[0], tools.make_contribution(0))
            await lab.upload(places[2], tools.make_contribution(2))
            return (await lab.committed(task_id, 1)).checkpoint.sha256

    assert asyncio.run(main()) == tools.expected_checkpoint([[0, 1, 2]])


def test_the_authority_of_coordinators_is_replaced_in_the_middle_of_a_round(tmp_path):
    """In steps: both are trusted, the certificates are those of the second, the first is trusted no more."""
    first, second = (certificates.make(authority=authority, names=NAMES) for authority in (FIRST, SECOND))
    steps = [(first, (FIRST, SECOND)), (second, (FIRST, SECOND)), (second, (SECOND,))]
    write(tmp_path, *first, FIRST)

    async def main():
        async with (
            pair(tmp_path, peer_tls=peer_tls(tmp_path)) as two,
            tools.connect(two.stand_by.devices, two.stand_by.admin) as lab,
        ):
            task_id = await lab.create(tools.make_bundle(rounds=1, closing=tools.closing(3)))
            places = [await lab.assignment() for _ in steps]
            for seed, (certificate, authorities) in enumerate(steps):
                write(tmp_path, *certificate, *authorities)
                await anew(two)
                await lab.upload(places[seed], tools.make_contribution(seed))
            return (await lab.committed(task_id, 1)).checkpoint.sha256

    assert asyncio.run(main()) == tools.expected_checkpoint([[0, 1, 2]])
