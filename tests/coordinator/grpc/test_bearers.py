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
from coordinator.grpc.bearers import TokenRules
from coordinator.grpc.gate import Gate
from coordinator.grpc.operators import NEEDED, Operators, Role
from coordinator.grpc.server import ADMIN, Servers
from coordinator.grpc.tls import Tls
from coordinator.model.limits import AddressLimits
from coordinator.store import operations_log
from coordinator.store.state_folder import StateFolder
from fedau2.v1.admin_pb2 import ListTasksRequest, PauseTaskRequest
from fedau2.v1.admin_pb2_grpc import AdminServiceStub
from tests import certificates, identity_provider
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
async def serving(files, certified=False, **options):
    authorities = files / "authority.pem" if certified else None
    tls = Tls(files / "certificate.pem", files / "key.pem", authorities, "admin_tls")
    bearers = TokenRules(files / "jwks.json", ISSUER, AUDIENCE, "fedau2_role").bearers()
    servers = await Servers.start("127.0.0.1:0", "127.0.0.1:0", None, tls, None, bearers)
    try:
        async with await Coordinator.open(files / "state", **options) as coordinator:
            await servers.serve(coordinator)
            yield f"localhost:{servers.admin.rpartition(':')[2]}"
    finally:
        await servers.stop()


def token(role=None, **fields):
    return identity_provider.token(time.time(), AUDIENCE, **({} if role is None else {"fedau2_role": role}) | fields)


async def status(address, call, *authorization, pair=(None, None)):
    """Makes a call with a request that changes nothing, and returns the name of its status."""
    method = next(method for method in ADMIN if method.name == call)
    secured = grpc.ssl_channel_credentials(AUTHORITY[1], *pair)
    async with grpc.aio.secure_channel(address, secured) as opened:
        make = opened.stream_stream(method.path, method.request.SerializeToString, method.response.FromString)
        metadata = [("authorization", value) for value in authorization]
        made = make(iter([method.request()]), timeout=20, metadata=metadata)
        with contextlib.suppress(grpc.aio.AioRpcError):
            async for _ in made:
                pass
        return (await made.code()).name


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


def test_callers_who_have_proved_nothing_are_counted_and_not_recorded(files, caplog):
    caplog.set_level("INFO")
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
