"""Calls to an unmasker, with the checks of what it answers. Nothing that it says is taken without its signature."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Protocol

from coordinator.engine.hidden_rounds import Answer
from coordinator.engine.hidden_sum import Frozen
from coordinator.errors import UnmaskerError
from fedau2.v1.task_pb2 import TaskManifest
from fedau2.v1.unmasker_pb2 import (
    CloseRoundRequest,
    LogHead,
    OpenedSum,
    OpenRoundRequest,
    OpenRoundResponse,
    OpenSumBegin,
    OpenSumRequest,
    OpenSumResponse,
    SignedRoundKey,
    SumMembers,
)
from fedau2.wire.errors import ContributionError, IdentityError
from fedau2.wire.secure import closing, context, opening, packing
from fedau2.wire.secure.layout import Layout

_MEMBERS = 256
"""Members of one message."""

Refused = tuple[bytes, ...]
"""The leases of members that do not count."""


class Calls(Protocol):
    """The calls that a coordinator makes to an unmasker. Each raises an `UnmaskerError` if it fails."""

    async def open_round(self, request: OpenRoundRequest) -> OpenRoundResponse:
        """UnmaskService.OpenRound."""

    def open_sum(self, requests: Iterator[OpenSumRequest]) -> AsyncIterator[OpenSumResponse]:
        """UnmaskService.OpenSum."""

    async def close_round(self, request: CloseRoundRequest) -> None:
        """UnmaskService.CloseRound."""

    async def close(self) -> None:
        """Ends the connection."""


@dataclass(frozen=True)
class HiddenRound:
    """A round with secure sums, as the unmasker knows it.

    Attributes:
        task_id: 16 bytes.
        number: as devices are given it.
        manifest: the `TaskManifest`, serialised as it was published.
        checkpoint: SHA-256 of the checkpoint that devices start from.
        task: the same manifest, read.
    """

    task_id: bytes
    number: int
    manifest: bytes
    checkpoint: bytes
    task: TaskManifest

    def request(self, seen: LogHead | None) -> OpenRoundRequest:
        """Returns the request for the round's key, which shows the newest head of the log, if any."""
        return OpenRoundRequest(
            task_id=self.task_id,
            round=self.number,
            manifest=hashlib.sha256(self.manifest).digest(),
            checkpoint=self.checkpoint,
            policy=self.task.secure_sums.SerializeToString(deterministic=True),
            seen=seen,
        )

    def context(self, key: SignedRoundKey) -> bytes:
        """Returns the hash that binds masks to the round."""
        digest = hashlib.sha256(self.manifest).digest()
        policy = self.task.secure_sums
        bound = context.Context(self.task_id, self.number, digest, self.checkpoint, policy, key.public_key)
        return bound.hash()


class Unmasker:
    """An unmasker.

    Args:
        identity: its identity key, 32 bytes.
        calls: reaches it.
    """

    def __init__(self, identity: bytes, calls: Calls) -> None:
        self.identity, self._calls = identity, calls

    async def open_round(self, round: HiddenRound, seen: LogHead | None) -> tuple[SignedRoundKey, LogHead]:
        """Returns the key of a round, and the newest head of the unmasker's log.

        Args:
            round: the round.
            seen: the newest head that the coordinator has.

        Raises:
            UnmaskerError: the call failed, or something in the answer is not signed for this round.
        """
        from fedau2.wire.identity import checks, log, round_key  # here, because they need `cryptography`

        request = round.request(seen)
        answer = await self._calls.open_round(request)
        expected = SignedRoundKey(
            task_id=request.task_id,
            round=request.round,
            manifest=request.manifest,
            checkpoint=request.checkpoint,
            policy=round_key.policy_hash(request.policy),
        )
        try:
            checks.round_key_of(answer.key, expected, [self.identity])
        except IdentityError as error:
            raise UnmaskerError(f"the unmasker's answer cannot be used: {error}") from error
        if not log.signed(answer.head, self.identity):
            raise UnmaskerError("the head of the unmasker's log is not signed by its key")
        return answer.key, answer.head

    async def open_sum(self, round: HiddenRound, key: SignedRoundKey, frozen: Frozen) -> Answer | Refused:
        """Opens the sum of a round.

        Args:
            round: the round.
            key: its key.
            frozen: the set of its contributions.

        Returns:
            The answer, or the members that do not count.

        Raises:
            UnmaskerError: the call failed, or the answer does not belong to this set.
        """
        opened, masks = OpenedSum(), bytearray()
        size = packing.size(Layout.of(round.task).size, round.task.secure_sums.modulus_bits)
        async for response in self._calls.open_sum(_requests(round, frozen)):
            kind = response.WhichOneof("part")
            if kind == "refused":
                return _refused(tuple(response.refused.leases), frozen)
            if kind == "opened":
                opened = response.opened
            masks += response.masks
            if len(masks) > size:
                break
        answer = Answer(opened.set, opened.withheld, bytes(masks))
        await asyncio.to_thread(self._check, round, round.context(key), frozen, opened, answer)
        return answer

    def _check(self, round: HiddenRound, bound: bytes, frozen: Frozen, opened: OpenedSum, answer: Answer) -> None:
        from fedau2.wire.identity.signing import verifies

        layout = Layout.of(round.task)
        if opened.set != context.set_hash(bound, ((member.lease, member.digest) for member in frozen.members)):
            raise UnmaskerError("the unmasker answered for another set of contributions")
        if hashlib.sha256(answer.masks).digest() != opened.sha256:
            raise UnmaskerError("the unmasker's answer broke off, or was damaged")
        signed = opening.answer(bound, opened.set, opened.withheld, opened.sha256)
        if not verifies(self.identity, opened.signature, signed):
            raise UnmaskerError("the unmasker's answer is not signed by its key")
        try:
            closing.read(opened.withheld, layout)
            packing.unpack(answer.masks, layout.size, round.task.secure_sums.modulus_bits)
        except ContributionError as error:
            raise UnmaskerError(f"the unmasker's answer cannot be used: {error}") from error

    async def close_round(self, task_id: bytes, number: int) -> None:
        """Has the key of a round deleted.

        Raises:
            UnmaskerError: the call failed.
        """
        await self._calls.close_round(CloseRoundRequest(task_id=task_id, round=number))

    async def close(self) -> None:
        """Ends the connection."""
        await self._calls.close()


def _requests(round: HiddenRound, frozen: Frozen) -> Iterator[OpenSumRequest]:
    members = frozen.members
    begin = OpenSumBegin(
        task_id=round.task_id, round=round.number, manifest=round.manifest, members=len(members), head=frozen.head
    )
    yield OpenSumRequest(begin=begin)
    for start in range(0, len(members), _MEMBERS):
        yield OpenSumRequest(members=SumMembers(members=members[start : start + _MEMBERS]))


def _refused(leases: Refused, frozen: Frozen) -> Refused:
    if not leases or not set(leases) <= {member.lease for member in frozen.members}:
        raise UnmaskerError("the unmasker refused contributions that it was not asked for")
    return leases
