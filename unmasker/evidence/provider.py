"""The interface of all ways in which a device shows that it is one of the app's.

To add a way, for example the attestation of a platform: add a class to `EvidenceClass` in `unmasker.proto`, write a
`Provider`, and let `commands.rules` make it.
"""

from dataclasses import dataclass
from typing import Protocol

from fedau2.v1.unmasker_pb2 import EvidenceClass
from unmasker.store.books import Page


@dataclass(frozen=True)
class Claim:
    """The holder of a certificate, as evidence names it.

    Attributes:
        holder: bytes that are the same for every device of one holder, and are never stored as they are.
        moves: the holder may go over to another key. Then the certificate of the key before is valid no more.
    """

    holder: bytes
    moves: bool = False


class Provider(Protocol):
    """Judges evidence of one class."""

    @property
    def evidence_class(self) -> EvidenceClass.ValueType:
        """The class."""

    def check(self, evidence: bytes, public_key: bytes, page: Page) -> Claim:
        """Returns what evidence says.

        Args:
            evidence: as the device sent it, at most 8 KiB.
            public_key: of the device, which has it.
            page: the transaction in which the device is enrolled.

        Raises:
            EvidenceError: it is not accepted. The text never quotes it.
        """
