"""Admissions to rounds, for a coordinator that asks for them. Nobody can link who gets one to who spends it."""

import secrets
from collections.abc import Generator
from typing import Any

from client_sdk.errors import TransportError
from client_sdk.protocol.wishes import Call, Prove, Wish, ask
from fedau2.v1.device_pb2 import Admission, AdmissionKey, AdmitRequest, AdmitResponse
from fedau2.wire import blind
from fedau2.wire.blind import Blinded
from fedau2.wire.errors import BlindSignatureError

_MESSAGE = 32
"""Random bytes of an admission's message, besides those of the blinding."""


class Admittance:
    """The newest admission of a device. It is in memory alone, so that no disk says when the device took part.

    A device that is started anew within a round has lost it, and takes part in the next round.

    Attributes:
        held: the admission that the device shows at check-ins; None: it has nothing to show.
    """

    def __init__(self) -> None:
        self.held: Admission | None = None
        self._blinded: Blinded | None = None

    def admit(self, population: str, key: AdmissionKey) -> Generator[Wish, Any, None]:
        """Gets an admission to the round of a key. If an answer was lost, the same bytes are sent again.

        Raises:
            TransportError: the coordinator's key or signature cannot be used.
            StatusError, FedError: as thrown in.
        """
        try:
            if self._blinded is None or self._blinded.modulus != key.modulus:
                self.held, self._blinded = None, _blinded(key)
            evidence = yield from ask(Prove(), bytes)
            request = AdmitRequest(population=population, key=key, evidence=evidence, blinded=self._blinded.blinded)
            response = yield from ask(Call(request), AdmitResponse)
            signature = blind.finish(self._blinded, response.signature)
        except BlindSignatureError as error:
            raise TransportError(f"the coordinator's admission cannot be used: {error}", temporary=False) from error
        self.held = Admission(message=self._blinded.message, signature=signature)


def _blinded(key: AdmissionKey) -> Blinded:
    if len(key.modulus) != blind.SIZE:
        raise BlindSignatureError(f"its key has {len(key.modulus)} bytes and not {blind.SIZE}")
    return blind.blind(key.modulus, secrets.token_bytes(_MESSAGE))
