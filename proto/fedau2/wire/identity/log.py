"""The unmasker's public log: a chain of hashes over all that it has said, with a signed head.

The hash of an empty log is that of the identity key. An entry's hash is over the hash before it, its number and its
bytes. So a head fixes every byte of every entry, and two heads of one unmasker must lie on one chain.
"""

import hashlib
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from google.protobuf.message import DecodeError

from fedau2.v1.unmasker_pb2 import LogBegin, LogEntry, LogHead, LogResponse, SignedRoundKey
from fedau2.wire.errors import IdentityError
from fedau2.wire.identity.signing import verifies

MOST_ENTRY = 128 * 1024
"""Most bytes of an entry."""

_START = b"fedau2 log v1\0"
_ENTRY = b"fedau2 log entry v1\0"
_HEAD = b"fedau2 log head v1\0"
_NUMBER = struct.Struct("<Q")


def start(identity: bytes) -> bytes:
    """Returns the hash of the empty log of an unmasker with this identity key."""
    return hashlib.sha256(_START + identity).digest()


def extended(before: bytes, number: int, entry: bytes) -> bytes:
    """Returns the hash of a log after an entry with this number, from 0, is added to a log with the hash `before`."""
    return hashlib.sha256(_ENTRY + before + _NUMBER.pack(number) + entry).digest()


def head_message(head: LogHead) -> bytes:
    """Returns what the identity key signs."""
    return _HEAD + _NUMBER.pack(head.size) + head.hash


def signed(head: LogHead, identity: bytes) -> bool:
    """Returns True if the unmasker with this identity key signed a head."""
    return verifies(identity, head.signature, head_message(head))


@dataclass(frozen=True)
class Extract:
    """A part of a log that has been checked.

    Attributes:
        head: the log's, signed.
        first: number of the first entry.
        entries: all from the first to the head.
        hashes: of the log before the first entry, and after each.
    """

    head: LogHead
    first: int
    entries: tuple[LogEntry, ...]
    hashes: tuple[bytes, ...]

    def follows(self, seen: LogHead) -> bool:
        """Returns True if the log goes on from a head that was seen before, as far as this part of it shows."""
        place = seen.size - self.first
        return 0 <= place < len(self.hashes) and self.hashes[place] == seen.hash

    def holds(self, key: SignedRoundKey) -> bool:
        """Returns True if a round's key is in this part of the log."""
        return any(entry.round.key == key for entry in self.entries if entry.HasField("round"))


def read(responses: Iterable[LogResponse], identity: bytes, since: LogHead | int = 0) -> Extract:
    """Reads the answer to a `LogRequest` and checks it, byte for byte, against its signed head.

    Args:
        responses: the answer.
        identity: the unmasker's identity key.
        since: the source of `LogRequest.first`. A head that was seen before: the log must go on from it; its
            signature is not checked again. 0: all of the log. Another number: what comes before that entry is not seen.

    Raises:
        IdentityError: the answer is malformed, is not signed, does not go on from what was seen before, or has an entry
            that somebody has changed, added or left out.
    """
    stream = iter(responses)
    begin, first = _begin(stream), since.size if isinstance(since, LogHead) else since
    head = begin.head
    if not signed(head, identity):
        raise IdentityError("the head of the log is not signed by the unmasker's identity key")
    if head.size < first:
        raise IdentityError(f"the log has {head.size} entries, and had {first} before: it was cut")
    expected = _expected(identity, since)
    if expected is not None and begin.before != expected:
        raise IdentityError("the log does not go on from what was seen before: the unmasker has two logs")
    hashes, entries = [begin.before], []
    for number in range(first, head.size):
        data = _entry(stream, number)
        hashes.append(extended(hashes[-1], number, data))
        entries.append(_parsed(data, number))
    if next(stream, None) is not None:
        raise IdentityError("the log has entries that its head does not count")
    if hashes[-1] != head.hash:
        raise IdentityError("the entries of the log are not those that its head was signed for")
    return Extract(head, first, tuple(entries), tuple(hashes))


def _expected(identity: bytes, since: LogHead | int) -> bytes | None:
    if isinstance(since, LogHead):
        return since.hash
    return start(identity) if since == 0 else None


def _begin(stream: Iterator[LogResponse]) -> LogBegin:
    response = next(stream, None)
    if response is None or not response.HasField("begin"):
        raise IdentityError("the answer of the log does not begin with its head")
    return response.begin


def _entry(stream: Iterator[LogResponse], number: int) -> bytes:
    response = next(stream, None)
    if response is None or response.WhichOneof("part") != "entry":
        raise IdentityError(f"entry {number} of the log is missing")
    return response.entry


def _parsed(data: bytes, number: int) -> LogEntry:
    if len(data) > MOST_ENTRY:
        raise IdentityError(f"entry {number} of the log has {len(data)} bytes, and at most {MOST_ENTRY} are taken")
    try:
        return LogEntry.FromString(data)
    except DecodeError as error:
        raise IdentityError(f"entry {number} of the log cannot be read") from error
