"""Operators show tokens of an identity provider, whose claims name their roles."""

import asyncio
import contextlib
import re
import time
from contextlib import asynccontextmanager
from types import SimpleNamespace

import grpc
import pytest

from coordinator.commands import credentials
from coordinator.engine.coordinator import Coordinator
from coordinator.errors import SettingError, UnprovenError
from coordinator.grpc import status as grpc_status
from coordinator.grpc.bearers import TokenRules
from coordinator.grpc.gate import Gate
from coordinator.grpc.operators import NEEDED, Operators, Role
from coordinator.grpc.server import ADMIN, Servers
from coordinator.grpc.tls import Tls
from coordinator.model.limits import AddressLimits
from coordinator.store import operations_log
from coordinator.store.state_folder import StateFolder
from fedau2.logs import Seldom
from fedau2.v1.admin_pb2 import ListTasksRequest, PauseTaskRequest, WatchRoundsRequest
from fedau2.v1.admin_pb2_grpc import AdminServiceStub
from tests import certificates, identity_provider
from tests.coordinator import conftest as tools
from tests.coordinator import statuses
from tests.coordinator.grpc.test_callers import relay
from tests.identity_provider import ISSUER

AUTHORITY = certificates.make(names=())
AUDIENCE = "fedau2-coordinator"


@pytest.fixture
def files(tmp_path):
    key, certificate = certificates.make(authority=AUTHORITY)
    (tmp_path / "key.pem").write_bytes(key)
    (tmp_path / "certificate.pem").write_bytes(certificate)
    (tmp_path / "authority.pem").write_bytes(AUTHORITY[1])
    identity_provider.write(tmp_path / "jwks.json")
    return tmp_path


@asynccontextmanager
async def opened(files, certified=False, now=time.time, **options):
    authorities = files / "authority.pem" if certified else None
    tls = Tls(files / "certificate.pem", files / "key.pem", authorities, "admin_tls")
    bearers = TokenRules(files / "jwks.json", ISSUER, AUDIENCE, "fedau2_role").bearers(now)
    servers = await Servers.start("127.0.0.1:0", "127.0.0.1:0", None, tls, None, bearers)
    try:
        async with await Coordinator.open(files / "state", **options) as coordinator:
            await servers.serve(coordinator)
            yield servers
    finally:
        await servers.stop()


@asynccontextmanager
async def serving(files, **options):
    async with opened(files, **options) as servers:
        yield f"localhost:{servers.admin.rpartition(':')[2]}"


def token(role=None, **fields):
    return identity_provider.token(time.time(), AUDIENCE, **({} if role is None else {"fedau2_role": role}) | fields)


async def status(address, call, *authorization, pair=(None, None)):
    """Makes a call with a request that changes nothing, and returns the name of its status."""
    method = next(method for method in ADMIN if method.name == call)
    secured = grpc.ssl_channel_credentials(AUTHORITY[1], *pair)
    metadata = [("authorization", value) for value in authorization]
    async with grpc.aio.secure_channel(address, secured) as opened:
        return (await statuses.of_call(opened, method, metadata=metadata)).name


def bearer(*arguments, **fields):
    return f"Bearer {token(*arguments, **fields).decode()}"


def test_every_call_needs_a_token_with_the_role_or_a_higher_one(files):
    people = {"no token": [], "no role": [bearer()], **{role.name: [bearer(role.name.lower())] for role in Role}}

    async def table():
        async with serving(files) as address:
            return {
                (call, who): await status(address, call, *shown) for call in NEEDED for who, shown in people.items()
            }

    for (call, who), answer in asyncio.run(table()).items():
        role = Role[who] if who in Role.__members__ else 0
        assert (answer == "PERMISSION_DENIED") == (role < NEEDED[call]), (call, who, answer)
        assert answer not in ("INTERNAL", "UNKNOWN", "UNAVAILABLE"), (call, who)


