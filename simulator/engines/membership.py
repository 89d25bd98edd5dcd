"""The identities by which simulated devices take part in secure sums."""

import os
from dataclasses import dataclass, field

from client_sdk.identity.enrolling import accept, signed_request
from client_sdk.protocol.membership import Membership
from client_sdk.protocol.trust import Trust
from client_sdk.transport.grpc_transport import AioGrpcTransport
from fedau2.v1.unmasker_pb2 import EVIDENCE_CLASS_OPEN, EnrolResponse
from fedau2.wire.identity.services import ENROLMENT
from simulator.engines.unmasker_process import UnmaskerProcess
from simulator.population.client_store import ClientStore


@dataclass(eq=False)
class Identity:
    """The identity of one simulated device; implements `client_sdk.protocol.interfaces.Identities`.

    Attributes:
        store: of the device.
        secret: of its Ed25519 key, 32 bytes, which are drawn anew in each run.
        enrolled: the unmasker's certificate; None before it is enrolled.
    """

    store: ClientStore
    secret: bytes = field(default_factory=lambda: os.urandom(32), repr=False)
    enrolled: bytes | None = None

    def key(self, unmasker: bytes) -> bytes:
        """Returns the secret bytes of its key."""
        return self.secret

    def certificate(self, unmasker: bytes) -> bytes | None:
        """Returns its certificate."""
        return self.enrolled

    def participations(self, task_id: str) -> int:
        """Returns the number of its acknowledged contributions: a population has one task."""
        return len(self.store.assignments)


class Members:
    """Enrols the devices of a fleet at an unmasker that asks for no evidence.

    Args:
        unmasker: the unmasker.

    Attributes:
        trust: the trust of every device: in this unmasker.
    """

    def __init__(self, unmasker: UnmaskerProcess) -> None:
        self._unmasker = unmasker.identity
        self.trust = Trust(unmaskers=[self._unmasker])
        self._transport = AioGrpcTransport(unmasker.devices, service=ENROLMENT)
        self._known: dict[ClientStore, Membership] = {}

    async def of(self, store: ClientStore) -> Membership:
        """Returns the membership of a device, which is enrolled first where it is not yet.

        Raises:
            TransportError, StatusError: the unmasker does not answer, or refuses.
        """
        if store not in self._known:
            identity = Identity(store)
            identity.enrolled = await self._certificate(identity)
            self._known[store] = Membership(identity, frozenset([self._unmasker]))
        return self._known[store]

    async def close(self) -> None:
        """Closes the connection."""
        await self._transport.close()

    async def _certificate(self, identity: Identity) -> bytes:
        request = signed_request(identity.secret, self._unmasker, EVIDENCE_CLASS_OPEN, b"")
        response = await self._transport.call(request)
        assert isinstance(response, EnrolResponse)  # the transport takes the class from the service's descriptor
        return accept(response, request, self._unmasker)
