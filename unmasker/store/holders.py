"""Holders of certificates. A holder has one pseudonym for ever, and one certificate that is valid."""

import secrets
from collections import Counter
from collections.abc import Collection, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from fedau2.v1.unmasker_pb2 import EVIDENCE_CLASS_OPEN, ClassCount
from fedau2.wire.identity.certificate import PSEUDONYM, Certificate
from unmasker.errors import RevokedError, TakenError
from unmasker.store.books import Page
from unmasker.store.database import in_parts
from unmasker.store.tables import holder


def certify(page: Page, evidence_class: int, subject: bytes, public_key: bytes, moves: bool, seconds: int) -> bytes:
    """Returns the certificate of a holder for a key, and makes it unless there is one with half of its life left.

    Args:
        page: the transaction.
        evidence_class: class of the evidence.
        subject: the holder's keyed hash.
        public_key: 32 bytes.
        moves: the holder may have another key than before. The certificate of that one is then valid no more.
        seconds: life of a new certificate.

    Raises:
        RevokedError: the holder was revoked.
        TakenError: the key belongs to another holder, or the holder has another key and may not have a second.
    """
    owner = page.connection.execute(sa.select(holder).where(holder.c.public_key == public_key)).first()
    if owner is not None and owner.subject != subject:
        _hand_over(page, owner, subject)
    row = page.connection.execute(sa.select(holder).where(holder.c.subject == subject)).first()
    if row is None:
        certificate = Certificate(
            evidence_class, secrets.token_bytes(PSEUDONYM), public_key, page.now, page.now + seconds
        )
        return _kept(page, certificate, sa.insert(holder).values(subject=subject))
    if row.revoked is not None:
        raise RevokedError("this device or account was revoked, and is enrolled no more")
    if (row.public_key, row.evidence_class) == (public_key, evidence_class) and _fresh(row.certificate, page.now):
        return bytes(row.certificate)
    if row.public_key != public_key and not moves:
        raise TakenError("this evidence is for one device, and another has used it")
    certificate = Certificate(evidence_class, row.pseudonym, public_key, page.now, page.now + seconds)
    return _kept(page, certificate, sa.update(holder).where(holder.c.subject == subject))


def _hand_over(page: Page, owner: sa.Row[Any], subject: bytes) -> None:
    """Gives a device that enrolled without evidence its evidence. It keeps its pseudonym, and what counts by that.

    Raises:
        TakenError: the key is that of a holder with evidence, or the evidence is another holder's.
    """
    held = page.connection.execute(sa.select(holder.c.pseudonym).where(holder.c.subject == subject)).first()
    if owner.evidence_class != EVIDENCE_CLASS_OPEN or owner.revoked is not None or held is not None:
        raise TakenError("the key belongs to another holder: make a new key")
    page.connection.execute(sa.update(holder).where(holder.c.pseudonym == owner.pseudonym).values(subject=subject))


def revoke(page: Page, pseudonym: bytes) -> bool:
    """Revokes a holder for ever. Returns False if there is no such holder."""
    known = holder.c.pseudonym == pseudonym
    page.connection.execute(sa.update(holder).where(known, holder.c.revoked.is_(None)).values(revoked=page.now))
    return page.connection.execute(sa.select(holder.c.pseudonym).where(known)).first() is not None


def verdicts(
    connection: Connection, certificates: Sequence[Certificate], accepted: Collection[int], since: float, now: float
) -> list[bool]:
    """Judges the certificates of a set of contributions.

    Args:
        connection: of the transaction.
        certificates: signed by the authority, which the caller has checked.
        accepted: classes of evidence that enrol devices now.
        since: when their round was opened, in seconds since 1970.
        now: seconds since 1970.

    Returns:
        In their order: False for one that had expired before the round was opened or was revoked, for one with another
        key than the newest of its holder, and for those of a holder who is in the set twice. The answer does not say
        which of these it is. A certificate that was renewed for the same key, or has expired since the round was
        opened, is good, because its device may have contributed just before. A certificate without evidence is good
        while such ones are given out.
    """
    newest = _newest(connection, [certificate.pseudonym for certificate in certificates])
    live = [
        (one.current(since) or one.current(now))
        and newest.get(one.pseudonym) == one.public_key
        and (one.evidence_class != EVIDENCE_CLASS_OPEN or EVIDENCE_CLASS_OPEN in accepted)
        for one in certificates
    ]
    times = Counter(one.pseudonym for one, alive in zip(certificates, live, strict=True) if alive)
    return [alive and times[one.pseudonym] == 1 for one, alive in zip(certificates, live, strict=True)]


def counts(connection: Connection, now: float) -> list[ClassCount]:
    """Returns the number of holders by class whose certificate is valid."""
    live = (holder.c.revoked.is_(None), holder.c.expires > int(now))
    query = sa.select(holder.c.evidence_class, sa.func.count()).where(*live).group_by(holder.c.evidence_class)
    rows = connection.execute(query.order_by(holder.c.evidence_class)).all()
    return [ClassCount(evidence_class=evidence_class, live=count) for evidence_class, count in rows]


def revoked(connection: Connection) -> int:
    """Returns the number of holders that were revoked."""
    return int(connection.execute(sa.select(sa.func.count()).where(holder.c.revoked.is_not(None))).scalar_one())


def _kept(page: Page, certificate: Certificate, statement: sa.Insert | sa.Update) -> bytes:
    """Signs a certificate, keeps it as a holder's newest by a statement, and returns it."""
    data = page.keys.certify(certificate)
    values = {
        "pseudonym": certificate.pseudonym,
        "evidence_class": certificate.evidence_class,
        "public_key": certificate.public_key,
        "certificate": data,
        "expires": certificate.expires,
    }
    page.connection.execute(statement.values(values))
    return data


def _fresh(data: bytes, now: int) -> bool:
    certificate, _ = Certificate.read(data)
    return 2 * now < certificate.issued + certificate.expires and certificate.current(now)


def _newest(connection: Connection, pseudonyms: Sequence[bytes]) -> dict[bytes, bytes]:
    """Returns the newest public keys of holders that are known and not revoked."""
    columns, known = sa.select(holder.c.pseudonym, holder.c.public_key), holder.c.revoked.is_(None)
    rows = in_parts(connection, columns.where(known), holder.c.pseudonym, pseudonyms)
    return {row.pseudonym: bytes(row.public_key) for row in rows}