def test_tokens_that_are_not_accepted_have_no_role_and_no_certificate_makes_up_for_them(files):
    wrong = {
        "another audience": [bearer("admin", aud="fedau2-unmasker")],
        "another issuer": [bearer("admin", iss="https://evil.example.com")],
        "expired": [bearer("admin", exp=time.time() - 120)],
        "another key": [bearer("admin", key=identity_provider.generate_private_key(identity_provider.SECP256R1()))],
        "not a token": ["Bearer x"],
        "not bearer": [f"Basic {token('admin').decode()}"],
        "two": [bearer("admin"), bearer("admin")],
        "no account": [bearer("admin", sub="")],
        "a control sign in the account": [bearer("admin", sub="a\nb")],
        "a role that there is not": [bearer("queen")],
        "an object as role": [bearer({"admin": True})],
    }
    admin = certificates.make(authority=AUTHORITY, names=(), common="anna")

    async def run():
        async with serving(files, certified=True) as address:
            pair = {"pair": admin}
            answers = {name: await status(address, "ListTasks", *shown, **pair) for name, shown in wrong.items()}
            return answers, [await status(address, "ListTasks", **pair), await status(address, "ListTasks", *bearer_ok)]

    bearer_ok = [bearer("admin")]
    answers, others = asyncio.run(run())
    assert set(answers.values()) == {"PERMISSION_DENIED"}, answers
    assert others == ["OK", "UNAVAILABLE"], "a certificate without a token has its role; a token needs a certificate"


@asynccontextmanager
async def labs(files, now):
    """A lab whose operator shows no token, and a stub for one who does."""
    async with opened(files, now=now) as servers, grpc.aio.insecure_channel(servers.devices) as devices:
        secured = grpc.ssl_channel_credentials(AUTHORITY[1])
        async with grpc.aio.secure_channel(f"localhost:{servers.admin.rpartition(':')[2]}", secured) as channel:
            yield tools.Lab(tools.OverGrpc(devices, channel)), AdminServiceStub(channel)


def test_a_token_that_ends_during_a_watch_ends_the_watch(files):
    began = time.time()
    clock = [began]

    async def run():
        async with labs(files, lambda: clock[0]) as (lab, admin):
            shown = [("authorization", bearer("admin", exp=began + 300))]
            task = await admin.CreateTask(tools.make_bundle().requests(), metadata=shown)
            watch = admin.WatchRounds(WatchRoundsRequest(task_id=task.task_id), metadata=shown)
            leases = [(await watch.read()).live_leases]
            await lab.assignment()
            leases.append((await watch.read()).live_leases)
            clock[0] = began + 361  # the token has ended, and so has the leeway
            await lab.assignment()
            with pytest.raises(grpc.aio.AioRpcError, match="Expired") as ended:
                await watch.read()
            return leases, ended.value.code().name

    assert asyncio.run(run()) == ([0, 1], "PERMISSION_DENIED")


def test_a_token_that_ends_during_a_change_does_not_undo_it(files):
    began = time.time()
    clock = [began]

    def last_call():
        *_, (entry, _) = operations_log.read(StateFolder(files / "state").operations)
        return entry["call"], entry["event"]

    async def slowly(requests):
        async for request in requests:
            yield request
            while last_call() != ("CreateTask", "begins"):
                await asyncio.sleep(0.001)
            clock[0] = began + 361

    async def run():
        async with labs(files, lambda: clock[0]) as (_, admin):
            shown = [("authorization", bearer("admin", exp=began + 300))]
            with contextlib.suppress(grpc.aio.AioRpcError):  # so that the log has an entry
                await admin.PauseTask(PauseTaskRequest(task_id="nothing"), metadata=shown)
            task = await admin.CreateTask(slowly(tools.make_bundle().requests()), metadata=shown)
            return task.population, last_call()

    assert asyncio.run(run()) == ("movies", ("CreateTask", "ends"))


def test_a_rotated_key_is_used_at_once_and_the_one_before_no_more(files):
    async def run():
        async with serving(files) as address:
            before, after = bearer("viewer"), bearer("viewer", algorithm="EdDSA")
            answers = [await status(address, "ListTasks", shown) for shown in (before, after)]
            new = identity_provider.jwk("EdDSA", identity_provider.KEYS["EdDSA"])
            identity_provider.write(files / "jwks.json", new)
            return answers, [await status(address, "ListTasks", shown) for shown in (before, after)]

    assert asyncio.run(run()) == (["OK", "OK"], ["PERMISSION_DENIED", "OK"])


