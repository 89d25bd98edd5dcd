"""The rules of a whole log for sums: each belongs to a round that has a key, and no round has two."""

import pytest

from fedau2.v1.unmasker_pb2 import (
    Authority,
    Budget,
    EpochBegun,
    LogEntry,
    PolicyUsed,
    RoundOpened,
    SignedRoundKey,
    SumOpened,
    UnmaskerKeys,
)
from fedau2.wire.errors import IdentityError
from fedau2.wire.identity import audit, enrolment, log, round_key
from tests.proto.identity.test_log import IDENTITY, UNMASKER, Log

POLICY, EPOCH = LogEntry(policy=PolicyUsed(policy=b"policy")), LogEntry(epoch=EpochBegun(epoch=bytes(16)))


def keys():
    authority = Authority(public_key=b"a" * 32)
    authority.signature = UNMASKER.sign(enrolment.authority_message(authority))
    return LogEntry(keys=UnmaskerKeys(identity=IDENTITY, authority=authority))


def opened(number, task=b"t", public=None):
    key = SignedRoundKey(task_id=task * 16, round=number, manifest=bytes(32), checkpoint=bytes(32))
    key.policy, key.public_key = round_key.policy_hash(b"policy"), public or bytes([number]) * 32
    key.signature = UNMASKER.sign(round_key.message(key))
    return LogEntry(round=RoundOpened(key=key))


def summed(number, task=b"t"):
    return LogEntry(sum=SumOpened(task_id=task * 16, round=number, set=bytes(32), members=64))


def check(*entries):
    chain = Log([entry.SerializeToString() for entry in (keys(), POLICY, *entries)])
    audit.check(log.read(chain.answer(), IDENTITY), IDENTITY)


def test_sums_of_rounds_that_have_keys_are_in_order():
    check(opened(1), summed(1), opened(2), EPOCH, opened(3), summed(3), summed(2), LogEntry(budget=Budget(epsilon=1)))


@pytest.mark.parametrize(
    "entries",
    [
        [summed(1)],
        [opened(1), summed(2)],
        [opened(1), summed(1, b"u")],
        [summed(1), opened(1)],
        [opened(1), summed(1), summed(1)],
        [opened(1), summed(1), EPOCH, summed(1)],
        [opened(1), summed(1), EPOCH, opened(1, public=b"x" * 32), summed(1)],
    ],
)
def test_a_sum_without_a_key_or_a_second_one_is_found(entries):
    with pytest.raises(IdentityError, match="sum"):
        check(*entries)
