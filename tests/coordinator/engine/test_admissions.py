"""One identity has one place in a round, and nothing tells whose place it is."""

import asyncio
import random

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from coordinator.errors import NoAdmissionError
from coordinator.evidence.anybody import Anybody
from coordinator.evidence.certificates import Certificates
from coordinator.model.caller import CALLER, Caller
from fedau2.v1.device_pb2 import (
    REJECTION_REASON_ADMISSION_NEEDED,
    REJECTION_REASON_ADMISSION_SPENT,
    REJECTION_REASON_ROUND_FULL,
    Admission,
    AdmissionKey,
    AdmitRequest,
)
from fedau2.wire import blind
from fedau2.wire.blind import EXPONENT
from fedau2.wire.status import Status, StatusError
from tests.coordinator import conftest as tools
from tests.coordinator.admitted import Holder, provider, token
from tests.coordinator.refusals import refused

ANY = AdmissionKey(modulus=rsa.generate_private_key(EXPONENT, 2048).public_key().public_numbers().n.to_bytes(256))
"""A key of no round."""


@pytest.fixture
def evidence(tmp_path):
    return provider(tmp_path)


def lab(tmp_path, evidence, clock=None):
    return tools.open_lab(tmp_path / "state", evidence=evidence, clock=clock or tools.Clock())


async def assignment_of(lab, admission):
    response = await lab.check_in(admission=admission)
    assert response.WhichOneof("result") == "assignment", response
    return response.assignment


async def reason_of(lab, **request):
    return (await lab.check_in(**request)).rejection.reason


async def admitted(lab, clock, user):
    return await Holder(lab, token(clock, user)).admission()


def test_a_round_is_made_of_identities_and_each_has_one_place(tmp_path, evidence):
    clock = tools.Clock()

    async def run():
        async with lab(tmp_path, evidence, clock) as opened:
            task_id = await opened.create()
            admissions = [await admitted(opened, clock, f"user-{number}") for number in range(3)]
            places = [await assignment_of(opened, admission) for admission in admissions]
            assert len({place.assignment_id for place in places}) == 3
            for seed, place in enumerate(places[:2]):
                await opened.upload(place, tools.make_contribution(seed))
            assert await reason_of(opened, admission=admissions[0]) == REJECTION_REASON_ADMISSION_SPENT
            await opened.upload(places[2], tools.make_contribution(2))
            task = await opened.committed(task_id, 1)
            assert task.checkpoint.sha256 == tools.expected_checkpoint([[0, 1, 2]])
            reason = await reason_of(opened, admission=admissions[0])
            assert reason == REJECTION_REASON_ADMISSION_NEEDED, "an admission is for one round"
            assert await assignment_of(opened, await admitted(opened, clock, "user-0"))

    asyncio.run(run())


def test_an_identity_gets_one_admission_to_a_round_and_the_same_bytes_the_same_answer(tmp_path, evidence):
    clock = tools.Clock()

    async def run():
        async with lab(tmp_path, evidence, clock) as opened:
            await opened.create()
            holder = Holder(opened, token(clock))
            first = await holder.admission()
            assert await holder.admission() == first, "its answer was lost"
            await refused(Holder(opened, token(clock)).admission(), Status.ALREADY_EXISTS, "has had its admission")
            assert await Holder(opened, token(clock, "user-2")).admission() != first

    asyncio.run(run())


def test_a_repeated_check_in_gets_the_place_that_the_admission_holds_for_the_time_that_is_left(tmp_path, evidence):
    clock = tools.Clock()

    async def run():
        async with lab(tmp_path, evidence, clock) as opened:
            await opened.create()
            admission = await admitted(opened, clock, "user-1")
            first = await assignment_of(opened, admission)
            clock.now += 30
            again = await assignment_of(opened, admission)
            assert again.assignment_id == first.assignment_id
            assert (first.lease.seconds, again.lease.seconds) == (100, 70)
            clock.now += 71
            other = await assignment_of(opened, admission)
            assert other.assignment_id != first.assignment_id, "a place that brought nothing does not spend it"
            await opened.fail(other)
            assert (await assignment_of(opened, admission)).assignment_id != other.assignment_id

    asyncio.run(run())


