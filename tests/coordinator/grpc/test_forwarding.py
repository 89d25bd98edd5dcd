"""A stand-by answers as the leader does, over real gRPC, and nobody but a coordinator speaks for others."""

import asyncio
import json
import secrets
import time
from contextlib import asynccontextmanager

import grpc
import pytest

from coordinator.bench.relay import relay
from coordinator.engine.coordinator import Coordinator
from coordinator.engine.limited import Limited
from coordinator.evidence.certificates import Certificates
from coordinator.grpc.door import StandBy
from coordinator.grpc.forwarding import Forwarding, Line
from coordinator.grpc.gate import ROLE_METADATA
from coordinator.grpc.peers import Peers
from coordinator.grpc.server import ADMIN, Servers
from coordinator.grpc.tls import Tls
from coordinator.metrics.metrics import Metrics
from coordinator.model.limits import AddressLimits
from coordinator.store import operations_log
from coordinator.store.state_folder import StateFolder
from fedau2.v1 import admin_pb2
from fedau2.v1.admin_pb2_grpc import AdminServiceStub
from fedau2.v1.device_pb2 import AdmitRequest, CheckInRequest
from fedau2.v1.device_pb2_grpc import DeviceServiceStub
from fedau2.wire import blind, blobs, methods
from fedau2.wire.status import StatusError
from tests import certificates
from tests.coordinator import conftest as tools

AUTHORITY = certificates.make(names=(), common="authority", signs=True)
HERE = certificates.make(authority=AUTHORITY, names=("coordinators.example", "localhost"))
ANNA, VERA = (certificates.make(authority=AUTHORITY, names=(), common=name) for name in ("anna", "vera"))


@pytest.fixture
def files(tmp_path):
    (tmp_path / "key.pem").write_bytes(HERE[0])
    (tmp_path / "certificate.pem").write_bytes(HERE[1])
    (tmp_path / "authority.pem").write_bytes(AUTHORITY[1])
    (tmp_path / "roles.toml").write_text('anna = "admin"\nvera = "viewer"\n')
    return tmp_path


def tls(files, name):
    return Tls(files / "certificate.pem", files / "key.pem", files / "authority.pem", name)


class Pair:
    """A leader and a stand-by, with the connection between them."""

    def __init__(self, coordinator, leader, peers, stand_by, line):
        self.coordinator, self.leader, self.peers, self.stand_by, self.line = (
            coordinator, leader, peers, stand_by, line,
        )  # fmt: skip


@asynccontextmanager
async def pair(folder, limits=None, devices_tls=None, admin_tls=None, roles=None, peer_tls=None, **options):
    leader, other = [await Servers.start("127.0.0.1:0", "127.0.0.1:0", devices_tls, admin_tls, roles) for _ in range(2)]
    line, peers = Line(peer_tls), Peers(leader.door.led, "127.0.0.1:0", peer_tls)
    await peers.server.start()
    limits = AddressLimits() if limits is None else limits
    made = [
        Forwarding(service, line, Limited(limits.fresh(), Metrics(), time.time)) for service in (methods.DEVICE, ADMIN)
    ]
    other.stand_by(StandBy(*made), led=True)
    try:
        async with await Coordinator.open(folder / "state", limits=limits.fresh(), **options) as coordinator:
            await leader.serve(coordinator)
            await line.turn(peers.address)
            yield Pair(coordinator, leader, peers, other, line)
            await line.close()
    finally:
        await asyncio.gather(other.stop(), leader.stop(), peers.server.stop(0))


