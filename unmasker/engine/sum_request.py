"""A request to open a sum, whose messages are checked as they come in."""

import hashlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from fedau2.v1.unmasker_pb2 import OpenSumBegin, OpenSumRequest, SumMember
from fedau2.wire.secure import context, opening
from unmasker.engine.requests import check_round
from unmasker.errors import InvalidRequestError

MOST_MEMBERS = 65_536
"""Most members of a sum."""

_MOST_AT_ONCE = 1024
"""Most members of a message."""

_LEASE, _DIGEST, _MOST_CANARY = 16, 32, 16


@dataclass(frozen=True)
class SumRequest:
    """A whole request.

    Attributes:
        begin: the round, its manifest and the masked head.
        members: as many as were announced, in ascending order of their leases, none twice.
    """

    begin: OpenSumBegin
    members: tuple[SumMember, ...]

    @property
    def head(self) -> bytes:
        """SHA-256 of the masked head."""
        return hashlib.sha256(self.begin.head).digest()

    def set(self, context_hash: bytes) -> bytes:
        """Returns the hash of the set of members in a context."""
        return context.set_hash(context_hash, ((member.lease, member.digest) for member in self.members))


async def read(messages: AsyncIterator[OpenSumRequest]) -> SumRequest:
    """Reads the messages of a request to their end.

    Raises:
        InvalidRequestError: they make no sense.
    """
    begin: OpenSumBegin | None = None
    members: list[SumMember] = []
    async for message in messages:
        match message.WhichOneof("part"):
            case "begin" if begin is None:
                begin = message.begin
                _check_begin(begin)
            case "members" if begin is not None:
                _check_members(message.members.members, members[-1].lease if members else b"")
                members += message.members.members
                _expect(len(members) <= begin.members, "more members come than were announced")
            case _:
                raise InvalidRequestError("a sum is asked for with one begin, and then its members")
    if begin is None or len(members) != begin.members:
        raise InvalidRequestError("the members are not as many as were announced")
    return SumRequest(begin, tuple(members))


def _check_begin(begin: OpenSumBegin) -> None:
    check_round(begin.task_id, begin.round)
    _expect(1 <= begin.members <= MOST_MEMBERS, f"a sum has 1 to {MOST_MEMBERS} members")


def _check_members(members: Sequence[SumMember], before: bytes) -> None:
    _expect(1 <= len(members) <= _MOST_AT_ONCE, f"a message has 1 to {_MOST_AT_ONCE} members")
    for member in members:
        _expect(len(member.lease) == _LEASE, f"a lease has {_LEASE} bytes")
        _expect(member.lease > before, "the members are not in ascending order of their leases")
        _expect(len(member.digest) == _DIGEST, f"a digest has {_DIGEST} bytes")
        _expect(0 < len(member.canary) <= _MOST_CANARY, f"a canary has at most {_MOST_CANARY} bytes")
        _expect(0 < len(member.sealed) <= opening.LARGEST, f"a sealed opening has 1 to {opening.LARGEST} bytes")
        before = member.lease


def _expect(condition: bool, text: str) -> None:
    if not condition:
        raise InvalidRequestError(text)
