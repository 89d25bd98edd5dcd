"""Enrols a device at the unmaskers that the app trusts.

The device's key is on the disk before it is sent. If the answer is lost, the same key is sent again, and the unmasker
answers with the same certificate.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from client_sdk.errors import RefusedError, TransportError, UntrustedUnmaskerError, UsageError
from client_sdk.identity import evidence as evidences
from client_sdk.identity.evidence import Evidence
from client_sdk.identity.unmaskers import Unmasker
from client_sdk.protocol.membership import fresh
from client_sdk.scheduling.syncing import refusals
from client_sdk.scheduling.timeout import Timeout
from client_sdk.store.sqlite_store import SqliteStore
from fedau2.v1.unmasker_pb2 import EnrolRequest, EnrolResponse, EvidenceClass
from fedau2.wire.errors import IdentityError
from fedau2.wire.identity import enrolment
from fedau2.wire.identity.certificate import Certificate

_OF_ONE_UNMASKER = (UntrustedUnmaskerError, TransportError, RefusedError)
"""Failures after which the other unmaskers are asked."""


@dataclass(frozen=True)
class Enrolment:
    """A certificate that this device has.

    Attributes:
        unmasker: address of the unmasker.
        pseudonym: the name by which that unmasker knows the device, 32 hexadecimal digits. The coordinator never learns
            it.
        expires: end of the certificate.
    """

    unmasker: str
    pseudonym: str
    expires: datetime


def enrol(
    store: SqliteStore, unmaskers: Sequence[Unmasker], kind: str, evidence: Evidence, limit: Timeout
) -> tuple[Enrolment, ...]:
    """Gets a certificate from each unmasker, unless the device has one with half of its life left.

    Where an unmasker fails, the others are asked all the same, and the first failure is raised at the end. An unmasker
    that does not answer takes its share of the time, and no more.

    Args:
        store: the client's state, which keeps keys and certificates.
        unmaskers: the unmaskers.
        kind: kind of the evidence.
        evidence: the evidence.
        limit: the time that it may take.

    Raises:
        UsageError: there is no unmasker, or an argument is wrong.
        UntrustedUnmaskerError: an answer is not signed as it must be.
        TransportError, RefusedError: an unmasker did not answer, or refused.
        MissingPackageError: `cryptography` is not installed.
    """
    if not unmaskers:
        raise UsageError("the client knows no unmasker: name them when it is opened (unmaskers=)")
    evidence_class = evidences.evidence_class(kind)
    failures = []
    for number, unmasker in enumerate(unmaskers):
        held = store.identities.certificate(unmasker.identity)
        if held is not None and fresh(Certificate.read(held)[0], time.time()):
            continue
        secret = store.identities.key(unmasker.identity)
        request = signed_request(secret, unmasker.identity, evidence_class, evidences.read(evidence))
        try:
            response = _answer(unmasker, request, limit.left() / (len(unmaskers) - number))
            _keep(store, unmasker, request, response)
        except _OF_ONE_UNMASKER as error:
            failures.append(error)
    if failures:
        raise failures[0]
    return tuple(_enrolment(store, unmasker) for unmasker in unmaskers)


def signed_request(
    secret: bytes, identity: bytes, evidence_class: EvidenceClass.ValueType, evidence: bytes
) -> EnrolRequest:
    """Makes the request of a device, signed by its key.

    Args:
        secret: the 32 secret bytes of the device's Ed25519 key for the unmasker.
        identity: the unmasker's identity key.
        evidence_class: of the evidence.
        evidence: shows that the device is one of the app's.
    """
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    key = Ed25519PrivateKey.from_private_bytes(secret)
    public = key.public_key().public_bytes_raw()
    request = EnrolRequest(public_key=public, evidence_class=evidence_class, evidence=evidence)
    request.signature = key.sign(enrolment.message(request, identity))
    return request


def accept(response: EnrolResponse, request: EnrolRequest, identity: bytes) -> bytes:
    """Returns the certificate of an answer, if it is the one that was asked for.

    Its times are not compared with the device's clock, which may be wrong: the unmasker judges them by its own.

    Args:
        response: the answer.
        request: the request, by this device.
        identity: the unmasker's identity key.

    Raises:
        UntrustedUnmaskerError: it is not.
    """
    from fedau2.wire.identity import checks  # here, because it loads cryptography

    try:
        authority = checks.authority(response.authority, identity)
        stated, _ = Certificate.read(response.certificate)
        certificate = checks.certificate(response.certificate, authority, stated.issued)
    except IdentityError as error:
        raise UntrustedUnmaskerError(f"the unmasker's answer is not believed: {error}") from error
    if (certificate.public_key, certificate.evidence_class) != (request.public_key, request.evidence_class):
        raise UntrustedUnmaskerError("the unmasker's answer is not believed: the certificate is for something else")
    return response.certificate


def _answer(unmasker: Unmasker, request: EnrolRequest, within: float) -> EnrolResponse:
    from client_sdk.transport.grpc_transport import GrpcTransport
    from fedau2.wire.identity.services import ENROLMENT

    with refusals(unmasker.address), GrpcTransport(unmasker.target, service=ENROLMENT) as transport:
        response = transport.call(request, within)
    assert isinstance(response, EnrolResponse)  # the transport takes the class from the service's descriptor
    return response


def _keep(store: SqliteStore, unmasker: Unmasker, request: EnrolRequest, response: EnrolResponse) -> None:
    store.identities.keep(unmasker.identity, accept(response, request, unmasker.identity))


def _enrolment(store: SqliteStore, unmasker: Unmasker) -> Enrolment:
    data = store.identities.certificate(unmasker.identity)
    assert data is not None  # it has been kept
    certificate, _ = Certificate.read(data)
    expires = datetime.fromtimestamp(certificate.expires, UTC)
    return Enrolment(unmasker.address, certificate.pseudonym.hex(), expires)
