"""The keys of rounds. A task has one open round at most, and the numbers of its rounds rise."""

from dataclasses import dataclass

import sqlalchemy as sa
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from sqlalchemy.engine import Connection

from fedau2.v1.unmasker_pb2 import LogEntry, PolicyUsed, RoundOpened, SignedRoundKey
from fedau2.wire.identity import round_key
from unmasker.errors import DifferentRoundError, RoundClosedError
from unmasker.store import sums
from unmasker.store.books import Page
from unmasker.store.tables import policy as policies
from unmasker.store.tables import task_round

_FIXED = ("manifest", "checkpoint", "policy")


@dataclass(frozen=True)
class Opened:
    """An open round.

    Attributes:
        key: its public key, signed.
        entry: number of the log's entry that has the key.
    """

    key: SignedRoundKey
    entry: int


@dataclass(frozen=True, repr=False)
class OpenKey:
    """The key of an open round.

    Attributes:
        public: as it was signed.
        private: opens what was sealed to it.
        opened: when it was made, in seconds since 1970.
    """

    public: SignedRoundKey
    private: X25519PrivateKey
    opened: int


def open_round(page: Page, wanted: SignedRoundKey, policy: bytes) -> Opened:
    """Makes the key of a round, or returns the one that was made in this epoch. The task's round before is closed.

    Args:
        page: the transaction.
        wanted: all that the key is to be for.
        policy: the policy whose hash it has.

    Raises:
        DifferentRoundError: the round has a key for something else.
        RoundClosedError: the round is closed, or a later one was opened.
    """
    row = page.connection.execute(sa.select(task_round).where(task_round.c.task_id == wanted.task_id)).first()
    if row is not None:
        before = SignedRoundKey.FromString(row.key)
        _check(before, wanted, row.closed)
        if before.round == wanted.round and row.secret is not None:
            return Opened(before, row.entry)
    if sums.find(page.connection, wanted.task_id, wanted.round) is not None:
        raise RoundClosedError(
            "the sum of this round was opened in an epoch before, and no round has two: open the next"
        )
    return _made(page, wanted, policy)


def close_round(page: Page, task_id: bytes, number: int) -> None:
    """Deletes the key of a round, and of the task's rounds before. A round that is not there stays so."""
    chosen = (task_round.c.task_id == task_id, task_round.c.round <= number)
    page.connection.execute(sa.update(task_round).where(*chosen).values(secret=None, closed=True))


def close_older(page: Page, opened_before: float) -> None:
    """Deletes the keys of rounds that were opened before a time."""
    chosen = (task_round.c.opened < int(opened_before), task_round.c.closed.is_(False))
    page.connection.execute(sa.update(task_round).where(*chosen).values(secret=None, closed=True))


def count(connection: Connection) -> int:
    """Returns the number of rounds whose key is kept."""
    return int(connection.execute(sa.select(sa.func.count()).where(task_round.c.secret.is_not(None))).scalar_one())


def open_key(page: Page, task_id: bytes, number: int) -> OpenKey:
    """Returns the key of an open round.

    Raises:
        RoundClosedError: it is gone, or was never made.
        BooksError: it is damaged.
    """
    chosen = (task_round.c.task_id == task_id, task_round.c.round == number)
    row = page.connection.execute(sa.select(task_round).where(*chosen)).first()
    if row is None or row.secret is None:
        raise RoundClosedError("the round is not open, or is closed already: its sum cannot be opened")
    private = X25519PrivateKey.from_private_bytes(page.epoch.unseal(row.secret, row.key))
    return OpenKey(SignedRoundKey.FromString(row.key), private, row.opened)


def _check(before: SignedRoundKey, wanted: SignedRoundKey, closed: bool) -> None:
    """Returns if a round may be opened after another of its task.

    Args:
        before: the round that was opened last.
        wanted: the round that is wanted.
        closed: the one before was closed. If it was not, its key is there, or went with an epoch.
    """
    if wanted.round < before.round:
        raise RoundClosedError(f"round {before.round} of this task was opened after it: the numbers of rounds rise")
    if wanted.round > before.round:
        return
    if any(getattr(before, name) != getattr(wanted, name) for name in _FIXED):
        raise DifferentRoundError("the round was opened for another manifest, checkpoint or policy: open the next")
    if closed:
        raise RoundClosedError("the round is closed, and its key is gone: open the next")


def _made(page: Page, wanted: SignedRoundKey, policy: bytes) -> Opened:
    secret, key = X25519PrivateKey.generate(), SignedRoundKey()
    key.CopyFrom(wanted)
    key.public_key = secret.public_key().public_bytes_raw()
    page.keys.sign_round(key)
    _log_policy(page, key.policy, policy)
    entry = page.log(LogEntry(round=RoundOpened(key=key)))
    data = key.SerializeToString(deterministic=True)
    row = {
        "round": key.round,
        "epoch": page.epoch.id,
        "opened": page.now,
        "key": data,
        "secret": page.epoch.seal(secret.private_bytes_raw(), data),
        "closed": False,
        "entry": entry,
    }
    chosen = task_round.c.task_id == key.task_id
    if not page.connection.execute(sa.update(task_round).where(chosen).values(**row)).rowcount:
        page.connection.execute(sa.insert(task_round).values(task_id=key.task_id, **row))
    return Opened(key, entry)


def _log_policy(page: Page, digest: bytes, policy: bytes) -> None:
    assert digest == round_key.policy_hash(policy)
    if page.connection.execute(sa.select(policies.c.entry).where(policies.c.hash == digest)).first() is None:
        entry = page.log(LogEntry(policy=PolicyUsed(policy=policy)))
        page.connection.execute(sa.insert(policies).values(hash=digest, entry=entry))