def test_a_task_through_a_stand_by_ends_in_the_same_bytes(tmp_path):
    async def main():
        async with pair(tmp_path) as two, tools.connect(two.stand_by.devices, two.stand_by.admin) as lab:
            task_id = await lab.create(tools.make_bundle(rounds=1))
            data = tools.make_contribution(0)
            assignment = await lab.assignment()
            for start in range(0, len(data), 100):
                await lab.part(assignment, data, start, start + 100)
            assert await lab.offset(assignment, blobs.sha256(data)) == 0  # it is whole
            given_back = await lab.assignment()
            await lab.fail(given_back)
            await lab.contribute([1, 2])
            task = await lab.committed(task_id, 1)
            async with tools.connect(two.leader.devices, two.leader.admin) as direct:
                assert await direct.task(task_id) == task
                assert await direct.rounds(task_id) == await lab.rounds(task_id)
            checkpoint = await lab.fetch(task.checkpoint.sha256)
            assert await lab.fetch(task.checkpoint.sha256, 7) == checkpoint[7:]
            return blobs.sha256(checkpoint)

    assert asyncio.run(main()) == tools.expected_checkpoint([[0, 1, 2]])


def test_a_refusal_is_that_of_the_leader_with_its_window(tmp_path):
    async def refusal(call):
        with pytest.raises(StatusError) as caught:
            await call
        return caught.value.status, str(caught.value), caught.value.retry is not None

    async def main():
        async with (
            pair(tmp_path) as two,
            tools.connect(two.leader.devices, two.leader.admin) as direct,
            tools.connect(two.stand_by.devices, two.stand_by.admin) as passed,
        ):
            await direct.create()
            assignment = await direct.assignment()
            await direct.upload(assignment, tools.make_contribution(0))
            strange = type(assignment)(assignment_id=b"0" * 16)
            for lab_call in (
                lambda lab: lab.upload(assignment, tools.make_contribution(1)),
                lambda lab: lab.upload(strange, tools.make_contribution(1)),
                lambda lab: lab.upload(assignment, b"", sha256=b"short"),
                lambda lab: lab.fetch(b"1" * 32),
                lambda lab: lab.create(),
                lambda lab: lab.pause("nothing"),
            ):
                assert await refusal(lab_call(passed)) == await refusal(lab_call(direct))

    asyncio.run(main())


def test_an_upload_that_breaks_off_at_a_stand_by_goes_on_at_the_leader(tmp_path):
    data = tools.make_contribution(0)

    async def beginning(assignment):
        async for request in tools.upload_requests(assignment.assignment_id, data):
            if request.data:
                request.data = request.data[:100]
            yield request
        await asyncio.Event().wait()

    async def main():
        async with (
            pair(tmp_path) as two,
            tools.connect(two.stand_by.devices, two.stand_by.admin) as lab,
            tools.connect(two.leader.devices, two.leader.admin) as direct,
        ):
            await lab.create()
            assignment, held = await lab.assignment(), 0
            while not held:  # the bytes may not have come before the call broke off
                call = asyncio.ensure_future(lab.link.upload_call(beginning(assignment)))
                while not two.coordinator.devices.receiving:
                    await asyncio.sleep(0.001)
                call.cancel()
                while two.coordinator.devices.receiving:
                    await asyncio.sleep(0.001)
                held = await direct.offset(assignment, blobs.sha256(data))
            await direct.upload(assignment, data, offset=held)

    asyncio.run(main())


def test_without_a_leader_and_when_it_dies_callers_are_asked_to_come_back(tmp_path):
    async def main():
        async with pair(tmp_path) as two, tools.connect(two.stand_by.devices, two.stand_by.admin) as lab:
            await lab.create()
            await two.peers.server.stop(0)
            for text in ("does not answer", "no coordinator leads"):
                with pytest.raises(StatusError, match=text) as caught:
                    await lab.check_in()
                assert caught.value.status.name == "UNAVAILABLE"
                assert caught.value.retry is not None
                await two.line.turn("")

    asyncio.run(main())


