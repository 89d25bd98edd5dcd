"""Invitations: codes of 100 random bits, each for one device. Only their keyed hashes are kept."""

import base64
import secrets

import sqlalchemy as sa

from fedau2.v1.unmasker_pb2 import EVIDENCE_CLASS_INVITATION
from unmasker.errors import EvidenceError
from unmasker.evidence.provider import Claim
from unmasker.store.books import Page
from unmasker.store.tables import holder, invitation

_GROUPS, _LENGTH = 5, 4
_MOST = 64
"""Most bytes of a code as somebody types it."""


class Invitations:
    """Accepts codes that the operator gave out."""

    evidence_class = EVIDENCE_CLASS_INVITATION

    def check(self, evidence: bytes, public_key: bytes, page: Page) -> Claim:
        """As `Provider.check`. A code that a device has used stays valid for that device."""
        code = _plain(evidence)
        subject = page.keys.subject(self.evidence_class, code)
        used = sa.select(holder.c.subject).where(holder.c.subject == subject)
        made = sa.select(invitation.c.expires).where(invitation.c.subject == subject)
        expires = page.connection.execute(made).scalar()
        if page.connection.execute(used).first() is None and (expires is None or expires <= page.now):
            raise EvidenceError("this invitation is not known, or has expired: ask for another")
        return Claim(code)


def invite(page: Page, days: int) -> str:
    """Makes a code that is valid for some days, and returns it: it cannot be shown again."""
    letters = base64.b32encode(secrets.token_bytes(_GROUPS * _LENGTH)).decode()[: _GROUPS * _LENGTH]
    code = "-".join(letters[start : start + _LENGTH] for start in range(0, len(letters), _LENGTH))
    subject = page.keys.subject(EVIDENCE_CLASS_INVITATION, _plain(code.encode()))
    page.connection.execute(sa.insert(invitation).values(subject=subject, expires=page.now + days * 86400))
    return code


def _plain(evidence: bytes) -> bytes:
    """Returns a code without what people add to it when they type: spaces, hyphens and small letters."""
    return evidence[:_MOST].upper().translate(None, b" -\n")
