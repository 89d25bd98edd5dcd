"""Certificates that devices show to the device address: the subject is the identity."""

from coordinator.errors import EvidenceError
from coordinator.model.caller import Caller


class Certificates:
    """Accepts devices by their certificates, which TLS has checked; a `Provider`.

    A renewed certificate with the same subject is the same identity.
    """

    def holder(self, evidence: bytes, caller: Caller, now: float) -> bytes:
        """As `Provider.holder`."""
        if evidence:
            raise EvidenceError("this coordinator knows devices by their certificates: send no other evidence")
        if not caller.certificate:
            raise EvidenceError("no certificate was shown on this connection, or it names no subject")
        return caller.certificate.encode()