def test_a_call_to_a_leader_that_sleeps_is_answered_when_another_leads(tmp_path):
    async def main():
        async with pair(tmp_path) as two, tools.connect(two.stand_by.devices, two.stand_by.admin) as lab:
            await lab.create()
            assignment = await lab.assignment()

            async def stalled():
                async for request in tools.upload_requests(assignment.assignment_id, tools.make_contribution(0)):
                    yield request
                    await asyncio.Event().wait()

            calls = [asyncio.ensure_future(answer(lab.link.upload_call(stalled())))]
            while not two.coordinator.devices.receiving:
                await asyncio.sleep(0.001)
            await two.line.turn("")
            return await asyncio.gather(*calls)

    assert asyncio.run(main()) == ["the leading coordinator does not answer; try again later"]


def test_a_coordinator_that_does_not_lead_answers_no_stand_by(tmp_path):
    async def main():
        async with pair(tmp_path) as two, tools.connect(two.stand_by.devices, two.stand_by.admin) as lab:
            await lab.create()
            two.leader.door.coordinator = None
            with pytest.raises(StatusError, match="is starting"):
                await lab.check_in()

    asyncio.run(main())


def test_an_address_has_its_limits_once_whichever_coordinators_it_calls(tmp_path):
    async def greedy(address):
        async with relay(address, "127.0.0.2") as through, tools.connect(through, through) as lab:
            return [await answer(lab.check_in()) for _ in range(4)]

    async def main():
        async with (
            pair(tmp_path, limits=AddressLimits(rate=0.3), clock=tools.Clock()) as two,
            tools.connect(two.stand_by.devices, two.stand_by.admin) as lab,
        ):
            await lab.create()
            answers = [*await greedy(two.stand_by.devices), *await greedy(two.leader.devices)]
            for _ in range(5):
                await lab.check_in()
        return answers

    turned_away = "too many calls come from this network address; try again later"
    assert asyncio.run(main()) == [""] * 3 + [turned_away] * 5


async def answer(call):
    try:
        await call
    except StatusError as error:
        return str(error) if error.retry is not None else "without a window"
    return ""


def test_uploads_of_an_address_are_counted_over_all_coordinators(tmp_path):
    async def main():
        async with (
            pair(tmp_path, limits=AddressLimits(bytes=10)) as two,
            relay(two.stand_by.devices, "127.0.0.2") as address,
            tools.connect(two.leader.devices, two.stand_by.admin) as lab,
            tools.connect(address, two.stand_by.admin) as other,
        ):
            await lab.create()
            first, second, data = await lab.assignment(), await lab.assignment(), tools.make_contribution(0)

            async def stalled():
                async for request in tools.upload_requests(first.assignment_id, data):
                    yield request
                    await over.wait()

            over = asyncio.Event()
            under_way = asyncio.ensure_future(other.link.upload_call(stalled()))
            while not two.coordinator.devices.receiving:
                await asyncio.sleep(0.001)
            assert "too many uploads of this network address" in await answer(other.upload(second, data))
            await lab.upload(second, data)
            over.set()
            await under_way

    asyncio.run(main())


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


@asynccontextmanager
async def channel(address, person):
    shown = (None, None) if person is None else person
    secured = grpc.ssl_channel_credentials(AUTHORITY[1], *shown)
    async with grpc.aio.secure_channel(f"localhost:{address.rpartition(':')[2]}", secured) as opened:
        yield opened


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


@pytest.mark.parametrize("person", [None, VERA, ANNA])
def test_only_coordinators_get_in_on_their_address(files, person):
    """An operator's certificate is of the same authority. It does not name the coordinators' host."""

    async def main():
        async with pair(files, peer_tls=tls(files, "replica_tls")) as two, channel(two.peers.address, person) as opened:
            claim = (("fedau2-caller-bin", b"{}"), ("fedau2-operator-bin", json.dumps(CLAIMED).encode()))
            call = AdminServiceStub(opened).ListTasks(admin_pb2.ListTasksRequest(), metadata=claim, timeout=10)
            return (await call.code()).name

    assert asyncio.run(main()) == ("UNAVAILABLE" if person is None else "PERMISSION_DENIED")


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