def test_what_was_spent_and_issued_holds_after_a_restart(tmp_path, evidence):
    clock = tools.Clock()

    async def before():
        async with lab(tmp_path, evidence, clock) as opened:
            await opened.create()
            spent, held = [await admitted(opened, clock, f"user-{number}") for number in (1, 2)]
            await opened.upload(await assignment_of(opened, spent), tools.make_contribution(0))
            return spent, held, await assignment_of(opened, held)

    async def after(spent, held, place):
        async with lab(tmp_path, evidence, clock) as opened:
            assert await reason_of(opened, admission=spent) == REJECTION_REASON_ADMISSION_SPENT
            assert (await assignment_of(opened, held)).assignment_id == place.assignment_id
            await refused(Holder(opened, token(clock, "user-1")).admission(), Status.ALREADY_EXISTS, "this round")

    asyncio.run(after(*asyncio.run(before())))


def test_evidence_that_is_not_accepted_is_refused_and_nothing_is_issued(tmp_path, evidence):
    clock = tools.Clock()

    async def run():
        async with lab(tmp_path, evidence, clock) as opened:
            await opened.create()
            for wrong in (b"", b"x", token(lambda: 0.0)):
                await refused(Holder(opened, wrong).admission(), Status.PERMISSION_DENIED, "not accepted")
            await refused(Holder(opened, bytes(9000)).admission(), Status.INVALID_ARGUMENT, "at most 8192 bytes")
            await refused(Holder(opened, token(clock)).admission(ANY), Status.FAILED_PRECONDITION, "open round")
            key = await Holder(opened).key()
            for blinded in (b"", b"\xff" * 256):
                request = AdmitRequest(
                    population="movies", key=key, evidence=token(clock, f"u{len(blinded)}"), blinded=blinded
                )
                await refused(opened.coordinator.devices.admit(request), Status.INVALID_ARGUMENT, "blinded message")
            request = AdmitRequest(population="books", key=key, evidence=token(clock), blinded=bytes(256))
            await refused(opened.coordinator.devices.admit(request), Status.FAILED_PRECONDITION, "check in later")

    asyncio.run(run())


def test_a_full_round_says_so_before_it_asks_for_an_admission(tmp_path, evidence):
    clock = tools.Clock()

    async def run():
        async with lab(tmp_path, evidence, clock) as opened:
            await opened.create(tools.make_bundle(closing=tools.closing(1, over_selection=0.0)))
            await assignment_of(opened, await admitted(opened, clock, "user-1"))
            assert await reason_of(opened) == REJECTION_REASON_ROUND_FULL

    asyncio.run(run())


def test_devices_that_get_no_admission_are_asked_back_at_different_times(tmp_path, evidence):
    async def run():
        async with lab(tmp_path, evidence) as opened:
            await opened.create()
            windows = [(await opened.check_in()).rejection.retry for _ in range(5)]
            assert len({window.delay_min.ToMicroseconds() for window in windows}) == 5

    asyncio.run(run())


def test_without_admissions_none_is_asked_for(tmp_path):
    async def run():
        async with lab(tmp_path, None) as opened:
            await opened.create()
            await opened.assignment()
            await refused(Holder(opened).admission(ANY), Status.FAILED_PRECONDITION, "no admissions")

    asyncio.run(run())


