"""Operators show certificates, have roles, and leave their calls in a log."""

import asyncio
import os
from collections import Counter
from contextlib import asynccontextmanager

import grpc
import pytest

from coordinator.engine.coordinator import Coordinator
from coordinator.grpc.gate import ROLE_METADATA
from coordinator.grpc.operators import NEEDED, Role
from coordinator.grpc.server import ADMIN, Servers
from coordinator.grpc.tls import Tls
from coordinator.store import operations_log
from coordinator.store.state_folder import StateFolder
from fedau2.v1.admin_pb2 import ListTasksRequest, PauseTaskRequest
from fedau2.v1.admin_pb2_grpc import AdminServiceStub
from tests import certificates
from tests.coordinator import conftest as tools
from tests.coordinator import statuses

AUTHORITY = certificates.make(names=())
PEOPLE = {
    name: certificates.make(authority=AUTHORITY, names=(), common=name) for name in ("vera", "otto", "anna", "eve")
}
ROLES = 'vera = "viewer"\notto = "operator"\nanna = "admin"\n'
NOBODY = (None, None)


@pytest.fixture
def files(tmp_path):
    write(tmp_path, *certificates.make(authority=AUTHORITY))
    (tmp_path / "authority.pem").write_bytes(AUTHORITY[1])
    (tmp_path / "roles.toml").write_text(ROLES)
    return tmp_path


def write(folder, key, certificate):
    (folder / "key.pem").write_bytes(key)
    (folder / "certificate.pem").write_bytes(certificate)


@asynccontextmanager
async def serving(files, roles="roles.toml"):
    tls = Tls(files / "certificate.pem", files / "key.pem", files / "authority.pem", "admin_tls")
    servers = await Servers.start("127.0.0.1:0", "127.0.0.1:0", None, tls, roles and files / roles)
    try:
        async with await Coordinator.open(files / "state") as coordinator:
            await servers.serve(coordinator)
            yield servers.admin
    finally:
        await servers.stop()


@asynccontextmanager
async def channel(address, person=None, authority=AUTHORITY):
    key, certificate = PEOPLE[person] if isinstance(person, str) else person or NOBODY
    secured = grpc.ssl_channel_credentials(authority[1], key, certificate)
    async with grpc.aio.secure_channel(f"localhost:{address.rpartition(':')[2]}", secured) as opened:
        yield opened


async def status(address, call, person):
    """Makes a call with a request that changes nothing, and returns the name of its status."""
    return (await status_and_calls(address, call, person))[0]


async def status_and_calls(address, call, person):
    """Does the same, and returns how often the call was made too; see `statuses`."""
    method = next(method for method in ADMIN if method.name == call)
    async with channel(address, person) as opened:
        code, made = await statuses.of_calls(opened, method)
        return code.name, made


def recorded(files):
    return [entry for entry, _ in operations_log.read(StateFolder(files / "state").operations)]


def test_every_call_of_the_service_needs_a_role():
    assert set(NEEDED) == {method.name for method in ADMIN}


def test_every_call_is_refused_to_every_role_below_the_one_that_it_needs(files):
    async def table():
        async with serving(files) as address:
            return {
                (call, person): await status_and_calls(address, call, person) for call in NEEDED for person in PEOPLE
            }

    roles = {"vera": Role.VIEWER, "otto": Role.OPERATOR, "anna": Role.ADMIN, "eve": 0}
    answered = asyncio.run(table())
    answers = {key: answer for key, (answer, _) in answered.items()}
    for (call, person), answer in answers.items():
        assert (answer == "PERMISSION_DENIED") == (roles[person] < NEEDED[call]), (call, person, answer)
        assert answer not in ("INTERNAL", "UNKNOWN", "UNAVAILABLE"), (call, person)
    entries = recorded(files)
    refused = Counter((entry["call"], entry["operator"]) for entry in entries if entry["event"] == "refused")
    assert refused.keys() == {key for key, answer in answers.items() if answer == "PERMISSION_DENIED"}
    assert all(count <= answered[key][1] for key, count in refused.items()), "a refusal was recorded twice"
    ended = {(entry["call"], entry["operator"]): entry["result"] for entry in entries if entry["event"] == "ends"}
    assert ended == {
        key: answer for key, answer in answers.items() if answer != "PERMISSION_DENIED" and NEEDED[key[0]] > Role.VIEWER
    }


def test_an_answer_names_the_role_of_its_caller_and_a_refusal_of_somebody_without_one_names_none(files):
    async def run():
        roles = {}
        async with serving(files) as address:
            for person in PEOPLE:
                async with channel(address, person) as opened:
                    call = AdminServiceStub(opened).ListTasks(ListTasksRequest(), timeout=10)
                    await call.code()
                    roles[person] = dict(await call.trailing_metadata()).get(ROLE_METADATA)
        return roles

    assert asyncio.run(run()) == {"vera": "viewer", "otto": "operator", "anna": "admin", "eve": None}


def test_a_call_is_recorded_with_who_what_when_and_result(files):
    async def run():
        async with serving(files) as address, channel(address, "otto") as opened:
            stub = AdminServiceStub(opened)
            with pytest.raises(grpc.aio.AioRpcError):
                await stub.PauseTask(PauseTaskRequest(task_id="ab" * 8), timeout=10)
            await stub.ListTasks(ListTasksRequest(), timeout=10)

    asyncio.run(run())
    begun, ended = recorded(files)
    assert begun.pop("at") <= ended.pop("at")
    about = {"operator": "otto", "role": "operator", "call": "PauseTask", "request": {"task_id": "ab" * 8}}
    assert begun == {**about, "event": "begins"}
    assert ended == {**about, "event": "ends", "result": "NOT_FOUND"}


