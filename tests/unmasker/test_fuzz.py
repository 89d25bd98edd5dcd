"""Whatever is sent to it, an unmasker answers, keeps what it has, and gives nothing to who has no right to it."""

import asyncio
from contextlib import AsyncExitStack

import grpc
import numpy as np
import pytest

from fedau2.v1.unmasker_pb2 import CloseRoundRequest, EnrolRequest, LogRequest, OpenRoundRequest, StatusRequest
from fedau2.wire.identity import audit, log
from fedau2.wire.identity.services import ENROLMENT, UNMASK
from tests.durability import fuzz, mutations
from tests.durability.mutations import Words
from tests.unmasker.device import Device, opening
from tests.unmasker.scene import Scene
from tests.unmasker.served import served
from tests.unmasker.sums import messages
from unmasker.engine import reading

SERVICES = (ENROLMENT.name, UNMASK.name)
_AT_ONCE = 16


def words(unmasker):
    """What exists. Damaged requests of devices get as far as they can; no damaged one is signed by its key."""
    identity = unmasker.books.keys.public.identity
    signed = Device().request(identity, 2, b"AAAA-AAAA-AAAA-AAAA-AAAA")
    opened = unmasker.open_round(opening(5))
    scene = Scene(unmasker, name=b"summed")
    sums = [list(messages(scene.task.asked(3, sent), 16)) for sent in (scene.sent, scene.sent[1:])]
    streams = {
        "Enrol": [[signed], [EnrolRequest(public_key=b"k" * 32, signature=b"s" * 64)]],
        "Log": [[LogRequest()], [LogRequest(first=2)]],
        "OpenRound": [[opening(5)], [opening(5, seen=opened.head)], [opening(4)], [OpenRoundRequest()]],
        "OpenSum": [*sums, [*sums[0][:2], *sums[0][3:]]],
        "CloseRound": [[CloseRoundRequest(task_id=b"u" * 16, round=3)]],
        "Status": [[StatusRequest()]],
    }
    return scene, Words(streams, bytes=(opened.key.task_id, opened.head.hash, opened.key.public_key))


async def attack(addresses, waiting):
    table = fuzz.Table()

    async def one_after_another(channels):
        for case in waiting:
            table.add(case, await fuzz._status(channels[case.service], case))

    async with AsyncExitStack() as stack:
        channels = {
            service: await stack.enter_async_context(grpc.aio.insecure_channel(address))
            for service, address in zip(SERVICES, addresses, strict=True)
        }
        await asyncio.gather(*(one_after_another(channels) for _ in range(_AT_ONCE)))
    return table


def check_fuzz(unmasker, count, capsys):
    certificate = unmasker.enrol(request := Device().request(unmasker.books.keys.public.identity)).certificate
    scene, known = words(unmasker)
    with served(unmasker) as servers:
        calls = mutations.cases(0, count, known, SERVICES)
        table = asyncio.run(attack((servers.devices, servers.coordinators), calls))
    with capsys.disabled():
        print(f"\n{table}")
    assert table.bad() == {}
    assert {method.name for method in mutations.methods(SERVICES)} <= {name for name, _ in table.statuses}
    assert unmasker.enrol(request).certificate == certificate
    identity = unmasker.books.keys.public.identity
    whole = log.read(reading.whole_log(unmasker.books), identity)
    audit.check(whole, identity)
    assert not any(entry.HasField("epoch") for entry in whole.entries), "no head that nobody signed makes it forget"
    live = [count.live for count in reading.status(unmasker.books).classes]
    assert live == [1 + len(scene.sent)], "no damaged request enrolled"
    assert reading.status(unmasker.books).sums == 1
    response, masks = scene.ask()
    assert np.array_equal(scene.task.decoded(scene.sent, response.opened, masks), scene.task.expected(scene.sent))


def test_hostile_calls_enrol_nobody_and_break_nothing(unmasker, capsys):
    check_fuzz(unmasker, 700, capsys)


@pytest.mark.slow
def test_nor_do_a_hundred_thousand(unmasker, capsys):
    check_fuzz(unmasker, 100_000, capsys)
