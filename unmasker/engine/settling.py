"""The part of opening a sum that the books decide, within one transaction."""

from fedau2.v1.unmasker_pb2 import OpenedSum, OpenSumResponse, RefusedMembers
from fedau2.wire.secure import closing, opening
from unmasker.engine.sum_request import SumRequest
from unmasker.engine.summing import Answer, Summed
from unmasker.errors import InvalidRequestError, RoundClosedError
from unmasker.store import budgets, holders, participations, rounds, sums
from unmasker.store.books import Page
from unmasker.store.sums import Sum


def settle(page: Page, request: SumRequest, summed: Summed) -> OpenSumResponse:
    """Judges the members of a sum, and writes down the sum, all of it or nothing.

    Args:
        page: the transaction.
        request: the request.
        summed: the result of `summing.add_up`.

    Returns:
        The refused members, or the head of the answer, which its pieces follow.

    Raises:
        InvalidRequestError: the head is not that of the members.
        DifferentSumError: another sum was opened for this round meanwhile.
        RoundClosedError: the round was closed meanwhile, or has another key.
        BudgetError: the policy does not fit the budget, which is newer than the round.
    """
    key = summed.key
    if rounds.open_key(page, key.task_id, key.round).public != key:
        raise RoundClosedError("the round has got another key: nothing that was sealed to the one before is opened")
    before = sums.find(page.connection, key.task_id, key.round)
    if before is not None:
        sums.expect(before, request.set(summed.context), request.head)
    refused = {member.lease for member in request.members} - summed.certificates.keys()
    if before is None:
        budgets.check(page.connection, summed.task.policy)
        refused |= _barred(page, summed)
    if refused:
        return OpenSumResponse(refused=RefusedMembers(leases=sorted(refused)))
    if summed.answer is None:
        raise InvalidRequestError("the masked head is not that of these members")
    opened = _sum(request, summed, summed.answer)
    if before is not None:
        sums.expect(before, opened.set, opened.head, opened.answer)
    else:
        sums.record(page, opened, int(summed.answer.rows.sum()))
        participations.count(page, key.task_id, key.round, _pseudonyms(summed))
        budgets.spend(page, summed.task.policy, _pseudonyms(summed))
    return OpenSumResponse(opened=_signed(page, opened))


def _barred(page: Page, summed: Summed) -> set[bytes]:
    """Returns the leases of members who may not take part, as far as the books know."""
    key, task = summed.key, summed.task
    live = holders.verdicts(page.connection, list(summed.certificates.values()), page.now)
    most, names = task.policy.max_participations, _pseudonyms(summed)
    free = participations.verdicts(page, key.task_id, key.round, names, most, task.separation)
    within = budgets.verdicts(page, task.policy, names)
    verdicts = zip(summed.certificates, live, free, within, strict=True)
    return {lease for lease, *good in verdicts if not all(good)}


def _pseudonyms(summed: Summed) -> list[bytes]:
    return [certificate.pseudonym for certificate in summed.certificates.values()]


def _sum(request: SumRequest, summed: Summed, answer: Answer) -> Sum:
    return Sum(
        task_id=summed.key.task_id,
        round=summed.key.round,
        context=summed.context,
        set=request.set(summed.context),
        head=request.head,
        withheld=closing.bits(answer.rows),
        answer=answer.sha256,
        members=len(request.members),
    )


def _signed(page: Page, opened: Sum) -> OpenedSum:
    message = opening.answer(opened.context, opened.set, opened.withheld, opened.answer)
    signature = page.keys.identity.sign(message)
    return OpenedSum(set=opened.set, withheld=opened.withheld, sha256=opened.answer, signature=signature)
