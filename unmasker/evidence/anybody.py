"""No evidence: every device is enrolled. For trying out, because whoever likes can make any number of devices."""

from fedau2.v1.unmasker_pb2 import EVIDENCE_CLASS_OPEN
from unmasker.errors import EvidenceError
from unmasker.evidence.provider import Claim
from unmasker.store.books import Page


class Anybody:
    """Accepts every device."""

    evidence_class = EVIDENCE_CLASS_OPEN

    def check(self, evidence: bytes, public_key: bytes, page: Page) -> Claim:
        """As `Provider.check`: the key is all that is known."""
        if evidence:
            raise EvidenceError("evidence of this class is empty: send none, or name the class that it is of")
        return Claim(public_key)
