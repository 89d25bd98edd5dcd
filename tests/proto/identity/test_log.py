"""The log: whatever is changed, added, left out or put elsewhere is found, and two heads lie on one chain or do not."""

import copy

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from google.protobuf.message import DecodeError
from hypothesis import given, settings
from hypothesis import strategies as st

from fedau2.v1.unmasker_pb2 import LogBegin, LogEntry, LogHead, LogResponse, PolicyUsed
from fedau2.wire.errors import IdentityError
from fedau2.wire.identity import log
from fedau2.wire.identity.signing import public_bytes

UNMASKER = Ed25519PrivateKey.generate()
IDENTITY = public_bytes(UNMASKER)

texts = st.lists(st.binary(max_size=20), min_size=1, max_size=12)


def entry(text, time=0):
    return LogEntry(time=time, policy=PolicyUsed(policy=text)).SerializeToString()


class Log:
    """A log as an unmasker would keep it."""

    def __init__(self, entries, identity=UNMASKER):
        self.entries, self.hashes, self.identity = entries, [log.start(public_bytes(identity))], identity
        for number, data in enumerate(entries):
            self.hashes.append(log.extended(self.hashes[-1], number, data))

    def head(self, size=None):
        size = len(self.entries) if size is None else size
        head = LogHead(size=size, hash=self.hashes[size])
        head.signature = self.identity.sign(log.head_message(head))
        return head

    def answer(self, first=0):
        yield LogResponse(begin=LogBegin(head=self.head(), before=self.hashes[first]))
        for data in self.entries[first:]:
            yield LogResponse(entry=data)


@given(texts, st.data())
def test_any_part_of_it_is_read_back(texts, data):
    made, first = Log([entry(text) for text in texts]), data.draw(st.integers(0, len(texts)))
    for since in (first, made.head(first)):
        read = log.read(made.answer(first), IDENTITY, since)
        assert [part.policy.policy for part in read.entries] == texts[first:]
        assert all(read.follows(made.head(size)) for size in range(first, len(texts) + 1))


@settings(max_examples=200)
@given(texts, st.data())
def test_any_changed_byte_is_found(texts, data):
    responses = [response.SerializeToString() for response in Log([entry(text) for text in texts]).answer()]
    number = data.draw(st.integers(0, len(responses) - 1))
    changed = bytearray(responses[number])
    changed[data.draw(st.integers(0, len(changed) - 1))] ^= data.draw(st.integers(1, 255))
    responses[number] = bytes(changed)
    try:
        parsed = [LogResponse.FromString(response) for response in responses]
    except DecodeError:
        return  # gRPC finds that
    if [response.SerializeToString(deterministic=True) for response in parsed] == [
        response.SerializeToString(deterministic=True) for response in Log([entry(text) for text in texts]).answer()
    ]:
        return  # the same answer, written in another way
    with pytest.raises(IdentityError):
        log.read(parsed, IDENTITY)


@given(texts, st.data())
def test_entries_cannot_be_left_out_added_doubled_or_moved(texts, data):
    made = list(Log([entry(text, time) for time, text in enumerate(texts)]).answer())
    place = data.draw(st.integers(1, len(made) - 1))
    without, doubled = made[:place] + made[place + 1 :], [*made[: place + 1], *made[place:]]
    wrongs = [without, doubled, [*made, made[-1]], made[1:], [], made[:1]]
    if len(made) > 2:
        wrongs.append([made[0], *made[2:], made[1]])
    for wrong in wrongs:
        with pytest.raises(IdentityError):
            log.read(iter(wrong), IDENTITY)


@given(texts, texts, st.data())
def test_a_log_that_was_cut_or_written_anew_is_found_by_who_has_seen_a_head(texts, others, data):
    before = Log([entry(text) for text in texts])
    seen = before.head(data.draw(st.integers(1, len(texts))))
    after = Log([entry(text, 1) for text in others])  # as of an unmasker that was restored: no entry is the same
    with pytest.raises(IdentityError, match=r"cut|two logs"):
        log.read(after.answer(min(seen.size, len(others))), IDENTITY, seen)
    assert not log.read(after.answer(), IDENTITY).follows(seen)
    forged = Log([*before.entries[: seen.size - 1], entry(b"else", 2), *before.entries[seen.size :]])
    with pytest.raises(IdentityError, match="two logs"):
        log.read(forged.answer(seen.size), IDENTITY, seen)


@given(texts)
def test_the_log_of_another_unmasker_is_not_taken(texts):
    entries = [entry(text) for text in texts]
    stranger = Log(entries, Ed25519PrivateKey.generate())
    with pytest.raises(IdentityError, match="not signed"):
        log.read(stranger.answer(), IDENTITY)
    mixed = Log(entries)
    mixed.hashes = stranger.hashes  # signed by the right one, for a chain that begins elsewhere
    with pytest.raises(IdentityError, match="two logs"):
        log.read(mixed.answer(), IDENTITY)


def test_entries_that_cannot_be_read_are_found_though_they_are_signed_for():
    for data in (b"\xff", entry(b"x" * log.MOST_ENTRY)):
        with pytest.raises(IdentityError, match="entry 0"):
            log.read(Log([data]).answer(), IDENTITY)


def test_a_stream_in_another_order_is_refused():
    made = list(Log([entry(b"a"), entry(b"b")]).answer())
    for wrong in ([made[1], made[0], made[2]], [made[0], made[0], *made[1:]], [LogResponse(), *made]):
        with pytest.raises(IdentityError):
            log.read(copy.deepcopy(wrong), IDENTITY)
