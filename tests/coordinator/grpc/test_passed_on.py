"""Nobody but a coordinator speaks for others, and callers are known to the leader as to the stand-by."""

import asyncio
import json
import secrets

import grpc
import pytest

from coordinator.evidence.certificates import Certificates
from coordinator.grpc.gate import ROLE_METADATA
from coordinator.store import operations_log
from coordinator.store.state_folder import StateFolder
from fedau2.v1 import admin_pb2
from fedau2.v1.admin_pb2_grpc import AdminServiceStub
from fedau2.v1.device_pb2 import AdmitRequest, CheckInRequest
from fedau2.v1.device_pb2_grpc import DeviceServiceStub
from fedau2.wire import blind
from tests import certificates
from tests.coordinator import conftest as tools
from tests.coordinator.grpc.pairs import ANNA, AUTHORITY, VERA, channel, pair, tls, write


@pytest.fixture
def files(tmp_path):
    write(tmp_path)
    return tmp_path


CLAIMED = {"name": "anna", "role": 3, "why": "", "proven": True}


def test_nobody_speaks_for_others_on_the_addresses_of_devices_and_operators(files):
    """Metadata of the kind that coordinators send each other means nothing there."""

    async def main():
        roles = files / "roles.toml"
        async with pair(files, admin_tls=tls(files, "admin_tls"), roles=roles) as two:
            for servers in (two.leader, two.stand_by):
                async with channel(servers.admin, VERA) as vera:
                    claim = (("fedau2-operator-bin", json.dumps(CLAIMED).encode()),)
                    call = AdminServiceStub(vera).PauseTask(admin_pb2.PauseTaskRequest(task_id="x"), metadata=claim)
                    assert (await call.code()).name == "PERMISSION_DENIED"

    asyncio.run(main())


def test_operators_are_known_at_a_stand_by_and_recorded_by_the_leader(files):
    async def main():
        roles, statuses = files / "roles.toml", []
        secured = {"admin_tls": tls(files, "admin_tls"), "peer_tls": tls(files, "replica_tls")}
        async with pair(files, roles=roles, **secured) as two:
            for person, role in ((ANNA, "admin"), (VERA, "viewer")):
                async with channel(two.stand_by.admin, person) as opened:
                    call = AdminServiceStub(opened).PauseTask(admin_pb2.PauseTaskRequest(task_id="x"))
                    statuses.append((await call.code()).name)
                    assert dict(iter(await call.trailing_metadata()))[ROLE_METADATA] == role
                    listing = AdminServiceStub(opened).ListTasks(admin_pb2.ListTasksRequest())
                    assert (await listing.code()).name == "OK"
        return statuses

    assert asyncio.run(main()) == ["NOT_FOUND", "PERMISSION_DENIED"]
    entries = [entry for entry, _ in operations_log.read(StateFolder(files / "state").operations)]
    assert [(entry["operator"], entry["role"], entry["event"]) for entry in entries] == [
        ("anna", "admin", "begins"),
        ("anna", "admin", "ends"),
        ("vera", "viewer", "refused"),
    ]


def test_a_watch_through_a_stand_by_ends_when_the_role_is_taken_away(files):
    async def main():
        roles = files / "roles.toml"
        secured = {"admin_tls": tls(files, "admin_tls"), "peer_tls": tls(files, "replica_tls")}
        async with (
            pair(files, roles=roles, **secured) as two,
            channel(two.stand_by.admin, ANNA) as anna,
            channel(two.stand_by.admin, VERA) as vera,
        ):
            task = await AdminServiceStub(anna).CreateTask(tools.make_bundle(rounds=9).requests())
            watch = AdminServiceStub(vera).WatchRounds(admin_pb2.WatchRoundsRequest(task_id=task.task_id))
            assert await watch.read() is not grpc.aio.EOF
            roles.write_text('anna = "admin"\n')
            async with tools.connect(two.leader.devices, two.leader.admin) as lab:
                await lab.contribute([0])  # the next answer to the watch
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await asyncio.wait_for(watch.read(), 20)
            return caught.value.code().name

    assert asyncio.run(main()) == "PERMISSION_DENIED"


