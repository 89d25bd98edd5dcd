"""A device's membership in secure sums: the certificates that it holds, and how it gets them at a check-in."""

import time
from collections.abc import Generator
from contextlib import suppress
from dataclasses import dataclass
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
    """

    identities: Identities
    unmaskers: frozenset[bytes]
    enrols: bool = False

    def enrolled(self) -> bool:
        """Returns True if the device has a certificate of every unmasker that has not expired, and there is one.

        Certificates from the future count: it is the device's clock that is behind then.
        """
        now = time.time()
        return bool(self.unmaskers) and all(held is not None and now < held.expires for held in self._certificates())

    def stale(self) -> bool:
        """Returns True if the device has a certificate with less than half of its life left."""
        now = time.time()
        return any(held is not None and not fresh(held, now) for held in self._certificates())

    def spent(self, task_id: str, policy: SecureSums) -> bool:
        """Returns True if the device has contributed to a task as often as the policy allows."""
        most = policy.max_participations
        return bool(most) and self.identities.participations(task_id) >= most

    def _certificates(self) -> list[Certificate | None]:
        held = map(self.identities.certificate, sorted(self.unmaskers))
        return [None if data is None else Certificate.read(data)[0] for data in held]


def fresh(certificate: Certificate, now: float) -> bool:
    """Returns True if a certificate has half of its life left, so that it need not be renewed."""
    return 2 * now < certificate.issued + certificate.expires


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