def test_callers_who_have_proved_nothing_are_counted_and_not_recorded(files, caplog, monkeypatch):
    caplog.set_level("INFO")
    monkeypatch.setattr(grpc_status, "REFUSED", Seldom())
    nothing = [[], ["Bearer x"], [bearer("admin", exp=time.time() - 120)], [bearer("admin"), bearer("admin")]]

    async def run():
        async with serving(files) as address:
            answers = {await status(address, "PauseTask", *shown) for shown in nothing * 3}
            return answers, await status(address, "PauseTask", bearer("viewer"))

    assert asyncio.run(run()) == ({"PERMISSION_DENIED"}, "PERMISSION_DENIED")
    entries = [entry for entry, _ in operations_log.read(StateFolder(files / "state").operations)]
    assert [(entry["operator"], entry["event"]) for entry in entries] == [("token:user-1", "refused")]
    assert caplog.text.count("without an accepted token or certificate: 1 more were refused") == 1
    assert caplog.text.count("refused: ") == 1


def test_the_log_counts_them_once_a_minute_at_most(caplog):
    now = [0.0]

    stranger = SimpleNamespace(invocation_metadata=lambda: [], peer=lambda: "", auth_context=lambda: {})
    operators = Operators(certified=False, roles=None, by_token=lambda context: None)
    gate = Gate(operators, lambda: None, clock=lambda: now[0])

    async def run():
        for second in range(0, 121, 10):
            now[0] = float(second)
            with pytest.raises(UnprovenError):
                async with gate.passing("PauseTask", PauseTaskRequest(), stranger):
                    pytest.fail("it was let through")

    asyncio.run(run())
    assert re.findall(r"certificate: (\d+) more", caplog.text) == ["1", "6", "6"]


def test_the_operators_address_has_the_limits_of_network_addresses(files):
    async def run():
        limited = serving(files, limits=AddressLimits(rate=0.5), clock=lambda: 0.0)
        async with limited as address, relay(address, "127.0.0.2") as there:
            there = there.replace("127.0.0.1", "localhost")
            return [await status(there, "ListTasks", bearer("admin")) for _ in range(7)]

    assert asyncio.run(run()) == ["OK"] * 5 + ["UNAVAILABLE"] * 2


def test_the_highest_role_of_a_list_counts_and_the_log_names_the_account(files):
    async def run():
        async with serving(files) as address:
            return await status(address, "PauseTask", bearer(["staff", "viewer", "operator"], sub="otto"))

    assert asyncio.run(run()) == "NOT_FOUND"
    begun, _ = [entry for entry, _ in operations_log.read(StateFolder(files / "state").operations)]
    assert (begun["operator"], begun["role"]) == ("token:otto", "operator")


def test_a_folder_with_a_token_shows_it(files, tmp_path):
    folder = tmp_path / "otto"
    folder.mkdir()
    (folder / "authority.pem").write_bytes(AUTHORITY[1])
    (folder / "token").write_bytes(token("viewer") + b"\n")

    async def run():
        async with (
            serving(files) as address,
            grpc.aio.secure_channel(address, credentials.read(folder)) as opened,
        ):
            return await AdminServiceStub(opened).ListTasks(ListTasksRequest(), timeout=20)

    assert not asyncio.run(run()).tasks
    for text in (b"", b"\xff", b"a\x00b"):
        (folder / "token").write_bytes(text)
        with pytest.raises(SettingError, match="holds no token"):
            credentials.read(folder)


def test_keys_that_cannot_be_used_are_named(tmp_path):
    with pytest.raises(SettingError, match=r"admin_token_keys cannot be used: .*jwks\.json cannot be read"):
        TokenRules(tmp_path / "jwks.json", ISSUER, AUDIENCE, "role").bearers()
