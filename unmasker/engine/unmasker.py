"""The unmasker: what each call does, without gRPC. Its methods block, and may be called by one thread at a time."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Self

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from fedau2.rates import Rates
from fedau2.v1.unmasker_pb2 import (
    Budget,
    DayOfEnrolments,
    EnrolmentRules,
    EnrolRequest,
    EnrolResponse,
    LogEntry,
    LogHead,
    OpenRoundRequest,
    OpenRoundResponse,
    OpenSumResponse,
    RefusedMembers,
    SignedRoundKey,
)
from fedau2.wire.identity import enrolment, log, round_key
from fedau2.wire.identity.signing import verifies
from unmasker.engine import requests, settling
from unmasker.engine.sum_request import SumRequest
from unmasker.engine.summing import Answer, Members
from unmasker.engine.terms import KEY_DAYS, MOST_DAYS
from unmasker.errors import BusyError, EvidenceError, InvalidRequestError, ShortLogError
from unmasker.evidence.provider import Provider
from unmasker.store import budgets, forgotten, holders, public_log, rounds, sums
from unmasker.store.books import Books, Page
from unmasker.store.rounds import OpenKey
from unmasker.store.state_folder import StateFolder
from unmasker.store.tables import lost_head, meta

DAY = 86400

ENROLMENTS = 10
"""Most enrolments of one holder in a minute."""


@dataclass(frozen=True)
class Rules:
    """The rules by which an unmasker works.

    Attributes:
        providers: judge evidence, one for each class that is accepted.
        days: life of a certificate, 1 to 90.
        key_days: days after which the key of a round that nobody closed is deleted.
        budget: the most that sums with noise may tell of one device; epsilon 0: any.
    """

    providers: tuple[Provider, ...] = ()
    days: int = MOST_DAYS
    key_days: int = KEY_DAYS
    budget: Budget = field(default_factory=Budget)

    @property
    def message(self) -> EnrolmentRules:
        """The public part of the rules."""
        accepted = sorted(provider.evidence_class for provider in self.providers)
        return EnrolmentRules(accepted=accepted, days=self.days)


class Unmasker:
    """One unmasker.

    Args:
        books: its books; `close` closes them.
        rules: its rules. They are written to the log when they are others than before.

    Raises:
        BooksError: the database failed.
    """

    def __init__(self, books: Books, rules: Rules) -> None:
        self.books, self._rules, self._enrolments = books, rules, Rates(ENROLMENTS)
        self._providers: Mapping[int, Provider] = {provider.evidence_class: provider for provider in rules.providers}
        self.keep_house()

    @classmethod
    def open(
        cls, folder: StateFolder, rules: Rules, url: str | None = None, clock: Callable[[], float] = time.time
    ) -> Self:
        """Opens the books of a folder.

        Raises:
            FolderError, BooksError: as `Books`.
        """
        return cls(Books(folder, url, clock), rules)

    def close(self) -> None:
        """Closes the books."""
        self.books.close()

    def enrol(self, request: EnrolRequest) -> EnrolResponse:
        """Certifies a device.

        Raises:
            RefusalError: the request makes no sense, or is not accepted.
        """
        requests.check_enrol(request)
        identity = self.books.keys.public.identity
        if not verifies(request.public_key, request.signature, enrolment.message(request, identity)):
            raise InvalidRequestError("the request is not signed by its key, or is meant for another unmasker")
        provider = self._providers.get(request.evidence_class)
        if provider is None:
            raise EvidenceError("this unmasker takes no evidence of this class")
        with self.books.writing() as page:
            claim = provider.check(request.evidence, request.public_key, page)
            subject = page.keys.subject(request.evidence_class, claim.holder)
            if not self._enrolments.spend(subject, page.now):
                raise BusyError("this device or account enrols too often; try again later")
            seconds = self._rules.days * DAY
            certificate = holders.certify(
                page, request.evidence_class, subject, request.public_key, claim.moves, seconds
            )
        return EnrolResponse(certificate=certificate, authority=self.books.keys.public.authority)

    def open_round(self, request: OpenRoundRequest) -> OpenRoundResponse:
        """Makes the key of a round, or returns the one that was made.

        Raises:
            RefusalError: the request makes no sense, or the round cannot be opened.
        """
        requests.check_open_round(request)
        wanted = SignedRoundKey(
            task_id=request.task_id,
            round=request.round,
            manifest=request.manifest,
            checkpoint=request.checkpoint,
            policy=round_key.policy_hash(request.policy),
        )
        if request.HasField("seen"):
            self._meet(request.seen)
        policy = requests.policy(request)
        with self.books.writing() as page:
            budgets.check(page.connection, policy)
            forgotten.check(page, request, policy)
            opened = rounds.open_round(page, wanted, request.policy)
            head = public_log.head(page.connection, page.keys)
        return OpenRoundResponse(key=opened.key, entry=opened.entry, head=head)

    def begin_sum(self, request: SumRequest) -> OpenKey:
        """Returns the key with which the sum of a round may be opened.

        Raises:
            DifferentSumError: another sum was opened for this round.
            RoundClosedError: the round is not open.
        """
        begin = request.begin
        with self.books.writing() as page:
            before = sums.find(page.connection, begin.task_id, begin.round)
            if before is not None:
                sums.expect(before, request.set(before.context), request.head)
            return rounds.open_key(page, begin.task_id, begin.round)

    def claim_sum(self, request: SumRequest, members: Members) -> RefusedMembers | None:
        """Judges the members, and writes down their set as the only one of the round. No head is to be read before.

        Returns:
            The refused members; None: nobody is refused.

        Raises:
            DifferentSumError: another sum was asked for, or opened, for this round meanwhile.
            RoundClosedError: the round was closed meanwhile.
        """
        with self.books.writing() as page:
            return settling.claim(page, request, members, self._providers)

    def settle_sum(self, request: SumRequest, members: Members, answer: Answer | None) -> OpenSumResponse:
        """Writes down what is opened. Nothing is to be answered before.

        Returns:
            The head of the answer, which its pieces follow.

        Raises:
            InvalidRequestError: the head is not that of the members.
            DifferentSumError: another answer was given for this round.
            RoundClosedError: the round was closed meanwhile.
        """
        with self.books.writing() as page:
            return settling.settle(page, request, members, answer)

    def close_round(self, task_id: bytes, number: int) -> None:
        """Deletes the key of a round.

        Raises:
            InvalidRequestError: there cannot be such a round.
        """
        requests.check_round(task_id, number)
        with self.books.writing() as page:
            rounds.close_round(page, task_id, number)

    def keep_house(self) -> None:
        """Writes what belongs into the log every day, and deletes the keys of rounds that nobody closed.

        Raises:
            BooksError: the database failed.
        """
        with self.books.writing() as page:
            row = page.connection.execute(sa.select(meta.c.rules, meta.c.day)).one()
            rules, yesterday = self._rules.message.SerializeToString(deterministic=True), page.now // DAY - 1
            budgets.change(page, self._rules.budget)
            if row.rules != rules:
                page.log(LogEntry(rules=self._rules.message))
            if row.day < yesterday:
                page.log(LogEntry(day=_day(page, yesterday)))
            page.connection.execute(sa.update(meta).values(rules=rules, day=max(row.day, yesterday)))
            rounds.close_older(page, page.now - self._rules.key_days * DAY)

    def _meet(self, seen: LogHead) -> None:
        """Begins a new epoch if a head shows that the log was cut. It is durable, whatever the call is answered.

        Raises:
            InvalidRequestError: this unmasker never signed the head.
        """
        with self.books.reading() as connection:
            lacks = self._lacks(connection, seen)
        if lacks:
            with self.books.writing() as page:
                self.books.begin_epoch(page, seen)

    def _lacks(self, connection: Connection, seen: LogHead) -> bool:
        """Returns True if the unmasker signed a head that its log does not have, and that it has not been shown before.

        Raises:
            InvalidRequestError: it never signed this.
        """
        keys = self.books.keys
        if not log.signed(seen, keys.public.identity):
            raise InvalidRequestError("the head that was seen is not signed by this unmasker")
        shown = sa.select(lost_head.c.hash).where(lost_head.c.hash == seen.hash)
        if connection.execute(shown).first() is not None:
            return False
        try:
            return public_log.hash_at(connection, keys, seen.size) != seen.hash
        except ShortLogError:
            return True


def _day(page: Page, day: int) -> DayOfEnrolments:
    classes = holders.counts(page.connection, (day + 1) * DAY)
    return DayOfEnrolments(day=day, classes=classes, revoked=holders.revoked(page.connection))