def test_open_admissions_stop_nobody_and_certificates_are_known_by_their_subject(tmp_path):
    async def run():
        async with lab(tmp_path / "open", Anybody()) as opened:
            await opened.create()
            assert await Holder(opened).admission() != await Holder(opened).admission()
            await refused(Holder(opened, b"x").admission(), Status.PERMISSION_DENIED, "send none")
        async with lab(tmp_path / "certified", Certificates()) as opened:
            await opened.create()
            await refused(Holder(opened).admission(), Status.PERMISSION_DENIED, "no certificate was shown")
            CALLER.set(Caller("192.0.2.1", "CN=phone-1"))
            assert await Holder(opened).admission()
            await refused(Holder(opened).admission(), Status.ALREADY_EXISTS, "this round")

    (tmp_path / "open").mkdir()
    (tmp_path / "certified").mkdir()
    asyncio.run(run())


def test_the_files_do_not_name_who_was_admitted(tmp_path, evidence):
    clock = tools.Clock()

    async def run():
        async with lab(tmp_path, evidence, clock) as opened:
            await opened.create()
            await assignment_of(opened, await admitted(opened, clock, "canary@example.com"))

    asyncio.run(run())
    files = [path for path in (tmp_path / "state").rglob("*") if path.is_file()]
    assert files
    assert not any(b"canary" in path.read_bytes() for path in files)


def test_a_bit_changed_in_an_admission_makes_it_none(tmp_path):
    async def run():
        async with lab(tmp_path, Anybody()) as opened:
            await opened.create()
            admission = await Holder(opened).admission()
            whole = admission.message + admission.signature
            for bit in random.Random(1).sample(range(8 * len(whole)), 40):
                data = bytearray(whole)
                data[bit // 8] ^= 1 << bit % 8
                changed = Admission(message=bytes(data[:64]), signature=bytes(data[64:]))
                assert await reason_of(opened, admission=changed) == REJECTION_REASON_ADMISSION_NEEDED
            assert await assignment_of(opened, admission)

    asyncio.run(run())


def test_an_admission_that_is_asked_for_while_the_round_ends_is_refused_and_harms_nobody(tmp_path):
    async def late(opened, key, turns):
        for _ in range(turns):
            await asyncio.sleep(0)
        return await Holder(opened, b"").admission(key)

    async def run():
        async with lab(tmp_path, Anybody()) as opened:
            await opened.create()
            key = await Holder(opened).key()
            places = [await assignment_of(opened, await Holder(opened, b"").admission(key)) for _ in range(3)]
            for number, place in enumerate(places[:2]):
                await opened.upload(place, tools.make_contribution(number))
            last = opened.upload(places[2], tools.make_contribution(2))
            asked = [late(opened, key, 3 * number) for number in range(40)]
            _, *answers = await asyncio.gather(last, *asked, return_exceptions=True)
            assert opened.coordinator.failure is None
            assert NoAdmissionError in {type(answer) for answer in answers}
            assert {type(answer) for answer in answers} <= {NoAdmissionError, Admission}
            assert await Holder(opened).key() != key

    asyncio.run(run())


def test_an_identity_that_asks_too_often_is_asked_to_come_back_from_any_address(tmp_path, evidence):
    clock = tools.Clock()

    async def run():
        async with tools.open_lab(tmp_path, evidence=evidence, clock=clock, identity_calls=10) as lab:
            await lab.create()
            key = await Holder(lab).key()

            async def ask(user, number):
                CALLER.set(Caller(f"192.0.2.{number}"))
                request = AdmitRequest(population="movies", key=key, evidence=token(clock, user))
                request.blinded = b"\0" + bytes([number]) * (blind.SIZE - 1)
                try:
                    return len((await lab.coordinator.devices.admit(request)).signature) == blind.SIZE
                except StatusError as error:
                    return error.status.name

            first = [await ask("mallory", number) for number in range(12)]
            other = await ask("anna", 50)
            clock.now += 6.0
            return first, other, await ask("mallory", 0), await ask("mallory", 1)

    first, other, repeated, beyond = asyncio.run(run())
    assert first == [True, *["ALREADY_EXISTS"] * 9, "UNAVAILABLE", "UNAVAILABLE"]
    assert (other, repeated, beyond) == (True, True, "UNAVAILABLE")