@pytest.mark.parametrize("person", [None, VERA, ANNA])
def test_only_coordinators_get_in_on_their_address(files, person):
    """An operator's certificate is of the same authority. It does not name the coordinators' host."""

    async def main():
        async with pair(files, peer_tls=tls(files, "replica_tls")) as two, channel(two.peers.address, person) as opened:
            claim = (("fedau2-caller-bin", b"{}"), ("fedau2-operator-bin", json.dumps(CLAIMED).encode()))
            call = AdminServiceStub(opened).ListTasks(admin_pb2.ListTasksRequest(), metadata=claim, timeout=10)
            return (await call.code()).name

    assert asyncio.run(main()) == ("UNAVAILABLE" if person is None else "PERMISSION_DENIED")


def test_files_that_are_renewed_while_the_leader_changes_leave_no_stand_by_without_a_connection(files):
    async def answered(two):
        async with tools.connect(two.stand_by.devices, two.stand_by.admin) as lab:
            return (await lab.check_in()).rejection.reason

    async def main():
        async with pair(files, peer_tls=tls(files, "replica_tls")) as two:
            first, reasons = two.line.channel(), [await answered(two)]
            key, chain = certificates.make(authority=AUTHORITY, names=("coordinators.example", "localhost"))
            (files / "certificate.pem").write_bytes(chain)  # of a key that is not there yet
            for leader in ("", two.peers.address):
                await two.line.turn(leader)
            second = two.line.channel()
            reasons.append(await answered(two))
            (files / "key.pem").write_bytes(key)
            await two.line.turn(two.peers.address)
            reasons.append(await answered(two))
            assert len({first, second, two.line.channel()}) == 3  # the last shows the new files
            return reasons

    assert len(set(asyncio.run(main()))) == 1


def test_a_caller_that_names_nobody_is_refused_on_the_coordinators_address(tmp_path):
    async def main():
        async with pair(tmp_path) as two, grpc.aio.insecure_channel(two.peers.address) as opened:
            garbage = (("fedau2-caller-bin", b"{}"),), (("fedau2-caller-bin", b"[1"),), (("fedau2-caller-bin", b"7"),)
            calls = [
                *(DeviceServiceStub(opened).CheckIn(CheckInRequest(), metadata=shown) for shown in garbage),
                DeviceServiceStub(opened).CheckIn(CheckInRequest(population="movies")),
                AdminServiceStub(opened).ListTasks(
                    admin_pb2.ListTasksRequest(),
                    metadata=(("fedau2-caller-bin", b'{"address": "", "certificate": ""}'),),
                ),
            ]
            for call in calls:
                assert (await call.code()).name == "INVALID_ARGUMENT"
                assert "for the other coordinators" in await call.details()

    asyncio.run(main())


def test_a_device_is_admitted_by_the_certificate_that_it_showed_to_the_stand_by(files):
    async def main():
        secured = {"devices_tls": tls(files, "tls"), "evidence": Certificates()}
        async with pair(files, **secured) as two:
            async with tools.connect(two.stand_by.devices, two.leader.admin) as lab:
                await lab.create()
            answers = []
            for servers in (two.leader, two.stand_by):
                for person in (ANNA, ANNA, VERA):
                    async with channel(servers.devices, person) as opened:
                        answers.append(await admitted(DeviceServiceStub(opened)))
            return answers

    assert asyncio.run(main()) == ["OK", "ALREADY_EXISTS", "OK", "ALREADY_EXISTS", "ALREADY_EXISTS", "ALREADY_EXISTS"]


async def admitted(stub):
    """Asks for an admission with a blinded message of its own, and returns the status."""
    key = (await stub.CheckIn(CheckInRequest(population="movies"))).rejection.admission
    blinded = b"\0" + secrets.token_bytes(blind.SIZE - 1)
    return (await stub.Admit(AdmitRequest(population="movies", key=key, blinded=blinded)).code()).name
