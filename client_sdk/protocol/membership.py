"""A device's membership in secure sums: the certificates that it holds, and how it gets them at a check-in."""

import time
from collections.abc import Collection, Generator
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from client_sdk.errors import FedError
from client_sdk.protocol.admittance import Admittance
from client_sdk.protocol.interfaces import Identities
from client_sdk.protocol.wishes import Call, Enrol, Wish, ask
from fedau2.v1.device_pb2 import (
    REJECTION_REASON_ADMISSION_NEEDED,
    REJECTION_REASON_ADMISSION_SPENT,
    REJECTION_REASON_ENROLMENT_NEEDED,
    CheckInRequest,
    CheckInResponse,
)
from fedau2.v1.secure_pb2 import SecureSums
from fedau2.v1.task_pb2 import TaskManifest
from fedau2.wire.identity.certificate import Certificate
from fedau2.wire.status import Status, StatusError

_ADMITTED = 2
"""Times that a device asks for an admission in one session. The round may end between its key and the check-in."""


@dataclass(frozen=True, eq=False)
class Membership:
    """The certificates by which some unmaskers know a device.

    Attributes:
        identities: the device's keys and certificates.
        unmaskers: identity keys of the unmaskers that the app names.
        enrols: the device can enrol by itself, by the wish `Enrol`.
        needed: those of the unmaskers that the newest task which the device knows names; empty: it knows of none.
    """

    identities: Identities
    unmaskers: frozenset[bytes]
    enrols: bool = False
    needed: frozenset[bytes] = frozenset()

    def needed_by(self, task: TaskManifest | None) -> "Membership":
        """Returns this membership for a device whose newest task is this one; None: it has none."""
        named = task.secure_sums.unmaskers if task is not None else ()
        return replace(self, needed=self.unmaskers.intersection(named))

    def enrolled(self) -> bool:
        """Returns True if the device has a certificate that has not expired, of an unmasker that its task names.

        One of any unmasker counts while no task is known that names one. Certificates from the future count: it is the
        device's clock that is behind then.
        """
        return self.certified(self.needed or self.unmaskers)

    def certified(self, unmaskers: Collection[bytes]) -> bool:
        """Returns True if the device has a certificate of one of some unmaskers that has not expired."""
        now = time.time()
        return any(now < certificate.expires for certificate in self._certificates(unmaskers))

    def stale(self) -> bool:
        """Returns True if a certificate that `enrolled` looks at has less than half of its life left."""
        now = time.time()
        return not all(fresh(certificate, now) for certificate in self._certificates(self.needed or self.unmaskers))

    def spent(self, task_id: str, policy: SecureSums) -> bool:
        """Returns True if the device has contributed to a task as often as the policy allows."""
        most = policy.max_participations
        return bool(most) and self.identities.participations(task_id) >= most

    def _certificates(self, unmaskers: Collection[bytes]) -> list[Certificate]:
        kept = map(self.identities.certificate, sorted(unmaskers))
        return [Certificate.read(data)[0] for data in kept if data is not None]


def fresh(certificate: Certificate, now: float) -> bool:
    """Returns True if a certificate has half of its life left, so that it need not be renewed."""
    return 2 * now < certificate.issued + certificate.expires


def enrol_for(policy: SecureSums, membership: Membership) -> Generator[Wish, Any, None]:
    """Enrols a device that has a place in a round of a task, and no certificate of the task's unmasker.

    At the check-in it did not know the task. A failure is not raised: without a certificate the place is given back.
    """
    if membership.enrols and not membership.certified(membership.unmaskers.intersection(policy.unmaskers)):
        with suppress(FedError):
            yield from ask(Enrol(), type(None))


def offer(
    population: str, version: str, without_place: bool, membership: Membership | None, admittance: Admittance
) -> Generator[Wish, Any, tuple[CheckInResponse, FedError | None]]:
    """Offers a device for a round. One that can enrol does so where a task needs it, once, and checks in again.

    Where the coordinator asks for an admission to the round, the device gets one and checks in with it.

    Certificates are renewed before, at half of their life. A failure of that costs nothing while they are current.

    Args:
        population: name of the population that the device belongs to.
        version: the SDK's version.
        without_place: True if the device asks for no place.
        membership: of the device; None: it takes part in no secure sum.
        admittance: its admissions.

    Returns:
        The answer to the last check-in, and the error for which the device could not enrol or was not admitted.
    """

    def call(enrolled: bool) -> Generator[Wish, Any, CheckInResponse]:
        request = CheckInRequest(
            population=population, client_version=version, without_place=without_place, enrolled=enrolled
        )
        if admittance.held is not None:
            request.admission.CopyFrom(admittance.held)
        return (yield from ask(Call(request), CheckInResponse))

    if membership is not None and membership.enrols and membership.stale():
        with suppress(FedError):
            yield from ask(Enrol(), type(None))
    enrolled = membership is not None and membership.enrolled()
    response = yield from call(enrolled)
    needed = response.rejection.reason == REJECTION_REASON_ENROLMENT_NEEDED
    if membership is not None and membership.enrols and needed and not enrolled:
        try:
            yield from ask(Enrol(), type(None))
        except FedError as error:
            if not membership.enrolled():  # else the failure is that of another unmasker
                return response, error
        enrolled = True  # the unmasker judged the certificates, by its own clock
        response = yield from call(enrolled)
    for _ in range(_ADMITTED):
        if response.rejection.reason != REJECTION_REASON_ADMISSION_NEEDED:
            break
        try:
            yield from admittance.admit(population, response.rejection.admission)
        except FedError as error:
            return response, error
        except StatusError as error:
            if error.status is Status.ALREADY_EXISTS:
                response.rejection.reason = REJECTION_REASON_ADMISSION_SPENT
                return response, None
            if error.status is not Status.FAILED_PRECONDITION:  # which a key of a round that is over has
                raise
        response = yield from call(enrolled)
    return response, None
