"""The parts of opening a sum that the books decide, each within one transaction.

A set is written down before its masked head is read. So a caller who tries one head after another, to learn counts,
learns nothing from the second.
"""

from collections.abc import Collection
from dataclasses import replace

from fedau2.v1.unmasker_pb2 import OpenedSum, OpenSumResponse, RefusedMembers
from fedau2.wire.secure import closing, opening
from unmasker.engine.sum_request import SumRequest
from unmasker.engine.summing import Answer, Members
from unmasker.errors import InvalidRequestError, RoundClosedError
from unmasker.store import budgets, holders, participations, rounds, sums
from unmasker.store.books import Page
from unmasker.store.rounds import OpenKey
from unmasker.store.sums import Sum


def claim(page: Page, request: SumRequest, members: Members, accepted: Collection[int]) -> RefusedMembers | None:
    """Judges the members of a sum, and writes down that it is the only one of its round.

    Args:
        page: the transaction.
        request: the request.
        members: the result of `summing.open_members`.
        accepted: classes of evidence that enrol devices now.

    Returns:
        The refused members, with nothing written down; None: all members are good.

    Raises:
        DifferentSumError: another sum was asked for, or opened, for this round.
        RoundClosedError: the round was closed meanwhile, or has another key.
        BudgetError: the policy does not fit the budget, which is newer than the round.
    """
    key, opened = members.key, _expect_key(page, members).opened
    before = sums.find(page.connection, key.task_id, key.round)
    if before is not None:
        sums.expect(before, request.set(members.context), request.head)
    refused = {member.lease for member in request.members} - members.certificates.keys()
    if before is None:
        budgets.check(page.connection, members.task.policy)
        refused |= _barred(page, members, accepted, opened)
    if refused:
        return RefusedMembers(leases=sorted(refused))
    if before is None:
        sums.claim(page, _claimed(request, members))
        participations.count(page, key.task_id, key.round, _pseudonyms(members))
        budgets.spend(page, members.task.policy, _pseudonyms(members))
    return None


def settle(page: Page, request: SumRequest, members: Members, answer: Answer | None) -> OpenSumResponse:
    """Writes down the answer to a sum that was claimed.

    Args:
        page: the transaction.
        request: the request.
        members: its members, all of them good.
        answer: the result of `summing.add_up`.

    Returns:
        The head of the answer, which its pieces follow.

    Raises:
        InvalidRequestError: the head is not that of the members. The round has no other sum all the same.
        DifferentSumError: another answer was given for this round.
        RoundClosedError: the round was closed meanwhile, or has another key.
    """
    _expect_key(page, members)
    if answer is None:
        raise InvalidRequestError("the masked head is not that of these members, and the round has no second sum")
    opened = replace(_claimed(request, members), withheld=closing.bits(answer.closed), answer=answer.sha256)
    sums.settle(page, opened)
    return OpenSumResponse(opened=_signed(page, opened))


def _expect_key(page: Page, members: Members) -> OpenKey:
    """Returns the key of the round, which must be the one that the members' devices have sealed to."""
    key = rounds.open_key(page, members.key.task_id, members.key.round)
    if key.public != members.key:
        raise RoundClosedError("the round has got another key: nothing that was sealed to the one before is opened")
    return key


def _barred(page: Page, members: Members, accepted: Collection[int], opened: int) -> set[bytes]:
    """Returns the leases of members who may not take part, as far as the books know; the round was opened then."""
    key, task = members.key, members.task
    certificates = list(members.certificates.values())
    live = holders.verdicts(page.connection, certificates, accepted, opened, page.now)
    most, names = task.policy.max_participations, _pseudonyms(members)
    free = participations.verdicts(page, key.task_id, key.round, names, most, task.separation)
    within = budgets.verdicts(page, task.policy, names)
    verdicts = zip(members.certificates, live, free, within, strict=True)
    return {lease for lease, *good in verdicts if not all(good)}


def _pseudonyms(members: Members) -> list[bytes]:
    return [certificate.pseudonym for certificate in members.certificates.values()]


def _claimed(request: SumRequest, members: Members) -> Sum:
    return Sum(
        task_id=members.key.task_id,
        round=members.key.round,
        context=members.context,
        set=request.set(members.context),
        head=request.head,
        withheld=b"",
        answer=sums.NOT_YET,
        members=len(request.members),
    )


def _signed(page: Page, opened: Sum) -> OpenedSum:
    message = opening.answer(opened.context, opened.set, opened.withheld, opened.answer)
    signature = page.keys.identity.sign(message)
    return OpenedSum(set=opened.set, withheld=opened.withheld, sha256=opened.answer, signature=signature)