@pytest.mark.parametrize(
    "person",
    [
        None,
        certificates.make(names=(), common="anna"),
        certificates.make(authority=AUTHORITY, until=-0.5, common="anna"),
    ],
)
def test_no_certificate_one_of_another_authority_and_an_expired_one_get_no_answer_to_any_call(files, person):
    async def run():
        async with serving(files) as address:
            return {call: await status(address, call, person) for call in NEEDED}

    assert asyncio.run(run()) == dict.fromkeys(NEEDED, "UNAVAILABLE")


@pytest.mark.parametrize("name", ["anna\0x", "anna\n", "\u202eanna"])
def test_a_name_that_is_not_printable_has_no_role(files, name):
    async def run():
        async with serving(files) as address:
            return await status(address, "ListTasks", certificates.make(authority=AUTHORITY, names=(), common=name))

    assert asyncio.run(run()) == "PERMISSION_DENIED"


@pytest.mark.parametrize("name", ["local", "token:anna"])
def test_a_certificate_is_not_taken_for_a_caller_who_shows_none(files, name):
    async def run():
        async with serving(files, roles=None) as address:
            person = certificates.make(authority=AUTHORITY, names=(), common=name)
            return await status(address, "ListTasks", person)

    assert asyncio.run(run()) == "PERMISSION_DENIED"
    assert [entry["operator"] for entry in recorded(files)] == [
        "a certificate whose common name is kept for callers without one"
    ]


def test_a_long_request_is_recorded_by_its_size(files):
    async def run():
        async with serving(files) as address, channel(address, "eve") as opened:
            with pytest.raises(grpc.aio.AioRpcError, match="has no role here"):
                await AdminServiceStub(opened).PauseTask(PauseTaskRequest(task_id="x" * 100_000), timeout=10)

    asyncio.run(run())
    assert [entry["request"] for entry in recorded(files)] == [{"bytes": 100_004}]


def test_without_a_file_of_roles_every_certificate_is_an_administrators(files):
    async def run():
        async with serving(files, roles=None) as address:
            return await status(address, "CreateTask", "eve")

    assert asyncio.run(run()) == "INVALID_ARGUMENT"


def test_roles_are_taken_away_while_it_serves_and_a_broken_file_lets_nobody_in(files, caplog):
    async def run():
        async with serving(files) as address:
            before = await status(address, "GetTask", "vera")
            (files / "roles.toml").write_text('anna = "admin"\n')
            after = await status(address, "GetTask", "vera")
            (files / "roles.toml").write_text('anna = "queen"\n')
            return before, after, await status(address, "GetTask", "anna")

    assert asyncio.run(run()) == ("NOT_FOUND", "PERMISSION_DENIED", "PERMISSION_DENIED")
    assert "anna has the role 'queen'; there are viewer, operator, admin" in caplog.text


def test_a_renewed_certificate_is_used_without_a_restart_and_half_a_renewal_is_not(files, caplog):
    other = certificates.make(names=())

    async def run():
        answers = []
        async with serving(files) as address:
            key, certificate = certificates.make(authority=other)
            (files / "certificate.pem").write_bytes(certificate)  # its key is not there yet
            answers.append(await served(address, AUTHORITY))
            (files / "key.pem").write_bytes(key)
            os.utime(files / "key.pem", ns=(1, 1))  # a file system may keep seconds only
            answers += [await served(address, other), await served(address, AUTHORITY)]
        return answers

    async def served(address, authority):
        async with channel(address, "anna", authority) as opened:
            try:
                await AdminServiceStub(opened).ListTasks(ListTasksRequest(), timeout=10)
            except grpc.aio.AioRpcError:
                return False
            return True

    assert asyncio.run(run()) == [True, True, False]
    assert "the one before stays in use" in caplog.text


def test_a_call_that_cannot_be_recorded_is_not_made(files, monkeypatch):
    async def run():
        async with serving(files, roles=None) as address, channel(address, "anna") as opened:
            monkeypatch.setattr(operations_log.OperationsLog, "append", full)
            with pytest.raises(grpc.aio.AioRpcError, match="cannot be recorded in the operations log"):
                await AdminServiceStub(opened).PauseTask(PauseTaskRequest(task_id="x"), timeout=10)

    def full(log, entry):
        raise OSError(28, "No space left on device")

    asyncio.run(run())


def test_in_plaintext_on_loopback_the_caller_is_local(tmp_path):
    async def run():
        async with await Coordinator.open(tmp_path / "state") as coordinator:
            servers = await Servers.start("127.0.0.1:0", "127.0.0.1:0")
            try:
                await servers.serve(coordinator)
                async with tools.connect(servers.devices, servers.admin) as lab:
                    await lab.create()
            finally:
                await servers.stop()

    asyncio.run(run())
    entries = recorded(tmp_path)
    assert [(entry["operator"], entry["role"], entry["event"]) for entry in entries] == [
        ("local", "admin", "begins"),
        ("local", "admin", "ends"),
    ]
    assert entries[1]["task"]["population"] == "movies"
    assert len(bytes.fromhex(entries[1]["task"]["manifest"])) == 32
